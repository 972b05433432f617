"""An algorithm that the kernel lacks, or forbids."""

import pytest

import lab as places
from daemon import config_text, proxy_to, run
from lab import eventually
from peers import assert_reset, exchange, try_connect

LACKING = "nosuchcc"


@pytest.fixture(params=["client", "server"])
def side(request):
    """The leg whose algorithm is missing."""
    return request.param


def test_warn(unatatp, peers, side):
    """"warn": the flow runs on the system's; it is counted and logged."""
    daemon = unatatp.policy(congestion_missing="warn",
                            **{side: {"congestion": LACKING}})
    client, server = peers.flow()
    name = client.getsockname()
    exchange(client, server, 1000, 1000)
    line = daemon.flow(name)
    assert line[side + "_cc"] == "cubic"
    assert daemon.stats()["congestion_refused"] == 1
    assert daemon.log.find(LACKING)


def test_reject(unatatp, lab, peers, side):
    """"reject": the client is reset, and the server sees no SYN."""
    daemon = unatatp.policy(congestion_missing="reject",
                            **{side: {"congestion": LACKING}})
    with lab.gateway.counter(
            "output", "oifname wan tcp flags & (syn|ack) == syn") as dials:
        client = try_connect(peers, peers.listen())
        if client:
            assert_reset(client)
        daemon.wait_stat("congestion")
        assert dials.packets == 0
    assert daemon.stats()["congestion_refused"] == 1


def test_check_warns(lab, tmp_path):
    """`check` says so, and accepts the file."""
    file = tmp_path / "c.conf"
    file.write_text(config_text(proxy_to(client={"congestion": LACKING})))
    status, out, err = run(lab.gateway, "check", "-c", str(file))
    assert status == 0
    assert LACKING in out + err and "warning" in out + err


def test_dropped_privileges(unatatp, public_folder, peers, family):
    """A daemon that runs as nobody sets the algorithms all the same, and
    still marks, binds to an interface and takes TPROXY's connections."""
    unatatp.folder = public_folder
    daemon = unatatp(
        user="nobody",
        policies=[{"name": "all", "mark": 0x42, "interface": "wan",
                   "client": {"congestion": "bbr"},
                   "server": {"congestion": "reno"}}])
    with open("/proc/%d/status" % daemon.pid, encoding="ascii") as status:
        ids = next(line for line in status if line.startswith("Uid:"))
    assert set(ids.split()[1:]).isdisjoint({"0"})
    listener = peers.listen(family=family)
    client = peers.connect(listener)
    server, peer = peers.accept(listener)
    assert peer[0] == places.GATEWAY[family]
    name = client.getsockname()
    exchange(client, server, 1000, 1000)
    line = daemon.flow(name)
    assert (line["client_cc"], line["server_cc"]) == ("bbr", "reno")
    daemon.reload(listen=[{"address": "127.0.0.1", "port": places.PORT},
                          {"address": "::1", "port": places.PORT},
                          {"address": "127.0.0.1", "port": 9998}])
    eventually(lambda: ("127.0.0.1", 9998) in daemon.listeners(),
               what="a reload opens a listener")
