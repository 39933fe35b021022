"""Writes a held-out task file whose examples come first: few-shot prompts of which the first half is examples and
questions, the second half small talk, and then one more question about a kind of word that the examples sorted.

PYTHONPATH=Training python Benchmarks/Policies/fewshot_early.py --out few-shot-early-2k.jsonl [--tokens 2048] [--items 100]

In the set `few-shot` of weirtrain.evalsets examples go on up to the question, so the newest fifth of a prompt holds
enough of them; here it holds none. Items, labels and words are those of that set's held-out split.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from weirtrain import evalsets
from weirtrain.data import fewshot, smalltalk
from weirtrain.data.conversation import CONTEXT, Turn, cost
from weirtrain.tokenizer import ChatTokenizer, folder


def items(name, target, count, seed, maker):
    """`count` items of about `target` tokens."""
    rng, made, count_tokens = random.Random(evalsets._seed(seed, name)), [], maker.tokenizer.count
    while len(made) < count:
        talk = fewshot.fewshot_chat(rng, target // 2, count_tokens, evalsets.SPLIT)
        if not talk.questions or talk.tokens < 0.375 * target:
            continue
        question = talk.questions[-1]
        turns, asked = talk.turns[:question.turn], talk.turns[question.turn:question.turn + 1]
        room = target - 40 - cost(turns, count_tokens)
        while room > 0:
            more = [Turn(role, [(text, CONTEXT)]) for role, text in zip(("user", "assistant"), smalltalk.exchange(rng))]
            room -= cost(more, count_tokens)
            turns = turns + more
        made.append(maker.item(f"{name}-{len(made):04d}", turns + asked, question.text, question.kind,
                               {"answers": question.answers}, (), {"set": name, "template": "shared"}))
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1000)
    arguments = parser.parse_args()
    maker = evalsets.Items(ChatTokenizer.load(str(folder())))
    name = f"few-shot-early-{arguments.tokens // 1024}k"
    with Path(arguments.out).open("w", encoding="utf-8") as file:
        for item in items(name, arguments.tokens, arguments.items, arguments.seed, maker):
            file.write(json.dumps(item, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
