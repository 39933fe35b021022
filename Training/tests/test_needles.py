"""The kinds of data that came for KV policies: facts inside a text, lists to follow, labels by example."""

import random

import pytest

from weirtrain import evalsets
from weirtrain.data import facts, fewshot, lists, needles
from weirtrain.tokenizer import ChatTokenizer, folder


@pytest.fixture(scope="module")
def tokenizer():
    return ChatTokenizer.load(folder())


def told(talk, before):
    """What the user said before a turn."""
    return " ".join(turn.text for turn in talk.turns[:before] if turn.role == "user")


def values(talk, question):
    """The weighted values of the answer to a question."""
    return [text.strip() for text, weight in talk.turns[question.turn + 1].pieces if weight == 1.0]


@pytest.mark.parametrize("seed", range(12))
def test_facts_of_a_text_are_in_it_and_asked_after_it(tokenizer, seed):
    rng = random.Random(seed)
    target = rng.choice((300, 1000, 3000))
    talk = needles.document_chat(rng, target, tokenizer.count)
    assert talk.tokens == len(tokenizer.render(talk.turns)[0]) <= target, seed
    assert talk.turns[0].text.startswith(needles.OPENING)
    assert len(talk.facts) >= 2 and all(fact.turn in range(len(talk.turns)) for fact in talk.facts)
    for question in talk.questions:
        for value in question.answers:
            assert value in told(talk, question.turn), (seed, question)


@pytest.mark.parametrize("seed", range(12))
def test_keys_are_followed_to_their_end(tokenizer, seed):
    talk = needles.chain_chat(random.Random(seed), 1000, tokenizer.count)
    pairs = dict(talk.facts)
    assert talk.tokens == len(tokenizer.render(talk.turns)[0]) <= 1000
    assert talk.questions and len({q.facts[0] for q in talk.questions}) == len(talk.questions), "each key once"
    for question in talk.questions:
        key, said = question.facts[0], values(talk, question)
        for value in said:
            assert pairs[key] == value, (seed, question)
            key = value
        assert said[-1] == question.answers[0] not in pairs, (seed, question)


def test_some_chains_have_several_steps(tokenizer):
    talks = [needles.chain_chat(random.Random(seed), 1000, tokenizer.count) for seed in range(20)]
    lengths = [len(q.facts) for talk in talks for q in talk.questions]
    assert min(lengths) == 1 and max(lengths) >= 3


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_labels_are_those_of_the_examples(tokenizer, split):
    for seed in range(12):
        talk = fewshot.fewshot_chat(random.Random(seed), 800, tokenizer.count, split)
        assert talk.tokens == len(tokenizer.render(talk.turns)[0]) <= 800
        examples = {}
        for turn in talk.turns:
            if turn.text.startswith("Learn:"):
                for example in turn.text.removeprefix("Learn: ").rstrip(".").split("; "):
                    word, label = example.rsplit(" is ", 1)
                    examples.setdefault(label, set()).add(word)
        kind = {label: next(g for g in fewshot.GROUPS if words <= set(lists.VALUES["train"][g]))
                for label, words in examples.items()}
        for question in talk.questions:
            word = question.text.removeprefix("Which label has ").rstrip("?")
            assert word in lists.VALUES["train"][kind[question.answers[0]]], (seed, question)
        assert all(lists.belongs(label, split) for label in examples), "labels of the split"


def test_strange_words_reach_keys_names_and_arguments(tokenizer):
    words = lists.distinct(random.Random(1), "word", "train", 50, lambda rng, kind, split: lists.draw(
        rng, kind, split, ("qua", "zor", "bli", "mex"), 1.0))
    assert len(set(words)) == len(words) > 30
    assert not set(words) & set(lists.VALUES["train"]["word"])


def test_heldout_sets_hold_what_their_answers_need(tokenizer):
    sets = dict(evalsets.Items(tokenizer).all_sets(7, 12))
    for item in sets["needles"]:
        assert item["answers"][0] in item["fact_text"] and item["answers"][0] in item["messages"][0]["content"]
    for item in sets["chain"]:
        middle, end = item["all_of"]
        assert f"= {middle}" in item["fact_text"] and f"{middle} = {end}" in item["fact_text"]
        assert item["question"] == item["messages"][-1]["content"]
        assert not any(m["content"].startswith("Follow") for m in item["messages"][:-1]), "nothing was followed before"
    for item in sets["few-shot"]:
        assert item["answers"][0] in "".join(m["content"] for m in item["messages"][:-1])


def test_an_of_wording_is_never_used_where_it_is_held_out_or_wrong(tokenizer):
    options = facts.Options(system_share=0.0)
    for seed in range(40):
        talk = facts.conversation(random.Random(seed), 800, tokenizer.count, "train", options)
        text = " ".join(turn.text for turn in talk.turns)
        assert " of me" not in text and " of I" not in text and "the serial number of" not in text.lower(), seed
