"""Words sorted by examples: every kind of word has a label that only the conversation gives.

The words are those of training in both splits (to know that two words are of a kind is knowledge, not reading); the
labels are drawn anew, held-out ones in the held-out split.
"""

from __future__ import annotations

from . import lists
from .conversation import ANSWER, CONTEXT, REPLY, Conversation, Question, Turn, cost

GROUPS = ("name", "city", "country", "job", "food", "drink", "sport", "animal", "instrument", "language", "colour",
          "month", "day", "place", "material")


def plan(rng, split, count, draw=lists.draw):
    """(labels by group, next word): the groups of a conversation."""
    groups = rng.sample(GROUPS, count)
    labels = {}
    for group in groups:
        label = draw(rng, "invented", split)
        while label in labels.values():
            label = draw(rng, "invented", split)
        labels[group] = label
    return labels


def shots(rng, labels, count, seen):
    """One user turn with examples; labels that were seen before are learned from."""
    pieces = [("Learn:", CONTEXT)]
    for _ in range(count):
        group = rng.choice(list(labels))
        word = rng.choice(lists.VALUES["train"][group])
        pieces += [(f" {word} is", CONTEXT), (f" {labels[group]}", ANSWER if group in seen else CONTEXT), (";", CONTEXT)]
        seen.add(group)
    pieces[-1] = (".", CONTEXT)
    return [Turn("user", pieces), Turn("assistant", [("Noted.", REPLY)])]


def question(rng, labels, seen):
    """(turns, text, label) of a question about a word of a kind that was seen."""
    group = rng.choice(sorted(seen))
    word = rng.choice(lists.VALUES["train"][group])
    text = f"Which label has {word}?"
    return [Turn("user", [(text, CONTEXT)]),
            Turn("assistant", [("The label is", REPLY), (f" {labels[group]}", ANSWER), (".", REPLY)])], text, labels[group]


def fewshot_chat(rng, target_tokens, count_tokens, split="train", draw=lists.draw):
    """Turns of examples and questions about other words."""
    talk = Conversation()
    labels, seen = plan(rng, split, rng.randint(2, 6), draw), set()
    while True:
        asked = None
        if seen and rng.random() < 0.6:
            turns, text, label = question(rng, labels, seen)
            asked = Question(len(talk.turns), "few-shot", [label], [], False, text)
        else:
            turns = shots(rng, labels, rng.randint(3, 16), seen)
        spent = cost(turns, count_tokens)
        if talk.tokens + spent > target_tokens:
            return talk
        talk.turns += turns
        talk.tokens += spent
        if asked:
            talk.questions.append(asked)
