"""
The bench's lab: client - gateway - server, three network namespaces.

    client eth0 ---- lan [gateway] wan ---- eth0 server

The first cable can be a long and lossy link instead. Cubic everywhere, the
kernel's own buffer sizes, IPv4. The namespaces are the nameless ones of the
behaviour tests: nothing outlives the run, however it ends.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
NET = os.path.join(HERE, "..", "net")


def _tests_lab():
    """The lab of the behaviour tests, whose namespaces are used here."""
    spec = importlib.util.spec_from_file_location(
        "tests_lab", os.path.join(NET, "lab.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Last: this folder has a module called lab, too.
sys.path.append(NET)
# pylint: disable=wrong-import-position
from link import Link, number, settings as link_settings	# noqa: E402

tests_lab = _tests_lab()
allowed_congestion = tests_lab.allowed_congestion

CLIENT = "10.75.1.2"
GATEWAY_LAN = "10.75.1.1"
GATEWAY_WAN = "10.75.2.1"
SERVER = "10.75.2.2"
PORT = 7000		# of the load generator's server
BULK_PORT = 7900	# of its second one
PORTS = 8		# that the connections of `connect` spread over


def advised_buffers():
    """What contrib/sysctl.d advises a gateway to set of TCP's buffers."""
    path = os.path.join(HERE, "../../contrib/sysctl.d/50-unatatp.conf")
    with open(path, encoding="ascii") as file:
        return {key.replace(".", "__"): value for key, value in re.findall(
            r"^net\.(ipv4\.tcp_[rw]mem) = (.*)$", file.read(), re.M)}


class Lab:
    """
    Three fresh namespaces, for one run of one arm. LINK: the settings of
    the link between client and gateway, which then has the buffers that
    contrib/sysctl.d gives a gateway. SERVER_LINK: of one between gateway and
    server.
    """

    def __init__(self, link=None, emulator=None, server_link=None):
        self.client = tests_lab.Namespace()
        self.gateway = tests_lab.Namespace()
        self.server = tests_lab.Namespace()
        self.children = []
        for ns in (self.client, self.gateway, self.server):
            ns.sysctl(ipv4__conf__all__rp_filter=0,
                      ipv4__conf__default__rp_filter=0,
                      ipv4__tcp_no_metrics_save=1,
                      ipv4__tcp_congestion_control="cubic",
                      ipv4__tcp_tw_reuse=1,
                      ipv4__tcp_max_syn_backlog=8192,
                      core__somaxconn=8192,
                      ipv4__ip_local_port_range="10240 65001")
        self.gateway.sysctl(ipv4__ip_forward=1)
        self.link = self.server_link = None
        if link:
            self._lossy(link, emulator)
        else:
            self.gateway.ip("link add lan type veth peer name eth0 netns %s\n"
                            % self.client.path)
        if server_link:
            self.server.sysctl(ipv6__conf__default__disable_ipv6=1)
            self.server_link = Link((self.gateway, self.server),
                                    ("wan", "eth0"), emulator, **server_link)
        else:
            self.gateway.ip("link add wan type veth peer name eth0 netns %s\n"
                            % self.server.path)
        self._links()

    def _lossy(self, link, emulator):
        """The link carries the packets of TCP alone, so it loses the same."""
        for ns in (self.client, self.gateway):
            ns.sysctl(ipv6__conf__default__disable_ipv6=1)
        self.gateway.sysctl(**advised_buffers())
        self.link = Link((self.client, self.gateway), emulator=emulator,
                         **link)

    def _links(self):
        self.gateway.ip("""
            link set lo up
            addr add %s/24 dev lan
            addr add %s/24 dev wan
            link set lan up
            link set wan up
        """ % (GATEWAY_LAN, GATEWAY_WAN))
        for ns, address, via in ((self.client, CLIENT, GATEWAY_LAN),
                                 (self.server, SERVER, GATEWAY_WAN)):
            ns.ip("""
                link set lo up
                addr add %s/24 dev eth0
                link set eth0 up
                route add default via %s
            """ % (address, via))

    def calibrate(self):
        """Measures each link before a run."""
        self.link.calibrate((CLIENT, GATEWAY_LAN))
        if self.server_link:
            self.server_link.calibrate((GATEWAY_WAN, SERVER))

    def link_report(self):
        """What the link says of a run; another link may spoil it, too."""
        found = self.link.report()
        if self.server_link:
            other = self.server_link.report()
            found["valid"] &= other["valid"]
            found["why"] += ["the server's link: " + one
                             for one in other["why"]]
        return found

    def spawn(self, ns, argv, **popen):
        """
        Starts a program in a namespace. It dies with this process, and
        may open as many files as a login shell of the machine's default.
        """
        wrap = [shutil.which("setpriv"), "--pdeathsig", "KILL"]
        with ns:
            child = subprocess.Popen(wrap + argv, **popen)
        self.children.append(child)
        return child

    def close(self):
        """Ends every program of the lab and lets go of the namespaces."""
        for link in (self.link, self.server_link):
            if link:
                link.close()
        for child in self.children:
            if child.poll() is None:
                child.kill()
        for child in self.children:
            child.wait()
            for pipe in (child.stdin, child.stdout, child.stderr):
                if pipe:
                    pipe.close()
        for ns in (self.client, self.gateway, self.server):
            ns.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
