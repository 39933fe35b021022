"""Writes documents for `weir bench policy-text --documents`: the regime of H2O's paper as a text to be foreseen.

PYTHONPATH=Training python Benchmarks/Policies/fewshot_text.py --out few-shot-text.jsonl [--tokens 4096] [--items 16]

A document is a conversation. In its first quarter and a half words are sorted by examples; then comes small talk up to
its middle; its second half are questions about words of the kinds that were sorted, each with its answer, and small talk
between them. The kinds take turns, and so far apart that the newest fifth of the text never holds an answer about the
kind that is asked for: an answer needs what stood in the first half, or an answer further back than that. Labels and
words are those of the held-out split of `few-shot`; documents of another seed are for choosing settings.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from weirtrain import evalsets
from weirtrain.data import fewshot, lists, smalltalk
from weirtrain.data.conversation import ANSWER, CONTEXT, Turn, cost
from weirtrain.tokenizer import ChatTokenizer, folder

GROUPS = 6


def talk(rng):
    """Two turns of small talk."""
    return [Turn(role, [(text, CONTEXT)]) for role, text in zip(("user", "assistant"), smalltalk.exchange(rng))]


def asked(rng, labels, group):
    """Two turns: a question about a word of a kind, and its answer."""
    word = rng.choice(lists.VALUES["train"][group])
    return [Turn("user", [(f"Which label has {word}?", CONTEXT)]),
            Turn("assistant", [("The label is", CONTEXT), (f" {labels[group]}", ANSWER), (".", CONTEXT)])]


def document(rng, target, count):
    """Turns of about `target` tokens and a little more."""
    labels, seen, turns = fewshot.plan(rng, evalsets.SPLIT, GROUPS), set(), []
    while cost(turns, count) < 0.375 * target or len(seen) < GROUPS:
        turns += fewshot.shots(rng, labels, rng.randint(3, 16), seen)
    # Labels of examples are not scored: they stand in the first half.
    turns = [Turn(turn.role, [(text, CONTEXT) for text, _ in turn.pieces]) for turn in turns]
    while cost(turns, count) < target // 2:
        turns += talk(rng)
    order = rng.sample(sorted(labels), GROUPS)
    # A kind comes again after more than a fifth of the text.
    apart, at = 0.21 * target / GROUPS, 0
    while cost(turns, count) < target + 64:
        begun = cost(turns, count)
        turns += asked(rng, labels, order[at % GROUPS])
        at += 1
        while cost(turns, count) - begun < apart:
            turns += talk(rng)
    return turns


def parts(turns):
    """The conversation as ChatML in parts; neighbours that are no answers stay apart, as in training."""
    result = []
    for turn in turns:
        result.append({"text": f"<|im_start|>{turn.role}\n"})
        for text, weight in turn.pieces:
            result.append({"text": text, "answer": True} if weight == ANSWER else {"text": text})
        result.append({"text": "<|im_end|>\n"})
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--items", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1000)
    arguments = parser.parse_args()
    count = ChatTokenizer.load(str(folder())).count
    rng = random.Random(evalsets._seed(arguments.seed, "few-shot-text"))
    with Path(arguments.out).open("w", encoding="utf-8") as file:
        for place in range(arguments.items):
            line = {"id": f"few-shot-text-{place:04d}", "parts": parts(document(rng, arguments.tokens, count))}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
