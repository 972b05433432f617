"""limits.* under attack: they hold, whoever stays within them is served, no
live flow loses a byte, and every flow is accounted for."""

import contextlib
import random
import selectors
import time

import pytest

from background import Background
from daemon import has_sanitizer
from lab import CLIENT, CLIENT_B, eventually
from peers import (End, assert_exchanged, exchange, fill, is_readable,
                   is_reset, lull, pump, recv_exactly, try_connect)
from test_metrics import Metrics

MEBIBYTE = 1 << 20
IDLE = 5.0	# evict_idle: a flow is idle after that many seconds
METRICS = {"address": "127.0.0.1"}


class Attacker(Background):
    """A thread that opens connections until told to stop; it keeps those
    that were not reset."""

    def __init__(self, peers, listener, sources):
        super().__init__()
        self.peers, self.listener, self.sources = peers, listener, sources
        self.opened = 0
        self.held, self.cut = [], 0

    def _run(self):
        while not self._stop.is_set():
            sock = try_connect(self.peers, self.listener,
                               source=random.choice(self.sources))
            self.opened += 1
            if sock is None:
                self.cut += 1
            else:
                self.held.append(sock)
            if self.opened % 50 == 0:
                self._sift()

    def _sift(self):
        """Lets go of those that were reset."""
        gone = [sock for sock in self.held if is_reset(sock)]
        self.cut += len(gone)
        self.held = [sock for sock in self.held if sock not in gone]
        for sock in gone:
            sock.close()

    def wait(self, n):
        """Waits until it was reset N times."""
        eventually(lambda: self.cut >= n, 30, "the attacker is cut")

    def settle(self, held):
        """All are decided: held() of them stand."""
        def settled():
            self._sift()
            return len(self.held) == held()
        eventually(settled, 5, "those that were not cut stand")


def add_up(daemon):
    """The counters as one sees them in `show stats`; they agree with each
    other, and with the metrics."""
    stats = daemon.show("stats")[0]
    assert stats["flows_opened"] == \
        stats["flows_ended"] + stats["flows_active"]
    assert stats["flows_ended"] == sum(stats["endings"].values())
    metrics = Metrics(daemon)
    for word in ("flow-limit", "source-limit", "memory-limit", "evicted"):
        assert stats["endings"][word] == metrics(
            "flows_ended_total", policy="all", ending=word)
    assert stats["memory_held"] == metrics("memory_held_bytes")
    return stats


def active(daemon):
    """How many flows there are."""
    return daemon.show("stats")[0]["flows_active"]


def test_flows(unatatp, peers):
    """limits.flows while somebody opens as many as he can: never more, the
    rest is reset, and the flows that were there first go on."""
    limit = 40
    daemon = unatatp(limits={"flows": limit}, metrics=METRICS)
    first = [peers.flow() for _ in range(4)]
    with Attacker(peers, peers.listen(), [CLIENT_B[4]]) as attacker:
        for flow in first[1:]:
            attacker.wait(attacker.cut + 100)
            # One that is refused is there until it was looked at.
            assert active(daemon) <= limit + unatatp.mode["workers"]
            exchange(*flow, MEBIBYTE, MEBIBYTE)
    attacker.settle(lambda: active(daemon) - 1)
    assert active(daemon) <= limit
    exchange(*first[0], MEBIBYTE, MEBIBYTE)
    stats = add_up(daemon)
    assert stats["endings"]["flow-limit"] == attacker.cut
    assert stats["endings"]["evicted"] == 0


@contextlib.contextmanager
def many_addresses(lab, n):
    """N addresses more of the client, all in one /64."""
    found = ["fd71:0:0:1::%x" % (0x1000 + i) for i in range(n)]
    for verb in ("add", "del"):
        lab.client.ip("".join(
            "addr %s %s/64 dev eth0%s\n" % (
                verb, one, " nodad" if verb == "add" else "")
            for one in found))
        if verb == "add":
            yield found


def test_flows_per_source(unatatp, lab, peers, family):
    """One client opens as many as it can, in IPv6 from many addresses of its
    /64: it has no more than its due, over all workers, and another one is
    served meanwhile; what it gives back it may have again."""
    due = 20
    daemon = unatatp(limits={"flows_per_source": due}, metrics=METRICS)
    greedy = peers.listen(family=family)
    with contextlib.ExitStack() as stack:
        sources = [CLIENT_B[4]] if family == 4 else \
            stack.enter_context(many_addresses(lab, 30))
        attacker = stack.enter_context(Attacker(peers, greedy, sources))
        attacker.wait(100)
        other = [peers.flow(family, CLIENT[family]) for _ in range(due)]
        for pair in other:
            exchange(*pair, 10000, 10000)
        attacker.wait(attacker.cut + 100)
        attacker.__exit__()
        attacker.settle(lambda: due)
        stats = add_up(daemon)
        assert stats["endings"]["source-limit"] == attacker.cut
        for _ in range(due):
            attacker.held.pop().close()
        while is_readable(greedy, 0.2):
            peers.accept(greedy)[0].close()
        eventually(lambda: active(daemon) == 0)
        pairs = [peers.flow(family, sources[0]) for _ in range(due)]
        late = try_connect(peers, greedy, source=sources[0])
        assert late is None or eventually(lambda: is_reset(late))
        for pair in pairs:
            exchange(*pair, 10, 10)


def test_flows_per_source_after_a_reload(unatatp_once, peers):
    """Flows that stood before the limit was set count, and stay."""
    daemon = unatatp_once()
    flows = [peers.flow() for _ in range(5)]
    daemon.reload(limits={"flows_per_source": 3})
    listener = peers.listen()
    late = try_connect(peers, listener)
    assert late is None or eventually(lambda: is_reset(late))
    for flow in flows:
        exchange(*flow, 1000, 1000)
    eventually(lambda: active(daemon) == 0)
    exchange(*peers.flow(), 10, 10)


class SlowReaders:
    """N flows whose server sends EACH bytes to a client that reads nothing
    until `finish`."""

    def __init__(self, peers, n, each):
        listener = peers.listen()
        self.each, self.ends = each, []
        for _ in range(n):
            client, server = peers.flow(
                listener=listener, source=CLIENT_B[4], client_rcvbuf=32768)
            self.ends.append((End(client, 0), End(server, each)))

    def stall(self):
        """The servers send until nothing moves any more."""
        quiet_at = time.monotonic() + 1
        while time.monotonic() < quiet_at:
            left = sum(server.left for _, server in self.ends)
            for _, server in self.ends:
                if server.left:
                    server.on_event(selectors.EVENT_WRITE)
            if left != sum(server.left for _, server in self.ends):
                quiet_at = time.monotonic() + 0.7
            lull(0.01)

    def finish(self):
        """The clients read: every byte comes."""
        pump([end for pair in self.ends for end in pair], 120)
        for pair in self.ends:
            assert_exchanged(*pair)
            assert pair[0].n_got == self.each

    def close(self):
        """Both ends of each go."""
        for pair in self.ends:
            for end in pair:
                end.sock.close()


class Peak(Background):
    """The most that a daemon's own count and its resident memory reach
    while the block runs."""

    def __init__(self, daemon):
        super().__init__()
        self.daemon, self.held, self.rss = daemon, 0, daemon.rss()
        self.before = self.rss

    def _run(self):
        while not self._stop.wait(0.05):
            self.held = max(self.held, Metrics(self.daemon)(
                "memory_held_bytes"))
            self.rss = max(self.rss, self.daemon.rss())


def test_memory(unatatp, peers):
    """Two hundred slow readers with fast servers: without a limit they hold
    some 50 MiB. limits.memory bounds the daemon's count, and its resident
    memory to half as much again; new clients are reset, a flow that stood
    goes on, and in the end every byte has come."""
    most = 8 * MEBIBYTE
    daemon = unatatp(limits={"memory": "8M"}, metrics=METRICS)
    good = [peers.flow() for _ in range(4)]
    peers.flow()
    with Peak(daemon) as peak:
        slow = SlowReaders(peers, 200, MEBIBYTE)
        slow.stall()
        assert daemon.show("stats")[0]["memory_held"] > most * 0.9
        for pair in good[1:]:
            exchange(*pair, MEBIBYTE, MEBIBYTE)
        with Attacker(peers, peers.listen(), [CLIENT[4]]) as attacker:
            attacker.wait(100)
        attacker.settle(lambda: active(daemon) - 202)
        stats = add_up(daemon)
        assert stats["endings"]["memory-limit"] == attacker.cut
        for sock in attacker.held:
            sock.close()
        slow.finish()
    # Bytes that a flow takes out of a pipe count twice for a moment.
    assert most * 0.9 < peak.held <= most + MEBIBYTE / 4, peak.held
    if not has_sanitizer():
        assert peak.rss - peak.before < most * 1.5 + 4 * MEBIBYTE, \
            (peak.before, peak.rss)
    exchange(*good[0], MEBIBYTE, MEBIBYTE)
    exchange(*peers.flow(), MEBIBYTE, MEBIBYTE)
    peers.close()
    eventually(lambda: daemon.show("stats")[0]["memory_held"] == 0)


def speak(pair):
    """A byte each way."""
    pair[0].sendall(b"?")
    assert recv_exactly(pair[1], 1) == b"?"
    pair[1].sendall(b"!")
    assert recv_exactly(pair[0], 1) == b"!"


def let_idle(quiet, busy):
    """Each of QUIET falls silent in turn; BUSY are not, until all of the
    others are idle."""
    for pair in quiet:
        speak(pair)
        lull(0.02)	# the daemon's clock goes by steps of some milliseconds
    end = time.monotonic() + IDLE + 0.3
    while time.monotonic() < end:
        for pair in busy:
            speak(pair)
        lull(0.2)


def test_evict_idle(unatatp, peers):
    """At limits.flows the flow that was silent longest makes room for a new
    one, in that order; those that speak stay, and when no idle one is left
    new clients are reset."""
    limit = 12
    daemon = unatatp(limits={"flows": limit, "evict_idle": True},
                     metrics=METRICS)
    flows = [peers.flow() for _ in range(limit)]
    random.shuffle(flows)
    quiet, busy = flows[:-4], flows[-4:]
    let_idle(quiet, busy)
    listener = peers.listen()
    for _ in range(60):
        for pair in busy:
            speak(pair)
        late = try_connect(peers, listener)
        eventually(lambda one=late: one is None or is_reset(one) or
                   is_readable(listener))
        if is_readable(listener):
            peers.accept(listener)
        gone = [is_reset(pair[0]) for pair in quiet]
        if unatatp.mode["workers"] == 1:	# it chooses among its own
            assert gone == sorted(gone, reverse=True)
    eventually(lambda: all(is_reset(pair[0]) for pair in quiet))
    for pair in busy:
        exchange(*pair, 1000, 1000)
    stats = add_up(daemon)
    assert stats["endings"]["evicted"] == len(quiet)
    assert stats["endings"]["flow-limit"] == 60 - len(quiet)
    assert [one["ending"] for one in daemon.flows()
            if one["src"].endswith(":%d" % quiet[0][0].getsockname()[1])] \
        == ["evicted"]


def test_no_eviction_of_busy_ones(unatatp_once, peers):
    """With evict_idle, at the limit, and none of them idle: a new one is
    reset and nobody else is."""
    daemon = unatatp_once(limits={"flows": 6, "evict_idle": True})
    flows = [peers.flow() for _ in range(6)]
    for pair in flows:
        speak(pair)
    late = try_connect(peers, peers.listen())
    assert late is None or eventually(lambda: is_reset(late))
    daemon.wait_stat("flow-limit")
    for pair in flows:
        exchange(*pair, 1000, 1000)


@pytest.mark.parametrize("evict", [False, True])
def test_evict_for_memory(unatatp_once, peers, evict):
    """A reader that stopped and a crowd at rest take all of limits.memory:
    the reader's flow makes room once it was silent long enough, and only
    if it may."""
    daemon = unatatp_once(limits={"memory": "1M", "evict_idle": evict})
    client, server = peers.flow()
    fill(server)
    assert daemon.show("stats")[0]["memory_held"] > MEBIBYTE / 8
    listener = peers.listen()
    with Attacker(peers, listener, [CLIENT[4]]) as attacker:
        attacker.wait(1)
    attacker.settle(lambda: active(daemon) - 1)
    while is_readable(listener):
        peers.accept(listener)
    lull(IDLE + 0.2)
    late = try_connect(peers, listener)
    if evict:
        peers.accept(listener)
        assert daemon.flow(client)["ending"] == "evicted"
        eventually(lambda: is_reset(client))
    else:
        assert late is None or eventually(lambda: is_reset(late))
        daemon.wait_stat("memory-limit", attacker.cut + 1)
        assert not is_reset(client)
