"""Sockets that the service manager made and passed on: sd_listen_fds(3). The
test makes them in the manager's place."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from daemon import LISTENS, PORT, binary, socket_inodes
from lab import FAMILY, eventually, family_of
from peers import exchange, is_readable

IPV6_TRANSPARENT = 75
NODELAY = (socket.IPPROTO_TCP, socket.TCP_NODELAY)
OOBINLINE = (socket.SOL_SOCKET, socket.SO_OOBINLINE)

# Becomes the process that the sockets are for, as a manager would: the rest
# of the command line, with LISTEN_PID and the sockets from 3 on.
SHIM = """
import os, sys
fds = [int(fd) for fd in sys.argv[1].split(",") if fd]
high = [os.dup2(fd, 100 + i) for i, fd in enumerate(fds)]
for fd in fds:
    os.close(fd)
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
    os.close(fd)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ.setdefault("LISTEN_FDS", str(len(fds)))
os.execvp(sys.argv[2], sys.argv[2:])
"""

# A user of nothing, who may do nothing.
POWERLESS = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
             "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all",
             "--no-new-privs", "--"]


class Sockets:
    """What is passed on: a listener for each address."""

    def __init__(self, lab):
        self.lab = lab
        self.all = []

    def add(self, address="127.0.0.1", port=PORT, transparent=True,
            listen=True, reuse=False):
        """Makes one, as systemd does for ListenStream=."""
        family = family_of(address)
        with self.lab.gateway:
            sock = socket.socket(FAMILY[family], socket.SOCK_STREAM)
        self.all.append(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if reuse:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if transparent:
            sock.setsockopt(*{
                4: (socket.IPPROTO_IP, socket.IP_TRANSPARENT, 1),
                6: (socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)}[family])
        sock.bind((address, port))
        if listen:
            sock.listen(16)
        return sock

    def both(self, count=1):
        """COUNT for each address of the base configuration."""
        for one in LISTENS:
            for _ in range(count):
                self.add(one["address"], reuse=count > 1)
        return self

    def fds(self):
        """Their numbers, in the order in which they are passed."""
        return [sock.fileno() for sock in self.all]

    def inodes(self):
        """Of the sockets."""
        return {os.fstat(sock.fileno()).st_ino for sock in self.all}

    def close(self):
        """Lets go of them, in our own process."""
        for sock in self.all:
            sock.close()
        self.all.clear()


@pytest.fixture
def sockets(lab):
    """Makes what is passed on."""
    some = Sockets(lab)
    yield some
    some.close()


@pytest.fixture
def passing(unatatp_once, sockets, public_folder):
    """Starts daemons with what SOCKETS holds by then."""
    unatatp_once.folder = public_folder

    def begin(options=None, wait=True, prefix=(), **how):
        fds = sockets.fds()
        return unatatp_once.start(
            wait, options=options or unatatp_once.options(), pass_fds=fds,
            prefix=[sys.executable, "-c", SHIM, ",".join(map(str, fds))] +
            list(prefix), **how)
    return begin


def copies(daemon, sockets):
    """The passed sockets that the daemon has."""
    return set(socket_inodes(daemon.pid)) & sockets.inodes()


def fails(passing, why, status=69, **how):
    """The start ends with STATUS, and says WHY."""
    one = passing(wait=False, **how)
    assert one.wait() == status
    assert one.log.find(why), one.log.text()
    return one


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("count", [1, 3])
def test_powerless(unatatp_once, passing, sockets, peers, workers, count):
    """A user without any capability serves both families, with fewer passed
    sockets than workers, and with more."""
    sockets.both(count)
    one = passing(unatatp_once.options(workers=workers), prefix=POWERLESS)
    with open("/proc/%d/status" % one.pid, encoding="ascii") as file:
        caps = re.findall(r"^Cap\w+:\s*(\w+)", file.read(), re.M)
    assert len(caps) == 5 and not any(int(cap, 16) for cap in caps)
    assert copies(one, sockets) == sockets.inodes()
    for family in (4, 6):
        # As many as reach every socket of a ReusePort= group.
        for _ in range(8 * count):
            assert peers.is_proxied(family)
        client, server = peers.flow(family)
        exchange(client, server, 3000000, 2000000)
    assert len(one.flows()) >= 16 * count


def test_options(unatatp_once, passing, sockets, peers):
    """What a listener of its own lets inherit, a passed one does, too."""
    sockets.both()
    one = passing(unatatp_once.options(policies=[
        {"name": "all", "client": {"keepalive": "90s"}}]))
    client, _ = peers.flow()
    with one.legs(client) as (leg, _):
        for option in (NODELAY, OOBINLINE):
            assert leg.getsockopt(*option)
        assert leg.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 90
    for passed in sockets.all:
        assert passed.getsockopt(*NODELAY) and passed.getsockopt(*OOBINLINE)
        assert not os.get_blocking(passed.fileno())


@pytest.mark.parametrize("workers", [1, 4])
def test_reload(unatatp_once, passing, sockets, peers, workers):
    """A reload keeps the passed sockets; one that is taken out of the
    configuration comes back by the next; none needs a capability."""
    sockets.both()
    one = passing(unatatp_once.options(workers=workers), prefix=POWERLESS)
    client, server = peers.flow(6)
    one.reload(log={"level": "debug"})
    assert peers.is_proxied(4) and peers.is_proxied(6)
    one.reload(listen=LISTENS[:1])
    assert one.log.find(r"\[::1\]:9999 was passed by the service manager")
    assert peers.is_proxied(4)
    waiting = peers.connect(peers.listen(family=6))	# in its queue
    assert not is_readable(waiting, 0.2)
    one.reload(listen=LISTENS)
    assert peers.is_proxied(6)
    exchange(client, server, 100000, 100000)
    one.write_text("nonsense = 1;\n")
    one.signal(signal.SIGHUP)
    eventually(lambda: one.log.find("reload refused"), what="a refusal")
    assert peers.is_proxied(4) and peers.is_proxied(6)
    one.write(one.options)


def test_drain(unatatp_once, passing, sockets, peers):
    """The drain lets go of them all: the manager's own queue holds what comes
    for the next process."""
    sockets.both()
    one = passing(unatatp_once.options(workers=2))
    client, server = peers.flow()
    one.signal(signal.SIGTERM)
    eventually(lambda: not copies(one, sockets), what="they are let go of")
    waiting = peers.connect(peers.listen())
    exchange(client, server, 100000, 100000)
    assert one.wait() == 0
    two = passing(unatatp_once.options(workers=2))
    eventually(lambda: two.stats()["flows_opened"] == 1, what="it is taken")
    assert waiting.fileno() >= 0


def test_partly(unatatp_once, passing, sockets, peers):
    """What was not passed is opened as ever, where that is allowed."""
    sockets.add("127.0.0.1")
    one = passing(unatatp_once.options(workers=2))
    assert len(copies(one, sockets)) == 1
    assert peers.is_proxied(4) and peers.is_proxied(6)


def test_partly_powerless(passing, sockets):
    """Without capabilities what was not passed cannot be opened."""
    sockets.add("127.0.0.1")
    fails(passing, r"\[::1\]:9999: .*systemd pass the socket", 77,
          prefix=POWERLESS)


def test_unwanted(unatatp_once, passing, sockets, peers):
    """A socket that the configuration does not name is closed."""
    sockets.both()
    extra = sockets.add("127.0.0.1", 9998)
    one = passing(unatatp_once.options())
    assert one.log.find(r"127\.0\.0\.1:9998 .*no listen entry: closed")
    assert copies(one, sockets) == \
        sockets.inodes() - {os.fstat(extra.fileno()).st_ino}
    assert peers.is_proxied()


def test_plain(passing, sockets):
    """One that is not transparent would take no flow."""
    sockets.add(transparent=False)
    fails(passing, r"socket 3 \(lan\): not transparent \(Transparent=yes\)",
          env={"LISTEN_FDNAMES": "lan:other"})


def test_deaf(passing, sockets):
    """One that does not listen."""
    sockets.add("::1", listen=False)
    fails(passing, r"socket 3 \(unknown\): not listening")


def test_all_faults(passing, sockets):
    """Every one that is no TCP socket is named."""
    with sockets.lab.gateway:
        sockets.all.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sockets.all.append(socket.socket(socket.AF_UNIX))
    one = fails(passing, r"socket 3 \(a\): not TCP",
                env={"LISTEN_FDNAMES": "a:b:c", "LISTEN_FDS": "3"})
    assert one.log.find(r"socket 4 \(b\): not TCP")
    assert one.log.find(r"socket 5 \(c\): not (a socket|open)")


def test_no_count(passing):
    """LISTEN_FDS that is no number."""
    fails(passing, "LISTEN_FDS=many: not a count", env={"LISTEN_FDS": "many"})


def test_of_another(unatatp_once, lab, peers):
    """What LISTEN_PID says is for another process is left alone."""
    unatatp_once.start(options=unatatp_once.options(),
                       env={"LISTEN_PID": "1", "LISTEN_FDS": "7"})
    assert peers.is_proxied()


def test_systemd_socket_activate(lab, tmp_path):
    """The tool that systemd has for this passes sockets that are not
    transparent: the message says so."""
    tool = shutil.which("systemd-socket-activate")
    if not tool:
        pytest.skip("no systemd-socket-activate (Debian package systemd)")
    with lab.gateway:
        probe = socket.create_server(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        with subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", tool, "-l",
                 "127.0.0.1:%d" % port, "--fdname", "lan", binary(), "run",
                 "-p", str(port)], stderr=subprocess.PIPE, text=True,
                cwd=tmp_path) as process:
            def knock():
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    return True
                return False
            eventually(knock, what="it listens")
            _, said = process.communicate(timeout=20)
    assert process.returncode == 69
    assert re.search(r"socket 3 \(lan\): not transparent", said)
