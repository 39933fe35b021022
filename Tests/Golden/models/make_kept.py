"""Writes kept.json: what tiny models say when every layer and KV head kept other slots, and the attention mass that the
slots got, computed in float64 by plain NumPy with attention masks (nothing is ever dropped or moved here); and what they say
under StreamingLLM, whose keys are rotated anew by their places in the cache whenever they are read.

Usage: python make_kept.py   (requirements: numpy)
"""

import json
import pathlib

import numpy as np

from numbers_by_name import uniform

DECAY, WINDOW_ROWS = 0.875, 4
# StreamingLLM: slots that stay, of them sinks; tokens of the prompt between two cuts; slots over the budget in decode.
BUDGET, SINKS, CHUNK, SLACK, STREAM_TOKENS = 12, 2, 8, 3, 60


class Model:
    """A Llama or Mistral decoder that remembers keys and values of all tokens."""

    def __init__(self, entry):
        self.c = entry["config"]
        self.w = {}
        for name, shape in entry["tensors"].items():
            u = uniform(name, int(np.prod(shape)))
            value = 1 + u * np.float32(0.25) if "norm" in name else u if "embed_tokens" in name else u * np.float32(0.25)
            self.w[name] = value.reshape(shape).astype(np.float64)
        self.layers, self.heads = self.c["num_hidden_layers"], self.c["num_attention_heads"]
        self.kv_heads, self.dim = self.c["num_key_value_heads"], self.c["head_dim"]
        self.window = self.c.get("sliding_window") or 0
        self.keys = [[[] for _ in range(self.kv_heads)] for _ in range(self.layers)]
        self.values = [[[] for _ in range(self.kv_heads)] for _ in range(self.layers)]
        self.tokens = 0
        # rows of probabilities, [layer][kv head] -> list of {position: mean over the query heads}
        self.rows = [[[] for _ in range(self.kv_heads)] for _ in range(self.layers)]

    def norm(self, x, name):
        return x / np.sqrt((x * x).mean() + self.c["rms_norm_eps"]) * self.w[name]

    def rotate(self, x, position):
        half = self.dim // 2
        angle = position * self.c["rope_theta"] ** (-np.arange(half) * 2.0 / self.dim)
        a, b = x[:half], x[half:]
        return np.concatenate([a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)])

    def step(self, token, kept, by_rank=False):
        """Logits after one more token. `kept[layer][head]`: positions that are resident, of earlier tokens. `by_rank`:
        what is resident is numbered 0, 1, 2, ... and the new token comes behind it, for rotations and windows."""
        position = self.tokens
        x = self.w["model.embed_tokens.weight"][token]
        for layer in range(self.layers):
            p = f"model.layers.{layer}."
            n = self.norm(x, p + "input_layernorm.weight")
            q, k, v = (self.w[p + f"self_attn.{m}_proj.weight"] @ n for m in "qkv")
            out = np.zeros(self.heads * self.dim)
            group = self.heads // self.kv_heads
            for head in range(self.kv_heads):
                at = slice(head * self.dim, (head + 1) * self.dim)
                self.keys[layer][head].append(k[at])
                self.values[layer][head].append(v[at])
                resident = list(kept[layer][head]) + [position]
                place = {i: rank if by_rank else i for rank, i in enumerate(resident)}
                own = place[position]
                seen = [i for i in resident if not self.window or place[i] > own - self.window]
                rotated = [self.rotate(self.keys[layer][head][i], place[i]) for i in seen]
                mass = np.zeros(len(seen))
                for g in range(group):
                    h = head * group + g
                    query = self.rotate(q[h * self.dim:(h + 1) * self.dim], own)
                    s = np.array([key @ query for key in rotated]) / np.sqrt(self.dim)
                    e = np.exp(s - s.max())
                    e /= e.sum()
                    mass += e / group
                    out[h * self.dim:(h + 1) * self.dim] = sum(w * self.values[layer][head][i] for w, i in zip(e, seen))
                self.rows[layer][head].append(dict(zip(seen, mass)))
            x = x + self.w[p + "self_attn.o_proj.weight"] @ out
            n = self.norm(x, p + "post_attention_layernorm.weight")
            gate, up = self.w[p + "mlp.gate_proj.weight"] @ n, self.w[p + "mlp.up_proj.weight"] @ n
            x = x + self.w[p + "mlp.down_proj.weight"] @ (gate / (1 + np.exp(-gate)) * up)
        self.tokens += 1
        return self.w["lm_head.weight"] @ self.norm(x, "model.norm.weight")

    def masses(self, kept, since):
        """Per lane, of the resident slots: accumulated, column sums since row `since`, maximum of the last rows."""
        result = []
        for layer in range(self.layers):
            for head in range(self.kv_heads):
                rows = self.rows[layer][head]
                slots = list(kept[layer][head])
                total = [0.0] * len(slots)
                for row in rows:
                    total = [t * DECAY + row.get(i, 0.0) for t, i in zip(total, slots)]
                result.append({
                    "accumulated": total,
                    "columnSums": [sum(r.get(i, 0.0) for r in rows[since:]) for i in slots],
                    "windowMaximum": [max(r.get(i, 0.0) for r in rows[-WINDOW_ROWS:]) for i in slots]})
        return result


def keeps(layer, head, position, last):
    return position < 2 or position >= last - 2 or (7 * position + 3 * layer + 5 * head) % 10 < 4 + layer + head


def golden(entry, prompt, later):
    model = Model(entry)
    whole = lambda n: [[range(n)] * model.kv_heads for _ in range(model.layers)]
    for token in prompt:
        logits = model.step(token, whole(model.tokens))
    drift = np.abs(logits - np.array(entry["logits"][-1])).max()
    assert drift < 1e-4, f"{entry['name']}: the reference itself differs from make_golden.py's by {drift}"
    n = len(prompt)
    before = model.masses(whole(n), 0)
    kept = [[[i for i in range(n) if keeps(layer, head, i, n)] for head in range(model.kv_heads)]
            for layer in range(model.layers)]
    out = []
    for token in later:
        out.append(model.step(token, kept))
        for layer in kept:
            for lane in layer:
                lane.append(model.tokens - 1)
    rounded = lambda lanes: [{k: [round(float(x), 7) for x in v] for k, v in lane.items()} for lane in lanes]
    return {"name": entry["name"], "kept": [[i for i in lane if i < n] for layer in kept for lane in layer],
            "logits": [[round(float(v), 6) for v in row] for row in out],
            "massesOfPrompt": rounded(before), "massesAtEnd": rounded(model.masses(kept, n))}


def streaming(entry, prompt, later):
    """Logits of every fifth of the later tokens, with the places in the cache as positions, and of the last one with the
    places in the text."""
    def run(by_rank):
        model, resident, logits = Model(entry), [], []
        for index, token in enumerate(prompt + later):
            lanes = [[resident] * model.kv_heads] * model.layers
            logits.append(model.step(token, lanes, by_rank))
            resident = resident + [index]
            done = index + 1
            is_due = (len(resident) > BUDGET and (done % CHUNK == 0 or done == len(prompt)) if done <= len(prompt)
                      else len(resident) > BUDGET + SLACK)
            if is_due:
                resident = resident[:SINKS] + resident[SINKS - BUDGET:]
        return logits[len(prompt):], resident
    ranked, resident = run(True)
    text, _ = run(False)
    rounded = lambda row: [round(float(v), 6) for v in row]
    return {"name": entry["name"], "resident": resident, "logits": [rounded(row) for row in ranked[4::5]],
            "lastByText": rounded(text[-1])}


def main():
    here = pathlib.Path(__file__)
    file = json.loads(here.with_name("golden.json").read_text())
    later = [(11 * i * i + 2 * i + 9) % 96 for i in range(6)]
    models = [golden(m, file["prompt"], later) for m in file["models"] if m["name"] in ("llama", "mistral")]
    stream = [(5 * i * i + 3 * i + 1) % 96 for i in range(STREAM_TOKENS)]
    streams = [streaming(m, file["prompt"], stream) for m in file["models"] if m["name"] in ("llama", "mistral")]
    out = here.with_name("kept.json")
    out.write_text(json.dumps({"later": later, "decay": DECAY, "windowRows": WINDOW_ROWS, "models": models,
                               "streaming": {"budget": BUDGET, "sinks": SINKS, "chunk": CHUNK, "slack": SLACK,
                                             "tokens": stream, "models": streams}},
                              separators=(",", ":")) + "\n")
    print(out.stat().st_size, "bytes;", [sum(map(len, m["kept"])) for m in models], "slots kept")


if __name__ == "__main__":
    main()
