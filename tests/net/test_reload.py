"""HUP: a good file changes new flows only, a bad one changes nothing."""

import os
import signal
import threading

from daemon import config_text, merge
from lab import PORT, eventually
from peers import End, assert_exchanged, exchange, pump, recv_exactly

BOTH = [{"address": "127.0.0.1", "port": PORT},
        {"address": "::1", "port": PORT}]


def policy_now(daemon, peers):
    """The policy that a new flow meets."""
    client, server = peers.flow()
    name = client.getsockname()
    exchange(client, server, 10, 10)
    return daemon.flow(name)["policy"]


def hup_and_wait(daemon):
    """Reloads what lies there."""
    before = len(daemon.reloads())
    daemon.signal(signal.SIGHUP)
    eventually(lambda: len(daemon.reloads()) > before, what="a reload")


def test_new_flows_only(unatatp, peers, family):
    """A live flow keeps its policy and its bytes; a new one has the new."""
    daemon = unatatp(policies=[{"name": "old",
                                "client": {"congestion": "reno"}}])
    client, server = peers.flow(family)
    name = client.getsockname()
    client.sendall(b"before")
    daemon.reload(policies=[{"name": "new",
                             "client": {"congestion": "cubic"}}])
    assert policy_now(daemon, peers) == "new"
    assert recv_exactly(server, 6) == b"before"
    exchange(client, server, 1 << 20, 1 << 20)
    line = daemon.flow(name)
    assert (line["policy"], line["client_cc"]) == ("old", "reno")


def test_timeouts_of_live_flows_stay(unatatp, peers):
    """A reload that shortens `idle` does not reach a live flow."""
    daemon = unatatp()
    client, server = peers.flow()
    daemon.reload(policies=[{"name": "short",
                             "timeouts": {"idle": "100ms"}}])
    fresh, _ = peers.flow()
    assert daemon.flow(fresh)["ending"] == "idle"
    client.sendall(b"x")
    assert recv_exactly(server, 1) == b"x"


def test_bad_file_changes_nothing(unatatp, peers):
    """Each mistake is named FILE:LINE; policies, listeners and flows stay
    as they were; the next good file loads."""
    daemon = unatatp(policies=[{"name": "good"}])
    client, server = peers.flow()
    before = daemon.listeners()
    text = config_text(daemon.options)
    bad = text + "congeston = 1;\nlimits = { flows = -3; };\n"
    lines = bad.count("\n")
    daemon.write_text(bad)
    hup_and_wait(daemon)
    for line in (lines - 1, lines):
        assert daemon.log.find(r"unatatp\.conf:%d: " % line), \
            daemon.log.text()
    for broken in ("listen = (", "", "policies = 7;\n"):
        daemon.write_text(broken or "nonsense")
        hup_and_wait(daemon)
    os.unlink(daemon.file)
    hup_and_wait(daemon)
    assert "reloaded" not in daemon.log.text()
    assert daemon.listeners() == before
    assert policy_now(daemon, peers) == "good"
    client.sendall(b"alive")
    assert recv_exactly(server, 5) == b"alive"
    daemon.reload(policies=[{"name": "better"}])
    assert policy_now(daemon, peers) == "better"


def test_listeners(unatatp, peers):
    """A new listener is opened, a removed one closed, and one that stays
    keeps the very same sockets."""
    daemon = unatatp(policies=[{"name": "all", "mark": 7}])
    kept = daemon.listeners()[("127.0.0.1", PORT)]
    client, server = peers.flow(6)
    daemon.reload(listen=[BOTH[0], {"address": "127.0.0.1", "port": 9998}])
    eventually(lambda: set(daemon.listeners()) ==
               {("127.0.0.1", PORT), ("127.0.0.1", 9998)})
    assert daemon.listeners()[("127.0.0.1", PORT)] == kept
    assert len(daemon.listeners()[("127.0.0.1", 9998)]) == len(kept)
    assert policy_now(daemon, peers) == "all"
    # The flow that came by the removed one lives.
    exchange(client, server, 100000, 100000)
    daemon.reload(listen=BOTH)
    eventually(lambda: set(daemon.listeners()) ==
               {("127.0.0.1", PORT), ("::1", PORT)})
    assert daemon.listeners()[("127.0.0.1", PORT)] == kept
    client, server = peers.flow(6)
    exchange(client, server, 10, 10)


def test_unchanged_listeners_keep_their_queue(unatatp, peers):
    """Connections that come while reloads go on are all served."""
    daemon = unatatp()
    listener = peers.listen()
    for number in range(30):
        daemon.write(merge(daemon.options,
                           {"policies": [{"name": "p%d" % number}]}))
        daemon.signal(signal.SIGHUP)
        for _ in range(5):
            client = peers.connect(listener)
            server, _ = peers.accept(listener)
            exchange(client, server, 100, 100)
    eventually(lambda: policy_now(daemon, peers) == "p29", 5)


def test_port_in_use(unatatp, lab, peers):
    """A listener that cannot open keeps everything as it was, those that
    could be opened included."""
    daemon = unatatp(policies=[{"name": "old", "mark": 7}])
    before = daemon.listeners()
    taken = peers.listen("127.0.0.1", port=8888, ns=lab.gateway)
    daemon.write(merge(daemon.options, {
        "listen": [BOTH[0], {"address": "127.0.0.1", "port": 9998},
                   {"address": "127.0.0.1", "port": 8888}],
        "policies": [{"name": "new"}]}))
    hup_and_wait(daemon)
    assert "reloaded" not in daemon.log.text()
    assert daemon.log.find(r"8888.*in use"), daemon.log.text()
    assert daemon.listeners() == before
    assert policy_now(daemon, peers) == "old"
    taken.close()
    hup_and_wait(daemon)
    eventually(lambda: policy_now(daemon, peers) == "new")
    assert ("127.0.0.1", 8888) in daemon.listeners()


def test_burst_coalesces(unatatp, peers):
    """Many HUPs at once are few reloads, and the last file counts."""
    options = {"sources": ["10.71.%d.0/24" % n for n in range(250)] +
               ["10.%d.0.0/16" % n for n in range(100, 250)]}
    daemon = unatatp()
    daemon.write(merge(daemon.options, {
        "policies": [dict({"name": "many%d" % n, "ports": [str(n + 1)]},
                          **options) for n in range(100)] +
                    [{"name": "last"}]}))
    for _ in range(300):
        daemon.signal(signal.SIGHUP)
    eventually(lambda: policy_now(daemon, peers) == "last", 10)
    eventually(daemon.reloads)
    assert len(daemon.reloads()) < 300


def test_reloads_under_traffic(unatatp, peers):
    """Some hundred reloads, each with other policies, while flows carry
    bytes and others come and go: no byte is lost."""
    daemon = unatatp()
    base, stop = daemon.options, threading.Event()
    done = []

    def reload_often():
        while not stop.is_set():
            number = len(done)
            daemon.write(merge(base, {"policies": [
                {"name": "p%d" % number, "buffer": "%dK" % (
                    64 << number % 3)}]}))
            daemon.signal(signal.SIGHUP)
            done.append(number)
            stop.wait(0.005)

    thread = threading.Thread(target=reload_often)
    thread.start()
    try:
        listener = peers.listen()
        rounds = 0
        while len(done) < 200 or rounds < 3:
            pairs = []
            for _ in range(8):
                client, server = peers.flow(listener=listener)
                pairs.append((End(client, 1 << 20), End(server, 1 << 20)))
            pump([end for pair in pairs for end in pair])
            for one, two in pairs:
                assert_exchanged(one, two)
            rounds += 1
    finally:
        stop.set()
        thread.join()
    hup_and_wait(daemon)
    assert policy_now(daemon, peers) == "p%d" % done[-1]
    assert not daemon.log.find("reload refused")


def test_no_descriptor_is_lost(unatatp_once, peers):
    """50 reloads that open and close a listener leave no descriptor."""
    daemon = unatatp_once()
    more = {"address": "127.0.0.1", "port": 9998}
    daemon.reload(listen=BOTH + [more])
    daemon.reload(listen=BOTH)
    before = daemon.fds()
    for _ in range(50):
        daemon.reload(listen=BOTH + [more])
        daemon.reload(listen=BOTH)
    eventually(lambda: daemon.fds() == before)
    assert policy_now(daemon, peers) == "all"
