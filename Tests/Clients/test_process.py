"""The program as a process of its own: what it holds in memory, and how it ends.

WEIR_PROGRAM: the built executable; WEIR_MODEL_FILE: a small model with a context of 4096 tokens."""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import time

import pytest


@contextlib.contextmanager
def running(command, log, ready, seconds=60):
    """A process of our own, once `ready(what it wrote)` is true: (process, what ready said)."""
    with log.open("w") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + seconds
        while not (found := ready(log.read_text())):
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        yield process, found
    finally:
        process.kill()
        process.wait()


def program_and_model():
    program, model = os.environ.get("WEIR_PROGRAM"), os.environ.get("WEIR_MODEL_FILE")
    if not program or not model:
        pytest.skip("WEIR_PROGRAM and WEIR_MODEL_FILE do not name the program and a model")
    return program, model


@contextlib.contextmanager
def server(tmp_path, *options):
    """A server of our own: (process, port, what it wrote so far)."""
    program, model = program_and_model()
    log = tmp_path / "log"
    command = [program, "serve", model, "--port", "0", "--disable-access-log", *options]
    with running(command, log, lambda text: re.search(r"listening on \S+?:(\d+)\s", text)) as (process, found):
        yield process, int(found[1]), log


def post(port, path, body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    return connection, connection.getresponse()


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, response.read()


def test_sigterm_lets_running_answers_end(tmp_path):
    with server(tmp_path) as (process, port, log):
        body = {"prompt": "Once", "max_tokens": 3500, "stream": True, "ignore_eos": True}
        _, running = post(port, "/v1/completions", body)
        assert running.status == 200
        text = running.readline()
        process.send_signal(signal.SIGTERM)
        # New work is refused while the old goes on: by status, or by a closed door once all is done.
        with contextlib.suppress(ConnectionError, http.client.HTTPException):
            end = time.monotonic() + 5
            while get(port, "/ready")[0] != 503:
                assert time.monotonic() < end, "the server still calls itself ready"
            _, refused = post(port, "/v1/completions", {"prompt": "More", "max_tokens": 1})
            assert refused.status == 503
            assert refused.headers["retry-after"]
        text += running.read()
        assert text.rstrip().endswith(b"data: [DONE]"), text[-300:]
        assert b'"finish_reason":"length"' in text.replace(b" ", b"")
        assert process.wait(20) == 0, log.read_text()


def test_sigterm_with_nothing_to_do_ends_at_once(tmp_path):
    with server(tmp_path) as (process, port, log):
        assert get(port, "/health")[0] == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0, log.read_text()


def test_a_port_in_use_is_said_with_what_to_do(tmp_path):
    with server(tmp_path) as (_, port, _):
        second = subprocess.run(
            [os.environ["WEIR_PROGRAM"], "serve", os.environ["WEIR_MODEL_FILE"], "--port", str(port)],
            capture_output=True, text=True, timeout=60)
        assert second.returncode == 1
        assert f"127.0.0.1:{port}" in second.stderr and "--port" in second.stderr, second.stderr
        assert "bind" not in second.stderr and "errno" not in second.stderr, second.stderr
        assert get(port, "/health")[0] == 200


def test_an_address_of_another_machine_is_said(tmp_path):
    with server(tmp_path):
        # 192.0.2.0/24 is for documentation: no machine has it.
        refused = subprocess.run(
            [os.environ["WEIR_PROGRAM"], "serve", os.environ["WEIR_MODEL_FILE"], "--port", "0", "--host", "192.0.2.1"],
            capture_output=True, text=True, timeout=60)
        assert refused.returncode == 1 and "--host" in refused.stderr, refused.stderr


def test_running_answers_are_cut_at_the_timeout(tmp_path):
    with server(tmp_path, "--shutdown-timeout", "0") as (process, port, log):
        _, running = post(port, "/v1/completions", {"prompt": "Once", "max_tokens": 4000, "stream": True, "n": 16,
                                                    "ignore_eos": True})
        assert running.status == 200
        running.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, log.read_text()


def test_peak_memory_is_what_the_plan_says(tmp_path):
    with server(tmp_path, "--kv-memory", "256M") as (process, port, log):
        number, unit = re.search(r"in all\s+([\d.]+) ([KMG])iB", log.read_text()).groups()
        planned = float(number) * 1024 ** ("KMG".index(unit) + 1)
        for prompt in range(400):
            connection, response = post(port, "/v1/completions", {
                "prompt": [(prompt * 7919 + place * 31) % 200 + 300 for place in range(3000)], "max_tokens": 2})
            assert response.status == 200, response.read()
            response.read()
            connection.close()
            state = json.loads(get(port, "/weir/state")[1])
            if state["pool"]["evicted_blocks"] > 0:
                break
        assert state["pool"]["evicted_blocks"] > 0, "the pool was never full"
        with open(f"/proc/{process.pid}/status") as status:
            peak = 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1])
        assert 0.9 < peak / planned < 1.1, f"planned {planned / 2**20:.1f} MiB, peak {peak / 2**20:.1f} MiB"
