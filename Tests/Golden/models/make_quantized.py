"""Writes quantized.json: logits of the bundled small Llama from its quantised GGUF files.

Usage: python make_quantized.py [FOLDER]   (default ../shared/data/derived; requirements: ../requirements.txt)
Weights are decoded by gguf-py; the forward pass is NumPy in float64, so activations are not rounded.
"""

import json
import pathlib
import sys

import gguf
import numpy as np

FILES = ["tiny1m-q8_0.gguf", "tiny1m-q4_0.gguf", "tiny1m-f16.gguf"]
LENGTH = 48


def load(path):
    reader = gguf.GGUFReader(path)
    weights = {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float64).reshape(
        [int(n) for n in reversed(t.shape)]) for t in reader.tensors}
    fields = {k: f.contents() for k, f in reader.fields.items() if k.startswith("llama.")}
    return weights, fields


def norm(x, weight, epsilon):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * weight


def rotate(x, theta):
    """x: [tokens, heads, dim]; neighbours are rotated."""
    tokens, _, dim = x.shape
    angles = np.arange(tokens)[:, None] * theta ** (-np.arange(0, dim, 2) / dim)[None]
    pairs = (x[..., 0::2] + 1j * x[..., 1::2]) * np.exp(1j * angles)[:, None]
    return np.stack([pairs.real, pairs.imag], -1).reshape(x.shape)


def forward(weights, fields, ids):
    heads, epsilon = fields["llama.attention.head_count"], fields["llama.attention.layer_norm_rms_epsilon"]
    theta = fields.get("llama.rope.freq_base", 10000.0)
    x = weights["token_embd.weight"][ids]
    tokens = len(ids)
    mask = np.triu(np.full((tokens, tokens), -np.inf), 1)
    for layer in range(fields["llama.block_count"]):
        w = {k.split(".", 2)[2]: v for k, v in weights.items() if k.startswith(f"blk.{layer}.")}
        h = norm(x, w["attn_norm.weight"], epsilon)
        q, k, v = (
            (h @ w[f"attn_{n}.weight"].T).reshape(tokens, -1, x.shape[1] // heads) for n in "qkv")
        q, k = rotate(q, theta), rotate(k, theta)
        group = q.shape[1] // k.shape[1]
        k, v = np.repeat(k, group, 1), np.repeat(v, group, 1)
        scores = np.einsum("ihd,jhd->hij", q, k) / np.sqrt(q.shape[2]) + mask
        p = np.exp(scores - scores.max(-1, keepdims=True))
        a = np.einsum("hij,jhd->ihd", p / p.sum(-1, keepdims=True), v).reshape(tokens, -1)
        x = x + a @ w["attn_output.weight"].T
        h = norm(x, w["ffn_norm.weight"], epsilon)
        gate, up = h @ w["ffn_gate.weight"].T, h @ w["ffn_up.weight"].T
        x = x + (gate / (1 + np.exp(-gate)) * up) @ w["ffn_down.weight"].T
    output = weights.get("output.weight", weights["token_embd.weight"])
    return norm(x, weights["output_norm.weight"], epsilon) @ output.T


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[4] / "shared/data/derived")
    if not folder.is_dir():
        print("skipped:", folder, "is not there")
        return
    ids = json.loads((folder / "golden-logits.json").read_text())["tiny1m"]["ids"][:LENGTH]
    result = {"ids": ids, "files": {}}
    for name in FILES:
        logits = forward(*load(folder / name), np.array(ids))
        logprobs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        result["files"][name] = {
            "greedy": logits.argmax(-1).tolist(),
            "sumLogprob": round(float(logprobs[np.arange(LENGTH - 1), ids[1:]].sum()), 6),
            "rms": round(float(np.sqrt((logits**2).mean())), 4),
            "logits": [[round(float(v), 4) for v in logits[i]] for i in (0, 15, 31, 47)]}
        print(name, result["files"][name]["sumLogprob"], result["files"][name]["rms"])
    pathlib.Path(__file__).with_name("quantized.json").write_text(json.dumps(result, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
