"""Where the server leg comes from: `source`, `interface`, `mark`."""

import socket

import lab as places
from peers import exchange, try_connect

IP_BIND_ADDRESS_NO_PORT = 24


def peer_of(peers, family=4, **how):
    """The address that the server sees."""
    listener = peers.listen(family=family)
    client = peers.connect(listener, **how)
    server, peer = peers.accept(listener)
    exchange(client, server, 10, 10)
    return peer


def test_gateway(unatatp, peers, family):
    """By default the kernel chooses: the gateway's own address."""
    unatatp.policy(source="gateway")
    assert peer_of(peers, family)[0] == places.GATEWAY[family]


def test_address(unatatp, peers, family):
    """An address of its own; the other family keeps the gateway's."""
    unatatp.policy(source=places.GATEWAY_B[family])
    other = 10 - family
    assert peer_of(peers, family)[0] == places.GATEWAY_B[family]
    assert peer_of(peers, other)[0] == places.GATEWAY[other]


def test_bound_address_takes_no_port_early(unatatp, peers):
    """IP_BIND_ADDRESS_NO_PORT: the port is chosen by connect(), so that
    one address serves more flows than it has ports."""
    daemon = unatatp.policy(source=places.GATEWAY_B[4])
    client, _ = peers.flow()
    with daemon.legs(client) as legs:
        assert legs.server.getsockopt(socket.IPPROTO_IP,
                                      IP_BIND_ADDRESS_NO_PORT)


def test_prefix_map(unatatp, peers):
    """A prefix keeps the client's host bits under a new prefix."""
    unatatp.policy(source=places.MAP6)
    assert peer_of(peers, 6)[0] == places.MAPPED_CLIENT
    assert peer_of(peers, 6, source=places.CLIENT_B[6])[0] == \
        places.MAPPED_CLIENT
    assert peer_of(peers, 4)[0] == places.GATEWAY[4]


def test_source_by_policy(unatatp, peers):
    """Each client subnet has its own."""
    unatatp(policies=[
        {"name": "b", "sources": [places.SUBNET_B[4]],
         "source": places.GATEWAY_B[4]},
        {"name": "a"}])
    assert peer_of(peers)[0] == places.GATEWAY[4]
    assert peer_of(peers, source=places.CLIENT_B[4])[0] == \
        places.GATEWAY_B[4]


def test_foreign_address(unatatp, peers):
    """An address that is not the gateway's resets the flow, and the
    ending says what is wrong."""
    daemon = unatatp.policy(source="10.99.99.99")
    client = try_connect(peers, peers.listen())
    if client:
        client.settimeout(3)
        try:
            assert client.recv(1) != b""
        except ConnectionResetError:
            pass
    daemon.wait_stat("source")


def test_interface(unatatp, peers, family):
    """The server leg leaves by the named interface, though the route
    prefers another."""
    unatatp.policy(interface="wan2")
    assert peer_of(peers, family)[0] == places.GATEWAY_WAN2[family]


def test_missing_interface(unatatp, peers):
    """An interface that is not there resets the flow."""
    daemon = unatatp.policy(interface="gone0")
    client = try_connect(peers, peers.listen())
    if client:
        client.settimeout(2)
        try:
            assert client.recv(1) != b""
        except ConnectionResetError:
            pass
    daemon.wait_stat("source")


def test_mark(unatatp, lab, peers, family):
    """Every packet of the server leg carries the mark, SYN included."""
    unatatp.policy(mark=0x42)
    port = peers.listen(family=family)
    with lab.gateway.counter(
            "output", "oifname wan meta mark 0x42 tcp flags syn") as marked, \
            lab.gateway.counter(
                "output", "oifname wan tcp dport >= 1 meta mark != 0x42"
            ) as bare:
        client = peers.connect(port)
        server, _ = peers.accept(port)
        exchange(client, server, 100000, 100000)
        assert marked.packets == 1
        assert bare.packets == 0
