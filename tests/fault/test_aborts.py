"""3,000 aborts in every phase, from either side, leave nothing behind."""

import contextlib
import socket

from daemon import has_sanitizer
from lab import SERVER, eventually
from peers import fill, is_reset, recv_exactly, recv_to_end, reset

MEBIBYTE = 1 << 20
DOOR = 7100	# the listener of clients that do not wait for an answer


def at_once(peers, _listener, _side):
    """The client resets as soon as its kernel is connected."""
    reset(peers.connect((SERVER[4], DOOR)))


def with_bytes(peers, _listener, _side):
    """Likewise, with bytes on their way."""
    client = peers.connect((SERVER[4], DOOR))
    client.send(b"x" * 5000)
    reset(client)


def at_rest(peers, listener, side):
    """A flow at rest is reset."""
    pair = peers.flow(listener=listener)
    reset(pair[side])
    return pair[1 - side]


def after_bytes(peers, listener, side):
    """A reset behind bytes both ways."""
    pair = peers.flow(listener=listener)
    pair[side].send(b"x" * 3000)
    pair[1 - side].send(b"y" * 3000)
    reset(pair[side])
    return pair[1 - side]


def half_closed(peers, listener, side):
    """One side ends its lane, then resets."""
    pair = peers.flow(listener=listener)
    pair[side].send(b"x")
    pair[side].shutdown(socket.SHUT_WR)
    assert recv_to_end(pair[1 - side]) == (b"x", "fin")
    reset(pair[side])
    return pair[1 - side]


def half_closed_by_other(peers, listener, side):
    """The other side ended its lane before the reset."""
    pair = peers.flow(listener=listener)
    pair[1 - side].shutdown(socket.SHUT_WR)
    reset(pair[side])
    return pair[1 - side]


def both(peers, listener, _):
    """Both sides reset at once."""
    client, server = peers.flow(listener=listener)
    reset(client)
    reset(server)


def refused(peers, _listener, _side):
    """Nobody listens."""
    client = peers.connect((SERVER[4], 9))
    recv_to_end(client)
    client.close()


def well(peers, listener, side):
    """And some flows that end as they should."""
    pair = peers.flow(listener=listener)
    pair[side].sendall(b"x")
    assert recv_exactly(pair[1 - side], 1) == b"x"
    pair[side].close()
    return pair[1 - side]


WAYS = [at_once, with_bytes, at_rest, after_bytes, half_closed,
        half_closed_by_other, both, refused, well]


def abort_many(peers, door, n):
    """N aborts, each way by turns; what is left over closes."""
    listener = peers.listen()
    for number in range(n):
        rest = None
        with contextlib.suppress(ConnectionResetError, ConnectionRefusedError):
            rest = WAYS[number % len(WAYS)](peers, listener,
                                            number // len(WAYS) % 2)
        if rest:
            rest.close()
        if number % 50 == 49:
            forget(door)
            peers.sockets[:] = [sock for sock in peers.sockets
                                if sock.fileno() >= 0]
    listener.close()


def forget(door):
    """Closes the connections whose clients have gone."""
    door.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            door.accept()[0].close()


def test_aborts_leave_nothing(unatatp, peers):
    """Descriptors are back to the baseline, memory within 1 MiB."""
    daemon = unatatp(log={"level": "notice"})
    door = peers.listen(port=DOOR)
    abort_many(peers, door, 300)	# the allocator has seen it all
    forget(door)
    daemon.wait_empty(10)
    fds, rss = daemon.fds(), daemon.rss()
    abort_many(peers, door, 3000)

    def at_rest_again():
        forget(door)
        return daemon.stats()["flows_active"] == 0
    eventually(at_rest_again, 10, "no flow is left")
    eventually(lambda: daemon.fds() <= fds, what="descriptors are back")
    assert daemon.stats()["flows_ended"] >= 3000
    if not has_sanitizer():
        assert daemon.rss() - rss <= MEBIBYTE


def test_aborts_of_stalled_flows(unatatp, peers):
    """So do flows that are reset with both lanes full."""
    daemon = unatatp.policy(buffer="64K")
    fds = daemon.fds()
    listener = peers.listen(rcvbuf=16384)
    pairs = []
    for _ in range(30):
        client = peers.connect(listener, rcvbuf=16384)
        server, _ = peers.accept(listener)
        fill(client, 0.02)
        fill(server, 0.02)
        pairs.append((client, server))
    for number, pair in enumerate(pairs):
        reset(pair[number % 2])
    for number, pair in enumerate(pairs):
        two = pair[1 - number % 2]
        eventually(lambda sock=two: is_reset(sock), 2.0,
                   "the reset comes through")
        two.close()
    daemon.wait_empty()
    eventually(lambda: daemon.fds() <= fds)


def test_kill_leaves_resets(unatatp, peers):
    """A daemon that is killed leaves its peers with an end, not hanging:
    its kernel says so for it."""
    daemon = unatatp()
    client, server = peers.flow()
    client.sendall(b"x")
    assert recv_exactly(server, 1) == b"x"
    daemon.kill()
    assert recv_to_end(client)[0] == b""
    assert recv_to_end(server)[0] == b""
