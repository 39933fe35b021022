"""Writes held-out task files, one JSON object a line.

python -m weirtrain.evalsets --out DIR --items 200 --data ../../shared/data

An item has "id", "messages" (the last one is the user's question), "question",
"answers" or "all_of" (and perhaps "none_of"), "tags", "fact_span" and "fact_text".
"fact_spans" lists the token ranges of all statements that are needed, in the
context rendered as ChatML with the opening of the assistant's turn; "fact_span"
is the last of them (for updates: the newest statement).

Match rule: of the answer, white space and a <tool_call> at its beginning are dropped, then it is cut at its first
newline. Answer and values are normalised (lower case, runs of
white space become one space, punctuation at the end is dropped). An answer is right
if it contains at least one of "answers", each of "all_of" and none of "none_of",
where to contain means as a whole word or number: no letter or digit directly before
or after it.

The asked fact is stated once, acknowledged without repeating it, and not asked for
before, so a right answer can only come from that statement. tags.chance is the
share of the most common value among the facts of the same kind in the context: what
a reader scores who knows which values there are, but not whose they are.

Controls: "shuffled" has the values of the context exchanged (consistently), so the
original "answers" must fail and "shuffled_answers" must succeed; "deleted" has the
fact's statement replaced by a sentence without facts, so accuracy must fall to chance.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import zlib
from pathlib import Path

from .data import dialogue, facts, fewshot, lists, needles, reading, recall, smalltalk, tools
from .data.conversation import CONTEXT, Turn, cost
from .tokenizer import ChatTokenizer, find_data, folder

SPLIT = "heldout"
LONGEST = 4030
FACT_SETS = {"facts-1k": 1024, "facts-2k": 2048, "facts-4k": LONGEST}
FACT_KINDS = ("single", "multi", "single", "multi", "single", "update", "single", "multi", "single", "unknown")
UNKNOWN = ["do not know", "not told me"]


def normalise(text):
    """Lower case, single spaces, no punctuation at the end."""
    return re.sub(r"\s+", " ", text.lower()).strip().rstrip(".,;:!?\"' ")


def contains(answer, value):
    """Whether a normalised answer has a value as a whole word or number."""
    return re.search(r"(?<![^\W_])" + re.escape(normalise(value)) + r"(?![^\W_])", answer) is not None


def matches(answer, item, key="answers"):
    """Whether a model's answer to an item is right, by the match rule."""
    answer = normalise(re.sub(r"^\s*(<tool_call>\s*)?", "", answer).split("\n", 1)[0])
    if any(contains(answer, v) for v in item.get("none_of", ())):
        return False
    if not all(contains(answer, v) for v in item.get("all_of", ())):
        return False
    options = item.get(key, ())
    return not options or any(contains(answer, v) for v in options)


class Items:
    """Makes items with a tokenizer; file kinds need a data root."""

    def __init__(self, tokenizer, data_root=None):
        self.tokenizer, self.data_root = tokenizer, data_root
        self.passages = ()
        if data_root:
            self.passages = tuple(dialogue.passages(dialogue.read_texts(data_root, SPLIT), 240))

    def item(self, identity, turns, question, kind, answers, spans=(), tags=None, extra=None):
        """An item from turns whose last one is the question; spans are (turn, piece, end)."""
        tokenizer = self.tokenizer
        ids, _, places = tokenizer.render(turns)
        opening = 1 + len(tokenizer.encode("assistant")) + len(tokenizer.newline)
        asked = places[-1][0][0]
        ranges = sorted([places[t][a][0], places[t][b - 1][1]] for t, a, b in spans)
        context = len(ids) + opening
        texts = ["".join(p[0] for p in turns[t].pieces[a:b]).strip() for t, a, b in sorted(spans)]
        result = {"id": identity,
                  "messages": [{"role": t.role, "content": t.text} for t in turns],
                  "question": question}
        result.update(answers)
        result["tags"] = {"kind": kind, "context_tokens": context,
                          "fact_distance": asked - ranges[-1][1] if ranges else None,
                          "fact_depth": round(ranges[-1][0] / context, 4) if ranges else None}
        result["tags"].update(tags or {})
        result["fact_span"] = ranges[-1] if ranges else None
        result["fact_spans"] = ranges
        result["fact_text"] = " ".join(texts)
        result.update(extra or {})
        return result

    # Facts

    def fact_plan(self, rng, target, kind):
        """(builder, target facts, question) of a conversation with its final question."""
        options = facts.Options(passages=self.passages)
        builder = facts.Builder(rng, self.tokenizer.count, SPLIT, options)
        count = max(12, facts.fact_count(rng, target, options))
        drawn, builder.unknown = facts.draw_facts(rng, SPLIT, count)
        if kind == "unknown" and not builder.unknown:
            last = drawn.pop()
            builder.unknown = [(last.entity, last.attribute)]
        kinds = [f.attribute.value for f in drawn]
        crowded = [f for f in drawn if kinds.count(f.attribute.value) >= 3] or drawn
        wanted = {"single": 1, "update": 1, "multi": 2, "unknown": 0}[kind]
        chosen = rng.sample(crowded, min(wanted, len(crowded)))
        while len(chosen) < wanted:
            chosen.append(rng.choice([f for f in drawn if f not in chosen]))
        builder.waiting = [f for f in drawn if f not in chosen]
        builder.total = len(builder.waiting)
        builder.reserved = {id(f) for f in chosen}
        pending = None
        if kind == "unknown":
            pending = rng.choice(builder.unknown)
            builder.unknown = [u for u in builder.unknown if u != pending]
        return builder, chosen, pending

    def fact_item(self, rng, name, number, target, kind):
        builder, chosen, pending = self.fact_plan(rng, target, kind)
        if kind == "unknown":
            final, questions, _ = builder.ask_unknown(*pending)
        elif kind == "multi":
            final, questions, _ = builder.ask_pair(*chosen)
        else:
            final, questions, _ = builder.ask(chosen[0])
        asked, question = final[:1], questions[0]
        body = target - builder.cost(asked) - 3
        depths = sorted(rng.uniform(0.0, 0.97) for _ in range(2 if kind in ("multi", "update") else 1))
        if kind == "multi" and rng.random() < 0.3:
            depths[1] = depths[0]
        steps, olds = [], []
        for i, depth in enumerate(depths if chosen else ()):
            fact = chosen[min(i, len(chosen) - 1)]
            steps.append((depth, fact, kind == "update" and i == 1))
        for depth, fact, update in steps:
            builder.fill(int(depth * (body - 60)), body)
            value = fact.value
            if update:
                olds.append([fact.turn, fact.piece, fact.end])
                while value == fact.value:
                    value = lists.draw(rng, fact.attribute.value, SPLIT)
            turns, _, commit = builder.tell([(fact, value)], update, acknowledge=False)
            builder.add(turns)
            commit()
        builder.fill(body)
        turns = builder.talk.turns + asked
        values = [f.value for f in chosen]
        if kind == "unknown":
            answers = {"answers": UNKNOWN}
        elif kind == "multi":
            answers = {"answers": [], "all_of": values}
        else:
            answers = {"answers": values}
            if kind == "update":
                answers["none_of"] = chosen[0].old[:1]
        heldout = question.heldout or any(f.heldout for f in chosen)
        chance = 1.0
        for fact in chosen:
            same = [f.value for f in builder.talk.facts if f.attribute.value == fact.attribute.value]
            chance *= max(same.count(v) for v in same) / len(same)
        tags = {"set": name, "template": "heldout" if heldout else "shared",
                "attribute": "+".join(f.attribute.name for f in chosen),
                "chance": round(chance, 4) if chosen else None, "live_facts": len(builder.talk.facts)}
        spans = [(f.turn, f.piece, f.end) for f in chosen]
        return self.item(f"{name}-{number:04d}", turns, question.text, kind, answers, spans, tags), turns, spans, builder, chosen

    def fact_set(self, name, seed, count):
        """Items of one context length; the length is within 3 % of the target."""
        rng = random.Random(_seed(seed, name))
        target = FACT_SETS[name]
        items = []
        while len(items) < count:
            kind = FACT_KINDS[len(items) % len(FACT_KINDS)]
            item = self.fact_item(rng, name, len(items), target, kind)[0]
            if abs(item["tags"]["context_tokens"] - target) <= 0.03 * target:
                items.append(item)
        return items

    def controls(self, seed, count):
        """The shuffled and the deleted set, made from the first 1k and 2k items."""
        shuffled, deleted = [], []
        for name in ("facts-1k", "facts-2k"):
            rng = random.Random(_seed(seed, name))
            other = random.Random(_seed(seed, name + " controls"))
            target, done = FACT_SETS[name], 0
            while done < count // 2:
                kind = FACT_KINDS[done % len(FACT_KINDS)]
                item, turns, spans, builder, chosen = self.fact_item(rng, name, done, target, kind)
                if abs(item["tags"]["context_tokens"] - target) > 0.03 * target:
                    continue
                done += 1
                if kind in ("unknown", "update"):
                    continue
                shuffled.append(self.shuffled(other, item, turns, spans, builder, chosen))
                deleted.append(self.deleted(other, item, turns, spans))
        return shuffled, deleted

    def shuffled(self, rng, item, turns, spans, builder, chosen):
        """The item with the values of its context exchanged."""
        by_kind = {}
        for fact in builder.talk.facts:
            for value in [fact.value] + fact.old:
                if not any(value in seen for seen in by_kind.values()):
                    by_kind.setdefault(fact.attribute.value, []).append(value)
        exchange = {}
        for kind, values in by_kind.items():
            while len(values) < 2:
                value = lists.draw(rng, kind, SPLIT)
                if value not in exchange and not any(value in seen for seen in by_kind.values()):
                    values.append(value)
            rng.shuffle(values)
            for one, two in zip(values, values[1:] + values[:1]):
                exchange[one] = two
        changed = []
        for turn in turns:
            pieces = []
            for text, weight in turn.pieces:
                bare = text[1:] if text.startswith(" ") else text
                if bare in exchange:
                    text = text[:len(text) - len(bare)] + exchange[bare]
                pieces.append((text, weight))
            changed.append(Turn(turn.role, pieces))
        values = [f.value for f in chosen]
        answers = {"answers": item["answers"]}
        extra = {}
        if "all_of" in item:
            answers["all_of"] = values
            extra["shuffled_all_of"] = [exchange[v] for v in values]
        else:
            extra["shuffled_answers"] = [exchange[v] for v in values]
        return self.item("shuffled-" + item["id"], changed, item["question"], item["tags"]["kind"], answers,
                         spans, _again(item, "shuffled"), extra)

    def deleted(self, rng, item, turns, spans):
        """The item without the statements of its facts."""
        gone = {s[0] for s in spans}
        changed = [Turn("user", [(smalltalk.filler(rng), CONTEXT)]) if i in gone else t
                   for i, t in enumerate(turns)]
        answers = {k: item[k] for k in ("answers", "all_of") if k in item}
        return self.item("deleted-" + item["id"], changed, item["question"], item["tags"]["kind"], answers,
                         (), _again(item, "deleted"))

    # Other sets

    def recall_set(self, seed, count):
        """Plain key-value recall at three lengths; the key asked for was not asked before if possible."""
        rng = random.Random(_seed(seed, "recall-base"))
        items = []
        for number in range(count):
            target = (512, 1024, 2048)[number % 3]
            talk = recall.recall_chat(rng, target - 20, self.tokenizer.count, SPLIT)
            known = list(dict.fromkeys(talk.facts))
            asked = {k for q in talk.questions for k in q.facts}
            fresh = [f for f in known if f[0] not in asked]
            key, value = rng.choice(fresh or known)
            span = next((t, i, i + 3) for t, turn in enumerate(talk.turns) if turn.role == "user"
                        for i, p in enumerate(turn.pieces) if p[0] == f" {key} =")
            text = f"What is {key}?"
            values = [v for _, v in known]
            tags = {"set": "recall-base", "template": "shared", "live_facts": len(known),
                    "asked_before": not fresh,
                    "chance": round(max(values.count(v) for v in values) / len(values), 4)}
            items.append(self.item(f"recall-base-{number:04d}", talk.turns + [Turn("user", [(text, CONTEXT)])],
                                   text, "single", {"answers": [value]}, [span], tags))
        return items

    def needle_set(self, seed, count):
        """A fact inside one long text of the user; the question comes right after it."""
        rng = random.Random(_seed(seed, "needles"))
        items = []
        for number in range(count):
            target = (1024, 2048, LONGEST)[number % 3]
            builder = facts.Builder(rng, self.tokenizer.count, SPLIT, facts.Options(passages=self.passages))
            drawn, _ = facts.draw_facts(rng, SPLIT, 8)
            depths = sorted(rng.uniform(0, 0.95) for _ in drawn)
            needles.document(builder, drawn, depths, target - 160, self.passages)
            fact = rng.choice(drawn)
            asked, questions, _ = builder.ask(fact)
            same = [f.value for f in drawn if f.attribute.value == fact.attribute.value]
            tags = {"set": "needles", "template": "heldout" if questions[0].heldout else "shared", "live_facts": 8,
                    "chance": round(max(same.count(v) for v in same) / len(same), 4)}
            items.append(self.item(f"needles-{number:04d}", builder.talk.turns + asked[:1], questions[0].text, "single",
                                   {"answers": [fact.value]}, [(fact.turn, fact.piece, fact.end)], tags))
        return items

    def chain_set(self, seed, count):
        """A list at the beginning, small talk, then a key to follow: its second pair matters only once the first is said."""
        rng = random.Random(_seed(seed, "chain"))
        items = []
        while len(items) < count:
            target = (512, 1024, 2048)[len(items) % 3]
            talk = needles.chain_chat(rng, target // 2, self.tokenizer.count, SPLIT, told=1.0, most=0)
            turns = talk.turns
            where = {p[0][1:-2]: (t, i, i + 3) for t, turn in enumerate(turns) if turn.role == "user"
                     for i, p in enumerate(turn.pieces) if p[0].endswith(" =")}
            values = dict(talk.facts)
            starts = [k for k, v in values.items() if v in values and values[v] not in values]
            if not starts:
                continue
            chain = [rng.choice(starts)]
            chain.append(values[chain[0]])
            room = target - 40 - cost(turns, self.tokenizer.count)
            while room > 0:
                more = [Turn(role, [(text, CONTEXT)]) for role, text in zip(("user", "assistant"), smalltalk.exchange(rng))]
                room -= cost(more, self.tokenizer.count)
                turns += more
            asked, text = needles.chain_turns(chain[0], values, chain)
            items.append(self.item(f"chain-{len(items):04d}", turns + asked[:1], text, "chain",
                                   {"answers": [], "all_of": [values[k] for k in chain]}, [where[k] for k in chain],
                                   {"set": "chain", "template": "shared", "live_facts": len(values)}))
        return items

    def fewshot_set(self, seed, count):
        return self.from_questions("few-shot", seed, count, lambda rng: fewshot.fewshot_chat(
            rng, rng.choice((512, 1024)), self.tokenizer.count, SPLIT))

    def from_questions(self, name, seed, count, make):
        """Items cut out of generated conversations at their last question."""
        rng = random.Random(_seed(seed, name))
        items = []
        while len(items) < count:
            talk = make(rng)
            if not talk.questions:
                continue
            question = rng.choice(talk.questions[-3:])
            turns = talk.turns[:question.turn + 1]
            values = question.answers
            answers = {"answers": values} if len(values) == 1 else {"answers": [], "all_of": values}
            items.append(self.item(f"{name}-{len(items):04d}", turns, question.text, question.kind, answers,
                                   (), {"set": name, "template": "shared"}))
        return items

    def reading_set(self, seed, count):
        return self.from_questions("reading", seed, count, lambda rng: reading.reading_chat(
            rng, rng.randrange(200, 900), self.tokenizer.count, SPLIT))

    def tool_set(self, seed, count):
        return self.from_questions("tools", seed, count, lambda rng: tools.tool_chat(
            rng, rng.randrange(450, 900), self.tokenizer.count, SPLIT))

    def babi_set(self, seed, count):
        """Single held-out stories of bAbI's training files, tasks in turn."""
        by_task = {}
        for story in reading.read_babi(self.data_root, SPLIT):
            by_task.setdefault(next(i[1] for i in story if i[0] == "asked"), []).append(story)
        tasks = sorted(by_task, key=lambda t: int(t[2:]))
        turn = iter(tasks * (count // max(1, len(tasks)) + 2))

        def make(rng):
            story = by_task[next(turn)]
            return reading.babi_story(rng.choice(story), self.tokenizer.count, LONGEST)

        return self.from_questions("babi", seed, count if tasks else 0, make)

    def all_sets(self, seed, count):
        """Yields (name, items) of every set that can be made."""
        yield "recall-base", self.recall_set(seed, count)
        for name in FACT_SETS:
            yield name, self.fact_set(name, seed, count)
        shuffled, deleted = self.controls(seed, count)
        yield "shuffled", shuffled
        yield "deleted", deleted
        yield "needles", self.needle_set(seed, count)
        yield "chain", self.chain_set(seed, count)
        yield "few-shot", self.fewshot_set(seed, count)
        yield "reading", self.reading_set(seed, count)
        yield "tools", self.tool_set(seed, count)
        if self.data_root and (Path(self.data_root) / "evals" / "babi").is_dir():
            yield "babi", self.babi_set(seed, count)


def _again(item, name):
    skipped = ("kind", "context_tokens", "fact_distance", "fact_depth")
    tags = {k: v for k, v in item["tags"].items() if k not in skipped}
    tags["set"] = name
    return tags


def _seed(seed, name):
    return seed * 1_000_003 + zlib.crc32(name.encode())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--data", help="data root; default ../../shared/data if it exists")
    parser.add_argument("--tokenizer", default=str(folder()))
    parser.add_argument("--seed", type=int, default=1000)
    arguments = parser.parse_args()
    data_root = find_data(arguments.data)
    if data_root is None:
        print("no data root: no babi set, no passages in the contexts")
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    for name, items in Items(ChatTokenizer.load(arguments.tokenizer), data_root).all_sets(arguments.seed, arguments.items):
        with (out / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            for item in items:
                file.write(json.dumps(item, ensure_ascii=False) + "\n")
        lengths = [i["tags"]["context_tokens"] for i in items] or [0]
        chances = [i["tags"]["chance"] for i in items if i["tags"].get("chance") is not None]
        chance = f", chance {sum(chances) / len(chances):.3f}" if chances else ""
        print(f"{name}: {len(items)} items, {min(lengths)} to {max(lengths)} tokens{chance}")


if __name__ == "__main__":
    main()
