"""Idle is a flow's silence, lifetime its age; both end by reset."""

import time

import pytest

from lab import eventually
from peers import assert_reset, is_readable, lull, recv_exactly, recv_to_end


@pytest.fixture(params=["up", "down"])
def lane(request):
    """The one lane that moves."""
    return request.param


def ends(peers, lane):
    """(sender, receiver, client) of a new flow."""
    client, server = peers.flow()
    return (client, server, client) if lane == "up" else \
        (server, client, client)


def test_idle(unatatp, peers, family):
    """A silent flow is reset on both sides after `idle`."""
    daemon = unatatp.policy(timeouts={"idle": "400ms"})
    started = time.monotonic()
    client, server = peers.flow(family)
    name = client.getsockname()
    assert_reset(client)
    assert 0.35 < time.monotonic() - started < 1.4
    assert_reset(server, 1.0)
    assert daemon.flow(name)["ending"] == "idle"


def test_one_way_is_not_idle(unatatp, peers, lane):
    """One lane's bytes keep the flow, though the other is silent for
    three times `idle`; then silence ends it."""
    daemon = unatatp.policy(timeouts={"idle": "500ms"})
    sender, receiver, client = ends(peers, lane)
    name = client.getsockname()
    end = time.monotonic() + 1.6
    while time.monotonic() < end:
        sender.sendall(b"tick")
        assert recv_exactly(receiver, 4) == b"tick"
        lull(0.1)
    started = time.monotonic()
    assert_reset(receiver)
    assert 0.3 < time.monotonic() - started < 1.5
    assert daemon.flow(name)["ending"] == "idle"


def test_idle_is_per_flow(unatatp, peers):
    """A busy flow does not keep a silent one."""
    unatatp.policy(timeouts={"idle": "400ms"})
    busy, busy_server = peers.flow()
    silent, _ = peers.flow()

    def ended():
        busy.sendall(b"x")
        assert recv_exactly(busy_server, 1) == b"x"
        return is_readable(silent, 0.05)
    eventually(ended, 2.0, "the silent flow ends")
    assert_reset(silent)
    assert not is_readable(busy)


def test_lifetime(unatatp, peers):
    """`lifetime` ends a busy flow, by reset on both sides."""
    daemon = unatatp.policy(timeouts={"lifetime": "600ms"})
    started = time.monotonic()
    client, server = peers.flow()
    name = client.getsockname()
    while not is_readable(client, 0.02):
        assert time.monotonic() - started < 2.0
        try:
            client.sendall(b"x")
        except OSError:
            break
    assert time.monotonic() - started > 0.5
    assert recv_to_end(client)[1] == "reset"
    assert recv_to_end(server)[1] == "reset"
    assert daemon.flow(name)["ending"] == "lifetime"


@pytest.mark.parametrize("side", ["client", "server"])
def test_user_timeout(unatatp, lab, peers, side):
    """`user_timeout` ends a flow whose bytes one side no longer
    acknowledges; the other side is reset, and the ending says who."""
    daemon = unatatp.policy(**{side: {"user_timeout": "700ms"}})
    client, server = peers.flow()
    name = client.getsockname()
    ns, one = (lab.client, server) if side == "client" else \
        (lab.server, client)
    with ns.rule("input", "meta l4proto tcp drop"):
        one.sendall(b"anybody there?")
        assert_reset(one, 6.0)
    assert daemon.flow(name)["ending"] == side + "-timeout"


def test_zero_is_never(unatatp, peers):
    """0 switches a timeout off."""
    unatatp.policy(timeouts={"idle": "0", "half_close": "0",
                             "lifetime": "0"})
    client, server = peers.flow()
    assert not is_readable(client, 0.5)
    client.sendall(b"x")
    assert recv_exactly(server, 1) == b"x"
