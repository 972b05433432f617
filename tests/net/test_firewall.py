"""The traps of TPROXY: what right rules and this daemon make work."""

import socket
import time

import lab as places
from lab import eventually
from peers import exchange, recv_exactly, recv_to_end


def test_src_valid_mark(unatatp, lab, peers, rules, family):
    """wg-quick's src_valid_mark=1, with strict rp_filter: marked packets
    are no martians, because the rule says `iif`."""
    unatatp()
    lab.gateway.sysctl(ipv4__conf__all__src_valid_mark=1,
                       ipv4__conf__lan__rp_filter=1)
    try:
        assert peers.is_proxied(family)
        client, server = peers.flow(family)
        exchange(client, server, 1 << 20, 1 << 20)
    finally:
        lab.gateway.sysctl(ipv4__conf__all__src_valid_mark=0,
                           ipv4__conf__lan__rp_filter=0)
    assert rules


def test_syn_cookies(unatatp, lab, peers, rules, family):
    """With cookies for every SYN, 50 of 50 flows are good: the ACK that
    carries the cookie finds the daemon by its conntrack mark."""
    unatatp()
    lab.gateway.sysctl(ipv4__tcp_syncookies=2)
    try:
        listener = peers.listen(family=family)
        for _ in range(50):
            client = peers.connect(listener)
            client.sendall(b"cookie")
            server, peer = peers.accept(listener)
            assert peer[0] == places.GATEWAY[family]
            assert recv_exactly(server, 6) == b"cookie"
            client.close()
            server.close()
    finally:
        lab.gateway.sysctl(ipv4__tcp_syncookies=1)
    assert rules


def test_time_wait_reuse(unatatp, peers, rules, family):
    """A SYN that reuses the tuple of a connection in TIME_WAIT is
    answered at once, not 10 ms later."""
    unatatp()
    listener = peers.listen(family=family)
    times = []
    for _ in range(8):
        started = time.monotonic()
        # A port that no other client is given (lab: from 10000 on).
        client = peers.connect(listener, places.CLIENT[family], 9456)
        times.append(time.monotonic() - started)
        server, _ = peers.accept(listener)
        # The server ends first, so that the gateway keeps the TIME_WAIT.
        server.close()
        assert recv_to_end(client) == (b"", "fin")
        client.close()
        eventually(lambda: any("TIME-WAIT" in line and ":9456" in line
                               for line in peers.lab.sockets("-a")),
                   what="the gateway's socket is in TIME_WAIT")
    assert sorted(times[1:])[2] < 0.005, times
    assert rules


def test_flow_from_before_the_rules(unatatp, lab, peers, rules, family):
    """A connection that was alive before rules and daemon came goes on,
    past both."""
    lab.use_rules(None)
    client, server = peers.flow(family)
    assert server.getpeername()[0] == places.CLIENT[family]
    daemon = unatatp()
    lab.use_rules(rules)
    for _ in range(5):
        client.sendall(b"x" * 1000)
        assert len(recv_exactly(server, 1000)) == 1000
        server.sendall(b"y" * 1000)
        assert len(recv_exactly(client, 1000)) == 1000
    assert daemon.stats()["flows_opened"] == 0
    assert peers.is_proxied(family)


def test_stopped_daemon_nft(unatatp, peers, family):
    """nft's tproxy lets packets pass when nobody listens: new connections
    go by unproxied, and a new daemon takes over the next ones."""
    daemon = unatatp()
    assert peers.is_proxied(family)
    peers.close()
    daemon.wait_empty()
    daemon.stop()
    assert not peers.is_proxied(family)
    client, server = peers.flow(family)
    unatatp()
    client.sendall(b"past")
    assert recv_exactly(server, 4) == b"past"
    assert peers.is_proxied(family)


def test_gateway_service(unatatp, lab, peers, rules, family):
    """The gateway's own services (ssh to it) are not proxied, and answer
    with the daemon and without."""
    daemon = unatatp()
    inside = peers.listen(places.GATEWAY_LAN[family], port=22,
                          ns=lab.gateway)

    def answers():
        client = peers.connect(inside)
        server, peer = peers.accept(inside)
        assert peer[0] == places.CLIENT[family]
        exchange(client, server, 100, 100)
        client.close()
        server.close()
    answers()
    assert daemon.stats()["flows_opened"] == 0
    daemon.stop()
    answers()
    assert rules


def test_original_destination_without_nat(unatatp, peers, family):
    """Two flows to two addresses of one server arrive each where it was
    sent: the destination comes from getsockname, not from conntrack."""
    unatatp()
    for address in (places.SERVER, places.SERVER_B):
        listener = peers.listen(address[family])
        client = peers.connect(listener)
        server, _ = peers.accept(listener)
        assert server.getsockname()[0] == address[family]
        client.sendall(b"x")
        assert recv_exactly(server, 1) == b"x"
        client.shutdown(socket.SHUT_RDWR)
