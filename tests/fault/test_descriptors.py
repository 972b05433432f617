"""Too few descriptors: accepting pauses, nothing spins, live flows and
waiting clients are served."""

import re
import time

import pytest

from daemon import merge
from lab import eventually
from peers import (exchange, is_readable, is_reset, lull, recv_exactly,
                   reset)

LIMIT = 64


def small(starter, **changes):
    """A daemon that may hold LIMIT descriptors."""
    return starter.start(options=starter.options(**changes), prefix=[
        "prlimit", "--nofile=%d:%d" % (LIMIT, LIMIT), "--"])


def crowd(peers, listener, n):
    """N clients, more than fit; each has said who it is."""
    clients = []
    for number in range(n):
        client = peers.connect(listener)
        client.sendall(b"%04d" % number)
        clients.append(client)
    return clients


def accept_all(peers, listener):
    """{number: server socket} of the flows that came through by now."""
    found = {}
    while is_readable(listener, 0.3):
        server, _ = peers.accept(listener)
        found[int(recv_exactly(server, 4))] = server
    return found


def serve(clients, servers):
    """Every flow in SERVERS carries bytes both ways."""
    for number, server in servers.items():
        server.sendall(b"served")
        assert recv_exactly(clients[number], 6) == b"served"
        clients[number].sendall(b"thanks")
        assert recv_exactly(server, 6) == b"thanks"


def test_pause_and_resume(unatatp, peers):
    """More clients than descriptors: those that fit are served, the rest
    wait, and each gets its turn once others are gone."""
    daemon = small(unatatp)
    listener = peers.listen()
    clients = crowd(peers, listener, 60)
    servers = accept_all(peers, listener)
    assert 5 < len(servers) < 40
    assert daemon.stats()["accept_pauses"] > 0
    serve(clients, servers)
    done = set()
    end = time.monotonic() + 30
    while len(done) < 60:
        assert time.monotonic() < end, "%d of 60 served" % len(done)
        cut = [number for number, client in enumerate(clients)
               if number not in done and is_reset(client)]
        assert not cut, "waiting clients were reset: %s" % cut
        serve(clients, servers)
        for number, server in servers.items():
            assert number not in done
            clients[number].close()
            server.close()
            done.add(number)
        servers = accept_all(peers, listener)
    stats = daemon.stats()
    assert stats["flows_opened"] >= 60


def test_no_spin(unatatp, peers):
    """While it cannot accept it rests, and says so once a second."""
    daemon = small(unatatp)
    listener = peers.listen()
    clients = crowd(peers, listener, 60)
    servers = accept_all(peers, listener)
    before, started = daemon.cpu(), time.monotonic()
    lines = len(pauses(daemon))
    pauses_before = daemon.stats()["accept_pauses"]
    lull(2.0)
    seconds = time.monotonic() - started
    assert daemon.cpu() - before < 0.1 * seconds + 0.05
    workers = unatatp.mode["workers"]
    assert len(pauses(daemon)) - lines <= (seconds + 1) * workers
    # 10, 20, 40 ... 500 ms: the back-off has grown by now.
    assert daemon.stats()["accept_pauses"] - pauses_before <= 12 * workers
    serve(clients, servers)


def pauses(daemon):
    """The log lines of pauses."""
    return [line for line in list(daemon.log.lines)
            if re.search("accepting pauses", line)]


def test_one_log_line_a_second(unatatp, peers):
    """At most one a second, for the whole daemon."""
    daemon = small(unatatp)
    listener = peers.listen()
    crowd(peers, listener, 60)
    started = time.monotonic()
    accept_all(peers, listener)
    lull(1.5)
    assert len(pauses(daemon)) <= time.monotonic() - started + 2


def test_live_flows_untouched(unatatp, peers):
    """A flow that stood before the crowd came moves at full speed."""
    daemon = small(unatatp)
    client, server = peers.flow()
    crowd(peers, peers.listen(), 60)
    eventually(lambda: daemon.stats()["accept_pauses"] > 0)
    exchange(client, server, 16 << 20, 16 << 20)


def test_waiting_clients_that_leave(unatatp, peers):
    """Clients that give up while they wait leave nothing behind."""
    daemon = small(unatatp)
    before = daemon.fds()
    listener = peers.listen()
    clients = crowd(peers, listener, 80)
    eventually(lambda: daemon.stats()["accept_pauses"] > 0)
    for client in clients:
        reset(client)
    for server in accept_all_quietly(peers, listener):
        reset(server)
    daemon.wait_empty(10)
    eventually(lambda: daemon.fds() == before)
    client, server = peers.flow()
    exchange(client, server, 10, 10)


def accept_all_quietly(peers, listener):
    """Whatever came through, bytes or not."""
    found = []
    while is_readable(listener, 0.7):
        found.append(peers.accept(listener)[0])
    return found


def bounded(starter, flows, wait=True):
    """A daemon that cannot raise its limit of 256 descriptors."""
    return starter.start(
        options=starter.options(limits={"flows": flows}), wait=wait,
        prefix=["prlimit", "--nofile=256:256", "setpriv",
                "--bounding-set=-sys_resource",
                "--inh-caps=-sys_resource", "--"])


TOO_MANY = r"limits\.flows = 100000 needs \d+ .*enough for (\d+) flows"


def test_limit_is_refused(unatatp_once):
    """limits.flows that needs more descriptors than the kernel grants: it
    does not start, and names the number that fits, which then does."""
    daemon = bounded(unatatp_once, 100000, wait=False)
    assert daemon.wait() == 78
    line = daemon.log.find(TOO_MANY)
    assert line, daemon.log.text()
    bounded(unatatp_once, int(line.group(1)))


def test_limit_is_refused_by_a_reload(unatatp_once, peers):
    """Likewise when a reload asks for them: everything stays as it was, and
    whoever asked is told."""
    daemon = bounded(unatatp_once, 10)
    client, server = peers.flow()
    daemon.write(merge(daemon.options, {"limits": {"flows": 100000}}))
    status, out, err = daemon.ask("reload")
    assert status == 78 and re.search(TOO_MANY, err), (out, err)
    assert "flows = 10;" in daemon.ask("show", "config")[1]
    exchange(client, server, 10, 10)
    daemon.reload(limits={"flows": 12})
    assert "flows = 12;" in daemon.ask("show", "config")[1]


def test_what_there_is(unatatp_once, peers):
    """limits.flows = 0 goes by the limit as it is."""
    daemon = bounded(unatatp_once, 0)
    exchange(*peers.flow(), 10, 10)
    assert not daemon.log.find("limits")


def test_limit_is_raised(unatatp_once):
    """The soft limit goes up to what limits.flows needs."""
    daemon = unatatp_once.start(
        options=unatatp_once.options(limits={"flows": 1000}),
        prefix=["prlimit", "--nofile=64:4096", "--"])
    with open("/proc/%d/limits" % daemon.pid, encoding="ascii") as file:
        soft = next(int(line.split()[3]) for line in file
                    if line.startswith("Max open files"))
    assert soft >= 2000
    assert not daemon.log.find("limits.flows")


@pytest.mark.parametrize("limit", [1, 5])
def test_flow_limit(unatatp, peers, limit):
    """limits.flows: one more is reset, and room made is used again."""
    daemon = unatatp(limits={"flows": limit})
    flows = [peers.flow() for _ in range(limit)]
    listener = peers.listen()
    with pytest.raises((ConnectionResetError, ConnectionRefusedError)):
        client = peers.connect(listener)
        assert client.recv(1) != b""
    assert not is_readable(listener, 0.1)
    daemon.wait_stat("flow-limit")
    exchange(*flows.pop(), 1000, 1000)
    eventually(lambda: daemon.stats()["flows_active"] == limit - 1)
    exchange(*peers.flow(listener=listener), 1000, 1000)
