"""The lab's own link: it is as long, as slow and as lossy as it says."""

import json
import os
import signal
import subprocess
import sys

import pytest

import link as links
from lab import Lab, Namespace, eventually
from link import Link, settings
from peers import lull

ENDS = "10.76.0.1", "10.76.0.2"
PORT = 5000
SIZE = 500
BENCH = os.path.join(os.path.dirname(__file__), "..", "bench", "link")


@pytest.fixture
def wire():
    """Makes a link between two namespaces of its own, IPv4 only."""
    made, spaces = [], [Namespace(), Namespace()]
    for ns in spaces:
        ns.sysctl(ipv6__conf__default__disable_ipv6=1)

    def make(**values):
        made.append(Link(spaces, **values))
        for ns, device, address in zip(spaces, ("eth0", "lan"), ENDS):
            ns.ip("link set lo up\naddr add %s/24 dev %s\n" %
                  (address, device))
        return made[-1]
    yield make
    for one in made:
        one.close()
    for ns in spaces:
        ns.close()


def numbers(wire, count, way=0):
    """Sends COUNT numbered packets, and returns those that come out."""
    pair = wire.sockets(ENDS)
    sender, receiver = pair[way], pair[1 - way]
    before = wire.stats()["up" if way == 0 else "down"]
    for number in range(count):
        sender.send(number.to_bytes(4, "big").ljust(SIZE, b"."))

    def done():
        now = wire.stats()["up" if way == 0 else "down"]
        settled = sum(now[key] - before[key]
                      for key in ("lost", "dropped", "delivered"))
        return settled == count
    eventually(done, 10, "all packets have crossed or not")
    receiver.setblocking(False)
    found = []
    try:
        while True:
            found.append(int.from_bytes(receiver.recv(SIZE)[:4], "big"))
    except BlockingIOError:
        pass
    for one in pair:
        one.close()
    return found


@pytest.mark.parametrize("rate,rtt", [(20e6, 0.05), (50e6, 0.15),
                                      (200e6, 0.3)])
def test_round_trip_and_rate(wire, rate, rtt):
    """What is measured is what was asked for, whatever the loss."""
    one = wire(**settings(rate, rtt, 0.05))
    found = one.calibrate(ENDS, tries=10)
    assert found["good"], found
    assert found["rtt_ms"] >= rtt * 1e3
    assert found["down_mbit_s"] <= rate * 1.03e-6


def test_a_bad_calibration_makes_a_run_invalid(wire):
    """A link that is not what it should be says so."""
    one = wire(**settings(20e6, 0.02))
    one.calibrate(ENDS)
    one.calibration["good"] = False
    found = one.report()
    assert not found["valid"]
    assert "the calibration is off" in found["why"]


def test_a_late_link_makes_a_run_invalid(wire):
    """An emulator that did not get the CPU in time says so."""
    one = wire(rate="100M", delay="200ms")
    sender, _ = one.sockets(ENDS)
    for _ in range(50):
        sender.send(b"late")
    eventually(lambda: one.stats()["up"]["packets"] == 50)
    assert one.stats()["valid"]
    one.child.send_signal(signal.SIGSTOP)
    lull(0.3)
    one.child.send_signal(signal.SIGCONT)
    eventually(lambda: one.stats()["up"]["delivered"] == 50)
    found = one.stats()
    assert not found["valid"]
    assert found["why"][0].startswith("late_p99_us is "), found


def test_a_seed_loses_the_same_packets(wire):
    """Each direction loses by number, every time, and by its own seed."""
    one = wire(rate="100M", queue="4M", loss="10%", seed=5)
    first = numbers(one, 1000)
    assert one.stats()["up"]["lost"] == 1000 - len(first)
    assert 60 <= 1000 - len(first) <= 140
    one.reset()
    assert numbers(one, 1000) == first
    assert numbers(one, 1000, way=1) == first
    one.reset()
    one.set_down(seed=6)
    assert numbers(one, 1000) == first
    assert numbers(one, 1000, way=1) != first


def test_bursts_lose_packets_in_a_row(wire):
    """Gilbert and Elliott's model: the losses come together."""
    one = wire(rate="100M", queue="4M", loss_bad="100%", to_bad="1%",
               to_good="20%")
    lost = sorted(set(range(2000)) - set(numbers(one, 2000)))
    assert 40 <= len(lost) <= 200
    together = sum(after - before == 1
                   for before, after in zip(lost, lost[1:]))
    assert together >= len(lost) / 2


def test_jitter_keeps_the_order(wire):
    """Packets come late, and never one before another."""
    one = wire(rate="100M", queue="4M", delay="5ms", jitter="20ms")
    assert numbers(one, 2000) == list(range(2000))


def test_a_full_queue_drops_the_last(wire):
    """It holds so many bytes, and what comes then is lost."""
    one = wire(rate="1M", queue="50000", delay="1ms")
    count = 400
    found = numbers(one, count)
    stats = one.stats()["up"]
    assert stats["dropped"] == count - len(found) > 100
    assert stats["queue_max"] <= 50000
    # The first ones found it empty.
    assert found[:90] == list(range(90))


def test_a_link_gets_worse_and_better(wire):
    """Settings change while packets are under way."""
    one = wire(rate="100M", queue="4M")
    assert numbers(one, 200) == list(range(200))
    one.set(loss=1)
    assert not numbers(one, 200)
    one.set(loss=0, delay="30ms")
    assert numbers(one, 200) == list(range(200))
    with pytest.raises(ValueError, match="not a setting: loss=2"):
        one.set(loss=2)
    with pytest.raises(ValueError, match="not a setting: colour=red"):
        one.set(colour="red")
    assert numbers(one, 200) == list(range(200))


def test_a_mistake_on_the_command_line():
    """It names the word, and how it should have been."""
    done = subprocess.run(
        [links.program(), "a", "b", "c", "d", "rate=fast"],
        capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 64
    assert "not a setting: rate=fast" in done.stderr
    assert "rate=50M" in done.stderr


def test_it_ends_with_its_device(wire):
    """Somebody took the device: it does not spin on what is left."""
    one = wire(rate="100M")
    one.ends[0].ip("link del eth0\n")
    one.child.wait(5)


def test_a_lab_with_a_link():
    """The lab stands on a lossy link as on a cable."""
    lab = Lab(link=settings(50e6, 0.02, 0.5, seed=1))
    try:
        lab.client.run("ping", "-c20", "-i0.01", "-W0.2", "10.71.0.1",
                       check=False)
        assert lab.link.stats()["up"]["lost"]
    finally:
        lab.close()


def run_bench(out, *more):
    """The quick form of the bench, whose results go to OUT."""
    unatatp = os.path.abspath(os.environ["UNATATP"])
    return subprocess.run(
        [sys.executable, BENCH, "--quick", "--arms", "direct,bbr",
         "--build", os.path.dirname(unatatp), "--unatatp", unatatp,
         "--out", str(out), *more], timeout=100, check=False,
        stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The folder with the results of the quick form."""
    out = tmp_path_factory.mktemp("bench")
    done = run_bench(out)
    assert done.returncode == 0, done.stderr
    assert (out / "link.svg").read_text().startswith("<svg")
    return out


@pytest.fixture
def goodput(results):
    """What it found: {figure: {arm: Mbit/s}}."""
    found = {}
    # Invalid runs count here: an ordering stands a busy machine.
    for row in json.loads((results / "link.json").read_text())["runs"]:
        found.setdefault(row["figure"], {})[row["arm"]] = \
            row["metrics"]["mbit_s"]
    return found


def test_a_split_is_worth_its_while_on_a_lossy_link(goodput):
    """BBR towards the client makes several times what direct cubic does."""
    for loss, factor in (("1%", 5), ("5%", 10)):
        point = goodput["download-50M-150ms-" + loss]
        assert point["bbr"] >= factor * point["direct"], point


def test_a_split_costs_little_on_a_good_link(goodput):
    """Without loss both carry about the same."""
    point = goodput["download-50M-50ms-0%"]
    assert 0.6 <= point["bbr"] / point["direct"] <= 1.7, point


def test_the_bench_goes_on_where_it_ended(results, tmp_path):
    """What was measured is kept; what was measured otherwise is not mixed."""
    found = json.loads((results / "link.json").read_text())
    for row in found["runs"]:
        row["link"]["valid"] = True
    last = found["runs"].pop()
    (tmp_path / "link.json").write_text(json.dumps(found))
    done = run_bench(tmp_path, "--minutes", "0")
    assert "1 runs are left for the next time" in done.stderr
    assert run_bench(tmp_path).returncode == 0
    now = json.loads((tmp_path / "link.json").read_text())["runs"]
    assert now[:-1] == found["runs"]
    assert (now[-1]["figure"], now[-1]["arm"]) == (last["figure"],
                                                   last["arm"])
    done = run_bench(tmp_path, "--jitter", "5ms")
    assert done.returncode == 1
    assert "was measured in another way: name another --out" in done.stderr
