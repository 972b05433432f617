"""`show policies`: what the flows of each policy were like, live."""

import select
import socket
import threading

import pytest

import lab as places
from lab import CLIENT_B, SUBNET_B, available_congestion, eventually
from peers import exchange, recv_exactly

TWO = [{"name": "guests", "sources": [SUBNET_B[4]],
        "client": {"congestion": "reno"}},
       {"name": "office", "client": {"congestion": "cubic"}}]


def policies(daemon, *args):
    """{name: object} of `show policies`."""
    return {one["policy"]: one for one in daemon.show("policies", *args)}


def ended(daemon, name, count):
    """The policy NAME, once COUNT of its flows have ended."""
    return eventually(lambda: (
        lambda one: one["flows_ended"] == count and one)(
            policies(daemon)[name]))


def test_counts(unatatp, peers):
    """Flows and bytes are counted where they belong, bytes as they go."""
    daemon = unatatp(policies=TWO)
    assert [one["policy"] for one in daemon.show("policies")] == [
        "guests", "office", "default"]
    client, server = peers.flow(source=CLIENT_B[4])
    client.sendall(b"u" * 5000)
    recv_exactly(server, 5000)
    server.sendall(b"d" * 700)
    recv_exactly(client, 700)
    found = eventually(lambda: (
        lambda all_: all_["guests"]["down"] == 700 and all_)(
            policies(daemon)))
    one, other = found["guests"], found["office"]
    assert (one["flows_active"], one["flows_opened"], one["flows_ended"],
            one["up"]) == (1, 1, 0, 5000)
    assert (other["flows_opened"], other["up"], other["down"]) == (0, 0, 0)
    assert (one["client"]["cc"], one["server"]["cc"]) == ("reno", "system")
    assert one["connect_ms"]["count"] == 1 and \
        one["duration_ms"]["count"] == 0
    exchange(client, server, 100000, 200000)
    one = ended(daemon, "guests", 1)
    assert (one["flows_active"], one["up"], one["down"]) == (
        0, 105000, 200700)
    assert one["endings"]["client-fin"] + one["endings"]["server-fin"] == 1
    assert sum(one["endings"].values()) == 1
    for leg in ("client", "server"):
        assert one[leg]["segments"] > 0
        assert one[leg]["rtt_us"]["count"] == 1
        assert one[leg]["retrans_ppm"]["count"] == 1
    assert found["default"]["configured"]


def test_default_and_failures(unatatp_once, peers):
    """Flows that no policy matches are default's; those that never stood
    are counted, too."""
    daemon = unatatp_once(policies=[
        {"name": "guests", "sources": [SUBNET_B[4]], "action": "reject"}])
    exchange(*peers.flow(), 10, 10)
    assert ended(daemon, "default", 1)["up"] == 10
    for _ in range(3):
        with pytest.raises(OSError):
            one = peers.connect((places.SERVER[4], 9), source=CLIENT_B[4])
            recv_exactly(one, 1)
    one = ended(daemon, "guests", 3)
    assert one["endings"]["rejected"] == 3
    assert one["duration_ms"]["count"] == one["connect_ms"]["count"] == 0


def test_survive_reloads(unatatp, peers):
    """Counters go on through reloads; a policy that is gone is listed for
    as long as it has flows, and goes on from there when it comes back."""
    daemon = unatatp(policies=TWO)
    exchange(*peers.flow(), 1000, 10)
    ended(daemon, "office", 1)
    client, server = peers.flow()
    daemon.reload(policies=[{"name": "new"}])
    found = policies(daemon)
    assert [one["policy"] for one in daemon.show("policies")] == [
        "new", "default", "office"]
    assert found["office"]["configured"] is False
    client.sendall(b"x" * 500)
    recv_exactly(server, 500)
    eventually(lambda: policies(daemon)["office"]["up"] == 1500)
    assert policies(daemon)["new"]["flows_opened"] == 0
    exchange(client, server, 0, 0)
    eventually(lambda: list(policies(daemon)) == ["new", "default"])
    daemon.reload(policies=TWO)
    assert policies(daemon)["office"]["flows_ended"] == 2
    assert len(daemon.show("policies")) == 3


def test_congestion_refused(unatatp_once, peers):
    """An algorithm that the kernel refuses is counted by policy."""
    daemon = unatatp_once(policies=[
        {"name": "odd", "client": {"congestion": "nosuch"}}])
    exchange(*peers.flow(), 10, 10)
    assert ended(daemon, "odd", 1)["congestion_refused"] == 1
    assert "nosuch" not in available_congestion()


def test_rates(unatatp_once, peers):
    """Bits a second of the last 1, 10 and 60 seconds."""
    daemon = unatatp_once()
    client, server = peers.flow()
    stop = threading.Event()

    def send():
        while not stop.wait(0.01):
            client.sendall(b"x" * 12500)  # 10 Mbit/s

    def receive():
        while not stop.is_set():
            if select.select([server], [], [], 0.1)[0]:
                server.recv(1 << 16)

    threads = [threading.Thread(target=one) for one in (send, receive)]
    for one in threads:
        one.start()
    try:
        def steady():
            rates = policies(daemon)["all"]["rates"]
            return all(3e6 < rates[span]["up"] < 1.2e7 and
                       rates[span]["down"] == 0 for span in rates)
        eventually(steady, 15)
    finally:
        stop.set()
        for one in threads:
            one.join()
    eventually(lambda: policies(daemon)["all"]["rates"]["1s"]["up"] == 0)
    rates = policies(daemon)["all"]["rates"]
    assert rates["60s"]["up"] > 0 and rates["60s"]["flows"] > 0


def test_quantiles(unatatp, peers):
    """The RTTs are those of the log, as exactly as the histogram is."""
    daemon = unatatp()
    listener = peers.listen()
    for _ in range(40):
        client = peers.connect(listener)
        server, _ = peers.accept(listener)
        exchange(client, server, 1000, 1000)
    one = ended(daemon, "all", 40)
    eventually(lambda: len(daemon.flows()) == 40)
    logged = sorted(int(flow["client_rtt_us"]) for flow in daemon.flows())
    found = one["client"]["rtt_us"]
    assert found["count"] == 40
    for name, place in (("p50", 19), ("p90", 35), ("p99", 39)):
        assert 0.6 * logged[place] <= found[name] <= 1.6 * logged[place]
    assert found["p50"] <= found["p90"] <= found["p99"]


def test_retransmits(unatatp_once, lab, peers):
    """The share of segments sent again, of each leg."""
    daemon = unatatp_once()
    client, server = peers.flow()
    with lab.client.rule("prerouting", "meta l4proto tcp meta length > 1000 "
                         "numgen random mod 10 0 drop"):
        exchange(client, server, 1000, 2000000)
    one = ended(daemon, "all", 1)
    share = one["client"]["retrans"] / one["client"]["segments"]
    assert 0 < share < 0.7
    assert 0.6e6 * share <= one["client"]["retrans_ppm"]["p50"] <= \
        1.6e6 * share
    assert one["server"]["retrans"] == 0


def test_compare(unatatp_once, peers):
    """--compare: two policies, or all policies of two algorithms."""
    daemon = unatatp_once(policies=TWO + [
        {"name": "more", "sources": ["10.99.0.0/16"]}])
    for source in (None, None, CLIENT_B[4]):
        exchange(*peers.flow(source=source), 10, 10)
    ended(daemon, "office", 2)
    ended(daemon, "guests", 1)
    found = daemon.show("policies", "--compare", "office,guests")
    assert [(one["policy"], one["flows_ended"]) for one in found] == [
        ("office", 2), ("guests", 1)]
    found = daemon.show("policies", "--compare", "reno,cubic")
    assert [(one["policy"], one["flows_ended"]) for one in found] == [
        ("reno", 1), ("cubic", 2)]
    status, out, err = daemon.ask("show", "policies", "--compare",
                                  "office,guests")
    assert (status, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["office", "guests"]
    assert ["OPENED", "2", "1"] in lines
    assert ["CLIENT", "CC", "cubic", "reno"] in lines
    status, out, err = daemon.ask("show", "policies", "--compare", "reno,x")
    assert (status, "\"x\"" in err) == (1, True)
    for bad in ("office", "office,", ",x", "a,b,c"):
        assert daemon.ask("show", "policies", "--compare", bad)[0] == 64
    assert daemon.ask("show", "flows", "--compare", "a,b")[0] == 64


def test_table(unatatp_once, peers):
    """For people: a row each, and how its flows ended."""
    daemon = unatatp_once(policies=TWO)
    exchange(*peers.flow(), 10, 20)
    ended(daemon, "office", 1)
    status, out, _ = daemon.ask("show", "policies")
    lines = out.splitlines()
    assert status == 0 and lines[0].startswith("POLICY ")
    row = next(line for line in lines if line.startswith("office "))
    assert row.split()[1:5] == ["0", "1", "10", "20"]
    assert lines[lines.index(row) + 1].startswith("  ended: ")
    assert [line.split()[0] for line in lines if line[0] != " "] == [
        "POLICY", "guests", "office", "default"]


def test_compare_no_more_than_two(unatatp_once):
    """A short request cannot make the daemon print without end."""
    daemon = unatatp_once()
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(daemon.control)
        client.sendall(b"show policies compare=%s\n" % b",".join(
            [b"all"] * 900))
        with client.makefile("r") as answer:
            assert answer.readline() == "end 64 compare takes two names\n"
