"""A larger first window: what a leg sends before it has heard of its peer."""

import contextlib
import fcntl
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import termios

import pytest

import lab as places
from daemon import LISTENS, merge
from lab import available_congestion, eventually
from peers import exchange, recv_exactly
from test_activation import SHIM, Sockets
from test_unit import FOLDER, allowed, ambient, capabilities

TCP = socket.IPPROTO_TCP
WINDOW, KERNEL = 30, 10
SIZE = 200000
LEVEL, OPTION = 0x756e6174, 1	# src/base/window.h
ALGORITHMS = [name for name in ("cubic", "bbr", "reno")
              if name in available_congestion()]
# Root as it is without the two capabilities that load a BPF program.
WITHOUT_BPF = ["setpriv", "--bounding-set", "-bpf,-sys_admin", "--"]
DROP_IN = FOLDER / "initial-window.conf"
CAP_BPF = 39
PACING_GAIN = 2.885 * 0.99	# of BBR's start, bbr_high_gain


@pytest.fixture
def cgroup():
    """A cgroup of our own, below the one of this process; None: no v2."""
    with open("/proc/self/mounts", encoding="ascii") as file:
        mounts = [line.split()[1] for line in file
                  if line.split()[2] == "cgroup2"]
    with open("/proc/self/cgroup", encoding="ascii") as file:
        own = re.search(r"^0::(.*)$", file.read(), re.M)
    if not mounts or not own or not os.access(mounts[0], os.W_OK):
        yield None
        return
    path = "%s%s/unatatp-test-%d" % (mounts[0], own[1].rstrip("/"),
                                     os.getpid())
    os.mkdir(path)
    yield path

    def is_gone():
        with contextlib.suppress(OSError):
            os.rmdir(path)
        return not os.path.exists(path)
    eventually(is_gone, what="the cgroup is gone, as its processes are")


@pytest.fixture
def unatatp_once(cgroup, unatatp_once):
    """Daemons in a cgroup of theirs: no other program meets what they hang
    on it, whatever its faults."""
    start = unatatp_once.start
    inside = ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"',
              cgroup] if cgroup else []

    def confined(wait=True, prefix=(), **how):
        return start(wait, prefix=inside + list(prefix), **how)
    unatatp_once.start = confined
    return unatatp_once


@pytest.fixture
def alone():
    """Nobody else has hung such a program above us."""
    with socket.socket() as sock, contextlib.suppress(OSError):
        sock.setsockopt(LEVEL, OPTION, KERNEL)
        pytest.skip("ANOTHER unatatp with an initial_window runs in our "
                    "cgroup: what happens without was not looked at")


@pytest.fixture
def apart(alone, cgroup):	# pylint: disable=unused-argument
    """For tests that need us and the daemon in two cgroups."""
    if not cgroup:
        pytest.skip("NO cgroup v2 to make one in: what the program reaches "
                    "was not looked at")


def unread(sock):
    """How many bytes wait in SOCK."""
    raw = fcntl.ioctl(sock.fileno(), termios.FIONREAD, b"\0" * 4)
    return struct.unpack("i", raw)[0]


def first_flight(lab, sender, receiver, device):
    """
    How many segments RECEIVER gets of much that SENDER writes, while the
    gateway hears nothing that comes by DEVICE from RECEIVER.
    """
    port = receiver.getsockname()[1]
    mss = receiver.getsockopt(TCP, socket.TCP_MAXSEG)
    deaf = "iifname %s tcp sport %d drop" % (device, port)
    with lab.gateway.rule("prerouting", deaf, "raw"):
        sender.sendall(b"x" * SIZE)
        seen = []

        def is_over():
            seen.append(unread(receiver) / mss)
            # The first flight, and a probe for the loss of its tail.
            return seen[-1] and seen[-20:] == [seen[-1]] * 20
        eventually(is_over, what="the first flight is over")
    assert recv_exactly(receiver, SIZE) == b"x" * SIZE
    return seen[-1]


def is_window(segments, window):
    """SEGMENTS is WINDOW, or one more: the probe of a lost tail."""
    return window <= segments <= window + 1.01


def client_flight(lab, flow):
    """The first flight of the client leg."""
    client, server = flow
    return first_flight(lab, server, client, "lan")


@pytest.mark.parametrize("one", ALGORITHMS + ["system"])
def test_first_flight(unatatp_once, lab, peers, family, one):
    """The client gets 30 segments before its first ACK arrives, whatever the
    algorithm; the policy beside it begins with the kernel's ten."""
    daemon = unatatp_once(policies=[
        {"name": "large", "sources": [places.SUBNET[family]],
         "client": {"congestion": one, "initial_window": WINDOW}},
        {"name": "rest", "client": {"congestion": one}}])
    large = peers.flow(family)
    assert is_window(client_flight(lab, large), WINDOW)
    other = peers.flow(family, places.CLIENT_B[family])
    assert is_window(client_flight(lab, other), KERNEL)
    name = large[0].getsockname()
    exchange(*large, 100000, 100000)
    assert daemon.flow(name)["client_cc"] == \
        ("cubic" if one == "system" else one)
    assert daemon.stats()["options_refused"] == 0


def test_server_leg(unatatp_once, lab, peers, family):
    """The other leg likewise: what the client sends."""
    unatatp_once.policy(server={"initial_window": WINDOW})
    client, server = peers.flow(family)
    assert is_window(first_flight(lab, client, server, "wan"), WINDOW)
    assert is_window(client_flight(lab, peers.flow(family)), KERNEL)


@pytest.mark.skipif("bbr" not in ALGORITHMS, reason="no BBR in this kernel")
@pytest.mark.parametrize("side", ["client", "server"])
def test_bbr_takes_its_rate_from_it(unatatp_once, lab, peers, side):
    """BBR's first rate is the window a round trip, not the kernel's ten."""
    unatatp_once.policy(**{side: {"congestion": "bbr",
                                  "initial_window": WINDOW}})
    client, server = peers.flow()
    port = (client if side == "client" else server).getsockname()[1]
    line = next(one for one in lab.sockets("dport", "= :%d" % port)
                if "bbr" in one)
    rtt, mss, pacing = (float(re.search(what, line)[1]) for what in (
        r"\brtt:([\d.]+)", r"\bmss:(\d+)", r"pacing_rate (\d+)bps"))
    segments = pacing / 8 * rtt / 1e3 / mss / PACING_GAIN
    assert WINDOW * 0.95 < segments < WINDOW * 1.05


def test_other_options_are_let_alone(unatatp_once, peers):
    """The program that does it hands every other option on."""
    options = {"keepalive": "90s", "dscp": 46, "congestion": "reno",
               "initial_window": WINDOW}
    unatatp_once.policy(client=options, server=options)
    client, server = peers.flow()
    with unatatp_once.daemons[0].legs(client) as legs:
        for leg in legs:
            assert leg.getsockopt(TCP, socket.TCP_KEEPIDLE) == 90
            assert leg.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 46 << 2
            assert leg.getsockopt(TCP, socket.TCP_CONGESTION, 16).startswith(
                b"reno\0")
    exchange(client, server, 1 << 20, 1 << 20)


def test_dropped_privileges(unatatp_once, public_folder, lab, peers):
    """A daemon that runs as nobody has it from its start on."""
    unatatp_once.folder = public_folder
    daemon = unatatp_once(user="nobody", policies=[
        {"name": "all", "client": {"initial_window": WINDOW}}])
    assert is_window(client_flight(lab, peers.flow()), WINDOW)
    daemon.reload(policies=[
        {"name": "all", "client": {"initial_window": 20}}])
    assert is_window(client_flight(lab, peers.flow()), 20)


def test_drop_in(unatatp_once, public_folder, lab, peers):
    """What contrib/systemd has for it suffices, and none of it is kept."""
    unatatp_once.folder = public_folder
    options = unatatp_once.options(user="unatatp", policies=[
        {"name": "all", "client": {"initial_window": WINDOW}}])
    daemon = unatatp_once.start(options=options, prefix=ambient(DROP_IN))
    assert is_window(client_flight(lab, peers.flow()), WINDOW)
    assert not daemon.log.find("initial_window")
    for tid in os.listdir("/proc/%d/task" % daemon.pid):
        caps = capabilities(daemon.pid, tid)
        assert CAP_BPF not in caps["CapPrm"] | caps["CapAmb"] | caps["CapInh"]
    if shutil.which("systemd-analyze"):
        assert "bpf" in allowed(DROP_IN) - allowed()


def test_reload(unatatp_once, lab, peers):
    """A reload may bring it where root remains root, and take it away."""
    daemon = unatatp_once(user="", policies=[{"name": "all"}])
    for window in (WINDOW, 0):
        daemon.reload(policies=[
            {"name": "all", "client": {"initial_window": window}}])
        assert is_window(client_flight(lab, peers.flow()), window or KERNEL)
    assert not daemon.log.find("initial_window")


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("late", [False, True])
def test_not_allowed(unatatp_once, lab, peers, late):
    """Without CAP_BPF the log says so, once; flows begin as the kernel wants
    and are counted."""
    options = unatatp_once.options(user="", policies=[{"name": "all"}])
    wanted = merge(options, {"policies": [
        {"name": "all", "client": {"initial_window": WINDOW}}]})
    daemon = unatatp_once.start(options=options if late else wanted,
                                prefix=WITHOUT_BPF)
    if late:
        daemon.reload(policies=wanted["policies"])
    for _ in range(2):
        assert is_window(client_flight(lab, peers.flow()), KERNEL)
    said = [line for line in daemon.log.lines if "initial_window" in line]
    assert len(said) == 1 and "CAP_BPF" in said[0]
    assert daemon.stats()["options_refused"] == 2


LACKING = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e",
           "inject=bpf:error=EINVAL"]


@pytest.mark.usefixtures("alone")
def test_kernel_lacks_it(unatatp_once, lab, peers):
    """An older kernel: `check` and the log say so, once, with the line."""
    daemon = unatatp_once.start(prefix=LACKING, options=unatatp_once.options(
        policies=[{"name": "all", "client": {"initial_window": WINDOW}}]))
    assert is_window(client_flight(lab, peers.flow()), KERNEL)
    said = [line for line in daemon.log.lines if "initial_window" in line]
    status, out, err = daemon.ask("check", prefix=LACKING)
    assert status == 0 and "1 warning" in out
    for line in said + [err]:
        assert re.match(r".*unatatp\.conf:\d+: warning: policy \"all\": "
                        "initial_window has no effect: .*Linux 5.15", line)
    assert len(said) == 1


# --- the cgroup that the program hangs on ---------------------------------

@pytest.fixture
def passed(lab):
    """A socket that was made outside."""
    some = Sockets(lab)
    yield some.both()
    some.close()


@pytest.mark.usefixtures("apart")
def test_reaches_its_own_sockets_alone(unatatp_once, lab, peers):
    """A socket of another cgroup does not know the option."""
    unatatp_once.policy(client={"initial_window": WINDOW})
    client, server = peers.flow()
    with pytest.raises(OSError):
        client.setsockopt(LEVEL, OPTION, WINDOW)
    assert is_window(client_flight(lab, (client, server)), WINDOW)


OTHERS = """
import os, socket, sys
with open(sys.argv[1] + "/cgroup.procs", "w") as file:
    file.write(str(os.getpid()))
with socket.socket() as sock:
    for size in 5, 4096, 4097, 1 << 16:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION,
                        b"reno".ljust(size, b"\\0"))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF,
                        (9999).to_bytes(4, sys.byteorder).ljust(size))
        print(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 4),
              sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))
"""


@pytest.mark.usefixtures("apart")
def test_options_of_others(unatatp_once, cgroup):
    """Another program of the cgroup may set what it likes, as long as it
    likes: iptables has options of many kilobytes."""
    unatatp_once.policy(client={"initial_window": WINDOW})
    done = subprocess.run([sys.executable, "-c", OTHERS, cgroup],
                          capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["b'reno' 19998"] * 4, done.stderr


@pytest.mark.usefixtures("apart")
def test_passed_listener(passed, unatatp_once, lab, peers):
    """A listener of the service manager is out of reach: the log says so, and
    the server legs, which are the daemon's own, have it all the same."""
    both = {"initial_window": WINDOW}
    options = unatatp_once.options(policies=[
        {"name": "all", "client": both, "server": both}])
    fds = passed.fds()
    daemon = unatatp_once.start(
        options=options, listens=[(one["address"], one["port"])
                                  for one in LISTENS], pass_fds=fds,
        prefix=[sys.executable, "-c", SHIM, ",".join(map(str, fds))])
    assert len([line for line in daemon.log.lines
                if "the listener was made by another service" in line]) == 1
    assert is_window(client_flight(lab, peers.flow()), KERNEL)
    assert daemon.stats()["options_refused"] == 1
    client, server = peers.flow()
    assert is_window(first_flight(lab, client, server, "wan"), WINDOW)
