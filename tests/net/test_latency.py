"""latency: what the proxy adds to the delay inside a flow is bounded."""

import os
import select
import socket
import statistics
import struct
import threading
import time

import pytest

from daemon import BASE, Daemon, merge
from lab import CLIENT_B, Lab, eventually
from link import settings
from peers import (End, Peers, assert_exchanged, assert_reset,
                   exchange, lull, pump, recv_exactly, recv_to_end, reset)

STAMP = struct.Struct("!d")
RECORD = 1000
SECONDS, SETTLED = 6.0, 2.5
MEGABYTE = 1000000
TCP_NOTSENT_LOWAT = 25


def slow_peers(tmp_path, splice_after, **links):
    """A daemon and peers with a slow and long client leg; the second
    client's flows are bounded."""
    lab = Lab(link=settings(20e6, 0.1), **links)
    peers = Peers(lab)
    daemon = None
    try:
        lab.use_rules("nft")
        daemon = Daemon(lab.gateway, str(tmp_path), merge(BASE, {
            "policies": [
                {"name": "bounded", "sources": [CLIENT_B[4] + "/32"],
                 "latency": "50ms", "splice_after": splice_after},
                {"name": "free", "splice_after": splice_after},
            ]})).start()
        yield peers
    finally:
        peers.close()
        if daemon:
            daemon.end()
        lab.close()


@pytest.fixture(name="slow", params=["1", "0"], ids=["splice", "copy"])
def _slow(request, machine, tmp_path):
    """Such peers, in each engine, near the server."""
    # pylint: disable=unused-argument
    yield from slow_peers(tmp_path, request.param)


@pytest.fixture(name="far")
def _far(machine, tmp_path):
    """Such peers, as far from the server as from the client."""
    # pylint: disable=unused-argument
    yield from slow_peers(tmp_path, "64K", server_link=settings(200e6, 0.1))


def send_stamps(server, until):
    """Sends the time in each record, and keeps its own queue small."""
    server.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16 << 10)
    while time.monotonic() < until:
        if select.select([], [server], [], 0.5)[1]:
            server.sendall(STAMP.pack(time.monotonic()).ljust(RECORD, b"."))
    server.shutdown(socket.SHUT_WR)


def delays(client):
    """(when, seconds that it took) of each record until the end."""
    found, rest = [], b""
    while True:
        data = client.recv(1 << 16)
        now = time.monotonic()
        if not data:
            return found
        rest += data
        whole = len(rest) // RECORD * RECORD
        found += [(now, now - STAMP.unpack_from(rest, at)[0])
                  for at in range(0, whole, RECORD)]
        rest = rest[whole:]


def stream(peers, source):
    """(median delay, bytes a second) of a stream, once it has settled."""
    client, server = peers.flow(source=source)
    began = time.monotonic()
    sender = threading.Thread(target=send_stamps,
                              args=(server, began + SECONDS))
    sender.start()
    late = [one for one in delays(client)
            if SETTLED < one[0] - began < SECONDS]
    sender.join()
    client.close()
    server.close()
    return (statistics.median(delay for _, delay in late),
            len(late) * RECORD / (SECONDS - SETTLED))


def honest_stream(peers, source, tries=3):
    """The same; a run that the link itself calls invalid gets another."""
    for _ in range(tries):
        peers.lab.link.reset()
        found = stream(peers, source)
        if peers.lab.link.stats()["valid"]:
            break
    return found


def test_a_fast_server_sends_less_far_ahead(slow):
    """Half of the delay at most, for nearly all of the rate."""
    free, full = honest_stream(slow, None)
    bounded, rate = honest_stream(slow, CLIENT_B[4])
    print("median %.0f ms, bounded %.0f; %.1f Mbit/s, bounded %.1f" % (
        1e3 * free, 1e3 * bounded, full * 8e-6, rate * 8e-6))
    assert bounded < free / 2
    assert rate > 0.85 * full


def bulk_after_talk(peers, source):
    """The seconds that one megabyte takes, after small messages."""
    client, server = peers.flow(source=source)
    for one in (client, server):
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for _ in range(10):
        for one, two in ((client, server), (server, client)):
            one.sendall(b"." * 100)
            assert len(recv_exactly(two, 100)) == 100
    began = time.monotonic()
    sender = threading.Thread(target=server.sendall, args=(bytes(MEGABYTE),))
    sender.start()
    assert len(recv_exactly(client, MEGABYTE)) == MEGABYTE
    sender.join()
    return time.monotonic() - began


def test_bulk_after_small_messages(far):
    """They tell little of the rate: no window comes down for them, since the
    burst that follows would be dropped."""
    free = [bulk_after_talk(far, None) for _ in range(2)]
    bounded = [bulk_after_talk(far, CLIENT_B[4]) for _ in range(3)]
    print("free", free, "bounded", bounded)
    assert statistics.median(bounded) < 1.6 * max(free)


def test_every_byte(unatatp, peers, family):
    """Both lanes at once, with small buffers at the ends."""
    unatatp.policy(latency="50ms")
    client, server = peers.flow(family, client_rcvbuf=8192,
                                server_rcvbuf=8192)
    exchange(client, server, 8 << 20, 8 << 20)
    exchange(*peers.flow(family), 32 << 20, 0)
    exchange(*peers.flow(family), 0, 32 << 20)


def test_a_reader_that_comes_back(unatatp, peers):
    """A full lane is emptied again: pausing shrinks what it may hold, and
    nothing that was offered before is lost."""
    unatatp.policy(latency="20ms")
    client, server = peers.flow()
    data = os.urandom(4 << 20) * 4
    sender = threading.Thread(target=server.sendall, args=(data,))
    sender.start()
    for part in range(4):
        assert recv_exactly(client, 4 << 20) == data[:4 << 20], part
        lull(1.3)			# the window shrinks after a second
    sender.join()


@pytest.mark.parametrize("first", ["client", "server"])
def test_endings(unatatp, peers, first):
    """A half-closed flow goes on, and a reset arrives as one."""
    daemon = unatatp.policy(latency="50ms")
    one, two = peers.flow()
    if first == "server":
        one, two = two, one
    one.sendall(b"request")
    one.shutdown(socket.SHUT_WR)
    assert recv_to_end(two) == (b"request", "fin")
    sender, receiver = End(two, 4 << 20), End(one, 0)
    pump([sender, receiver])
    assert_exchanged(sender, receiver)
    eventually(lambda: daemon.flows())
    assert daemon.flows()[0]["ending"] == first + "-fin"
    one, two = peers.flow()
    if first == "server":
        one, two = two, one
    two.sendall(b"x")
    assert recv_exactly(one, 1) == b"x"
    reset(one)
    assert_reset(two)


def wakeups(pid):
    """How often the threads of a process have waited."""
    count, base = 0, "/proc/%d/task" % pid
    for task in os.listdir(base):
        with open("%s/%s/status" % (base, task), encoding="ascii") as file:
            count += sum(int(line.split()[1]) for line in file
                         if line.startswith("voluntary_ctxt"))
    return count


def test_a_flow_at_rest_is_left_alone(unatatp_once, peers):
    """Nothing moves: nobody looks, five times a second, but the sampler,
    whose look has main and the worker wait three times. It moves again:
    somebody does."""
    daemon = unatatp_once.policy(latency="50ms")
    client, server = peers.flow()
    exchange_some = [(client, server), (server, client)]

    def quiet(seconds):
        before = wakeups(daemon.process.pid)
        lull(seconds)
        return wakeups(daemon.process.pid) - before
    for one, two in exchange_some:
        one.sendall(b"x")
        assert recv_exactly(two, 1) == b"x"
    eventually(lambda: quiet(1) <= 3, 10, "nobody looks")
    client.sendall(b"x")
    assert recv_exactly(server, 1) == b"x"
    assert quiet(0.5) >= 1
    eventually(lambda: quiet(1) <= 3, 10, "nobody looks any more")
