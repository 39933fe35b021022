#!/usr/bin/env python3
"""Fault campaign: a real cluster under load, faults put into it, every answer compared with one process's.

    python3 Benchmarks/Faults/faults.py MODEL [--kinds kill-prefill,cut-link] [--runs 100] [--results FILE]
    python3 Benchmarks/Faults/faults.py MODEL --smoke

Exit code 1 if a token was wrong, a block was not given back, or a client got anything but the right answer or an error
that tells it to come again. Standard library only; kinds on the link between nodes need root and iproute2.
"""

import argparse
import collections
import ctypes.util
import datetime
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import references
from link import A, B, SECRET, Link, why_not
from load import ANSWER_TOKENS, Load, judge, make_prompts, right_tokens
from nodes import Etcd, Node, Router, fetch, free_port, until

ROOT = pathlib.Path(__file__).resolve().parents[2]
LEASE_SECONDS, ARRIVAL_SECONDS = 2, 3


class Stage:
    """One prefill node, one decode node, a router, clients."""

    lease_seconds = LEASE_SECONDS

    def __init__(self, options, folder, prompts, right, path="tcp", link=None, etcd=None, has_load=True):
        self.prompts, self.right, self.link, self.etcd = prompts, right, link, etcd
        self.notes, self.recomputed = [], collections.Counter()
        self.received, self.probes, self.seconds, self.seen = 0, 0, [], {}
        self.deaths, self.may_die = 0, False
        folder = pathlib.Path(tempfile.mkdtemp(dir=folder))
        flags = ["--kv-memory", options.kv_memory, "--kv-lease-duration", LEASE_SECONDS, "--kv-arrival-timeout",
                 ARRIVAL_SECONDS, "--transfer-path", path]
        where = [{}, {}]
        if link:
            where = [{"host": host, "prefix": link.enter(name)} for host, name in zip(link.hosts, ("a", "b"))]
        secret = {"WEIR_CLUSTER_SECRET": SECRET}
        self.nodes = []
        for role, place, transfer in (("prefill", where[0], A), ("decode", where[1], B)):
            own = ["--transfer-host", transfer] if link else []
            own += ["--etcd", etcd.url] if etcd else []
            environment = dict(secret, UCX_NET_DEVICES="kv0") if link else secret
            self.nodes.append(Node(options.weir, options.model, role, folder, environment=environment,
                                   flags=[*flags, *own], **place))
        self.prefill, self.decode = self.nodes
        self.router = Router(options.weir, folder, () if etcd else self.nodes, [
            *(["--etcd", etcd.url] if etcd else []), *(["--stream-kv"] if options.stream_kv else [])])
        for program in [*self.nodes, self.router]:
            program.start()
        self.follow()
        until("both nodes are up", 30, lambda: self.router.nodes_up() == 2)
        self.load = Load(self.router.url, prompts, right, options.clients, options.seed) if has_load else None

    def follow(self):
        if self.link:
            self.link.follow(self.prefill, self.decode)

    def note_handoffs(self, node):
        """Counts die with their process: of one that died of the fault those that were seen last count."""
        counts = node.handoffs() if node.is_running else self.seen.get(node.name)
        self.seen.pop(node.name, None)
        if not counts:
            return
        self.received += counts["received"]
        self.recomputed.update(counts["recomputed"])

    def restart(self, program, pause=0.0):
        if program in self.nodes:
            self.note_handoffs(program)
        program.kill()
        time.sleep(pause)
        program.start()
        self.follow()

    def recover(self):
        """Until an answer is handed over from node to node again."""
        began = time.monotonic()

        def is_back():
            self.restart_dead()
            self.probes += 1
            return self.load.probe(self.probes, f"probe-{self.probes}")
        try:
            until("recovery", 40, is_back)
        except TimeoutError as error:
            self.notes.append(f"unclean: {error}")
        self.seconds.append(time.monotonic() - began)
        for node in self.nodes if self.may_die else ():
            try:
                self.seen[node.name] = node.handoffs()
            except OSError:
                pass  # It has died meanwhile, which the next recovery finds.

    def restart_dead(self):
        """Starts what has died of the fault, and says so."""
        for program in [*self.nodes, self.router]:
            if not program.is_running:
                words = f"{program.name} died of the fault: {program.last_words()}"
                self.deaths += 1
                if not self.may_die:
                    self.notes.append("unclean: " + words)
                print(f"  {words}", flush=True)
                if program in self.nodes:
                    self.note_handoffs(program)
                program.start()
                self.follow()

    def settle(self):
        """Without clients everything is given back."""
        if self.load:
            self.load.pause()
        for node in self.nodes:
            try:
                until("blocks", 45, lambda: not node.is_running or not node.held())
            except TimeoutError:
                self.notes.append(self.leak(node))
        self.restart_dead()
        if self.load:
            self.load.resume()

    @staticmethod
    def leak(node):
        try:
            return f"leak: {node.name} keeps {node.held()}"
        except OSError as error:
            return f"unclean: {node.name} does not answer: {error}"

    def close(self):
        for node in self.nodes:
            self.note_handoffs(node)
        if self.load:
            self.load.pause()
            self.load.close()
        for program in [self.router, *self.nodes]:
            program.kill()


# MARK: faults. Each leaves the cluster as it was.

def kill_prefill(stage, chance):
    stage.restart(stage.prefill, chance.uniform(0, 0.4))


def kill_decode(stage, chance):
    stage.restart(stage.decode, chance.uniform(0, 0.4))


def kill_router(stage, chance):
    stage.restart(stage.router, chance.uniform(0, 0.2))


def stop(stage, chance):
    node = chance.choice(stage.nodes)
    node.signal(signal.SIGSTOP)
    time.sleep(chance.choice([0.05, 0.2, 0.2, 0.5, 0.5, 1.0, ARRIVAL_SECONDS + 1.5]))
    node.signal(signal.SIGCONT)


def cut_link(stage, chance):
    """Connections reset, a cable that is out for a while, or a link that swallows everything."""
    seconds = chance.choice([0.1, 0.3, 1.0, ARRIVAL_SECONDS + 1])
    match chance.randrange(3):
        case 0: during(stage, seconds, mode="cut")
        case 1: during(stage, seconds, mode="freeze")
        case _:
            stage.link.carrier(False)
            time.sleep(seconds)
            stage.link.carrier(True)


def slow_link(stage, chance):
    during(stage, chance.choice([0.5, 1.0, ARRIVAL_SECONDS]), mode="slow", rate=chance.choice([50_000, 200_000, 10**6]))


def corrupt_bytes(stage, chance):
    # A turned bit in UCX's own header stops a call for good, and its room is given back half a minute later: not in a
    # short campaign, if chance allows.
    share = 0.02 if stage.is_short else chance.choice([0.02, 0.1, 0.5])
    until("a damaged byte", 10, lambda: during(stage, chance.uniform(0.3, 1), mode="corrupt", share=share))


def corrupt_words(stage, chance):
    during(stage, chance.uniform(0.3, 1), mode="wire", share=chance.choice([0.05, 0.2]))


def stale_epoch(stage, chance):
    during(stage, chance.uniform(0.3, 1), mode="stale", share=0.5)


def duplicate_commit(stage, chance):
    during(stage, chance.uniform(0.3, 1), mode="duplicate")


def during(stage, seconds, **mode):
    stage.link.tell(do="mode", **mode)
    time.sleep(seconds)
    stage.spoilt = stage.link.tell(do="mode", mode="pass")["spoilt"]
    return stage.spoilt


def etcd_down(stage, chance):
    stage.etcd.kill()
    time.sleep(stage.down_seconds)
    stage.etcd.start()
    until("the nodes are members again", 30, lambda: stage.router.nodes_up() == 2)


# Kind: fault, where it is put, whether clients may lose their connection, what the proxy must have done.
KINDS = {
    "kill-prefill": (kill_prefill, ["shm", "tcp"], False, False),
    "kill-decode": (kill_decode, ["shm", "tcp"], False, False),
    "kill-router": (kill_router, ["shm"], True, False),
    "stop": (stop, ["shm", "tcp"], False, False),
    "cut-link": (cut_link, ["link"], False, False),
    "slow-link": (slow_link, ["link"], False, False),
    "corrupt-bytes": (corrupt_bytes, ["link"], False, True),
    "corrupt-words": (corrupt_words, ["link"], False, True),
    "stale-epoch": (stale_epoch, ["link"], False, True),
    "duplicate-commit": (duplicate_commit, ["link"], False, True),
    "etcd-down": (etcd_down, ["etcd"], False, False),
    "references": (None, ["shm", "tcp"], False, False),
}

# Debian's UCX 1.13 follows what stands in the headers of its own TCP frames, which nobody seals: a damaged one can end a
# node as kill -9 would. Such deaths are counted, and everything else is asked for as after a kill.
MAY_DIE = {"corrupt-bytes"}


def run_kind(kind, runs, options, folder, prompts, right):
    """One kind's figures."""
    fault, places, may_lose, must_spoil = KINDS[kind]
    total, spoilt, bad, recomputed, seconds, received = collections.Counter(), 0, [], collections.Counter(), [], 0
    why = collections.Counter()
    began = time.monotonic()
    for place in places:
        link = Link(folder) if place == "link" else None
        etcd = Etcd(options.etcd, tempfile.mkdtemp(dir=folder)) if place == "etcd" else None
        if etcd:
            etcd.start()
        stage = None
        try:
            stage = Stage(options, folder, prompts, right, path=place if place == "shm" else "tcp", link=link, etcd=etcd,
                          has_load=fault is not None)
            stage.may_die = kind in MAY_DIE
            stage.spoilt, stage.is_short, stage.down_seconds = 0, options.smoke, 3 if options.smoke else 30
            run_stage(stage, fault, -(-runs // len(places)), options, total)
        finally:
            if stage:
                stage.close()
            for helper in (link and link.close, etcd and etcd.kill):
                if helper:
                    helper()
        if stage.load:
            total.update(stage.load.counts)
            why.update(stage.load.why)
            bad += stage.load.bad
        spoilt += stage.spoilt
        total["deaths"] += stage.deaths
        bad += stage.notes
        recomputed.update(stage.recomputed)
        seconds += stage.seconds
        received += stage.received
    if total["lost"] and not may_lose:
        bad.append(f"unclean: {total['lost']} connections were lost")
    if must_spoil and not spoilt:
        bad.append("unclean: the proxy found nothing to spoil")
    deaths = total.pop("deaths")
    return {
        "runs": total.pop("runs"), "deaths": deaths, "answers": sum(total.values()), **{name: total[name] for name in (
            "right", "retryable", "lost", "wrong", "unclean")},
        "leaks": sum(text.startswith("leak") for text in bad), "spoilt": spoilt, "handed_over": received,
        "recomputed": dict(sorted(recomputed.items())), "errors": dict(sorted(why.items())),
        "longest_recovery_seconds": round(max(seconds, default=0), 2), "seconds": round(time.monotonic() - began, 1),
        "bad": bad[:20], "is_good": not bad,
    }


def run_stage(stage, fault, runs, options, total):
    chance = random.Random(options.seed)
    if stage.load:
        stage.load.resume()
        stage.recover()
        stage.seconds.clear()
    for run in range(runs):
        total["runs"] += 1
        if fault:
            time.sleep(chance.uniform(0.02, 0.25))
            fault(stage, chance)
            stage.recover()
        else:
            answers, bad = references.check(stage, run)
            total["right"] += answers - len(bad)
            total["wrong"] += sum(text.startswith("wrong") for text in bad)
            total["unclean"] += sum(not text.startswith("wrong") for text in bad)
            stage.notes += bad
        if run % options.settle_every == options.settle_every - 1 or run == runs - 1:
            stage.settle()


def machine():
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return f"{cpu[1] if cpu else 'unknown'}, {len(re.findall('^processor', pathlib.Path('/proc/cpuinfo').read_text(), re.M))} cores"


def table(lines):
    rows = ["| fault | runs | answers | right | retryable | lost | wrong | leaks | handed over | recomputed | good |",
            "|---|---|---|---|---|---|---|---|---|---|---|"]
    for line in lines:
        kind, figures = line["settings"]["kind"], line["figures"]
        reasons = ", ".join(f"{name} {count}" for name, count in figures["recomputed"].items()) or "-"
        rows.append(f"| {kind} | " + " | ".join(str(figures[name]) for name in (
            "runs", "answers", "right", "retryable", "lost", "wrong", "leaks", "handed_over")) + f" | {reasons} | {'yes' if figures['is_good'] else 'NO'} |")
    return "\n".join(rows)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    # absolute, because a process that enters the link's namespaces begins in /
    parser.add_argument("model", type=os.path.abspath, help="a GGUF file")
    parser.add_argument("--kinds", default=",".join(KINDS), help="which faults, separated by commas")
    parser.add_argument("--runs", type=int, default=100, help="of each kind but etcd-down")
    parser.add_argument("--etcd-runs", type=int, default=8, help="of etcd-down: half a minute each")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--kv-memory", default="48M", help="of each node; small, so that blocks are used again soon")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--settle-every", type=int, default=20, help="runs after which clients pause and nodes must "
                        "have given everything back; what leaks stays leaked, so nothing is missed between")
    parser.add_argument("--smoke", action="store_true", help="one or two runs of each kind, etcd away for three seconds")
    parser.add_argument("--stream-kv", action="store_true", help="blocks travel while their prompt is computed")
    parser.add_argument("--results", help="append one JSON line a kind to this file")
    parser.add_argument("--weir", type=os.path.abspath, default=ROOT / ".build/release/weir")
    parser.add_argument("--etcd", default=shutil.which("etcd"))
    options = parser.parse_args()
    unknown = set(options.kinds.split(",")) - set(KINDS)
    if unknown:
        parser.error(f"--kinds: {', '.join(sorted(unknown))} is none of {', '.join(KINDS)}")
    if options.smoke:
        options.runs, options.etcd_runs, options.prompts = 1, 1, 16
    return options


def why_skipped(kind, options):
    places = KINDS[kind][1]
    if "link" in places and (reason := why_not()):
        return reason
    return "needs etcd" if "etcd" in places and not options.etcd else None


def main():
    options = parse()
    if not ctypes.util.find_library("ucp"):
        print("faults: skipped, UCX is not installed; scripts/setup.sh installs Debian's libucx")
        return 0
    lines = []
    with tempfile.TemporaryDirectory(prefix="weir-faults-") as folder:
        prompts = make_prompts(options.seed, options.prompts)
        right = one_process(options, folder, prompts)
        print(f"faults: {len(prompts)} prompts, {len(set(map(tuple, right)))} different answers", flush=True)
        for kind in options.kinds.split(","):
            if reason := why_skipped(kind, options):
                print(f"{kind}: skipped, {reason}", flush=True)
                continue
            runs = options.etcd_runs if kind == "etcd-down" else options.runs
            figures = run_kind(kind, runs, options, folder, prompts, right)
            settings = {"kind": kind, "model": pathlib.Path(options.model).stem, "clients": options.clients,
                        "answer_tokens": ANSWER_TOKENS, "kv_memory": options.kv_memory, "seed": options.seed,
                        "lease_seconds": LEASE_SECONDS, "arrival_seconds": ARRIVAL_SECONDS, "stream_kv": options.stream_kv}
            lines.append({
                "bench": "faults", "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
                "command": "faults.py " + " ".join(sys.argv[1:]), "commit": commit(), "machine": machine(),
                "settings": settings, "figures": figures})
            print(f"{kind}: {json.dumps(figures)}", flush=True)
            if options.results:
                with open(options.results, "a") as sink:
                    sink.write(json.dumps(lines[-1]) + "\n")
    print(table(lines))
    good = all(line["figures"]["is_good"] for line in lines)
    print("faults: " + ("no wrong token, nothing kept, every answer right or retryable" if good else "FAILED"))
    return 0 if good else 1


def one_process(options, folder, prompts):
    """The right tokens, from a server on its own."""
    node = Node(options.weir, options.model, "mixed", folder, flags=["--kv-memory", options.kv_memory],
                environment={"WEIR_CLUSTER_SECRET": "of a single server"})
    node.start()
    try:
        return right_tokens(node.url, prompts)
    finally:
        node.kill()


def commit():
    found = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return found.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
