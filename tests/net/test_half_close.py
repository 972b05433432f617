"""A FIN ends one lane; the other goes on for as long as it moves bytes."""

import socket
import time

import pytest

from lab import eventually
from peers import (End, assert_exchanged, is_readable, lull, pump,
                   recv_exactly, recv_to_end)


@pytest.fixture(params=["client", "server"])
def first(request):
    """Who sends its FIN first."""
    return request.param


def by_order(client, server, first):
    """(the one who ends first, the other)."""
    return (client, server) if first == "client" else (server, client)


def test_long_opposite_lane(unatatp, peers, first, family):
    """After one side's FIN the other lane still carries 8 MiB, then ends;
    the ending names who was first."""
    daemon = unatatp()
    client, server = peers.flow(family)
    name = client.getsockname()
    one, two = by_order(client, server, first)
    one.sendall(b"request")
    one.shutdown(socket.SHUT_WR)
    assert recv_to_end(two) == (b"request", "fin")
    assert not is_readable(one)
    sender, receiver = End(two, 8 << 20), End(one, 0)
    pump([sender, receiver])
    assert_exchanged(sender, receiver)
    line = daemon.flow(name)
    assert line["ending"] == first + "-fin"
    sizes = (7, 8 << 20) if first == "client" else (8 << 20, 7)
    assert (int(line["up"]), int(line["down"])) == sizes


def test_fin_follows_all_bytes(unatatp, peers, first):
    """A FIN right behind 4 MiB that the other has not read yet is relayed
    only after the last of them."""
    unatatp()
    client, server = peers.flow(client_rcvbuf=8192, server_rcvbuf=8192)
    one, two = by_order(client, server, first)
    sender = End(one, 4 << 20)
    receiver = End(two, 0)
    pump([sender, receiver])
    assert_exchanged(sender, receiver)


def test_fin_alone(unatatp, peers, first, family):
    """A flow without a byte ends well on both sides."""
    daemon = unatatp()
    client, server = peers.flow(family)
    name = client.getsockname()
    one, two = by_order(client, server, first)
    one.close()
    assert recv_to_end(two) == (b"", "fin")
    two.close()
    line = daemon.flow(name)
    assert line["ending"] == first + "-fin"
    assert (line["up"], line["down"]) == ("0", "0")


def test_fins_cross(unatatp, peers):
    """Both FINs at once, with bytes before each."""
    daemon = unatatp()
    for _ in range(20):
        client, server = peers.flow()
        name = client.getsockname()
        for sock, text in ((client, b"up"), (server, b"down")):
            sock.sendall(text)
            sock.shutdown(socket.SHUT_WR)
        assert recv_to_end(server) == (b"up", "fin")
        assert recv_to_end(client) == (b"down", "fin")
        assert daemon.flow(name)["ending"] in ("client-fin", "server-fin")


def test_half_close_bounds_silence_only(unatatp, peers, first):
    """A remaining lane that moves a byte now and then outlives half_close
    three times over; when it falls silent, both sides are reset."""
    daemon = unatatp.policy(timeouts={"half_close": "500ms"})
    client, server = peers.flow()
    name = client.getsockname()
    one, two = by_order(client, server, first)
    one.shutdown(socket.SHUT_WR)
    assert recv_to_end(two) == (b"", "fin")
    end = time.monotonic() + 1.6
    while time.monotonic() < end:
        two.sendall(b"x")
        assert recv_exactly(one, 1) == b"x"
        lull(0.1)
    started = time.monotonic()
    assert recv_to_end(one) == (b"", "reset")
    assert 0.3 < time.monotonic() - started < 1.5
    eventually(lambda: two.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR),
               what="the other side is reset")
    assert daemon.flow(name)["ending"] == "half-close"


def test_half_close_leaves_open_flows_alone(unatatp, peers):
    """half_close says nothing about a flow with both lanes open."""
    unatatp.policy(timeouts={"half_close": "200ms"})
    client, server = peers.flow()
    assert not is_readable(client, 0.8) and not is_readable(server)
    client.sendall(b"still here")
    assert recv_exactly(server, 10) == b"still here"
