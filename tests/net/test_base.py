"""The main job: every byte arrives, over IPv4 and IPv6, nft and iptables."""

import random

import lab as places
from peers import End, assert_exchanged, exchange, pump, recv_exactly

MIB = 1 << 20


def test_bytes_and_addresses(unatatp, peers, rules, family):
    """Bytes go both ways; the server sees the gateway, the client the
    server it asked for; the log line says what happened."""
    daemon = unatatp()
    listener = peers.listen(family=family)
    client = peers.connect(listener)
    server, peer = peers.accept(listener)
    assert peer[0] == places.GATEWAY[family]
    assert client.getpeername() == listener.getsockname()
    name = client.getsockname()
    exchange(client, server, 100001, 200002)
    line = daemon.flow(name)
    assert line["policy"] == "all"
    assert (line["up"], line["down"]) == ("100001", "200002")
    dst = "[%s]:%d" if family == 6 else "%s:%d"
    assert line["dst"] == dst % listener.getsockname()[:2]
    assert line["ending"] in ("client-fin", "server-fin")


def test_bulk(unatatp, peers, rules, family):
    """64 MiB each way at once, every SHA-256 equal."""
    unatatp()
    client, server = peers.flow(family)
    exchange(client, server, 64 * MIB, 64 * MIB)


def test_parallel(unatatp, peers, family):
    """500 flows of random sizes at once, every SHA-256 equal."""
    daemon = unatatp()
    listener = peers.listen(family=family)
    clients = {}
    for number in range(500):
        client = peers.connect(listener)
        client.sendall(number.to_bytes(4, "big"))
        clients[number] = client
    pairs = []
    for _ in range(500):
        server, _ = peers.accept(listener)
        number = int.from_bytes(recv_exactly(server, 4), "big")
        pairs.append((End(clients.pop(number), some_size()),
                      End(server, some_size())))
    pump([end for pair in pairs for end in pair])
    for one, two in pairs:
        assert_exchanged(one, two)
    daemon.wait_empty()
    stats = daemon.stats()
    assert stats["bytes_up"] == 2000 + sum(two.n_got for _, two in pairs)
    assert stats["bytes_down"] == sum(one.n_got for one, _ in pairs)


def some_size():
    """Small and large ones are equally likely."""
    return int(2 ** random.uniform(0, 18)) - 1


def test_server_speaks_first(unatatp, peers, family):
    """A server's greeting arrives though the client said nothing."""
    unatatp()
    client, server = peers.flow(family)
    server.sendall(b"220 ready\r\n")
    assert recv_exactly(client, 11) == b"220 ready\r\n"
    client.sendall(b"EHLO\r\n")
    assert recv_exactly(server, 6) == b"EHLO\r\n"


def test_ping_pong(unatatp, peers):
    """Many small messages, each answered: none waits for another."""
    unatatp()
    client, server = peers.flow()
    for number in range(500):
        message = number.to_bytes(2, "big") * (1 + number % 700)
        client.sendall(message)
        assert recv_exactly(server, len(message)) == message
        server.sendall(message)
        assert recv_exactly(client, len(message)) == message
