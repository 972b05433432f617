"""Metrics over HTTP: what they count, who may ask, and what it costs."""

import http.client
import os
import re
import shutil
import socket
import subprocess
import threading
import time

import pytest

import lab as lab_module
from daemon import config_text, merge, run
from lab import SERVER, eventually
from peers import exchange, recv_exactly, try_connect

PORT = 9477
LINE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'(\w+)="([^"]*)"')


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self.path)


def connect(daemon, address="127.0.0.1", port=PORT):
    """A connection to where the metrics are; nothing is sent yet."""
    if address.startswith("/"):
        connection = UnixConnection(address)
    else:
        connection = http.client.HTTPConnection(address, port, timeout=10)
    with daemon.ns:
        connection.connect()
    return connection


def ask(daemon, path="/metrics", address="127.0.0.1", method="GET",
        port=PORT, **headers):
    """(status, headers, body) of an answer."""
    connection = connect(daemon, address, port)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, dict(answer.getheaders()), body


def parse(text):
    """{name: {labels: value}}; labels are a tuple of pairs, sorted."""
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, labels, value = LINE.match(line).groups()
        key = tuple(sorted(LABEL.findall(labels or "")))
        assert key not in found.setdefault(name, {}), line
        found[name][key] = float(value)
    return found


class Metrics:
    """The metrics of a daemon as they are now."""

    def __init__(self, daemon, address="127.0.0.1"):
        status, headers, self.text = ask(daemon, address=address)
        assert status == 200
        assert headers["Content-Type"] == \
            "text/plain; version=0.0.4; charset=utf-8"
        self.values = parse(self.text)

    def __call__(self, name, **labels):
        return self.values["unatatp_" + name][tuple(sorted(labels.items()))]


def options(**changes):
    """Metrics on 127.0.0.1, and two policies."""
    return dict({"metrics": {"address": "127.0.0.1"}, "policies": [
        {"name": "first", "sources": [lab_module.SUBNET[4]]},
        {"name": "second", "sources": [lab_module.SUBNET_B[4]]}]}, **changes)


def endings():
    """The words of the table of endings."""
    top = os.path.join(os.path.dirname(__file__), "..", "..")
    with open(os.path.join(top, "src/flow/ending.h"),
              encoding="utf-8") as file:
        return re.findall(r'^\s*X\(\w+,\s*"([a-z-]+)"', file.read(), re.M)


def test_all_from_the_start(unatatp_once):
    """Every policy and ending is there, at zero, so that a rate has a
    beginning."""
    metrics = Metrics(unatatp_once(**options()))
    for policy in ("first", "second", "default"):
        assert metrics("flows_opened_total", policy=policy) == 0
        assert metrics("flows_active", policy=policy) == 0
        for lane in ("up", "down"):
            assert metrics("bytes_total", policy=policy, lane=lane) == 0
        for ending in endings():
            assert metrics("flows_ended_total", policy=policy,
                           ending=ending) == 0
        assert metrics("connect_seconds_count", policy=policy) == 0
    assert metrics("congestion_refused_total") == 0
    assert metrics("accept_pauses_total") == 0
    for result in ("good", "refused"):
        assert metrics("reloads_total", result=result) == 0
    assert metrics("workers") == 1


def test_counts(unatatp, peers, family):
    """Flows, bytes, endings and histograms are those of the flows that
    went by; no address is told."""
    daemon = unatatp(**options(policies=[{"name": "first"}]))
    client, server = peers.flow(family)
    eventually(lambda: Metrics(daemon)("flows_active", policy="first") == 1)
    exchange(client, server, 1000, 70000)
    client.close()
    server.close()
    daemon.wait_empty()
    try_connect(peers, (SERVER[family], 1))
    daemon.wait_empty()
    metrics = Metrics(daemon)
    assert metrics("flows_opened_total", policy="first") == 2
    assert metrics("flows_active", policy="first") == 0
    assert metrics("bytes_total", policy="first", lane="up") == 1000
    assert metrics("bytes_total", policy="first", lane="down") == 70000
    ended = {word: metrics("flows_ended_total", policy="first", ending=word)
             for word in endings()}
    assert ended["client-fin"] + ended["server-fin"] == 1
    assert ended["connect-refused"] == 1
    assert sum(ended.values()) == 2
    assert metrics("connect_seconds_count", policy="first") == 1
    assert metrics("flow_duration_seconds_count", policy="first") == 1
    for leg in ("client", "server"):
        assert metrics("rtt_seconds_count", policy="first", leg=leg) == 1
        assert metrics("rtt_seconds_sum", policy="first", leg=leg) > 0
        assert metrics("segments_total", policy="first", leg=leg) > 0
    assert not re.search(r"10\.7\d|fd7\d|127\.0", metrics.text)


def test_histograms_are_whole(unatatp_once, peers):
    """Buckets only grow, the last one is the count, and their bounds fit
    what was measured."""
    daemon = unatatp_once(**options())
    for _ in range(20):
        client, server = peers.flow()
        exchange(client, server, 10, 10)
        client.close()
        server.close()
    daemon.wait_empty()
    metrics = Metrics(daemon)
    for name, labels in (("connect_seconds", {}), ("rtt_seconds",
                         {"leg": "client"}), ("flow_duration_seconds", {})):
        labels["policy"] = "first"
        rows = [(float(dict(key)["le"]), value) for key, value in
                metrics.values["unatatp_%s_bucket" % name].items()
                if labels.items() <= dict(key).items()]
        rows.sort()
        assert [n for _, n in rows] == sorted(n for _, n in rows)
        assert rows[-1] == (float("inf"), 20), name
        assert metrics(name + "_count", **labels) == 20
        assert metrics(name + "_sum", **labels) <= 20 * next(
            le for le, n in rows if n == 20)


def test_live_flows(unatatp, peers):
    """Bytes of a flow that lives are counted; the algorithms that the
    kernel runs, and the round-trip time of each leg, are told."""
    daemon = unatatp(**options(policies=[
        {"name": "first", "client": {"congestion": "reno"},
         "server": {"congestion": "cubic"}}]))
    client, server = peers.flow()

    def told():
        client.sendall(b"x" * 100)
        server.sendall(recv_exactly(server, 100))
        recv_exactly(client, 100)
        found = Metrics(daemon)
        return "unatatp_live_rtt_seconds" in found.values and found
    metrics = eventually(told)
    for leg, algorithm in (("client", "reno"), ("server", "cubic")):
        assert metrics("legs", policy="first", leg=leg,
                       congestion=algorithm) == 1
        assert 0 < metrics("live_rtt_seconds", policy="first", leg=leg) < 5
        assert metrics("slow_legs", policy="first", leg=leg) == 0
    assert metrics("bytes_total", policy="first", lane="up") >= 100


def test_a_slow_leg(unatatp, peers):
    """A client that does not read is seen to be the slow leg."""
    daemon = unatatp(**options(policies=[{"name": "first"}]))
    client, server = peers.flow(client_rcvbuf=4096)
    server.setblocking(False)

    def told():
        try:
            server.send(b"x" * 65536)
            client.recv(1)	# it moves, slowly
        except BlockingIOError:
            client.recv(1)
        found = Metrics(daemon).values.get("unatatp_slow_legs", {})
        return found.get((("leg", "client"), ("policy", "first"))) == 1 and \
            found.get((("leg", "server"), ("policy", "first"))) == 0
    eventually(told, 15)


def test_refused_algorithm(unatatp_once, peers):
    """What the kernel refuses is counted, in all and by policy."""
    daemon = unatatp_once(**options(policies=[
        {"name": "first", "client": {"congestion": "nosuch"}}]))
    client, server = peers.flow()
    exchange(client, server, 1, 1)
    metrics = Metrics(daemon)
    assert metrics("congestion_refused_total") == 1
    assert metrics("policy_congestion_refused_total", policy="first") == 1
    assert metrics("policy_congestion_refused_total", policy="default") == 0


def test_counters_outlive_reloads(unatatp_once, peers):
    """A policy that is taken out keeps its counts, one that comes back
    goes on, and reloads are counted by result."""
    daemon = unatatp_once(**options())
    client, server = peers.flow()
    exchange(client, server, 500, 500)
    client.close()
    server.close()
    daemon.wait_empty()
    daemon.reload(policies=[{"name": "third"}])
    metrics = Metrics(daemon)
    assert metrics("flows_opened_total", policy="first") == 1
    assert metrics("bytes_total", policy="first", lane="up") == 500
    assert metrics("flows_opened_total", policy="third") == 0
    assert metrics("reloads_total", result="good") == 1
    daemon.reload(**options())
    client, server = peers.flow()
    exchange(client, server, 500, 500)
    client.close()
    server.close()
    daemon.wait_empty()
    assert Metrics(daemon)("bytes_total", policy="first", lane="up") == 1000
    before = len(daemon.reloads())
    daemon.write_text("nonsense")
    daemon.signal(1)
    eventually(lambda: len(daemon.reloads()) > before)
    assert Metrics(daemon)("reloads_total", result="refused") == 1


def test_descriptors(unatatp_once, peers):
    """The gauge of open descriptors is what /proc says."""
    daemon = unatatp_once(**options())
    flows = [peers.flow() for _ in range(5)]
    assert flows
    # Ours is one of them, and gone when we look.
    eventually(lambda: Metrics(daemon)("open_fds") in (
        daemon.fds(), daemon.fds() + 1))


# --- where it listens ------------------------------------------------------

def test_addresses(unatatp_once):
    """IPv6 and a UNIX socket, which is removed at the end."""
    daemon = unatatp_once(user="",
                          metrics={"address": "::1", "port": 9478})
    path = os.path.join(os.path.dirname(daemon.control), "metrics")
    assert ask(daemon, address="::1", port=9478)[0] == 200
    daemon.reload(metrics={"address": path})
    assert Metrics(daemon, path)("workers") == 1
    assert os.stat(path).st_mode & 0o777 == 0o660
    with pytest.raises(OSError):
        ask(daemon, address="::1", port=9478)
    daemon.stop()
    assert not os.path.exists(path)


def test_off(unatatp_once):
    """Without an address nothing listens."""
    daemon = unatatp_once()
    with pytest.raises(ConnectionRefusedError):
        ask(daemon)


def test_reload_moves_it(unatatp_once, peers, lab):
    """A reload opens the new place before it closes the old one; one that
    cannot be had refuses the reload, and everything stays."""
    daemon = unatatp_once(**options())
    daemon.reload(metrics={"port": 9478})
    assert ask(daemon, port=9478)[0] == 200
    with pytest.raises(ConnectionRefusedError):
        ask(daemon)
    with lab.gateway:
        taken = socket.create_server(("127.0.0.1", 9479))
    before = len(daemon.reloads())
    daemon.write_text(config_text(daemon.options).replace("9478", "9479"))
    daemon.signal(1)
    eventually(lambda: len(daemon.reloads()) > before)
    assert daemon.log.find(r"metrics: cannot listen on 127.0.0.1 port 9479: "
                           r".*ss -ltnp"), daemon.log.text()
    assert "refused" in daemon.reloads()[-1]
    assert ask(daemon, port=9478)[0] == 200
    taken.close()
    daemon.reload(metrics={"address": ""})
    with pytest.raises(ConnectionRefusedError):
        ask(daemon, port=9478)


def test_a_reload_that_fails_later(unatatp_once, peers, lab):
    """A new place that was opened already is given up when something else
    refuses the reload; the old one stays."""
    daemon = unatatp_once(user="", **options())
    taken = peers.listen("127.0.0.1", port=8888, ns=lab.gateway)
    before = len(daemon.reloads())
    daemon.write(merge(daemon.options, {
        "metrics": {"port": 9478},
        "listen": [{"address": "127.0.0.1", "port": 8888}]}))
    daemon.signal(1)
    eventually(lambda: len(daemon.reloads()) > before)
    assert "refused" in daemon.reloads()[-1]
    assert ask(daemon)[0] == 200
    with pytest.raises(ConnectionRefusedError):
        ask(daemon, port=9478)
    taken.close()
    daemon.signal(1)
    eventually(lambda: len(daemon.reloads()) > before + 1)
    assert ask(daemon, port=9478)[0] == 200


def test_a_start_that_cannot_listen(unatatp_once, lab, tmp_path):
    """The place of another process ends the start with status 69."""
    with lab.gateway:
        taken = socket.create_server(("127.0.0.1", PORT))
    conf = tmp_path / "taken.conf"
    conf.write_text(config_text(unatatp_once.options(**options())))
    status, _, said = run(lab.gateway, "run", "-c", str(conf))
    taken.close()
    assert status == 69
    assert "metrics: cannot listen on 127.0.0.1 port 9477" in said


def test_stale_socket(unatatp_once, tmp_path):
    """What a killed daemon left is replaced; a file is not touched."""
    path = str(tmp_path / "metrics")
    daemon = unatatp_once(metrics={"address": path})
    daemon.kill()
    assert os.path.exists(path)
    daemon = unatatp_once(user="", metrics={"address": path})
    assert ask(daemon, address=path)[0] == 200
    file = tmp_path / "file"
    file.write_text("mine")
    before = len(daemon.reloads())
    daemon.write_text(config_text(daemon.options).replace(path, str(file)))
    daemon.signal(1)
    eventually(lambda: len(daemon.reloads()) > before)
    assert daemon.log.find("no socket"), daemon.log.text()
    assert file.read_text() == "mine"


# --- who asks ---------------------------------------------------------------

def test_methods_and_paths(unatatp_once):
    """GET and HEAD of what there is; anything else is told so."""
    daemon = unatatp_once(**options())
    status, headers, body = ask(daemon, method="HEAD")
    assert (status, body) == (200, "")
    assert headers["Content-Type"].startswith("text/plain")
    status, headers, _ = ask(daemon, method="POST")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    status, _, body = ask(daemon, "/nothing")
    assert status == 404 and "/metrics" in body
    assert ask(daemon, "/metrics?x=y")[0] == 200
    assert ask(daemon, "/../etc/passwd")[0] == 404
    for path in ("/", "/status.json", "/metrics"):
        headers = ask(daemon, path)[1]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize("host, status", [
    ("localhost", 200), ("localhost:9477", 200), ("127.0.0.1:9477", 200),
    ("[::1]:9477", 200), ("[::1]", 200), ("127.9.9.9", 200),
    ("evil.example", 403), ("evil.example:9477", 403), ("192.0.2.1", 403),
    ("localhost.evil.example", 403), ("[", 403), ("x" * 300, 403)])
def test_host(unatatp_once, host, status):
    """A name that only a web site has pointed here gets no answer."""
    assert ask(unatatp_once(**options()), Host=host)[0] == status


def test_garbage(unatatp_once):
    """Whatever is sent, the next client is served."""
    daemon = unatatp_once(**options())
    for data in (b"\0" * 100, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                 b"A" * 100000, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 5000,
                 b"POST /metrics HTTP/1.1\r\nContent-Length: 999999\r\n\r\n",
                 b"GET http:// HTTP/1.1\r\n\r\n", b"\r\n\r\n"):
        sock = connect(daemon).sock
        try:
            sock.sendall(data)
            sock.recv(1000)
        except OSError:
            pass
        sock.close()
    assert ask(daemon)[0] == 200


def test_silent_clients(unatatp_once, peers):
    """Clients that say nothing, more than there are places, are hung up
    on in a while; meanwhile flows go on, and then others are served."""
    daemon = unatatp_once(**options())
    fds = daemon.fds()
    silent = [connect(daemon).sock for _ in range(40)]
    client, server = peers.flow()
    exchange(client, server, 100000, 100000)
    assert daemon.fds() <= fds + 2 + 16
    for sock in silent[:16]:
        sock.settimeout(15)
        assert sock.recv(1) == b""
    for sock in silent:
        sock.close()
    eventually(lambda: ask(daemon)[0] == 200)
    eventually(lambda: daemon.fds() <= fds + 3)


def test_a_slow_sender(unatatp_once):
    """Who sends a byte now and then is hung up on, too."""
    daemon = unatatp_once(**options())
    sock = connect(daemon).sock
    begun = time.monotonic()

    def dripped():
        try:
            sock.sendall(b"G")
            sock.settimeout(1)
            return sock.recv(1) == b""
        except socket.timeout:
            return False
        except OSError:
            return True
    eventually(dripped, 60)
    assert time.monotonic() - begun > 10


def test_a_client_that_never_reads(unatatp_once, peers):
    """It costs its answers at most, and nobody else notices."""
    daemon = unatatp_once(**options(policies=[
        {"name": "p%d" % n, "ports": [str(n + 1)]} for n in range(300)]))
    full = []
    for _ in range(8):
        connection = connect(daemon)
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.request("GET", "/metrics")
        full.append(connection)
    assert ask(daemon)[0] == 200
    client, server = peers.flow()
    exchange(client, server, 1 << 20, 1 << 20)
    assert daemon.rss() < 300 << 20
    for connection in full:
        connection.close()


def test_many_policies_are_cheap(unatatp_once):
    """A scrape of 100 policies takes some milliseconds of the main
    thread, and none of the workers'."""
    daemon = unatatp_once(**options(policies=[
        {"name": "p%d" % n, "ports": [str(n + 1)]} for n in range(100)]))
    ask(daemon)
    before = daemon.cpu()
    for _ in range(20):
        assert ask(daemon)[0] == 200
    assert (daemon.cpu() - before) / 20 < 0.2


def test_scrapes_under_load(unatatp, peers):
    """Scrapes and reloads while flows come and go: counters never go
    back, and at the end they are those of the log."""
    daemon = unatatp(**options(policies=[{"name": "first"}]))
    stop, errors = threading.Event(), []

    def scrape():
        last = {}
        try:
            while not stop.is_set():
                values = Metrics(daemon).values
                for name in ("flows_opened_total", "flows_ended_total",
                             "bytes_total", "segments_total",
                             "connect_seconds_bucket"):
                    for key, value in values["unatatp_" + name].items():
                        assert value >= last.get((name, key), 0), key
                        last[name, key] = value
        except Exception as error:  # pylint: disable=broad-except
            errors.append(error)
    thread = threading.Thread(target=scrape)
    thread.start()
    listener = peers.listen()
    for number in range(60):
        client, server = peers.flow(listener=listener)
        exchange(client, server, 10000, 100000)
        client.close()
        server.close()
        if number % 20 == 10:
            daemon.reload()
    stop.set()
    thread.join()
    assert not errors, errors
    daemon.wait_empty()
    metrics = Metrics(daemon)
    assert metrics("bytes_total", policy="first", lane="up") == 600000
    assert metrics("bytes_total", policy="first", lane="down") == 6000000
    assert metrics("flows_opened_total", policy="first") == 60


# --- Prometheus ---------------------------------------------------------------

def test_promtool(unatatp_once, peers):
    """promtool finds nothing to say of the metrics."""
    if not shutil.which("promtool"):
        pytest.skip("no promtool (Debian package prometheus)")
    daemon = unatatp_once(**options())
    client, server = peers.flow()
    client.sendall(b"x")
    assert recv_exactly(server, 1) == b"x"
    eventually(lambda: "unatatp_live_rtt_seconds{" in Metrics(daemon).text)
    done = subprocess.run(["promtool", "check", "metrics"], text=True,
                          input=Metrics(daemon).text, capture_output=True,
                          check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
