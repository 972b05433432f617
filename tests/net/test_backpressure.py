"""A reader that stops costs `buffer` bytes a lane, and loses nothing."""

import hashlib
import socket

import pytest

from daemon import has_sanitizer
from lab import eventually
from peers import End, assert_exchanged, fill, is_readable, pump, recv_exactly

BUFFER = 256 << 10
FLOWS = 20


def read_back(sock, n):
    """The SHA-256 of the next N bytes."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    digest = hashlib.sha256()
    while n:
        part = sock.recv(min(n, 1 << 18))
        assert part, "a FIN before the end"
        digest.update(part)
        n -= len(part)
    return digest.hexdigest()


def test_memory_is_bounded(unatatp, peers):
    """20 flows, stalled both ways, cost 20 x 2 x 256 KiB and 10 %."""
    daemon = unatatp.policy(buffer="256K")
    warm = peers.flow()
    pump([End(warm[0], 4 << 20), End(warm[1], 4 << 20)])
    before = daemon.rss()
    sent = []
    for _ in range(FLOWS):
        client, server = peers.flow(client_rcvbuf=65536, server_rcvbuf=65536)
        sent.append((server, fill(client, 0.05)))
        sent.append((client, fill(server, 0.05)))
    grown = daemon.rss() - before
    if not has_sanitizer():
        assert grown <= FLOWS * 2 * BUFFER * 1.1
    for receiver, (n, digest) in sent:
        assert read_back(receiver, n) == digest


@pytest.mark.parametrize("stalled", ["client", "server"])
def test_resumes_without_loss(unatatp, peers, stalled):
    """Stall and go on, five times over one flow."""
    unatatp.policy(buffer="64K")
    client, server = peers.flow(client_rcvbuf=16384, server_rcvbuf=16384)
    reader, sender = ((client, server) if stalled == "client"
                      else (server, client))
    for _ in range(5):
        n, digest = fill(sender, 0.1)
        assert read_back(reader, n) == digest


def test_stalled_lane_leaves_the_other(unatatp, peers):
    """While one lane of a flow stands still the other carries on."""
    unatatp.policy(buffer="64K")
    client, server = peers.flow(server_rcvbuf=16384)
    n, digest = fill(client)
    for _ in range(50):
        server.sendall(b"down" * 1000)
        assert recv_exactly(client, 4000) == b"down" * 1000
    assert read_back(server, n) == digest


def test_stalled_flow_leaves_others(unatatp, peers):
    """Flows beside stalled ones run at full speed."""
    unatatp.policy(buffer="64K")
    for _ in range(8):
        client, server = peers.flow(server_rcvbuf=16384)
        fill(client, 0.05)
    client, server = peers.flow()
    one, two = End(client, 16 << 20), End(server, 16 << 20)
    pump([one, two], 20)
    assert_exchanged(one, two)


def test_stalled_flow_costs_no_cpu(unatatp, peers):
    """A stalled flow waits; it does not spin."""
    daemon = unatatp.policy(buffer="64K")
    client, server = peers.flow(client_rcvbuf=16384, server_rcvbuf=16384)
    fill(client)
    fill(server)
    before = daemon.cpu()
    assert not is_readable(peers.listen(), 1.0)
    assert daemon.cpu() - before < 0.2


def test_slow_reader_with_fin(unatatp, peers):
    """The sender ends while its reader is stalled: bytes, then FIN."""
    daemon = unatatp.policy(buffer="64K")
    client, server = peers.flow(server_rcvbuf=16384)
    n, digest = fill(client)
    client.shutdown(1)
    assert read_back(server, n) == digest
    assert server.recv(1) == b""
    server.close()
    line = daemon.flow(client)
    assert line["ending"] == "client-fin" and int(line["up"]) == n
    eventually(lambda: client.recv(1) == b"")
