"""Each option of a leg, as the kernel has it on the daemon's own socket."""

import socket
import struct

import pytest

import lab as places
from lab import available_congestion
from peers import exchange, recv_exactly

TCP, SOL = socket.IPPROTO_TCP, socket.SOL_SOCKET
NOTSENT_LOWAT, USER_TIMEOUT, MAX_PACING_RATE = 25, 18, 47
SND_WND = 228	# its offset in struct tcp_info

# option, value, how to ask the kernel, what it should answer.
ROWS = [
    ("notsent_lowat", "96K", (TCP, NOTSENT_LOWAT), 96 << 10),
    ("pacing", "80M", (SOL, MAX_PACING_RATE), 10000000),
    ("user_timeout", "7s", (TCP, USER_TIMEOUT), 7000),
    ("keepalive", "90s", (TCP, socket.TCP_KEEPIDLE), 90),
    ("dscp", 46, (socket.IPPROTO_IP, socket.IP_TOS), 46 << 2),
    ("sndbuf", "100K", (SOL, socket.SO_SNDBUF), 200 << 10),
    ("rcvbuf", "90K", (SOL, socket.SO_RCVBUF), 180 << 10),
]


@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_option(unatatp_once, peers, side, row):
    """The option stands on its leg, and not on the other."""
    option, value, ask, answer = row
    daemon = unatatp_once.policy(**{side: {option: value}})
    client, server = peers.flow()
    exchange_some(client, server)
    with daemon.legs(client) as legs:
        mine, other = legs if side == "client" else reversed(list(legs))
        assert mine.getsockopt(*ask) == answer
        assert other.getsockopt(*ask) != answer


def exchange_some(client, server):
    """A few bytes each way, without an end."""
    for one, two in ((client, server), (server, client)):
        one.sendall(b"x" * 3000)
        assert len(recv_exactly(two, 3000)) == 3000


def test_everything_at_once(unatatp, peers, family):
    """All options on both legs, over both families."""
    options = {row[0]: row[1] for row in ROWS}
    daemon = unatatp.policy(client=options, server=options)
    client, server = peers.flow(family)
    with daemon.legs(client) as legs:
        for leg in legs:
            for name, _, ask, answer in ROWS:
                if name == "dscp" and family == 6:
                    ask = (socket.IPPROTO_IPV6, socket.IPV6_TCLASS)
                assert leg.getsockopt(*ask) == answer, name
            assert leg.getsockopt(SOL, socket.SO_KEEPALIVE) == 1
    exchange(client, server, 1 << 20, 1 << 20)
    assert daemon.stats()["options_refused"] == 0


@pytest.mark.parametrize("side", ["client", "server"])
def test_keepalive_off(unatatp_once, peers, side):
    """keepalive = "0" switches it off; the default is on."""
    daemon = unatatp_once.policy(**{side: {"keepalive": "0"}})
    client, _ = peers.flow()
    with daemon.legs(client) as legs:
        mine, other = legs if side == "client" else reversed(list(legs))
        assert mine.getsockopt(SOL, socket.SO_KEEPALIVE) == 0
        assert other.getsockopt(SOL, socket.SO_KEEPALIVE) == 1
        assert other.getsockopt(TCP, socket.TCP_KEEPIDLE) == 120


@pytest.mark.parametrize("side", ["client", "server"])
def test_mss(unatatp, peers, family, side):
    """No segment of the leg is larger, in either direction: the SYN or
    SYN-ACK carried it."""
    daemon = unatatp.policy(**{side: {"mss": 600}})
    client, server = peers.flow(family)
    exchange_some(client, server)
    near = client if side == "client" else server
    assert near.getsockopt(TCP, socket.TCP_MAXSEG) <= 600
    with daemon.legs(client) as legs:
        mine = legs.client if side == "client" else legs.server
        assert mine.getsockopt(TCP, socket.TCP_MAXSEG) <= 600


@pytest.mark.parametrize("side", ["client", "server"])
def test_window_clamp(unatatp, peers, side):
    """The leg never offers a larger window, as its peer sees it, though
    Linux 6.5 and later forget TCP_WINDOW_CLAMP when data arrives."""
    unatatp.policy(**{side: {"window_clamp": "32K"}})
    client, server = peers.flow()
    one, two = (client, server) if side == "client" else (server, client)
    for number in range(64):
        one.sendall(b"x" * 16384)
        assert len(recv_exactly(two, 16384)) == 16384
        # What the SYN-ACK offered, before the policy, is used up first.
        assert number < 16 or send_window(one) <= 32 << 10


def send_window(sock):
    """The window that the other kernel offers."""
    info = sock.getsockopt(TCP, socket.TCP_INFO, 256)
    return struct.unpack_from("=I", info, SND_WND)[0]


@pytest.mark.parametrize("side", ["client", "server"])
def test_dscp_on_the_wire(unatatp, lab, peers, family, side):
    """Packets of the leg carry it."""
    unatatp.policy(**{side: {"dscp": 34}})
    ns = lab.client if side == "client" else lab.server
    match = "ip dscp 34" if family == 4 else "ip6 dscp 34"
    with ns.counter("input", "%s meta l4proto tcp" % match) as counter:
        client, server = peers.flow(family)
        exchange(client, server, 50000, 50000)
        assert counter.packets > 3


def test_pacing_paces(unatatp, peers):
    """A leg paced at 8 Mbit/s shows it in ss -ti."""
    daemon = unatatp.policy(client={"pacing": "8M"})
    client, server = peers.flow()
    server.sendall(b"x" * 50000)
    lines = [line for line in daemon.ns.run("ss", "-tinHO").splitlines()
             if "%s:%d" % client.getsockname() in line]
    assert any("pacing_rate" in line for line in lines), lines


def congestion(sock):
    """The algorithm of a socket."""
    raw = sock.getsockopt(TCP, socket.TCP_CONGESTION, 16)
    return raw.split(b"\0")[0].decode()


ALGORITHMS = [name for name in ("bbr", "cubic", "reno")
              if name in available_congestion()]


@pytest.mark.parametrize("one", ALGORITHMS)
@pytest.mark.parametrize("two", ALGORITHMS)
def test_congestion(unatatp_once, peers, one, two):
    """Each leg runs its own algorithm; the log line names both."""
    daemon = unatatp_once.policy(client={"congestion": one},
                                 server={"congestion": two})
    client, server = peers.flow()
    name = client.getsockname()
    with daemon.legs(client) as legs:
        assert [congestion(leg) for leg in legs] == [one, two]
    exchange(client, server, 100000, 100000)
    line = daemon.flow(name)
    assert (line["client_cc"], line["server_cc"]) == (one, two)


def test_congestion_by_subnet(unatatp, lab, peers, family):
    """It follows the client's subnet, as ss -tin shows on both legs."""
    unatatp(policies=[
        {"name": "a", "sources": [places.SUBNET[family]],
         "client": {"congestion": "reno"}, "server": {"congestion": "cubic"}},
        {"name": "b", "sources": [places.SUBNET_B[family]],
         "client": {"congestion": "cubic"}, "server": {"congestion": "reno"}},
    ])
    for source, want in ((places.CLIENT, ("reno", "cubic")),
                         (places.CLIENT_B, ("cubic", "reno"))):
        listener = peers.listen(family=family)
        client = peers.connect(listener, source[family])
        peers.accept(listener)
        port = listener.getsockname()[1]
        shown = {}
        for line in lab.sockets():
            words = line.split()
            if words[0] == "ESTAB" and words[3].endswith(":%d" % port):
                shown["client"] = words
            elif words[0] == "ESTAB" and words[4].endswith(":%d" % port):
                shown["server"] = words
        assert want[0] in shown["client"] and want[1] in shown["server"]
        client.close()


def test_system_congestion(unatatp_once, lab, peers):
    """"system" is what the gateway's sysctl says, now and later."""
    daemon = unatatp_once()
    try:
        for name in ("reno", "cubic"):
            lab.gateway.sysctl(ipv4__tcp_congestion_control=name)
            client, _ = peers.flow()
            with daemon.legs(client) as legs:
                assert congestion(legs.server) == name
    finally:
        lab.gateway.sysctl(ipv4__tcp_congestion_control="cubic")
