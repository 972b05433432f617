"""The dial: what fails reaches the client as a reset, what the client said
meanwhile reaches the server."""

import contextlib
import socket
import time

import pytest

import lab as places
from peers import (assert_reset, is_readable, recv_to_end, reset,
                   try_connect)

HOST_PORT = 7001


@contextlib.contextmanager
def silent_server(lab):
    """The server answers no SYN, as long as this lasts."""
    with lab.server.rule("input", "tcp dport %d tcp flags & (syn|ack) == syn "
                         "drop" % HOST_PORT):
        yield


def failing_flow(peers, to):
    """Connects where nobody answers: (the client's name, seconds until
    the reset)."""
    started = time.monotonic()
    client = try_connect(peers, to)
    if client is None:	# reset before connect() returned
        return None, time.monotonic() - started
    name = client.getsockname()
    assert_reset(client, 5.0)
    return name, time.monotonic() - started


def test_refused(unatatp, peers, family):
    """A refused connection is passed on within one RTT (here none) and
    50 ms; a noisy machine gets five tries."""
    daemon = unatatp()
    times = []
    for _ in range(5):
        name, seconds = failing_flow(peers, (places.SERVER[family], 9))
        times.append(seconds)
        if name:
            assert daemon.flow(name)["ending"] == "connect-refused"
    assert min(times) < 0.05
    daemon.wait_stat("connect-refused", 5)


@pytest.mark.parametrize("where", ["UNREACHABLE", "PROHIBITED"])
def test_unreachable(unatatp, peers, family, where):
    """No route, or a forbidden one, is a reset as well."""
    daemon = unatatp()
    to = (getattr(places, where)[family], 80)
    _, seconds = failing_flow(peers, to)
    assert seconds < 1.0
    daemon.wait_stat("connect-unreachable")


def test_unreachable_by_icmp(unatatp, lab, peers):
    """A router behind us that says "unreachable" is heard: the flow ends
    with connect-unreachable, not only after `connect`."""
    daemon = unatatp.policy(timeouts={"connect": "4s"})
    with lab.server.rule("input", "tcp dport %d reject with icmp type "
                         "host-unreachable" % HOST_PORT):
        name, seconds = failing_flow(peers, (places.SERVER[4], HOST_PORT))
    ending = daemon.flow(name)["ending"]
    # Linux keeps trying after a soft error; the timeout may win.
    assert ending in ("connect-unreachable", "connect-timeout")
    assert seconds < 5.0


def test_timeout(unatatp, lab, peers):
    """`connect` bounds the dial."""
    daemon = unatatp.policy(timeouts={"connect": "300ms"})
    with silent_server(lab):
        name, seconds = failing_flow(peers, (places.SERVER[4], HOST_PORT))
    assert 0.25 < seconds < 1.3
    line = daemon.flow(name)
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
