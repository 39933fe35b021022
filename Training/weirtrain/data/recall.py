"""Plain key-value recall: as random token ids, and as chat text."""

from __future__ import annotations

from . import lists
from .conversation import ANSWER, CONTEXT, REPLY, Conversation, Question, Turn, cost, sentence


def recall_ids(rng, length, vocab_range, keys, pair_share=0.5):
    """A sequence of "key value" pairs over random token ids.

    keys is the number of distinct keys. Keys have one or two tokens, values one
    or two; keys are drawn independently and with replacement, values may be
    equal. With probability pair_share the keys are pairs from a small grid, so
    that both tokens are needed. The mask is 1 on the value tokens of every
    recurrence of a key, else 0.
    """
    low, high = vocab_range
    keys = max(1, min(keys, (high - low) // 8))
    pairs = keys >= 4 and rng.random() < pair_share
    if pairs:
        side = 2
        while side * side < keys:
            side += 1
        tokens = rng.sample(range(low, high), 2 * side + keys)
        grid = [(a, b) for a in tokens[:side] for b in tokens[side:2 * side]]
        names = rng.sample(grid, keys)
        pool = tokens[2 * side:]
    else:
        tokens = rng.sample(range(low, high), 3 * keys)
        names = []
        for i in range(keys):
            two = rng.random() < 0.5
            names.append((tokens[2 * i], tokens[2 * i + 1]) if two else (tokens[2 * i],))
        pool = tokens[2 * keys:]
    values = [tuple(rng.choice(pool) for _ in range(1 if rng.random() < 0.6 else 2)) for _ in names]
    ids, mask, seen = [], [], set()
    while len(ids) < length:
        i = rng.randrange(keys)
        ids += names[i] + values[i]
        mask += [0] * len(names[i]) + [1 if i in seen else 0] * len(values[i])
        seen.add(i)
    return ids[:length], mask[:length]


ADJECTIVES = lists.COLOURS + "big small old new cold warm dark bright long short round flat".split()


def told(pairs):
    """The user's turn with pairs to remember, and its answer."""
    pieces = [("Remember:", CONTEXT)]
    for key, value in pairs:
        pieces += [(f" {key} =", CONTEXT), (f" {value}", CONTEXT), (";", CONTEXT)]
    return [Turn("user", pieces[:-1] + [(".", CONTEXT)]), Turn("assistant", [("Noted.", REPLY)])]


def asked(text, pairs):
    """A question, and the pairs that answer it."""
    pieces = [("Values:", REPLY)]
    for key, value in pairs:
        pieces += [(f" {key} =", REPLY), (f" {value}", ANSWER), (";", REPLY)]
    return [Turn("user", [(text, CONTEXT)]), Turn("assistant", pieces[:-1] + [(".", REPLY)])]


_VALUE_KINDS = ("number2", "number3", "number4", "code", "word", "city", "name", "invented", "colour")


def recall_chat(rng, target_tokens, count_tokens, split="train", pairs=None, draw=lists.draw, densest=1.2):
    """A list of "blue river = 417" pairs by the user, then questions about them.

    The list is told in several parts between which questions are asked, with
    replacement; a key keeps its value. There are at most `densest` pairs for
    50 tokens, and 64.
    """
    talk = Conversation()
    count = pairs or max(4, min(64, int(target_tokens / 50 * rng.uniform(0.4, densest))))
    side = max(2, int(count ** 0.5))
    left = rng.sample(ADJECTIVES, min(len(ADJECTIVES), side + 1))
    right = lists.distinct(rng, "word", split, count // len(left) + 2, draw)
    grid = [(a, n) for a in left for n in right]
    rng.shuffle(grid)
    kind = rng.choice(_VALUE_KINDS)
    waiting = [(f"{a} {n}", draw(rng, kind, split)) for a, n in grid[:count]]
    known = []
    total = len(waiting)

    misses = 0
    while misses < 4:
        room = target_tokens - talk.tokens
        progress = talk.tokens / target_tokens
        share = 1 - len(waiting) / total
        here = len(talk.turns)
        taken = 0
        question = None
        if waiting and (not known or share < 1.4 * progress):
            taken = min(len(waiting), rng.randrange(1, 9))
            turns = told(waiting[:taken])
        else:
            some = [rng.choice(known) for _ in range(rng.choice((1, 1, 2, 3)))]
            text = "What is " + " and ".join(k for k, _ in some) + "?"
            turns = asked(text, some)
            question = Question(here, "single" if len(some) == 1 else "multi",
                                [v for _, v in some], [k for k, _ in some], False, text)
        spent = cost(turns, count_tokens)
        if spent > room:
            misses += 1
            continue
        talk.turns += turns
        talk.tokens += spent
        if question:
            talk.questions.append(question)
        known += waiting[:taken]
        waiting = waiting[taken:]
    talk.facts = known
    return talk


def pattern_ids(rng, length, vocab_range, keys):
    """Recall through sentence patterns over random token ids: the abstract form of facts in conversations.

    A key is an (entity, attribute) pair of a grid, each one or two tokens. A row has two to four patterns: the two
    parts in either order with constant words before, between and behind them, then the value and a constant end.
    Statements and questions of a key may use different patterns, so neither the distance nor the neighbours of a
    value lead to it, only both parts of its key. The mask is 1 on the values of every recurrence of a key, else 0.
    """
    low, high = vocab_range
    side = 2
    while side * side < keys:
        side += 1
    tokens = iter(rng.sample(range(low, high), 4 * side + keys + 40))

    def word():
        return tuple(next(tokens) for _ in range(1 if rng.random() < 0.6 else 2))

    entities, attributes = [word() for _ in range(side)], [word() for _ in range(side)]
    grid = [(a, b) for a in entities for b in attributes]
    chosen = rng.sample(grid, keys)
    constants = [next(tokens) for _ in range(12)]
    pool = list(tokens)
    values = [tuple(rng.choice(pool) for _ in range(1 if rng.random() < 0.6 else 2)) for _ in chosen]

    def gap(most):
        return tuple(rng.choice(constants) for _ in range(rng.randint(0, most)))

    patterns = [(rng.random() < 0.5, gap(2), gap(2), gap(3), (rng.choice(constants),))
                for _ in range(rng.randint(2, 4))]
    ids, mask, seen = [], [], set()
    while len(ids) < length:
        i = rng.randrange(keys)
        swap, before, between, behind, end = rng.choice(patterns)
        first, second = reversed(chosen[i]) if swap else chosen[i]
        lead = before + first + between + second + behind
        ids += lead + values[i] + end
        mask += [0] * len(lead) + [1 if i in seen else 0] * len(values[i]) + [0] * len(end)
        seen.add(i)
    return ids[:length], mask[:length]
