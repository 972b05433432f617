"""The log: one line a flow, limited in rate, and never in the way."""

import fcntl
import json
import os
import re

from lab import eventually
from peers import exchange, lull, recv_exactly

FIELDS = ("id policy src dst up down ms connect_ms client_cc server_cc "
          "client_rtt_us client_retrans ending").split()


def short_flow(peers, listener):
    """A flow with a byte each way."""
    client, server = peers.flow(listener=listener)
    exchange(client, server, 1, 1)
    client.close()
    server.close()


def test_flow_line(unatatp, peers):
    """Every field, in order, with numbers where numbers belong."""
    daemon = unatatp()
    short_flow(peers, peers.listen())
    line = eventually(lambda: daemon.log.find(r"\bflow id=.*")).group(0)
    assert [word.split("=")[0] for word in line.split()[1:]] == FIELDS
    flow = daemon.flows()[0]
    for name in FIELDS:
        if name in ("id", "up", "down", "ms", "connect_ms", "client_rtt_us",
                    "client_retrans"):
            assert flow[name].isdigit(), line
    assert int(flow["client_rtt_us"]) > 0


def test_flow_json(unatatp, peers, family):
    """log.flows = "json": the line is an object with the summary's fields,
    and what belongs to a leg in an object of its own."""
    daemon = unatatp(log={"flows": "json"})
    client, server = peers.flow(family)
    name, to = client.getsockname(), client.getpeername()
    exchange(client, server, 1000, 70000)
    client.close()
    server.close()
    line = eventually(lambda: daemon.log.find(r"^\{.*\}$")).group(0)
    flow = json.loads(line)
    assert list(flow) == (
        "event id policy src dst up down ms connect_ms engine client server "
        "ending").split()
    form = "%s:%d" if family == 4 else "[%s]:%d"
    assert (flow["event"], flow["policy"]) == ("flow", "all")
    assert (flow["src"], flow["dst"]) == (form % name[:2], form % to[:2])
    assert (flow["up"], flow["down"]) == (1000, 70000)
    assert flow["ending"] in ("client-fin", "server-fin")
    assert flow["engine"] in ("buffer", "splice")
    for leg in (flow["client"], flow["server"]):
        assert leg["cc"] == "cubic" and leg["rtt_us"] > 0
        assert leg["retrans"] >= 0
    assert not daemon.flows()


def test_ids_are_unique(unatatp, peers):
    """No two flows share an id, whichever worker had them."""
    daemon = unatatp()
    listener = peers.listen()
    for _ in range(40):
        short_flow(peers, listener)
    eventually(lambda: len(daemon.flows()) == 40)
    assert len({flow["id"] for flow in daemon.flows()}) == 40


def test_flows_off(unatatp_once, peers):
    """log.flows = "off": no line, but the counters count."""
    daemon = unatatp_once(log={"flows": "off"})
    short_flow(peers, peers.listen())
    daemon.wait_empty()
    assert daemon.stats()["flows_ended"] == 1
    assert not daemon.flows()


def test_level(unatatp_once, peers):
    """log.level = "error" hides flow lines; a reload shows them again."""
    daemon = unatatp_once(log={"level": "notice"})
    listener = peers.listen()
    short_flow(peers, listener)
    daemon.wait_empty()
    assert not daemon.flows()
    daemon.reload(log={"level": "info"})
    short_flow(peers, listener)
    eventually(lambda: len(daemon.flows()) == 1)


def test_rate_limit(unatatp, peers):
    """A storm of flows writes max_per_second lines a second; what was
    suppressed is counted, and no line is lost from the count."""
    daemon = unatatp(log={"max_per_second": 10})
    listener = peers.listen()
    for _ in range(100):
        short_flow(peers, listener)
    daemon.wait_empty(10)
    lull(1.2)	# a token for the line that reports
    short_flow(peers, listener)

    def counted():
        daemon.stats()
        lost = sum(map(int, re.findall(r"suppressed=(\d+)",
                                       daemon.log.text())))
        return lost and lost + len(daemon.flows()) == 101
    eventually(counted, what="every line is written or counted")
    # The burst, and what its length in seconds allowed.
    assert len(daemon.flows()) < 60


def test_no_journal_prefix(unatatp_once, peers):
    """On a plain pipe lines have no <N>."""
    daemon = unatatp_once()
    short_flow(peers, peers.listen())
    eventually(daemon.flows)
    assert not daemon.log.find(r"^<\d>")


def test_journal_prefix(unatatp_once, peers):
    """Lines begin with <N> when stderr is the journal's stream."""
    ours, theirs = os.pipe()
    stat = os.fstat(theirs)
    daemon = unatatp_once.start(
        options=unatatp_once.options(), stderr=theirs,
        env={"JOURNAL_STREAM": "%d:%d" % (stat.st_dev, stat.st_ino)})
    os.close(theirs)
    short_flow(peers, peers.listen())
    daemon.stop()
    with open(ours, encoding="utf-8") as stream:
        lines = stream.read().splitlines()
    assert lines and all(re.match(r"<[3-7]>\S", line) for line in lines)
    assert any(line.startswith("<6>flow id=") for line in lines), lines


def test_journal_of_another(unatatp_once, peers):
    """JOURNAL_STREAM that names another file means nothing."""
    daemon = unatatp_once.start(options=unatatp_once.options(),
                                env={"JOURNAL_STREAM": "8:12345"})
    short_flow(peers, peers.listen())
    eventually(daemon.flows)
    assert not daemon.log.find(r"^<\d>")


def test_stopped_reader(unatatp, peers):
    """A full stderr pipe that nobody reads loses lines, not flows: the
    relay never waits for it."""
    ours, theirs = os.pipe()
    fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 4096)
    daemon = unatatp.start(options=unatatp.options(), stderr=theirs)
    os.close(theirs)
    listener = peers.listen()
    for _ in range(100):
        short_flow(peers, listener)
    client, server = peers.flow(listener=listener)
    exchange(client, server, 1 << 20, 1 << 20)
    assert not os.get_blocking(ours) or len(os.read(ours, 8192)) > 2000
    daemon.stop()
    os.close(ours)


def test_stderr_flags_are_left_alone(unatatp_once, peers):
    """The file behind stderr belongs to others too: its O_NONBLOCK stays
    as it was."""
    ours, theirs = os.pipe()
    daemon = unatatp_once.start(options=unatatp_once.options(),
                                stderr=theirs)
    short_flow(peers, peers.listen())
    assert os.get_blocking(theirs)
    daemon.stop()
    os.close(ours)
    os.close(theirs)


def test_closed_stderr(unatatp_once, peers):
    """A reader of stderr that went away (SIGPIPE) ends nothing."""
    ours, theirs = os.pipe()
    daemon = unatatp_once.start(options=unatatp_once.options(),
                                stderr=theirs)
    os.close(theirs)
    os.close(ours)
    listener = peers.listen()
    for _ in range(3):
        short_flow(peers, listener)
    client, server = peers.flow(listener=listener)
    client.sendall(b"x")
    assert recv_exactly(server, 1) == b"x"
    peers.close()
    daemon.stop()
