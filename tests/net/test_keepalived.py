"""Two gateways and keepalived, with the files of contrib/keepalived: the
backup takes the new flows when a daemon or a whole gateway is gone."""

import contextlib
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time

import pytest

import lab as places
from daemon import Daemon, run
from lab import FAMILY, PORT, Namespace, eventually

CONTRIB = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                       "..", "..", "contrib", "keepalived")
CLIENT = {4: "192.0.2.10", 6: "fd71::10"}
SERVER = {4: "198.51.100.10", 6: "fd72::10"}
ROUTER = {4: "192.0.2.1", 6: "fe80::1"}		# the one that moves
OPTIONS = {
    "listen": [{"address": "127.0.0.1", "port": PORT},
               {"address": "::1", "port": PORT}],
    "user": "",
    "timeouts": {"drain": "1s"},
    "firewall": {"interfaces": ["lan"]},
}


def read(name):
    """The text of a file of contrib/keepalived."""
    with open(os.path.join(CONTRIB, name), encoding="ascii") as file:
        return file.read()


class Gateway:
    """One of the two: a namespace, its daemon, its keepalived, and what
    systemd would run around the daemon."""

    def __init__(self, number, folder):
        self.ns = Namespace()
        self.number = number
        self.folder = folder
        self.track = os.path.join(folder, "track")
        self.daemon = self.keepalived = self.log = None
        self.wan = {4: "198.51.100.%d" % number, 6: "fd72::%d" % number}

    def prepare(self):
        """Addresses and rules, once its links are there."""
        self.ns.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)
        self.ns.ip("""
            link set lo up
            addr add 192.0.2.%(n)d/24 dev lan
            addr add fd71::%(n)d/64 dev lan nodad
            addr add 198.51.100.%(n)d/24 dev wan
            addr add fd72::%(n)d/64 dev wan nodad
            link set lan up
            link set wan up
        """ % {"n": self.number})
        os.makedirs(self.folder, exist_ok=True)
        self.daemon = Daemon(self.ns, self.folder, OPTIONS)
        self.daemon.write(OPTIONS)
        status, _, said = run(self.ns, "firewall", "up", "-c",
                              self.daemon.file)
        assert status == 0, said

    def hook(self, name):
        """Runs the lines of the drop-in that systemd would run now."""
        text = read("unatatp.service.conf").replace(
            "/run/unatatp.track", self.track)
        for line in re.findall(r"^%s=\+?(.*)$" % name, text, re.M):
            subprocess.run(shlex.split(line), check=True, timeout=5)

    def start_daemon(self):
        """Starts unatatp, as the unit does."""
        self.daemon = Daemon(self.ns, self.folder, OPTIONS).start()
        self.hook("ExecStartPost")

    def kill_daemon(self):
        """kill -9; systemd sees it end."""
        self.daemon.kill()
        self.hook("ExecStopPost")

    def start_keepalived(self):
        """Starts keepalived with the file of contrib."""
        health = os.path.join(self.folder, "health")
        shutil.copy(os.path.join(CONTRIB, "health"), health)
        text = read("keepalived.conf").replace("lan0", "lan")
        text = text.replace("/run/unatatp.track", self.track)
        text = text.replace("/etc/keepalived/unatatp-health", health)
        path = os.path.join(self.folder, "keepalived.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        self.log = open(os.path.join(self.folder, "keepalived.log"), "wb")
        with self.ns:
            # pylint: disable=consider-using-with
            self.keepalived = subprocess.Popen(
                ["keepalived", "-n", "-l", "-D", "-f", path,
                 "-p", os.path.join(self.folder, "pid"),
                 "-r", os.path.join(self.folder, "vrrp.pid")],
                stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def said(self):
        """What keepalived said so far."""
        with open(self.log.name, encoding="ascii", errors="replace") as file:
            return file.read()

    def is_master(self):
        """It has both of the addresses that move."""
        text = self.ns.run("ip", "-o", "addr", "show", "dev", "lan")
        return all(" %s/" % one in text for one in ROUTER.values())

    def is_backup(self):
        """It has none of them."""
        text = self.ns.run("ip", "-o", "addr", "show", "dev", "lan")
        return not any(" %s/" % one in text for one in ROUTER.values())

    def close(self):
        """Ends what runs."""
        if self.keepalived:
            self.keepalived.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.keepalived.wait(5)
            self.log.close()
        if self.daemon:
            self.daemon.kill()
        self.ns.kill_all()
        self.ns.close()


class Pair:
    """A client and a server, and two gateways between them."""

    def __init__(self, folder):
        self.client, self.server = Namespace(), Namespace()
        self.gateways = [Gateway(number, str(folder / str(number)))
                         for number in (2, 3)]
        nodes = [self.client, self.server] + [g.ns for g in self.gateways]
        for ns in nodes:
            ns.sysctl(ipv6__conf__all__accept_dad=0,
                      ipv6__conf__default__accept_dad=0,
                      ipv6__conf__default__dad_transmits=0)
        for ns, link, address in ((self.client, "lan", CLIENT),
                                  (self.server, "wan", SERVER)):
            ns.ip("link set lo up\nlink add br0 type bridge\n"
                  "link set br0 up\naddr add %s/24 dev br0\n"
                  "addr add %s/64 dev br0 nodad\n" % (
                      address[4], address[6]))
            for gateway in self.gateways:
                port = "p%d" % gateway.number
                ns.ip("link add %s type veth peer name %s netns %s\n"
                      "link set %s master br0 up\n" % (
                          port, link, gateway.ns.path, port))
        for gateway in self.gateways:
            gateway.prepare()
        self.client.ip("route add default via %s\n" % ROUTER[4])
        self.client.ip("route add default via %s dev br0\n" % ROUTER[6], 6)

    def start(self):
        """Both gateways at work; the first one, or either, is master."""
        for gateway in self.gateways:
            gateway.start_daemon()
            gateway.start_keepalived()
        eventually(lambda: sorted(g.is_master() for g in self.gateways) ==
                   [False, True], 20, "one gateway is master")

    @property
    def master(self):
        """The gateway that has the addresses."""
        return next(g for g in self.gateways if g.is_master())

    def other(self, gateway):
        """The gateway that is not GATEWAY."""
        return next(g for g in self.gateways if g is not gateway)

    def through(self, family, timeout=0.1):
        """Which gateway carries a new flow; None when nobody does."""
        with self.server:
            listener = socket.create_server(
                (SERVER[family], 0), family=FAMILY[family])
        with self.client:
            client = socket.socket(FAMILY[family], socket.SOCK_STREAM)
        with listener, client:
            client.settimeout(timeout)
            listener.settimeout(timeout)
            try:
                client.connect(listener.getsockname()[:2])
                server, peer = listener.accept()
            except OSError:
                return None
            with server:
                return next((g for g in self.gateways
                             if g.wan[family] == peer[0]), None)

    def wait_through(self, gateway, what):
        """Seconds until new flows of both families go by GATEWAY."""
        start = time.monotonic()
        for family in (4, 6):
            eventually(lambda f=family: self.through(f) is gateway, 20,
                       "IPv%d flows go by the other gateway" % family)
        took = time.monotonic() - start
        print("%s: new flows after %.2f s" % (what, took))
        return took

    def close(self):
        """Lets go of everything."""
        for gateway in self.gateways:
            gateway.close()
        for ns in (self.client, self.server):
            ns.kill_all()
            ns.close()


@pytest.fixture
def pair(tmp_path):
    """Two gateways at work."""
    if not shutil.which("keepalived"):
        pytest.fail("no keepalived (Debian package keepalived)")
    the_pair = Pair(tmp_path)
    try:
        the_pair.start()
        yield the_pair
    except BaseException:
        for gateway in the_pair.gateways:
            print(gateway.said()[-5000:])
        raise
    finally:
        the_pair.close()


def test_daemon_killed(pair):
    """The daemon of the master is killed: the other gateway takes the new
    flows, and keeps them when the first daemon is back."""
    first = pair.master
    second = pair.other(first)
    assert pair.through(4, 5) is first
    assert pair.through(6, 5) is first
    first.kill_daemon()
    pair.wait_through(second, "daemon killed")
    assert "tracked file unatatp_runs now FAULT" in first.said()
    first.start_daemon()
    eventually(lambda: "Entering BACKUP" in first.said().rsplit("FAULT", 1)[1],
               20, "the first one is backup")
    assert pair.through(4, 5) is second
    second.kill_daemon()
    pair.wait_through(first, "the other daemon killed")


def test_gateway_cut_off(pair):
    """The master's cable to the clients is pulled."""
    first = pair.master
    assert pair.through(4, 5) is first
    pair.client.ip("link set p%d down\n" % first.number)
    pair.wait_through(pair.other(first), "gateway cut off")


def test_nobody_listens(pair):
    """The daemon is there, and systemd content, but nobody listens: the
    health command sees it."""
    first = pair.master
    first.daemon.kill()		# and no ExecStopPost
    pair.wait_through(pair.other(first), "nobody listens")
    assert "VRRP_Script(unatatp_listens) failed" in first.said()
