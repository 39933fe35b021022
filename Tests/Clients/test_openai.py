"""The unmodified OpenAI client against a running server, whatever its model says."""

import json
import math

import openai
import pytest

MESSAGES = [{"role": "user", "content": "Say hello."}]
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 8}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
SCHEMA = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}, "level": {"type": "string", "enum": ["low", "high"]}},
    "required": ["ok", "level"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def client(base_url, api_key):
    return openai.OpenAI(base_url=base_url + "/v1", api_key=api_key, max_retries=0, timeout=300)


@pytest.fixture(scope="module")
def model(client):
    return client.models.list().data[0].id


def test_models(client, model):
    assert client.models.retrieve(model).id == model


def test_chat(client, model):
    answer = client.chat.completions.create(model=model, messages=MESSAGES, max_tokens=8)
    choice = answer.choices[0]
    assert choice.message.role == "assistant"
    assert choice.finish_reason in ("stop", "length")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert 1 <= answer.usage.completion_tokens <= 8
    assert answer.usage.prompt_tokens_details.cached_tokens >= 0


def test_chat_stream(client, model):
    chunks = list(
        client.chat.completions.create(
            model=model, messages=MESSAGES, max_tokens=8, stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens >= 1
    reasons = [c.choices[0].finish_reason for c in chunks if c.choices]
    assert reasons[-1] in ("stop", "length")
    assert all(reason is None for reason in reasons[:-1])
    assert len({c.id for c in chunks}) == 1


def test_greedy_stream_equals_whole(client, model):
    fields = dict(model=model, messages=MESSAGES, max_tokens=12, temperature=0)
    whole = client.chat.completions.create(**fields).choices[0].message.content
    parts = client.chat.completions.create(**fields, stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in parts if c.choices) == whole


def test_seed_repeats(client, model):
    fields = dict(model=model, messages=MESSAGES, max_tokens=8, temperature=1, seed=7)
    texts = {client.chat.completions.create(**fields).choices[0].message.content for _ in range(2)}
    assert len(texts) == 1


def test_exact_length(client, model):
    answer = client.chat.completions.create(
        model=model, messages=MESSAGES, max_tokens=10, extra_body={"ignore_eos": True, "min_tokens": 10}
    )
    assert answer.usage.completion_tokens == 10
    assert answer.choices[0].finish_reason == "length"


def test_several_choices(client, model):
    answer = client.chat.completions.create(model=model, messages=MESSAGES, max_tokens=4, n=2)
    assert sorted(c.index for c in answer.choices) == [0, 1]


def test_logprobs(client, model):
    answer = client.chat.completions.create(
        model=model, messages=MESSAGES, max_tokens=4, logprobs=True, top_logprobs=3
    )
    entries = answer.choices[0].logprobs.content
    assert len(entries) == answer.usage.completion_tokens
    for entry in entries:
        assert entry.logprob <= 1e-4
        assert len(entry.top_logprobs) == 3
        values = [top.logprob for top in entry.top_logprobs]
        assert values == sorted(values, reverse=True)
        assert sum(math.exp(value) for value in values) <= 1.001


def test_json_schema(client, model):
    answer = client.chat.completions.create(
        model=model,
        messages=MESSAGES,
        max_tokens=100,
        response_format={"type": "json_schema", "json_schema": {"name": "state", "schema": SCHEMA, "strict": True}},
    )
    if answer.choices[0].finish_reason == "stop":
        value = json.loads(answer.choices[0].message.content)
        assert isinstance(value["ok"], bool) and value["level"] in ("low", "high")


def test_choice_constraint(client, model):
    answer = client.chat.completions.create(
        model=model, messages=MESSAGES, max_tokens=20, extra_body={"guided_choice": ["yes", "no"]}
    )
    assert answer.choices[0].message.content in ("yes", "no")


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
def test_forced_tool(client, model, choice):
    answer = client.chat.completions.create(
        model=model, messages=MESSAGES, max_tokens=120, tools=[TOOL], tool_choice=choice
    )
    if answer.choices[0].finish_reason == "tool_calls":
        call = answer.choices[0].message.tool_calls[0]
        assert call.function.name == "get_weather"
        assert set(json.loads(call.function.arguments)) == {"city"}
    else:
        assert answer.choices[0].finish_reason == "length"


def test_streamed_tool(client, model):
    chunks = client.chat.completions.create(
        model=model, messages=MESSAGES, max_tokens=120, tools=[TOOL], tool_choice="required", stream=True
    )
    name, arguments, reason = "", "", None
    for chunk in chunks:
        for call in chunk.choices[0].delta.tool_calls or []:
            name += call.function.name or ""
            arguments += call.function.arguments or ""
        reason = chunk.choices[0].finish_reason or reason
    if reason == "tool_calls":
        assert name == "get_weather"
        json.loads(arguments)


def test_completion_forms(client, model):
    one = client.completions.create(model=model, prompt="Once", max_tokens=4)
    assert one.object == "text_completion" and len(one.choices) == 1
    two = client.completions.create(model=model, prompt=["Once", "Twice"], max_tokens=2)
    assert [c.index for c in two.choices] == [0, 1]
    tokens = client.completions.create(model=model, prompt=[1, 2, 3], max_tokens=2)
    assert tokens.usage.prompt_tokens == 3


def test_completion_echo_logprobs(client, model):
    answer = client.completions.create(model=model, prompt="Once upon", max_tokens=1, echo=True, logprobs=1)
    lists = answer.choices[0].logprobs
    assert answer.choices[0].text.startswith("Once upon")
    assert len(lists.tokens) == len(lists.token_logprobs) == len(lists.text_offset)
    assert lists.token_logprobs[0] is None
    assert all(value <= 1e-4 for value in lists.token_logprobs[1:])
    text = answer.choices[0].text
    for token, offset in zip(lists.tokens, lists.text_offset):
        printed = not token.startswith("bytes:") and token not in ("<s>", "</s>", "<|endoftext|>")
        # Tokenizers may put a space before the text; the text does not have it.
        assert not printed or text[offset:].startswith((token, token.lstrip(" "))), (token, offset, text)


def test_echo_alone_counts_no_answer(client, model):
    answer = client.completions.create(model=model, prompt="Once upon a time", max_tokens=0, echo=True, logprobs=1)
    assert answer.choices[0].text == "Once upon a time"
    assert answer.usage.completion_tokens == 0
    assert len(answer.choices[0].logprobs.token_logprobs) == answer.usage.prompt_tokens


def test_shared_prefix_is_cached(client, model):
    import uuid

    head = uuid.uuid4().hex + " was a cat. " * 5
    counts = []
    for tail in ("It ran.", "It sat."):
        usage = client.completions.create(model=model, prompt=head + tail, max_tokens=1).usage
        counts.append((usage.prompt_tokens_details.cached_tokens, usage.prompt_tokens))
    assert counts[0][0] < 10
    # All but the tail, up to a merge across the border.
    assert counts[1][0] >= counts[1][1] - 20


def test_stop_string_ends_before_it(client, model):
    fields = dict(model=model, prompt="Once upon a time", max_tokens=24, temperature=0)
    whole = client.completions.create(**fields).choices[0].text
    stop = next(part for part in (whole[i : i + 3] for i in range(4, len(whole) - 3)) if "\ufffd" not in part)
    answer = client.completions.create(**fields, stop=[stop])
    assert answer.choices[0].text == whole[: whole.index(stop)]
    assert answer.choices[0].finish_reason == "stop"
    parts = client.completions.create(**fields, stop=[stop], stream=True)
    assert "".join(c.choices[0].text for c in parts) == answer.choices[0].text


def test_completion_stream(client, model):
    chunks = list(client.completions.create(model=model, prompt="Once", max_tokens=4, stream=True))
    assert chunks[-1].choices[0].finish_reason in ("stop", "length")


def test_responses(client, model):
    answer = client.responses.create(model=model, input="Say hello.", max_output_tokens=8)
    assert answer.status in ("completed", "incomplete")
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert client.responses.retrieve(answer.id).output_text == answer.output_text
    more = client.responses.create(model=model, input="More.", previous_response_id=answer.id, max_output_tokens=4)
    assert more.usage.input_tokens > answer.usage.input_tokens


def test_responses_stream(client, model):
    events = list(client.responses.create(model=model, input="Say hello.", max_output_tokens=8, stream=True))
    assert events[0].type == "response.created"
    assert events[-1].type in ("response.completed", "response.incomplete")
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert text == events[-1].response.output_text
    assert [e.sequence_number for e in events] == list(range(len(events)))


def test_embeddings(client, model):
    try:
        plain = client.embeddings.create(model=model, input=["one", "two"], encoding_format="float")
    except openai.BadRequestError:
        pytest.skip("this model makes no embeddings")
    packed = client.embeddings.create(model=model, input=["one", "two"])
    for left, right in zip(plain.data, packed.data):
        assert len(left.embedding) == len(right.embedding)
        assert max(abs(a - b) for a, b in zip(left.embedding, right.embedding)) < 1e-5


def test_errors(client, model):
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="no-such-model", messages=MESSAGES)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(model=model, messages=MESSAGES, temperature=-3)
    assert wrong.value.param == "temperature"
    with pytest.raises(openai.BadRequestError) as long:
        client.completions.create(model=model, prompt="a", max_tokens=10_000_000)
    assert long.value.code == "context_length_exceeded"


def test_request_identifier_is_echoed(client, model):
    raw = client.chat.completions.with_raw_response.create(
        model=model, messages=MESSAGES, max_tokens=1, extra_headers={"X-Request-Id": "client-test-1"}
    )
    assert raw.headers["x-request-id"] == "client-test-1"
