"""Tests of the generated data. Run in Training: python -m pytest tests/test_data.py"""

import random
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from weirtrain import batches, evalsets  # noqa: E402
from weirtrain import tokenizer as tokens  # noqa: E402
from weirtrain.data import attributes, facts, lists, mixture, reading, recall, tools  # noqa: E402
from weirtrain.data.conversation import ANSWER  # noqa: E402


@pytest.fixture(scope="module")
def chat_tokenizer():
    if (tokens.folder() / "tokenizer.json").is_file():
        return tokens.ChatTokenizer.load()
    return tokens.ChatTokenizer(tokens.train(tokens.sample(None, facts=300_000, other=60_000)))


@pytest.fixture(scope="module")
def mixed(chat_tokenizer):
    return mixture.Mixture(None, chat_tokenizer, "train")


GENERATED = ("recall", "facts", "reading", "tools", "smalltalk")


def rough(text):
    return len(text) // 4 + 1


def talks(split, number, length=1024, options=None, seed=3):
    rng = random.Random(seed)
    return [facts.conversation(rng, length, rough, split, options) for _ in range(number)]


def everything(conversations):
    return " ".join(t.text for c in conversations for t in c.turns)


def test_same_seed_same_data(chat_tokenizer):
    for kind in GENERATED:
        one, two, other = (mixture.Mixture(None, chat_tokenizer).example(kind, random.Random(s), 700)
                           for s in (5, 5, 6))
        assert one == two
        assert one != other
    first = mixture.Mixture(None, chat_tokenizer).pack(random.Random(1), 1024)
    assert first == mixture.Mixture(None, chat_tokenizer).pack(random.Random(1), 1024)


def test_tokenizer_has_4096_entries_and_role_tokens(chat_tokenizer):
    assert chat_tokenizer.size == tokens.VOCABULARY
    for i, text in enumerate(tokens.SPECIALS):
        assert chat_tokenizer.tokenizer.token_to_id(text) == i
    for role in ("user", "assistant", "system", "tool"):
        assert len(chat_tokenizer.encode(role)) == 1
    text = "Zoë paid 12.50 € – naïve?\n\tYes."
    assert chat_tokenizer.decode(chat_tokenizer.encode(text)) == text


def test_splits_are_disjoint():
    for kind, train in lists.VALUES["train"].items():
        heldout = lists.VALUES["heldout"][kind]
        assert train and heldout
        if len(train) + len(heldout) >= 24 and train != heldout:
            assert not set(train) & set(heldout)
    for kind in ("name", "city", "country", "job", "food", "street", "word"):
        assert not set(lists.VALUES["train"][kind]) & set(lists.VALUES["heldout"][kind])
    rng = random.Random(0)
    made = {s: {lists.invented(rng, s) for _ in range(500)} for s in ("train", "heldout")}
    assert not made["train"] & made["heldout"]


def test_train_has_no_heldout_names_or_wordings():
    known = talks("train", 30)
    said = set(everything(known).replace(".", " ").replace("'", " ").replace(",", " ").split())
    assert not said & set(lists.VALUES["heldout"]["name"])
    assert not any(q.heldout for c in known for q in c.questions)
    asked = [q.heldout for c in talks("heldout", 30) for q in c.questions]
    assert 0.1 < sum(asked) / len(asked) < 0.7


def test_enough_kinds_of_facts():
    assert len(attributes.ATTRIBUTES) >= 50
    rng = random.Random(0)
    keys = set()
    for _ in range(300):
        keys |= {(f.entity.key, f.attribute.name) for f in facts.draw_facts(rng, "train", 20)[0]}
    assert len(keys) > 1000


def test_answer_weights_mark_the_values(chat_tokenizer):
    rng = random.Random(8)
    options = facts.Options(restate_share=0.0, unknown_share=0.0)
    for _ in range(10):
        talk = facts.conversation(rng, 800, chat_tokenizer.count, "train", options)
        ids, weights, spans = chat_tokenizer.render(talk.turns)
        assert len(ids) == len(weights) == talk.tokens
        expected, found = [], []
        for question in talk.questions:
            expected += question.answers
            for (start, end), piece in zip(spans[question.turn + 1], talk.turns[question.turn + 1].pieces):
                if piece[1] == ANSWER:
                    assert set(weights[start:end]) == {ANSWER}
                    found.append(chat_tokenizer.decode(ids[start:end]).strip())
        assert found == expected
        marked = [i for i, w in zip(ids, weights) if w == ANSWER]
        assert chat_tokenizer.decode(marked).replace(" ", "") == "".join(expected).replace(" ", "")


def test_pieces_encode_like_whole_text(mixed, chat_tokenizer):
    rng = random.Random(2)
    for kind in GENERATED:
        for _ in range(8):
            talk = mixed.conversation(kind, rng, 700)
            for turn in talk.turns:
                parts = [i for p in turn.pieces for i in chat_tokenizer.encode(p[0])]
                assert parts == list(chat_tokenizer.encode(turn.text)), turn.pieces


def test_answers_are_the_newest_values():
    """A reader of the statements gets every answer; old values are wrong."""
    for split in ("train", "heldout"):
        updated = 0
        for talk in talks(split, 40, 1500, facts.Options(update_share=0.2, restate_share=0.0)):
            for question in talk.questions:
                for fact, value in zip(question.facts, question.answers):
                    mine = [t.text for t in talk.turns[:question.turn] if t.role == "user"
                            and (fact.entity.user.lower() in t.text.lower()
                                 or fact.entity.user_possessive.lower() in t.text.lower())]
                    assert any(evalsets.contains(evalsets.normalise(t), value) for t in mine)
                assert all(v in talk.turns[question.turn + 1].text for v in question.answers)
                updated += question.kind == "update"
        assert updated > 20
    builder = facts.Builder(random.Random(1), rough, "train", facts.Options())
    fact = facts.draw_facts(random.Random(2), "train", 1)[0][0]
    for value, update in ((fact.value, False), ("Zanzibar", True)):
        turns, _, commit = builder.tell([(fact, value)], update)
        builder.add(turns)
        commit()
    answer = builder.ask(fact)[0][1].text
    assert "Zanzibar" in answer and fact.old[0] not in answer


def test_unknown_questions_are_about_untold_facts():
    asked = 0
    for talk in talks("train", 30, 1500, facts.Options(unknown_share=0.4)):
        for question in talk.questions:
            if question.kind == "unknown":
                asked += 1
                answer = evalsets.normalise(talk.turns[question.turn + 1].text)
                assert any(evalsets.contains(answer, u) for u in evalsets.UNKNOWN)
    assert asked > 100
    for seed in range(20):
        told, untold = facts.draw_facts(random.Random(seed), "train", 20)
        assert not {(f.entity.key, f.attribute.name) for f in told} & {(e.key, a.name) for e, a in untold}


def test_unknown_answers_decide_at_the_value():
    """An answer that has no value begins like one that has: its weight is on the word in the value's place."""
    builder = facts.Builder(random.Random(3), rough, "train", facts.Options())
    fact = facts.draw_facts(random.Random(2), "train", 1)[0][0]
    pieces = builder.ask_unknown(fact.entity, fact.attribute)[0][1].pieces
    assert [p[0].strip() for p in pieces if p[1] == ANSWER] == [attributes.UNKNOWN_VALUE]
    assert pieces[0][0].endswith(" is")


def test_strange_words_are_of_the_training_split(mixed):
    pieces = mixed.pieces()
    assert len(pieces) > 1500 and all(p.isalpha() and p.islower() for p in pieces)
    rng = random.Random(5)
    made = {lists.strange(rng, pieces) for _ in range(3000)}
    assert len(made) > 2500
    known = {w.lower() for words in lists.VALUES["train"].values() for w in words}  # a fiddle is an instrument and a word
    for kind in ("name", "city", "word", "place", "food"):
        assert not made & ({w.lower() for w in lists.VALUES["heldout"][kind]} - known)
    options = facts.Options(pieces=pieces, strange_share=1.0)
    told = facts.draw_facts(random.Random(6), "train", 200, options.draw)[0]
    words = [f for f in told if f.attribute.value in ("name", "job", "place")]
    assert len(words) > 20
    assert not any(f.value in lists.VALUES["train"][f.attribute.value] for f in words)
    assert all(f.value.isdigit() for f in told if f.attribute.value in ("age", "number3"))


def test_told_early_and_asked_late():
    """With a rush the facts come first, so that most questions are far from theirs."""
    def gaps(rush):
        options = facts.Options(rush=rush, fresh_share=1.0, unknown_share=0.0, update_share=0.0, restate_share=0.0)
        return [q.turn - f.turn for c in talks("train", 20, 2000, options) for q in c.questions for f in q.facts]
    near, far = gaps(1.3), gaps(5.0)
    assert sum(far) / len(far) > 1.5 * sum(near) / len(near)


def test_stretched_positions_jump_at_turns_only():
    start, ids = 9, np.array(([9] + [1] * 15) * 16)
    longest = 0
    for seed in range(200):
        positions = batches.stretched(random.Random(seed), ids, start, 4096)
        steps = np.diff(positions)
        assert positions[0] == 0 and (steps >= 1).all() and positions[-1] < 4096
        jumps = np.nonzero(steps > 1)[0] + 1
        assert len(jumps) <= 4 and (ids[jumps] == start).all()
        longest = max(longest, positions[-1])
    assert longest > 3500
    plain = batches.stretched(random.Random(1), ids, start, 0)
    assert (plain == np.arange(len(ids))).all()


def test_questions_are_drawn_with_replacement():
    """Among k known facts the same fact is asked twice in a row about 1 time in k."""
    repeats = expected = pairs = 0
    for talk in talks("train", 150, 1500, facts.Options(max_facts=6, min_facts=6, pair_share=0, unknown_share=0)):
        questions = [q for q in talk.questions if q.turn > len(talk.turns) // 2]
        for one, two in zip(questions, questions[1:]):
            pairs += 1
            repeats += one.facts == two.facts
            expected += 1 / 6
    assert pairs > 1000
    assert abs(repeats - expected) / pairs < 0.04


def test_first_questions_are_not_guessable():
    """Most common value and "a value not used yet" both stay far from right."""
    first = common = unused = total = 0
    for talk in talks("train", 120, 2000):
        asked = set()
        for question in talk.questions:
            if question.kind != "single":
                continue
            fact = question.facts[0]
            same = [f for f in talk.facts if f.attribute.value == fact.attribute.value]
            if len(same) < 4:
                continue
            total += 1
            counts = Counter(f.value for f in same)
            common += question.answers[0] == counts.most_common(1)[0][0]
            rest = [f for f in same if id(f) not in asked] or same
            unused += (id(fact) not in asked) / len(rest)
            first += id(fact) not in asked
            asked.add(id(fact))
    assert total > 500
    assert common / total < 0.35
    assert unused / total < 0.35
    assert 0.1 < first / total < 0.7


def test_shares_of_turns():
    known = talks("train", 30, 3000)
    turns = sum(len(c.turns) for c in known)
    assert 0.25 < sum(len(c.questions) for c in known) / turns < 0.4
    words = [rough(t.text) for c in known for t in c.turns]
    assert sum(words) / len(words) < 25


def test_length_targets(mixed, chat_tokenizer):
    rng = random.Random(4)
    for target in (128, 512, 1024, 2048, 4096):
        talk = facts.conversation(rng, target, chat_tokenizer.count, "train")
        assert target - max(30, 0.03 * target) <= talk.tokens <= target
        assert 4 <= len(talk.facts) <= 60 or target == 128
    for length in (256, 1024, 4096):
        for shares in (None, {"facts": 1.0}, {"recall": 1, "tools": 1}):
            ids, weights = mixed.pack(rng, length, shares)
            assert len(ids) == len(weights) == length
            assert all(0 <= i < chat_tokenizer.size for i in ids)


def test_recall_ids():
    rng = random.Random(0)
    marked = total = 0
    for keys in (1, 4, 16, 64):
        for _ in range(20):
            ids, mask = recall.recall_ids(rng, 400, (16, 4096), keys)
            assert len(ids) == len(mask) == 400
            assert min(ids) >= 16 and max(ids) < 4096
            # Every marked run follows a context that occurred before with the same value.
            for i, marked_here in enumerate(mask):
                if marked_here and mask[i - 1] == 0 and i >= 2:
                    one = [j for j in range(1, i) if ids[j - 1] == ids[i - 1] and ids[j] == ids[i]]
                    assert one
            marked += sum(mask)
            total += len(mask)
    assert marked / total > 0.2


def test_tool_calls_copy_arguments():
    import json
    rng = random.Random(1)
    for _ in range(20):
        talk = tools.tool_chat(rng, 900, rough)
        for question in talk.questions:
            if question.kind == "call":
                text = talk.turns[question.turn + 1].text
                assert text.startswith("<tool_call>\n") and text.endswith("\n</tool_call>")
                call = json.loads(text[12:-13])
                assert [call["name"]] + [str(v) for v in call["arguments"].values()] == question.answers
                assert all(v in talk.turns[question.turn].text for v in question.answers[1:])


def test_reading_answers():
    rng = random.Random(1)
    for _ in range(20):
        talk = reading.reading_chat(rng, 800, rough)
        for question in talk.questions:
            assert question.answers[0] in talk.turns[question.turn + 1].text


def test_match_rule():
    item = {"answers": ["Lisbon"]}
    assert evalsets.matches("Your sister lives in LISBON.", item)
    assert not evalsets.matches("Lisbonne.", item)
    assert not evalsets.matches("It is 142.", {"answers": ["42"]})
    assert not evalsets.matches("At 18:40.", {"answers": ["8:40"]})
    assert evalsets.matches("At 8:40.", {"answers": ["8:40"]})
    both = {"answers": [], "all_of": ["7", "red"]}
    assert evalsets.matches("It is 7 and red.", both) and not evalsets.matches("It is red.", both)
    assert not evalsets.matches("Oslo, or Rome.", {"answers": ["Oslo"], "none_of": ["Rome"]})


@pytest.fixture(scope="module")
def sets(chat_tokenizer):
    return dict(evalsets.Items(chat_tokenizer).all_sets(1000, 20))


def test_fact_sets(sets, chat_tokenizer):
    for name, target in evalsets.FACT_SETS.items():
        assert {i["tags"]["kind"] for i in sets[name]} == {"single", "multi", "update", "unknown"}
        for item in sets[name]:
            text = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in item["messages"])
            ids = chat_tokenizer.tokenizer.encode(text + "<|im_start|>assistant\n").ids
            assert len(ids) == item["tags"]["context_tokens"]
            assert abs(len(ids) - target) <= 0.03 * target and len(ids) < 4096 - 50
            assert item["messages"][-1]["role"] == "user"
            parts = [chat_tokenizer.decode(ids[a:b]).strip() for a, b in item["fact_spans"]]
            assert " ".join(parts) == item["fact_text"]
            for value in item.get("all_of", []) + (item["answers"] if item["tags"]["kind"] != "unknown" else []):
                assert value in item["fact_text"]


def test_controls(sets):
    for item in sets["shuffled"]:
        new = item.get("shuffled_answers") or item["shuffled_all_of"]
        old = item.get("all_of") or item["answers"]
        assert all(a != b for a, b in zip(old, new))
        assert all(v in item["fact_text"] for v in new)
        answer = "It is " + " and ".join(new) + "."
        assert not evalsets.matches(answer, item) or set(old) == set(new)
    for item in sets["deleted"]:
        assert item["fact_span"] is None
        assert not evalsets.matches("It is nothing.", item)


def test_other_sets(sets):
    for name in ("recall-base", "reading", "tools"):
        assert len(sets[name]) == 20
        assert len({i["id"] for i in sets[name]}) == 20
    for item in sets["recall-base"]:
        assert item["fact_text"][-1] in ";." and item["fact_text"][:-1].endswith(item["answers"][0])
