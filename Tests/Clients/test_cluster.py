"""A local cluster as a user starts it: `weir cluster up`, the unmodified OpenAI client, nodes that die.

WEIR_PROGRAM: the built executable; WEIR_MODEL_FILE: a small model."""

import concurrent.futures
import contextlib
import ctypes.util
import json
import os
import pathlib
import re
import signal
import subprocess
import time
import urllib.request

import anthropic
import openai
import pytest

from test_process import program_and_model, running, server

pytestmark = pytest.mark.skipif(
    ctypes.util.find_library("ucp") is None, reason="UCX is not installed; scripts/setup.sh installs Debian's libucx")

PROMPTS = [f"Story {number}: " + "once upon a time " * (1 + number % 7) for number in range(24)]

POLICIES = [
    None, {"name": "h2o", "budget": 16}, {"name": "sentencekv", "budget": 16, "sentence": 8},
    {"name": "sentencekv", "budget": 16, "abstract": "keys", "heads": "share"}]


@contextlib.contextmanager
def cluster(tmp_path, *options):
    """A cluster of our own: (process, port, its log)."""
    program, model = program_and_model()
    log = tmp_path / "cluster-log"
    command = [program, "cluster", "up", model, "--port", "0", "--threads", "1", *options]

    def is_up(text):
        found = re.search(r"router\s+listening on \S+?:(\d+)", text)
        states = [node["state"] for node in state(found[1])["nodes"]] if found else []
        return found if states.count("up") >= 2 else None

    with running(command, log, is_up, seconds=90) as (process, found):
        yield process, int(found[1]), log


def fetch(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()


def state(port):
    return json.loads(fetch(f"http://127.0.0.1:{port}/weir/cluster"))


def nodes_of(process):
    """Process ids of the nodes by role."""
    children = pathlib.Path(f"/proc/{process.pid}/task").glob("*/children")
    found = {}
    for pid in " ".join(path.read_text() for path in children).split():
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        found[words[words.index(b"--role") + 1].decode()] = int(pid)
    return found


def metric(url, name):
    found = re.search(rf"^{name}(?:{{[^}}]*}})? (\S+)$", fetch(url + "/metrics"), re.MULTILINE)
    assert found or name.endswith("_total"), f"{url} does not tell {name}"
    return float(found[1]) if found else 0.0


def leaks_nothing(url):
    """Free and cached blocks are all there are: nothing is held by a request or a handoff any more."""
    end = time.monotonic() + 45
    while time.monotonic() < end:
        held = metric(url, "weir_handoffs_held") + metric(url, "weir_handoffs_arriving")
        blocks = [metric(url, name) for name in ("weir_kv_blocks_free", "weir_kv_blocks_cached", "weir_kv_blocks")]
        if held == 0 and blocks[0] + blocks[1] == blocks[2]:
            return True
        time.sleep(0.1)
    return False


def client(port):
    return openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0, timeout=120)


def ask(client, model, number, stream=False):
    """One answer of a kind that depends on the number: greedy or seeded, text or chat, under one KV policy or another."""
    settings = {"model": model, "temperature": 0 if number % 2 else 1, "seed": number, "max_tokens": 12}
    settings["extra_body"] = {"ignore_eos": True, "kv_policy": POLICIES[number // 2 % len(POLICIES)]}
    if number % 3 == 0:
        messages = [{"role": "user", "content": PROMPTS[number]}]
        if stream:
            parts = client.chat.completions.create(messages=messages, stream=True, **settings)
            return "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
        return client.chat.completions.create(messages=messages, **settings).choices[0].message.content
    if stream:
        parts = client.completions.create(prompt=PROMPTS[number], stream=True, **settings)
        return "".join(part.choices[0].text for part in parts if part.choices)
    return client.completions.create(prompt=PROMPTS[number], **settings).choices[0].text


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What one server answers."""
    with server(tmp_path_factory.mktemp("single"), "--threads", "1") as (_, port, _):
        one = client(port)
        model = one.models.list().data[0].id
        return model, [ask(one, model, number) for number in range(len(PROMPTS))]


def test_the_router_answers_as_one_server_does(tmp_path, expected):
    model, answers = expected
    # Every request takes both nodes, whatever the load.
    with cluster(tmp_path, "--roles", "static") as (process, port, log):
        one = client(port)
        assert [ask(one, model, number) for number in range(len(PROMPTS))] == answers
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            streamed = pool.map(lambda number: ask(one, model, number, stream=True), range(len(PROMPTS)))
            assert list(streamed) == answers
        other = anthropic.Anthropic(base_url=f"http://127.0.0.1:{port}", api_key="none", max_retries=0)
        with other.messages.stream(model=model, max_tokens=8, messages=[{"role": "user", "content": "Hello"}]) as events:
            assert [event.type for event in events][-1] == "message_stop"
        events = list(one.responses.create(model=model, input="Hello", max_output_tokens=8, stream=True))
        assert events[-1].type in ("response.completed", "response.incomplete"), events[-1]
        seen = state(port)
        assert seen["counts"]["disaggregated"] == 2 * len(PROMPTS) and seen["counts"]["failed"] == 0, seen
        urls = {node["home_role"]: node["url"] for node in seen["nodes"]}
        assert metric(urls["decode"], "weir_handoffs_received_total") > 0
        assert metric(urls["prefill"], "weir_handoffs_sent_total") > 0
        assert "weir_handoffs_recomputed_total{" not in fetch(urls["decode"] + "/metrics")
        assert all(leaks_nothing(url) for url in urls.values())
        nodes = nodes_of(process)
        assert set(nodes) == {"prefill", "decode"}
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, log.read_text()
        assert not any(pathlib.Path(f"/proc/{pid}").exists() for pid in nodes.values())


@pytest.mark.parametrize("flags, named", [
    (["--role", "mixed", "--transfer-host", "0.0.0.0"], "--transfer-host"),
    (["--role", "mixed", "--host", "0.0.0.0", "--etcd", "http://127.0.0.1:1"], "--host"),
    (["--etcd", "http://127.0.0.1:1"], "--role")])
def test_addresses_that_nobody_reaches_are_refused(flags, named):
    program, model = program_and_model()
    done = subprocess.run(
        [program, "serve", model, "--port", "0", *flags], capture_output=True, text=True, timeout=60,
        env=dict(os.environ, WEIR_CLUSTER_SECRET="0123456789abcdef0123456789abcdef"))
    assert done.returncode != 0 and named in done.stderr, done


def test_a_policy_can_come_from_the_environment():
    program, model = program_and_model()
    done = subprocess.run(
        [program, "serve", model, "--dry-run"], capture_output=True, text=True, timeout=60,
        env=dict(os.environ, WEIR_KV_POLICY="h2o:sinks=4,recent=32", WEIR_BUDGET="25%"))
    assert done.returncode == 0 and "KV policy   h2o" in done.stderr, done


def test_a_killed_prefill_node_costs_no_answer(tmp_path, expected):
    model, answers = expected
    with cluster(tmp_path) as (process, port, log):
        one = client(port)
        decode = next(node["url"] for node in state(port)["nodes"] if node["home_role"] == "decode")
        victim = nodes_of(process)["prefill"]

        def run(number):
            try:
                return ask(one, model, number % len(PROMPTS))
            except openai.InternalServerError as error:
                assert error.status_code == 503 and error.body["code"], error
                return None

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(run, number) for number in range(96)]
            futures[20].result()
            os.kill(victim, signal.SIGKILL)
            results = [future.result() for future in futures]
        wrong = [number for number, text in enumerate(results) if text not in (None, answers[number % len(PROMPTS)])]
        assert wrong == []
        # Retryable errors are allowed, but there is a node that can do everything: it is used.
        assert results[-1] == answers[95 % len(PROMPTS)]
        assert sum(text is None for text in results) <= 4, results
        assert leaks_nothing(decode)


def test_a_killed_decode_node_is_a_retryable_error_or_a_right_answer(tmp_path, expected):
    model, answers = expected
    with cluster(tmp_path) as (process, port, log):
        one = client(port)
        prefill = next(node["url"] for node in state(port)["nodes"] if node["home_role"] == "prefill")
        assert ask(one, model, 1) == answers[1]
        os.kill(nodes_of(process)["decode"], signal.SIGKILL)
        # Every node can do both: the prefill node goes on alone.
        for number in range(8):
            try:
                assert ask(one, model, number) == answers[number]
            except openai.InternalServerError as error:
                assert error.status_code == 503, error
        assert ask(one, model, 9) == answers[9]
        assert leaks_nothing(prefill)


def test_nodes_end_with_a_killed_cluster(tmp_path):
    with cluster(tmp_path) as (process, _, _):
        nodes = nodes_of(process)
        process.kill()
        end = time.monotonic() + 20
        while any(pathlib.Path(f"/proc/{pid}").exists() for pid in nodes.values()):
            assert time.monotonic() < end, "a node lives on without its cluster"
            time.sleep(0.1)


def test_a_prefill_node_killed_while_its_blocks_stream_costs_no_answer(tmp_path, monkeypatch):
    """kill -9 after the first bytes of a prompt have reached the decode node, which computes it again."""
    program, _ = program_and_model()
    # Slow enough that a prompt takes seconds: 64 rows a step.
    model = tmp_path / "slow.gguf"
    subprocess.run([program, "bench", "make-model", "--geometry", "25m", "--output", model], check=True, capture_output=True)
    monkeypatch.setenv("WEIR_MODEL_FILE", str(model))
    monkeypatch.setenv("WEIR_CLUSTER_SECRET", "a secret of the tests alone")
    options = ["--threads", "1", "--max-model-len", "8192", "--max-num-seqs", "8", "--max-num-batched-tokens", "64"]
    body = {"prompt": [100 + number * 7 % 5000 for number in range(6000)], "max_tokens": 8, "temperature": 0,
            "ignore_eos": True, "return_token_ids": True}
    for name in ("one", "p", "d"):
        (tmp_path / name).mkdir()

    def ask_for_tokens(port, streams=False, **extra):
        wanted = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/completions", json.dumps({**body, "stream": streams, **extra}).encode(),
            {"Content-Type": "application/json"})
        with urllib.request.urlopen(wanted, timeout=120) as answer:
            if not streams:
                whole = json.loads(answer.read())
                return whole["choices"][0]["token_ids"], whole.get("weir")
            tokens = []
            for line in answer:
                if line.startswith(b"data: {"):
                    event = json.loads(line[6:])
                    assert "error" not in event, event
                    tokens += [token for choice in event["choices"] for token in choice.get("token_ids") or []]
            return tokens, None

    with server(tmp_path / "one", *options) as (_, port, _):
        right, _ = ask_for_tokens(port)
    with server(tmp_path / "d", "--role", "decode", *options) as (_, decode, _):
        for streams in (False, True):
            with server(tmp_path / "p", "--role", "prefill", *options) as (victim, prefill, _):
                words = [program, "route", "--port", "0", "--stream-kv", "--roles", "static", "--prefill",
                         f"http://127.0.0.1:{prefill}", "--decode", f"http://127.0.0.1:{decode}"]

                def is_up(text):
                    found = re.search(r"listening on \S+?:(\d+),", text)
                    return found if found and [node["state"] for node in state(found[1])["nodes"]] == ["up", "up"] else None

                with running(words, tmp_path / "router-log", is_up) as (_, found):
                    port = int(found[1])
                    whole, report = ask_for_tokens(port, cache_salt=f"whole {streams}")
                    assert whole == right and report["transfer"]["received_tokens"] == 5999, report
                    work = json.loads(fetch(f"http://127.0.0.1:{prefill}/weir/requests"))
                    with concurrent.futures.ThreadPoolExecutor(1) as pool:
                        future = pool.submit(ask_for_tokens, port, streams=streams, cache_salt=f"killed {streams}")
                        while json.loads(fetch(f"http://127.0.0.1:{prefill}/weir/requests"))["sent_bytes"] <= work["sent_bytes"]:
                            assert not future.done(), "the prompt was not slow enough"
                        victim.kill()
                        tokens, report = future.result()
                    assert tokens == right
                    assert streams or report["transfer"]["recomputed_because"] == "peer_lost", report
                    assert state(port)["counts"]["prefill_failures"] == 1, state(port)
        seen = json.loads(fetch(f"http://127.0.0.1:{decode}/weir/state"))["handoffs"]
        assert seen["received"] == 2 and seen["recomputed"] == {"peer_lost": 2}, seen
        assert leaks_nothing(f"http://127.0.0.1:{decode}")
