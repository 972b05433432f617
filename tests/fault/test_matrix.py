"""
The fault matrix: what one side does, by the state that its flow is in, over
both engines. Each row is a hundred flows at once over real TPROXY; every byte
is checked by digest, every ending by the flow log, and after each row the
daemon holds as many descriptors and as much memory as before.

FAULT_REPEAT=n runs each row n times.
"""

import json
import os
import signal
import socket
import time

import pytest

from daemon import has_sanitizer
from fixtures import Starter
from lab import SERVER, eventually
from peers import Peers, is_readable, reset
from talk import PATIENCE, Talk, both_of, drive

FLOWS = 100
BYTES = 102400		# a flow and lane: 100 flows carry ten million
FULL = 262144		# more than all buffers of the way hold
SMALL = 16384		# the buffers of flows that stand full
REPEAT = int(os.environ.get("FAULT_REPEAT", "1"))
MEBIBYTE = 1 << 20

# A policy by the server's ports, one for each flow of a row: how long it
# bears silence, and the buffers.
PLAIN, QUIET, DEAF, TIGHT, TIGHT_QUIET = range(7000, 9500, 500)
LONG = {"connect": "20s", "idle": "60s", "half_close": "60s"}
SHORT = {"connect": "20s", "idle": "800ms", "half_close": "400ms"}
LEG = {"sndbuf": "16K", "rcvbuf": "16K"}
NARROW = {"buffer": "64K", "client": LEG, "server": LEG}


def policies(splice_after):
    """The rows of the configuration."""
    rows = {
        PLAIN: {"timeouts": LONG},
        QUIET: {"timeouts": SHORT},
        DEAF: {"timeouts": dict(LONG, connect="700ms")},
        TIGHT: dict(NARROW, timeouts=LONG),
        TIGHT_QUIET: dict(NARROW, timeouts=SHORT),
    }
    return [dict({"name": "p%d" % port, "ports": ["%d-%d" % (port, port + FLOWS - 1)],
                  "splice_after": splice_after}, **row)
            for port, row in rows.items()]


# --- the states: each gives the pairs of a hundred flows ------------------

class Case:
    """One row at work."""

    def __init__(self, the_lab, daemon, row):
        self.lab, self.daemon = the_lab, daemon
        self.peers = Peers(the_lab)
        self.state, self.event, self.side, self.ending, self.sees = row
        self.port, self.buffers = PLAIN, {}
        self.clients, self.pairs = [], []
        self.mark = len(daemon.log.lines)

    def listen(self):
        """The servers, a port each, so that each client knows its own."""
        return [self.peers.listen(port=self.port + number, **self.buffers)
                for number in range(FLOWS)]

    def connect(self):
        """The clients. A reset may be there before connect() returns."""
        for number in range(FLOWS):
            sock = self.peers.new(self.lab.client, **self.buffers)
            sock.setblocking(False)
            sock.connect_ex((SERVER[4], self.port + number))
            self.clients.append(Talk(sock, number))

    def accept(self, listeners, on_accept=None):
        """Their other ends."""
        for number, listener in enumerate(listeners):
            talk = Talk(self.peers.accept(listener)[0], FLOWS + number)
            if on_accept:
                on_accept(talk)
            self.pairs.append((self.clients[number], talk))
        for listener in listeners:
            listener.close()

    def stand(self):
        """Flows that stand."""
        listeners = self.listen()
        self.connect()
        self.accept(listeners)

    def exchange(self, n):
        """Every client and server says N bytes, and hears them."""
        for one in both_of(self.pairs):
            one.say(n)
        for one, two in self.pairs:
            one.peer, two.peer = two, one
        drive(both_of(self.pairs), lambda one: one.has_heard(one.peer),
              "bytes both ways")

    def acting(self):
        """(the one that acts, the other) of each flow."""
        if self.side == "client":
            return self.pairs
        return [(server, client) for client, server in self.pairs]

    def hold_syns(self):
        """The servers do not hear of the flows, for a while."""
        return self.lab.server.rule("input", "tcp dport %d-%d drop" % (
            self.port, self.port + FLOWS - 1))

    def lines(self):
        """The flows' lines in the log since the row began, by number."""
        flows = [json.loads(line[line.index("{"):])
                 for line in list(self.daemon.log.lines)[self.mark:]
                 if '{"event":"flow"' in line]
        return {int(flow["dst"].rpartition(":")[2]) - self.port: flow
                for flow in flows}

    def wait_lines(self):
        """All have ended."""
        eventually(lambda: len(self.lines()) == FLOWS, PATIENCE,
                   "a line for each flow")


def enter_open(case):
    """Bytes have gone both ways, and all is at rest."""
    case.port = QUIET if case.event == "silence" else PLAIN
    case.stand()
    case.exchange(BYTES)


def enter_half_closed(case):
    """Likewise; then the other side has said that it has no more."""
    enter_open(case)
    for one, two in case.acting():
        two.say(0, fin=True)
    drive(both_of(case.pairs), lambda one: one.end or one.has_fin, "FIN")


def enter_full(case):
    """Both send and nobody reads: buffers and pipes are full."""
    case.port = TIGHT_QUIET if case.event == "silence" else TIGHT
    case.buffers = {"rcvbuf": SMALL, "sndbuf": SMALL}
    case.stand()
    case.exchange(1000)
    for one in both_of(case.pairs):
        one.reading = False
        one.say(FULL)
    stand_still(both_of(case.pairs))
    assert all(one.sent < one.goal for one in both_of(case.pairs))


def stand_still(talks):
    """Moves what goes until nothing does."""
    seen, since = None, time.monotonic()

    def settled(_):
        nonlocal seen, since
        now = sum(one.sent for one in talks)
        if now != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since > 0.2
    drive(talks, settled, "full")


def enter_draining(case):
    """The daemon has been told to end."""
    case.port = PLAIN
    case.stand()
    case.exchange(1000)
    case.daemon.signal(signal.SIGTERM)
    eventually(lambda: case.daemon.log.find("draining"))
    case.exchange(BYTES)


# --- the events ------------------------------------------------------------

def do_fin(case):
    """X ends; what Y says after it still comes."""
    for one, two in case.acting():
        one.reading = two.reading = True
        one.say(0, fin=True)
    drive(both_of(case.pairs), lambda one: one.has_fin or one.end == "fin",
          "the FIN of the other side")
    for _, two in case.acting():
        two.say(0 if two.has_fin else BYTES, fin=True)
    drive(both_of(case.pairs), lambda one: one.end and one.has_fin, "FIN")


def do_data(case):
    """X says more; Y hears it. Then X ends."""
    for one, two in case.acting():
        one.reading = two.reading = True
        one.say(BYTES)
    drive(both_of(case.pairs), lambda one: one.sent == one.goal, "data")
    do_fin(case)


def do_rst(case):
    """X resets."""
    for one, two in case.acting():
        reset(one.sock)
        two.reading = True
    others = [two for _, two in case.acting()]
    drive(others, lambda two: two.end == "reset", "the reset")


def do_silence(case):
    """X says nothing more, nor, after some last words, does Y."""
    if case.state == "open":
        for _, two in case.acting():
            two.say(BYTES)
        drive(both_of(case.pairs), lambda one: one.sent == one.goal, "data")
    case.wait_lines()
    for one in both_of(case.pairs):
        one.reading = True
    drive(both_of(case.pairs), Talk.is_reset, "the reset")


EVENTS = {"fin": do_fin, "data": do_data, "rst": do_rst,
          "silence": do_silence}
STATES = {"open": enter_open, "half-closed": enter_half_closed,
          "full": enter_full, "draining": enter_draining}


# --- dialling: what is done before the other leg stands --------------------

def dial_client(case):
    """The client acts while the server's answer is under way."""
    case.port = QUIET if case.event == "silence" else PLAIN
    listeners = case.listen()
    with case.hold_syns():
        case.connect()
        eventually(lambda: case.daemon.stats()["flows_active"] == FLOWS)
        for one in case.clients:
            if case.event in ("fin", "data"):
                one.say(BYTES, fin=case.event == "fin")
            if case.event == "rst":
                one.sock.send(b"x" * 1000)
                reset(one.sock)
        drive(case.clients, lambda one: one.sent == one.goal, "early data")
        if case.event == "rst":
            case.wait_lines()
    if case.event == "rst":
        assert not any(is_readable(one) for one in listeners)
        return
    case.accept(listeners)
    if case.event == "silence":
        do_silence(case)
    else:
        do_fin(case)


def dial_server(case):
    """The server acts as soon as it has heard of the flow."""
    if case.event == "silence":
        case.port = DEAF
        with case.hold_syns():
            case.connect()
            case.wait_lines()
    elif case.event == "refuse":
        case.connect()
    else:
        listeners = case.listen()
        case.connect()
        case.accept(listeners, {
            "fin": lambda one: one.shut(), "data": lambda one: one.say(BYTES),
            "rst": lambda one: reset(one.sock)}[case.event])
    if case.event in ("silence", "refuse", "rst"):
        drive(case.clients, lambda one: one.end == "reset", "the reset")
    else:
        EVENTS[case.event](case)


# --- the rows --------------------------------------------------------------

# state, event, side that acts, the flow's ending, what the other side sees
ROWS = [
    ("dialling", "fin", "client", "client-fin", "fin"),
    ("dialling", "fin", "server", "server-fin", "fin"),
    ("dialling", "rst", "client", "client-reset", "nothing"),
    ("dialling", "rst", "server", "server-reset", "reset"),
    ("dialling", "refuse", "server", "connect-refused", "reset"),
    ("dialling", "data", "client", "client-fin", "fin"),
    ("dialling", "data", "server", "server-fin", "fin"),
    ("dialling", "silence", "client", "idle", "reset"),
    ("dialling", "silence", "server", "connect-timeout", "nothing"),
    ("open", "fin", "client", "client-fin", "fin"),
    ("open", "fin", "server", "server-fin", "fin"),
    ("open", "rst", "client", "client-reset", "reset"),
    ("open", "rst", "server", "server-reset", "reset"),
    ("open", "data", "client", "client-fin", "fin"),
    ("open", "data", "server", "server-fin", "fin"),
    ("open", "silence", "client", "idle", "reset"),
    ("open", "silence", "server", "idle", "reset"),
    # Here the one that does not act has ended its lane before.
    ("half-closed", "fin", "client", "server-fin", "fin"),
    ("half-closed", "fin", "server", "client-fin", "fin"),
    ("half-closed", "rst", "client", "client-reset", "reset"),
    ("half-closed", "rst", "server", "server-reset", "reset"),
    ("half-closed", "data", "client", "server-fin", "fin"),
    ("half-closed", "data", "server", "client-fin", "fin"),
    ("half-closed", "silence", "client", "half-close", "reset"),
    ("half-closed", "silence", "server", "half-close", "reset"),
    # Both lanes hold bytes: in pipes with the one engine, in queues with
    # the other.
    ("full", "fin", "client", "client-fin", "fin"),
    ("full", "fin", "server", "server-fin", "fin"),
    ("full", "rst", "client", "client-reset", "reset"),
    ("full", "rst", "server", "server-reset", "reset"),
    ("full", "data", "client", "client-fin", "fin"),
    ("full", "data", "server", "server-fin", "fin"),
    ("full", "silence", "both", "idle", "reset"),
    ("draining", "fin", "client", "client-fin", "fin"),
    ("draining", "fin", "server", "server-fin", "fin"),
    ("draining", "rst", "client", "client-reset", "reset"),
    ("draining", "rst", "server", "server-reset", "reset"),
    ("draining", "data", "client", "client-fin", "fin"),
    ("draining", "data", "server", "server-fin", "fin"),
    ("draining", "silence", "both", "drain", "reset"),
]


def assert_exact(case, engine):
    """Each flow ended as its row says; no byte was lost, added or moved."""
    case.wait_lines()
    lines = case.lines()
    assert {flow["ending"] for flow in lines.values()} == {case.ending}
    if case.state != "dialling":
        assert {flow["engine"] for flow in lines.values()} == {engine}
    for number, (client, server) in enumerate(case.pairs):
        flow = lines[number]
        assert flow["src"] == "%s:%d" % client.name
        for one, two, counted in ((client, server, flow["up"]),
                                  (server, client, flow["down"])):
            two.assert_heard(one)
            if case.state == "full" and case.sees == "reset":
                assert two.got <= counted <= one.sent
            else:
                assert two.got == counted == one.sent == one.goal
    for one, two in case.acting():
        if case.sees == "reset":
            assert two.is_reset()
        else:
            assert case.sees == "nothing" or one.end == two.end == "fin"


def play(the_lab, daemon, row, engine):
    """One row, once."""
    case = Case(the_lab, daemon, row)
    try:
        if case.state != "dialling":
            STATES[case.state](case)
            EVENTS[case.event](case)
        elif case.side == "client":
            dial_client(case)
        else:
            dial_server(case)
        assert_exact(case, engine)
    finally:
        case.peers.close()


class Held:
    """What a daemon holds at rest."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.fds, self.rss = daemon.fds(), daemon.rss()

    def assert_same(self):
        """It holds no more and no less now."""
        self.daemon.wait_empty()
        eventually(lambda: abs(self.daemon.fds() - self.fds) <= 2,
                   what="descriptors: %d, before %d" % (
                       self.daemon.fds(), self.fds))
        # What a case held goes back within seconds of its end.
        eventually(lambda: has_sanitizer() or
                   self.daemon.rss() - self.rss <= MEBIBYTE,
                   what="memory: %d bytes, before %d" % (
                       self.daemon.rss(), self.rss))


class Engine:
    """A daemon that lives through all rows of one engine."""

    def __init__(self, name, the_lab, folder):
        self.name = name
        self.starter = Starter(the_lab, folder, {
            "workers": 2, "splice": "1" if name == "splice" else "0"})
        self.daemon = self.held = None

    def live(self):
        """The daemon, which has seen it all before."""
        if self.daemon and self.daemon.is_running():
            return self.daemon
        self.daemon = self.start("30s")
        for row in ROWS:
            if row[0] == "full":
                play(self.starter.lab, self.daemon, row, self.name)
        self.daemon.wait_empty()
        self.held = Held(self.daemon)
        return self.daemon

    def rest(self):
        """Makes room for another one."""
        if self.daemon and self.daemon.is_running():
            self.daemon.stop()

    def start(self, drain):
        """A daemon; DRAIN: its patience."""
        return self.starter(
            policies=policies(self.starter.mode["splice"]),
            log={"flows": "json"}, timeouts={"drain": drain})


@pytest.fixture(scope="module", params=["buffer", "splice"])
def engine(request, session_lab, tmp_path_factory):
    """Both engines."""
    session_lab.use_rules("nft")
    one = Engine(request.param, session_lab, tmp_path_factory.mktemp("matrix"))
    yield one
    one.starter.finish(Peers(session_lab), False)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(row[:3]))
def test_matrix(engine, lab, row):
    """Each event in each state from each side."""
    for _ in range(REPEAT):
        if row[0] != "draining":
            play(lab, engine.live(), row, engine.name)
            engine.held.assert_same()
            continue
        engine.rest()
        daemon = engine.start("1s" if row[1] == "silence" else "30s")
        play(lab, daemon, row, engine.name)
        assert daemon.wait() == 0
