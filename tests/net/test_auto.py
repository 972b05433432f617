"""congestion = "auto": chosen by what the flows of a network achieve."""

import contextlib
import threading

import pytest

from daemon import BASE, Daemon, merge
from lab import CLIENT_B, Lab, allowed_congestion, eventually
from link import settings
from peers import Peers, Stream, exchange, lull, recv_exactly

SIZE = 1 << 20
AUTO = {"congestion": "auto", "congestion_among": ["cubic", "reno"]}


def networks(daemon, leg="client", policy="all"):
    """{network: {algorithm: object}} of `show policies`, and the best's."""
    one = next(one for one in daemon.show("policies")
               if one["policy"] == policy)
    assert one[leg]["cc"] == "auto"
    told = one[leg]["auto"]
    assert told["networks"] == len(told["recent"])
    return {each["network"]: dict({arm["cc"]: arm
                                   for arm in each["algorithms"]},
                                  best=each["best"])
            for each in told["recent"]}


def ended(daemon, count):
    """The lines of flows, once there are so many."""
    eventually(lambda: len(daemon.flows()) >= count)
    return daemon.flows()[:count]


def test_they_take_turns(unatatp, peers):
    """While nothing is known, each has its turn, on both legs; each network
    for itself. The log names what was used."""
    daemon = unatatp(policies=[{"name": "all", "client": AUTO,
                                "server": dict(AUTO)}])
    for source in [None] * 6 + [CLIENT_B[4]] * 3:
        exchange(*peers.flow(source=source), 100, 100)
    flows = ended(daemon, 9)
    for leg in ("client_cc", "server_cc"):
        used = [flow[leg] for flow in flows]
        assert sorted(used[:6]) == ["cubic"] * 3 + ["reno"] * 3
        assert set(used[6:]) == {"cubic", "reno"}
    found = networks(daemon)
    assert list(found) == ["10.71.1.0/24", "10.71.0.0/24"]
    one = found["10.71.0.0/24"]
    assert [one[cc]["flows"] for cc in ("cubic", "reno")] == [3, 3]
    assert one["best"] is None
    assert one["cubic"]["compared"] == one["cubic"]["rate"] == 0
    assert list(networks(daemon, "server")) == ["10.72.0.0/24"]
    lines = daemon.ask("show", "policies")[1].splitlines()
    assert "  auto: clients 10.71.0.0/24: -; " \
        "cubic - (3 flows), reno - (3 flows)" in lines
    assert any(line.startswith("  auto: servers 10.72.0.0/24: -; ")
               for line in lines)


def test_ipv6(unatatp_once, peers):
    """A network of IPv6 is a /48."""
    daemon = unatatp_once(policies=[{"name": "all", "client": AUTO}])
    for source in (None, CLIENT_B[6]):
        exchange(*peers.flow(6, source=source), 100, 100)
    ended(daemon, 2)
    assert list(networks(daemon)) == ["fd71::/48"]


def test_what_the_kernel_refuses(unatatp_once, peers):
    """It is counted, and the others take its place."""
    daemon = unatatp_once(policies=[{"name": "all", "client": {
        "congestion": "auto", "congestion_among": ["nosuch", "reno"]}}])
    for _ in range(12):
        exchange(*peers.flow(), 100, 100)
    used = [flow["client_cc"] for flow in ended(daemon, 12)]
    assert used.count("reno") == 11
    one = next(iter(networks(daemon).values()))
    assert (one["nosuch"]["flows"], one["reno"]["flows"]) == (1, 11)
    assert daemon.stats()["congestion_refused"] == 1


def test_reload(unatatp_once, peers):
    """Another list takes effect with the next flow; "auto" ends with it."""
    daemon = unatatp_once(policies=[{"name": "all", "client": AUTO}])
    exchange(*peers.flow(), 100, 100)
    ended(daemon, 1)
    daemon.reload(policies=[{"name": "all", "client": {
        "congestion": "auto", "congestion_among": ["reno", "bbr"]}}])
    for _ in range(4):
        exchange(*peers.flow(), 100, 100)
    used = [flow["client_cc"] for flow in ended(daemon, 5)[1:]]
    assert sorted(used) == ["bbr", "bbr", "reno", "reno"]
    daemon.reload(policies=[{"name": "all", "client": {
        "congestion": "cubic"}}])
    exchange(*peers.flow(), 100, 100)
    assert ended(daemon, 6)[5]["client_cc"] == "cubic"
    one = daemon.show("policies")[0]
    assert one["client"]["cc"] == "cubic" and "auto" not in one["client"]


def test_a_slow_reader_tells_nothing(unatatp_once, peers):
    """A slow reader says nothing about the path."""
    daemon = unatatp_once(policies=[{"name": "all", "client": AUTO}])
    client, server = peers.flow()
    server.setblocking(False)
    left, sent = 2 * SIZE, 0
    while left:
        with contextlib.suppress(BlockingIOError):
            sent += server.send(b"x" * (2 * SIZE - sent))
        lull(0.005)
        left -= len(client.recv(1 << 16))
    server.setblocking(True)
    exchange(client, server, 0, 0)
    ended(daemon, 1)
    one = next(iter(networks(daemon).values()))
    assert one["cubic"]["compared"] == one["reno"]["compared"] == 0


@pytest.fixture(name="lossy")
def _lossy(tmp_path):
    """(lab, daemon, peers) with a long link, and "auto" on it."""
    with allowed_congestion():
        lab = Lab(link=settings(50e6, 0.02))
        lab.use_rules("nft")
        peers = Peers(lab)
        daemon = Daemon(lab.gateway, str(tmp_path), merge(BASE, {
            "workers": 2, "policies": [{"name": "all", "client": {
                "congestion": "auto",
                "congestion_among": ["cubic", "bbr"]}}]})).start()
        yield lab, daemon, peers
        peers.close()
        daemon.stop()
        lab.close()


def download(peers):
    """A client that closes once it has all of it."""
    client, server = peers.flow()
    data = Stream().take(SIZE // 2) * 2
    sender = threading.Thread(target=server.sendall, args=(data,))
    sender.start()
    got = recv_exactly(client, SIZE)
    sender.join()
    client.close()
    server.close()
    assert got == data


def downloads(daemon, peers, count):
    """What COUNT flows, one after the other, ended with on the client leg."""
    before = len(daemon.flows())
    for _ in range(count):
        download(peers)
    return [flow["client_cc"] for flow in ended(daemon, before + count)
            [before:]]


def compared(daemon):
    """How many flows told something."""
    one = networks(daemon)["10.71.0.0/24"]
    return one["cubic"]["compared"] + one["bbr"]["compared"]


def test_a_slow_server_tells_nothing(lossy):
    """Nor does it about the path; one that has all of it at once does."""
    _, daemon, peers = lossy
    client, server = peers.flow()
    for _ in range(20):
        server.sendall(b"x" * (SIZE // 20))
        recv_exactly(client, SIZE // 20)
    exchange(client, server, 0, 0)
    ended(daemon, 1)
    assert compared(daemon) == 0
    downloads(daemon, peers, 1)
    assert compared(daemon) == 1


def test_a_link_that_turns_lossy_and_back(lossy):
    """The better algorithm gets most flows soon after the link changed; what
    is tried out and does badly is given up on the way."""
    lab, daemon, peers = lossy
    downloads(daemon, peers, 10)
    good = networks(daemon)["10.71.0.0/24"]
    assert good["cubic"]["compared"] and good["bbr"]["compared"]
    lab.link.set(loss=0.02)
    downloads(daemon, peers, 20)
    bad = networks(daemon)["10.71.0.0/24"]
    assert bad["best"] == "bbr"
    assert bad["bbr"]["rate"] > 2 * bad["cubic"]["rate"]
    used = downloads(daemon, peers, 20)
    now = networks(daemon)["10.71.0.0/24"]
    tried = now["cubic"]["flows"] - bad["cubic"]["flows"]
    assert now["best"] == "bbr" and used.count("bbr") >= 12
    # Never longer than sixteen flows without a trial; some are cut short.
    assert 1 <= tried <= 8 and used.count("cubic") <= tried

    def given_up():
        used.extend(downloads(daemon, peers, 4))
        one = networks(daemon)["10.71.0.0/24"]
        return used.count("cubic") < \
            one["cubic"]["flows"] - bad["cubic"]["flows"]
    eventually(given_up, 40, "a flow goes on with the better one")
    lab.link.set(loss=0)

    def forgotten():
        downloads(daemon, peers, 4)
        one = networks(daemon)["10.71.0.0/24"]
        return one["cubic"]["rate"] > 2 * now["cubic"]["rate"]
    eventually(forgotten, 40, "the link's better days are known")
