"""Sizes and curricula. One flag (`--scale`) makes the same recipe bigger or smaller.

A stage trains until its steps, or its share of --minutes, are used up: the length and difficulty grow only after the easier
task is learned (sparse or long tasks from the start learn nothing on a small budget).
"""

from dataclasses import dataclass, field, replace

from .data import facts
from .model import ModelConfig


@dataclass(frozen=True)
class Stage:
    """One part of the curriculum. Rows have `length` tokens; a step computes `batch_tokens`."""

    name: str
    steps: int
    length: int
    batch_tokens: int = 8192
    mixture: dict = field(default_factory=dict)  # kind -> share; empty: plain recall of random ids
    vocab: int = 4096  # plain recall: ids are drawn below this
    keys: tuple = (4, 8)  # plain recall: distinct keys of a row; facts: live facts of a conversation
    plain: float = 0.0  # share of fact conversations with one wording only ("Your sister's city is Oslo.")
    fresh: float = 0.0  # share of questions about facts that were told once and not asked for before
    restate: float = 0.7  # share of acknowledgements that repeat the fact
    unknown: float = facts.Options.unknown_share  # share of questions about what was never told
    updates: float = facts.Options.update_share  # share of exchanges that overwrite a fact
    pairs: float = facts.Options.pair_share  # share of questions about two facts
    strange: float = 0.0  # share of words that are made of random pieces of the vocabulary (lists.strange)
    rush: tuple = (facts.Options.rush,)  # how much faster facts are told than the conversation goes on, drawn per row
    spacing: tuple = 2 * (facts.Options.tokens_per_fact,)  # tokens of a conversation for each of its facts, drawn per row
    reach: int = 0  # positions are stretched up to this; 0: as long as the row
    lr: tuple = (1.0, 1.0)  # learning-rate factor at the start and the end of the stage


SIZES = {
    "smoke": dict(width=64, layers=2, heads=2, kv_heads=1, head_width=32, hidden=128),
    "small": dict(width=128, layers=4, heads=4, kv_heads=2, head_width=64, hidden=384),
    "medium": dict(width=192, layers=6, heads=4, kv_heads=2, head_width=64, hidden=512),
    "large": dict(width=384, layers=8, heads=6, kv_heads=2, head_width=64, hidden=1024),
}
EXPERTS = {
    "smoke": dict(experts=8),
    "small": dict(experts=8),
    "medium": dict(experts=8),
    "large": dict(experts=8),
}
STEPS = {"smoke": 0.002, "small": 1.0, "medium": 1.5, "large": 2.0}
BATCH = {"smoke": 0.125, "small": 1, "medium": 16, "large": 16}  # times a stage's tokens of a step

# Facts first: while retrieval forms, plain text is noise in the gradient. The later stages bring the rest in.
FACTS = {"facts": 0.75, "patterns": 0.25}
MORE = {"facts": 0.78, "patterns": 0.08, "recall": 0.06, "reading": 0.03, "smalltalk": 0.05}
TALK = {"facts": 0.74, "recall": 0.05, "reading": 0.04, "babi": 0.03, "tools": 0.04, "dialogue": 0.04, "smalltalk": 0.06}
COPY = {"facts": 0.46, "recall": 0.15, "needles": 0.07, "chain": 0.06, "few-shot": 0.04, "reading": 0.07, "babi": 0.03,
        "tools": 0.04, "dialogue": 0.03, "smalltalk": 0.03, "text": 0.05}
STRANGE = {"facts": 0.25, "recall": 0.28, "needles": 0.05, "chain": 0.16, "few-shot": 0.03, "reading": 0.08, "tools": 0.15}
LATE = dict(mixture=COPY, fresh=0.85, restate=0.2, unknown=0.08, updates=0.1, pairs=0.2, strange=0.4,
            rush=(1.3, 2.5, 5.0), spacing=(36, 64))

CHAT = [
    Stage("facts-256", 160, 256, mixture=FACTS, keys=(3, 8), plain=1.0),
    Stage("facts-512", 200, 512, mixture=MORE, keys=(4, 16), plain=0.75),
    Stage("talk-1024", 260, 1024, mixture=TALK, keys=(4, 32), plain=0.5),
    Stage("fresh-2048", 200, 2048, mixture=TALK, keys=(8, 48), plain=0.4, fresh=0.75, restate=0.35),
    Stage("stretch-1024", 1500, 1024, keys=(4, 36), plain=0.2, reach=4096, lr=(1.0, 0.6), **LATE),
    Stage("stretch-4096", 1700, 4096, keys=(12, 60), plain=0.15, lr=(0.6, 0.0), **LATE),
    # Last, to copy any word in every kind of task: on many tokens the words of the lists are learned by heart.
    Stage("strange-1024", 400, 1024, keys=(4, 36), plain=0.2, reach=4096, lr=(0.25, 0.0),
          **{**LATE, "mixture": STRANGE, "strange": 0.7}),
]

# weir-moe starts as weir-chat with its MLP copied into every expert (see circuit.upcycled), so it only has to part them.
MOE = [
    Stage("talk-1024", 90, 1024, mixture=TALK, keys=(4, 32), plain=0.4),
    Stage("talk-2048", 50, 2048, mixture=TALK, keys=(4, 48), plain=0.4, lr=(1.0, 0.5)),
    Stage("talk-4096", 30, 4096, mixture=TALK, keys=(4, 60), plain=0.4, lr=(0.5, 0.02)),
]


def model_config(model: str, scale: str) -> ModelConfig:
    config = ModelConfig(**SIZES[scale])
    return replace(config, **EXPERTS[scale]) if model == "moe" else config


def stages(model: str, scale: str, budget: float = 1.0, batch: float | None = None):
    """The curriculum; `budget` multiplies the steps of every stage, `batch` its tokens of a step (None: the scale's own)."""
    factor = STEPS[scale] * budget
    found = []
    for stage in MOE if model == "moe" else CHAT:
        found.append(replace(stage, steps=max(2, round(stage.steps * factor))))
    factor = batch or BATCH[scale]
    return [replace(s, batch_tokens=max(round(s.batch_tokens * factor), s.length)) for s in found]
