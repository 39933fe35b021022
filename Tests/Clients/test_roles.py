"""Roles and the control plane as a user runs them: nodes, a router, TLS.

WEIR_PROGRAM and WEIR_MODEL_FILE as in test_process.py."""

import contextlib
import http.client
import json
import os
import re
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request

import openai
import pytest

from test_cluster import ask, client, expected, pytestmark as needs_ucx, state
from test_process import program_and_model, running, server

pytestmark = needs_ucx


def certificate(folder, name):
    """Signed by itself, for 127.0.0.1: name.pem and name.key."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"],
        check=True, capture_output=True)


@contextlib.contextmanager
def route(tmp_path, *options):
    """A router of our own: (process, port, its log)."""
    log = tmp_path / "route-log"
    command = [os.environ["WEIR_PROGRAM"], "route", "--port", "0", *options]
    with running(command, log, lambda text: re.search(r"listening on \S+?:(\d+),", text)) as (process, found):
        yield process, int(found[1]), log


def until(port, holds, seconds=30):
    end = time.monotonic() + seconds
    while not holds(seen := state(port)):
        assert time.monotonic() < end, seen
        time.sleep(0.05)
    return seen


def test_a_side_without_nodes_is_covered_and_the_reason_is_told(tmp_path, monkeypatch, expected):
    model, answers = expected
    monkeypatch.setenv("WEIR_CLUSTER_SECRET", "a secret of the tests alone")
    (tmp_path / "p").mkdir()
    with server(tmp_path / "p", "--threads", "1", "--role", "prefill", "--node-id", "p") as (_, prefill, _):
        with route(tmp_path, "--node", f"http://127.0.0.1:{prefill}") as (_, port, log):
            seen = until(port, lambda seen: seen["nodes"][0].get("role") == "mixed")
            assert seen["nodes"][0]["home_role"] == "prefill"
            flip = seen["roles"]["flips"][0]
            assert flip["node"] == "p" and flip["from"] == "prefill" and flip["to"] == "mixed", seen
            assert flip["outcome"] == "followed" and "no live node takes decode" in flip["reason"], seen
            assert ask(client(port), model, 1) == answers[1]
            # A static router in front of both leaves roles alone.
            (tmp_path / "d").mkdir()
            with server(tmp_path / "d", "--threads", "1", "--role", "decode", "--node-id", "d") as (_, decode, _):
                with route(tmp_path / "d", "--prefill", f"http://127.0.0.1:{prefill}", "--decode",
                           f"http://127.0.0.1:{decode}", "--roles", "static") as (_, other, _):
                    assert state(other)["roles"]["plan"] == "static"
                    assert ask(client(other), model, 3) == answers[3]


def test_without_the_secret_roles_are_static_or_an_error(tmp_path):
    with server(tmp_path, "--threads", "1") as (_, node, _):
        environment = {key: value for key, value in os.environ.items() if key != "WEIR_CLUSTER_SECRET"}
        done = subprocess.run(
            [os.environ["WEIR_PROGRAM"], "route", "--port", "0", "--node", f"http://127.0.0.1:{node}", "--roles",
             "load-aware"], capture_output=True, text=True, timeout=60, env=environment)
        assert done.returncode != 0 and "secret" in done.stderr, done


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_the_control_plane_may_be_encrypted(tmp_path, monkeypatch, expected):
    model, answers = expected
    monkeypatch.setenv("WEIR_CLUSTER_SECRET", "a secret of the tests alone")
    certificate(tmp_path, "right")
    certificate(tmp_path, "wrong")
    tls = ["--ssl-certfile", str(tmp_path / "right.pem"), "--ssl-keyfile", str(tmp_path / "right.key")]
    for name in "pd":
        (tmp_path / name).mkdir()
    with (
        server(tmp_path / "p", "--threads", "1", "--role", "prefill", "--protect-metrics", "--api-key", "none", *tls) as (
            _, prefill, _),
        server(tmp_path / "d", "--threads", "1", "--role", "decode", "--protect-metrics", "--api-key", "none", *tls) as (
            _, decode, _),
    ):
        nodes = ["--node", f"https://127.0.0.1:{prefill}", "--node", f"https://127.0.0.1:{decode}"]
        with route(tmp_path, *nodes, "--roles", "static", "--tls-ca-file", str(tmp_path / "right.pem")) as (_, port, log):
            until(port, lambda seen: [node["state"] for node in seen["nodes"]] == ["up", "up"])
            assert ask(client(port), model, 2) == answers[2]
            assert state(port)["counts"]["disaggregated"] == 1, state(port)
        with route(tmp_path, *nodes, "--tls-ca-file", str(tmp_path / "wrong.pem")) as (_, port, _):
            time.sleep(1)
            assert [node["state"] for node in state(port)["nodes"]] == ["unknown", "unknown"]
        done = subprocess.run(
            [os.environ["WEIR_PROGRAM"], "route", "--port", "0", *nodes, "--tls-ca-file", str(tmp_path / "right.key")],
            capture_output=True, text=True, timeout=60)
        assert done.returncode != 0 and "--tls-ca-file" in done.stderr, done


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_a_whole_cluster_may_be_behind_one_certificate(tmp_path, expected):
    model, answers = expected
    certificate(tmp_path, "right")
    certificate(tmp_path, "wrong")
    files = ["--ssl-certfile", str(tmp_path / "right.pem"), "--ssl-keyfile", str(tmp_path / "right.key")]
    program, file = program_and_model()
    command = [program, "cluster", "up", file, "--port", "0", "--threads", "1", "--roles", "static", *files]
    with running(command, tmp_path / "log", lambda text: text.count(" is up at https://") >= 2 and re.search(
            r"listening on \S+?:(\d+),", text), seconds=90) as (_, found):
        url = f"https://127.0.0.1:{found[1]}"
        trust = ssl.create_default_context(cafile=tmp_path / "right.pem")
        one = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, http_client=openai.DefaultHttpxClient(verify=trust))
        assert [ask(one, model, number) for number in range(4)] == answers[:4]
        assert ask(one, model, 4, stream=True) == answers[4]
        seen = json.load(urllib.request.urlopen(f"{url}/weir/cluster", context=trust))
        assert seen["counts"]["disaggregated"] == 5, seen
        assert all(node["url"].startswith("https://") for node in seen["nodes"]), seen
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(f"{url}/health", context=ssl.create_default_context(cafile=tmp_path / "wrong.pem"))
        with pytest.raises((OSError, http.client.HTTPException)):
            urllib.request.urlopen(f"http://127.0.0.1:{found[1]}/health", timeout=10)
    done = subprocess.run([program, "route", "--port", "0", "--node", "http://127.0.0.1:1", *files[:2]],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "--ssl-keyfile" in done.stderr, done
