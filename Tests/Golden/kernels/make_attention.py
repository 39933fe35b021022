"""Golden values of attention and row operations, in float64 NumPy from the textbook formulas.

Run: python3 make_attention.py > attention.json   (numpy as pinned in ../requirements.txt)
Inputs come from a linear congruential generator that the tests run too, so only results are stored.
"""

import json
import math

import numpy as np

ULP = 2.0**-24


class Generator:
    """Uniform in [-1, 1) in steps of 2^-23: exact in float32."""

    def __init__(self, seed):
        self.state = seed

    def floats(self, *shape):
        out = []
        for _ in range(int(np.prod(shape))):
            self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
            out.append((self.state >> 40) / 2.0**23 - 1.0)
        return np.array(out).reshape(shape)


def stored(x, kind):
    """What a KV element type keeps of x, along the last axis."""
    if kind == "f32":
        return x
    if kind == "f16":
        return x.astype(np.float16).astype(np.float64)
    groups = x.reshape(-1, 32).astype(np.float32)
    if kind == "q4_0":
        largest = groups[np.arange(len(groups)), np.abs(groups).argmax(axis=1)]
        scale = (largest / np.float32(-8)).astype(np.float16).astype(np.float32)
        inverse = np.where(scale != 0, np.float32(1) / np.where(scale != 0, scale, 1), 0).astype(np.float32)
        codes = np.clip(np.rint(groups * inverse[:, None]), -8, 7)
        return (codes.astype(np.float64) * scale[:, None].astype(np.float64)).reshape(x.shape)
    scale = (np.abs(groups).max(axis=1) / np.float32(127)).astype(np.float16).astype(np.float32)
    inverse = np.where(scale > 0, np.float32(1) / np.where(scale > 0, scale, 1), 0).astype(np.float32)
    codes = np.clip(np.rint(groups * inverse[:, None]), -127, 127)
    return (codes.astype(np.float64) * scale[:, None].astype(np.float64)).reshape(x.shape)


def attention(case):
    g = Generator(case["seed"])
    heads, kv_heads, dim, keys = case["heads"], case["kvHeads"], case["headDim"], case["keys"]
    rows = len(case["positions"])
    q = g.floats(rows, heads, dim) * case["querySize"]
    k = stored(g.floats(keys, kv_heads, dim), case["keyType"])
    v = stored(g.floats(keys, kv_heads, dim), case["valueType"])
    scale = float(np.float32(1 / math.sqrt(dim)))
    out = np.zeros((rows, heads, dim))
    largest = 0.0
    for i, position in enumerate(case["positions"]):
        at = np.arange(keys)
        seen = np.ones(keys, bool) if case["bidirectional"] else at <= position
        if case["window"]:
            seen &= at > position - case["window"]
        if not seen.any():
            continue
        for h in range(heads):
            kv = h // (heads // kv_heads)
            score = k[:, kv] @ q[i, h] * scale
            largest = max(largest, float((np.abs(k[:, kv]) @ np.abs(q[i, h])).max() * scale))
            if case["softcap"]:
                score = case["softcap"] * np.tanh(score / case["softcap"])
            score = np.where(seen, score, -np.inf)
            p = np.exp(score - score.max())
            out[i, h] = (p / p.sum()) @ v[:, kv]
    # A dot product of n terms errs by at most n * 2^-24 * sum|q k| (standard forward bound), scaling adds 2 roundings,
    # a cap adds cap * 4e-7; an error e of the scores moves weights by 2e relatively. Sums over the keys err by
    # (keys + 64) roundings, the exponential by 2^-22. Everything is a factor of the largest value, at most 1.
    score_error = (dim + 2) * ULP * largest + case["softcap"] * 4e-7
    tolerance = 2 * score_error + (keys + 64) * ULP + 2 * 2.0**-22
    return out.ravel(), tolerance


def case(seed, **changes):
    base = dict(seed=seed, heads=4, kvHeads=2, headDim=32, keys=40, blockSlots=16, positions=[39], querySize=1.0,
                keyType="f32", valueType="f32", window=0, softcap=0.0, bidirectional=False)
    base.update(changes)
    return base


CASES = [
    case(1),
    case(2, keyType="f16", valueType="f16", positions=[0, 7, 39]),
    case(3, keyType="q8_0", valueType="q8_0", positions=[38, 39]),
    case(4, keyType="q8_0", valueType="f16", keys=300, blockSlots=32, positions=[299]),
    case(5, keyType="f16", valueType="q8_0", keys=600, blockSlots=32, positions=[100, 599], querySize=8.0),
    case(6, window=5, positions=[3, 20, 60], keys=40, blockSlots=8),
    case(7, softcap=5.0, querySize=10.0, positions=[10, 39]),
    case(8, bidirectional=True, positions=[0, 20]),
    case(9, heads=3, kvHeads=3, headDim=10, blockSlots=5, positions=[12, 39]),
    case(10, heads=14, kvHeads=2, headDim=24, keyType="f16", valueType="f16", positions=[39]),
    case(11, heads=9, kvHeads=1, headDim=80, keyType="f16", valueType="f16", keys=20, positions=[19]),
    case(13, keyType="q4_0", valueType="q4_0", positions=[38, 39]),
    case(14, keyType="q8_0", valueType="q4_0", keys=300, headDim=64, blockSlots=32, positions=[17, 299]),
    case(15, keyType="q4_0", valueType="f16", keys=600, blockSlots=32, positions=[100, 599], querySize=4.0),
    case(12, heads=2, kvHeads=2, headDim=128, keyType="f16", valueType="f16", blockSlots=48, keys=70, positions=[69]),
]


def rows(seed, count=3, columns=37):
    g = Generator(seed)
    x, w, b = g.floats(count, columns) * 4, g.floats(columns), g.floats(columns)
    mean = x.mean(axis=1, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=1, keepdims=True)
    rms = x / np.sqrt((x**2).mean(axis=1, keepdims=True) + 1e-5)
    erf = np.vectorize(math.erf)
    u = w  # one gate partner for all rows
    results = {
        "rmsNorm": rms * w,
        "rmsNormAddOne": rms * (w + 1),
        "layerNorm": (x - mean) / np.sqrt(variance + 1e-5) * w + b,
        "layerNormNoBias": (x - mean) / np.sqrt(variance + 1e-5) * w,
        "silu": x / (1 + np.exp(-x)) * u,
        "geluTanh": 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) * u,
        "gelu": 0.5 * x * (1 + erf(x / math.sqrt(2))) * u,
        "relu": np.maximum(x, 0) * u,
        "softcap": 3 * np.tanh(x / 3),
    }
    return {"seed": seed, "count": count, "columns": columns, "results": {k: short(v) for k, v in results.items()}}


def rope(seed, layout, heads=2, dim=12, rotary=8):
    g = Generator(seed)
    positions = [0, 5, 1000, 16383]
    x = g.floats(len(positions), heads, dim)
    frequencies = [float(np.float32(10000.0 ** (-2 * i / rotary))) for i in range(rotary // 2)]
    out = x.copy()
    for r, position in enumerate(positions):
        for i, frequency in enumerate(frequencies):
            a, b = (2 * i, 2 * i + 1) if layout == "interleaved" else (i, i + rotary // 2)
            c, s = math.cos(position * frequency), math.sin(position * frequency)
            out[r, :, a], out[r, :, b] = x[r, :, a] * c - x[r, :, b] * s, x[r, :, a] * s + x[r, :, b] * c
    return dict(seed=seed, layout=layout, heads=heads, headDim=dim, rotaryDim=rotary, positions=positions,
                frequencies=frequencies, results=short(out))


def short(x):
    return [float(f"{v:.9g}") for v in np.asarray(x).ravel()]


def main():
    cases = []
    for c in CASES:
        out, tolerance = attention(c)
        cases.append({**c, "tolerance": tolerance, "output": short(out)})
    print(json.dumps({"attention": cases, "rows": rows(101), "rope": [rope(201, "interleaved"), rope(202, "halves")]}))


main()
