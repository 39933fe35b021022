"""Tests of inference with a cache, of the measures and of resuming. Run in Training: python -m pytest tests"""

import json
import math
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from weirtrain import attention, card, evaluate, evalsets, eviction, export, inference, recipes, scores, train  # noqa: E402
from weirtrain import tokenizer as tokens  # noqa: E402
from weirtrain.batches import BatchMaker  # noqa: E402
from weirtrain.model import Decoder, ModelConfig  # noqa: E402

torch.set_num_threads(1)

SMALL = dict(width=64, layers=2, heads=4, kv_heads=2, head_width=32, hidden=64, vocab=4096, context=512)
CONFIGS = {"dense": ModelConfig(**SMALL), "moe": ModelConfig(**SMALL, experts=8)}


@pytest.fixture(scope="module", params=list(CONFIGS))
def model(request):
    return Decoder(CONFIGS[request.param], seed=3).eval()


@pytest.fixture(scope="module")
def tokenizer():
    return tokens.ChatTokenizer.load()


def random_ids(count, seed=0):
    return torch.randint(16, 4096, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


def item(distance=40):
    """A conversation with one fact and its token range."""
    messages = [dict(role="user", content="My cat is called Tom."), dict(role="assistant", content="Noted."),
                dict(role="user", content="The weather is nice. " * distance), dict(role="assistant", content="OK."),
                dict(role="user", content="What is my cat called?")]
    return dict(id="x", messages=messages, answers=["Tom"], fact_spans=[[3, 9]],
                tags=dict(set="recall-base", kind="single", chance=0.25))


@pytest.mark.parametrize("parts", [(90,), (60, 30), (1, 88, 1), (80, 1, 1, 1, 7)])
def test_incremental_decoding_equals_the_full_forward(model, parts):
    ids = random_ids(90)
    with torch.no_grad():
        expected = model(torch.tensor([ids]))[0]
        cache, rows, start = inference.Cache.empty(model.config, 100), [], 0
        for part in parts:
            rows.append(inference.extend(model, cache, ids[start:start + part]))
            start += part
        found = model.logits(torch.cat(rows))
    assert (found - expected).abs().max() < 1e-4
    assert cache.length == cache.position == 90


def test_going_back_forgets(model):
    ids = random_ids(50)
    cache = inference.prefill(model, ids[:40])
    first = inference.extend(model, cache, ids[40:])
    cache.back_to((40, 40))
    inference.extend(model, cache, random_ids(9, 5))
    cache.back_to((40, 40))
    assert torch.equal(first, inference.extend(model, cache, ids[40:]))


def test_keeping_everything_is_exactly_no_eviction(model):
    ids, question = random_ids(120), random_ids(12, 1)
    cache = inference.prefill(model, ids)
    slots = eviction.random_slots(eviction.random_order(model.config, 120, 7, "x"), 1.0)
    kept = cache.kept(slots)
    assert torch.equal(inference.extend(model, kept, question), inference.extend(model, cache, question))


def test_kept_slots_are_what_the_mask_means(model):
    """Dropping slots equals a full forward in which the later rows may not see them."""
    ids, question = random_ids(60), random_ids(9, 1)
    config = model.config
    slots = eviction.random_slots(eviction.random_order(config, 60, 3, "y"), 0.75)
    cache = inference.prefill(model, ids).kept(slots)
    found = torch.cat([inference.extend(model, cache, part) for part in (question[:5], question[5:8], question[8:])])
    group, total = config.heads // config.kv_heads, 69

    def observer(chosen):
        seen = torch.ones(config.kv_heads, total, total, dtype=torch.bool).tril()
        for head in range(config.kv_heads):
            dropped = sorted(set(range(60)) - set(chosen[head].tolist()))
            seen[head, 60:, dropped] = False
        mask = seen.repeat_interleave(group, 0)
        return lambda q, k, v: torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask[None])

    with torch.no_grad():
        expected = model.hidden_states(torch.tensor([ids + question]), [observer(s) for s in slots])[0, 60:]
    assert (found - expected).abs().max() < 1e-4


def test_random_slots_keep_the_ends_and_are_nested():
    config = CONFIGS["dense"]
    order = eviction.random_order(config, 200, 7, "z")
    before = None
    for fraction in sorted(eviction.FRACTIONS):
        slots = eviction.random_slots(order, fraction)
        for layer in slots:
            for lane in layer.tolist():
                assert len(lane) == max(36, round(fraction * 200)) and lane == sorted(set(lane))
                assert {0, 1, 2, 3, *range(168, 200)} <= set(lane)
        now = [set(lane) for layer in slots for lane in layer.tolist()]
        assert before is None or all(a <= b for a, b in zip(before, now))
        before = now
    assert len({tuple(lane) for layer in eviction.random_slots(order, 0.5) for lane in layer.tolist()}) == 4
    again = eviction.random_order(config, 200, 7, "z")
    assert torch.equal(order, again) and not torch.equal(order, eviction.random_order(config, 200, 8, "z"))


def test_oracle_keeps_what_it_says():
    slots = evaluate.oracle_slots(CONFIGS["dense"], 300, [[20, 25], [230, 240]])
    assert len(slots) == 2 and slots[0].shape[0] == 2
    expected = [*range(4), *range(20, 25), *range(230, 300)]
    assert all(lane == expected for layer in slots for lane in layer.tolist())
    assert evaluate.oracle_slots(CONFIGS["dense"], 30, [])[0].tolist()[0] == list(range(30))


def test_prompt_is_the_rendered_conversation(tokenizer):
    context, question = inference.prompt(tokenizer, item()["messages"])
    text = tokenizer.decode(context + question)
    assert text.startswith("<|im_start|>user\nMy cat is called Tom.<|im_end|>\n<|im_start|>assistant\n")
    assert text.endswith("<|im_start|>user\nWhat is my cat called?<|im_end|>\n<|im_start|>assistant\n")
    assert "Tom" in tokenizer.decode(context[3:9])


def test_token_counts_of_generated_items_agree(model, tokenizer):
    reader = evaluate.Reader(model, tokenizer)
    made = evalsets.Items(tokenizer).recall_set(5, 3)
    for one in made:
        context, question = inference.prompt(tokenizer, one["messages"])
        assert len(context) + len(question) == one["tags"]["context_tokens"]
    assert reader.miscounted == 0


class Scripted:
    """A model that says given tokens, whatever it is asked."""

    def __init__(self, model, script):
        self.config, self.script, self.inner = model.config, list(script), model

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def logits(self, hidden):
        result = torch.zeros(1, self.config.vocab)
        result[0, self.script.pop(0)] = 1
        return result


@pytest.mark.parametrize("said, expected", [
    ("It is Tom.<|im_end|>no", "It is Tom."), ("Tom\nno", "Tom"), ("Tom.\nno", "Tom."),
    ('<tool_call>\n{"name": "x"}\n</tool_call>', '<tool_call>\n{"name": "x"}')])
def test_answers_end_where_they_should(tokenizer, said, expected):
    model = Decoder(CONFIGS["dense"])
    script = tokenizer.tokenizer.encode(said, add_special_tokens=False).ids + [tokenizer.stop]
    cache = inference.prefill(model, random_ids(5))
    assert inference.answer(Scripted(model, script), tokenizer, cache, [20, 21]).strip() == expected
    assert cache.length == 5


def test_one_item_is_recorded_whole(model, tokenizer):
    record = evaluate.one_item(evaluate.Reader(model, tokenizer, 4), item(20))
    assert {"id", "right", "answer", "oracle_right", "oracle_answer"} <= set(record)
    result = evaluate.summary([item()], [record])
    assert result["exact_match"]["count"] == result["oracle"]["count"] == 1 and result["chance"] == 0.25
    found = evaluate.gates({"recall-base": result})
    assert [g["holds"] for g in found] == [record["right"], record["oracle_right"]]


def test_first_questions_come_first(tokenizer):
    for one in evaluate.first_questions(tokenizer, 5, 1):
        asked = [m["content"] for m in one["messages"] if m["role"] == "user"]
        said = " ".join(m["content"] for m in one["messages"] if m["role"] == "assistant")
        assert 0 < one["tags"]["chance"] <= 1 and one["messages"][-1]["role"] == "user"
        assert any(one["answers"][0] in text for text in asked[:-1])
        assert one["answers"][0].lower() not in said.lower().split()


def test_bins_and_intervals():
    assert [scores.bin_of(v)[1] for v in (0, 1, 2, 3, 4, 5, 1024, 1025)] == [
        "0", "1", "2", "3-4", "3-4", "5-8", "513-1024", "1025-2048"]
    low, high = scores.interval(95, 100)
    assert 0.887 < low < 0.889 and 0.978 < high < 0.979
    tagged = [(dict(kind="a", fact_distance=700), True), (dict(kind="b", fact_distance=900), False)]
    found = scores.by_tag(tagged)
    assert found["fact_distance"]["513-1024"]["share"] == 0.5 and found["kind"]["a"]["correct"] == 1


def brute_shares(q, k, first_query):
    """The definition, query by query."""
    heads, t, e = q.shape
    result = {name: [0.0] * heads for name in attention.MEASURES}
    for head in range(heads):
        received = [0.0] * t
        for i in range(first_query, t):
            mass = (k[head, :i + 1] @ q[head, i] / math.sqrt(e)).softmax(0).tolist()
            result["first"][head] += sum(mass[:4])
            result["last"][head] += sum(mass[max(0, i - 31):])
            result["top"][head] += sum(sorted(mass, reverse=True)[:math.ceil(0.1 * (i + 1) - 1e-9)])
            for j, m in enumerate(mass):
                received[j] += m
        result["heavy"][head] = sum(sorted(received, reverse=True)[:math.ceil(0.1 * t - 1e-9)])
    return {name: torch.tensor(v) / (t - first_query) for name, v in result.items()}


def test_attention_shares_equal_brute_force(model):
    ids = random_ids(230)
    seen = []

    def observer(q, k, v):
        seen.append((q[0], k[0]))
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)

    with torch.no_grad():
        model.hidden_states(torch.tensor([ids]), [observer] * 2)
    found, routed = attention.of_tokens(model, ids)
    for layer, (q, k) in enumerate(seen):
        expected = brute_shares(q * 4, k, 115)
        scaled = attention.shares(q * 4, k, 115)
        for name in attention.MEASURES:
            assert (scaled[name] - expected[name]).abs().max() < 1e-4, name
            assert torch.allclose(found[name][layer], brute_shares(q, k, 115)[name].double(), atol=1e-4)
    if model.config.experts:
        assert torch.allclose(routed.sum(1), torch.ones(2))
    else:
        assert routed is None


def test_attention_spread_evenly():
    zero = torch.zeros(2, 100, 32)
    even, found = attention.uniform(100, 50), attention.shares(zero, zero, 50)
    assert torch.allclose(found["first"], torch.full((2,), even["first"], dtype=torch.float64), atol=1e-6)
    assert torch.allclose(found["last"], torch.full((2,), even["last"], dtype=torch.float64), atol=1e-6)
    assert (found["top"] - 0.1).abs().max() < 0.02


class Inline:
    """Makes the batches in this process; stops with an error at a step of a stage."""

    def __init__(self, stop=None):
        self.maker = BatchMaker(str(tokens.folder()), None, 1)
        self.stop = stop

    def batches(self, stage, first):
        for step in range(first, stage.steps):
            if (stage.name, step) == self.stop:
                raise KeyboardInterrupt
            yield step, self.maker.make(stage, step)


def small_run(out, kind):
    run = train.Run(train.arguments(["--smoke", "--model", kind, "--out", str(out), "--save-minutes", "0"]))
    run.stages = [recipes.Stage("recall", 3, 64, 128), recipes.Stage("talk", 3, 256, 512, mixture=recipes.TALK)]
    return run


@pytest.mark.parametrize("kind, stop", [("chat", ("recall", 2)), ("chat", ("talk", 1)), ("moe", ("talk", 2))])
def test_resumed_training_equals_unbroken_training(tmp_path, kind, stop):
    whole = small_run(tmp_path / "whole", kind)
    whole.train(Inline())
    with pytest.raises(KeyboardInterrupt):
        small_run(tmp_path / "broken", kind).train(Inline(stop))
    resumed = small_run(tmp_path / "broken", kind)
    resumed.load(resumed.path, weights_only=False)
    resumed.train(Inline())
    assert resumed.tokens == whole.tokens
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


@pytest.mark.parametrize("kind", ["chat", "moe"])
def test_exported_folder_answers_like_the_checkpoint(tmp_path, kind):
    run = train.Run(train.arguments(["--smoke", "--model", kind, "--out", str(tmp_path)]))
    run.save()
    export.main(["--checkpoint", run.path, "--out", str(tmp_path), "--types", ""])
    one, _ = inference.load_model(str(tmp_path / "checkpoint.pt"))
    two, facts = inference.load_model(str(tmp_path / "hf"))
    assert one.config == two.config == recipes.model_config(kind, "smoke") and facts["parameters"] > 0
    with torch.no_grad():
        ids = torch.tensor([random_ids(30)])
        assert torch.equal(one(ids), two(ids))


def test_commands_from_task_files_to_a_card(tmp_path, capsys):
    run = train.Run(train.arguments(["--smoke", "--model", "moe", "--out", str(tmp_path / "run")]))
    run.save()
    tasks = tmp_path / "tasks.jsonl"
    made = evalsets.Items(tokens.ChatTokenizer.load()).recall_set(5, 2)
    tasks.write_text("".join(json.dumps(one) + "\n" for one in made))
    name = lambda part: str(tmp_path / part)
    common = ["--model", run.path]
    evaluate.main([*common, "--tasks", str(tasks), "--first-questions", "2", "--max-new", "4", "--output", name("e.json")])
    eviction.main([*common, "--tasks", str(tasks), "--fractions", "1", "0.5", "--max-new", "4",
                   "--output", name("k.json"), "--svg", name("k.svg")])
    attention.main([*common, "--lengths", "256", "--conversations", "1", "--output", name("a.json"), "--svg", name("a.svg")])
    card.main(["--name", "weir-moe", "--checkpoint", run.path, "--evaluation", name("e.json"), "--eviction", name("k.json"),
               "--attention", name("a.json"), "--out", name("card.md")])
    text = (tmp_path / "card.md").read_text()
    assert "recall-base" in text and "FAILS" in text and "expert" in text and str(tmp_path) not in text
    for picture in ("k.svg", "a.svg"):
        assert (tmp_path / picture).read_text().startswith("<svg")
