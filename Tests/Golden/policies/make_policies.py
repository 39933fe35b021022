"""Golden values of the KV policies: which positions of a lane are left, in float64 NumPy from the papers' formulas.

Run: python3 make_policies.py   (numpy as pinned in ../requirements.txt); writes policies.json beside it.
One KV head with its group of query heads reads a prompt in chunks and decodes token by token; it is cut back after each
chunk, and in decode once it holds `slack` slots and one more over its budget. Keys and queries come from
a linear congruential generator that the tests run too, so only results are stored. Evicted slots are gone: attention,
accumulated sums and anchors know the resident ones only.
"""

import json
from pathlib import Path

import numpy as np

MASK = 2**64 - 1


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


class SplitMix:
    """SplitMix64, with streams."""

    def __init__(self, seed, stream=None):
        self.state = seed
        if stream is not None:
            self.state = self.next() ^ (stream * 0x9E3779B97F4A7C15 & MASK)
            self.next()

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
        return z ^ (z >> 31)


def probabilities(lane, row, positions):
    """Attention of one query row over resident positions up to itself: [group, slots]."""
    at = np.array(positions)
    logits = lane.queries[row] @ lane.keys[at].T / np.sqrt(lane.dim)
    logits = np.where(at[None] <= row, logits, -np.inf)
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def choose(positions, score, places):
    """The best of the positions; ties go to the lower one."""
    return sorted(sorted(positions, key=lambda p: (-score(p), p))[:max(0, places)])


class Policy:
    recent = 0

    def __init__(self, case):
        self.budget, self.sinks, self.floor = case["budget"], case["sinks"], case["recent"]
        self.options = case.get("parameters", {})

    def recent_slots(self):
        return self.floor

    def __call__(self, lane):
        have = lane.resident
        if len(have) <= self.budget:
            return have
        sinks = have[:min(self.sinks, self.budget)]
        recent = min(self.recent_slots(), self.budget - len(sinks))
        tail = have[len(have) - recent:] if recent else []
        middle = have[len(sinks):len(have) - recent]
        score = self.scores(lane, middle)
        return sinks + choose(middle, lambda p: score[p], self.budget - len(sinks) - recent) + tail


class Full(Policy):
    def __call__(self, lane):
        return lane.resident


class SinkRecent(Policy):
    def scores(self, lane, middle):
        return {p: p for p in middle}


class Tova(Policy):
    def scores(self, lane, middle):
        row = probabilities(lane, lane.end - 1, lane.resident).mean(axis=0)
        return dict(zip(lane.resident, row))


class SnapKV(Policy):
    def recent_slots(self):
        return max(self.floor, min(self.options.get("window", 32), self.budget // 2))

    def scores(self, lane, middle):
        rows = range(max(lane.asked, lane.end - self.options.get("window", 32)), lane.end)
        mean = np.mean([probabilities(lane, r, lane.resident).mean(axis=0) for r in rows], axis=0)
        seen = {p: m for p, m in zip(lane.resident, mean) if p in set(middle)}
        kernel = self.options.get("kernel", 7)
        # All positions in a line, evicted ones as holes; the window itself is no neighbour.
        line = np.zeros(middle[-1] + kernel)
        for p, m in seen.items():
            line[p] = m
        half = kernel // 2
        padded = np.concatenate([np.zeros(half), line, np.zeros(half)])
        taken = np.lib.stride_tricks.sliding_window_view(padded, kernel)
        pooled = taken.max(axis=1) if self.options.get("pooling", "max") == "max" else taken.mean(axis=1)
        return {p: pooled[p] for p in middle}


class KeyDiff(Policy):
    def scores(self, lane, middle):
        keys = lane.keys[np.array(lane.resident)]
        units = keys / np.linalg.norm(keys, axis=1, keepdims=True)
        anchor = units.mean(axis=0)
        cosine = units @ (anchor / np.linalg.norm(anchor))
        return dict(zip(lane.resident, -cosine))


class H2O(Policy):
    def recent_slots(self):
        return max(self.floor, int(self.budget * self.options.get("recent_share", 0.5)))

    def scores(self, lane, middle):
        return lane.mass

    def __call__(self, lane):
        size = self.options.get("page", 1)
        return super().__call__(lane) if size == 1 else self.pages(lane, size)

    def pages(self, lane, size):
        """Whole pages of positions: those of the floors and the newest, those of the recent share, then by their sums."""
        have = lane.resident
        if len(have) <= self.budget:
            return have
        page = {p: p // size for p in have}
        members = {g: [p for p in have if page[p] == g] for g in page.values()}
        sinks = have[:min(self.sinks, self.budget)]
        floor = have[len(have) - min(self.floor, self.budget - len(sinks)):] if self.floor else []

        def whole(first):
            return have[first:]

        reached = whole(have.index(members[page[(floor or have)[0 if floor else -1]]][0]))
        share = min(int(self.budget * self.options.get("recent_share", 0.5)), self.budget - len(sinks))
        share = max(share, len(floor))
        begins = [p for p in have[len(have) - share:] if p == members[page[p]][0]] if share else []
        own = whole(have.index(begins[0])) if begins else []
        tail = floor
        for wanted in (max(reached, own, key=len), reached, own):
            if len(tail) < len(wanted) <= self.budget - len(sinks):
                tail = wanted
        around = sorted({p for s in sinks for p in members[page[s]]})
        if len(around) + len(tail) <= self.budget and not set(around) & set(tail):
            sinks = around
        kept = set(sinks) | set(tail)
        left = {}
        for p in have:
            if p not in kept:
                left.setdefault(page[p], []).append(p)
        for g in sorted(left, key=lambda g: (-sum(lane.mass[p] for p in left[g]), g)):
            if len(kept) + len(left[g]) <= self.budget:
                kept |= set(left[g])
        return sorted(kept)


class Random(Policy):
    def scores(self, lane, middle):
        seed = SplitMix(self.options.get("seed", 0), lane.layer << 32 | lane.head).next()
        return {p: SplitMix(seed, p).next() for p in middle}


class Oracle(Policy):
    def scores(self, lane, middle):
        told = {p for a, b in self.options["spans"] for p in range(a, b)}
        return {p: (10**9 if p in told else p) for p in middle}


POLICIES = {"full": Full, "sink-recent": SinkRecent, "tova": Tova, "snapkv": SnapKV, "keydiff": KeyDiff, "h2o": H2O,
            "random": Random, "oracle": Oracle}


class Lane:
    def __init__(self, case):
        g = Generator(case["stream"])
        tokens = case["prompt"] + case["decode"]
        self.dim = case["headDim"]
        self.keys = g.floats(tokens, self.dim)
        self.queries = g.floats(tokens, case["group"], self.dim) * 4
        self.layer, self.head = case["layer"], case["kvHead"]
        self.resident, self.mass, self.end, self.asked = [], {}, 0, 0

    def read(self, count, decay):
        """New tokens: they see what is resident and themselves."""
        rows = range(self.end, self.end + count)
        self.resident = self.resident + list(rows)
        self.end += count
        for p in rows:
            self.mass[p] = 0.0
        for row in rows:
            p = probabilities(self, row, self.resident).mean(axis=0)
            for at, value in zip(self.resident, p):
                self.mass[at] = self.mass[at] * decay + value

    def keep(self, kept):
        self.resident, self.asked = list(kept), self.end
        self.mass = {p: self.mass[p] for p in kept}


def trace(case):
    lane, policy = Lane(case), POLICIES[case["policy"]](case)
    decay = case.get("parameters", {}).get("decay", 1.0)
    while lane.end < case["prompt"]:
        lane.read(min(case["chunk"], case["prompt"] - lane.end), decay)
        lane.keep(policy(lane))
    after_prompt = lane.resident
    for _ in range(case["decode"]):
        lane.read(1, decay)
        if len(lane.resident) > case["budget"] + case["slack"]:
            lane.keep(policy(lane))
    return {"afterPrompt": after_prompt, "atEnd": lane.resident}


def case(policy, stream, **changes):
    base = dict(policy=policy, stream=stream, headDim=8, group=2, layer=3, kvHead=1, prompt=90, decode=25, chunk=90,
                budget=24, sinks=2, recent=4, slack=0)
    base.update(changes)
    return base


CASES = [
    case("full", 1),
    case("full", 2, chunk=16),
    case("sink-recent", 3),
    case("sink-recent", 3, chunk=13),
    case("sink-recent", 3, sinks=0),
    case("tova", 4),
    case("tova", 5, chunk=16),
    case("tova", 5, chunk=16, slack=6, group=4),
    case("snapkv", 6, parameters=dict(window=8, kernel=5, pooling="max")),
    case("snapkv", 7, parameters=dict(window=8, kernel=5, pooling="mean")),
    case("snapkv", 8, parameters=dict(window=6, kernel=1, pooling="max"), chunk=20),
    case("snapkv", 9, parameters=dict(window=8, kernel=7, pooling="mean"), chunk=31),
    case("snapkv", 10),
    case("snapkv", 10, parameters=dict(window=12, kernel=3, pooling="max"), slack=5),
    case("keydiff", 11),
    case("keydiff", 12, chunk=16),
    case("keydiff", 12, chunk=16, slack=9),
    case("h2o", 13),
    case("h2o", 14, chunk=16),
    case("h2o", 14, chunk=16, slack=7),
    case("h2o", 15, parameters=dict(decay=0.9375), chunk=30),
    case("h2o", 16, parameters=dict(recent_share=0.25), group=3),
    case("h2o", 13, parameters=dict(page=4)),
    case("h2o", 14, parameters=dict(page=4), chunk=16, slack=7),
    case("h2o", 15, parameters=dict(page=8, recent_share=0), chunk=30),
    case("h2o", 16, parameters=dict(page=7, recent_share=0.25), sinks=3, recent=0, budget=30, prompt=110, chunk=25),
    case("h2o", 16, parameters=dict(page=16), chunk=20, decode=40),
    case("random", 17, parameters=dict(seed=99)),
    case("random", 17, parameters=dict(seed=99), chunk=7),
    case("random", 17, parameters=dict(seed=99), slack=4),
    case("oracle", 18, parameters=dict(spans=[[10, 14], [40, 43]])),
    case("oracle", 18, parameters=dict(spans=[[10, 14], [40, 43]]), chunk=11),
    case("oracle", 19, parameters=dict(spans=[[0, 60]])),
]


def sentence(seed, sizes, holes, budget, sinks, recent, steps, group=2, dim=8):
    """SentenceKV's selection: sentences of `sizes` tokens, of which every `holes`-th is not kept."""
    g = Generator(seed)
    tokens = sum(sizes)
    kept = [p for p in range(tokens) if holes == 0 or p % holes]
    keys = g.floats(tokens, dim)
    queries = g.floats(steps, group, dim)
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    vectors, members = [], []
    for start, size in zip(starts, sizes):
        slots = [p for p in kept if start <= p < start + size]
        if slots:
            vectors.append(keys[slots].mean(axis=0))
            members.append(slots)
    chosen = []
    for step in range(1, steps + 1):
        query = queries[:step].mean(axis=(0, 1))
        likeness = np.array(vectors) @ query
        middle = set(kept[sinks:len(kept) - recent])
        places, taken = budget - sinks - recent, []
        for b in sorted(range(len(vectors)), key=lambda b: (-likeness[b], b)):
            taken += [p for p in members[b] if p in middle][:places - len(taken)]
        chosen.append(kept[:sinks] + sorted(taken) + kept[len(kept) - recent:])
    return dict(stream=seed, sizes=sizes, holes=holes, budget=budget, sinks=sinks, recent=recent, steps=steps, group=group,
                headDim=dim, vectors=[float(f"{v:.9g}") for v in np.array(vectors).ravel()], selected=chosen)


def shares(seed, sizes, holes, vector, budget, sinks, recent, group=2, dim=8):
    """Sentences with a mean for every `vector` tokens: the greatest share of attention among them and the query heads."""
    g = Generator(seed)
    tokens = sum(sizes)
    kept = [p for p in range(tokens) if holes == 0 or p % holes]
    keys, queries = 4 * g.floats(tokens, dim), g.floats(group, dim) * np.arange(1, group + 1)[:, None]
    means, counts, owners, members, start = [], [], [], [], 0
    for size in sizes:
        for at in range(start, start + size, vector):
            slots = [p for p in kept if at <= p < min(at + vector, start + size)]
            if slots:
                means.append(keys[slots].mean(axis=0))
                counts.append(len(slots))
                owners.append(len(members))
        members.append([p for p in kept if start <= p < start + size])
        start += size
    logits = queries @ np.array(means).T / np.sqrt(dim)
    weights = np.exp(logits) * np.array(counts)
    share = (weights / weights.sum(axis=1, keepdims=True)).max(axis=0)
    likeness = [max((s for s, o in zip(share, owners) if o == b), default=0) for b in range(len(members))]
    middle = set(kept[sinks:len(kept) - recent])
    places, taken = budget - sinks - recent, []
    for b in sorted(range(len(members)), key=lambda b: (-likeness[b], b)):
        taken += [p for p in members[b] if p in middle][:places - len(taken)]
    return dict(stream=seed, sizes=sizes, holes=holes, vector=vector, budget=budget, sinks=sinks, recent=recent, group=group,
                headDim=dim, likenesses=[float(f"{v:.9g}") for v in likeness],
                selected=kept[:sinks] + sorted(taken) + kept[len(kept) - recent:])


SHARES = [
    shares(31, [5, 9, 3, 12, 7, 7, 20, 4, 6], 0, 4, 24, 3, 4),
    shares(32, [1, 1, 9, 30, 2, 8, 8], 3, 1, 20, 2, 5, group=3),
    shares(33, [40, 24, 64], 2, 7, 32, 4, 4, group=4),
]
SENTENCES = [
    sentence(21, [5, 9, 3, 12, 7, 7, 20, 4, 6], 0, 24, 3, 4, 3),
    sentence(22, [1, 1, 9, 30, 2, 8, 8], 3, 20, 2, 5, 4, group=1),
    sentence(23, [64, 64], 2, 32, 4, 4, 2, group=4),
]


def main():
    cases = [{**c, **trace(c)} for c in CASES]
    text = json.dumps({"lanes": cases, "sentences": SENTENCES, "shares": SHARES}, separators=(",", ":"))
    (Path(__file__).parent / "policies.json").write_text(text.replace('{"policy"', '\n{"policy"') + "\n")


main()
