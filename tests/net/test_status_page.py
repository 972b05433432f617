"""The status page: what it is made of, and what a browser makes of it."""

import json
import re
import signal

import pytest

import browser as browser_module
import lab as lab_module
from browser import Browser
from lab import eventually
from peers import exchange, recv_exactly, try_connect
from test_metrics import PORT, ask, endings, options

URL = "http://127.0.0.1:%d/" % PORT


@pytest.fixture
def page(lab):
    """A browser in the gateway."""
    if not browser_module.PROGRAM:
        pytest.skip("no Chromium (Debian package chromium)")
    with Browser(lab.gateway) as browser:
        yield browser


def status(daemon, query=""):
    """What /status.json says."""
    code, headers, body = ask(daemon, "/status.json" + query)
    assert code == 200 and headers["Content-Type"] == "application/json"
    return json.loads(body)


def policy(found, name):
    """The policy NAME in what /status.json says."""
    return next(one for one in found["policies"] if one["name"] == name)


def echo(client, server, data=b"x" * 1000):
    """DATA there and back."""
    client.sendall(data)
    server.sendall(recv_exactly(server, len(data)))
    recv_exactly(client, len(data))


def test_json(unatatp, peers):
    """Policies, both legs, endings, the last seconds, the busiest flows."""
    daemon = unatatp(**options(policies=[
        {"name": "first", "sources": [lab_module.SUBNET[4]],
         "client": {"congestion": "reno"}}]))
    client, server = peers.flow()
    name, to = client.getsockname(), client.getpeername()

    def told():
        echo(client, server)
        found = status(daemon)
        return found["busiest"] and found
    found = eventually(told)
    assert found["flows_active"] == found["flows_opened"] == 1
    assert found["workers"] == daemon.options["workers"]
    first = policy(found, "first")
    assert first["flows_active"] == 1 and first["up"] >= 1000
    assert (first["client"]["cc"], first["server"]["cc"]) == (
        {"reno": 1}, {"cubic": 1})
    busy = found["busiest"][0]
    assert (busy["src"], busy["dst"]) == ("%s:%d" % name, "%s:%d" % to)
    assert busy["policy"] == "first" and busy["rate_up"] > 0
    assert busy["client"]["cc"] == "reno" and busy["server"]["rtt_us"] > 0
    series = status(daemon, "?policy=first")["series"]
    assert series["policy"] == "first" and series["span_ms"] == 300000
    columns = {key: value for key, value in series.items()
               if isinstance(value, list)}
    assert set(columns) == {"ago_ms", "up", "down", "client_rtt_us",
                            "server_rtt_us", "client_retrans",
                            "server_retrans"}
    assert len({len(column) for column in columns.values()}) == 1
    assert any(value for value in columns["client_rtt_us"] if value)
    assert status(daemon, "?policy=nosuch")["series"]["policy"] is None
    client.close()
    server.close()
    daemon.wait_empty()
    assert sum(policy(status(daemon), "first")["endings"].values()) == 1


def test_a_policy_that_is_gone(unatatp_once, peers):
    """It is shown for as long as it has flows."""
    daemon = unatatp_once(**options())
    client, server = peers.flow()
    daemon.reload(policies=[{"name": "third"}])

    def told():
        echo(client, server)
        return [one["name"] for one in status(daemon)["policies"]] == [
            "third", "default", "first"]
    eventually(told)
    client.close()
    server.close()
    eventually(lambda: len(status(daemon)["policies"]) == 2)


def test_no_outside_resource(unatatp_once):
    """The page names no other host, and its policy allows none."""
    daemon = unatatp_once(**options())
    _, headers, text = ask(daemon, "/")
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert set(re.findall(r"https?://[^\"' ]*", text)) == {
        "http://www.w3.org/2000/svg"}
    assert not re.search(r"@import|url\(|src=|innerHTML|eval\(", text)
    rules = headers["Content-Security-Policy"]
    assert "default-src 'none'" in rules and "unsafe" not in rules
    nonces = set(re.findall(r"nonce-(\w+)", rules))
    assert nonces == set(re.findall(r'nonce="(\w+)"', text))
    assert len(nonces) == 1
    assert nonces.isdisjoint(re.findall(
        r"nonce-(\w+)", ask(daemon, "/")[1]["Content-Security-Policy"]))


def test_kinds_of_endings(unatatp_once):
    """What the page sorts endings by are words of their table."""
    text = ask(unatatp_once(**options()), "/")[2]
    kinds = re.search(r"const KINDS = \[(.*?)\n\];", text, re.S).group(1)
    words = re.findall(r'"([a-z]+(?:-[a-z]+)*)"', kinds)
    # Names of the groups are words with blanks, but for one.
    assert set(words) - {"finished"} <= set(endings())


def test_browser(unatatp_once, peers, page):
    """A person sees the policies, their flows and both legs; the page asks
    for nothing but what is the daemon's, and its console is silent."""
    daemon = unatatp_once(**options(policies=[
        {"name": "branch-vpn", "sources": [lab_module.SUBNET[4]],
         "client": {"congestion": "bbr"}},
        {"name": "guests", "action": "reject"}]))
    for _ in range(3):
        client, server = peers.flow()
        exchange(client, server, 1000, 1000)
        client.close()
        server.close()
    try_connect(peers, (lab_module.SERVER[6], 1))
    client, server = peers.flow()
    name = "%s:%d" % client.getsockname()
    page.size(1280, 900)
    page.go(URL)

    def seen():
        echo(client, server)
        return name in page.text("#flows")
    eventually(seen, 15)
    rows = page.run("Array.from(document.querySelectorAll("
                    "'#policies tbody tr'), row => row.innerText)")
    assert [row.split()[0] for row in rows] == ["branch-vpn", "guests",
                                                "default"]
    assert rows[0].split()[1] == "1" and "bbr" in rows[0]
    assert "bbr" in page.text("#flows")
    bars = page.run("Array.from(document.querySelectorAll('.bar'), "
                    "bar => bar.getAttribute('aria-label'))")
    assert re.search(r"(client|server)-fin 3", bars[0]), bars
    assert bars[1:] == ["rejected 1", "none has ended"]
    assert page.text("#state") == "live"
    assert re.search(r"client [\d.]+ .?s", page.text("#chart-rtt"))
    for chart in ("rtt", "retrans", "rate"):
        assert page.run("document.querySelector('#chart-%s .one')"
                        ".getAttribute('d').length" % chart) > 0
    assert page.console == []
    assert {re.sub(r"\?.*", "", url) for url in page.requests} == {
        URL, URL + "status.json"}


def test_choosing_a_policy(unatatp_once, page):
    """Its button leads the charts to it, by keyboard too, and keeps the
    focus when the page is drawn anew."""
    unatatp_once(**options())
    page.go(URL)
    eventually(lambda: "all policies" in page.text("#scope"), 15)
    page.run("document.querySelector('[data-policy=second] button').focus()")
    page.run("document.activeElement.click()")
    eventually(lambda: "policy second" in page.text("#scope"), 15)
    asked = len(page.requests)
    eventually(lambda: len(page.requests) > asked + 1, 15)
    assert page.run("document.activeElement.innerText") == "second"
    assert page.run("document.activeElement.getAttribute('aria-pressed')") \
        == "true"
    assert page.console == []


def test_phone_and_colours(unatatp_once, page):
    """It fits the width of a phone, and is dark for who wants that."""
    unatatp_once(**options())
    page.size(360, 740)
    page.go(URL)
    eventually(lambda: page.text("#state") == "live", 15)
    assert page.run("document.documentElement.scrollWidth") <= 360
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.run(colour)
    page.size(360, 740, dark=True)
    dark = page.run(colour)
    assert sum(map(int, re.findall(r"\d+", light))) > 600
    assert sum(map(int, re.findall(r"\d+", dark))) < 150


def test_names(unatatp_once, page):
    """Everything that has a picture has words, and each row a header."""
    unatatp_once(**options())
    page.go(URL)
    eventually(lambda: page.text("#state") == "live", 15)
    assert page.run("Array.from(document.querySelectorAll('[role=img]'))"
                    ".every(e => e.getAttribute('aria-label'))")
    assert page.run("Array.from(document.querySelectorAll('tbody tr'))"
                    ".filter(r => r.dataset.policy)"
                    ".every(r => r.querySelector('th[scope=row]'))")
    assert page.run("document.querySelectorAll('table caption').length") == 2
    assert page.run("document.documentElement.lang") == "en"
    assert page.run("document.querySelector('#state')"
                    ".getAttribute('aria-live')") == "polite"


def test_gone_and_back(unatatp_once, page):
    """The page tells that the daemon is gone, and goes on when it is
    back."""
    daemon = unatatp_once(**options())
    page.go(URL)
    eventually(lambda: page.text("#state") == "live", 15)
    daemon.signal(signal.SIGTERM)
    daemon.wait()
    eventually(lambda: "does not answer since" in page.text("#state"), 15)
    assert page.run("document.title") == "gone: unatatp"
    unatatp_once(**options())
    eventually(lambda: page.text("#state") == "live", 15)
    assert page.run("document.title") == "unatatp"
