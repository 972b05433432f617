"""unatatp top: one frame, and a person at a terminal."""

import re
import signal
import time

import pytest

from daemon import run
from lab import eventually
from peers import fill
from terminal import Screen

POLICIES = [{"name": "office-vpn", "client": {"congestion": "reno"}}]


@pytest.fixture
def top(lab):
    """Starts `unatatp top` on a terminal."""
    screens = []

    def start(daemon, *args, **size):
        screens.append(Screen(lab.gateway, "-c", daemon.file, *args, **size))
        return screens[-1]
    yield start
    for screen in screens:
        screen.close()


def name_of(sock):
    """A socket's own name, as top writes it."""
    name = sock.getsockname()
    return ("[%s]:%d" if ":" in name[0] else "%s:%d") % name[:2]


def once(lab, daemon):
    """The lines of one frame."""
    status, out, err = run(lab.gateway, "top", "--once", "-c", daemon.file)
    assert (status, err) == (0, "")
    return out.splitlines()


def test_once(unatatp, lab, peers, family):
    """One frame: the daemon, its policies, and a flow with both legs."""
    daemon = unatatp(policies=POLICIES)
    client, server = peers.flow(family)
    exchange_some(client, server)
    lines = once(lab, daemon)
    assert "flows 1 " in lines[0] and lines[0].startswith("unatatp ")
    policy = next(line for line in lines if line.startswith("office-vpn"))
    assert policy.split()[1] == "1"
    assert any(line.startswith("default") for line in lines)
    words = next(line for line in lines
                 if line.startswith(name_of(client)[:10])).split()
    assert words[1].startswith(name_of(server)[:10])
    # rates, then congestion control, RTT and retransmits of each leg
    assert words[5] == "reno" and words[8] == "cubic"
    for rtt in (words[6], words[9]):
        assert rtt.endswith("us") or rtt.endswith("ms")
    assert words[11] == "-"


def exchange_some(client, server):
    """Bytes both ways, and the sockets stay open."""
    for one, two in ((client, server), (server, client)):
        one.sendall(b"x" * 1000)
        assert len(two.recv(1000)) > 0


def test_slow_leg(unatatp, lab, peers):
    """A client that does not read: its leg is named as the slow one."""
    daemon = unatatp(policies=POLICIES)
    client, server = peers.flow(client_rcvbuf=4096)
    fill(server)

    def slow():
        line = next(line for line in once(lab, daemon)
                    if line.startswith(name_of(client)))
        return line.split()[-1] == "client"
    eventually(slow, 10, "the client's leg is the slow one")


def test_keys(unatatp_once, peers, top):
    """Sorting, filtering, pausing, help, and the end."""
    daemon = unatatp_once(policies=POLICIES)
    one, _ = peers.flow()
    two, _ = peers.flow(source="10.71.1.2")
    screen = top(daemon)
    screen.shows(name_of(one), "office-vpn")
    screen.shows(name_of(two))
    screen.press("t")
    screen.shows(name_of(one))
    screen.press("/10.71.1.")
    screen.shows("filter: 10.71.1._")
    screen.hides(name_of(one))
    screen.press("\r")
    screen.shows(name_of(two))
    screen.press("\x1b")
    screen.shows(name_of(one))
    screen.press("h")
    screen.shows("sort the flows by rate")
    screen.hides("CLIENT ")
    screen.press("x")
    screen.shows("CLIENT ")
    screen.press("p")
    clock = screen.shows("paused").split()[-1]
    time.sleep(2.2)		# two periods: nothing moves
    assert screen.shows("paused").split()[-1] == clock
    screen.press(" ")
    screen.hides("paused")
    screen.press("q")
    eventually(lambda: screen.lines() and screen.process.poll() is not None)
    assert screen.process.returncode == 0


def test_scroll(unatatp_once, peers, top):
    """More flows than lines: the keys go through them, and come back."""
    daemon = unatatp_once(policies=POLICIES)
    names = [name_of(peers.flow()[0]) for _ in range(30)]
    screen = top(daemon, lines=20)
    screen.shows("DOWN/s")
    screen.press("a")
    screen.shows(names[0])
    assert not any(names[-1] in line for line in screen.lines())
    screen.press("\x1b[6~")		# page down
    screen.shows(names[25])
    screen.hides(names[0])
    screen.press("\x1bOH")
    screen.shows(names[0])


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (20, 3), (200, 50)])
def test_resize(unatatp_once, peers, top, size):
    """Any size of the window will do."""
    daemon = unatatp_once(policies=POLICIES)
    client, _ = peers.flow()
    screen = top(daemon)
    screen.shows(name_of(client))
    screen.resize(*size)
    screen.shows("unatatp 0"[:size[0]])
    if size[1] >= 10:
        screen.shows(name_of(client)[:9])
    screen.resize(130, 30)
    screen.shows(name_of(client), "office-vpn")
    assert screen.process.poll() is None


def test_eighty_columns(unatatp_once, peers, top, family):
    """On 80 columns every column is whole, and addresses tell hosts apart."""
    daemon = unatatp_once(policies=POLICIES)
    client, server = peers.flow(family)
    exchange_some(client, server)
    screen = top(daemon, columns=80, lines=24)
    screen.shows("BIT/s", "client:", "server:", "SLOW")
    name = name_of(client)
    screen.shows(name[-10:] if family == 6 else name[:10], "reno", "cubic")


def test_very_wide(unatatp_once, top):
    """The clock stands at the right of a very wide screen."""
    screen = top(unatatp_once(), columns=300, lines=24)
    screen.shows("unatatp 0")
    eventually(lambda: re.search(r"\d\d:\d\d:\d\d$", screen.lines()[0]))
    assert len(screen.lines()[0]) == 300


def test_scroll_ends_with_the_filter(unatatp_once, peers, top):
    """However far down: the last flow that the filter lets through stays."""
    daemon = unatatp_once(policies=POLICIES)
    listener = peers.listen()
    clients = [peers.flow(listener=listener)[0] for _ in range(60)]
    screen = top(daemon)
    screen.shows("CLIENT")
    one = name_of(clients[7])
    screen.press("/" + one + "\n")
    screen.shows("filter: " + one)
    screen.press("\x1b[6~" * 3)
    screen.press("ppp")	# all keys before it were taken
    screen.shows("paused")
    assert sum(line.startswith(one) for line in screen.lines()) == 1


def test_daemon_goes_and_comes(unatatp_once, top):
    """It says that nobody answers, and goes on when somebody does."""
    daemon = unatatp_once(policies=POLICIES)
    screen = top(daemon)
    screen.shows("office-vpn")
    daemon.stop()
    screen.shows("no daemon answers")
    daemon.start()
    screen.hides("no daemon answers")
    assert screen.process.poll() is None
    screen.process.send_signal(signal.SIGTERM)
    eventually(lambda: screen.lines() and screen.process.poll() is not None)
    assert screen.process.returncode == 0


def test_no_daemon_and_no_terminal(unatatp_once, lab, tmp_path):
    """What it cannot do it says, with the exit status."""
    status, out, err = run(lab.gateway, "top", "--once", "-s",
                           str(tmp_path / "none"))
    assert (status, out) == (1, "")
    assert "no daemon answers at" in err
    daemon = unatatp_once()
    status, out, err = run(lab.gateway, "top", "-c", daemon.file)
    assert (status, out) == (1, "")
    assert "--once prints one frame" in err
