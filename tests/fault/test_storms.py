"""Storms on the side of control: signals, clients and commands all at once.
Nothing is lost, nothing spins, and nothing is left behind."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import threading
import time

import pytest

from daemon import binary, merge
from lab import eventually
from peers import End, assert_exchanged, exchange, lull, pump, reset

RESERVED = 4	# descriptors that flows leave to main
SECONDS = float(os.environ.get("STORM_SECONDS", "2"))


class Client:
    """A bare client of the control socket."""

    def __init__(self, daemon, rcvbuf=None):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        if rcvbuf:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.socket.connect(daemon.control)

    def send(self, text):
        """Sends requests."""
        self.socket.sendall(text.encode())

    def rest(self):
        """What comes until the daemon hangs up."""
        parts = []
        with contextlib.suppress(ConnectionResetError):
            while parts[-1:] != [b""]:
                parts.append(self.socket.recv(1 << 16))
        return b"".join(parts).decode()

    def end(self):
        """The end of one answer."""
        with self.socket.makefile("r") as file:
            return next((line.rstrip("\n") for line in file
                         if line.startswith("end ")), None)

    def close(self):
        """Hangs up."""
        self.socket.close()


@contextlib.contextmanager
def meanwhile(*jobs):
    """Runs JOBS, each again and again, until the block ends."""
    stop, faults = threading.Event(), []

    def repeat(job):
        try:
            while not stop.is_set():
                job()
        except Exception as fault:	# pylint: disable=broad-except
            faults.append(fault)

    threads = [threading.Thread(target=repeat, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not faults, faults


def for_a_while(job):
    """JOB, again and again, for the length of a storm."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        job()


def many_flows(peers, n):
    """N flows at rest: (client, server) each."""
    listener = peers.listen()
    return [peers.flow(listener=listener) for _ in range(n)]


def relay_some(peers, listener):
    """Four flows that carry bytes both ways and end."""
    pairs = []
    for _ in range(4):
        client, server = peers.flow(listener=listener)
        pairs.append((End(client, 1 << 19), End(server, 1 << 19)))
    pump([end for pair in pairs for end in pair])
    for one, two in pairs:
        assert_exchanged(one, two)
        one.sock.close()
        two.sock.close()


def test_hups_and_reload_clients(unatatp, peers):
    """A hundred HUPs a second and `reload` by several clients, while the
    policies come and go and flows carry bytes: every client is answered."""
    daemon = unatatp()
    before, base, answers = daemon.fds(), daemon.options, []

    def hup():
        daemon.signal(signal.SIGHUP)
        lull(0.01)

    def rewrite():
        name = "p%d" % random.randrange(5)
        daemon.write(merge(base, {"policies": [{"name": name}]}))
        lull(0.003)

    def reload():
        client = Client(daemon)
        client.send("reload\n")
        answers.append(client.end())
        client.close()

    listener = peers.listen()
    live = peers.flow(listener=listener)
    with meanwhile(hup, rewrite, reload, reload, reload):
        for_a_while(lambda: relay_some(peers, listener))
    assert len(answers) > 10 and set(answers) == {"end 0 reloaded"}
    exchange(*live, 1000, 1000)
    for sock in live:
        sock.close()
    daemon.wait_empty()
    eventually(lambda: daemon.fds() == before, what="no descriptor is lost")


def test_lists_kills_and_hangups(unatatp, peers):
    """Clients connect, ask for all flows and leave in the middle; others
    kill flows meanwhile, and new ones come; one never reads."""
    daemon = unatatp()
    before = daemon.fds()
    flows = many_flows(peers, 300)
    listener = peers.listen()
    never = Client(daemon, 4096)
    never.send("show flows\n" * 100)

    def leave():
        client = Client(daemon)
        with contextlib.suppress(OSError):	# too many: hung up
            client.send(random.choice((
                "show flows\n" * 20, "show flows sort=rate\nversion\n",
                "show policies\n" * 9, "show flows src=192.0.2.0/24\n",
                "show flows limit=3\nshow", "reload\nshow stats\n")))
            if random.random() < 0.7:
                client.socket.recv(random.randrange(1, 40000))
        client.close()

    def kill():
        client = Client(daemon)
        number = random.randrange(1, 1000)
        with contextlib.suppress(OSError):
            client.send("kill %d\n" % number)
            assert client.end() in (
                "end 0 killed flow %d" % number, None,
                "end 1 there is no flow %d" % number,
                "end 1 too many clients, try again")
        client.close()

    def more():
        client, server = peers.flow(listener=listener)
        client.close()
        server.close()

    with meanwhile(leave, leave, leave, leave, kill, kill):
        for_a_while(more)
    for client, server in flows:
        client.close()
        server.close()
    never.close()
    daemon.wait_empty()
    eventually(lambda: daemon.fds() == before, what="no descriptor is lost")
    assert daemon.show("flows") == []


def test_reload_that_drops_a_policy(unatatp_once, peers):
    """A policy that is dropped while its flows are listed, and one that
    comes back: the flows keep their policy's name and its counts."""
    daemon = unatatp_once(policies=[{"name": "gone"}])
    flows = many_flows(peers, 200)
    slow = Client(daemon, 4096)
    slow.send("show flows policy=gone\n")
    for _ in range(5):
        daemon.reload(policies=[{"name": "other"}])
        daemon.reload(policies=[{"name": "gone"}])
    daemon.reload(policies=[{"name": "other"}])
    with slow.socket.makefile("r") as file:
        lines = list(iter(file.readline, "end 0 \n"))
    slow.close()
    assert [json.loads(line)["policy"] for line in lines] == ["gone"] * 200
    row = next(one for one in daemon.show("policies")
               if one["policy"] == "gone")
    assert row["configured"] is False and row["flows_active"] == 200
    for sock in flows.pop():
        sock.close()
    eventually(lambda: len(daemon.show("flows", "--policy", "gone")) == 199)


@pytest.mark.parametrize("command", ["drain", "signal"])
def test_end_in_the_middle(unatatp, peers, command):
    """It drains while it reloads and lists, and answers until the end; then
    clients are hung up on, and the status is good."""
    daemon = unatatp(timeouts={"drain": "20s"})
    flows = many_flows(peers, 200)
    never = Client(daemon, 4096)
    never.send("show flows\n" * 100)
    both = Client(daemon)
    last = "drain\nreload\n" if command == "drain" else ""
    daemon.signal(signal.SIGHUP)
    both.send("reload\n" + last + "show flows\nshow stats\n")
    if command == "signal":
        daemon.signal(signal.SIGTERM)
    assert both.end() in ("end 0 reloaded",) + ((
        "end 1 the daemon drains: it reloads nothing any more",)
        if command == "signal" else ())
    eventually(lambda: daemon.show("stats")[0]["draining"] is True)
    assert len(daemon.show("flows")) == 200
    listing = Client(daemon)
    listing.send("show flows\n" * 3)
    for client, server in flows:
        client.close()
        server.close()
    listing.rest()
    assert daemon.wait(5) == 0
    for client in (never, both, listing):
        client.close()


def test_killed_while_listed(unatatp_once, peers):
    """Told to end at once in the middle of a list: it does."""
    daemon = unatatp_once(timeouts={"drain": "20s"})
    many_flows(peers, 300)
    clients = [Client(daemon, 4096) for _ in range(6)]
    for client in clients:
        client.send("show flows\n" * 50)
    daemon.signal(signal.SIGTERM)
    eventually(lambda: daemon.log.find("draining"))
    daemon.signal(signal.SIGTERM)
    assert daemon.wait(5) == 0
    for client in clients:
        client.close()


def test_no_descriptor_is_left(unatatp, peers):
    """When flows have taken every descriptor, some clients of the control
    socket are served all the same, again and again; the next ones wait, and
    nothing spins."""
    daemon = unatatp.start(options=unatatp.options(), prefix=[
        "prlimit", "--nofile=64:64", "--"])
    listener = peers.listen()
    clients = [peers.connect(listener) for _ in range(60)]
    eventually(lambda: daemon.stats()["accept_pauses"] > 0)
    for _ in range(5):
        assert daemon.show("stats")[0]["flows_active"] > 5
    assert daemon.ask("reload") == (0, "reloaded\n", "")
    several = [Client(daemon) for _ in range(RESERVED + 2)]
    for one in several:
        one.send("version\n")
    # A flow that begins at that very moment may get one of them.
    for one in several[:2]:
        assert one.end() == "end 0 "
    before, started = daemon.cpu(), time.monotonic()
    lull(1.5)
    seconds = time.monotonic() - started
    assert daemon.cpu() - before < 0.1 * seconds + 0.05
    for number, one in enumerate(several):
        assert number < 2 or one.end() == "end 0 "
        one.close()
    for client in clients:
        reset(client)


def test_client_of_a_daemon_that_stands_still(unatatp_once):
    """A daemon that is stopped does not hang its clients for ever: not when
    it does not answer, nor when it no longer accepts."""
    daemon = unatatp_once()
    daemon.signal(signal.SIGSTOP)
    waiting = []
    try:
        for _ in range(40):
            one = socket.socket(socket.AF_UNIX)
            one.setblocking(False)
            waiting.append(one)
            if one.connect_ex(daemon.control):
                break
        else:
            raise AssertionError("its backlog has no end")
        asking = subprocess.Popen(
            [binary(), "show", "stats", "-s", daemon.control],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            out, err = asking.communicate(timeout=60)
        finally:
            asking.kill()
        assert (asking.returncode, out) == (1, "")
        assert err == "unatatp: the daemon at %s does not answer\n" % (
            daemon.control)
    finally:
        daemon.signal(signal.SIGCONT)
        for one in waiting:
            one.close()
