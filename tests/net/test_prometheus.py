"""A real Prometheus scrapes the daemon, and every question of the dashboard
and of the alerts has an answer."""

import json
import os
import shutil
import subprocess
import threading
import urllib.parse

import pytest

import lab as lab_module
from lab import eventually
from peers import exchange, lull, recv_exactly, try_connect
from test_metrics import options

TOP = os.path.join(os.path.dirname(__file__), "..", "..")
DASHBOARD = os.path.join(TOP, "contrib", "grafana", "unatatp.json")
RULES = os.path.join(TOP, "contrib", "prometheus", "unatatp.rules.yml")
CONFIG = """
global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [ %s ]
scrape_configs:
  - job_name: unatatp
    static_configs: [ { targets: [ "127.0.0.1:9477" ] } ]
"""
# What Grafana would put in.
VARIABLES = {"$__rate_interval": "5s", "$instance": ".*", "$policy": ".*"}


class Prometheus:
    """One in a namespace, with our rules."""

    def __init__(self, ns, folder):
        self.ns = ns
        config = folder / "prometheus.yml"
        config.write_text(CONFIG % os.path.abspath(RULES))
        with ns:
            # pylint: disable=consider-using-with
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", "prometheus",
                 "--config.file=%s" % config, "--log.level=error",
                 "--storage.tsdb.path=%s" % (folder / "data"),
                 "--web.listen-address=127.0.0.1:9090"],
                stdin=subprocess.DEVNULL)

    def ask(self, path, **values):
        """The data that its API answers with; None: not yet there."""
        url = "http://127.0.0.1:9090/api/v1/%s?%s" % (
            path, urllib.parse.urlencode(values))
        said = self.ns.run("curl", "--silent", "--fail", "--noproxy", "*",
                           url, check=False)
        answer = json.loads(said) if said else {}
        assert answer.get("status") != "error", answer
        return answer.get("data")

    def close(self):
        """Ends it."""
        self.process.kill()
        self.process.wait()


@pytest.fixture
def prometheus(lab, tmp_path):
    """Starts one."""
    if not shutil.which("prometheus"):
        pytest.skip("no prometheus (Debian package prometheus)")
    one = Prometheus(lab.gateway, tmp_path)
    yield one
    one.close()


def queries():
    """(panel, query) of every panel of the dashboard, as Grafana asks."""
    with open(DASHBOARD, encoding="utf-8") as file:
        board = json.load(file)
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            query = target["expr"]
            for name, value in VARIABLES.items():
                query = query.replace(name, value)
            assert "$" not in query, query
            yield panel["title"], query


class Traffic:
    """Flows that live, come, go, and go wrong, until it is stopped."""

    def __init__(self, peers):
        self.peers = peers
        self.stop = threading.Event()
        self.live = peers.flow()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        """A round of everything, again and again."""
        listener = self.peers.listen()
        while not self.stop.is_set():
            client, server = self.live
            client.sendall(b"x" * 1000)
            server.sendall(recv_exactly(server, 1000))
            recv_exactly(client, 1000)
            client, server = self.peers.flow(listener=listener)
            exchange(client, server, 1000, 50000)
            client.close()
            server.close()
            try_connect(self.peers, (lab_module.SERVER[4], 1))
            lull(0.05)

    def end(self):
        """Stops it."""
        self.stop.set()
        self.thread.join()


def test_every_panel_has_data(unatatp_once, peers, prometheus):
    """Each query of the dashboard evaluates to data in a lab run."""
    unatatp_once(**options(policies=[
        {"name": "first", "client": {"congestion": "reno"}}]))
    asked = list(queries())
    assert len(asked) > 20
    traffic = Traffic(peers)
    try:
        left = dict.fromkeys(asked)

        def answered():
            for panel, query in list(left):
                data = prometheus.ask("query", query=query)
                # A policy without flows has no median.
                if data and any(one["value"][1] != "NaN"
                                for one in data["result"]):
                    del left[panel, query]
            return not left
        try:
            eventually(answered, 60)
        except AssertionError:
            assert not left
    finally:
        traffic.end()
    # What is known of the traffic is what the dashboard shows.
    data = prometheus.ask("query", query='sum by (policy, congestion) '
                          '(unatatp_legs{leg="client"})')
    metric = data["result"][0]["metric"]
    assert metric == {"policy": "first", "congestion": "reno"}


def test_alerts(unatatp_once, peers, prometheus):
    """Prometheus loads the rules and evaluates each; what goes wrong in
    the lab is told, and nothing else."""
    daemon = unatatp_once(**options(
        limits={"flows": 1}, policies=[
            {"name": "first", "client": {"congestion": "nosuch"}}]))

    def rules():
        data = prometheus.ask("rules") or {"groups": []}
        found = [rule for group in data["groups"] for rule in group["rules"]]
        return found and all(rule["health"] == "ok" for rule in found) and \
            found
    first = eventually(rules, 20)
    assert not any(rule.get("alerts") for rule in first)
    # An increase has a beginning.
    eventually(lambda: prometheus.ask(
        "query", query="unatatp_reloads_total")["result"], 20)
    client, server = peers.flow()
    client.sendall(b"x")
    assert recv_exactly(server, 1) == b"x"
    daemon.write_text("nonsense")
    daemon.signal(1)

    def firing():
        try_connect(peers, (lab_module.SERVER[4], 1))
        return {rule["name"] for rule in rules() or []
                if rule.get("state") == "firing"} == {
                    "UnatatpTurnsFlowsAway", "UnatatpReloadRefused",
                    "UnatatpCongestionRefused"}
    eventually(firing, 30)


@pytest.mark.parametrize("check", [
    ["check", "rules", "unatatp.rules.yml"],
    ["test", "rules", "unatatp.test.yml"]], ids=["check", "test"])
def test_rules(check):
    """promtool accepts the rules, and each does what its test says."""
    if not shutil.which("promtool"):
        pytest.skip("no promtool (Debian package prometheus)")
    done = subprocess.run(["promtool"] + check, capture_output=True,
                          text=True, cwd=os.path.dirname(RULES), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout
