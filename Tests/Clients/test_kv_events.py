"""KV events over ZeroMQ: what subscribers hear, and the unmodified vllm-router's KV-aware policy on two Weir nodes.

WEIR_PROGRAM and WEIR_MODEL_FILE as in test_process.py."""

import contextlib
import ctypes.util
import hashlib
import json
import re
import time
import urllib.request

import msgpack
import pytest
import zmq

from test_cluster import client
from test_process import server
from test_vllm_router import ROUTER, router

pytestmark = pytest.mark.skipif(
    ctypes.util.find_library("zmq") is None, reason="ZeroMQ is not installed; scripts/setup.sh installs Debian's libzmq5")
CONFIG = {"enable_kv_cache_events": True, "endpoint": "tcp://127.0.0.1:0", "replay_endpoint": "tcp://127.0.0.1:0"}


def fetch(port, path, body=None):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", None if body is None else json.dumps(body).encode(),
        {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


@contextlib.contextmanager
def publisher(path, **change):
    path.mkdir()
    with server(path, "--threads", "1", "--block-size", "16", "--kv-events-config", json.dumps(CONFIG | change)) as (
            _, port, _):
        yield port, fetch(port, "/kv_event_sources")["0"]


def names(tokens, size=16):
    """vLLM's names of the full blocks of a prompt: an encoder of our own, independent of the server's."""
    def head(major, value):
        kind = major << 5
        if value < 24:
            return bytes([kind | value])
        width = 1 if value < 1 << 8 else 2 if value < 1 << 16 else 4
        return bytes([kind | (24 + width.bit_length() - 1)]) + value.to_bytes(width, "big")

    parent, found = hashlib.sha256(b"\x610").digest(), []
    for start in range(0, len(tokens) - size + 1, size):
        body = b"\x83\x58\x20" + parent + head(4, size) + b"".join(head(0, token) for token in tokens[start:start + size])
        parent = hashlib.sha256(body + b"\xf6").digest()
        found.append(parent)
    return found


def batches(socket, until, seconds=20):
    """Reads (number, batch) until `until(events so far)`."""
    found, end = [], time.monotonic() + seconds
    while not until([event for _, batch in found for event in batch[1]]):
        assert socket.poll(max(0, int((end - time.monotonic()) * 1000))), f"silence after {found}"
        topic, number, payload = socket.recv_multipart()
        assert topic == b"kv" and len(number) == 8
        found.append((int.from_bytes(number, "big", signed=True), msgpack.unpackb(payload)))
    return found


def test_subscribers_hear_what_the_cache_holds(tmp_path):
    with publisher(tmp_path / "n", topic="kv") as (port, source), zmq.Context() as context:
        assert source["publisher"] == "zmq" and source["topic"] == "kv"
        with context.socket(zmq.SUB) as sub, context.socket(zmq.DEALER) as dealer:
            sub.connect(source["endpoint"])
            sub.subscribe(b"kv")
            prompt = "Once upon a time there was a small grey donkey that could count. " * 4
            tokens = fetch(port, "/tokenize", {"prompt": prompt})["tokens"]
            ask = {"prompt": prompt, "max_tokens": 1, "temperature": 0}
            # A subscriber that has just connected may miss the first batches: those are what repetition is for.
            fetch(port, "/v1/completions", ask | {"prompt": prompt[::-1]})
            fetch(port, "/v1/completions", ask)
            wanted = names(tokens)
            assert len(wanted) > 3
            heard = batches(sub, lambda events: any(wanted[-1] in event.get("block_hashes", []) for event in events))
            stored = [event for _, batch in heard for event in batch[1] if wanted[0] in event.get("block_hashes", [])]
            event = stored[0]
            assert event["type"] == "BlockStored" and event["parent_block_hash"] is None and event["medium"] == "GPU"
            assert event["block_size"] == 16 and event["lora_id"] is None and event["lora_name"] is None
            count = len(event["block_hashes"])
            assert event["block_hashes"] == wanted[:count] and event["token_ids"] == tokens[:16 * count]
            assert all(batch[2] == 0 and batch[0] > 1.7e9 for _, batch in heard)
            # Everything from the first batch on, in order.
            dealer.connect(source["replay_endpoint"])
            dealer.send_multipart([b"", (0).to_bytes(8, "big")])
            repeated = []
            while True:
                assert dealer.poll(10_000), "the repetition does not end"
                empty, topic, number, payload = dealer.recv_multipart()
                assert empty == b"" and topic == b"kv"
                if int.from_bytes(number, "big", signed=True) == -1:
                    break
                repeated.append((int.from_bytes(number, "big"), msgpack.unpackb(payload)))
            assert [number for number, _ in repeated] == list(range(len(repeated)))
            assert set(wanted) <= {
                name for _, batch in repeated for event in batch[1] for name in event.get("block_hashes", [])}
            assert [entry for entry in repeated if entry[0] == heard[0][0]] == heard[:1]
            # A salt is a wall: neither tokens nor names of what lies behind it are told.
            fetch(port, "/v1/completions", ask | {"prompt": "Secret " * 40, "cache_salt": "mine"})
            urllib.request.urlopen(urllib.request.Request(
                f"http://127.0.0.1:{port}/reset_prefix_cache", b"", method="POST"), timeout=60)
            last = batches(sub, lambda events: any(event["type"] == "AllBlocksCleared" for event in events))
            events = [event for _, batch in last for event in batch[1]]
            secret = fetch(port, "/tokenize", {"prompt": "Secret " * 40})["tokens"]
            assert not any(event.get("token_ids", [])[:16] == secret[:16] for event in events)


def test_without_the_flag_nothing_is_published(tmp_path):
    with server(tmp_path, "--threads", "1") as (_, port, _):
        with pytest.raises(urllib.error.HTTPError) as error:
            fetch(port, "/kv_event_sources")
        assert error.value.code == 404


def served(port):
    """Completions that this node has finished."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return sum(float(value) for value in re.findall(r"^vllm:request_success_total\{[^}]*\} (\S+)$", text, re.MULTILINE))


@pytest.mark.skipif(not ROUTER.exists(), reason="vllm-router is not installed")
@pytest.mark.parametrize("finds", ["by asking", "by flags"])
def test_vllm_router_places_by_what_the_nodes_hold(tmp_path, finds):
    with publisher(tmp_path / "a") as (a, source_a), publisher(tmp_path / "b") as (b, source_b):
        urls = [f"http://127.0.0.1:{port}" for port in (a, b)]
        model = fetch(a, "/v1/models")["data"][0]["id"]
        options = ["--worker-urls", *urls, "--policy", "kv_aware"]
        if finds == "by flags":
            for url, source in zip(urls, (source_a, source_b)):
                options += ["--kv-event-source", f"{url}={source['endpoint']}"]
                options += ["--kv-event-replay-source", f"{url}={source['replay_endpoint']}"]
            options += ["--kv-event-block-size", "16", "--kv-event-model", model]
        with router(tmp_path, *options) as (port, log):
            one = client(port)
            prompts = [f"Tale {number}: " + f"the fox number {number} ran over the hill. " * 6 for number in range(8)]
            settings = {"model": model, "max_tokens": 2, "temperature": 0, "extra_body": {"ignore_eos": True}}
            for number, prompt in enumerate(prompts):
                client((a, b)[number % 2]).completions.create(prompt=prompt, **settings)
            hits = 0
            for number, prompt in enumerate(prompts):
                before = [served(a), served(b)]
                answer = one.completions.create(prompt=prompt + "Then it slept.", **settings)
                after = [served(a), served(b)]
                place = [after[index] - before[index] for index in (0, 1)].index(1)
                cached = answer.usage.prompt_tokens_details.cached_tokens
                hits += place == number % 2 and cached >= 64
            assert hits == len(prompts), f"{hits} of {len(prompts)} went to the node that holds them\n" + log.read_text()[-4000:]


@pytest.mark.skipif(not ROUTER.exists(), reason="vllm-router is not installed")
def test_vllm_router_places_chats_by_what_the_nodes_hold(tmp_path):
    with publisher(tmp_path / "a") as (a, _), publisher(tmp_path / "b") as (b, _):
        model = fetch(a, "/v1/models")["data"][0]["id"]
        with router(
                tmp_path, "--worker-urls", f"http://127.0.0.1:{a}", f"http://127.0.0.1:{b}", "--policy",
                "kv_aware") as (port, log):
            one = client(port)
            settings = {"model": model, "max_tokens": 2, "temperature": 0, "extra_body": {"ignore_eos": True}}
            chats = []
            for number in range(6):  # all first: what a node stores reaches the router a moment later
                messages = [{"role": "user", "content": f"Chat {number}. " + "Tell me of the old mill by the sea. " * 6}]
                first = client((a, b)[number % 2]).chat.completions.create(messages=messages, **settings)
                chats.append(messages + [
                    {"role": "assistant", "content": first.choices[0].message.content or "."},
                    {"role": "user", "content": "And then?"}])
            for number, messages in enumerate(chats):
                before = served((a, b)[number % 2])
                answer = one.chat.completions.create(messages=messages, **settings)
                assert served((a, b)[number % 2]) == before + 1, log.read_text()[-4000:]
                assert answer.usage.prompt_tokens_details.cached_tokens >= 64, answer.usage
