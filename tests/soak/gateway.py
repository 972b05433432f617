"""The gateway under soak: its daemon, one process after the other, and the
policies, which every reload changes."""

import copy
import json
import os
import re
import resource
import signal
import subprocess

from daemon import BASE, Daemon, merge
from lab import CLIENT_B

METRICS = "http://127.0.0.1:9477/metrics"
SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
SPLICES = ["0", "1", "64K"]
BUFFERS = ["16K", "64K", "256K", "1M"]
LATENCIES = ["0", "0", "50ms"]
CONGESTIONS = ["cubic", "bbr", "reno", "auto"]
# Policies that a reload changes; each has an engine at the start.
VARIED = [
    {"name": "web", "ports": ["80"]},
    {"name": "tls", "ports": ["443"], "splice_after": "1"},
    {"name": "shell", "ports": ["22"], "splice_after": "0",
     "latency": "50ms"},
    {"name": "streams", "ports": ["5201"], "splice_after": "1",
     "buffer": "1M"},
    {"name": "git", "ports": ["9418"], "client": {
        "congestion": "auto", "congestion_among": ["cubic", "bbr"]}},
    {"name": "data", "ports": ["5432", "6379"]},
]
# The firewall's rules know these: they stay.
FIXED = [
    {"name": "roaming", "sources": list(CLIENT_B.values()),
     "source": "clientip"},
    {"name": "hole", "ports": ["7"], "timeouts": {"connect": "3s"}},
]
OPTIONS = merge(BASE, {
    "workers": 2,
    "limits": {"memory": "256M"},
    "firewall": {"interfaces": ["lan"], "when_down": "drop"},
    "log": {"level": "info", "flows": "json", "max_per_second": 0},
    "metrics": {"address": "127.0.0.1"},
    "policies": FIXED + VARIED,
})


def vary(rng):
    """Other policies: values, a name, and perhaps one that is gone."""
    policies = copy.deepcopy(VARIED)
    for one in policies:
        one["splice_after"] = rng.choice(SPLICES)
        one["buffer"] = rng.choice(BUFFERS)
        one["latency"] = rng.choice(LATENCIES)
        for leg in "client", "server":
            congestion = rng.choice(CONGESTIONS)
            one[leg] = {"congestion": congestion}
            if congestion == "auto":
                one[leg]["congestion_among"] = ["cubic", "bbr", "reno"]
        if rng.random() < 0.2:
            one["name"] += "-b"
    if rng.random() < 0.3:
        policies.remove(rng.choice(policies))
    return FIXED + policies


class Gateway:
    """The daemon of the lab's gateway."""

    def __init__(self, the_lab, work, ledger, out):
        self.lab, self.work, self.ledger, self.out = the_lab, work, ledger, out
        self.daemon = self.life = None
        self.refused = self.reloaded = 0	# by this process

    def start(self):
        """A process begins its life."""
        path = os.path.join(self.out, "unatatp-%d.log" %
                            (len(self.ledger.lives) + 1))
        # Cut, not appended to: the lines of an earlier soak are not ours.
        with open(path, "w+b") as file:
            info = os.fstat(file.fileno())
            self.daemon = Daemon(
                self.lab.gateway, self.work, OPTIONS, stderr=file.fileno(),
                # Lines with their severity, as the journal gets them.
                env={"JOURNAL_STREAM": "%d:%d" % (info.st_dev, info.st_ino)})
            self.life = self.ledger.begin_life(path)
            self.daemon.start()
        self.refused = self.reloaded = 0

    def use_rules(self):
        """The rules of the configuration."""
        self.lab.gateway.run(os.environ["UNATATP"], "firewall", "up",
                             "--backend", "nft", "-c", self.daemon.file)

    def reload(self, rng, by_signal):
        """New policies, which the daemon must take."""
        self.daemon.write(merge(OPTIONS, {"policies": vary(rng)}))
        self.reloaded += 1
        if by_signal:
            self.daemon.signal(signal.SIGHUP)
            return
        status, _, err = self.daemon.ask("reload")
        if status:
            self.ledger.complain("reload: status %d: %s", status, err)

    def reload_badly(self):
        """A file with a mistake, which it must refuse."""
        good = self.daemon.options
        self.daemon.write(merge(good, {"soak": 1}))
        self.refused += 1
        status, _, err = self.daemon.ask("reload", "-s", self.daemon.control)
        self.daemon.write(good)
        if status != 78:
            self.ledger.complain("bad reload: status %d: %s", status, err)

    def drain(self):
        """It ends by itself, and the next one begins."""
        status, _, err = self.daemon.ask("drain")
        if status:
            self.ledger.complain("drain: status %d: %s", status, err)
        self.see_end()
        self.start()

    def finish(self):
        """TERM, with no flow left: it ends at once."""
        self.daemon.signal(signal.SIGTERM)
        self.see_end()

    def see_end(self):
        """The process ends as it should; its log is read to the end."""
        try:
            status = self.daemon.process.wait(60)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            status = "none: it would not end"
        self.ledger.read_log()
        if status:
            self.ledger.complain("the daemon ended with status %s", status)

    # What it holds.

    def metrics(self):
        """{name: {labels: value}}"""
        text = self.lab.gateway.run("curl", "-sSf", "-m", "20", METRICS)
        found = {}
        for line in text.splitlines():
            match = SAMPLE.match(line)
            if match:
                name, labels, value = match.groups()
                found.setdefault(name, {})[labels or ""] = float(value)
        return found

    def held(self):
        """What the process holds now."""
        links = []
        folder = "/proc/%d/fd" % self.daemon.pid
        for fd in os.listdir(folder):
            try:
                links.append(os.readlink(os.path.join(folder, fd)))
            except OSError:
                continue
        pipes = sum(1 for one in links if one.startswith("pipe:"))
        return {"rss_kib": self.daemon.rss() >> 10, "pipes": pipes,
                "fds": len(links) - pipes, "threads": len(
                    os.listdir("/proc/%d/task" % self.daemon.pid)),
                "vm_kib": self._mapped() >> 10}

    def _mapped(self):
        with open("/proc/%d/statm" % self.daemon.pid,
                  encoding="ascii") as file:
            return int(file.read().split()[0]) * resource.getpagesize()

    def interface(self):
        """Bytes and packets of lan and wan, as (rx, tx) by name."""
        found = {}
        for link in json.loads(self.lab.gateway.run("ip", "-j", "-s", "link")):
            stats = link["stats64"]
            found[link["ifname"]] = {
                side: (stats[side]["bytes"], stats[side]["packets"])
                for side in ("rx", "tx")}
        return found
