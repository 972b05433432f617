"""The page that tests/fault/inject.c, preloaded into the daemon, goes by."""

import contextlib
import errno
import mmap
import os
import socket
import struct

from daemon import binary
from lab import GATEWAY_B

HEAD = struct.Struct("=qqqqq")	# hits, spared, clock_add, clock_reads, live
ROW = struct.Struct("=16sqqqq")	# name, calls, from, until, error
ROWS = 64
EVERY = int(os.environ.get("FAULT_REPEAT", "1")) > 1
PLACES = 3		# of each call and error, else
BLOCKS = 60		# of memory
METRICS = 9477
LIBRARY = os.path.join(os.path.dirname(binary()), "tests/fault/inject.so")


class Page:
    """How often each call was made, and which ones are to fail."""

    def __init__(self, folder):
        assert os.path.exists(LIBRARY), "make %s" % LIBRARY
        path = os.path.join(folder, "page")
        size = HEAD.size + ROWS * ROW.size
        with open(path, "w+b") as file:
            file.truncate(size)
            self.map = mmap.mmap(file.fileno(), size)
        self.env = {"LD_PRELOAD": LIBRARY, "FAULT_PAGE": path}

    def _head(self):
        return HEAD.unpack_from(self.map, 0)

    @property
    def hits(self):
        """How many calls were made to fail."""
        return self._head()[0]

    @property
    def clock_reads(self):
        """How often CLOCK_REALTIME was read."""
        return self._head()[3]

    @property
    def live(self):
        """How many blocks of memory are in use."""
        return self._head()[4]

    def set_clock(self, seconds):
        """CLOCK_REALTIME is so far ahead from now on."""
        struct.pack_into("=q", self.map, 16, seconds)

    def calls(self):
        """{call: how often it was made}."""
        found = {}
        for number in range(ROWS):
            name, calls, _, _, _ = ROW.unpack_from(
                self.map, HEAD.size + number * ROW.size)
            if name.rstrip(b"\0"):
                found[name.rstrip(b"\0").decode()] = calls
        return found

    def fail(self, call, error, nth=1, times=1, from_start=False):
        """The Nth CALL from now, and those behind it, fails TIMES times."""
        number = list(self.calls()).index(call)
        at = HEAD.size + number * ROW.size
        _, calls, _, _, _ = ROW.unpack_from(self.map, at)
        first = nth if from_start else calls + nth
        if from_start:
            struct.pack_into("=q", self.map, at + 16, 0)
        value = getattr(errno, error) if isinstance(error, str) else error
        struct.pack_into("=qq", self.map, at + 32, first + times, value)
        struct.pack_into("=q", self.map, at + 24, first)

    def clear(self):
        """Nothing fails any more."""
        struct.pack_into("=q", self.map, 0, 0)
        for number in range(ROWS):
            struct.pack_into("=q", self.map,
                             HEAD.size + number * ROW.size + 24, 0)


# Not here: what only a bug of ours could bring about (EBADF, EFAULT), and
# EAGAIN of a socket that epoll has called ready.
ERRORS = {
    "accept4": "EINTR ECONNABORTED EMFILE ENFILE ENOBUFS ENOMEM EPERM EPROTO "
               "ENETDOWN EHOSTUNREACH ETIMEDOUT",
    "bind": "EADDRINUSE EADDRNOTAVAIL EACCES EINVAL ENOMEM",
    "chmod": "EPERM EROFS EACCES",
    "close": "EINTR EIO ENOSPC",
    "connect": "EACCES EADDRINUSE EADDRNOTAVAIL EAGAIN ECONNREFUSED EINTR "
               "EHOSTUNREACH ENETUNREACH ENOBUFS ENOMEM EPERM ETIMEDOUT",
    "epoll_create1": "EMFILE ENFILE ENOMEM",
    "epoll_ctl": "ENOMEM ENOSPC EPERM",
    "epoll_wait": "EINTR",
    "eventfd": "EMFILE ENFILE ENODEV ENOMEM",
    "fcntl": "EBUSY EPERM EINVAL EMFILE",
    "fstat": "EACCES EOVERFLOW ENOMEM",
    "getifaddrs": "EMFILE ENFILE ENOBUFS ENOMEM",
    "getsockname": "ENOBUFS ENOTCONN",
    "getsockopt": "ENOPROTOOPT ENOBUFS ENOMEM EINVAL",
    "ioctl": "ENOTTY EINVAL",
    "lchown": "EPERM EROFS",
    "listen": "EADDRINUSE EOPNOTSUPP",
    "lstat": "EACCES ENOENT ENOMEM",
    "malloc": "ENOMEM",
    "mkdir": "EACCES EEXIST ENOSPC EROFS ENOENT",
    "open": "EACCES EINTR EMFILE ENFILE ENOENT ENOMEM",
    "pipe2": "EMFILE ENFILE",
    "pthread_create": "EAGAIN EPERM",
    "read": "EINTR EIO",
    "readv": "EINTR ECONNRESET ETIMEDOUT ENOMEM",
    "recv": "EINTR ECONNRESET ETIMEDOUT EHOSTUNREACH ENOBUFS ENOMEM",
    "recvfrom": "EINTR ENOBUFS ENOMEM",
    "send": "EINTR EPIPE ECONNRESET ETIMEDOUT EHOSTUNREACH ENETUNREACH "
            "ENOBUFS ENOMEM",
    "sendto": "EINTR ENOBUFS ENOMEM EPERM",
    "setsockopt": "ENOPROTOOPT EPERM ENOMEM ENOBUFS EINVAL ENOENT",
    "shutdown": "ENOTCONN ENOBUFS",
    "sockatmark": "ENOTTY EINVAL",
    "socket": "EMFILE ENFILE ENOBUFS ENOMEM EAFNOSUPPORT EACCES",
    "socketpair": "EMFILE ENFILE ENOMEM",
    "splice": "EINTR EINVAL ENOSYS ENOMEM EPIPE ECONNRESET ETIMEDOUT EIO",
    "stat": "EACCES ENOENT ENOMEM",
    "timerfd_create": "EMFILE ENFILE ENOMEM",
    "timerfd_settime": "EINVAL",
    "unlink": "EACCES EBUSY EPERM EROFS ENOENT",
    "write": "EAGAIN EINTR EIO ENOSPC EPIPE ENOMEM",
    "writev": "EINTR EPIPE ECONNRESET EHOSTUNREACH ENOBUFS ENOMEM",
}


def scrape(the_lab, patience):
    """True when the metrics came."""
    with the_lab.gateway, socket.socket() as sock:
        sock.settimeout(patience)
        text = b""
        with contextlib.suppress(ConnectionError, TimeoutError):
            sock.connect(("127.0.0.1", METRICS))
            sock.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            while part := sock.recv(1 << 16):
                text += part
        return b"unatatp_build_info" in text


def options(starter):
    """Something of everything that makes calls."""
    return starter.options(
        metrics={"address": "127.0.0.1", "port": METRICS},
        policies=[
            {"name": "bound", "ports": ["7100"], "source": GATEWAY_B[4],
             "client": {"congestion": "reno", "keepalive": "1m"},
             "server": {"congestion": "reno", "dscp": 10}},
            {"name": "all"}])


def places(call, n):
    """Which of N CALLs to try."""
    some = BLOCKS if call == "malloc" else PLACES
    if EVERY or n <= some:
        return range(1, n + 1)
    return sorted({1 + (n - 1) * i // (some - 1) for i in range(some)})
