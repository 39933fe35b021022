"""Processes of a cluster that can be killed and started again at the same address: nodes, router, etcd."""

import ctypes
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    """No process of a campaign outlives it, however it ends."""
    LIBC.prctl(1, signal.SIGKILL)


def free_port(host="127.0.0.1"):
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def fetch(url, body=None, timeout=10):
    """GET, or POST of a JSON body; the text."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return answer.read().decode()


def until(what, seconds, condition):
    """Waits for a true value and returns it. An OSError counts as not yet."""
    end = time.monotonic() + seconds
    while True:
        try:
            if value := condition():
                return value
        except (OSError, ValueError):
            pass
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.02)


class Program:
    """A process with its log."""

    def __init__(self, name, words, folder, prefix=(), environment=None):
        self.name, self.words, self.prefix = name, [str(word) for word in words], list(prefix)
        self.log = pathlib.Path(folder, name + ".log")
        self.environment = dict(os.environ, **(environment or {}))
        self.process = None

    def start(self):
        self.begin = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("a") as sink:
            self.process = subprocess.Popen(
                [*self.prefix, *self.words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sink,
                env=self.environment, preexec_fn=die_with_parent)

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """As a crash: SIGKILL, and nobody waits for it to tidy up."""
        if self.process:
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                pipe.close()
            self.process = None

    def tail(self):
        return self.log.read_text()[-2000:]

    def last_words(self):
        """Since the last start, of a Swift crash the reason and the first places of our own in its backtrace, else the end of the log."""
        lines = self.log.read_bytes()[self.begin:].decode(errors="replace").splitlines()
        crash = next((number for number, line in enumerate(lines) if re.search("Fatal error|crashed", line)), None)
        if crash is None:
            return " | ".join(lines[-3:])
        places = [line.strip() for line in lines[crash:] if re.search(r"Fatal error|crashed|^\d+ .* in ", line)]
        return " | ".join(line[:160] for line in places[:12])


class Node(Program):
    """`weir serve --role ROLE` at a fixed HTTP address."""

    def __init__(self, weir, model, role, folder, *, host="127.0.0.1", prefix=(), environment=None, flags=()):
        self.role, self.port = role, free_port()
        self.url = f"http://{host}:{self.port}"
        super().__init__(
            f"{role}-1", [
                weir, "serve", model, "--role", role, "--host", host, "--port", self.port, "--node-id", f"{role}-1",
                "--announce", "--disable-access-log", "--disable-web", "--log-level", "warning", "--threads", 1, *flags],
            folder, prefix, environment)

    def start(self):
        super().start()
        until(f"{self.name} starts ({self.log})", 60, lambda: self.is_healthy())

    def is_healthy(self):
        if not self.is_running:
            raise RuntimeError(f"{self.name} ended with {self.process.returncode}: {self.tail()}")
        return fetch(self.url + "/health", timeout=2) is not None

    def state(self):
        return json.loads(fetch(self.url + "/weir/state"))

    @property
    def transfer_port(self):
        return int(self.state()["handoffs"]["address"].rsplit(":", 1)[1])

    def held(self):
        """What is not given back: blocks of the pool, kept and arriving handoffs, running and open requests."""
        text = fetch(self.url + "/metrics")

        def metric(name):
            found = re.search(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
            return int(float(found[1])) if found else 0
        blocks = metric("weir_kv_blocks") - metric("weir_kv_blocks_free") - metric("weir_kv_blocks_cached")
        rest = {name: metric(name) for name in (
            "weir_handoffs_held", "weir_handoffs_arriving", "weir_http_open_requests", "vllm:num_requests_running",
            "vllm:num_requests_waiting")}
        return {name: value for name, value in {"blocks": blocks, **rest}.items() if value != 0}

    def handoffs(self):
        """Counts of handoffs since the process started."""
        state = self.state()["handoffs"]
        return {"received": state["received"], "recomputed": state["recomputed"], "not_taken": state["not_taken"]}


class Router(Program):
    """`weir route` at a fixed address."""

    def __init__(self, weir, folder, nodes=(), flags=()):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        words = [weir, "route", "--port", self.port, "--log-level", "error", *flags]
        for node in nodes:
            words += [f"--{node.role}", node.url]
        super().__init__("router", words, folder)

    def start(self):
        super().start()
        until(f"the router starts ({self.log})", 20, lambda: fetch(self.url + "/health", timeout=2) is not None)

    def nodes_up(self):
        return sum(node["state"] == "up" for node in json.loads(fetch(self.url + "/weir/cluster", timeout=5))["nodes"])


class Etcd(Program):
    """A registry that keeps its data over a crash."""

    def __init__(self, program, folder):
        self.port, peer = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        own = f"http://127.0.0.1:{peer}"
        super().__init__(
            "etcd", [
                program, "--data-dir", pathlib.Path(folder, "etcd"), "--listen-client-urls", self.url,
                "--advertise-client-urls", self.url, "--listen-peer-urls", own, "--initial-advertise-peer-urls", own,
                "--initial-cluster", f"default={own}"], folder)

    def start(self):
        super().start()
        # etcd says much on its standard output; a full pipe would stop it.
        output = self.process.stdout
        threading.Thread(target=lambda: [None for _ in iter(lambda: self.read(output), b"")], daemon=True).start()
        until("etcd starts", 30, lambda: "true" in fetch(self.url + "/health", timeout=2))

    @staticmethod
    def read(output):
        try:
            return output.read1(65536)
        except ValueError:
            return b""
