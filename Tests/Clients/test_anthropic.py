"""The unmodified Anthropic client against a running server, whatever its model says."""

import anthropic
import pytest

MESSAGES = [{"role": "user", "content": "Say hello."}]
TOOL = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 8}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


@pytest.fixture(scope="module")
def client(base_url, api_key):
    return anthropic.Anthropic(base_url=base_url, api_key=api_key, max_retries=0, timeout=300)


@pytest.fixture(scope="module")
def model(base_url, api_key):
    import json
    import urllib.request

    request = urllib.request.Request(base_url + "/v1/models", headers={"Authorization": "Bearer " + api_key})
    return json.load(urllib.request.urlopen(request))["data"][0]["id"]


def test_message(client, model):
    message = client.messages.create(model=model, max_tokens=8, messages=MESSAGES, system="Be brief.")
    assert message.type == "message" and message.role == "assistant"
    assert message.stop_reason in ("end_turn", "max_tokens")
    assert message.usage.output_tokens >= 1
    assert message.usage.input_tokens + message.usage.cache_read_input_tokens >= 1


def test_blocks_with_cache_control(client, model):
    block = {"type": "text", "text": "Say hello.", "cache_control": {"type": "ephemeral"}}
    message = client.messages.create(
        model=model, max_tokens=4, messages=[{"role": "user", "content": [block]}], system=[block]
    )
    assert message.content[0].type in ("text", "thinking")


def test_stream(client, model):
    with client.messages.stream(model=model, max_tokens=8, messages=MESSAGES) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert "".join(b.text for b in final.content if b.type == "text") == text
    assert final.stop_reason in ("end_turn", "max_tokens")
    assert final.usage.output_tokens >= 1


def test_forced_tool(client, model):
    message = client.messages.create(
        model=model,
        max_tokens=120,
        messages=MESSAGES,
        tools=[TOOL],
        tool_choice={"type": "tool", "name": "get_weather"},
    )
    if message.stop_reason == "tool_use":
        block = message.content[-1]
        assert block.type == "tool_use" and block.name == "get_weather" and set(block.input) == {"city"}
    else:
        assert message.stop_reason == "max_tokens"


def test_tool_results_are_accepted(client, model):
    messages = MESSAGES + [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "get_weather", "input": {"city": "Rome"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "sunny"}]},
    ]
    message = client.messages.create(model=model, max_tokens=4, messages=messages, tools=[TOOL])
    assert message.usage.output_tokens >= 1


def test_count_tokens(client, model):
    short = client.messages.count_tokens(model=model, messages=MESSAGES).input_tokens
    long = client.messages.count_tokens(model=model, messages=MESSAGES, system="Be very brief indeed.").input_tokens
    assert 0 < short < long


def test_errors(client, model):
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(model="no-such-model", max_tokens=4, messages=MESSAGES)
    with pytest.raises(anthropic.BadRequestError) as wrong:
        client.messages.create(model=model, max_tokens=4, messages=[{"role": "king", "content": "x"}])
    assert wrong.value.body["type"] == "error"
    assert wrong.value.body["error"]["type"] == "invalid_request_error"
