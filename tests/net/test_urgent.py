"""Urgent data stays in line, and small messages wait for nobody."""

import socket

from peers import is_readable, recv_exactly, recv_to_end


def test_urgent_byte_in_line(unatatp, peers, family):
    """A byte sent with MSG_OOB arrives in its place, both ways."""
    unatatp()
    client, server = peers.flow(family)
    for one, two in ((client, server), (server, client)):
        one.send(b"ab")
        one.send(b"c", socket.MSG_OOB)
        one.send(b"de")
        assert recv_exactly(two, 5) == b"abcde"


def test_urgent_before_dial_completes(unatatp, lab, peers):
    """Likewise when it came before the server answered."""
    unatatp()
    listener = peers.listen(port=7002)
    with lab.server.rule("input", "tcp dport 7002 tcp flags syn drop"):
        client = peers.connect(listener)
        client.send(b"a")
        client.send(b"b", socket.MSG_OOB)
        client.send(b"c")
        client.shutdown(socket.SHUT_WR)
        assert not is_readable(listener, 0.2)
    server, _ = peers.accept(listener)
    assert recv_to_end(server) == (b"abc", "fin")


def test_both_legs(unatatp, peers, family):
    """TCP_NODELAY and SO_OOBINLINE stand on both legs."""
    daemon = unatatp()
    client, _ = peers.flow(family)
    with daemon.legs(client) as legs:
        for leg in legs:
            assert leg.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert leg.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE)
