"""
The lab: client - gateway - server, three network namespaces joined by veth.

    client eth0 ---- lan [gateway] wan ----- eth0 server
                             wan2 ---- eth1

The first cable can be a long and lossy link instead: Lab(link=settings); the
second one, too: Lab(link=..., server_link=...).
The namespaces have no name: they live as long as somebody holds a descriptor
of them, so nothing is left behind whatever ends the run, and two runs never
meet. `with lab.gateway:` moves the calling thread into one; a socket created
inside stays there, so that one test drives both ends byte by byte.
"""

import contextlib
import ctypes
import os
import re
import signal
import socket
import subprocess
import time

from link import NO_LOSS, Link

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)

PORT = 9999

# By family. The client lives in two subnets, so that policies can differ.
CLIENT = {4: "10.71.0.2", 6: "fd71::2"}
CLIENT_B = {4: "10.71.1.2", 6: "fd71:0:0:1::2"}
SUBNET = {4: "10.71.0.0/24", 6: "fd71::/64"}
SUBNET_B = {4: "10.71.1.0/24", 6: "fd71:0:0:1::/64"}
GATEWAY_LAN = {4: "10.71.0.1", 6: "fd71::1"}
GATEWAY = {4: "10.72.0.1", 6: "fd72::1"}	# what the server sees
GATEWAY_B = {4: "10.72.0.9", 6: "fd72::9"}	# its second address
GATEWAY_WAN2 = {4: "10.74.0.1", 6: "fd74::1"}
SERVER = {4: "10.72.0.2", 6: "fd72::2"}
SERVER_B = {4: "10.72.0.3", 6: "fd72::3"}
MAP6 = "fd73::/64"			# the gateway answers for all of it
MAPPED_CLIENT = "fd73::2"
UNREACHABLE = {4: "10.79.0.1", 6: "fd79::1"}
PROHIBITED = {4: "10.79.1.1", 6: "fd79:0:0:1::1"}
LINK_LOCAL = "169.254.7.7"		# the client routes it to the gateway

FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}


def eventually(probe, timeout=5.0, what=None):
    """Polls until probe() is true and returns its value; fails at the end."""
    end = time.monotonic() + timeout
    pause = 0.001
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("not within %.1f s: %s" %
                                 (timeout, what or probe))
        time.sleep(pause)
        pause = min(pause * 2, 0.02)


def family_of(address):
    """4 or 6."""
    return 6 if ":" in address else 4


def command(argv, text=None, check=True):
    """Runs a command of the system; its output as text."""
    done = subprocess.run(argv, input=text, capture_output=True, text=True,
                          timeout=30)
    if check and done.returncode:
        raise RuntimeError("%s: %s" % (" ".join(argv), done.stderr.strip()))
    return done.stdout


class Namespace:
    """One network namespace, held by a descriptor."""

    def __init__(self):
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if libc.unshare(CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "unshare: no namespaces here")
            self.fd = os.open("/proc/thread-self/ns/net",
                              os.O_RDONLY | os.O_CLOEXEC)
            self._setns(home)
        finally:
            os.close(home)
        self.inode = os.fstat(self.fd).st_ino
        self.path = "/proc/%d/fd/%d" % (os.getpid(), self.fd)
        self._homes = []

    @staticmethod
    def _setns(fd):
        if libc.setns(fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")

    def __enter__(self):
        self._homes.append(os.open("/proc/thread-self/ns/net",
                                   os.O_RDONLY | os.O_CLOEXEC))
        self._setns(self.fd)
        return self

    def __exit__(self, *_):
        home = self._homes.pop()
        self._setns(home)
        os.close(home)

    def close(self):
        """Lets go of it; the kernel removes it with its last process."""
        os.close(self.fd)

    def run(self, *argv, text=None, check=True):
        """Runs a command inside."""
        with self:
            return command(list(argv), text, check)

    def ip(self, lines, family=4):
        """Runs lines of ip(8); routes and rules are those of FAMILY."""
        only = ["-6"] if family == 6 else []
        return self.run("ip", *only, "-batch", "-", text=lines)

    def nft(self, rules):
        """Loads nft rules."""
        return self.run("nft", "-f", "-", text=rules + "\n")

    def sysctl(self, **values):
        """Sets keys under net/, dots written as two underscores."""
        with self:
            for key, value in values.items():
                path = "/proc/sys/net/" + key.replace("__", "/")
                with open(path, "w", encoding="ascii") as file:
                    file.write(str(value))

    def processes(self):
        """The pids of the processes that run inside, without our own."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                inode = os.stat("/proc/%s/ns/net" % pid).st_ino
                if inode == self.inode and int(pid) != os.getpid():
                    found.append(int(pid))
        return found

    def kill_all(self):
        """Ends every process inside."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def counter(self, hook, match):
        """Counts the packets that MATCH at HOOK, as long as it is open."""
        return Counter(self, hook, match)

    @contextlib.contextmanager
    def rule(self, hook, rule, priority="filter", kind="filter"):
        """An nft rule for as long as the block lasts."""
        table = "inet lab_rule_%d" % time.monotonic_ns()
        self.nft("table %s { chain c { type %s hook %s priority %s; "
                 "policy accept; %s\n}\n}" % (table, kind, hook, priority,
                                              rule))
        try:
            yield
        finally:
            self.run("nft", "delete", "table", *table.split())


class Counter:
    """An nft counter: `.packets` is its value now."""

    def __init__(self, ns, hook, match):
        self.ns = ns
        self.table = "lab_count_%d" % time.monotonic_ns()
        ns.nft("table inet %s { chain c { type filter hook %s priority 300; "
               "policy accept; %s counter\n}\n}" % (self.table, hook, match))

    @property
    def packets(self):
        """How many packets matched so far."""
        text = self.ns.run("nft", "-j", "list", "table", "inet", self.table)
        return int(re.search(r'"counter": \{"packets": (\d+)', text).group(1))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ns.run("nft", "delete", "table", "inet", self.table)


FIREWALL = """
user = "";
listen = ( { address = "127.0.0.1"; port = %d; },
           { address = "::1"; port = %d; } );
firewall = { interfaces = [ "lan" ]; };
policies = ( { name = "all"; source = "%%s"; } );
""" % (PORT, PORT)
# The line of each form that leaves the gateway's own addresses alone.
EXEMPTION = re.compile(r"^.*(?:fib daddr type local return|"
                       r"--dst-type LOCAL -j RETURN)\n", re.M)


class Lab:
    """The three namespaces, their addresses, and the gateway's rules."""

    def __init__(self, link=None, server_link=None):
        self.client = Namespace()
        self.gateway = Namespace()
        self.server = Namespace()
        self.rules = None
        self.link = self.server_link = None
        self._sysctls()
        # Good ones, until the lab is up.
        if link:
            self.link = Link((self.client, self.gateway))
        if server_link:
            self.server_link = Link((self.gateway, self.server),
                                    ("wan", "eth0"))
        self._links()
        self._routes()
        for family in (4, 6):
            eventually(lambda f=family: self._is_up(f), what="the lab is up")
        for one, values in ((self.link, link),
                            (self.server_link, server_link)):
            if one:
                one.set(**dict(NO_LOSS, **values))
                one.reset()

    def _is_up(self, family):
        """The kernel takes up to a second to tell IPv6 that a link is up."""
        return ", 0% packet loss" in self.client.run(
            "ping", "-c1", "-W0.2", "-I", CLIENT[family], SERVER[family],
            check=False)

    def close(self):
        """Ends what still runs in the namespaces and lets go of them."""
        for link in (self.link, self.server_link):
            if link:
                link.close()
        for ns in (self.client, self.gateway, self.server):
            ns.kill_all()
            ns.close()

    def _sysctls(self):
        for ns in (self.client, self.gateway, self.server):
            # Addresses stand at once; buffers are small, so that a
            # reader that stops is felt soon.
            ns.sysctl(ipv6__conf__all__accept_dad=0,
                      ipv6__conf__default__accept_dad=0,
                      ipv6__conf__default__dad_transmits=0,
                      ipv4__conf__all__rp_filter=0,
                      ipv4__conf__default__rp_filter=0,
                      ipv4__tcp_no_metrics_save=1,
                      ipv4__tcp_congestion_control="cubic",
                      ipv4__tcp_rmem="4096 131072 1048576",
                      ipv4__tcp_wmem="4096 65536 1048576",
                      ipv4__ip_local_port_range="10000 60999")
        self.gateway.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)

    def _links(self):
        if not self.link:
            self.gateway.ip("link add lan type veth peer name eth0 netns %s\n"
                            % self.client.path)
        if not self.server_link:
            self.gateway.ip("link add wan type veth peer name eth0 netns %s\n"
                            % self.server.path)
        self.gateway.ip("link add wan2 type veth peer name eth1 netns %s\n"
                        % self.server.path)
        self._addresses(self.client, eth0=[CLIENT, CLIENT_B])
        self._addresses(self.gateway, lan=[
            GATEWAY_LAN, {4: "10.71.1.1", 6: "fd71:0:0:1::1"}],
            wan=[GATEWAY, GATEWAY_B], wan2=[GATEWAY_WAN2])
        self._addresses(self.server, eth0=[SERVER, SERVER_B],
                        eth1=[{4: "10.74.0.2", 6: "fd74::2"}])

    @staticmethod
    def _addresses(ns, **links):
        lines = ["link set lo up"]
        for link, addresses in links.items():
            for number, one in enumerate(addresses):
                lines.append("addr add %s/24 dev %s" % (one[4], link))
                # Deprecated: used only by whom it is asked for.
                lines.append("addr add %s/64 dev %s nodad%s" % (
                    one[6], link, " preferred_lft 0" if number else ""))
            lines.append("link set %s up" % link)
        ns.ip("\n".join(lines) + "\n")

    def _routes(self):
        for family in (4, 6):
            self.client.ip("route add default via %s\n" % GATEWAY_LAN[family],
                           family)
            self.server.ip("route add default via %s\n" % GATEWAY[family],
                           family)
            self.gateway.ip("""
                rule add fwmark 0x100/0xf00 iif lan lookup 100
                route add local default dev lo table 100
                route add %s via %s dev wan2 metric 5000
                route add unreachable %s
                route add prohibit %s
            """ % ({4: "10.72.0.0/24", 6: "fd72::/64"}[family],
                   {4: "10.74.0.2", 6: "fd74::2"}[family],
                   UNREACHABLE[family], PROHIBITED[family]), family)
        self.client.ip("route add 169.254.0.0/16 via %s\n" % GATEWAY_LAN[4])
        self.gateway.ip("route add local %s dev lo\n" % MAP6, 6)

    def use_rules(self, form, exempt_local=True, source="gateway"):
        """Lets unatatp make the gateway's rules for SOURCE, in FORM: "nft",
        "iptables" or None; without the exemption of the gateway's own
        addresses to see what the daemon does about them."""
        if self.rules == (form, exempt_local, source):
            return
        self.gateway.run("nft", "flush", "ruleset")
        self.gateway.run(os.environ["UNATATP"], "firewall", "down")
        if form:
            self._make_rules(form, exempt_local, FIREWALL % source)
        self.rules = (form, exempt_local, source)

    def _make_rules(self, form, exempt_local, config):
        def firewall(verb):
            return self.gateway.run(
                os.environ["UNATATP"], "firewall", verb, "--backend", form,
                "-c", "/dev/stdin", text=config)
        if exempt_local:
            firewall("up")
        else:
            self.gateway.run("sh", "-eu",
                             text=EXEMPTION.sub("", firewall("show")))

    def forget_rules(self):
        """Somebody else makes the rules for a while."""
        self.rules = None

    def sockets(self, *filters):
        """What ss(8) says about the gateway's sockets, one line each."""
        return self.gateway.run("ss", "-tinmoeHO", *filters).splitlines()


def available_congestion():
    """The algorithms that this kernel has."""
    with open("/proc/sys/net/ipv4/tcp_available_congestion_control",
              encoding="ascii") as file:
        return file.read().split()


@contextlib.contextmanager
def allowed_congestion():
    """
    Lets everybody use every algorithm. The list is one for the whole
    machine; it is put back as it was.
    """
    path = "/proc/sys/net/ipv4/tcp_allowed_congestion_control"
    with open(path, encoding="ascii") as file:
        before = file.read().split()
    missing = [one for one in available_congestion() if one not in before]
    if missing:
        with open(path, "w", encoding="ascii") as file:
            file.write(" ".join(before + missing))
    try:
        yield
    finally:
        if missing:
            with open(path, "w", encoding="ascii") as file:
                file.write(" ".join(before))
