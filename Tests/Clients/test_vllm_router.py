"""The unmodified vllm-router in prefill/decode mode in front of two Weir nodes.

Runs where vllm-router is installed beside this Python; WEIR_PROGRAM and WEIR_MODEL_FILE as in
test_process.py."""

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from test_cluster import PROMPTS, ask, client, expected, leaks_nothing, metric, pytestmark as needs_ucx
from test_process import server

ROUTER = pathlib.Path(sys.executable).parent / "vllm-router"
pytestmark = [needs_ucx, pytest.mark.skipif(not ROUTER.exists(), reason="vllm-router is not installed")]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def router(tmp_path, prefill, decode):
    port = free_port()
    log = tmp_path / "router-log"
    with log.open("w") as sink:
        process = subprocess.Popen(
            [ROUTER, "--vllm-pd-disaggregation", "--prefill", prefill, "--decode", decode, "--host", "127.0.0.1",
             "--port", str(port), "--policy", "consistent_hash", "--prometheus-port", str(free_port())],
            stdout=sink, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + 60
        while True:
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)
                break
            time.sleep(0.1)
        yield port, log
    finally:
        process.kill()
        process.wait()


def test_vllm_router_answers_as_one_server_does(tmp_path, monkeypatch, expected):
    model, answers = expected
    monkeypatch.setenv("WEIR_CLUSTER_SECRET", "a secret of the tests alone")
    (tmp_path / "p").mkdir()
    (tmp_path / "d").mkdir()
    with (
        server(tmp_path / "p", "--threads", "1", "--role", "prefill") as (_, prefill, _),
        server(tmp_path / "d", "--threads", "1", "--role", "decode") as (_, decode, _),
    ):
        urls = [f"http://127.0.0.1:{port}" for port in (prefill, decode)]
        with router(tmp_path, *urls) as (port, log):
            one = client(port)
            for number in range(len(PROMPTS)):
                assert ask(one, model, number) == answers[number], log.read_text()[-2000:]
            for number in range(6):
                assert ask(one, model, number, stream=True) == answers[number], log.read_text()[-2000:]
        assert metric(urls[0], "weir_handoffs_sent_total") > 0
        received = metric(urls[1], "weir_handoffs_received_total")
        assert received >= len(PROMPTS) - 2, received
        assert all(leaks_nothing(url) for url in urls)
