"""What a service manager hears of the daemon: sd_notify(3), by a socket that
the test holds in the manager's place."""

import contextlib
import ctypes
import os
import re
import signal
import socket
import time

import pytest

from daemon import LISTENS, binary
from lab import eventually
from peers import lull

PTRACE_DETACH = 17
PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
WALL = 0x40000000


class Manager:
    """Reads what is said; messages are dictionaries, in order."""

    def __init__(self, name):
        self.name = name
        self.messages = []
        self.senders = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind(name.replace("@", "\0", 1))
        if name.startswith("/"):
            os.chmod(name, 0o777)	# as systemd's: the daemon is not root
        self.socket.setblocking(False)
        self.env = {"NOTIFY_SOCKET": name}

    def read(self):
        """All messages so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                raw, more, _, _ = self.socket.recvmsg(4096, 256)
                self.senders.append(int.from_bytes(more[0][2][:4], "little"))
                self.messages.append(dict(
                    line.split("=", 1) for line in raw.decode().split("\n")))
        return self.messages

    def wait(self, key, after=0, value=None, timeout=10.0):
        """The first message with KEY (whose value matches VALUE) of those
        that are not older than number AFTER."""
        def find():
            return next((one for one in self.read()[after:] if key in one and
                         re.search(value or "", one[key])), None)
        return eventually(find, timeout, "%s=%s, of %s" % (
            key, value, self.messages[after:]))

    def words(self):
        """READY, RELOADING and STOPPING, in the order they came."""
        return [key for one in self.read() for key in one
                if key in ("READY", "RELOADING", "STOPPING")]

    def pings(self):
        """How many times the watchdog was told that all is well."""
        return sum("WATCHDOG" in one for one in self.read())


@pytest.fixture(params=["path", "abstract"])
def manager(request, lab, public_folder):
    """A manager, with a socket of either kind."""
    name = str(public_folder / "notify")
    if request.param == "abstract":
        name = "@unatatp-test-%d" % time.monotonic_ns()
    with lab.gateway:	# a network namespace has abstract names of its own
        one = Manager(name)
    yield one
    one.socket.close()


@pytest.fixture
def path_manager(public_folder):
    """A manager, where the kind of socket has no part."""
    one = Manager(str(public_folder / "notify"))
    yield one
    one.socket.close()


def start(unatatp, manager, workers=2, **more):
    """A daemon that the manager has heard to be ready."""
    one = unatatp.start(options=unatatp.options(workers=workers),
                        env=dict(manager.env, **more))
    manager.wait("READY")
    return one


def test_life(unatatp_once, manager):
    """Ready, a reload, one that is refused, and the end, in this order."""
    one = start(unatatp_once, manager)
    first = manager.wait("READY")
    assert first["READY"] == "1" and int(first["MAINPID"]) == one.pid
    assert first["STATUS"] == "0 flows live, 0 opened"

    before = time.clock_gettime(time.CLOCK_MONOTONIC)
    one.reload(log={"level": "debug"})
    said = manager.wait("RELOADING")
    after = time.clock_gettime(time.CLOCK_MONOTONIC)
    assert before <= int(said["MONOTONIC_USEC"]) / 1e6 <= after
    mark = len(manager.read())
    eventually(lambda: manager.words() == ["READY", "RELOADING", "READY"],
               what="ready again")

    one.write_text("liste = 1;\n")
    one.signal(signal.SIGHUP)
    eventually(lambda: manager.words()[3:] == ["RELOADING", "READY"],
               what="ready although the reload was refused")
    refused = manager.wait("READY", mark)
    assert re.search(r"; reload refused: .*unatatp\.conf:1: .*liste",
                     refused["STATUS"])

    one.write(one.options)
    one.signal(signal.SIGHUP)
    eventually(lambda: manager.words()[5:] == ["RELOADING", "READY"],
               what="ready again")
    assert "refused" not in manager.read()[-1]["STATUS"]

    one.stop()
    said = manager.wait("STOPPING")
    assert int(said["EXTEND_TIMEOUT_USEC"]) > 5e6	# timeouts.drain
    assert manager.words()[7:] == ["STOPPING"]
    assert set(manager.senders) == {one.pid}
    assert manager.pings() == 0


def test_refused_listener(unatatp_once, peers, lab, path_manager):
    """A reload that cannot listen says so in the status."""
    with lab.gateway:
        taken = peers.keep(socket.create_server(("127.0.0.1", 0)))
    one = start(unatatp_once, path_manager)
    port = taken.getsockname()[1]
    one.reload(listen=LISTENS + [{"address": "127.0.0.1", "port": port}])
    path_manager.wait("STATUS", value="reload refused: Address already in use")


def test_status(unatatp_once, peers, path_manager):
    """The status follows the flows, and the drain."""
    one = start(unatatp_once, path_manager)
    client, server = peers.flow()
    path_manager.wait("STATUS", value="^1 flows live, 1 opened$", timeout=15)
    one.signal(signal.SIGTERM)
    path_manager.wait("STOPPING")
    assert path_manager.read()[-1]["STATUS"] == \
        "draining: 1 flows live, 1 opened"
    client.close()
    server.close()
    assert one.wait() == 0


def test_watchdog_of_another(unatatp_once, path_manager):
    """WATCHDOG_PID is another process: the watchdog is not for us."""
    start(unatatp_once, path_manager, WATCHDOG_USEC="20000", WATCHDOG_PID="1")
    lull(0.3)
    assert path_manager.pings() == 0


def test_unusable(unatatp_once):
    """A socket that cannot be used is said, and the daemon serves."""
    one = unatatp_once.start(options=unatatp_once.options(),
                             env={"NOTIFY_SOCKET": "vsock:2:1"})
    assert one.log.find("NOTIFY_SOCKET cannot be used")


def test_manager_away(unatatp_once, path_manager):
    """A manager that does not read, or is gone, holds nothing up."""
    one = start(unatatp_once, path_manager, WATCHDOG_USEC="20000")
    lull(0.3)		# its queue is full: net.unix.max_dgram_qlen
    one.reload()
    path_manager.socket.close()
    os.unlink(path_manager.name)
    one.reload()
    one.stop()


def test_background(unatatp_once, path_manager):
    """In the background the process that says it is ready names itself."""
    one = unatatp_once.start(wait=False, options=unatatp_once.options(),
                             env=path_manager.env,
                             args=["run", "-d", "-c", str(
                                 unatatp_once.folder / "0/unatatp.conf")])
    ready = path_manager.wait("READY")
    pid = int(ready["MAINPID"])
    try:
        assert one.process.wait(10) == 0
        assert pid != one.pid
        assert os.readlink("/proc/%d/exe" % pid) == os.path.realpath(binary())
    finally:
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not os.path.exists("/proc/%d" % pid),
                   what="it is gone")


# --- the watchdog ----------------------------------------------------------

WATCHDOG_USEC = 200000


def watched(unatatp, manager, workers=2):
    """A daemon with a watchdog."""
    one = start(unatatp, manager, workers, WATCHDOG_USEC=str(WATCHDOG_USEC))
    eventually(lambda: manager.pings() >= 3, what="pings")
    return one


def is_silent(manager):
    """True when nothing comes for five times what a watchdog would bear."""
    manager.read()
    lull(0.1)		# what was under way
    before = manager.pings()
    lull(5 * WATCHDOG_USEC / 1e6)
    return manager.pings() == before


def test_watchdog_process(unatatp_once, path_manager):
    """A process that stands still sends no ping; it goes on afterwards."""
    one = watched(unatatp_once, path_manager)
    one.signal(signal.SIGSTOP)
    try:
        assert is_silent(path_manager)
    finally:
        one.signal(signal.SIGCONT)
    before = path_manager.pings()
    eventually(lambda: path_manager.pings() >= before + 3, what="pings")


@contextlib.contextmanager
def frozen(tid):
    """One thread alone stands still: SIGSTOP would take all of them."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int] + \
        2 * [ctypes.c_void_p]

    def ptrace(request):
        if libc.ptrace(request, tid, None, None) < 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    ptrace(PTRACE_SEIZE)
    ptrace(PTRACE_INTERRUPT)
    os.waitpid(tid, WALL)
    try:
        yield
    finally:
        ptrace(PTRACE_DETACH)


@pytest.mark.parametrize("which", [0, 1, 2], ids=["main", "one", "other"])
def test_watchdog_thread(unatatp_once, path_manager, which):
    """One thread that is stuck, main or any worker, and no ping goes out,
    though all others are well."""
    one = watched(unatatp_once, path_manager)
    tids = sorted(map(int, os.listdir("/proc/%d/task" % one.pid)))
    assert tids[0] == one.pid and len(tids) == 3
    with frozen(tids[which]):
        assert is_silent(path_manager)
    before = path_manager.pings()
    eventually(lambda: path_manager.pings() >= before + 3, what="pings")


def test_watchdog_drain(unatatp_once, peers, path_manager):
    """The drain is watched, too."""
    one = watched(unatatp_once, path_manager)
    client, server = peers.flow()
    one.signal(signal.SIGTERM)
    path_manager.wait("STOPPING")
    before = path_manager.pings()
    eventually(lambda: path_manager.pings() >= before + 3, what="pings")
    client.close()
    server.close()
    assert one.wait() == 0
