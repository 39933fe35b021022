"""A link between two nodes that can be spoilt: network namespaces with a proxy in the middle of every TCP connection.

    node A 10.83.0.1 --- [PA owns 10.83.0.2]  proxy  [PB owns 10.83.0.1] --- node B 10.83.0.2

Each node believes that it speaks with the other; HTTP goes around over 10.84.x. Needs root, `ip`, `nsenter`, `unshare`.
"""

import ctypes
import hashlib
import hmac
import json
import os
import pathlib
import random
import select
import shutil
import socket
import subprocess
import sys
import threading
import time

from nodes import LIBC, die_with_parent, until

A, B = "10.83.0.1", "10.83.0.2"
HANDSHAKE, MESSAGE, GRANTED, COMMIT = 1, 3, 2, 4
HELLO, CHALLENGE, NONCE_BYTES, SEAL_BYTES = 1, 2, 32, 32
SECRET = "the secret of a fault campaign"


def why_not():
    """Why there can be no such link here; None if there can."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [name for name in ("ip", "nsenter", "unshare") if not shutil.which(name)]
    return f"needs {', '.join(missing)}" if missing else None


class Link:
    """Made and driven by the campaign; the proxy is a process of its own."""

    def __init__(self, folder):
        self.holders = {name: self.hold() for name in ("a", "b", "pa", "pb")}
        for node, proxy, own, other in (("a", "pa", A, B), ("b", "pb", B, A)):
            self.join("kv0", node, own + "/24", "kv0", proxy, other + "/24")
        # Names and addresses of this process's own, so that two campaigns do not meet.
        first = os.getpid() % 120 * 2 + 1
        self.hosts = [f"10.84.{first}.2", f"10.84.{first + 1}.2"]
        for host, node in zip(self.hosts, ("a", "b")):
            self.join(f"weir{os.getpid()}{node}", None, host[:-1] + "1/30", "http0", node, host + "/30")
        self.proxy = subprocess.Popen(
            [sys.executable, __file__, str(self.holders["pa"].pid), str(self.holders["pb"].pid)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=pathlib.Path(folder, "proxy.log").open("a"), text=True,
            preexec_fn=die_with_parent)

    def hold(self):
        """A process that keeps a namespace alive. UCX looks for interfaces in /sys, which must show the namespace's."""
        process = subprocess.Popen(
            ["unshare", "--net", "--mount", "sh", "-c", "mount -t sysfs none /sys && exec sleep infinity"],
            preexec_fn=die_with_parent)
        until("a network namespace", 10,
              lambda: pathlib.Path(f"/proc/{process.pid}/comm").read_text().strip() == "sleep")
        return process

    def enter(self, name):
        return ["nsenter", "-t", str(self.holders[name].pid), "-n", "-m"] if name else []

    def run(self, name, *words):
        subprocess.run([*self.enter(name), *words], check=True)

    def join(self, one, place, address, other, peer, peer_address):
        """A pair of interfaces; place None is this namespace."""
        ends = [f"weir{os.getpid()}{end}" for end in "xy"]
        self.run(None, "ip", "link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for temporary, name, at, with_address in (
                (ends[0], one, place, address), (ends[1], other, peer, peer_address)):
            if at:
                self.run(None, "ip", "link", "set", temporary, "netns", str(self.holders[at].pid))
                self.run(at, "ip", "link", "set", "lo", "up")
            self.run(at, "ip", "link", "set", temporary, "name", name)
            self.run(at, "ip", "address", "add", with_address, "dev", name)
            self.run(at, "ip", "link", "set", name, "up")

    def listening(self, name):
        """Ports on which the node in a namespace is reached over the link."""
        table = pathlib.Path(f"/proc/{self.holders[name].pid}/net/tcp").read_text().splitlines()[1:]
        rows = [line.split() for line in table]
        own = {"%08X" % int.from_bytes(socket.inet_aton(ip), "little") for ip in (A, B, "0.0.0.0")}
        places = [row[1].split(":") for row in rows if row[3] == "0A"]
        return sorted({int(port, 16) for address, port in places if address in own})

    def tell(self, **command):
        self.proxy.stdin.write(json.dumps(command) + "\n")
        self.proxy.stdin.flush()
        return json.loads(self.proxy.stdout.readline())

    def follow(self, prefill, decode):
        """Lets the proxy stand in for nodes that were (re)started: A is the prefill node."""
        return self.tell(do="listen", a=self.listening("a"), b=self.listening("b"),
                         control=[prefill.transfer_port, decode.transfer_port])

    def carrier(self, is_up):
        """Pulls the cable, or puts it back."""
        self.run("pb", "ip", "link", "set", "kv0", "up" if is_up else "down")

    def close(self):
        for process in [self.proxy, *self.holders.values()]:
            process.kill()
            process.wait()


def counted(data):
    """As the nodes write texts and bytes: a 32-bit length, then they."""
    return len(data).to_bytes(4, "little") + data


class Seals:
    """What the two ends of one control connection seal their frames with: the proxy knows the secret, so that it can play
    a node that speaks wrongly, not only a wire that does harm."""

    def __init__(self):
        self.nonces, self.numbers = {}, {True: 0, False: 0}

    def learn(self, frame):
        """Takes the nonce out of a handshake's frame: magic, kind, nonce."""
        if frame[9] in (HELLO, CHALLENGE):
            self.nonces[frame[9]] = frame[14:14 + NONCE_BYTES]

    def sealed(self, kind, payload, is_from_initiator):
        role = b"initiator" if is_from_initiator else b"responder"
        number = self.numbers[is_from_initiator]
        self.numbers[is_from_initiator] += 1
        said = counted(b"weir-frame-1") + counted(role) + counted(self.nonces[HELLO]) + counted(
            self.nonces[CHALLENGE]) + number.to_bytes(8, "little") + bytes([kind]) + payload
        payload += hmac.new(SECRET.encode(), said, hashlib.sha256).digest()
        return len(payload).to_bytes(4, "little") + bytes([kind]) + payload


class Proxy:
    """Stands between the nodes, in both namespaces."""

    def __init__(self, pa, pb):
        self.spaces = {name: os.open(f"/proc/{pid}/ns/net", os.O_RDONLY) for name, pid in (("pa", pa), ("pb", pb))}
        self.listeners, self.control, self.pairs = {}, set(), set()
        self.lock = threading.Condition()
        self.mode = {"mode": "pass"}
        self.counts = {"spoilt": 0, "connections": 0}
        self.chance = random.Random(7)
        self.last = {}

    def socket_in(self, name):
        """A socket belongs for ever to the namespace that it was made in."""
        if LIBC.setns(self.spaces[name], 0x40000000) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        return socket.socket()

    def serve(self):
        for line in sys.stdin:
            command = json.loads(line)
            if command["do"] == "listen":
                self.listen(command)
            elif command["do"] == "mode":
                with self.lock:
                    self.mode = command
                    self.lock.notify_all()
                if command["mode"] == "cut":
                    self.cut()
            print(json.dumps(self.counts), flush=True)

    def listen(self, command):
        with self.lock:
            self.control = set(command["control"])
        wanted = {("pb", A, port) for port in command["a"]} | {("pa", B, port) for port in command["b"]}
        for key in set(self.listeners) - wanted:
            self.listeners.pop(key).close()
        for key in wanted - set(self.listeners):
            name, host, port = key
            door = self.socket_in(name)
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.bind((host, port))
            door.listen(64)
            self.listeners[key] = door
            threading.Thread(target=self.accept, args=(door, name, host, port), daemon=True).start()

    def accept(self, door, name, host, port):
        while True:
            try:
                client, _ = door.accept()
            except OSError:
                return
            threading.Thread(target=self.join, args=(client, name, host, port), daemon=True).start()

    def join(self, client, name, host, port):
        server = None
        try:
            with self.lock:
                if self.mode["mode"] == "cut":
                    raise OSError("cut")
            server = self.socket_in("pa" if name == "pb" else "pb")
            server.settimeout(5)
            server.connect((host, port))
            server.settimeout(None)
        except OSError:
            client.close()
            if server:
                server.close()
            return
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.lock:
            self.pairs.add((client, server))
            self.counts["connections"] += 1
            is_control = port in self.control
        # What A sends is what the decode node receives: the direction of KV.
        from_a = server if host == A else client
        seals = Seals() if is_control else None
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=self.pump, args=(source, sink, source is from_a, seals, (client, server)),
                             daemon=True).start()

    def pump(self, source, sink, is_from_a, seals, pair):
        frames = bytearray()
        try:
            while data := source.recv(1 << 14):
                mode = self.mode
                if mode["mode"] == "freeze":
                    with self.lock:
                        self.lock.wait_for(lambda: self.mode["mode"] != "freeze")
                if seals:
                    frames += data
                    data = b"".join(self.spoil_frame(frame, source is pair[0], seals)
                                    for frame in self.cut_frames(frames))
                elif is_from_a:
                    data = self.spoil_bytes(data)
                sink.sendall(data)
                if self.mode["mode"] == "slow":
                    time.sleep(len(data) / self.mode["rate"])
        except OSError:
            pass
        self.end(pair)

    @staticmethod
    def cut_frames(frames):
        """Takes whole frames out: a 32-bit length, a kind, as many bytes."""
        while len(frames) >= 5:
            size = 5 + int.from_bytes(frames[:4], "little")
            if len(frames) < size:
                return
            yield bytes(frames[:size])
            del frames[:size]

    def spoil_bytes(self, data):
        if self.mode["mode"] != "corrupt" or len(data) < 4096 or self.chance.random() > self.mode["share"]:
            return data
        self.counts["spoilt"] += 1
        return self.flip(data, 0)

    def flip(self, data, first):
        """One bit of `data` from byte `first` on is turned."""
        place, bit = self.chance.randrange(first, len(data)), 1 << self.chance.randrange(8)
        return data[:place] + bytes([data[place] ^ bit]) + data[place + 1:]

    def spoil_frame(self, frame, is_from_initiator, seals):
        """What goes on in a frame's place: that frame, sealed again, or what the mode makes of it."""
        kind, payload = frame[4], frame[5:]
        if kind == HANDSHAKE:
            seals.learn(frame)
            return frame
        payload = payload[:-SEAL_BYTES]
        return b"".join(self.flip(whole, 5) if is_damaged else whole for whole, is_damaged in (
            (seals.sealed(kind, part, is_from_initiator), is_damaged) for part, is_damaged in self.spoilt(kind, payload)))

    def spoilt(self, kind, payload):
        """The payloads that go on in place of one, and whether their frames are damaged on the wire."""
        mode = self.mode["mode"]
        if kind != MESSAGE or self.chance.random() >= self.mode.get("share", 1):
            return [(payload, False)]
        if mode == "wire":
            self.counts["spoilt"] += 1
            return [(payload, True)]
        if mode == "duplicate" and payload[0] == COMMIT:
            self.counts["spoilt"] += 1
            old, self.last["commit"] = self.last.get("commit", payload), payload
            return [(old, False), (payload, False), (payload, False)]
        if mode == "stale" and payload[0] == GRANTED:
            # The epoch stands behind kind and name; the sender will commit under one that is over.
            self.counts["spoilt"] += 1
            epoch = (int.from_bytes(payload[17:25], "little") - 1) % (1 << 64)
            return [(payload[:17] + epoch.to_bytes(8, "little") + payload[25:], False)]
        return [(payload, False)]

    def end(self, pair):
        with self.lock:
            self.pairs.discard(pair)
        for one in pair:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        with self.lock:
            pairs = list(self.pairs)
        for pair in pairs:
            for one in pair:
                # A reset, not an orderly end.
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.end(pair)


if __name__ == "__main__":
    Proxy(*map(int, sys.argv[1:])).serve()
