"""Golden logits of the bundled models: a NumPy forward pass in float64 over the weights that the GGUF files decode to.

python -m weirtrain.reference --models ../Models --out ../Tests/Golden/models/bundled.json

It shares nothing with the trainer: weights come from the GGUF files through gguf-py, so that an error of the exporter
shows as well (test_export.py compares with the trainer's own logits). Activations are not rounded.
"""

import argparse
import json
import pathlib
import random

import gguf
import numpy as np

from .data import facts
from .tokenizer import ChatTokenizer

LENGTH = 96
ROWS = (0, 31, 63, 95)


def load(path):
    """(weights by GGUF name in float64, metadata)"""
    reader = gguf.GGUFReader(path)
    weights = {
        t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float64).reshape(
            [int(n) for n in reversed(t.shape)]) for t in reader.tensors}
    fields = {k.removeprefix("llama."): f.contents() for k, f in reader.fields.items() if k.startswith("llama.")}
    return weights, fields


def norm(x, weight, epsilon):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * weight


def rotate(x, theta):
    """x [tokens, heads, dim]: neighbouring elements are the pairs, as in GGUF's llama."""
    tokens, _, dim = x.shape
    angles = np.arange(tokens)[:, None] * theta ** (-np.arange(0, dim, 2) / dim)[None]
    pairs = (x[..., 0::2] + 1j * x[..., 1::2]) * np.exp(1j * angles)[:, None]
    return np.stack([pairs.real, pairs.imag], -1).reshape(x.shape)


def gated(x, gate, up, down):
    hidden = x @ gate.T
    return (hidden / (1 + np.exp(-hidden)) * (x @ up.T)) @ down.T


def experts(x, w, used):
    """Mixture of experts; returns the output and the smallest gap between a chosen and a refused expert's logit."""
    scores = x @ w["ffn_gate_inp.weight"].T
    order = np.argsort(-scores, -1)
    out = np.zeros_like(x)
    for row in range(len(x)):
        chosen = order[row, :used]
        share = np.exp(scores[row, chosen] - scores[row, chosen].max())
        for expert, part in zip(chosen, share / share.sum()):
            parts = (w[f"ffn_{n}_exps.weight"][expert] for n in ("gate", "up", "down"))
            out[row] += part * gated(x[row], *parts)
    ranked = np.take_along_axis(scores, order, -1)
    return out, ranked[:, used - 1] - ranked[:, used]


def forward(weights, fields, ids):
    """(logits [tokens, vocab], smallest router gap of each token; infinity for dense models)"""
    epsilon, theta = fields["attention.layer_norm_rms_epsilon"], fields["rope.freq_base"]
    head = fields["attention.key_length"]
    x = weights["token_embd.weight"][ids]
    tokens, gap = len(ids), np.full(len(ids), np.inf)
    mask = np.triu(np.full((tokens, tokens), -np.inf), 1)
    for layer in range(fields["block_count"]):
        w = {k.split(".", 2)[2]: v for k, v in weights.items() if k.startswith(f"blk.{layer}.")}
        h = norm(x, w["attn_norm.weight"], epsilon)
        q, k, v = ((h @ w[f"attn_{n}.weight"].T).reshape(tokens, -1, head) for n in "qkv")
        q, k = rotate(q, theta), rotate(k, theta)
        group = q.shape[1] // k.shape[1]
        k, v = np.repeat(k, group, 1), np.repeat(v, group, 1)
        scores = np.einsum("ihd,jhd->hij", q, k) / np.sqrt(head) + mask
        p = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = np.einsum("hij,jhd->ihd", p / p.sum(-1, keepdims=True), v).reshape(tokens, -1)
        x = x + mixed @ w["attn_output.weight"].T
        h = norm(x, w["ffn_norm.weight"], epsilon)
        if "ffn_gate_inp.weight" in w:
            more, closest = experts(h, w, fields["expert_used_count"])
            x, gap = x + more, np.minimum(gap, closest)
        else:
            x = x + gated(h, w["ffn_gate.weight"], w["ffn_up.weight"], w["ffn_down.weight"])
    output = weights.get("output.weight", weights["token_embd.weight"])
    return norm(x, weights["output_norm.weight"], epsilon) @ output.T, gap


def golden(path, ids):
    logits, gaps = forward(*load(path), np.array(ids))
    gap = float(gaps[list(ROWS)].min())
    logprobs = logits - np.log(np.exp(logits - logits.max(-1, keepdims=True)).sum(-1, keepdims=True)) \
        - logits.max(-1, keepdims=True)
    sorted_logits = np.sort(logits, -1)
    return {
        "greedy": logits.argmax(-1).tolist(),
        "margin": [round(float(v), 6) for v in sorted_logits[:, -1] - sorted_logits[:, -2]],
        "routerGap": None if gap == float("inf") else round(gap, 9),
        "sumLogprob": round(float(logprobs[np.arange(len(ids) - 1), ids[1:]].sum()), 6),
        "rms": round(float(np.sqrt((logits**2).mean())), 4),
        "largest": round(float(np.abs(logits).max()), 4),
        "logits": [[round(float(v), 5) for v in logits[row]] for row in ROWS]}


def conversation(tokenizer, seed):
    talk = facts.conversation(random.Random(seed), 2 * LENGTH, tokenizer.count, "heldout", facts.Options(max_facts=4))
    return tokenizer.render(talk.turns)[0][:LENGTH]


def clearest(folder, ids):
    """The smallest router gap at the compared rows: where two experts tie within rounding, no tolerance covers the choice."""
    return min(forward(*load(path), np.array(ids))[1][list(ROWS)].min() for path in folder.glob("*moe*.gguf"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default="../Models", type=pathlib.Path)
    parser.add_argument("--out", default="../Tests/Golden/models/bundled.json", type=pathlib.Path)
    options = parser.parse_args()
    tokenizer = ChatTokenizer.load()
    ids = max((conversation(tokenizer, seed) for seed in range(20, 60)), key=lambda ids: clearest(options.models, ids))
    result = {"ids": ids, "rows": ROWS, "files": {}}
    for path in sorted(options.models.glob("*.gguf")):
        result["files"][path.name] = golden(path, ids)
        entry = result["files"][path.name]
        print(path.name, entry["sumLogprob"], entry["rms"], entry["routerGap"])
    options.out.write_text(json.dumps(result, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
