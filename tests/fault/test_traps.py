"""
Traps of the kernel and of libevent, by name: a descriptor that an aborted
dial leaves behind, a timer of a flow that has been freed, an event of a
descriptor that has been closed.

The daemon is stopped (SIGSTOP) while what is to meet happens, so that it
finds all of it in one turn of its loop. What it frees is filled with garbage:
whoever comes back to a flow that is gone finds no pointer that is any good.
"""

import contextlib
import os
import signal
import socket
import threading

import pytest

from daemon import has_sanitizer, tcp_rows
from inject import METRICS, Page, scrape
from lab import SERVER, UNREACHABLE, eventually
from peers import (exchange, fill, lull, recv_exactly, recv_to_end,
                   reset, try_connect)

REPEAT = int(os.environ.get("FAULT_REPEAT", "1"))
FLOWS = 70		# more than epoll tells of in one batch: poller.c
BATCH = 30		# less than are accepted in one: listener.c
SYN_SENT = 2
PORT, BUSY, NOBODY = 7100, 7200, 9
# mallopt(3); the threads' caches of free memory would escape it.
POISON = {"MALLOC_PERTURB_": "165",
          "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}


def begin(starter, **policy):
    """A daemon with one policy, and the descriptors that it has at rest."""
    daemon = starter.start(env=POISON, options=starter.options(
        policies=[{"name": "busy", "ports": [str(BUSY)]},
                  dict({"name": "all"}, **policy)]))
    daemon.stats()	# by now all of it stands
    return daemon, daemon.fds()


def is_stopped(daemon):
    """True when each of its threads stands still."""
    for tid in os.listdir("/proc/%d/task" % daemon.pid):
        with open("/proc/%d/task/%s/stat" % (daemon.pid, tid),
                  encoding="ascii") as file:
            if file.read().rpartition(")")[2].split()[0] != "T":
                return False
    return True


@contextlib.contextmanager
def asleep(daemon):
    """What happens in the block, it finds all at once at the end of it."""
    daemon.signal(signal.SIGSTOP)
    try:
        eventually(lambda: is_stopped(daemon), what="it stands still")
        yield
    finally:
        daemon.signal(signal.SIGCONT)


def assert_ended(daemon, n, endings):
    """N flows have ended, once each, for one of these reasons."""
    def mine():
        return [flow["ending"] for flow in daemon.flows()
                if flow["policy"] == "all"]

    # Some may end before others have begun.
    eventually(lambda: len(mine()) >= n, 10, "their lines")
    daemon.wait_empty(10)
    ended = daemon.stats()["flows_ended"]
    eventually(lambda: len(daemon.flows()) >= ended, what="all lines")
    ids = [flow["id"] for flow in daemon.flows()]
    assert len(ids) == len(set(ids)) == ended
    assert len(mine()) == n and set(mine()) <= endings


# --- a descriptor, after an aborted dial -----------------------------------

class Dial:
    """Flows whose server leg has not come to stand yet."""

    def __init__(self, the_lab, peers, daemon):
        self.lab, self.peers, self.daemon = the_lab, peers, daemon
        self.listener = peers.listen(port=PORT)

    def sent(self):
        """How many of the gateway's sockets have a SYN under way."""
        return sum(state == SYN_SENT
                   for _, _, state, _ in tcp_rows(self.daemon.pid))

    @contextlib.contextmanager
    def under_way(self):
        """The clients of flows that dial; the server hears nothing."""
        with self.lab.server.rule("input", "tcp dport %d drop" % PORT):
            clients = [self.peers.connect(self.listener)
                       for _ in range(FLOWS)]
            eventually(lambda: self.sent() == FLOWS, what="they dial")
            yield clients

    def connect(self, to):
        """The clients that got as far as a connection."""
        return [try_connect(self.peers, to) for _ in range(FLOWS)]


def by_reset(dial):
    """The clients give up."""
    with dial.under_way() as clients:
        for client in clients:
            reset(client)
        eventually(lambda: not dial.sent(), what="the dials end")


def by_kill(dial):
    """The administrator ends them."""
    with dial.under_way():
        for flow in dial.daemon.show("flows"):
            assert flow["state"] == "dialling"
            assert dial.daemon.ask("kill", str(flow["id"]))[0] == 0


def by_timeout(dial):
    """Their time is over."""
    dial.daemon.reload(policies=[{"name": "all",
                                  "timeouts": {"connect": "300ms"}}])
    with dial.under_way():
        eventually(lambda: not dial.sent(), what="the dials end")


def by_refusal(dial):
    """Nobody listens."""
    dial.connect((SERVER[4], NOBODY))


def by_unreachability(dial):
    """There is no way."""
    dial.connect((UNREACHABLE[4], NOBODY))


def by_source(dial):
    """The address to dial from is not the gateway's."""
    dial.daemon.reload(policies=[{"name": "all", "source": SERVER[4]}])
    dial.connect(dial.listener)


def by_both_at_once(dial):
    """The server answers and the client resets, in one turn, either first."""
    with contextlib.ExitStack() as held:
        clients = held.enter_context(dial.under_way())
        with asleep(dial.daemon):
            for client in clients[::2]:
                reset(client)
            held.close()	# the SYNs come again
            servers = [dial.peers.accept(dial.listener)[0] for _ in clients]
            for client in clients[1::2]:
                reset(client)
    for server in servers:
        assert recv_to_end(server) == (b"", "reset")


DIALS = [(by_reset, "client-reset"), (by_kill, "killed"),
         (by_timeout, "connect-timeout"), (by_refusal, "connect-refused"),
         (by_unreachability, "connect-unreachable"), (by_source, "source"),
         (by_both_at_once, "client-reset")]


@pytest.mark.parametrize("way,ending", DIALS, ids=lambda one: getattr(
    one, "__name__", None))
def test_descriptor_of_an_aborted_dial(unatatp_once, lab, peers, way, ending):
    """However a dial ends, its descriptor goes with it."""
    daemon, fds = begin(unatatp_once)
    dial = Dial(lab, peers, daemon)
    for number in range(REPEAT):
        way(dial)
        assert_ended(daemon, FLOWS * (number + 1), {ending})
        eventually(lambda: daemon.fds() == fds, what="its descriptors")
        assert not dial.sent()


# --- a timer, after its flow -----------------------------------------------

def stand(peers, **buffers):
    """Flows that have carried a byte each way, over their engine."""
    with contextlib.closing(peers.listen(port=PORT)) as listener:
        pairs = [peers.flow(listener=listener, **buffers)
                 for _ in range(FLOWS)]
    for one, two in pairs + [pair[::-1] for pair in pairs]:
        one.sendall(b"x")
        assert recv_exactly(two, 1) == b"x"
    return pairs


def half_close(_daemon, pairs):
    """The clients have no more to say."""
    for client, server in pairs:
        client.shutdown(socket.SHUT_WR)
        assert recv_to_end(server) == (b"", "fin")


def flush(daemon, pairs):
    """The clients are gone, and the servers do not read the rest."""
    for client, _ in pairs:
        fill(client, 0.02)
    for client, _ in pairs:
        reset(client)
    eventually(lambda: all(flow["state"] == "flushing"
                           for flow in daemon.show("flows")
                           if flow["policy"] == "all"))


SECOND, IDLE = 1.0, 5.1		# flow_limit.c: idle after five seconds
RESETS = {"client-reset", "server-reset"}
# The flows' policy, how they are brought to where the timer is wanted, and
# how they may end.
TIMERS = {
    "idle": ({"timeouts": {"idle": "1s"}}, None, RESETS | {"idle"}),
    "lifetime": ({"timeouts": {"lifetime": "1s"}}, None,
                 RESETS | {"lifetime"}),
    "half-close": ({"timeouts": {"half_close": "1s"}}, half_close,
                   RESETS | {"half-close"}),
    "latency": ({"latency": "20ms"}, None, RESETS),
    # Whichever leg fails first gives the name.
    "flush": ({"buffer": "64K"}, flush, {"client-reset"}),
}


@pytest.mark.parametrize("unatatp", ["buffer-1", "splice-1"], indirect=True)
@pytest.mark.parametrize("timer", TIMERS)
def test_timer_of_a_freed_flow(unatatp, peers, timer):
    """A flow's timer is due in the turn in which both of its legs are
    reset, or a second later: it ends once, and no timer goes off for what
    has been freed."""
    policy, bring, endings = TIMERS[timer]
    daemon, _ = begin(unatatp, **policy)
    for number in range(1, REPEAT + 1):
        pairs = bring_all(daemon, peers, bring)
        reset_all(pairs)
        with busy(peers):
            pairs = bring_all(daemon, peers, bring)
            with asleep(daemon):
                reset_all(pairs)
                lull(SECOND)
        assert_ended(daemon, 2 * FLOWS * number, endings)
    exchange(*peers.flow(), 10000, 10000)


def bring_all(daemon, peers, bring):
    """Flows where a timer is wanted."""
    pairs = stand(peers, server_rcvbuf=16384)
    if bring:
        bring(daemon, pairs)
    return pairs


def reset_all(pairs):
    """Both ends are gone."""
    for pair in pairs:
        for sock in pair:
            if sock.fileno() >= 0:
                reset(sock)


@contextlib.contextmanager
def busy(peers):
    """
    A flow that keeps its worker at work. A worker at rest would be woken by
    SIGCONT itself, epoll_wait with EINTR, and look at its timers before it
    hears of any leg.
    """
    with contextlib.closing(peers.listen(port=BUSY)) as listener:
        client, server = peers.flow(listener=listener)
    stop = threading.Event()

    def send():
        while not stop.is_set():
            client.send(bytes(65536))

    def receive():
        while server.recv(1 << 18):
            pass

    threads = [threading.Thread(target=one) for one in (send, receive)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        threads[0].join()
        client.close()
        threads[1].join()
        server.close()


def test_timer_of_an_aborted_dial(unatatp_once, lab, peers):
    """Likewise while the other leg is still to come."""
    daemon, _ = begin(unatatp_once, timeouts={"connect": "1s"})
    dial = Dial(lab, peers, daemon)
    for number in range(1, REPEAT + 1):
        by_reset(dial)
        with busy(peers), dial.under_way() as clients, asleep(daemon):
            for client in clients:
                reset(client)
            lull(SECOND)
        assert_ended(daemon, 2 * FLOWS * number,
                     {"client-reset", "connect-timeout"})


# --- an event, after its descriptor ----------------------------------------

@pytest.mark.parametrize("unatatp", ["buffer-1", "splice-1"], indirect=True)
@pytest.mark.parametrize("side", [0, 1], ids=["client", "server"])
def test_event_of_a_closed_descriptor(unatatp, peers, side):
    """In one turn flows are reset whose other legs have something to tell,
    too, and new flows take over their descriptors: nothing that was told of
    the old is taken for the new."""
    daemon, fds = begin(unatatp)
    for number in range(1, REPEAT + 1):
        pairs = stand(peers)
        listener = peers.listen()
        with asleep(daemon):
            for pair in pairs:
                pair[1 - side].sendall(b"old" * 100)
                reset(pair[side])
                pair[1 - side].shutdown(socket.SHUT_WR)
            clients = [peers.connect(listener) for _ in pairs]
        servers = [peers.accept(listener)[0] for _ in pairs]
        listener.close()
        for place, client in enumerate(clients):
            client.sendall(b"%04d" % place)
        for server in servers:
            server.sendall(recv_exactly(server, 4))
        for place, client in enumerate(clients):
            assert recv_exactly(client, 4) == b"%04d" % place
            client.close()
        for server in servers:
            assert recv_to_end(server) == (b"", "fin")
            server.close()
        assert_ended(daemon, 2 * FLOWS * number,
                     {("client-reset", "server-reset")[side], "client-fin"})
    eventually(lambda: daemon.fds() == fds)


def test_event_of_an_evicted_flow(unatatp_once, peers):
    """In one turn idle flows make room for new ones, and have themselves
    something to tell behind that."""
    daemon = unatatp_once.start(env=POISON, options=unatatp_once.options(
        limits={"flows": FLOWS, "evict_idle": True}))
    old = stand(peers)
    listener = peers.listen()
    with asleep(daemon):
        lull(IDLE)
        clients = [peers.connect(listener) for _ in range(BATCH)]
        for pair in old:
            for sock in pair:
                sock.sendall(b"old")
    daemon.wait_stat("evicted", BATCH)
    for client in clients:
        server, _ = peers.accept(listener)
        client.sendall(b"new")
        assert recv_exactly(server, 3) == b"new"


@pytest.mark.skipif(has_sanitizer(), reason="inject.c stands where a "
                    "sanitizer's own malloc would")
def test_descriptor_that_evhttp_closes(unatatp_once, lab, peers, tmp_path):
    """epoll does not take a client of the metrics, and evhttp closes its
    descriptor: nobody else loses the one that is next to have its number."""
    page = Page(tmp_path)
    daemon = unatatp_once.start(env=page.env, options=unatatp_once.options(
        metrics={"address": "127.0.0.1", "port": METRICS}))
    assert scrape(lab, 5.0)
    before = page.calls()["epoll_ctl"]
    assert scrape(lab, 5.0)
    lost = 0
    for nth in range(1, page.calls()["epoll_ctl"] - before + 1):
        page.fail("epoll_ctl", "ENOSPC", nth)
        lost += not scrape(lab, 0.5)
        page.clear()
        flows = [peers.flow() for _ in range(3)]
        for _ in range(10):	# longer than http.c takes to let go of it
            status, _, err = daemon.ask("show", "stats")
            assert status == 0, (nth, err)
        for flow in flows:
            exchange(*flow, 1000, 1000)
    assert lost
    assert scrape(lab, 5.0)
