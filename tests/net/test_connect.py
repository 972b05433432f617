"""The dial: what fails reaches the client as a reset, what the client said
meanwhile reaches the server."""

import contextlib
import signal
import socket
import time

import pytest

import lab as places
from lab import eventually
from peers import (assert_reset, is_readable, recv_to_end, reset,
                   try_connect, unacked)

HOST_PORT = 7001


@contextlib.contextmanager
def silent_server(lab):
    """The server answers no SYN, as long as this lasts."""
    with lab.server.rule("input", "tcp dport %d tcp flags & (syn|ack) == syn "
                         "drop" % HOST_PORT):
        yield


def failing_flow(peers, to):
    """Connects where nobody answers: seconds until the reset."""
    started = time.monotonic()
    client = try_connect(peers, to)
    if client:	# else: reset before connect() returned
        assert_reset(client, 5.0)
    return time.monotonic() - started


def last_flow(daemon):
    """The latest flow line."""
    return eventually(daemon.flows, what="a flow line")[-1]


def test_refused(unatatp, peers, family):
    """A refused connection is passed on within one RTT (here none) and
    50 ms; a noisy machine gets five tries."""
    daemon = unatatp()
    to = (places.SERVER[family], 9)
    assert min(failing_flow(peers, to) for _ in range(5)) < 0.05
    assert last_flow(daemon)["ending"] == "connect-refused"
    daemon.wait_stat("connect-refused", 5)


@pytest.mark.parametrize("where", ["UNREACHABLE", "PROHIBITED"])
def test_unreachable(unatatp, peers, family, where):
    """No route, or a forbidden one, is a reset as well."""
    daemon = unatatp()
    to = (getattr(places, where)[family], 80)
    assert failing_flow(peers, to) < 1.0
    daemon.wait_stat("connect-unreachable")


def test_unreachable_by_icmp(unatatp, lab, peers):
    """A router behind us that says "unreachable" is heard: the flow ends
    with connect-unreachable, not only after `connect`."""
    daemon = unatatp.policy(timeouts={"connect": "4s"})
    with lab.server.rule("input", "tcp dport %d reject with icmp type "
                         "host-unreachable" % HOST_PORT):
        assert failing_flow(peers, (places.SERVER[4], HOST_PORT)) < 2.0
    assert last_flow(daemon)["ending"] == "connect-unreachable"


def test_timeout(unatatp, lab, peers):
    """`connect` bounds the dial."""
    daemon = unatatp.policy(timeouts={"connect": "300ms"})
    with silent_server(lab):
        seconds = failing_flow(peers, (places.SERVER[4], HOST_PORT))
    assert 0.25 < seconds < 1.3
    line = last_flow(daemon)
    assert line["ending"] == "connect-timeout"
    assert (line["up"], line["down"]) == ("0", "0")


def test_early_data_and_fin(unatatp, lab, peers, family):
    """Bytes and FIN that the client sent before the server answered are
    delivered once it does."""
    daemon = unatatp()
    listener = peers.listen(family=family, port=HOST_PORT)
    data = bytes(range(256)) * 100
    with silent_server(lab):
        client = peers.connect(listener)
        name = client.getsockname()
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        assert not is_readable(listener, 0.3)
    server, _ = peers.accept(listener)
    assert recv_to_end(server) == (data, "fin")
    server.sendall(b"answer")
    server.close()
    assert recv_to_end(client) == (b"answer", "fin")
    assert daemon.flow(name)["ending"] == "client-fin"


def test_early_data_then_refused(unatatp, lab, peers):
    """Bytes and FIN before a dial that fails: a reset, never a FIN."""
    daemon = unatatp()
    with silent_server(lab):
        client = peers.connect((places.SERVER[4], HOST_PORT))
        name = client.getsockname()
        client.sendall(b"lost")
        client.shutdown(socket.SHUT_WR)
        assert not is_readable(client, 0.3)
    assert_reset(client)
    assert daemon.flow(name)["ending"] == "connect-refused"


@contextlib.contextmanager
def server_answers_meanwhile(lab, peers, daemon):
    """(client, server) of a flow whose server answered, and may do more,
    before the daemon gets to see it: the daemon stands still inside."""
    listener = peers.listen(port=HOST_PORT)
    with silent_server(lab):
        client = peers.connect(listener)
        daemon.wait_stat("flows_active")
        daemon.signal(signal.SIGSTOP)
    try:
        server, _ = peers.accept(listener)
        yield client, server
    finally:
        daemon.signal(signal.SIGCONT)


def test_server_speaks_and_resets_at_once(unatatp, lab, peers):
    """A server that accepts, says why, and resets (all before the daemon
    looks) is heard: its bytes, then the reset."""
    daemon = unatatp()
    with server_answers_meanwhile(lab, peers, daemon) as (client, server):
        name = client.getsockname()
        server.sendall(b"421 too busy")
        eventually(lambda: unacked(server) == 0)
        reset(server)
    assert recv_to_end(client) == (b"421 too busy", "reset")
    assert daemon.flow(name)["ending"] == "server-reset"


def test_server_speaks_and_ends_at_once(unatatp, lab, peers):
    """Likewise with a FIN."""
    daemon = unatatp()
    with server_answers_meanwhile(lab, peers, daemon) as (client, server):
        name = client.getsockname()
        server.sendall(b"421 too busy")
        server.close()
    assert recv_to_end(client) == (b"421 too busy", "fin")
    client.close()
    assert daemon.flow(name)["ending"] == "server-fin"


def test_client_ends_meanwhile(unatatp, lab, peers):
    """Bytes and a reset of the client, seen together with the server's
    answer: the server gets the bytes that the gateway had, or at least
    the reset, and no FIN."""
    daemon = unatatp()
    with server_answers_meanwhile(lab, peers, daemon) as (client, server):
        name = client.getsockname()
        client.sendall(b"never mind")
        eventually(lambda: unacked(client) == 0)
        reset(client)
    assert recv_to_end(server) == (b"never mind", "reset")
    assert daemon.flow(name)["ending"] == "client-reset"


def test_client_resets_during_dial(unatatp, lab, peers):
    """The dial of a client that has gone is given up within a second and
    more; the server is not connected to on its behalf."""
    daemon = unatatp()
    with silent_server(lab):
        client = peers.connect((places.SERVER[4], HOST_PORT))
        name = client.getsockname()
        reset(client)
        assert daemon.flow(name, 1.5)["ending"] == "client-reset"


def test_gone_client_among_others(unatatp, lab, peers):
    """Others that dial meanwhile are not disturbed."""
    unatatp()
    listener = peers.listen(port=HOST_PORT)
    with silent_server(lab):
        stays = peers.connect(listener)
        stays.sendall(b"me")
        for _ in range(5):
            reset(peers.connect(listener))
        assert not is_readable(listener, 0.2)
    server, _ = peers.accept(listener)
    stays.shutdown(socket.SHUT_WR)
    assert recv_to_end(server) == (b"me", "fin")
