"""Floods: SYNs from addresses that do not exist, resets, slow peers by the
hundred, and what the kernel runs out of: ports and pipes (test_scarce.py:
conntrack and memory)."""

import contextlib
import os
import random
import resource
import socket
import struct
import subprocess
import time

import pytest

from background import Background
from daemon import has_sanitizer
from icmp import checksum
from lab import CLIENT, CLIENT_B, SERVER, eventually
from peers import (End, assert_exchanged, exchange, is_reset, lull, pump,
                   recv_exactly, reset, try_connect)
from test_limits import SlowReaders

MEBIBYTE = 1 << 20
SPOOFED = "10.99.0.0/16"
SYNS, SECONDS = 20000, 3	# a second, and how long


def syn(to):
    """A SYN to TO from an address and port that nobody has."""
    src = b"\x0a\x63" + os.urandom(2)
    dst = socket.inet_aton(to[0])
    tcp = [random.randrange(1024, 65536), to[1], random.getrandbits(32), 0,
           5 << 12 | 2, 64240, 0, 0]
    tcp[6] = checksum(struct.pack("!4s4sBBHHHIIHHHH", src, dst, 0, 6, 20,
                                  *tcp))
    return struct.pack("!BBHHHBBH4s4sHHIIHHHH", 0x45, 0, 40, 0, 0, 64, 6, 0,
                       src, dst, *tcp)


class SynFlood(Background):
    """SYNS a second from the client's side, while the block runs, for
    SECONDS at least and twice that at most."""

    def __init__(self, lab, to):
        super().__init__()
        self.lab, self.sent, self.started = lab, 0, None
        self.packets = [syn(to) for _ in range(16384)]

    def _run(self):
        with self.lab.client, socket.socket(
                socket.AF_INET, socket.SOCK_RAW,
                socket.IPPROTO_RAW) as raw:
            self.started = time.monotonic()
            while time.monotonic() < self.started + 2 * SECONDS and not (
                    self._stop.is_set() and
                    time.monotonic() > self.started + SECONDS):
                due = (time.monotonic() - self.started) * SYNS
                while self.sent < due:
                    raw.sendto(self.packets[self.sent % 16384],
                               (SERVER[4], 0))
                    self.sent += 1
                lull(0.005)

    def __enter__(self):
        self.lab.gateway.ip("route add %s via %s\n" % (SPOOFED, CLIENT[4]))
        super().__enter__()
        eventually(lambda: self.sent > 10000)
        return self

    def __exit__(self, *_):
        super().__exit__()
        self.lab.gateway.ip("route del %s\n" % SPOOFED)


@pytest.mark.parametrize("cookies", [1, 0])
def test_syn_flood(unatatp_once, lab, peers, cookies):
    """The daemon does not see it: no CPU, no descriptor, and live flows go
    on. With SYN cookies, the kernel's default, who connects is served within
    three seconds; without them its kernel lets nobody new in."""
    daemon = unatatp_once()
    live = peers.flow()
    listener = peers.listen()
    fds, waited = daemon.fds(), []
    lab.gateway.sysctl(ipv4__tcp_syncookies=cookies)
    try:
        with SynFlood(lab, listener.getsockname()) as flood:
            cpu, began = daemon.cpu(), time.monotonic()
            while cookies and time.monotonic() < began + SECONDS:
                started = time.monotonic()
                client, server = peers.flow(listener=listener)
                waited.append(time.monotonic() - started)
                speak((client, server))
                client.close()
                server.close()
                lull(0.1)
            speak(live)
            cpu = (daemon.cpu() - cpu) / (time.monotonic() - began)
        assert flood.sent > SYNS * SECONDS / 4
    finally:
        lab.gateway.sysctl(ipv4__tcp_syncookies=1)
    print("flood: %d SYNs, cpu %.3f, slowest connect %.3f s of %d" % (
        flood.sent, cpu, max(waited, default=0), len(waited)))
    assert not waited or max(waited) < 3
    assert cookies == 0 or cpu < 0.2
    exchange(*live, MEBIBYTE, MEBIBYTE)
    eventually(lambda: daemon.fds() <= fds)


def speak(pair):
    """A byte each way."""
    for one, two in (pair, pair[::-1]):
        one.sendall(b"?")
        assert recv_exactly(two, 1) == b"?"


def test_ports_exhausted(unatatp, lab, peers):
    """Ten local ports: the eleventh flow to one destination is reset at
    once, others go on, and a port that comes free serves again."""
    daemon = unatatp()
    one, two = peers.listen(), peers.listen()
    lab.gateway.sysctl(ipv4__ip_local_port_range="40000 40009")
    try:
        flows = [peers.flow(listener=one) for _ in range(10)]
        waits = []
        for _ in range(5):
            started = time.monotonic()
            late = try_connect(peers, one)
            eventually(lambda sock=late: sock is None or is_reset(sock))
            waits.append(time.monotonic() - started)
        assert min(waits) < 0.1, waits
        daemon.wait_stat("resources", 5)
        flows += [peers.flow(listener=two) for _ in range(10)]
        for pair in flows[1:]:
            speak(pair)
        reset(flows[0][1])
        eventually(lambda: is_reset(flows[0][0]))
        speak(peers.flow(listener=one))
    finally:
        lab.gateway.sysctl(ipv4__ip_local_port_range="10000 60999")


SPEND = """
import fcntl, os, sys
pipes = []
while True:
    pipes.append(os.pipe())
    try:
        fcntl.fcntl(pipes[-1][1], 1031, 1 << 20)
    except PermissionError:
        if fcntl.fcntl(pipes[-1][1], 1032) < 65536:
            break
print("spent", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def pipe_quota_spent(user):
    """A process of USER holds all the pages of pipes that it may have."""
    with open("/proc/sys/fs/pipe-user-pages-soft", encoding="ascii") as file:
        soft = int(file.read())
    if not 0 < soft <= 1 << 16:
        pytest.skip("fs.pipe-user-pages-soft is %d: not a quota to spend" %
                    soft)
    with subprocess.Popen(
            ["setpriv", "--reuid", user, "--clear-groups", "--inh-caps=-all",
             "/usr/bin/python3", "-c", SPEND], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "spent\n"
            yield
        finally:
            process.stdin.close()


def test_pipe_quota_spent(unatatp_once, peers):
    """The daemon's user may have no pipe of the size it wants: bulk flows go
    on with small ones or by copying, and that is counted."""
    daemon = unatatp_once.start(options=unatatp_once.options(
        user="games", policies=[{"name": "all", "splice_after": "64K"}]))
    exchange(*peers.flow(), 4 * MEBIBYTE, 4 * MEBIBYTE)
    assert daemon.stats()["pipes_refused"] == 0
    with pipe_quota_spent("games"):
        # Of these some need more pipes than the pool has at rest.
        flows = [peers.flow() for _ in range(20)]
        ends = [End(sock, MEBIBYTE) for pair in flows for sock in pair]
        pump(ends)
        for i in range(0, len(ends), 2):
            assert_exchanged(ends[i], ends[i + 1])
        slow = SlowReaders(peers, 30, MEBIBYTE)
        slow.stall()
        assert daemon.stats()["pipes_refused"] > 0
        slow.finish()


@contextlib.contextmanager
def room_for_descriptors(n):
    """We may have N descriptors ourselves."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE,
                       (max(before[0], min(n, before[1])), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


class SlowWriters(Background):
    """N clients that send a byte now and then, while the block runs."""

    def __init__(self, peers, n):
        super().__init__()
        listener = peers.listen()
        self.pairs = [peers.flow(listener=listener) for _ in range(n)]
        self.rounds = 0

    def _run(self):
        while not self._stop.wait(0.1):
            for client, _ in self.pairs:
                client.send(bytes([self.rounds & 255]))
            self.rounds += 1

    def __exit__(self, *_):
        super().__exit__()
        wanted = bytes(i & 255 for i in range(self.rounds))
        for client, server in self.pairs:
            assert recv_exactly(server, self.rounds) == wanted
            client.close()
            server.close()


def time_of_good_ones(peers, listener):
    """Seconds for twenty flows that each carry a mebibyte both ways."""
    started = time.monotonic()
    pairs = [peers.flow(listener=listener) for _ in range(20)]
    ends = [End(sock, MEBIBYTE) for pair in pairs for sock in pair]
    pump(ends)
    seconds = time.monotonic() - started
    for i in range(0, len(ends), 2):
        assert_exchanged(ends[i], ends[i + 1])
        ends[i].sock.close()
        ends[i + 1].sock.close()
    return seconds


def test_slow_peers(unatatp, peers):
    """300 readers with closed windows and 300 writers of single bytes cost
    twenty flows beside them no more than as much time again, once the
    machine is quiet enough to tell."""
    unatatp()
    listener = peers.listen()
    alone, beside = [], []
    with room_for_descriptors(4096):
        for _ in range(6):
            alone.append(time_of_good_ones(peers, listener))
            slow = SlowReaders(peers, 300, MEBIBYTE)
            slow.stall()
            with SlowWriters(peers, 300):
                for _ in range(2):
                    beside.append(time_of_good_ones(peers, listener))
            slow.finish()
            slow.close()
            alone.append(time_of_good_ones(peers, listener))
            print("alone", alone, "beside", beside)
            if min(beside) < 2 * min(alone) + 0.05:
                return
    pytest.fail("alone %s, beside %s" % (alone, beside))


def test_storm_of_resets(unatatp, peers):
    """5,000 clients that connect and reset at once: nothing is left."""
    daemon = unatatp(log={"level": "notice"})
    door = peers.listen()
    door.setblocking(False)

    def storm(n):
        for _ in range(n):
            with contextlib.suppress(OSError):
                reset(peers.connect(door, source=CLIENT_B[4]))
            peers.sockets.pop()
            with contextlib.suppress(BlockingIOError):
                while True:
                    door.accept()[0].close()

    storm(500)	# the allocator has seen it all
    daemon.wait_empty(10)
    fds, rss, before = daemon.fds(), daemon.rss(), daemon.stats()
    storm(5000)
    daemon.wait_empty(10)
    eventually(lambda: daemon.fds() <= fds)
    assert daemon.stats()["flows_ended"] - before["flows_ended"] > 2500
    if not has_sanitizer():
        assert daemon.rss() - rss <= MEBIBYTE
    exchange(*peers.flow(), 1000, 1000)
