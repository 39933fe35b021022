"""Measures a model on task files with PyTorch, and the gates that come before any comparison of KV policies.

python -m weirtrain.evaluate --model runs/chat/checkpoint.pt --tasks DIR/*.jsonl [--limit 50] [--output FILE.json]

The context (all messages before the last) is computed once an item; the question and the answer are computed on it
greedily. "oracle" answers with only the first 4 and the last 64 tokens of the context and the ranges of the item's
facts. Gates: full at least 98 % and oracle at least 97 % on recall-base; on the shuffled and on the deleted set the
original answers not above chance. "first question": conversations cut at their first question about a fact, so that
no value can be ruled out because it was asked for before.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import sys
import time
from pathlib import Path

import torch

from . import evalsets, inference, scores
from .data import facts

SINKS, RECENT = 4, 64
BASE = "recall-base"
CONTROLS = ("shuffled", "deleted")
GATES = {"full": 0.98, "oracle": 0.97}


def read_tasks(paths, limit=None):
    """Items by the name of their set, at most `limit` a set."""
    sets = {}
    for path in paths:
        with open(path, encoding="utf-8") as file:
            items = [json.loads(line) for line in file if line.strip()]
        for item in items[:limit]:
            sets.setdefault(item["tags"].get("set", Path(path).stem), []).append(item)
    return sets


def oracle_slots(config, context, spans):
    """The slots that answer an item: first and last ones and the ranges of its facts, the same in every lane."""
    kept = set(range(min(SINKS, context))) | set(range(max(0, context - RECENT), context))
    for start, end in spans:
        kept |= set(range(start, min(end, context)))
    lane = torch.tensor(sorted(kept)).expand(config.kv_heads, -1)
    return [lane] * config.layers


class Reader:
    """Answers items with a model."""

    def __init__(self, model, tokenizer, max_new=32):
        self.model, self.tokenizer, self.max_new = model, tokenizer, max_new
        self.tokens, self.miscounted = 0, 0

    def open(self, item):
        """(context cache, question ids) of an item."""
        context, question = inference.prompt(self.tokenizer, item["messages"])
        self.tokens += len(context) + len(question)
        expected = item["tags"].get("context_tokens", len(context) + len(question))
        self.miscounted += expected != len(context) + len(question)
        return inference.prefill(self.model, context), question

    def say(self, cache, question, item):
        limit = 3 * self.max_new if item["tags"].get("kind") == "call" else self.max_new
        return inference.answer(self.model, self.tokenizer, cache, question, limit)

    def oracle(self, cache, question, item):
        spans = item.get("fact_spans") or []
        return self.say(cache.kept(oracle_slots(self.model.config, cache.length, spans)), question, item)


def one_item(reader, item):
    """What is recorded of an item."""
    cache, question = reader.open(item)
    text = reader.say(cache, question, item)
    record = dict(id=item["id"], right=evalsets.matches(text, item), answer=text, tags=item["tags"])
    if item.get("fact_spans") and item["tags"]["set"] not in CONTROLS:
        oracle = reader.oracle(cache, question, item)
        record.update(oracle_right=evalsets.matches(oracle, item), oracle_answer=oracle)
    if item["tags"].get("set") == "shuffled":
        swapped = dict(answers=item.get("shuffled_answers", []), all_of=item.get("shuffled_all_of", []))
        record["swapped_right"] = evalsets.matches(text, swapped)
    return record


def summary(items, records):
    """The scores of one set."""
    result = dict(exact_match=scores.score([r["right"] for r in records]), chance=scores.mean_chance(items))
    for key, name in (("oracle_right", "oracle"), ("swapped_right", "swapped")):
        some = [r[key] for r in records if key in r]
        if some:
            result[name] = scores.score(some)
    result["by_tag"] = scores.by_tag([(r["tags"], r["right"]) for r in records])
    result["oracle_by_tag"] = scores.by_tag([(r["tags"], r["oracle_right"]) for r in records if "oracle_right" in r])
    return result


def first_questions(tokenizer, count, seed, length=1024):
    """Items made of conversations cut at their first question about one fact."""
    options = facts.Options(update_share=0.0, restate_share=0.0, pair_share=0.0, unknown_share=0.0, system_share=0.0,
                            question_share=0.2)
    rng, items = random.Random(f"first question {seed}"), []
    while len(items) < count:
        talk = facts.conversation(rng, length, tokenizer.count, evalsets.SPLIT, options)
        if not talk.questions:
            continue
        question = talk.questions[0]
        asked = question.facts[0]
        told = [f for f in talk.facts if f.turn < question.turn]
        same = [f.value for f in told if f.attribute.value == asked.attribute.value]
        if len(told) < 4 or len(same) < 2:
            continue
        turns = talk.turns[:question.turn + 1]
        items.append(dict(
            id=f"first-{len(items):04d}", messages=[dict(role=t.role, content=t.text) for t in turns],
            answers=question.answers,
            tags=dict(set="first-question", kind=question.kind, live_facts=len(told),
                      chance=max(same.count(v) for v in same) / len(same))))
    return items


def gates(sets):
    """The conditions that a model must meet; `holds` is None where nothing was measured."""
    found = []
    for kind, least in GATES.items():
        one = sets.get(BASE, {}).get("exact_match" if kind == "full" else kind)
        found.append(dict(name=f"{BASE} {kind}", wanted=f">= {least:.0%}", measured=one and one["share"],
                          holds=one and one["share"] >= least))
    for name in CONTROLS:
        if name in sets:
            one, chance = sets[name]["exact_match"], sets[name]["chance"] or 0.0
            found.append(dict(name=f"{name} facts, original answers", wanted=f"<= chance {chance:.1%}",
                              measured=one["share"], holds=one["low"] <= chance))
    return found


def table(report):
    """The report as text."""
    rows = [("set", "exact match", "95 % interval", "oracle keep-set", "chance")]
    for name, one in report["sets"].items():
        match = one["exact_match"]
        between = f"{100 * match['low']:.1f} to {100 * match['high']:.1f} %"
        rows.append((name, scores.shown(match), between, scores.shown(one.get("oracle")), scores.percent(one["chance"])))
    lines = [scores.markdown(rows), ""]
    for name, one in report["sets"].items():
        for key in ("kind", "context_tokens", "fact_distance", "template"):
            groups = one["by_tag"].get(key, {})
            if len(groups) > 1:
                lines.append(f"{name} by {key}: " + ", ".join(f"{k} {scores.shown(v)}" for k, v in groups.items()))
    swapped = report["sets"].get("shuffled", {}).get("swapped")
    if swapped:
        lines.append(f"shuffled facts, answers as shuffled: {scores.shown(swapped)}")
    lines += ["", "gates:"]
    for gate in report["gates"]:
        word = {True: "holds", False: "FAILS", None: "not measured"}[gate["holds"]]
        lines.append(f"  {gate['name']} {gate['wanted']}: {scores.percent(gate['measured'])}, {word}")
    return "\n".join(lines)


def measure(reader, sets, progress=True):
    """(scores by set, records) of all items."""
    results, records = {}, []
    for name, items in sets.items():
        began, mine = time.monotonic(), []
        for number, item in enumerate(items, 1):
            mine.append(one_item(reader, item))
            if progress and sys.stderr.isatty():
                right = sum(r["right"] for r in mine)
                print(f"\r{name} {number}/{len(items)}  {right / number:.1%}   ", end="", file=sys.stderr, flush=True)
        results[name] = summary(items, mine)
        results[name]["seconds"] = time.monotonic() - began
        records += mine
    return results, records


def machine():
    """The machine in words."""
    name = platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), name)
    return f"{name}, {torch.get_num_threads()} threads, PyTorch {torch.__version__}"


def short(path):
    """A path without its folders if it is absolute: results are read on other machines."""
    return Path(path).name if str(path).startswith("/") else str(path)


def common_arguments(text):
    """The flags that all measuring scripts share."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="checkpoint.pt, a run's folder or an exported folder")
    parser.add_argument("--tokenizer", help="folder with tokenizer.json; default: the model's, else the trained one")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", help="JSON file with all figures")
    return parser


def start(options):
    """(model, tokenizer, facts about the run) for the flags of a measuring script."""
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    model, trained = inference.load_model(options.model)
    return model, inference.load_tokenizer(options.tokenizer, options.model), trained


def command(module, options):
    """The command line that makes a measurement again."""
    parts = [f"python -m weirtrain.{module}"]
    for name, value in vars(options).items():
        if value not in (None, False, []):
            values = value if isinstance(value, list) else [] if value is True else [value]
            parts.append(" ".join([f"--{name.replace('_', '-')}", *map(short, values)]))
    return " ".join(parts)


def write(path, report):
    if path:
        with open(path, "w") as file:
            json.dump(report, file, indent=1)
            file.write("\n")


def main(argv=None):
    parser = common_arguments(__doc__)
    parser.add_argument("--tasks", nargs="+", required=True, help="JSONL files of weirtrain.evalsets")
    parser.add_argument("--limit", type=int, help="items a set")
    parser.add_argument("--first-questions", type=int, default=100, help="conversations for this measure; 0: none")
    parser.add_argument("--max-new", type=int, default=32, help="tokens of an answer")
    parser.add_argument("--seed", type=int, default=1000)
    options = parser.parse_args(argv)
    model, tokenizer, trained = start(options)
    reader, began = Reader(model, tokenizer, options.max_new), time.monotonic()
    sets = read_tasks(options.tasks, options.limit)
    count = min(options.first_questions, options.limit or options.first_questions)
    if count:
        sets["first-question"] = first_questions(tokenizer, count, options.seed)
    results, records = measure(reader, sets)
    report = dict(command=command("evaluate", options), model=short(options.model), config=model.config.dictionary(),
                  trained=trained, machine=machine(), seconds=time.monotonic() - began, tokens=reader.tokens,
                  miscounted_items=reader.miscounted, sets=results, gates=gates(results), answers=records)
    write(options.output, report)
    print(table(report))
    if reader.miscounted:
        print(f"{reader.miscounted} items have other token counts than their tags say: another tokenizer?")


if __name__ == "__main__":
    main()
