"""What the path does to a flow: ICMP errors that somebody forges, links that
lose big packets in silence, data in a SYN, and clients that use their port
again at once."""

import contextlib
import socket
from itertools import product

import pytest

from icmp import ERRORS, OnPath, counters, mtu_error
from lab import eventually
from peers import (TIMEOUT, End, assert_exchanged, exchange, fill, pump,
                   recv_exactly, recv_to_end, reset)

# Both engines, one worker and several.
both = pytest.mark.parametrize("unatatp", ["buffer-1", "splice-4"],
                               indirect=True)
MEBIBYTE = 1 << 20
MTU = {4: (socket.IPPROTO_IP, 14), 6: (socket.IPPROTO_IPV6, 24)}


def speak(pair):
    """A few bytes each way."""
    for one, two in (pair, pair[::-1]):
        one.sendall(b"x" * 3000)
        assert len(recv_exactly(two, 3000)) == 3000


def mtus(daemon, pair, family):
    """What both legs take their paths to carry."""
    with daemon.legs(pair[0]) as legs:
        return [leg.getsockopt(*MTU[family]) for leg in legs]


# --- ICMP --------------------------------------------------------------

HEARD = {4: "Icmp.InDestUnreachs", 6: "Icmp6InDestUnreachs"}
NOT_OURS = "TcpExt.OutOfWindowIcmps"


@both
def test_icmp_errors(unatatp, lab, peers, family):
    """Every packet that the gateway sends is answered with an error that
    quotes it, on both legs: flows that stand and new ones carry every byte,
    and a wrong sequence number makes no packet smaller."""
    daemon = unatatp()
    pair = peers.flow(family)
    before = counters(lab.gateway, HEARD[family], NOT_OURS)
    with OnPath(lab.client, family) as one, OnPath(lab.server, family) as two:
        eventually(lambda: speak(pair) or min(one.sent, two.sent) > 60)
        for _ in range(2):
            exchange(*peers.flow(family), MEBIBYTE, MEBIBYTE)
    after = counters(lab.gateway, HEARD[family], NOT_OURS)
    # Two of three kinds are counted there, if both legs' arrive.
    assert after[HEARD[family]] - before[HEARD[family]] > \
        (one.sent + two.sent) / 2
    assert after[NOT_OURS] - before[NOT_OURS] > 5
    assert mtus(daemon, pair, family) == [1500, 1500]
    name = pair[0].getsockname()
    exchange(*pair, MEBIBYTE, MEBIBYTE)
    assert daemon.flow(name)["ending"].endswith("-fin")


def test_time_out_behind_icmp_errors(unatatp_once, lab, peers, family):
    """A peer that is gone, and whose path says so in whatever way, has
    stopped answering. It did not reset."""
    leg = {"user_timeout": "500ms"}
    daemon = unatatp_once.policy(client=leg, server=leg)
    cases = [(side, peers.flow(family)) for side in ("client", "server")
             for _ in ERRORS[family]]
    with contextlib.ExitStack() as stack:
        for ns in (lab.client, lab.server):
            stack.enter_context(OnPath(ns, family))
            stack.enter_context(
                ns.rule("prerouting", "meta l4proto tcp drop"))
        for side, pair in cases:
            pair[side == "client"].send(b"x")
        for side, pair in cases:
            name = pair[0].getsockname()
            assert daemon.flow(name)["ending"] == side + "-timeout"


@pytest.fixture
def fresh_paths(lab):
    """What the gateway learns of paths is forgotten at the end."""
    yield
    for version in (4, 6):
        lab.gateway.ip("route flush cache\n", version)


@pytest.mark.parametrize("side", ["client", "server"])
def test_true_icmp_error(unatatp_once, lab, peers, family, side, fresh_paths):
    """A router that says what its link carries is believed, on either leg:
    what is sent from then on fits."""
    # pylint: disable=unused-argument,too-many-arguments
    daemon = unatatp_once()
    pair = peers.flow(family)
    ns = lab.client if side == "client" else lab.server
    want = [1300, 1500] if side == "client" else [1500, 1300]
    with OnPath(ns, family, [mtu_error(family, 1300)]):
        eventually(lambda: speak(pair) or mtus(daemon, pair, family) == want)
    exchange(*pair, MEBIBYTE, MEBIBYTE)


# --- black holes -------------------------------------------------------

class Way:
    """One flow whose one leg leads into a black hole."""

    def __init__(self, peers, family, side):
        self.peers, self.family, self.side = peers, family, side
        self.client, self.server = peers.flow(family)

    def ends(self, n):
        """Both ends; N bytes go into the hole."""
        up, down = (n, 0) if self.side == "server" else (0, n)
        return End(self.client, up), End(self.server, down)


@contextlib.contextmanager
def black_holes(lab, at):
    """Packets of more than 1300 bytes are lost on both legs, on arrival AT
    the peers or at the gateway, and nobody says so. What is sent is as large
    on the veth as it would be on a wire."""
    names = ((lab.client, "eth0"), (lab.server, "eth0"),
             (lab.gateway, "lan"), (lab.gateway, "wan"))
    places = (lab.client, lab.server) if at == "peers" else (lab.gateway,)
    with contextlib.ExitStack() as stack:
        for ns, name in names:
            ns.ip("link set dev %s gso_max_segs 1\n" % name)
            stack.callback(ns.ip, "link set dev %s gso_max_segs 65535\n" %
                           name)
        for ns in places:
            stack.enter_context(ns.rule(
                "prerouting", "meta l4proto tcp meta length > 1300 drop"))
        yield


SIDES = [(family, side) for family in (4, 6) for side in ("client", "server")]
N = 300000


@both
@pytest.mark.parametrize("at", ["peers", "gateway"])
def test_black_hole_with_mss(unatatp, lab, peers, at):
    """The option `mss` gets bytes past a black hole, from the gateway to it
    and to the gateway from behind it, where there is no way without."""
    leg = {"mss": 1200}
    unatatp.policy(client=leg, server=leg)
    with black_holes(lab, at):
        for family in (4, 6):
            exchange(*peers.flow(family), N, N)


@both
def test_black_hole_with_probing(unatatp, lab, peers):
    """Without it such flows stand still, and only such: what is small gets
    through. With net.ipv4.tcp_mtu_probing = 1 they get on by themselves,
    those that stood still included."""
    unatatp()
    lab.gateway.sysctl(ipv4__tcp_retries1=1)	# to suspect it sooner
    try:
        with black_holes(lab, "peers"):
            ways = [Way(peers, *one) for one in SIDES]
            pairs = [way.ends(N) for way in ways]
            with pytest.raises(AssertionError, match="ends are not done"):
                pump([end for pair in pairs for end in pair], 0.4)
            assert not any(end.n_got for pair in pairs for end in pair)
            small = peers.flow()
            small[0].sendall(b"x" * 1000)
            assert len(recv_exactly(small[1], 1000)) == 1000
            lab.gateway.sysctl(ipv4__tcp_mtu_probing=1)
            pump([end for pair in pairs for end in pair], 20)
            for pair in pairs:
                assert_exchanged(*pair)
    finally:
        lab.gateway.sysctl(ipv4__tcp_mtu_probing=0, ipv4__tcp_retries1=3)


# --- data in the SYN ---------------------------------------------------

SYNS_WITH_DATA = "tcp flags & (syn | ack) == syn meta length > 500"
HALF_OF_SYNACKS = "tcp flags & (syn | ack) == syn | ack " \
    "numgen inc mod 2 0 drop"
IN_SYN = 900
PASSIVE = "TcpExt.TCPFastOpenPassive"


@contextlib.contextmanager
def fast_open(lab, gateway):
    """net.ipv4.tcp_fastopen of the GATEWAY; the client asks for no cookie,
    and goes on to send data in SYNs when they are lost."""
    lab.client.sysctl(ipv4__tcp_fastopen=5,
                      ipv4__tcp_fastopen_blackhole_timeout_sec=0)
    lab.gateway.sysctl(ipv4__tcp_fastopen=gateway)
    try:
        yield
    finally:
        lab.client.sysctl(ipv4__tcp_fastopen=1)
        lab.gateway.sysctl(ipv4__tcp_fastopen=1)


@both
@pytest.mark.parametrize("gateway", [1, 0x603], ids=["refused", "taken"])
def test_fast_open(unatatp, lab, peers, gateway):
    """Data in a SYN arrives once, whether the gateway's kernel takes it from
    there or lets the client send it again, SYN-ACKs lost included."""
    with fast_open(lab, gateway), \
            lab.client.counter("output", SYNS_WITH_DATA) as syns, \
            lab.client.rule("prerouting", HALF_OF_SYNACKS):
        before = counters(lab.gateway, PASSIVE)[PASSIVE]
        unatatp()
        listeners = [peers.listen(family=one) for one in (4, 6)]
        clients, servers = [], {}
        for number in range(10):
            clients.append(peers.new(lab.client, 4 + number % 2 * 2))
            assert clients[-1].sendto(
                bytes([number]) * IN_SYN, socket.MSG_FASTOPEN,
                listeners[number % 2].getsockname()) == IN_SYN
        assert syns.packets >= 10
        for number in range(10):
            server, _ = peers.accept(listeners[number % 2])
            first = recv_exactly(server, IN_SYN)
            assert first == first[:1] * IN_SYN
            servers[first[0]] = server
        for number, client in enumerate(clients):
            exchange(client, servers[number], 100000, 100000)
        taken = counters(lab.gateway, PASSIVE)[PASSIVE] - before
        assert bool(taken) == (gateway != 1), taken


# --- one port again and again ------------------------------------------

PORT = 4321


def client_ends(client, server):
    """FIN, the client first."""
    client.shutdown(socket.SHUT_WR)
    assert recv_exactly(server, 1) == b""
    server.close()
    assert recv_exactly(client, 1) == b""
    client.close()


def server_ends(client, server):
    """FIN, the server first."""
    server.close()
    assert recv_exactly(client, 1) == b""
    client.close()


def client_resets(client, _server):
    """RST; the server has not yet heard of it."""
    reset(client)


def server_resets(client, server):
    """RST of the server."""
    reset(server)
    assert recv_to_end(client)[1] == "reset"
    client.close()


def client_resets_in_the_middle(client, server):
    """RST with bytes under way, and unread, both ways."""
    for sock in (client, server):
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                sock.send(b"x" * 65536)
        sock.settimeout(TIMEOUT)
    reset(client)
    assert recv_to_end(server)[1] == "reset"


ENDS = [client_ends, server_ends, client_resets, server_resets,
        client_resets_in_the_middle]


@both
@pytest.mark.parametrize("source", ["gateway", "client"])
def test_port_again_at_once(unatatp, session_lab, peers, family, source):
    """A client that connects from the same port to the same server as soon
    as its kernel lets it, whoever ended the last connection, and how: each
    is a flow of its own, without a byte of another."""
    session_lab.use_rules("nft", source=source)
    daemon = unatatp.policy(source=source)
    listener = peers.listen(family=family)
    # Each way after each.
    for number, end in enumerate(one for two in product(ENDS, ENDS)
                                 for one in two):
        client = peers.connect(listener, port=PORT)
        server, peer = peers.accept(listener)
        assert source == "gateway" or peer[1] == PORT
        word = b"%08d" % number
        for one, two in ((client, server), (server, client)):
            one.sendall(word)
            assert recv_exactly(two, len(word)) == word
        end(client, server)
    assert daemon.stats()["port_fallbacks"] == 0


@both
def test_port_again_before_its_time(unatatp, session_lab, peers, family):
    """With source "client", and a server that does not read what the client
    had sent before its RST: its port is in use for as long as that flow is
    flushed. The next one waits for it, or takes another, and is served."""
    session_lab.use_rules("nft", source="client")
    unatatp.policy(source="client")
    listener = peers.listen(family=family, rcvbuf=16384)
    client = peers.connect(listener, port=PORT)
    peers.accept(listener)
    fill(client)
    reset(client)
    client = peers.connect(listener, port=PORT)
    exchange(client, peers.accept(listener)[0], 1000, 1000)
