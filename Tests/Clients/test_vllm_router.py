"""The unmodified vllm-router in prefill/decode mode in front of two Weir nodes.

Runs where vllm-router is installed beside this Python; WEIR_PROGRAM and WEIR_MODEL_FILE as in
test_process.py."""

import contextlib
import pathlib
import socket
import sys
import urllib.request

import pytest

from test_cluster import PROMPTS, ask, client, expected, leaks_nothing, metric, pytestmark as needs_ucx
from test_process import running, server

ROUTER = pathlib.Path(sys.executable).parent / "vllm-router"
pytestmark = [needs_ucx, pytest.mark.skipif(not ROUTER.exists(), reason="vllm-router is not installed")]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def router(tmp_path, *options):
    """vllm-router in front of nodes: (its port, its log)."""
    port, log = free_port(), tmp_path / "router-log"

    def answers(_):
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)

    command = [ROUTER, "--host", "127.0.0.1", "--port", str(port), "--prometheus-port", str(free_port()), *options]
    with running(command, log, answers):
        yield port, log


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
        options = ["--vllm-pd-disaggregation", "--prefill", urls[0], "--decode", urls[1], "--policy", "consistent_hash"]
        with router(tmp_path, *options) as (port, log):
            one = client(port)
            for number in range(len(PROMPTS)):
                assert ask(one, model, number) == answers[number], log.read_text()[-2000:]
            for number in range(6):
                assert ask(one, model, number, stream=True) == answers[number], log.read_text()[-2000:]
        assert metric(urls[0], "weir_handoffs_sent_total") > 0
        received = metric(urls[1], "weir_handoffs_received_total")
        assert received >= len(PROMPTS) - 2, received
        assert all(leaks_nothing(url) for url in urls)
