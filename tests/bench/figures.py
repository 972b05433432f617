"""
The figures: what is measured on each arm. A figure is run in a fresh lab and
returns its metrics; all of them are plain numbers.
"""

import json
import subprocess
import threading
import time

import arms
import lab as labs

GIGA = 1e9


class Form:
    """How long and how large: the full form, or the quick one."""

    def __init__(self, quick, loadgen, time_ms=None):
        self.quick, self.loadgen = quick, loadgen
        self.time = time_ms or (1000 if quick else 3000)
        self.warmup = 300 if quick else 500
        self.held = 8000
        self.bulk_each = (256 << 10, 512 << 10) if quick else \
            (1 << 20, 2 << 20)


def pick(wanted, things, what):
    """Those of THINGS that a list of names asks for."""
    chosen = []
    for name in wanted.split(","):
        match = [one for one in things if one.name == name or
                 name.endswith("*") and one.name.startswith(name[:-1])]
        if not match:
            raise SystemExit("no %s is called %r; --list names them" %
                             (what, name))
        chosen += match
    return chosen


class Load:
    """A load generator that runs in a namespace."""

    def __init__(self, run, ns, mode, *options, time=None, port=labs.PORT):
        form = run.form
        limit = 60 + (time or form.time) / 1000 + form.warmup / 1000
        self.run = run
        self.child = run.lab.spawn(ns, [
            form.loadgen, mode, "--address", labs.SERVER, "--port", str(port),
            "--warmup", str(form.warmup), "--time", str(time or form.time),
        ] + [str(one) for one in options], text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE)
        self.watch = threading.Timer(limit, self.child.kill)
        self.watch.daemon = True
        self.watch.start()

    def expect(self, word):
        """Waits until it says WORD."""
        line = self.child.stdout.readline().strip()
        if line != word:
            self.watch.cancel()
            raise RuntimeError("the load ended before %r: %s" %
                               (word, line or self.child.wait()))

    def result(self):
        """What it found, once it has ended."""
        self.child.stdin.close()
        line = self.child.stdout.readline()
        self.child.wait()
        self.watch.cancel()
        return json.loads(line)

    def measure(self):
        """Its result with the CPU that its window took."""
        self.expect("start")
        proxy, machine = self.run.standing.cpu(), arms.machine_cpu()
        self.expect("end")
        proxy = self.run.standing.cpu() - proxy
        machine = arms.machine_cpu() - machine
        found = self.result()
        self.run.standing.check()
        found["proxy_cpu_s"], found["machine_cpu_s"] = proxy, machine
        return found


class Run:
    """One figure on one arm: a lab with its servers, and the arm."""

    def __init__(self, lab, standing, form):
        self.lab, self.standing, self.form = lab, standing, form
        for port in (labs.PORT, labs.BULK_PORT):
            Load(self, lab.server, "server", "--ports", labs.PORTS,
                 port=port, time=3600000).expect("ready")

    def load(self, *argv, **more):
        """Starts a load at the client."""
        return Load(self, self.lab.client, *argv, **more)

    def prove_path(self):
        """Fails unless the arm itself carries what the client sends."""
        load = self.load("hold", "--flows", 1)
        load.expect("held")
        through = [one for one in self.lab.gateway.run(
            "ss", "-Htn", "state", "established").splitlines()
            if labs.CLIENT in one]
        peers = self.lab.server.run(
            "ss", "-Htn", "state", "established", "sport",
            "= :%d" % labs.PORT)
        load.result()
        if bool(through) != self.standing.arm.proxy:
            raise RuntimeError("%s is not on the way" % self.standing.arm.name)
        if self.standing.arm.rules and labs.GATEWAY_WAN not in peers:
            raise RuntimeError("%s: the server does not see the gateway" %
                               self.standing.arm.name)


def per_gigabyte(found):
    """CPU a GB of a bulk load."""
    size = found["bytes"] / GIGA
    return {"gbit_s": found["gbit_s"],
            "least_gbit_s": found["least_gbit_s"],
            "most_gbit_s": found["most_gbit_s"],
            "proxy_s_per_gb": found["proxy_cpu_s"] / size,
            "machine_s_per_gb": found["machine_cpu_s"] / size}


def per_request(found):
    """Rate, latency and CPU a request."""
    n = max(found["requests"], 1)
    return {"rate": found["rate"], "p50_us": found["p50_us"],
            "p99_us": found["p99_us"], "errors": found["errors"],
            "proxy_us_per_request": found["proxy_cpu_s"] / n * 1e6,
            "machine_us_per_request": found["machine_cpu_s"] / n * 1e6}


def bulk(flows, lane):
    """Bulk flows in one direction."""
    def argv(_form):
        return ["bulk", "--flows", flows, "--lane", lane]

    def measure(run):
        return per_gigabyte(run.load(*argv(run.form)).measure())
    measure.argv, measure.unit = argv, "GB"
    return measure


def requests(mode, flows, active, down=1024):
    """Requests over flows that live on, or one flow a request."""
    def argv(_form):
        return [mode, "--ports", labs.PORTS, "--flows", flows,
                "--active", active, "--down", down]

    def measure(run):
        return per_request(run.load(*argv(run.form)).measure())
    measure.argv, measure.unit = argv, "request"
    return measure


def beside_bulk(run):
    """One small flow, while 16 bulk flows come down."""
    form = run.form
    big = run.load("bulk", "--flows", 16, "--lane", "down",
                   port=labs.BULK_PORT, time=form.time + 2 * form.warmup + 500)
    big.expect("start")
    small = run.load("request").measure()
    big.expect("end")
    return {"p50_us": small["p50_us"], "p99_us": small["p99_us"],
            "rate": small["rate"], "gbit_s": big.result()["gbit_s"]}


def warm(run):
    """Has the proxy touch its code, and returns its size and descriptors."""
    run.load("connect", "--flows", 16, time=300).measure()
    time.sleep(0.2)
    return run.standing.resident(), run.standing.descriptors()


def settled(run):
    """Its size, once it has stopped changing."""
    size, end = -1, time.monotonic() + 5
    while size != run.standing.resident() and time.monotonic() < end:
        size = run.standing.resident()
        time.sleep(0.3)
    return size


def idle(run):
    """Memory and descriptors of flows at rest; bulk flows come to them."""
    held = run.form.held
    size, files = warm(run)
    load = run.load("hold", "--ports", labs.PORTS, "--flows", held,
                    time=120000)
    load.expect("held")
    found = {"bytes_per_flow": (settled(run) - size) / held,
             "descriptors_per_flow":
                 (run.standing.descriptors() - files) / held}
    big = run.load("bulk", "--flows", 64, "--lane", "down",
                   port=labs.BULK_PORT, time=1000)
    big.expect("start")
    most = run.standing.descriptors()
    for _ in range(50):
        most = max(most, run.standing.descriptors())
        time.sleep(0.01)
    big.expect("end")
    found["gbit_s_beside"] = big.result()["gbit_s"]
    found["descriptors_most"] = most
    found["lost"] = load.result()["lost"]
    run.standing.check()
    return found


def idle_after_bulk(run):
    """Memory of flows that moved some MB each and now rest."""
    held, (up, down) = run.form.held, run.form.bulk_each
    size, files = warm(run)
    load = run.load("hold", "--ports", labs.PORTS, "--flows", held,
                    "--up", up, "--down", down, time=120000)
    load.expect("held")
    found = {"bytes_per_flow": (settled(run) - size) / held,
             "descriptors_per_flow":
                 (run.standing.descriptors() - files) / held}
    found["lost"] = load.result()["lost"]
    run.standing.check()
    return found


class Figure:
    """One row group of the results."""

    def __init__(self, name, title, measure, arms=None, rounds=None,
                 quick=True):
        self.name, self.title, self.measure = name, title, measure
        self.arms = arms	# None: all that were chosen
        self.rounds = rounds	# at most; None: as asked
        self.quick = quick	# belongs to the quick form

    def applies(self, arm, quick):
        """Whether it is run on an arm when nobody chose."""
        named = self.arms is None or arm in self.arms
        return named and not (quick and arm in SLOW_ARMS)


PROXIES = ("haproxy", "unatatp")
BULK = ("nat", "haproxy", "haproxy-auto", "haproxy-256k", "haproxy-splice",
        "unatatp")
SMALL = ("nat", "haproxy", "haproxy-256k", "haproxy-splice", "unatatp")
ENGINES = ("unatatp-copy", "unatatp-splice")
SLOW_ARMS = ("haproxy-256k", "haproxy-splice", "forward")
CONCURRENCY = (10, 100, 1000, 8000)
ANSWERS = (1, 4, 16, 64, 256, 1024)	# KiB: where does splice(2) pay?

FIGURES = [
    Figure("bulk-up", "one bulk flow up", bulk(1, "up"), BULK),
    Figure("bulk-down", "one bulk flow down", bulk(1, "down"), BULK),
    Figure("bulk16-down", "16 bulk flows down", bulk(16, "down"), BULK),
    Figure("keepalive", "keep-alive, 64 connections",
           requests("request", 64, 64), SMALL),
    Figure("one", "one connection", requests("request", 1, 1), SMALL),
    Figure("connect", "a connection each request, 64 at a time",
           requests("connect", 64, 64), SMALL + ("forward",)),
    Figure("beside-bulk", "a small flow beside 16 bulk flows", beside_bulk,
           SMALL),
] + [
    Figure("live-%d" % n, "10 requests under way on %d live flows" % n,
           requests("request", n, 10), ("nat",) + PROXIES, 3,
           quick=n in (10, 8000)) for n in CONCURRENCY
] + [
    Figure("answer-%dk" % n, "16 connections, answers of %d KiB" % n,
           requests("request", 16, 16, n << 10), ENGINES, quick=False)
    for n in ANSWERS
] + [
    Figure("idle", "8,000 flows at rest", idle, PROXIES, 2),
    Figure("idle-after-bulk", "8,000 flows at rest after bulk",
           idle_after_bulk, PROXIES, 2),
]


def run_figure(figure, arm, form):
    """Runs one figure on one arm in a fresh lab; returns its metrics."""
    with labs.Lab() as lab:
        run = Run(lab, arm.start(lab), form)
        run.prove_path()
        return figure.measure(run)
