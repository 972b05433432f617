"""`show flows`: its figures are the kernel's, its filters hold, and looking
at thousands of flows disturbs none."""

import json
import os
import re
import select
import signal
import socket
import subprocess
import threading
import time

import pytest

import lab as places
from daemon import binary
from lab import CLIENT, CLIENT_B, SERVER, SUBNET_B, eventually
from peers import End, assert_exchanged, assert_reset, exchange, fill, \
    lull, pump, recv_exactly, reset


def text_of(name):
    """A socket's name as unatatp writes it."""
    return ("[%s]:%d" if ":" in name[0] else "%s:%d") % name[:2]


def flow_of(daemon, client, *args):
    """The flow of CLIENT's socket."""
    src = text_of(client.getsockname())
    found = [one for one in daemon.show("flows", *args) if one["src"] == src]
    assert len(found) == 1, found
    return found[0]


def ss_of(lab, local, peer):
    """What ss(8) says of the gateway's socket between two names."""
    lines = [line.split() for line in lab.sockets()]
    found, = [line for line in lines
              if line[3:5] == [text_of(local), text_of(peer)]]
    values = {}
    for number, one in enumerate(found):
        if ":" in one:
            values.setdefault(*one.split(":", 1))
        elif one in ("delivery_rate", "send", "pacing_rate"):
            values[one] = found[number + 1]
        elif one in ("cubic", "reno", "bbr"):
            values["cc"] = one
    values["recv_q"], values["send_q"] = int(found[1]), int(found[2])
    return values


def both_legs(lab, client, server):
    """ss of the client leg and of the server leg."""
    return {"client": ss_of(lab, client.getpeername(), client.getsockname()),
            "server": ss_of(lab, server.getpeername(), server.getsockname())}


def assert_agree(leg, values):
    """A leg of `show flows` against ss."""
    rtt, rttvar = (float(one) for one in values["rtt"].split("/"))
    assert abs(leg["rtt_us"] - 1000 * rtt) <= 1
    assert abs(leg["rttvar_us"] - 1000 * rttvar) <= 1
    assert abs(leg["min_rtt_us"] - 1000 * float(values["minrtt"])) <= 1
    assert leg["cwnd"] == int(values["cwnd"])
    assert leg["mss"] == int(values["mss"])
    assert leg["cc"] == values["cc"]
    rate = values["delivery_rate"]
    assert rate.endswith("bps")
    assert abs(leg["delivery_rate"] - int(rate[:-3])) <= 8
    assert leg["segments"] == int(values["data_segs_out"])
    assert leg["retrans"] == int(
        values.get("retrans", "0/0").split("/")[1])
    assert leg["unread"] == values["recv_q"]
    assert leg["unsent"] == int(values.get("notsent", 0))


def test_agrees_with_ss(unatatp, lab, peers, family):
    """RTT, congestion window and control, bytes, retransmits, queues."""
    daemon = unatatp.policy(client={"congestion": "reno"},
                            server={"congestion": "cubic"})
    client, server = peers.flow(family)
    # At the receiver: a drop on its own way out a sender does not count.
    with lab.client.rule("prerouting", "meta l4proto tcp meta length > 1000 "
                         "numgen random mod 10 0 drop"):
        send = threading.Thread(target=server.sendall, args=(b"d" * 2000000,))
        send.start()
        recv_exactly(client, 2000000)
        send.join()
    client.sendall(b"u" * 100000)
    recv_exactly(server, 100000)

    def agree():
        found = flow_of(daemon, client)
        legs = both_legs(lab, client, server)
        again = flow_of(daemon, client)
        # The last ACKs may come in between.
        return all(found[one] == again[one] for one in legs) and (found, legs)
    found, legs = eventually(agree)
    for name, values in legs.items():
        assert_agree(found[name], values)
    assert (found["up"], found["down"]) == (100000, 2000000)
    assert int(legs["client"]["bytes_acked"]) >= found["down"]
    assert found["client"]["retrans"] > 0
    assert (found["client"]["cc"], found["server"]["cc"]) == ("reno", "cubic")
    assert found["engine"] == ("splice" if unatatp.mode["splice"] != "0"
                               else "buffer")
    assert found["dst"] == text_of(client.getpeername())
    assert (found["policy"], found["state"]) == ("all", "open")
    assert found["slow"] is None
    assert 0 <= found["idle_ms"] <= found["ms"]
    assert found["client"]["limit"] == "application"


def test_limits(unatatp, lab, peers):
    """A client that does not read: its window holds the flow up, and what
    the server sent waits to be read."""
    daemon = unatatp()
    client, server = peers.flow()
    fill(server)
    found = flow_of(daemon, client)
    legs = both_legs(lab, client, server)
    assert found["client"]["limit"] == "receive-window", found
    assert found["server"]["limit"] == "reading", found
    assert found["slow"] == "client"
    assert found["server"]["unread"] == legs["server"]["recv_q"] > 0
    assert found["client"]["unsent"] == int(
        legs["client"].get("notsent", 0))
    assert found["client"]["unsent"] + found["client"]["queued"] > 0
    assert found["client"]["rwnd_limited_us"] > 0
    _, out, _ = daemon.ask("show", "flows")
    assert re.search(r"^  client .* receive-window$", out, re.M), out


def test_limited_by_sending(unatatp_once, lab, peers):
    """A thin pipe towards the client: its leg is limited by sending."""
    daemon = unatatp_once()
    lab.gateway.run("tc", "qdisc", "add", "dev", "lan", "root", "tbf", "rate",
                    "8mbit", "burst", "10k", "limit", "30k")
    stop = threading.Event()
    client, server = peers.flow()

    def read():
        while not stop.is_set():
            if select.select([client], [], [], 0.1)[0]:
                client.recv(1 << 16)

    def write():
        block = b"x" * (1 << 16)
        while not stop.is_set():
            if select.select([], [server], [], 0.1)[1]:
                server.send(block, 0x40)  # MSG_DONTWAIT

    threads = [threading.Thread(target=one) for one in (read, write)]
    try:
        for one in threads:
            one.start()
        eventually(lambda: flow_of(daemon, client)["client"]["limit"] ==
                   "sending" and flow_of(daemon, client)["slow"] == "client",
                   10)
        # The rate is that of the pipe, in bits a second.
        eventually(lambda: 2e6 < flow_of(daemon, client)["rate_down"] < 1.2e7,
                   10)
    finally:
        stop.set()
        for one in threads:
            one.join()
        lab.gateway.run("tc", "qdisc", "del", "dev", "lan", "root")


def test_dialling_and_half_closed(unatatp_once, lab, peers):
    """A flow has no server leg before it is connected; states have names."""
    daemon = unatatp_once()
    with lab.gateway.rule("postrouting", "oifname \"wan\" tcp flags syn drop"):
        client = peers.connect((SERVER[4], 81))
        found = eventually(lambda: daemon.show("flows"))[0]
        assert (found["state"], found["engine"]) == ("dialling", "-")
        assert found["connect_ms"] == 0 and found["server"]["segments"] == 0
        reset(client)
        eventually(lambda: not daemon.show("flows"))
    client, server = peers.flow()
    client.shutdown(1)
    eventually(lambda: flow_of(daemon, client)["state"] == "half-closed")
    server.close()


def test_filters(unatatp, peers):
    """--policy, --src, --dst and --limit choose; wrong ones are told."""
    daemon = unatatp(policies=[
        {"name": "six", "sources": ["::/0"]},
        {"name": "guests", "sources": [SUBNET_B[4]]}, {"name": "rest"}])
    flows = {name: peers.flow(**how)[0] for name, how in {
        "six": {"family": 6}, "guests": {"source": CLIENT_B[4]},
        "rest": {}, "other": {"address": places.SERVER_B[4]}}.items()}
    names = {name: text_of(one.getsockname()) for name, one in flows.items()}

    def ask(*args):
        return {one["src"] for one in daemon.show("flows", *args)}

    assert ask() == set(names.values())
    assert ask("--policy", "guests") == {names["guests"]}
    assert ask("--policy", "nobody") == set()
    assert ask("--src", CLIENT[4]) == {names["rest"], names["other"]}
    assert ask("--src", "10.71.0.0/16", "--dst", SERVER[4] + "/32") == \
        {names["rest"], names["guests"]}
    assert ask("--dst", "fd72::/64") == {names["six"]}
    assert len(ask("--limit", "3")) == 3
    assert len(ask("--limit", "4000")) == 4
    for bad in (["--src", "10.71.0.1/24x"], ["--limit", "0"],
                ["--sort", "colour"], ["--policy", "a b"],
                ["--policy", "x" * 200], ["--limit", "2", "--limit", "3"],
                ["--sort", "age", "--limit", "10001"]):
        status, out, err = daemon.ask("show", "flows", *bad)
        assert (status, out) == (64, "") and err, bad
    status, _, err = daemon.ask("show", "stats", "--limit", "3")
    assert status == 64 and "show stats" in err


def test_sort(unatatp, peers):
    """--sort age: the oldest first; rate: the busiest; retrans runs."""
    daemon = unatatp()
    for _ in range(8):
        peers.flow()
        lull(0.005)
    found = daemon.show("flows", "--sort", "age")
    assert len(found) == 8
    ages = [one["ms"] for one in found]
    assert ages == sorted(ages, reverse=True)
    assert [one["src"] for one in daemon.show(
        "flows", "--sort", "age", "--limit", "2")] == \
        [one["src"] for one in found[:2]]
    client, server = peers.flow()
    client.sendall(b"x" * 300000)
    recv_exactly(server, 300000)
    found = daemon.show("flows", "--sort", "rate")
    assert found[0]["src"] == text_of(client.getsockname())
    assert found[0]["rate_up"] > 0
    assert len(daemon.show("flows", "--sort", "retrans")) == 9


def test_kill_one(unatatp, peers, family):
    """`kill ID` resets both legs of that flow and no other."""
    daemon = unatatp()
    flows = [peers.flow(family) for _ in range(5)]
    client, server = flows.pop(2)
    name = client.getsockname()
    number = flow_of(daemon, client)["id"]
    assert daemon.ask("kill", str(number)) == (
        0, "killed flow %d\n" % number, "")
    assert_reset(client)
    assert_reset(server)
    assert daemon.flow(name)["ending"] == "killed"
    status, out, err = daemon.ask("kill", str(number))
    assert (status, out) == (1, "") and str(number) in err
    for one in flows:
        exchange(*one, 1000, 1000)


def make_flows(peers, n):
    """N flows to one listener; both ends."""
    listener = peers.listen()
    flows = []
    for _ in range(n):
        client = peers.connect(listener)
        flows.append((client, peers.accept(listener)[0]))
    return flows


def test_once_while_they_come_and_go(unatatp, peers):
    """Flows come and go: each is listed once at most, those that stay
    exactly once, and the list ends."""
    daemon = unatatp()
    stay = {text_of(client.getsockname())
            for client, _ in make_flows(peers, 300)}
    listener = peers.listen()
    stop = threading.Event()

    def churn():
        while not stop.is_set():
            for _ in range(20):
                client = peers.connect(listener)
                server, _ = peers.accept(listener)
                client.close()
                server.close()

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(30):
            found = daemon.show("flows")
            ids = [one["id"] for one in found]
            assert len(ids) == len(set(ids))
            assert stay <= {one["src"] for one in found}
    finally:
        stop.set()
        thread.join()


def test_walk_that_stands(unatatp_once, peers):
    """A list that waits for its reader: flows that end meanwhile, the very
    one where it stands among them, are left out, and so are new ones."""
    daemon = unatatp_once()
    flows = make_flows(peers, 1500)
    slow = socket.socket(socket.AF_UNIX)
    slow.settimeout(20)
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(daemon.control)
    slow.sendall(b"show flows\n")
    # It stands still once the daemon's memory does.
    lull(1.0)
    for client, server in flows[:-1]:
        reset(client)
        reset(server)
    eventually(lambda: daemon.show("stats")[0]["flows_active"] == 1)
    last = text_of(flows[-1][0].getsockname())
    new = text_of(peers.flow()[0].getsockname())
    text = slow.makefile("r")
    found = []
    for line in text:
        if line.startswith("end "):
            break
        found.append(json.loads(line)["src"])
    assert line == "end 0 \n"
    assert 10 < len(found) < 1400 and len(set(found)) == len(found)
    assert found[-1] == last and new not in found
    text.close()
    slow.close()
    exchange(*flows[-1], 1000, 1000)


def test_clients_that_leave(unatatp, peers):
    """Clients that hang up in the middle of a list harm nothing."""
    daemon = unatatp()
    flows = make_flows(peers, 200)
    before = daemon.fds()
    for number in range(100):
        one = socket.socket(socket.AF_UNIX)
        one.connect(daemon.control)
        one.sendall(b"show flows\n" * 50 + b"show flows sort=age\n")
        if number % 3:
            one.recv(number * 100 + 1)
        one.close()
    for client, server in flows[::2]:
        client.close()
        server.close()
    eventually(lambda: daemon.fds() == before - 200)
    assert len(daemon.show("flows")) == 100


def test_many_flows_while_one_relays(unatatp, peers):
    """2,000 flows listed again and again, beside a reader that never reads:
    a small flow's round trips stay what they were, and bytes are right."""
    daemon = unatatp(limits={"flows": 0})
    flows = make_flows(peers, 2000)
    small = make_flows(peers, 1)[0]
    for one in small:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def round_trips(rounds):
        times = []
        for _ in range(rounds):
            start = time.monotonic()
            small[0].sendall(b"?")
            assert recv_exactly(small[1], 1) == b"?"
            small[1].sendall(b"!")
            assert recv_exactly(small[0], 1) == b"!"
            times.append(time.monotonic() - start)
        times.sort()
        return times

    never = socket.socket(socket.AF_UNIX)
    never.connect(daemon.control)
    never.sendall(b"show flows\n" * 300)
    quiet = round_trips(4000)

    lister = subprocess.Popen(
        ["sh", "-c", "while :; do \"$0\" show flows --json -s \"$1\" | wc -l; "
         "done", binary(), daemon.control], stdout=subprocess.PIPE,
        text=True, start_new_session=True)
    try:
        busy = round_trips(8000)
        first = lister.stdout.readline(), lister.stdout.readline()
        bulk = End(flows[0][0], 8 << 20), End(flows[0][1], 8 << 20)
        pump(bulk)
        assert_exchanged(*bulk)
    finally:
        os.killpg(lister.pid, signal.SIGTERM)
        counts = [one.strip() for one in first] + \
            lister.communicate()[0].split()
        never.close()
    assert set(counts[:-1]) == {"2001"}
    print("round trip, ms: quiet p50 %.3f p99 %.3f, listing p50 %.3f p99 "
          "%.3f, %d lists" % tuple(
              [1e3 * times[len(times) * p // 100] for times in (quiet, busy)
               for p in (50, 99)] + [len(counts)]))


def test_main_gives_way(unatatp_once):
    """What answers is nicer to the workers than they are to it."""
    daemon = unatatp_once()
    daemon.show("stats")
    niceness = {}
    for task in os.listdir("/proc/%d/task" % daemon.pid):
        niceness[int(task)] = os.getpriority(os.PRIO_PROCESS, int(task))
    main = niceness.pop(daemon.pid)
    assert niceness and all(one < main for one in niceness.values())


@pytest.mark.parametrize("args", [[], ["--json"]], ids=["table", "json"])
def test_no_flows(unatatp_once, args):
    """Nothing to list is no failure."""
    daemon = unatatp_once()
    assert daemon.ask("show", "flows", *args) == (0, "", "")
