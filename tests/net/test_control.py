"""The control socket: who may speak, what it answers, what it bears."""

import contextlib
import os
import re
import shutil
import socket
import stat
import subprocess

import pytest

from daemon import binary, config_text, has_sanitizer, merge, run
from fixtures import CONTROL
from lab import eventually
from peers import exchange, recv_exactly
from test_command import needs_no_file

LINE_MAX, CLIENTS, READERS = 4096, 16, 12


def as_user(uid, *groups):
    """The words before a command that make it an ordinary user's."""
    return ["setpriv", "--reuid=%d" % uid, "--regid=65534",
            "--groups=%s" % ",".join(map(str, groups))
            if groups else "--clear-groups", "--inh-caps=-all"]


class Client:
    """A bare client of the control socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(path)
        self.file = self.socket.makefile("r", encoding="utf-8")

    def send(self, line):
        """Sends one request."""
        self.socket.sendall(line.encode() + b"\n")

    def answer(self):
        """The lines of the next answer, its end last."""
        lines = []
        for line in self.file:
            lines.append(line.rstrip("\n"))
            if line.startswith("end "):
                return lines
        return lines + [None]

    def ask(self, line):
        """The end of the answer to LINE."""
        self.send(line)
        return self.answer()[-1]

    def close(self):
        """Hangs up."""
        self.file.close()
        self.socket.close()


@pytest.fixture
def control(unatatp_once):
    """A daemon, and a maker of clients that hang up at the end."""
    daemon = unatatp_once()
    with contextlib.ExitStack() as stack:
        def connect():
            client = Client(daemon.control)
            stack.callback(client.close)
            return client
        daemon.connect = connect
        yield daemon


# --- the socket ------------------------------------------------------------

def test_socket(unatatp_once):
    """It has mode and group as asked for, is there before the daemon
    serves, and goes with it."""
    daemon = unatatp_once(
        user="", control={"mode": "0640", "group": "daemon"})
    found = os.stat(daemon.control)
    assert stat.S_ISSOCK(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o640
    assert (found.st_uid, found.st_gid) == (0, 1)
    daemon.stop()
    assert not os.path.exists(daemon.control)


def test_folder_and_user(unatatp_once, public_folder):
    """A missing folder is made, for the daemon's user, who so can remove
    the socket; the group is hers."""
    path = str(public_folder / "made" / "control")
    daemon = unatatp_once(user="nobody", control={"path": path})
    for one, mode in ((path, 0o660), (os.path.dirname(path), 0o755)):
        found = os.stat(one)
        assert (found.st_uid, found.st_gid) == (65534, 65534)
        assert stat.S_IMODE(found.st_mode) == mode
    daemon.stop()
    assert not os.path.exists(path)


def test_folder_of_root(unatatp_once, public_folder):
    """In a folder where the daemon's user may not write, it works, too."""
    path = str(public_folder / "control")
    daemon = unatatp_once(user="nobody", control={"path": path})
    assert os.stat(path).st_gid == 65534
    assert daemon.ask("show", "stats")[0] == 0


def test_stale_socket(unatatp_once):
    """What a daemon that was killed has left is replaced."""
    daemon = unatatp_once()
    daemon.kill()
    assert os.path.exists(daemon.control)
    daemon.start()
    assert daemon.ask("show", "stats")[0] == 0


def test_living_socket(unatatp_once, lab):
    """Another daemon's socket is not taken; the message names it."""
    first = unatatp_once()
    other = [{"address": "127.0.0.1", "port": 9998}]
    second = unatatp_once.start(
        wait=False, options=unatatp_once.options(
            listen=other, control={"path": first.control}))
    assert second.wait() == 69
    found = second.log.find(r"no control socket at (\S+): .*process (\d+)")
    assert found.groups() == (first.control, str(first.pid))
    assert first.ask("show", "stats")[0] == 0
    del lab


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_unusable_path(unatatp_once, tmp_path, kind):
    """A named path that cannot be had ends the start with 69."""
    path = tmp_path / "there"
    if kind == "file":
        path.write_text("kept")
    else:
        path = path / "too" / "deep"
    daemon = unatatp_once.start(wait=False, options=unatatp_once.options(
        control={"path": str(path)}))
    assert daemon.wait() == 69
    assert daemon.log.find("no control socket at %s: " % path)
    if kind == "file":
        assert path.read_text() == "kept"


def test_no_socket(unatatp_once):
    """An empty path: none, and the commands say so."""
    daemon = unatatp_once(control={"path": ""})
    assert not os.path.exists(daemon.control)
    status, out, err = daemon.ask("show", "stats")
    assert (status, out) == (1, "") and "control.path" in err


@needs_no_file
def test_default_path(unatatp_once, lab):
    """The built-in configuration has the default path; a second such
    daemon warns and serves without."""
    if os.path.exists(CONTROL):
        pytest.skip("a daemon runs on this machine")
    first = unatatp_once.start(args=["-p", "9998"],
                               listens=[("127.0.0.1", 9998)])
    status, out, err = run(lab.gateway, "show", "stats", "--json")
    assert status == 0 and '"pid":%d,' % first.pid in out, err
    second = unatatp_once.start(args=["-p", "9997"],
                                listens=[("127.0.0.1", 9997)])
    assert second.log.find("no control socket at %s: .*process %d" %
                           (CONTROL, first.pid))


def test_no_daemon(lab, tmp_path):
    """Nobody there: status 1, and the path is named."""
    path = str(tmp_path / "control")
    for command in (["show", "stats"], ["reload"], ["drain"], ["kill", "1"]):
        status, out, err = run(lab.gateway, *command, "-s", path)
        assert (status, out) == (1, "") and path in err


# --- who may ---------------------------------------------------------------

@pytest.fixture
def as_nobody(lab, public_folder):
    """Runs the program as nobody, who need not be able to reach the build:
    (status, stdout, stderr)."""
    copied = str(public_folder / "unatatp")
    shutil.copy(binary(), copied)

    def run_it(*command, groups=()):
        with lab.gateway:
            done = subprocess.run(as_user(65534, *groups) + [copied] +
                                  list(command), capture_output=True,
                                  text=True, timeout=20, check=False)
        return done.returncode, done.stdout, done.stderr
    return run_it


def test_mode_and_group(unatatp_once, public_folder, as_nobody):
    """Who is not of the group cannot connect: 77; who is may read, and
    change nothing."""
    path = str(public_folder / "c")
    daemon = unatatp_once(user="",
                          control={"path": path, "group": "daemon"})
    show = ["show", "stats", "-s", path]
    status, out, err = as_nobody(*show)
    assert (status, out) == (77, "") and "control.group" in err
    status, out, err = as_nobody(*show, groups=[1])
    assert status == 0 and "flows_active" in out, err
    for command in (["reload"], ["drain"], ["kill", "1"],
                    ["loglevel", "debug"]):
        status, out, err = as_nobody(*command, "-s", path, groups=[1])
        assert (status, out) == (77, "") and command[0] in err
    assert daemon.show("stats")[0]["draining"] is False
    assert not daemon.reloads()


def test_owner(unatatp_once, public_folder, as_nobody):
    """The user that the daemon runs as may change things."""
    path = str(public_folder / "made" / "c")
    unatatp_once(user="nobody", control={"path": path})
    status, out, err = as_nobody("loglevel", "debug", "-s", path)
    assert status == 0 and "debug" in out, err


# --- what it bears ---------------------------------------------------------

def test_garbage(control):
    """Nonsense is answered with status 64, and the next line is served."""
    client = control.connect()
    for line in ("", "show", "show flowers", "kill", "kill 1 2", "kill -1",
                 "kill x=1", "show stats all", "show stats colour=red",
                 "loglevel loud", "\x01\xff\x7f", "a " * 17,
                 "kill 99999999999999999999"):
        assert client.ask(line).startswith("end 64 "), line
    assert client.ask("version").startswith("end 0")
    assert client.ask("\tshow   stats \r").startswith("end 0")


def test_pipelined(control):
    """Requests in one go are answered in turn, also after a shutdown."""
    client = control.connect()
    client.socket.sendall(b"version\n" * 200 + b"kill 7\nversion")
    client.socket.shutdown(socket.SHUT_WR)
    ends = [client.answer()[-1] for _ in range(201)]
    assert ends[:200] == ["end 0 "] * 200
    assert ends[200] == "end 1 there is no flow 7"
    # The last line had no end: it was no request.
    assert client.answer() == [None]


def test_long_line(control):
    """A line of 4096 bytes is refused and hung up on; one of 4095 not."""
    client = control.connect()
    assert client.ask("x" * (LINE_MAX - 1)).startswith("end 64 unknown")
    client.socket.sendall(b"x" * LINE_MAX)
    assert client.answer()[-1].startswith("end 64 a request has 4095")
    assert client.answer() == [None]
    client = control.connect()
    with contextlib.suppress(OSError):
        client.socket.sendall(b"x" * (8 << 20))
    assert client.answer()[-1] in ("end 64 a request has 4095 bytes at most",
                                   None)
    assert control.connect().ask("version").startswith("end 0")


def test_many_clients(control):
    """The 17th is told so; when one goes there is room again."""
    clients = [control.connect() for _ in range(CLIENTS)]
    for client in clients:
        assert client.ask("version").startswith("end 0")
    assert control.connect().answer() == [
        "end 1 too many clients, try again"]
    assert control.ask("show", "stats") == (
        1, "", "unatatp: too many clients, try again\n")
    clients[3].close()
    eventually(lambda: control.ask("show", "stats")[0] == 0)


def test_readers_leave_room(unatatp_once, public_folder):
    """Readers cannot keep root out."""
    path = str(public_folder / "c")
    daemon = unatatp_once(user="",
                          control={"path": path, "mode": "0666"})
    script = ("import socket, sys\n"
              "many = []\n"
              "for i in range(%d):\n"
              "    one = socket.socket(socket.AF_UNIX)\n"
              "    one.connect(%r)\n"
              "    if i < %d:\n"
              "        one.sendall(b'version\\n')\n"
              "    many.append(one)\n"
              "    print(one.makefile().readline()[:5], flush=True)\n"
              "sys.stdin.read()\n" % (READERS + 1, path, READERS))
    holder = subprocess.Popen(
        as_user(65534) + ["/usr/bin/python3", "-c", script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        said = [holder.stdout.readline() for _ in range(READERS + 1)]
        assert said == ['{"ver\n'] * READERS + ["end 1\n"]
        assert daemon.ask("show", "stats")[0] == 0
    finally:
        holder.communicate()


def test_slow_reader(control, peers):
    """Who does not read costs bounded memory, is dropped after 10 s, and
    nobody else waits for it."""
    slow = control.connect()
    before = control.rss()
    slow.socket.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        for _ in range(20000):
            slow.socket.sendall(b"show config\n" * 100)
    client, server = peers.flow()
    exchange(client, server, 1 << 20, 1 << 20)
    assert control.connect().ask("version").startswith("end 0")
    if not has_sanitizer():
        assert control.rss() - before < 4 << 20
    before = control.fds()
    eventually(lambda: control.fds() < before, 25, "the slow one is dropped")


# --- what it does ----------------------------------------------------------

def test_reload(unatatp, peers):
    """`reload` returns once a new flow meets the new configuration."""
    daemon = unatatp(policies=[{"name": "p0"}])
    listener = peers.listen()
    for number in range(1, 6):
        daemon.write(dict(daemon.options,
                          policies=[{"name": "p%d" % number}]))
        assert daemon.ask("reload") == (0, "reloaded\n", "")
        client = peers.connect(listener)
        name = client.getsockname()
        server, _ = peers.accept(listener)
        exchange(client, server, 10, 10)
        assert daemon.flow(name)["policy"] == "p%d" % number
    stats = daemon.show("stats")[0]
    assert (stats["reloads_good"], stats["reloads_refused"]) == (5, 0)


def test_bad_reload(unatatp_once, peers):
    """A file with mistakes: 78, each on stderr with its line; nothing
    changes. So for a listener that cannot be had."""
    daemon = unatatp_once(policies=[{"name": "good"}])
    text = config_text(daemon.options)
    lines = text.count("\n")
    daemon.write_text(text + "congeston = 1;\nlimits = { flows = -3; };\n")
    status, out, err = daemon.ask("reload")
    assert (status, out) == (78, "")
    for line in (lines + 1, lines + 2):
        assert "%s:%d: " % (daemon.file, line) in err
    assert err.endswith("reload refused: everything stays as it was\n")
    peers.listen("127.0.0.1", port=9998, ns=daemon.ns)
    daemon.write(dict(daemon.options, listen=[
        {"address": "127.0.0.1", "port": 9998}]))
    status, out, err = daemon.ask("reload")
    assert (status, out) == (78, "") and "127.0.0.1:9998" in err
    daemon.write_text("listen = (\n")
    status, out, err = run(daemon.ns, "reload", "-s", daemon.control)
    assert status == 78 and "unatatp.conf:2: " in err
    # Without -s the file has to tell where the socket is.
    status, out, err = daemon.ask("reload")
    assert (status, out) == (78, "") and daemon.file in err
    stats = daemon.show("stats", "-s", daemon.control)[0]
    assert (stats["reloads_good"], stats["reloads_refused"]) == (0, 3)


@pytest.mark.parametrize("what,changes", [
    ("workers", {"workers": 3}), ("user", {"user": ""}),
    ("log.target", {"log": {"target": "syslog"}}),
    ("control", {"control": {"mode": "0600"}})],
    ids=["workers", "user", "target", "control"])
def test_reload_warns(unatatp_once, what, changes):
    """What only a restart changes is said, and is no failure."""
    daemon = unatatp_once()
    daemon.write(merge(daemon.options, changes))
    status, out, err = daemon.ask("reload")
    assert (status, out) == (0, "reloaded\n")
    assert err == "reload: %s changes at the next start\n" % what


def test_drain(unatatp, peers):
    """`drain` returns at once; live flows go on, new ones pass by, and the
    daemon ends with the last. A second one changes nothing."""
    daemon = unatatp(timeouts={"drain": "20s"})
    client, server = peers.flow()
    assert daemon.ask("drain") == (0, "draining, flows=1\n", "")
    eventually(lambda: not daemon.listeners())
    assert daemon.ask("drain") == (0, "draining already, flows=1\n", "")
    assert daemon.show("stats")[0]["draining"] is True
    assert daemon.ask("reload")[0] == 1
    client.sendall(b"still")
    assert recv_exactly(server, 5) == b"still"
    exchange(client, server, 1000, 1000)
    assert daemon.wait(5) == 0


def test_drain_without_flows(unatatp):
    """The answer comes though the daemon ends at once."""
    daemon = unatatp()
    assert daemon.ask("drain") == (0, "draining, flows=0\n", "")
    assert daemon.wait() == 0


def test_loglevel(unatatp_once, peers):
    """`loglevel` holds until the next reload."""
    daemon = unatatp_once()

    def logs_flow():
        client, server = peers.flow()
        name = "src=%s:%d " % client.getsockname()
        exchange(client, server, 10, 10)
        client.close()
        server.close()
        eventually(lambda: daemon.show("stats")[0]["flows_active"] == 0)
        return lambda: daemon.log.find(re.escape(name))

    eventually(logs_flow())
    status, out, _ = daemon.ask("loglevel", "error")
    assert status == 0 and "error" in out
    silent = logs_flow()
    assert daemon.ask("reload")[0] == 0
    eventually(logs_flow())
    assert not silent()


def test_show_config(unatatp_once, lab):
    """It is what `check --print` prints, of the file that is in force."""
    daemon = unatatp_once(policies=[{"name": "one"}])
    printed = run(lab.gateway, "check", "--print", "-c", daemon.file)[1]
    status, out, err = daemon.ask("show", "config")
    assert (status, out) == (0, printed)
    assert err.startswith(daemon.file + ", loaded ")
    daemon.write_text(config_text(daemon.options).replace('"one"', '"two"'))
    assert daemon.ask("show", "config")[1] == printed
    found = daemon.show("config")[0]
    assert (found["file"], found["text"]) == (daemon.file, printed)
    assert daemon.ask("reload")[0] == 0
    assert daemon.ask("show", "config")[1] == printed.replace("one", "two")


def test_show_stats(unatatp, peers):
    """The counters are those of USR1; the table says the same."""
    daemon = unatatp()
    exchange(*peers.flow(), 1000, 2000)
    daemon.wait_stat("flows_ended")
    peers.flow()
    eventually(lambda: daemon.show("stats")[0]["flows_active"] == 1)
    found, logged = daemon.show("stats")[0], daemon.stats()
    for name in ("flows_active", "flows_opened", "flows_ended", "bytes_up",
                 "bytes_down", "accept_pauses"):
        assert found[name] == logged[name], name
    assert found["endings"]["client-fin"] + \
        found["endings"]["server-fin"] == 1
    assert (found["pid"], found["file"]) == (daemon.pid, daemon.file)
    _, out, _ = daemon.ask("show", "stats")
    table = dict(line.split(None, 1) for line in out.splitlines())
    assert table["bytes_down"] == "2000" and table["draining"] == "no"
