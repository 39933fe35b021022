"""Log-probabilities as evaluation tools read them: lists as long as the tokens that usage counts.

lm-eval sends token lists with echo, logprobs and max_tokens 1, and reads `token_logprobs[context:-1]`: whatever the one
new token is, the end token too, it must be in the list, or the last token of the text is dropped instead of it.
"""

import json
import urllib.request

import openai
import pytest

CONTEXT, ENDS = "Once upon a time there was a dog. The dog was very", [" happy.", " said it the big.", " sad and lost."]


@pytest.fixture(scope="module")
def client(base_url, api_key):
    return openai.OpenAI(base_url=base_url + "/v1", api_key=api_key, max_retries=0, timeout=300)


@pytest.fixture(scope="module")
def model(client):
    return client.models.list().data[0].id


@pytest.fixture(scope="module")
def ask(base_url, api_key):
    def ask(path, body=None):
        headers = {"Content-Type": "application/json", "Authorization": "Bearer " + api_key}
        request = urllib.request.Request(base_url + path, body and json.dumps(body).encode(), headers)
        return json.load(urllib.request.urlopen(request, timeout=300))

    return ask


@pytest.fixture(scope="module")
def encode(ask):
    return lambda text: ask("/tokenize", {"prompt": text, "add_special_tokens": False})["tokens"]


@pytest.fixture(scope="module")
def end(ask, encode):
    """The end token: its number and name."""
    name = ask("/tokenizer_info")["eos_token"]
    (number,) = encode(name)
    return number, name


def test_the_end_token_is_in_the_lists(client, model, end):
    fields = dict(model=model, prompt="Once upon a time", max_tokens=5, logprobs=1, logit_bias={str(end[0]): 100})
    answer = client.completions.create(**fields)
    choice = answer.choices[0]
    assert (choice.text, choice.finish_reason) == ("", "stop")
    assert choice.logprobs.tokens == [end[1]] and len(choice.logprobs.token_logprobs) == 1
    assert answer.usage.completion_tokens == 1
    echoed = client.completions.create(**fields, echo=True)
    assert echoed.choices[0].text == "Once upon a time"
    lists = echoed.choices[0].logprobs
    assert len(lists.token_logprobs) == len(lists.tokens) == len(lists.text_offset) == echoed.usage.total_tokens
    assert lists.token_logprobs[-1] == choice.logprobs.token_logprobs[0]
    chunks = list(client.completions.create(**fields, stream=True))
    streamed = [value for c in chunks if c.choices and c.choices[0].logprobs for value in c.choices[0].logprobs.token_logprobs]
    assert streamed == choice.logprobs.token_logprobs


def test_the_end_token_is_in_chat_lists(client, model, end):
    fields = dict(model=model, messages=[{"role": "user", "content": "Hello"}], max_tokens=5, logprobs=True,
                  logit_bias={str(end[0]): 100})
    answer = client.chat.completions.create(**fields)
    assert answer.choices[0].message.content == "" and answer.choices[0].finish_reason == "stop"
    assert [entry.token for entry in answer.choices[0].logprobs.content] == [end[1]]
    assert answer.usage.completion_tokens == 1
    chunks = list(client.chat.completions.create(**fields, stream=True))
    streamed = [e.token for c in chunks if c.choices and c.choices[0].logprobs for e in c.choices[0].logprobs.content]
    assert streamed == [end[1]]


@pytest.mark.parametrize("ends_at_once", [False, True])
def test_likelihoods_as_lm_eval_cuts_them(ask, encode, end, ends_at_once):
    context = len(encode(CONTEXT))
    wholes = [encode(CONTEXT + text) for text in ENDS]
    body = {"prompt": wholes, "temperature": 0, "max_tokens": 1, "logprobs": 1, "seed": 1234, "echo": True}
    if ends_at_once:
        body["logit_bias"] = {str(end[0]): 100}
    choices = ask("/v1/completions", body)["choices"]
    assert [choice["index"] for choice in choices] == [0, 1, 2]
    for whole, choice in zip(wholes, choices):
        assert choice["finish_reason"] == "stop" or not ends_at_once
        found = choice["logprobs"]["token_logprobs"]
        # Token lists are taken as they are: no token is put before them.
        assert len(found) == len(whole) + 1 and found[0] is None
        alone = ask("/v1/completions", {"prompt": whole, "max_tokens": 0, "echo": True, "logprobs": 1})
        assert found[context:-1] == alone["choices"][0]["logprobs"]["token_logprobs"][context:]
