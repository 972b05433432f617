"""Ends of many flows at once: what each is to say, and what it has heard."""

import hashlib
import os
import selectors
import socket
import time

from peers import is_reset

PATIENCE = 20.0
BLOCK = os.urandom(1 << 21)


class Talk:
    """A socket that does not block; what it sends is a piece of BLOCK, so
    that the other end can tell any part of it."""

    def __init__(self, sock, number):
        self.sock = sock
        self.name = sock.getsockname()[:2]
        self.start = number * 4096 % (1 << 20)
        self.sent = 0		# what the kernel took
        self.goal = 0		# what it is to take
        self.got = 0
        self.digest = hashlib.sha256()
        self.reading = True
        self.wants_fin = self.has_fin = False
        self.peer = None	# the other end, in an exchange
        self.end = None		# "fin" or "reset": what it saw
        sock.setblocking(False)

    def events(self):
        """What to wait for."""
        wants_out = self.end != "reset" and (
            self.sent < self.goal or (self.wants_fin and not self.has_fin))
        return (selectors.EVENT_READ if self.reading and not self.end
                else 0) | (selectors.EVENT_WRITE if wants_out else 0)

    def move(self, events):
        """Sends and receives what it can."""
        try:
            if events & selectors.EVENT_READ:
                self._receive()
            if events & selectors.EVENT_WRITE and self.end != "reset":
                self._send()
        except BlockingIOError:
            pass
        except (ConnectionResetError, BrokenPipeError):
            self.end = "reset"

    def _send(self):
        if self.sent < self.goal:
            begin = self.start + self.sent
            self.sent += self.sock.send(
                BLOCK[begin:begin + min(self.goal - self.sent, 1 << 16)])
        if self.sent == self.goal and self.wants_fin and not self.has_fin:
            self.shut()

    def shut(self):
        """Says FIN."""
        self.sock.shutdown(socket.SHUT_WR)
        self.wants_fin = self.has_fin = True

    def _receive(self):
        part = self.sock.recv(1 << 18)
        if not part:
            self.end = "fin"
        self.digest.update(part)
        self.got += len(part)

    def is_reset(self):
        """A reset came, perhaps behind a FIN."""
        return self.end == "reset" or (self.end and is_reset(self.sock))

    def say(self, n, fin=False):
        """N more bytes, and perhaps the end."""
        self.goal += n
        self.wants_fin = self.wants_fin or fin

    def has_heard(self, other):
        """All that OTHER was to say has come."""
        return self.got == other.goal

    def assert_heard(self, other):
        """What came is what OTHER sent, from its first byte on."""
        assert self.got <= other.goal
        want = BLOCK[other.start:other.start + self.got]
        assert self.digest.digest() == hashlib.sha256(want).digest()


def drive(talks, is_done, what, patience=PATIENCE):
    """Moves all TALKS until is_done() of each."""
    limit = time.monotonic() + patience
    left = list(talks)
    with selectors.DefaultSelector() as selector:
        while True:
            left = [one for one in left if not is_done(one)]
            if not left:
                return
            assert time.monotonic() < limit, "%d of %d not: %s" % (
                len(left), len(talks), what)
            for one in talks:
                watch(selector, one)
            for key, events in selector.select(0.05):
                key.data.move(events)


def watch(selector, one):
    """Registers ONE for what it waits for now."""
    events = one.events() if one.sock.fileno() >= 0 else 0
    known = selector.get_map().get(one.sock) if selector.get_map() else None
    if known and not events:
        selector.unregister(one.sock)
    elif known and known.events != events:
        selector.modify(one.sock, events, one)
    elif events and not known:
        selector.register(one.sock, events, one)


def both_of(pairs):
    """The talks of PAIRS."""
    return [one for pair in pairs for one in pair]
