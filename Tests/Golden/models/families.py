"""Tiny models of every decoder family: configurations as published checkpoints write them, and tensor lists.

Read by make_golden.py. Weights follow a formula of (tensor name, element index), so that no weights are stored.
"""

import math

import gguf

WIDTH, LAYERS, VOCAB, CONTEXT = 96, 3, 96, 128


def config(model_type, architecture, **changes):
    base = dict(
        architectures=[architecture], model_type=model_type, hidden_size=WIDTH, num_hidden_layers=LAYERS,
        num_attention_heads=6, num_key_value_heads=2, head_dim=16, intermediate_size=88, vocab_size=VOCAB,
        max_position_embeddings=CONTEXT, rms_norm_eps=1e-5, rope_theta=10000.0, hidden_act="silu",
        tie_word_embeddings=False, bos_token_id=1, eos_token_id=2, torch_dtype="float32")
    base.update(changes)
    return {k: v for k, v in base.items() if v is not None}


LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32)
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32)
LONGROPE = dict(type="longrope", short_factor=[1.0 + i / 20 for i in range(9)],
                long_factor=[1.0 + i * i / 8 for i in range(9)])
GEMMA = dict(hidden_act="gelu_pytorch_tanh", hidden_activation="gelu_pytorch_tanh", query_pre_attn_scalar=24,
             rms_norm_eps=1e-6, tie_word_embeddings=True)
MOE = dict(moe_intermediate_size=24, num_experts_per_tok=2, decoder_sparse_step=1)


def families():
    """name -> (config, gguf architecture, extra GGUF metadata without the architecture prefix)"""
    return {
        "llama": (config("llama", "LlamaForCausalLM"), "llama", {}),
        "llama3-scaled": (config("llama", "LlamaForCausalLM", rope_theta=500000.0, rope_scaling=LLAMA3,
                                 tie_word_embeddings=True), "llama", {}),
        "llama-biased": (config("llama", "LlamaForCausalLM", attention_bias=True, mlp_bias=True,
                                rope_scaling=dict(type="linear", factor=4.0)),
                         "llama", {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}),
        "mistral": (config("mistral", "MistralForCausalLM", sliding_window=9), None, {}),
        "qwen2": (config("qwen2", "Qwen2ForCausalLM", num_attention_heads=4, num_key_value_heads=4, head_dim=None,
                         rope_theta=1000000.0, use_sliding_window=False, sliding_window=9, max_window_layers=1,
                         tie_word_embeddings=True), "qwen2", {}),
        "qwen2-yarn": (config("qwen2", "Qwen2ForCausalLM", num_attention_heads=4, head_dim=None, rope_scaling=YARN,
                              use_sliding_window=False, sliding_window=None), "qwen2",
                       {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0,
                        "rope.scaling.original_context_length": 32}),
        "qwen3": (config("qwen3", "Qwen3ForCausalLM", head_dim=32, num_attention_heads=6, num_key_value_heads=1,
                         use_sliding_window=False), "qwen3", {}),
        "phi3": (config("phi3", "Phi3ForCausalLM", num_attention_heads=4, head_dim=None, partial_rotary_factor=0.75,
                        original_max_position_embeddings=64, rope_scaling=LONGROPE, sliding_window=11,
                        pad_token_id=0), "phi3", {}),
        "phi3-long": (config("phi3", "Phi3ForCausalLM", num_attention_heads=4, head_dim=None, sliding_window=None,
                             original_max_position_embeddings=24, pad_token_id=0,
                             rope_scaling={**LONGROPE, "short_factor": [1.0 + i / 40 for i in range(12)],
                                           "long_factor": [1.0 + i * i / 16 for i in range(12)]}), "phi3", {}),
        "gemma2": (config("gemma2", "Gemma2ForCausalLM", sliding_window=9, attn_logit_softcapping=5.0,
                          final_logit_softcapping=8.0, **{**GEMMA, "query_pre_attn_scalar": 16}), "gemma2", {}),
        "gemma3": (config("gemma3_text", "Gemma3ForCausalLM", sliding_window=9, sliding_window_pattern=2,
                          rope_theta=1000000.0, rope_local_base_freq=10000.0,
                          rope_scaling=dict(rope_type="linear", factor=8.0),
                          **{**GEMMA, "query_pre_attn_scalar": 16}), "gemma3",
                   {"rope.scaling.type": "linear", "rope.scaling.factor": 8.0,
                    "attention.sliding_window_pattern": 2}),
        "mixtral": (config("mixtral", "MixtralForCausalLM", num_local_experts=4, num_experts_per_tok=2,
                           sliding_window=None), "llama", {}),
        "qwen2-moe": (config("qwen2_moe", "Qwen2MoeForCausalLM", num_attention_heads=4, head_dim=None, num_experts=6,
                             shared_expert_intermediate_size=40, norm_topk_prob=False, use_sliding_window=False,
                             mlp_only_layers=[], **MOE), "qwen2moe", {}),
        "qwen3-moe": (config("qwen3_moe", "Qwen3MoeForCausalLM", num_experts=8, norm_topk_prob=True,
                             use_sliding_window=False, mlp_only_layers=[], **MOE), "qwen3moe", {}),
    }


def head_dim(c):
    return c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]


def tensors(c):
    """The checkpoint's tensors: name -> shape, slowest axis first."""
    d, ff, kind = c["hidden_size"], c["intermediate_size"], c["model_type"]
    q, kv = c["num_attention_heads"] * head_dim(c), c["num_key_value_heads"] * head_dim(c)
    out = {"model.embed_tokens.weight": [VOCAB, d], "model.norm.weight": [d]}
    if not c["tie_word_embeddings"]:
        out["lm_head.weight"] = [VOCAB, d]
    for layer in range(c["num_hidden_layers"]):
        p = f"model.layers.{layer}."
        out[p + "input_layernorm.weight"] = [d]
        out[p + "post_attention_layernorm.weight"] = [d]
        if kind.startswith("gemma"):
            out[p + "pre_feedforward_layernorm.weight"] = [d]
            out[p + "post_feedforward_layernorm.weight"] = [d]
        out.update(attention(c, p + "self_attn.", d, q, kv))
        out.update(feed_forward(c, p, d, ff))
    return out


def attention(c, p, d, q, kv):
    kind, out = c["model_type"], {}
    if kind == "phi3":
        return {p + "qkv_proj.weight": [q + 2 * kv, d], p + "o_proj.weight": [d, q]}
    for name, rows in (("q_proj", q), ("k_proj", kv), ("v_proj", kv)):
        out[p + name + ".weight"] = [rows, d]
        if kind in ("qwen2", "qwen2_moe") or c.get("attention_bias"):
            out[p + name + ".bias"] = [rows]
    out[p + "o_proj.weight"] = [d, q]
    if c.get("attention_bias"):
        out[p + "o_proj.bias"] = [d]
    if kind in ("qwen3", "qwen3_moe", "gemma3_text"):
        out[p + "q_norm.weight"] = [head_dim(c)]
        out[p + "k_norm.weight"] = [head_dim(c)]
    return out


def feed_forward(c, p, d, ff):
    kind, out = c["model_type"], {}
    if kind == "mixtral":
        out[p + "block_sparse_moe.gate.weight"] = [c["num_local_experts"], d]
        for e in range(c["num_local_experts"]):
            x = p + f"block_sparse_moe.experts.{e}."
            out.update({x + "w1.weight": [ff, d], x + "w2.weight": [d, ff], x + "w3.weight": [ff, d]})
        return out
    if kind.endswith("_moe"):
        out[p + "mlp.gate.weight"] = [c["num_experts"], d]
        for e in range(c["num_experts"]):
            out.update(gated(p + f"mlp.experts.{e}.", d, c["moe_intermediate_size"]))
        if kind == "qwen2_moe":
            out.update(gated(p + "mlp.shared_expert.", d, c["shared_expert_intermediate_size"]))
            out[p + "mlp.shared_expert_gate.weight"] = [1, d]
        return out
    if kind == "phi3":
        return {p + "mlp.gate_up_proj.weight": [2 * ff, d], p + "mlp.down_proj.weight": [d, ff]}
    out.update(gated(p + "mlp.", d, ff))
    if c.get("mlp_bias"):
        out.update({p + "mlp.gate_proj.bias": [ff], p + "mlp.up_proj.bias": [ff], p + "mlp.down_proj.bias": [d]})
    return out


def gated(p, d, ff):
    return {p + "gate_proj.weight": [ff, d], p + "up_proj.weight": [ff, d], p + "down_proj.weight": [d, ff]}


def gguf_tensors(c, arch):
    """GGUF tensors: name -> dict(shape, from=[checkpoint names], op); names by gguf-py's own table."""
    key = next(k for k, v in gguf.MODEL_ARCH_NAMES.items() if v == arch)
    names = gguf.get_tensor_name_map(key, c["num_hidden_layers"])
    out = {}
    for name, shape in tensors(c).items():
        base, suffix = name.rsplit(".", 1)
        op, source = "copy", [name]
        if ".experts." in base:  # all experts of one matrix are stacked
            head, rest = base.split(".experts.")
            expert, matrix = rest.split(".")
            if expert != "0":
                continue
            count = c.get("num_local_experts") or c["num_experts"]
            source = [f"{head}.experts.{e}.{matrix}.{suffix}" for e in range(count)]
            op, shape, base = "stack", [count] + shape, f"{head}.experts.{matrix}"
        elif arch == "llama" and ("q_proj" in base or "k_proj" in base):
            op = "permute-q" if "q_proj" in base else "permute-k"
        elif arch.startswith("gemma") and "norm" in base:
            op = "add-one"
        mapped = names.get_name(base)
        assert mapped, (arch, base)
        if base.endswith("shared_expert_gate"):
            shape = [c["hidden_size"]]
        out[f"{mapped}.{suffix}"] = {"shape": shape, "from": source, "op": op}
    return out


def gguf_metadata(c, arch, extra):
    """Metadata as the converters write it."""
    m = {"context_length": c["max_position_embeddings"], "embedding_length": c["hidden_size"],
         "block_count": c["num_hidden_layers"], "feed_forward_length": c["intermediate_size"],
         "attention.head_count": c["num_attention_heads"], "attention.head_count_kv": c["num_key_value_heads"],
         "attention.layer_norm_rms_epsilon": c["rms_norm_eps"], "rope.freq_base": c["rope_theta"]}
    if "head_dim" in c:
        m["attention.key_length"] = m["attention.value_length"] = c["head_dim"]
    rotary = head_dim(c) * c.get("partial_rotary_factor", 1.0)
    if arch in ("llama", "phi3"):
        m["rope.dimension_count"] = int(rotary)
    if c.get("sliding_window") and c.get("use_sliding_window", True):
        m["attention.sliding_window"] = c["sliding_window"]
    if "attn_logit_softcapping" in c:
        m["attn_logit_softcapping"] = c["attn_logit_softcapping"]
        m["final_logit_softcapping"] = c["final_logit_softcapping"]
    experts = c.get("num_local_experts") or c.get("num_experts")
    if experts:
        m["expert_count"], m["expert_used_count"] = experts, c["num_experts_per_tok"]
    if "moe_intermediate_size" in c:
        m["expert_feed_forward_length"] = c["moe_intermediate_size"]
    if "shared_expert_intermediate_size" in c:
        m["expert_shared_feed_forward_length"] = c["shared_expert_intermediate_size"]
    if c["model_type"] == "phi3":
        m["rope.scaling.original_context_length"] = c["original_max_position_embeddings"]
        original = c["original_max_position_embeddings"]
        m["rope.scaling.attn_factor"] = (1 + math.log(CONTEXT / original) / math.log(original)) ** 0.5
    m.update(extra)
    return {"general.architecture": arch, **{f"{arch}.{k}": v for k, v in m.items()}}
