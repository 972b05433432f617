"""The two ends of a flow: sockets in the client and the server namespace,
and what one does with them."""

import contextlib
import errno
import fcntl
import hashlib
import os
import random
import select
import selectors
import socket
import struct
import termios
import threading
import time

import lab
from lab import FAMILY, SERVER, family_of

TIMEOUT = 10.0
SIOCOUTQ = termios.TIOCOUTQ
LINGER_RESET = struct.pack("ii", 1, 0)


def reset(sock):
    """Closes SOCK with a RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    sock.close()


def unacked(sock):
    """How many bytes the other kernel has not acknowledged."""
    raw = fcntl.ioctl(sock.fileno(), SIOCOUTQ, b"\0" * 4)
    return struct.unpack("i", raw)[0]


def recv_exactly(sock, n):
    """N bytes, or what came before the end."""
    parts = []
    while n:
        part = sock.recv(min(n, 1 << 20))
        if not part:
            break
        parts.append(part)
        n -= len(part)
    return b"".join(parts)


def recv_to_end(sock):
    """All bytes, and how it ended: "fin" or "reset"."""
    parts = []
    while True:
        try:
            part = sock.recv(1 << 20)
        except ConnectionResetError:
            return b"".join(parts), "reset"
        if not part:
            return b"".join(parts), "fin"
        parts.append(part)


def assert_reset(sock, timeout=TIMEOUT):
    """SOCK sees a RST, after no byte and no FIN."""
    sock.settimeout(timeout)
    assert recv_to_end(sock) == (b"", "reset")


def is_reset(sock):
    """True once a RST came, even when bytes before it are unread."""
    poller = select.poll()
    poller.register(sock, 0)
    return any(events & select.POLLERR for _, events in poller.poll(0))


def is_readable(sock, timeout=0.0):
    """True when a byte, a FIN or a RST is there within TIMEOUT."""
    return bool(select.select([sock], [], [], timeout)[0])


def lull(seconds):
    """Time passes. For tests whose very subject is how long."""
    threading.Event().wait(seconds)


def fill(sock, patience=0.3, most=1 << 26):
    """Sends until nobody takes more for PATIENCE; the bytes sent."""
    stream, sent = Stream(), 0
    block = stream.take(1 << 16)
    digest = hashlib.sha256()
    sock.setblocking(False)
    while sent < most and select.select([], [sock], [], patience)[1]:
        n = sock.send(block)
        digest.update(block[:n])
        sent += n
        block = block[n:] + stream.take(n)
    sock.settimeout(TIMEOUT)
    assert sent < most, "nothing holds the sender back"
    return sent, digest.hexdigest()


class Stream:
    """Bytes without end: one long random block, from a random place."""

    BLOCK = os.urandom(1000003)

    def __init__(self):
        self.at = random.randrange(len(self.BLOCK))

    def take(self, n):
        """The next N bytes (at most a block)."""
        part = self.BLOCK[self.at:self.at + n]
        if len(part) < n:
            part += self.BLOCK[:n - len(part)]
        self.at = (self.at + n) % len(self.BLOCK)
        return part


class End:
    """One end of a flow that sends TO_SEND bytes, FIN, and reads to FIN."""

    def __init__(self, sock, to_send):
        self.sock = sock
        self.left = to_send
        self.stream = Stream()
        self.pending = b""
        self.sent, self.got = hashlib.sha256(), hashlib.sha256()
        self.n_got = 0
        self.ended = False
        sock.setblocking(False)
        if not to_send:
            sock.shutdown(socket.SHUT_WR)

    def wants(self):
        """The events it waits for; 0 when it is done."""
        return (0 if self.ended else selectors.EVENT_READ) | \
            (selectors.EVENT_WRITE if self.left else 0)

    def on_event(self, events):
        """Moves what it can."""
        with contextlib.suppress(BlockingIOError):
            if events & selectors.EVENT_WRITE:
                self._send()
        with contextlib.suppress(BlockingIOError):
            if events & selectors.EVENT_READ:
                self._receive()

    def _send(self):
        if not self.pending:
            self.pending = self.stream.take(min(self.left, 1 << 18))
        n = self.sock.send(self.pending)
        self.sent.update(self.pending[:n])
        self.pending = self.pending[n:]
        self.left -= n
        if not self.left:
            self.sock.shutdown(socket.SHUT_WR)

    def _receive(self):
        part = self.sock.recv(1 << 18)
        self.got.update(part)
        self.n_got += len(part)
        self.ended = not part


def pump(ends, timeout=60.0):
    """Drives all ENDS until each has sent and received everything."""
    limit = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        for end in ends:
            selector.register(end.sock, end.wants() or 1, end)
        left = len(ends)
        while left:
            assert time.monotonic() < limit, "%d ends are not done" % left
            for key, events in selector.select(1.0):
                key.data.on_event(events)
                if key.data.wants():
                    if key.events != key.data.wants():
                        selector.modify(key.fd, key.data.wants(), key.data)
                else:
                    selector.unregister(key.fd)
                    left -= 1


def exchange(client, server, up, down):
    """UP bytes one way and DOWN the other, at once; checks every byte."""
    one, two = End(client, up), End(server, down)
    pump([one, two])
    assert_exchanged(one, two)


def assert_exchanged(one, two):
    """What one end sent is what the other got."""
    assert one.sent.digest() == two.got.digest()
    assert two.sent.digest() == one.got.digest()


class Peers:
    """Makes sockets at both ends, and closes them all at the end."""

    def __init__(self, the_lab):
        self.lab = the_lab
        self.sockets = []

    def keep(self, sock):
        """SOCK, to be closed at the end of the test."""
        self.sockets.append(sock)
        return sock

    def close(self):
        """Resets what is still open."""
        for sock in self.sockets:
            if sock.fileno() >= 0:
                with contextlib.suppress(OSError):
                    reset(sock)
        self.sockets.clear()

    def new(self, ns, family=4, rcvbuf=0, sndbuf=0):
        """A socket in NS."""
        with ns:
            sock = self.keep(socket.socket(FAMILY[family],
                                           socket.SOCK_STREAM))
        sock.settimeout(TIMEOUT)
        if rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        if sndbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf)
        return sock

    def listen(self, address=None, family=4, port=0, ns=None, **buffers):
        """A listener in the server (or NS); port 0 is any."""
        address = address or SERVER[family]
        sock = self.new(ns or self.lab.server, family_of(address), **buffers)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.listen(1024)
        return sock

    def connect(self, to, source=None, port=0, ns=None, **buffers):
        """A client's connection to TO, an (address, port) or a listener."""
        if isinstance(to, socket.socket):
            to = to.getsockname()
        family = family_of(to[0])
        sock = self.new(ns or self.lab.client, family, **buffers)
        if source or port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((source or lab.CLIENT[family], port))
        sock.connect(to[:2])
        return sock

    def accept(self, listener):
        """The next connection, with the address it came from."""
        sock, peer = listener.accept()
        sock.settimeout(TIMEOUT)
        return self.keep(sock), peer[:2]

    def flow(self, family=4, source=None, listener=None, address=None,
             client_rcvbuf=0, client_sndbuf=0, server_rcvbuf=0,
             server_sndbuf=0):
        """A flow that stands: (client, server), one socket each."""
        own = listener is None
        if own:
            listener = self.listen(address, family, rcvbuf=server_rcvbuf,
                                   sndbuf=server_sndbuf)
        client = self.connect(listener, source, rcvbuf=client_rcvbuf,
                              sndbuf=client_sndbuf)
        server, _ = self.accept(listener)
        if own:
            listener.close()
        return client, server

    def is_proxied(self, family=4):
        """True when a new flow goes through the daemon."""
        listener = self.listen(family=family)
        client = self.connect(listener)
        server, peer = self.accept(listener)
        server.sendall(b"x")
        assert recv_exactly(client, 1) == b"x"
        proxied = peer[0] == lab.GATEWAY[family]
        assert proxied or peer == client.getsockname()[:2]
        for sock in (client, server, listener):
            sock.close()
        return proxied


def try_connect(peers, to, **more):
    """connect() that may fail: a socket, or None when it was reset."""
    try:
        return peers.connect(to, **more)
    except OSError as error:
        if error.errno in (errno.ECONNREFUSED, errno.ECONNRESET):
            return None
        raise
