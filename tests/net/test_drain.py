"""TERM and INT: no new flows, live ones go on; a second one ends all."""

import signal
import time

import pytest

from lab import eventually
from peers import assert_reset, exchange, recv_exactly, recv_to_end


@pytest.fixture(params=[signal.SIGTERM, signal.SIGINT],
                ids=["TERM", "INT"])
def number(request):
    """Either signal."""
    return request.param


def drain(daemon, number=signal.SIGTERM):
    """Sends the signal; returns once nothing listens any more."""
    daemon.signal(number)
    eventually(lambda: not daemon.listeners(), what="the listeners close")


def test_without_flows(unatatp, number):
    """A daemon without flows ends at once, with status 0."""
    daemon = unatatp()
    started = time.monotonic()
    daemon.signal(number)
    assert daemon.wait() == 0
    assert time.monotonic() - started < 2.0


def test_live_flows_go_on(unatatp, peers, number, family):
    """Live flows carry on; the daemon ends with the last, status 0. New
    connections are not taken: nft lets them pass by."""
    daemon = unatatp(timeouts={"drain": "20s"})
    flows = [peers.flow(family) for _ in range(5)]
    drain(daemon, number)
    assert not peers.is_proxied(family)
    for client, server in flows:
        client.sendall(b"still")
        assert recv_exactly(server, 5) == b"still"
    for client, server in flows[1:]:
        exchange(client, server, 1 << 20, 1 << 20)
        client.close()
        server.close()
    assert daemon.is_running()
    exchange(*flows[0], 1000, 1000)
    assert daemon.wait(3.0) == 0
    assert len(daemon.flows()) == 5
    assert not daemon.log.find("ending=drain|ending=shutdown")


def test_time_is_up(unatatp, peers):
    """What still lives after `timeouts.drain` is reset on both sides;
    status 0."""
    daemon = unatatp(timeouts={"drain": "400ms"})
    flows = [peers.flow() for _ in range(5)]
    names = [client.getsockname() for client, _ in flows]
    started = time.monotonic()
    drain(daemon)
    for client, server in flows:
        assert_reset(client)
        assert_reset(server)
    assert 0.35 < time.monotonic() - started < 1.5
    assert daemon.wait(3.0) == 0
    for name in names:
        assert daemon.flow(name)["ending"] == "drain"


def test_second_signal(unatatp, peers, number):
    """A second signal ends at once: every flow is reset."""
    daemon = unatatp(timeouts={"drain": "60s"})
    client, server = peers.flow()
    name = client.getsockname()
    drain(daemon, number)
    started = time.monotonic()
    daemon.signal(signal.SIGTERM)
    assert_reset(client)
    assert_reset(server)
    assert daemon.wait(3.0) == 0
    assert time.monotonic() - started < 1.0
    assert daemon.flow(name)["ending"] == "shutdown"


def test_dialling_flow_is_drained_too(unatatp, lab, peers):
    """A flow whose dial is under way counts as live."""
    daemon = unatatp(timeouts={"drain": "20s"})
    listener = peers.listen(port=7003)
    with lab.server.rule("input", "tcp dport 7003 tcp flags syn drop"):
        client = peers.connect(listener)
        eventually(lambda: daemon.stats()["flows_active"] == 1)
        drain(daemon)
    server, _ = peers.accept(listener)
    exchange(client, server, 1000, 1000)
    assert daemon.wait(3.0) == 0


def test_hup_while_draining(unatatp, peers):
    """A HUP does not open the listeners again."""
    daemon = unatatp(timeouts={"drain": "20s"})
    client, server = peers.flow()
    drain(daemon)
    for _ in range(5):
        daemon.signal(signal.SIGHUP)
        client.sendall(b"x")
        assert recv_exactly(server, 1) == b"x"
        assert daemon.stats()["flows_active"] == 1
    assert not daemon.listeners()
    client.close()
    server.close()
    assert daemon.wait(3.0) == 0


def test_half_closed_flow_is_live(unatatp, peers):
    """A flow with one lane ended is waited for."""
    daemon = unatatp(timeouts={"drain": "20s"})
    client, server = peers.flow()
    client.shutdown(1)
    assert recv_to_end(server) == (b"", "fin")
    drain(daemon)
    server.sendall(b"answer")
    server.close()
    assert recv_to_end(client) == (b"answer", "fin")
    assert daemon.wait(3.0) == 0


def test_accepted_but_unread(unatatp, peers):
    """Clients that the kernel accepted just before the end get service or
    a reset, and never hang."""
    daemon = unatatp(timeouts={"drain": "20s"})
    listener = peers.listen()
    clients = [peers.connect(listener) for _ in range(20)]
    daemon.signal(signal.SIGTERM)
    for client in clients:
        server, _ = peers.accept(listener)
        server.close()
    for client in clients:
        assert recv_to_end(client) == (b"", "fin")
        client.close()
    assert daemon.wait(3.0) == 0
