"""Writes a checkpoint as a Hugging Face folder and as GGUF files: python -m weirtrain.export --checkpoint runs/chat/checkpoint.pt --out DIR --name weir-chat

The GGUF form is what llama.cpp's converter writes for the same checkpoint: architecture "llama", q and k rows permuted
from halves to interleaved pairs, experts of a layer stacked into one tensor.
"""

import argparse
import json
import os
import shutil

import gguf
import numpy as np
import torch
from safetensors.numpy import save_file

from .model import ModelConfig

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TYPES = {
    "f32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
}


def load(path):
    """(config, tensors by their Hugging Face name, float32) of a checkpoint."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    config = ModelConfig(**state["config"])
    tensors = {}
    for name, value in state["model"].items():
        name = name.replace(".gate_proj.", ".w1.").replace(".down_proj.", ".w2.").replace(".up_proj.", ".w3.") \
            if "experts" in name else name
        tensors[f"model.{name}"] = value.float().numpy()
    return config, tensors


def hugging_face_config(config):
    common = dict(
        hidden_size=config.width, num_hidden_layers=config.layers, num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads, head_dim=config.head_width, intermediate_size=config.hidden,
        vocab_size=config.vocab, max_position_embeddings=config.context, rms_norm_eps=config.norm_eps,
        rope_theta=config.rope_theta, hidden_act="silu", tie_word_embeddings=True, attention_bias=False,
        bos_token_id=None, eos_token_id=2, torch_dtype="float32")
    if config.experts:
        return dict(architectures=["MixtralForCausalLM"], model_type="mixtral", num_local_experts=config.experts,
                    num_experts_per_tok=config.experts_per_token, sliding_window=None, **common)
    return dict(architectures=["LlamaForCausalLM"], model_type="llama", mlp_bias=False, **common)


def write_folder(out, config, tensors, tokenizer):
    """config.json, model.safetensors, tokenizer and generation_config."""
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, "config.json"), "w") as file:
        json.dump(hugging_face_config(config), file, indent=2)
    with open(os.path.join(out, "generation_config.json"), "w") as file:
        json.dump(dict(eos_token_id=[2, 0], pad_token_id=0, do_sample=False), file, indent=2)
    save_file(tensors, os.path.join(out, "model.safetensors"), metadata={"format": "pt"})
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(os.path.join(tokenizer, name), os.path.join(out, name))


def interleaved(weight, heads):
    """Rows of q or k from Hugging Face's halves to GGUF's interleaved pairs, head by head."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def gguf_tensors(config, tensors):
    """(name, float32 array) of every GGUF tensor."""
    yield "token_embd.weight", tensors["model.embed_tokens.weight"]
    for layer in range(config.layers):
        old, new = f"model.layers.{layer}.", f"blk.{layer}."
        yield new + "attn_norm.weight", tensors[old + "input_layernorm.weight"]
        yield new + "attn_q.weight", interleaved(tensors[old + "self_attn.q_proj.weight"], config.heads)
        yield new + "attn_k.weight", interleaved(tensors[old + "self_attn.k_proj.weight"], config.kv_heads)
        yield new + "attn_v.weight", tensors[old + "self_attn.v_proj.weight"]
        yield new + "attn_output.weight", tensors[old + "self_attn.o_proj.weight"]
        yield new + "ffn_norm.weight", tensors[old + "post_attention_layernorm.weight"]
        if config.experts:
            experts = old + "block_sparse_moe."
            yield new + "ffn_gate_inp.weight", tensors[experts + "gate.weight"]
            for name, part in (("gate", "w1"), ("down", "w2"), ("up", "w3")):
                stack = [tensors[f"{experts}experts.{e}.{part}.weight"] for e in range(config.experts)]
                yield f"{new}ffn_{name}_exps.weight", np.stack(stack)
        else:
            for name in ("gate", "down", "up"):
                yield f"{new}ffn_{name}.weight", tensors[f"{old}mlp.{name}_proj.weight"]
    yield "output_norm.weight", tensors["model.norm.weight"]


def write_tokenizer(writer, folder):
    with open(os.path.join(folder, "tokenizer.json")) as file:
        description = json.load(file)
    with open(os.path.join(folder, "tokenizer_config.json")) as file:
        config = json.load(file)
    vocabulary = sorted(description["model"]["vocab"].items(), key=lambda item: item[1])
    special = {entry["id"] for entry in description["added_tokens"]}
    names = {entry["id"]: entry["content"] for entry in description["added_tokens"]}
    names.update({identifier: text for text, identifier in vocabulary})
    kinds = [gguf.TokenType.CONTROL if i in special else gguf.TokenType.NORMAL for i in range(len(names))]
    # the marks of tool calls are text that clients must see
    for entry in description["added_tokens"]:
        if "tool_call" in entry["content"]:
            kinds[entry["id"]] = gguf.TokenType.USER_DEFINED
    merges = [" ".join(m) if isinstance(m, list) else m for m in description["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([names[i] for i in range(len(names))])
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_eos_token_id(2)
    writer.add_eot_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template(config["chat_template"])


def write_gguf(path, name, config, tensors, tokenizer, kind):
    quantization, file_type = TYPES[kind]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(name)
    writer.add_description("Trained by Weir's own recipe (Training/)")
    writer.add_license("apache-2.0")
    writer.add_file_type(file_type)
    writer.add_context_length(config.context)
    writer.add_embedding_length(config.width)
    writer.add_block_count(config.layers)
    writer.add_feed_forward_length(config.hidden)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_key_length(config.head_width)
    writer.add_value_length(config.head_width)
    writer.add_rope_dimension_count(config.head_width)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    writer.add_vocab_size(config.vocab)
    if config.experts:
        writer.add_expert_count(config.experts)
        writer.add_expert_used_count(config.experts_per_token)
    write_tokenizer(writer, tokenizer)
    for tensor, value in gguf_tensors(config, tensors):
        # norms and the router stay in float32, as llama.cpp keeps them
        plain = value.ndim == 1 or tensor.endswith("ffn_gate_inp.weight")
        use = gguf.GGMLQuantizationType.F32 if plain else quantization
        data = gguf.quants.quantize(np.ascontiguousarray(value, np.float32), use)
        writer.add_tensor(tensor, data, raw_dtype=use)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--name", default="weir-chat")
    parser.add_argument("--types", default="q8_0,f16", help="GGUF files to write: f32, f16, q8_0")
    parser.add_argument("--tokenizer", default=os.path.join(HERE, "tokenizer"))
    parser.add_argument("--no-folder", action="store_true", help="no Hugging Face folder")
    options = parser.parse_args(argv)
    os.makedirs(options.out, exist_ok=True)
    config, tensors = load(options.checkpoint)
    if not options.no_folder:
        write_folder(os.path.join(options.out, "hf"), config, tensors, options.tokenizer)
    for kind in [k for k in options.types.split(",") if k]:
        if kind not in TYPES:
            raise SystemExit(f"--types {kind}: must be one of {', '.join(TYPES)}")
        path = os.path.join(options.out, f"{options.name}-{kind}.gguf")
        write_gguf(path, options.name, config, tensors, options.tokenizer, kind)
        print(f"{path}: {os.path.getsize(path) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
