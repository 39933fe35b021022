"""The shipped model through the unmodified openai package: a fact from the first turn is asked ten turns later."""

import os
import pathlib

import openai
import pytest
from test_process import server

MODEL = pathlib.Path(__file__).parents[2] / "Models" / "weir-chat-q8_0.gguf"
BETWEEN = [
    "My neighbour's phone code is 7169.", "Hello!", "My dentist lives in Oslo.", "Thank you.",
    "My cousin plays the violin.", "How are you?", "My teacher's favourite colour is green.",
    "What is my neighbour's phone code?", "My doctor drinks tea.", "What can you do?"]


@pytest.fixture()
def client(tmp_path, monkeypatch):
    if not os.environ.get("WEIR_PROGRAM"):
        pytest.skip("WEIR_PROGRAM does not name the program")
    monkeypatch.setenv("WEIR_MODEL_FILE", str(MODEL))
    with server(tmp_path) as (_, port, _):
        yield openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)


def test_a_fact_of_the_first_turn_is_known_ten_turns_later(client):
    messages = []
    answers = []
    for text in ["My sister lives in Lisbon.", *BETWEEN, "Where does my sister live?"]:
        messages.append({"role": "user", "content": text})
        answer = client.chat.completions.create(model="weir-chat-q8_0", messages=messages, temperature=0, max_tokens=40)
        assert answer.choices[0].finish_reason == "stop", answer
        answers.append(answer.choices[0].message.content)
        messages.append({"role": "assistant", "content": answers[-1]})
    assert "7169" in answers[8], messages
    assert "Lisbon" in answers[-1], messages


def test_the_prefix_of_a_conversation_is_reused(client):
    messages = [{"role": "user", "content": "My cousin plays the violin."}]
    first = client.chat.completions.create(model="weir-chat-q8_0", messages=messages, temperature=0, max_tokens=40)
    messages += [{"role": "assistant", "content": first.choices[0].message.content},
                 {"role": "user", "content": "What does my cousin play?"}]
    second = client.chat.completions.create(model="weir-chat-q8_0", messages=messages, temperature=0, max_tokens=40)
    assert "violin" in second.choices[0].message.content
    assert second.usage.prompt_tokens_details.cached_tokens >= first.usage.prompt_tokens - 1
