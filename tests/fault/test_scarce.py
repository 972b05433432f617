"""What the kernel has too little of: entries of conntrack, and memory for
TCP. Both are the gateway's alone, so that nobody else on this machine feels
it: the table of its namespace, and what the daemon's control group may have
instead of net.ipv4.tcp_mem."""

import contextlib
import os
import signal
import socket
import struct
import time

import pytest

from lab import eventually
from peers import (TIMEOUT, End, assert_exchanged, exchange, is_readable,
                   lull, pump, recv_exactly)
from test_limits import SlowReaders, active

MEBIBYTE = 1 << 20
MOST = 1 << 40
PIPES = 32	# descriptors that a worker's pool keeps at most

# Both engines, one worker and several.
both = pytest.mark.parametrize("unatatp", ["buffer-1", "splice-4"],
                               indirect=True)

GROUPS = "/sys/fs/cgroup/memory"
LIMIT = "memory.kmem.tcp.limit_in_bytes"


@contextlib.contextmanager
def at_rest(daemon):
    """The block takes no more than 5 % of a CPU of DAEMON."""
    before, began = daemon.cpu(), time.monotonic()
    yield
    seconds = time.monotonic() - began
    assert daemon.cpu() - before <= 0.05 * seconds + 0.02


# --- memory for TCP ----------------------------------------------------

class Group:
    """A control group whose processes share what TCP may have."""

    def __init__(self):
        self.path = "%s/unatatp-test-%d" % (GROUPS, os.getpid())

    def __enter__(self):
        os.mkdir(self.path)
        self.limit(MOST)
        return self

    def __exit__(self, *_):
        os.rmdir(self.path)

    def prefix(self):
        """Starts a command in it."""
        return ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"',
                self.path]

    def usage(self):
        """How many bytes they have."""
        with open(self.path + "/memory.kmem.tcp.usage_in_bytes",
                  encoding="ascii") as file:
            return int(file.read())

    def limit(self, size):
        """Its sockets have SIZE bytes and no more."""
        with open("%s/%s" % (self.path, LIMIT), "w",
                  encoding="ascii") as file:
            file.write(str(size))

    def tighten(self):
        """They have what they have by now, and no more."""
        with contextlib.suppress(OSError):	# it was more a moment later
            self.limit(self.usage())
            return True
        return False


@pytest.fixture
def group():
    """Skips where the kernel has no such limit but the machine's own."""
    if not os.path.exists("%s/%s" % (GROUPS, LIMIT)):
        pytest.skip("no %s/%s: net.ipv4.tcp_mem would starve the whole "
                    "machine" % (GROUPS, LIMIT))
    with Group() as one:
        yield one


@both
def test_tcp_memory(group, unatatp, lab, peers):
    """Slow readers have taken all the memory that TCP may have: the flows
    that stand wait, the daemon rests, and when there is memory again every
    byte comes, new clients are served, and nothing is left over."""
    daemon = unatatp.start(options=unatatp.options(), prefix=group.prefix())
    fds = daemon.fds()
    live = [peers.flow() for _ in range(4)]
    slow = SlowReaders(peers, 20, MEBIBYTE)
    slow.stall()
    eventually(group.tighten)
    ends = [End(sock, 200000) for pair in live for sock in pair]
    door = peers.listen()
    with at_rest(daemon):
        with pytest.raises(AssertionError, match="ends are not done"):
            pump(ends, 1.5)
        late = peers.new(lab.client)
        late.setblocking(False)
        late.connect_ex(door.getsockname())
        lull(0.5)
    group.limit(MOST)
    pump(ends, 20)
    for one, two in zip(ends[::2], ends[1::2]):
        assert_exchanged(one, two)
    slow.finish()
    slow.close()
    exchange(late, peers.accept(door)[0], MEBIBYTE, MEBIBYTE)
    daemon.wait_empty()
    if unatatp.mode["splice"] != "0":
        fds += PIPES * unatatp.mode["workers"]
    eventually(lambda: daemon.fds() <= fds)


# --- conntrack ---------------------------------------------------------

CTNETLINK_NEW, CTNETLINK_DELETE = 1 << 8, 1 << 8 | 2
REQUEST, WANT_ACK, CREATE = 1, 4, 0x400
NESTED = 0x8000
ORIGINAL, REPLY, STATUS, LIFE, MARK, MARK_MASK = 1, 2, 3, 7, 8, 21
SEEN_REPLY, ASSURED, CONFIRMED = 2, 4, 8
OUR_MARK = 0x7a000000
BATCH = 500
TOO_MANY = 1 << 19	# twelve microseconds each


def attribute(kind, value):
    """One attribute of netlink; a number is in network order."""
    if isinstance(value, int):
        value = struct.pack("!I", value)
    text = struct.pack("=HH", 4 + len(value), kind) + value
    return text + b"\0" * (-len(text) % 4)


def direction(kind, src, dst):
    """Of a UDP conversation of SRC and DST."""
    return attribute(NESTED | kind, attribute(
        NESTED | 1, attribute(1, src) + attribute(2, dst)) + attribute(
        NESTED | 2, attribute(1, b"\x11") + attribute(2, b"\0\x35") +
        attribute(3, b"\0\x35")))


def message(kind, flags, *attributes):
    """One message for ctnetlink."""
    body = struct.pack("=BBH", socket.AF_INET, 0, 0) + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(body), kind, REQUEST | flags, 0,
                       0) + body


def netlink(ns):
    """A socket for conntrack's table of NS."""
    with ns:
        return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)


def figure(ns, name):
    """One of net.netfilter."""
    with ns, open("/proc/sys/net/netfilter/nf_conntrack_" + name,
                  encoding="ascii") as file:
        return int(file.read())


def forget(ns, *which):
    """Deletes all entries, or WHICH."""
    with netlink(ns) as sock:
        sock.send(message(CTNETLINK_DELETE, WANT_ACK, *which))
        _, _, _, _, _, error = struct.unpack_from("=IHHIIi", sock.recv(4096))
        assert not error, os.strerror(-error)


def fill_table(ns, most):
    """Entries that none may push out, until there is no room."""
    mine, other = b"\x0a\x63\x00\x00", b"\x0a\x62\x00\x01"
    one = message(
        CTNETLINK_NEW, CREATE, direction(ORIGINAL, mine, other),
        direction(REPLY, other, mine), attribute(LIFE, 600),
        attribute(STATUS, SEEN_REPLY | ASSURED | CONFIRMED),
        attribute(MARK, OUR_MARK))
    places = [one.index(mine), one.rindex(mine)]
    batch = bytearray(one * BATCH)
    with netlink(ns) as sock:
        for number in range(most + BATCH):
            at = number % BATCH * len(one)
            for place in places:
                batch[at + place:at + place + 4] = struct.pack(
                    "!I", 0x0a630000 + number)
            if number % BATCH == BATCH - 1:
                sock.send(batch)


@contextlib.contextmanager
def full_table(ns):
    """conntrack's table of NS is full. The kernel has one limit for all
    namespaces, but counts for each, so that no other one feels it."""
    most = figure(ns, "max")
    if most > TOO_MANY:
        pytest.skip("net.netfilter.nf_conntrack_max is %d: it would take "
                    "too long to fill" % most)
    try:
        fill_table(ns, most)
        assert figure(ns, "count") >= most
        yield
    finally:
        forget(ns, attribute(MARK, OUR_MARK), attribute(MARK_MASK, OUR_MARK))


def stop(daemon):
    """Stops it, each of its threads."""
    daemon.signal(signal.SIGSTOP)
    folder = "/proc/%d/task" % daemon.pid

    def is_stopped(thread):
        with open("%s/%s/stat" % (folder, thread), encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] == "T"
    eventually(lambda: all(map(is_stopped, os.listdir(folder))))


def test_conntrack_full(unatatp_once, lab, peers):
    """Flows that stand go on at full speed, new clients are not answered,
    and who was let in before waits for the server's answer; the daemon rests.
    When there is room again, all of them are served."""
    daemon = unatatp_once()
    forget(lab.gateway)	# what would make room when its time is over
    live = [peers.flow() for _ in range(3)]
    door = peers.listen()
    stop(daemon)
    early = [peers.connect(door) for _ in range(3)]
    with full_table(lab.gateway):
        daemon.signal(signal.SIGCONT)
        with at_rest(daemon):
            late = []
            for _ in range(5):
                late.append(peers.new(lab.client))
                late[-1].setblocking(False)
                late[-1].connect_ex(door.getsockname())
            assert not is_readable(door, 1.0)
            eventually(lambda: active(daemon) == 6)
            exchange(*live[0], MEBIBYTE, MEBIBYTE)
    for _ in early + late:
        server, _ = peers.accept(door)
        server.sendall(server.getpeername()[0].encode())
    for client in early + late:
        client.settimeout(TIMEOUT)
        assert recv_exactly(client, 9) == b"10.72.0.1"
        client.close()
    for pair in live[1:]:
        exchange(*pair, MEBIBYTE, MEBIBYTE)
