"""`source = "clientip"` and `"client"`: the server sees the client."""

import contextlib
import socket

import pytest

import lab as places
from firewall import ruled
from lab import PORT, Namespace
from peers import (assert_reset, exchange, recv_exactly, recv_to_end,
                   reset, try_connect)

IP_TRANSPARENT, IPV6_TRANSPARENT = 19, 75
SOURCES = ["clientip", "client"]
REUSES = 1000
CLIENT_PORT = 4321
INVALID = "ct state invalid"

both_backends = pytest.mark.parametrize("backend", ["nft", "iptables"])


@pytest.fixture
def backend():
    """Whose rules there are, where a test does not ask for both."""
    return "nft"


@pytest.fixture
def lab(session_lab, backend):
    """The lab with the rules that `unatatp firewall up` makes for it."""
    session_lab.use_rules(backend, source="client")
    return session_lab


def stand(peers, listener, **how):
    """A flow to LISTENER: (client, server, the address the server sees)."""
    client = peers.connect(listener, **how)
    server, peer = peers.accept(listener)
    return client, server, peer


def transparent(peers, address, port):
    """A socket of the gateway with an address that is not its own."""
    version = places.family_of(address)
    sock = peers.new(peers.lab.gateway, version)
    if version == 6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    return sock


@both_backends
@pytest.mark.parametrize("source", SOURCES)
def test_server_sees_the_client(unatatp, peers, source):
    """One policy serves both families, each client with its own address;
    every byte arrives, both ways."""
    unatatp.policy(source=source)
    for version in (4, 6, 4, 6):
        client, server, peer = stand(peers, peers.listen(family=version))
        assert peer[0] == places.CLIENT[version]
        assert (source == "clientip") or peer == client.getsockname()[:2]
        exchange(client, server, 3000001, 2000003)


@both_backends
def test_port_to_two_servers(unatatp, peers, family):
    """One client port is open to several servers at once."""
    unatatp.policy(source="client")
    flows = []
    for address in (places.SERVER, places.SERVER_B):
        flows.append(stand(peers, peers.listen(address[family]),
                           port=CLIENT_PORT))
    for client, server, peer in flows:
        assert peer == (places.CLIENT[family], CLIENT_PORT)
        exchange(client, server, 100001, 100003)


def end_by_server(client, server):
    """FIN of the server first."""
    server.close()
    assert recv_exactly(client, 1) == b""
    client.close()


def end_by_client(client, server):
    """FIN of the client first: TIME_WAIT on the gateway's server leg."""
    client.shutdown(socket.SHUT_WR)
    assert recv_exactly(server, 1) == b""
    server.close()
    assert recv_exactly(client, 1) == b""
    client.close()


def end_by_reset(client, server):
    """RST of the client."""
    reset(client)
    assert recv_to_end(server)[1] == "reset"
    server.close()


def reuse(peers, listener, end, times):
    """Connects TIMES from one port, and ends each connection with END."""
    family = places.family_of(listener.getsockname()[0])
    for n in range(times):
        client, server, peer = stand(peers, listener, port=CLIENT_PORT)
        assert peer == (places.CLIENT[family], CLIENT_PORT), n
        client.sendall(b"ping")
        assert recv_exactly(server, 4) == b"ping"
        server.sendall(b"pong")
        assert recv_exactly(client, 4) == b"pong"
        end(client, server)
        peers.sockets = [listener]


@pytest.mark.parametrize("end", [end_by_server, end_by_client, end_by_reset])
def test_port_reuse(unatatp, peers, family, end):
    """A client that uses its port again and again, whoever ends it."""
    daemon = unatatp.policy(source="client")
    reuse(peers, peers.listen(family=family), end, REUSES)
    assert daemon.stats()["port_fallbacks"] == 0


@pytest.mark.parametrize("end", [end_by_server, end_by_client, end_by_reset])
def test_address_reuse(unatatp_once, peers, family, end):
    """Likewise when only the address is kept."""
    daemon = unatatp_once.policy(source="clientip")
    listener = peers.listen(family=family)
    for _ in range(REUSES):
        client, server, peer = stand(peers, listener, port=CLIENT_PORT)
        assert peer[0] == places.CLIENT[family]
        end(client, server)
        peers.sockets = [listener]
    assert daemon.stats()["port_fallbacks"] == 0


@pytest.mark.parametrize("end", [end_by_server, end_by_client, end_by_reset])
def test_port_reuse_without_timestamps(unatatp, lab, peers, family, end):
    """Without TCP timestamps the kernel keeps a TIME_WAIT for a minute; it
    is ended for the client that asks for its port again."""
    daemon = unatatp.policy(source="client")
    lab.server.sysctl(ipv4__tcp_timestamps=0)
    try:
        reuse(peers, peers.listen(family=family), end, 100)
    finally:
        lab.server.sysctl(ipv4__tcp_timestamps=1)
    assert daemon.stats()["port_fallbacks"] == 0


@both_backends
def test_port_free_soon(unatatp, peers, family):
    """While the last connection is not over, such as until the server has
    acknowledged its end, the next one waits and then has the port."""
    daemon = unatatp.policy(source="client")
    listener = peers.listen(family=family)
    last = transparent(peers, places.CLIENT[family], CLIENT_PORT)
    last.connect(listener.getsockname()[:2])
    peers.accept(listener)
    client = peers.connect(listener, port=CLIENT_PORT)
    daemon.wait_stat("flows_active")
    reset(last)
    server, peer = peers.accept(listener)
    assert peer == (places.CLIENT[family], CLIENT_PORT)
    exchange(client, server, 1001, 1003)
    assert daemon.stats()["port_fallbacks"] == 0


def test_a_leg_dialled_again_keeps_its_algorithm(unatatp_once, peers):
    """However often it had to be dialled, it is one flow to "auto"."""
    daemon = unatatp_once.policy(source="client", server={
        "congestion": "auto", "congestion_among": ["cubic", "reno"]})
    listener = peers.listen(family=4)
    last = transparent(peers, places.CLIENT[4], CLIENT_PORT)
    last.connect(listener.getsockname()[:2])
    peers.accept(listener)
    client = peers.connect(listener, port=CLIENT_PORT)
    daemon.wait_stat("flows_active")
    reset(last)
    server, _ = peers.accept(listener)
    exchange(client, server, 1001, 1003)
    told = daemon.show("policies")[0]["server"]["auto"]["recent"][0]
    assert sum(one["flows"] for one in told["algorithms"]) == 1


def test_port_not_free(unatatp, peers, family):
    """When it does not end, another port of the client's address serves:
    counted, and the log says so once."""
    daemon = unatatp.policy(source="client")
    listener = peers.listen(family=family)
    last = transparent(peers, places.CLIENT[family], CLIENT_PORT)
    last.connect(listener.getsockname()[:2])
    peers.accept(listener)
    client, server, peer = stand(peers, listener, port=CLIENT_PORT)
    assert peer[0] == places.CLIENT[family]
    assert peer[1] != CLIENT_PORT
    exchange(client, server, 1001, 1003)
    assert daemon.stats()["port_fallbacks"] == 1
    said = [line for line in daemon.log.lines if "another port" in line]
    assert len(said) == 1 and "port %d " % CLIENT_PORT in said[0]


def test_port_not_free_in_time(unatatp, peers):
    """A connection that waits for its port ends at the connect timeout."""
    daemon = unatatp.policy(source="client", timeouts={"connect": "200ms"})
    listener = peers.listen()
    last = transparent(peers, places.CLIENT[4], CLIENT_PORT)
    last.connect(listener.getsockname()[:2])
    client = peers.connect(listener, port=CLIENT_PORT)
    assert_reset(client)
    daemon.wait_stat("connect-timeout")


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_port_of_a_service(unatatp, lab, peers, family, before):
    """The gateway's own service has that port on every address: the client
    has it still, and the service can be started meanwhile."""
    unatatp.policy(source="client")
    wildcard = {4: "0.0.0.0", 6: "::"}[family]
    if before:
        service = peers.listen(wildcard, port=CLIENT_PORT, ns=lab.gateway)
    client, server, peer = stand(peers, peers.listen(family=family),
                                 port=CLIENT_PORT)
    assert peer == (places.CLIENT[family], CLIENT_PORT)
    if before:
        service.close()
    service = peers.listen(wildcard, port=CLIENT_PORT, ns=lab.gateway)
    exchange(client, server, 100001, 100003)
    inside = peers.connect((places.GATEWAY_LAN[family], CLIENT_PORT))
    peers.accept(service)[0].sendall(b"service")
    assert recv_exactly(inside, 7) == b"service"


def test_port_refused(unatatp_once, peers, family):
    """Where the kernel refuses, here a port below 1024 without
    CAP_NET_BIND_SERVICE, the ending is `source`; other flows go on."""
    daemon = unatatp_once.start(
        options=unatatp_once.options(
            policies=[{"name": "all", "source": "client"}]),
        prefix=["setpriv", "--bounding-set", "-net_bind_service"])
    listener = peers.listen(family=family)
    client = try_connect(peers, listener, port=999)
    if client:
        assert_reset(client)
    daemon.wait_stat("source")
    client, server, peer = stand(peers, listener, port=CLIENT_PORT)
    assert peer == (places.CLIENT[family], CLIENT_PORT)
    exchange(client, server, 1001, 1003)


@pytest.mark.parametrize("source", SOURCES)
def test_after_the_drop(unatatp, peers, public_folder, source):
    """An unprivileged user is enough once it runs, for ports below 1024
    and after a reload too."""
    unatatp.folder = public_folder
    daemon = unatatp(user="nobody", policies=[
        {"name": "not-yet", "source": source, "ports": ["1"]}])
    daemon.reload(policies=[{"name": "all", "source": source}])
    for version in (4, 6):
        listener = peers.listen(family=version)
        for _ in range(3):
            client, server, peer = stand(peers, listener, port=999)
            assert peer[0] == places.CLIENT[version]
            assert source == "clientip" or peer[1] == 999
            exchange(client, server, 1001, 1003)
            client.close()


FORMS = {
    "gateway": places.GATEWAY,
    "address": places.GATEWAY_B,
    "map": {6: places.MAPPED_CLIENT},
    "clientip": places.CLIENT,
    "client": places.CLIENT,
}


def source_of(form, family):
    """The text of the option."""
    return {"address": places.GATEWAY_B[family],
            "map": places.MAP6}.get(form, form)


@pytest.fixture(params=[(form, version) for form, seen in FORMS.items()
                        for version in seen],
                ids=lambda one: "%s-v%d" % one)
def form(request):
    """Each form of `source`, with the families it is for."""
    return request.param


@both_backends
@pytest.mark.parametrize("mark", [0x42, 0x142], ids=hex)
def test_mark(unatatp, lab, peers, form, mark):
    """Every packet of the server leg carries the mark, from whatever
    source, and also when it looks like the firewall's own."""
    name, family = form
    unatatp.policy(source=source_of(name, family), mark=mark)
    with lab.gateway.counter(
            "output", "oifname wan tcp dport >= 1 meta mark != %d" % mark
    ) as bare:
        client, server, peer = stand(peers, peers.listen(family=family))
        assert peer[0] == FORMS[name][family]
        exchange(client, server, 300001, 300003)
        assert bare.packets == 0


@contextlib.contextmanager
def server_answers_by_eth1(lab, family):
    """The server's way to all clients is by its second interface."""
    nets = {4: ["10.71.0.0/16", "10.72.0.1/32", "10.72.0.9/32"],
            6: ["fd71::/32", "fd73::/64", "fd72::1/128", "fd72::9/128"]}
    lines = "".join("route %%s %s via %s dev eth1\n" % (
        net, places.GATEWAY_WAN2[family]) for net in nets[family])
    lab.server.ip(lines.replace("%s", "add"), family)
    try:
        yield
    finally:
        lab.server.ip(lines.replace("%s", "del"), family)


@both_backends
def test_interface(unatatp, lab, peers, form):
    """The server leg leaves by the named interface, whatever its source."""
    name, family = form
    unatatp.policy(source=source_of(name, family), interface="wan2",
                   mark=0x42)
    expected = places.GATEWAY_WAN2[family] if name == "gateway" \
        else FORMS[name][family]
    with server_answers_by_eth1(lab, family), lab.gateway.counter(
            "output", "oifname wan meta l4proto tcp") as astray:
        client, server, peer = stand(peers, peers.listen(family=family))
        assert peer[0] == expected
        exchange(client, server, 300001, 300003)
        assert astray.packets == 0


def test_interface_port_reuse(unatatp_once, lab, peers, family):
    """A TIME_WAIT is found and ended by way of the interface, too."""
    daemon = unatatp_once.policy(source="client", interface="wan2")
    lab.server.sysctl(ipv4__tcp_timestamps=0)
    try:
        with server_answers_by_eth1(lab, family):
            reuse(peers, peers.listen(family=family), end_by_client, 20)
    finally:
        lab.server.sysctl(ipv4__tcp_timestamps=1)
    assert daemon.stats()["port_fallbacks"] == 0


@contextlib.contextmanager
def masquerade(ns, backend, family):
    """All that leaves for the servers, by BACKEND."""
    if backend == "nft":
        with ns.rule("postrouting", 'oifname { "wan", "wan2" } masquerade',
                     "srcnat", "nat"):
            yield
        return
    nat = {4: "iptables", 6: "ip6tables"}[family]
    rule = ["POSTROUTING", "-o", "wan+", "-j", "MASQUERADE"]
    ns.run(nat, "-t", "nat", "-A", *rule)
    try:
        yield
    finally:
        ns.run(nat, "-t", "nat", "-D", *rule)


@both_backends
@pytest.mark.parametrize("source", SOURCES)
def test_masquerade(unatatp, lab, peers, backend, family, source):
    """A gateway that masquerades everything else; conntrack sees nothing
    that it calls invalid, which many a firewall drops."""
    unatatp.policy(source=source)
    with masquerade(lab.gateway, backend, family):
        for _ in range(10):
            client, server, peer = stand(peers, peers.listen(family=family))
            assert peer[0] == places.CLIENT[family]
            assert source == "clientip" or peer == client.getsockname()[:2]
            with lab.gateway.counter("output", INVALID) as one, \
                    lab.gateway.counter("input", INVALID) as two:
                exchange(client, server, 300001, 200003)
                assert one.packets + two.packets == 0


@both_backends
@pytest.mark.parametrize("source", SOURCES)
def test_strict_reverse_path(unatatp_once, lab, peers, source):
    """The sysctls that wg-quick sets."""
    unatatp_once.policy(source=source)
    lab.gateway.sysctl(ipv4__conf__all__rp_filter=1,
                       ipv4__conf__all__src_valid_mark=1)
    try:
        client, server, peer = stand(peers, peers.listen())
        assert peer[0] == places.CLIENT[4]
        exchange(client, server, 100001, 100003)
    finally:
        lab.gateway.sysctl(ipv4__conf__all__rp_filter=0,
                           ipv4__conf__all__src_valid_mark=0)


@both_backends
def test_others_pass(unatatp_once, lab, peers, family, backend, tmp_path):
    """What comes in on the servers' side and is nobody's here goes on,
    though a listener has that port on every address."""
    options = {"listen": [{"address": {4: "0.0.0.0", 6: "::"}[family],
                           "port": PORT}],
               "policies": [{"name": "all", "source": "client"}]}
    with ruled(lab, tmp_path, **options) as command:
        command("up", "--backend", backend)
        daemon = unatatp_once(**options)
        inside = peers.listen(places.CLIENT[family], port=PORT,
                              ns=lab.client)
        outside = peers.connect(inside, source=places.SERVER[family],
                                ns=lab.server)
        inner, peer = peers.accept(inside)
        assert peer == outside.getsockname()[:2]
        exchange(outside, inner, 1001, 1003)
        assert daemon.stats()["flows_opened"] == 0


FAR = {4: "10.75.0.2", 6: "fd75::2"}
NEAR = {4: "10.75.0.1", 6: "fd75::1"}


@pytest.fixture
def far(lab):
    """A host behind the server, on a link with a small MTU."""
    host = Namespace()
    lab.server.ip("link add eth2 type veth peer name eth0 netns %s\n"
                  % host.path)
    host.sysctl(ipv6__conf__all__accept_dad=0)
    for ns, link, address in ((lab.server, "eth2", NEAR),
                              (host, "eth0", FAR)):
        ns.ip("addr add %s/24 dev %s\naddr add %s/64 dev %s nodad\n"
              "link set %s mtu 1300 up\n" % (address[4], link, address[6],
                                             link, link))
    lab.server.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)
    for version in (4, 6):
        # It says in its SYN-ACK that it takes more than the link does.
        host.ip("route add default via %s advmss 1440\n" % NEAR[version],
                version)
        lab.gateway.ip("route add %s via %s\n" % (
            FAR[version], places.SERVER[version]), version)
    yield host
    for version in (4, 6):
        lab.gateway.ip("route del %s\n" % FAR[version], version)
    lab.server.sysctl(ipv4__ip_forward=0, ipv6__conf__all__forwarding=0)
    lab.server.ip("link del eth2\n")
    host.close()


@both_backends
@pytest.mark.parametrize("source", SOURCES)
def test_path_mtu(unatatp, far, peers, family, source):
    """A router's "packet too big" goes to the client's address and still
    reaches the server leg."""
    daemon = unatatp.policy(source=source)
    listener = peers.listen(FAR[family], ns=far)
    with peers.lab.gateway.counter("input", {
            4: "iifname wan icmp type destination-unreachable",
            6: "iifname wan icmpv6 type packet-too-big"}[family]) as errors:
        client, server, _ = stand(peers, listener)
        exchange(client, server, 1000001, 1000003)
        assert errors.packets > 0
    daemon.wait_empty()


def test_no_way_back(unatatp, lab, peers):
    """Without the rules the answers pass the gateway by; the flow ends at
    the connect timeout, and the client is reset."""
    daemon = unatatp.policy(source="client", timeouts={"connect": "300ms"})
    lab.gateway.run("nft", "flush", "chain", "inet", "unatatp", "zone_in")
    lab.forget_rules()
    client = try_connect(peers, peers.listen())
    if client:
        assert_reset(client)
    daemon.wait_stat("connect-timeout")


@pytest.mark.parametrize("source", SOURCES)
def test_gateway_itself(unatatp, lab, peers, family, source):
    """Towards the gateway's own addresses, where a policy allows them, the
    source is the gateway: its answer would not come back otherwise."""
    lab.use_rules("nft", exempt_local=False, source="client")
    daemon = unatatp.policy(source=source, allow_local=True)
    inside = peers.listen(places.GATEWAY[family], port=7777, ns=lab.gateway)
    client, server, peer = stand(peers, inside)
    assert peer[0] != places.CLIENT[family]
    exchange(client, server, 1001, 1003)
    assert daemon.stats()["flows_opened"] == 1


@pytest.mark.parametrize("source", SOURCES)
def test_loop(unatatp, lab, peers, family, source):
    """The guards hold: our own listener and loopback are not dialled."""
    to = (places.GATEWAY_LAN[family], 9990)
    daemon = unatatp(listen=[{"address": to[0], "port": to[1]}],
                     policies=[{"name": "all", "source": source,
                                "allow_local": True}])
    with lab.gateway.counter(
            "output", "tcp flags & (syn|ack) == syn") as dials:
        client = try_connect(peers, to)
        if client:
            assert_reset(client)
        daemon.wait_stat("loop")
        assert dials.packets == 0
    assert daemon.stats()["flows_opened"] == 1


ELSEWHERE = "10.99.0.1"


@both_backends
@pytest.mark.parametrize("source", SOURCES)
def test_misrouted(unatatp_once, lab, peers, source):
    """A router on the clients' side sends what we dial back to us. What
    would answer goes to the client, who knows nothing of it: no flow of a
    flow begins, and the first one ends at the connect timeout."""
    daemon = unatatp_once.policy(source=source, timeouts={"connect": "2s"})
    lab.client.sysctl(ipv4__ip_forward=1, ipv4__conf__all__accept_local=1,
                      ipv4__conf__eth0__send_redirects=0,
                      ipv4__conf__all__send_redirects=0)
    lab.gateway.ip("route add %s via %s dev lan\n" % (ELSEWHERE,
                                                      places.CLIENT[4]))
    try:
        with lab.gateway.counter(
                "prerouting", "iifname lan ip daddr %s "
                "tcp flags & (syn|ack) == syn" % ELSEWHERE) as syns:
            client = peers.connect((ELSEWHERE, 80))
            assert_reset(client)
            assert syns.packets > 1	# the first is the client's own
        daemon.wait_stat("connect-timeout")
        assert daemon.stats()["flows_opened"] == 1
    finally:
        lab.gateway.ip("route del %s via %s dev lan\n" % (ELSEWHERE,
                                                          places.CLIENT[4]))
        lab.client.sysctl(ipv4__ip_forward=0, ipv4__conf__all__accept_local=0)


@pytest.mark.parametrize("source", SOURCES)
def test_link_local_client(unatatp, peers, source):
    """An address that no gateway may forward cannot be a source."""
    daemon = unatatp.policy(source=source)
    listener = peers.listen(family=6)
    client = peers.new(peers.lab.client, 6)
    with peers.lab.client:
        scope = socket.if_nametoindex("eth0")
        text = peers.lab.client.run("ip", "-6", "-br", "addr", "show", "dev",
                                    "eth0", "scope", "link")
        client.bind((text.split()[2].split("/")[0], 0, 0, scope))
    with contextlib.suppress(ConnectionError):
        client.connect(listener.getsockname()[:2])
        assert_reset(client)
    daemon.wait_stat("source")
