"""Distributions after each step of the sampler chain, computed by plain full sorts in float64.

Writes probabilities.json. Run: python probabilities.py   (requirements: ../requirements.txt)
"""
import json
import pathlib

import numpy as np

rng = np.random.default_rng(20240607)
V = 96


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def order(x):
    """Token numbers, best first, lowest number first among equals."""
    return sorted(np.flatnonzero(np.isfinite(x)), key=lambda i: (-x[i], i))


def keep(x, tokens):
    y = np.full_like(x, -np.inf)
    y[list(tokens)] = x[list(tokens)]
    return y


def dry_lengths(history, allowed_length, breakers, window):
    """By definition: for every earlier place, compare backwards with the end."""
    h = history if window < 0 else history[max(0, len(history) - window):]
    found = {}
    for nxt in range(1, len(h)):
        n = 0
        while n < nxt and h[nxt - 1 - n] == h[len(h) - 1 - n] and h[len(h) - 1 - n] not in breakers:
            n += 1
        if n >= allowed_length:
            found[h[nxt]] = max(found.get(h[nxt], 0), n)
    return found


def chain(logits, p, prompt, answer):
    x = logits.copy()
    for token, bias in p.get("logit_bias", {}).items():
        x[int(token)] += bias
    if "allowed" in p:
        x = keep(x, p["allowed"])
    for token in p.get("banned", []):
        x[token] = -np.inf
    window = p.get("window", -1)
    everything = [(t, False) for t in prompt] + [(t, True) for t in answer]
    seen = everything if window < 0 else everything[max(0, len(everything) - window):]
    if window == 0:
        seen = []
    for token in {t for t, _ in seen}:
        r = p.get("repetition", 1.0)
        x[token] = x[token] / r if x[token] > 0 else x[token] * r
        count = sum(1 for t, mine in seen if t == token and mine)
        if count:
            x[token] -= p.get("frequency", 0.0) * count + p.get("presence", 0.0)
    if "dry" in p:
        d = p["dry"]
        for token, n in dry_lengths(prompt + answer, d["allowed_length"], set(d["breakers"]), d["window"]).items():
            x[token] -= d["multiplier"] * d["base"] ** (n - d["allowed_length"])
    x = x / p.get("temperature", 1.0)
    if p.get("top_n_sigma", 0) > 0:
        f = x[np.isfinite(x)]
        x[x < f.max() - p["top_n_sigma"] * f.std()] = -np.inf
    if p.get("top_k", 0) > 0:
        x = keep(x, order(x)[: p["top_k"]])
    if p.get("typical_p", 1.0) < 1:
        q = softmax(x)
        pos = q > 0
        h = -(q[pos] * np.log(q[pos])).sum()
        shifts = {i: abs(-np.log(q[i]) - h) for i in np.flatnonzero(pos)}
        kept, mass = [], 0.0
        for i in sorted(shifts, key=lambda i: (shifts[i], -x[i], i)):
            kept.append(i)
            mass += q[i]
            if mass >= p["typical_p"]:
                break
        x = keep(x, kept)
    if p.get("top_p", 1.0) < 1:
        q = softmax(x)
        kept, mass = [], 0.0
        for i in order(x):
            kept.append(i)
            mass += q[i]
            if mass >= p["top_p"]:
                break
        x = keep(x, kept)
    if p.get("min_p", 0.0) > 0:
        q = softmax(x)
        x = keep(x, np.flatnonzero(q >= p["min_p"] * q.max()))
    if "xtc_threshold" in p:  # probability 1: it always acts
        q = softmax(x)
        above = [i for i in order(x) if q[i] >= p["xtc_threshold"]]
        if len(above) > 1:
            x[above[:-1]] = -np.inf
    return softmax(x)


history = [3, 5, 7, 9, 3, 5, 7, 11, 2, 3, 5, 7]
answer = [9, 4, 4, 8, 3, 5, 7]
dry = {"multiplier": 0.8, "base": 1.75, "allowed_length": 2, "window": -1, "breakers": []}
cases = [
    {},
    {"temperature": 0.7},
    {"temperature": 1.8},
    {"top_k": 5},
    {"top_k": 40, "temperature": 0.5},
    {"top_k": 95},
    {"top_k": 500},
    {"top_p": 0.9},
    {"top_p": 0.3, "temperature": 1.5},
    {"top_p": 0.999, "temperature": 2.5},
    {"top_p": 0.95, "temperature": 0.8},
    {"min_p": 0.05},
    {"min_p": 0.2, "top_p": 0.8},
    {"min_p": 1.0},
    {"typical_p": 0.5},
    {"typical_p": 0.9, "top_k": 30},
    {"typical_p": 0.2, "top_p": 0.9, "temperature": 1.3},
    {"top_n_sigma": 1.0},
    {"top_n_sigma": 2.0, "top_p": 0.7},
    {"xtc_threshold": 0.05},
    {"xtc_threshold": 0.1, "min_p": 0.02},
    {"xtc_threshold": 0.49},
    {"repetition": 1.3},
    {"repetition": 0.8, "window": 5},
    {"frequency": 0.5, "presence": 0.4},
    {"frequency": -1.5, "window": 4},
    {"presence": 1.1, "window": 0},
    {"repetition": 1.1, "frequency": 0.3, "presence": 0.2, "window": 9, "temperature": 0.9, "top_k": 20, "top_p": 0.8},
    {"dry": dry},
    {"dry": dict(dry, allowed_length=3, multiplier=2.0)},
    {"dry": dict(dry, breakers=[5])},
    {"dry": dict(dry, window=10)},
    {"dry": dict(dry, allowed_length=1), "top_p": 0.9},
    {"logit_bias": {"3": 5.0, "60": -4.0}, "top_k": 10},
    {"allowed": [1, 2, 3, 50, 95], "banned": [2], "temperature": 0.6},
    {"banned": list(range(0, 96, 2)), "top_p": 0.9},
]
out = []
for index, case in enumerate(cases):
    logits = (rng.standard_normal(V) * 3).astype(np.float32)
    if index % 4 == 1:
        logits[rng.integers(0, V, 20)] = np.float32(1.25)  # equals
    q = chain(logits.astype(np.float64), case, history, answer)
    out.append({
        "parameters": case,
        "logits": [float(v) for v in logits],
        "probabilities": {str(i): float(q[i]) for i in np.flatnonzero(q > 0)},
        "logprobs": [float(v) for v in np.log(softmax(logits.astype(np.float64)))[:8]],
    })
result = {"prompt": history, "answer": answer, "cases": out}
pathlib.Path(__file__).with_name("probabilities.json").write_text(json.dumps(result) + "\n")
