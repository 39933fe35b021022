#!/usr/bin/env python3
"""`weir route` with and without --stream-kv in front of the same two nodes, request by request in turn.

    Benchmarks/Streaming/stream_kv.py MODEL --path tcp --rate 1gbit --repetitions 4 --results results/stream-kv.jsonl

What counts is the time from the end of the prefill on its node to the client's first token: `gap` is the client's time to
its first token less what the prefill node says of queue and prefill. With --rate the nodes are joined by a pair of
interfaces that `tc tbf` holds to that rate; it needs root. Every answer is compared with its twin's.
"""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Faults"))
from link import Link, why_not  # noqa: E402
from nodes import Node, Router, fetch, until  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]


class ShapedLink(Link):
    """The decode node in a namespace of its own, behind an interface that sends at most at a rate."""

    def __init__(self, rate):
        self.holders = {"decode": self.hold()}
        first = os.getpid() % 250
        self.hosts = [f"10.85.{first}.1", f"10.85.{first}.2"]
        self.devices = [f"weirkv{os.getpid() % 100000}", "kv0"]
        self.join(self.devices[0], None, self.hosts[0] + "/30", "kv0", "decode", self.hosts[1] + "/30")
        self.run(None, "tc", "qdisc", "add", "dev", self.devices[0], "root", "tbf", "rate", rate, "burst", "1mb",
                 "limit", "16mb")

    def close(self):
        for process in self.holders.values():
            process.kill()
            process.wait()


def ask(router, prompt, answer_tokens):
    """Seconds to the first and to the second token, and the tokens."""
    body = {"prompt": prompt, "max_tokens": answer_tokens, "temperature": 0, "ignore_eos": True, "stream": True,
            "return_token_ids": True, "cache": {"read": False, "store": False}}
    request = urllib.request.Request(
        router.url + "/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    tokens, times, began = [], [], time.monotonic()
    with urllib.request.urlopen(request, timeout=120) as answer:
        for line in answer:
            if not line.startswith(b"data: {"):
                continue
            event = json.loads(line[6:])
            assert "error" not in event, event
            for choice in event["choices"]:
                new = choice.get("token_ids") or []
                tokens += new
                times += [time.monotonic() - began] * len(new)
    return times, tokens


def measure(router, prefill, decode, prompt, answer_tokens):
    received = decode.handoffs()["received"]
    times, tokens = ask(router, prompt, answer_tokens)
    assert decode.handoffs()["received"] == received + 1, decode.handoffs()
    half = json.loads(fetch(prefill.url + "/weir/requests"))["requests"][-1]
    assert half["hands_over"], half
    computing = half["queue_seconds"] + half["prefill_seconds"]
    return {"first": times[0], "second": times[1], "prefill": half["prefill_seconds"], "gap": times[0] - computing}, tokens


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--weir", default=str(ROOT / ".build/release/weir"))
    parser.add_argument("--path", default="tcp", choices=["tcp", "shm"])
    parser.add_argument("--rate", help="of the link, for example 1gbit; without it the machine's own")
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--answer", type=int, default=4)
    parser.add_argument("--vocabulary", type=int, default=5000, help="token ids are from 300 to 300 more than this")
    parser.add_argument("--repetitions", type=int, default=4)
    parser.add_argument("--results")
    options = parser.parse_args()
    if options.rate and (options.path != "tcp" or why_not()):
        sys.exit(f"--rate is for --path tcp and {why_not() or 'there it works'}")
    # A program in a namespace starts at its root.
    options.weir, options.model = (str(pathlib.Path(path).resolve()) for path in (options.weir, options.model))
    samples = {"after": [], "streamed": []}
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        link = stack.enter_context(contextlib.closing(ShapedLink(options.rate))) if options.rate else None
        secret = {"WEIR_CLUSTER_SECRET": "the secret of a bench"}
        flags = ["--transfer-path", options.path, "--max-model-len", 2 * options.tokens]
        nodes = []
        for number, role in enumerate(("prefill", "decode")):
            place = {"environment": secret}
            if link:
                place = {"environment": dict(secret, UCX_NET_DEVICES=link.devices[number]), "host": link.hosts[number],
                         "prefix": link.enter("decode") if number else []}
            nodes.append(Node(options.weir, options.model, role, folder, flags=flags, **place))
        routers = {}
        for name, more in (("after", []), ("streamed", ["--stream-kv"])):
            own = folder / name
            own.mkdir()
            routers[name] = Router(options.weir, own, nodes, ["--roles", "static", *more])
        for program in [*nodes, *routers.values()]:
            stack.callback(program.kill)
            program.start()
        for router in routers.values():
            until("both nodes are up", 30, lambda: router.nodes_up() == 2)
        prefill, decode = nodes
        for turn in range(options.repetitions + 1):
            prompt = [300 + (place * 7919 + turn * 104729) % options.vocabulary for place in range(options.tokens)]
            # The first turn is not counted; who begins changes.
            answers = {}
            for name in sorted(routers, reverse=turn % 2 == 1):
                sample, answers[name] = measure(routers[name], prefill, decode, prompt, options.answer)
                if turn > 0:
                    samples[name].append(sample)
            assert answers["after"] == answers["streamed"], answers
        bytes_each = json.loads(fetch(prefill.url + "/weir/requests"))["sent_bytes"] // (2 * (options.repetitions + 1))
    figures = {name: {**{f"{key}_seconds": statistics.median(sample[key] for sample in found) for key in found[0]},
                      "gaps_seconds": [sample["gap"] for sample in found]} for name, found in samples.items()}
    for name, found in figures.items():
        print(f"{name:9} prefill {found['prefill_seconds']:7.3f} s, first token {found['first_seconds']:7.3f} s, "
              f"second {found['second_seconds']:7.3f} s, gap {1000 * found['gap_seconds']:7.1f} ms")
    if options.results:
        commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
        cpu = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
        words = [word.rsplit("/", 1)[-1] if word.startswith("/") else word for word in sys.argv[1:]]
        line = {"bench": "stream-kv", "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "command": "Benchmarks/Streaming/stream_kv.py " + " ".join(words), "commit": commit.stdout.strip(),
                "machine": f"{cpu}, {os.cpu_count()} cores",
                "settings": {"model": pathlib.Path(options.model).stem, "path": options.path, "rate": options.rate,
                             "tokens": options.tokens, "bytes": bytes_each, "repetitions": options.repetitions},
                "figures": figures}
        with open(options.results, "a") as sink:
            sink.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
