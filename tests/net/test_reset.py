"""A reset reaches the other side as a reset, after the bytes before it."""

import socket
import time

import pytest

from lab import eventually
from peers import (assert_reset, fill, is_reset, recv_exactly, recv_to_end,
                   reset, unacked)


@pytest.fixture(params=["client", "server"])
def who(request):
    """Who resets."""
    return request.param


def by_order(client, server, who):
    """(the one who resets, the other)."""
    return (client, server) if who == "client" else (server, client)


def send_and_reset(sock, data):
    """Sends DATA; resets once the gateway has all of it."""
    sock.sendall(data)
    eventually(lambda: unacked(sock) == 0, what="the gateway has the bytes")
    reset(sock)


def test_reset_at_rest(unatatp, peers, who, family):
    """A reset of a flow at rest comes through, and the ending names it."""
    daemon = unatatp()
    client, server = peers.flow(family)
    name = client.getsockname()
    one, two = by_order(client, server, who)
    reset(one)
    assert_reset(two, 1.0)
    assert daemon.flow(name)["ending"] == who + "-reset"


def test_bytes_before_reset(unatatp, peers, who):
    """What arrived before the reset is delivered before it."""
    unatatp()
    data = bytes(range(256)) * 256
    for _ in range(10):
        one, two = by_order(*peers.flow(), who)
        send_and_reset(one, data)
        assert recv_to_end(two) == (data, "reset")


def test_bytes_before_reset_to_slow_reader(unatatp, peers, who):
    """Likewise when the other side reads through a small window: the
    proxy's own reset must not overtake the bytes it still sends."""
    unatatp()
    data = bytes(range(256)) * 640
    one, two = by_order(*peers.flow(client_rcvbuf=4096, server_rcvbuf=4096),
                        who)
    send_and_reset(one, data)
    got = b""
    while len(got) < len(data):
        part = recv_exactly(two, 4096)
        assert part, "a FIN before the end"
        got += part
    assert got == data
    assert_reset(two, 1.5)


def test_reset_in_full_flow(unatatp, peers, who):
    """A reset while both lanes are busy ends both sides by reset, never
    by a FIN."""
    daemon = unatatp()
    client, server = peers.flow()
    name = client.getsockname()
    one, two = by_order(client, server, who)
    fill(one, 0.05)
    fill(two, 0.05)
    reset(one)
    assert recv_to_end(two)[1] == "reset"
    assert daemon.flow(name)["ending"] == who + "-reset"


def test_reset_after_own_fin(unatatp, peers, who):
    """One side ends its lane and resets later."""
    daemon = unatatp()
    client, server = peers.flow()
    name = client.getsockname()
    one, two = by_order(client, server, who)
    one.shutdown(socket.SHUT_WR)
    assert recv_to_end(two) == (b"", "fin")
    reset(one)
    eventually(lambda: is_reset(two), 1.0, "the reset comes through")
    assert daemon.flow(name)["ending"] == who + "-reset"


def test_reset_after_other_fin(unatatp, peers, who):
    """The side that still sends resets: what it sent is delivered, then
    the reset and no FIN."""
    daemon = unatatp()
    client, server = peers.flow()
    name = client.getsockname()
    one, two = by_order(client, server, who)
    two.shutdown(socket.SHUT_WR)
    assert recv_to_end(one) == (b"", "fin")
    send_and_reset(one, b"last words")
    assert recv_to_end(two) == (b"last words", "reset")
    assert daemon.flow(name)["ending"] == who + "-reset"


def test_reset_while_paused(unatatp, peers, who):
    """A leg that resets while the proxy does not read it (its peer takes
    nothing) is noticed within a second."""
    daemon = unatatp.policy(buffer="64K")
    client, server = peers.flow(client_rcvbuf=4096, server_rcvbuf=4096)
    name = client.getsockname()
    one, two = by_order(client, server, who)
    fill(one)
    started = time.monotonic()
    reset(one)
    eventually(lambda: is_reset(two), 2.0, "the stalled side is reset")
    assert time.monotonic() - started < 1.2
    assert daemon.flow(name)["ending"] == who + "-reset"


def test_stalled_reader_resets(unatatp, peers, who):
    """A reader that took nothing for long and resets: the sender knows."""
    daemon = unatatp.policy(buffer="64K")
    client, server = peers.flow(client_rcvbuf=4096, server_rcvbuf=4096)
    name = client.getsockname()
    one, two = by_order(client, server, who)
    fill(two)
    reset(one)
    eventually(lambda: is_reset(two), 1.0, "the sender is reset")
    assert daemon.flow(name)["ending"] == who + "-reset"


def test_reset_of_one_flow_only(unatatp, peers, who):
    """A reset ends its own flow and no other."""
    unatatp()
    flows = [peers.flow() for _ in range(10)]
    for client, server in flows[::2]:
        one, two = by_order(client, server, who)
        reset(one)
        assert_reset(two, 1.0)
    for client, server in flows[1::2]:
        client.sendall(b"alive")
        assert recv_exactly(server, 5) == b"alive"
