"""Nobody in through the side door: the loop guard and the local guard."""

import contextlib
import socket

import pytest

import lab as places
from lab import PORT, eventually
from peers import assert_reset, exchange, is_readable, try_connect

GUARDED = 7777


def attempt(peers, to, **how):
    """Connects where it must not succeed: reset at once."""
    client = try_connect(peers, to, **how)
    if client:
        assert_reset(client, 2.0)


@contextlib.contextmanager
def no_dial(lab):
    """The gateway sends no SYN meanwhile, by lo or otherwise, but those
    that the test itself sends to port GUARDED of lo."""
    with lab.gateway.counter(
            "output", "tcp flags & (syn|ack) == syn meta mark != 0x77"
    ) as counter:
        yield
        assert counter.packets == 0


@contextlib.contextmanager
def tproxy_on_lo(lab):
    """Connections that the gateway makes to itself, port GUARDED, go to
    the daemon: the way to ask it for a loopback destination."""
    take = "iifname lo meta mark 0x77 tcp dport %d meta l4proto tcp " % GUARDED
    with lab.gateway.rule("prerouting", """
            %s meta nfproto ipv4 tproxy ip to 127.0.0.1:%d accept
            %s meta nfproto ipv6 tproxy ip6 to [::1]:%d accept
            """ % (take, PORT, take, PORT), "mangle"):
        yield


def marked(peers, to):
    """A connection from the gateway itself that tproxy_on_lo takes."""
    sock = peers.new(peers.lab.gateway, places.family_of(to[0]))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 0x77)
    try:
        sock.connect(to)
    except ConnectionRefusedError:
        return
    except ConnectionResetError:
        return
    assert_reset(sock, 2.0)


@pytest.mark.parametrize("wildcard", [False, True], ids=["address", "any"])
@pytest.mark.parametrize("allow_local", [False, True])
def test_loop(unatatp, lab, peers, family, wildcard, allow_local):
    """A connection straight to a listener is reset, with no dial, even
    where the policy allows local destinations."""
    to = (places.GATEWAY_LAN[family], 9990)
    listen = {4: "0.0.0.0", 6: "::"}[family] if wildcard else to[0]
    daemon = unatatp(listen=[{"address": listen, "port": to[1]}],
                     policies=[{"name": "all", "allow_local": allow_local}])
    with no_dial(lab):
        for _ in range(3):
            attempt(peers, to)
        daemon.wait_stat("loop", 3)


def test_loop_through_tproxy(unatatp, lab, peers):
    """Likewise when TPROXY brings it: rules that exempt nothing."""
    lab.use_rules("nft", exempt_local=False)
    to = (places.GATEWAY_LAN[4], 9990)
    daemon = unatatp(
        listen=[{"address": "127.0.0.1", "port": PORT},
                {"address": to[0], "port": to[1]}],
        policies=[{"name": "all", "allow_local": True}])
    with no_dial(lab):
        attempt(peers, to)
        daemon.wait_stat("loop")


def test_gateway_addresses(unatatp, lab, peers, family):
    """Each of the gateway's own addresses is guarded."""
    lab.use_rules("nft", exempt_local=False)
    daemon = unatatp()
    inside = [peers.listen(address[family], port=GUARDED, ns=lab.gateway)
              for address in (places.GATEWAY_LAN, places.GATEWAY,
                              places.GATEWAY_B, places.GATEWAY_WAN2)]
    with no_dial(lab):
        for listener in inside:
            attempt(peers, listener)
        daemon.wait_stat("local", 4)
    assert not any(is_readable(listener) for listener in inside)


@pytest.mark.parametrize("late", [{4: "10.72.0.77/24", 6: "fd72::77/64"}],
                         ids=["late"])
def test_address_added_later(unatatp, lab, peers, family, late):
    """An address that the gateway gets while the daemon runs is guarded,
    and no longer once it is gone."""
    lab.use_rules("nft", exempt_local=False)
    daemon = unatatp.policy(timeouts={"connect": "200ms"})
    to = (late[family].split("/")[0], GUARDED)
    lab.gateway.run("ip", "addr", "add", late[family], "dev", "wan",
                    *(["nodad"] if family == 6 else []))
    try:
        def guarded():
            attempt(peers, to)
            return daemon.stats().get("local")
        eventually(guarded, 3.0, "the new address is guarded")
    finally:
        lab.gateway.run("ip", "addr", "del", late[family], "dev", "wan")

    def dialled():
        attempt(peers, to)
        stats = daemon.stats()
        return stats.get("connect-timeout", 0) + \
            stats.get("connect-unreachable", 0) + \
            stats.get("connect-refused", 0)
    eventually(dialled, 5.0, "the old address is dialled")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1",
                                     places.GATEWAY[4], places.GATEWAY[6]])
def test_loopback(unatatp, lab, peers, address):
    """Loopback destinations are reset, with no dial."""
    daemon = unatatp()
    inside = peers.listen(address, port=GUARDED, ns=lab.gateway)
    with tproxy_on_lo(lab), no_dial(lab):
        marked(peers, inside.getsockname()[:2])
        daemon.wait_stat("local")
        assert not is_readable(inside)


def test_link_local(unatatp, lab, peers):
    """So are link-local ones that a client routes to the gateway."""
    daemon = unatatp()
    with no_dial(lab):
        attempt(peers, (places.LINK_LOCAL, 80))
        daemon.wait_stat("local")


def test_guard_ends_with_the_policy(unatatp, lab, peers, family):
    """`allow_local = true` lets a client reach the gateway through the
    proxy."""
    lab.use_rules("nft", exempt_local=False)
    daemon = unatatp.policy(allow_local=True)
    inside = peers.listen(places.GATEWAY[family], port=GUARDED,
                          ns=lab.gateway)
    client = peers.connect(inside)
    name = client.getsockname()
    server, peer = peers.accept(inside)
    assert peer[0] != places.CLIENT[family]
    exchange(client, server, 1000, 1000)
    assert daemon.flow(name)["ending"].endswith("-fin")


def test_neighbours_are_not_local(unatatp, peers):
    """Other addresses of the gateway's own subnets are dialled."""
    daemon = unatatp()
    client, server = peers.flow(address=places.SERVER_B[4])
    name = client.getsockname()
    exchange(client, server, 10, 10)
    assert daemon.flow(name)["up"] == "10"
