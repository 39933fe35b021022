"""Reads trained models and answers with a KV cache whose slots can be taken away.

A cache holds one sequence. Keys are stored with their rotation, so a kept slot keeps its position. Slots are dropped
per layer and KV head, the same number in every lane.
"""

from __future__ import annotations

import json
import os

import numpy as np
import torch
import torch.nn.functional as F

from .model import Decoder, ModelConfig, rotate
from .tokenizer import ChatTokenizer, folder

ROOM = 160
"""Slots kept free behind a context for its question and the answer."""


def hugging_face_config(values):
    """The ModelConfig of an exported config.json."""
    return ModelConfig(
        vocab=values["vocab_size"], width=values["hidden_size"], layers=values["num_hidden_layers"],
        heads=values["num_attention_heads"], kv_heads=values["num_key_value_heads"],
        head_width=values.get("head_dim") or values["hidden_size"] // values["num_attention_heads"],
        hidden=values["intermediate_size"], context=values["max_position_embeddings"],
        rope_theta=values["rope_theta"], norm_eps=values["rms_norm_eps"],
        experts=values.get("num_local_experts", 0), experts_per_token=values.get("num_experts_per_tok", 2))


def read_folder(path):
    """(config, state) of an exported Hugging Face folder."""
    from safetensors.numpy import load_file

    with open(os.path.join(path, "config.json")) as file:
        config = hugging_face_config(json.load(file))
    state = {}
    for name, value in load_file(os.path.join(path, "model.safetensors")).items():
        name = name.removeprefix("model.")
        if ".experts." in name:
            for short, long in ((".w1.", ".gate_proj."), (".w2.", ".down_proj."), (".w3.", ".up_proj.")):
                name = name.replace(short, long)
        state[name] = torch.from_numpy(np.asarray(value, np.float32))
    return config, state


def load_model(path):
    """(model, facts about its training) of a checkpoint, a run's folder or an exported folder."""
    facts = {}
    if os.path.isdir(path) and not os.path.exists(os.path.join(path, "config.json")):
        inner = [os.path.join(path, name) for name in ("checkpoint.pt", "hf")]
        path = next((p for p in inner if os.path.exists(p)), path)
    if os.path.isdir(path):
        config, state = read_folder(path)
    else:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        config, state = ModelConfig(**saved["config"]), saved["model"]
        facts = {key: saved[key] for key in ("stage_name", "step", "tokens", "seconds") if key in saved}
    model = Decoder(config)
    model.load_state_dict(state)
    model.eval()
    facts["parameters"] = sum(p.numel() for p in model.parameters())
    return model, facts


def load_tokenizer(path=None, model_path=None):
    """The tokenizer of a folder, of an exported model, or the trained one."""
    if path is None and model_path and os.path.exists(os.path.join(model_path, "tokenizer.json")):
        path = model_path
    return ChatTokenizer.load(path or folder())


class Cache:
    """K and V of one sequence: a buffer [kv heads, room, e] per layer. `position` is that of the next token."""

    def __init__(self, keys, values, length, position):
        self.keys, self.values, self.length, self.position = keys, values, length, position

    @classmethod
    def empty(cls, config, room):
        shape = (config.kv_heads, room, config.head_width)
        buffers = [[torch.empty(shape) for _ in range(config.layers)] for _ in range(2)]
        return cls(*buffers, 0, 0)

    def mark(self):
        return self.length, self.position

    def back_to(self, mark):
        """Forgets everything after a mark."""
        self.length, self.position = mark

    def kept(self, slots, room=ROOM):
        """A copy that has only some slots: slots[layer] is [kv heads, n] of ascending slot numbers."""
        count = slots[0].shape[1]
        new = []
        for buffers in (self.keys, self.values):
            made = []
            for buffer, chosen in zip(buffers, slots):
                fresh = torch.empty(buffer.shape[0], count + room, buffer.shape[2])
                fresh[:, :count] = buffer.gather(1, chosen[:, :, None].expand(-1, -1, buffer.shape[2]))
                made.append(fresh)
            new.append(made)
        return Cache(*new, count, self.position)


def mix(q, keys, values, first):
    """Attention of t new rows over first + t slots. q [h, t, e]; keys, values [kv heads, first + t, e]."""
    heads, t, e = q.shape
    group = heads // keys.shape[0]
    if first == 0 and t > 1:
        repeated = (x.repeat_interleave(group, 0)[None] for x in (keys, values))
        return F.scaled_dot_product_attention(q[None], *repeated, is_causal=True)[0]
    scores = q.reshape(keys.shape[0], group * t, e) @ keys.transpose(1, 2) * e ** -0.5
    if t > 1:
        later = torch.ones(t, t, dtype=torch.bool).triu(1).repeat(group, 1)
        scores[:, :, first:].masked_fill_(later, float("-inf"))
    return (scores.softmax(-1) @ values).view(heads, t, e)


@torch.no_grad()
def extend(model, cache, ids):
    """Appends tokens to a cache; returns their normalised hidden states [t, d]."""
    c, t = model.config, len(ids)
    first, position = cache.length, cache.position
    if first + t > cache.keys[0].shape[1]:
        raise ValueError(f"the cache has room for {cache.keys[0].shape[1]} slots, not for {first + t}")
    cos, sin = model.cos[position:position + t], model.sin[position:position + t]
    x = model.embed_tokens(torch.as_tensor(ids))[None]
    for number, layer in enumerate(model.layers):
        a, h = layer.self_attn, layer.input_layernorm(x)
        q, k, v = (p(h).view(t, -1, c.head_width).transpose(0, 1) for p in (a.q_proj, a.k_proj, a.v_proj))
        cache.keys[number][:, first:first + t] = rotate(k, cos, sin)
        cache.values[number][:, first:first + t] = v
        y = mix(rotate(q, cos, sin), cache.keys[number][:, :first + t], cache.values[number][:, :first + t], first)
        x = x + a.o_proj(y.transpose(0, 1).reshape(1, t, -1))
        feed_forward = layer.block_sparse_moe if c.experts else layer.mlp
        x = x + feed_forward(layer.post_attention_layernorm(x))
    cache.length, cache.position = first + t, position + t
    return model.norm(x)[0]


def prefill(model, ids):
    """The cache of a context."""
    cache = Cache.empty(model.config, len(ids) + ROOM)
    if ids:
        extend(model, cache, ids)
    return cache


@torch.no_grad()
def answer(model, tokenizer, cache, question, max_new=32):
    """The greedy answer to a question's tokens; the cache is left as it was.

    It ends at an end mark or a newline, except the newline that follows the mark of a tool call."""
    mark, found = cache.mark(), []
    hidden = extend(model, cache, question)
    for _ in range(max_new):
        token = int(model.logits(hidden[-1:]).argmax())
        if token in (tokenizer.stop, tokenizer.end):
            break
        is_call = tokenizer.decode(found) == "<tool_call>"
        found.append(token)
        if "\n" in tokenizer.decode([token]) and not is_call:
            break
        if cache.position >= model.config.context:
            break
        hidden = extend(model, cache, [token])
    cache.back_to(mark)
    text = tokenizer.decode(found)
    return text if text.startswith("<tool_call>\n") else text.split("\n")[0]


def prompt(tokenizer, messages):
    """(context ids, question ids) of a conversation; the question is the last message and the opening of the answer."""
    from .data.conversation import Turn

    def ids(some):
        return tokenizer.render([Turn(m["role"], [(m["content"], 0.0)]) for m in some])[0]

    opening = [tokenizer.start, *tokenizer.encode("assistant"), *tokenizer.newline]
    return ids(messages[:-1]), ids(messages[-1:]) + opening
