"""
The arms: what carries the bytes across the gateway. Each knows its rules and
its program; `standing` is one that runs, in one lab.
"""

import os
import re
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
DESCRIPTORS = 20000	# what every proxy may open
PATIENCE = 10		# seconds until a proxy listens
TICKS = os.sysconf("SC_CLK_TCK")


def tree(name):
    """The path of a file of the folder `arms`."""
    return os.path.join(HERE, "arms", name)


def version(argv):
    """The first line of what a program says about its version."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10)
    except OSError:
        return None
    text = (done.stdout or done.stderr).strip()
    return text.splitlines()[0] if text else None


class Arm:
    """The kernel alone: rules of nft, or none."""

    def __init__(self, name, title, rules=None, sender="cubic"):
        self.name, self.title, self.rules = name, title, rules
        self.sender = sender	# the server's congestion control
        self.proxy = False

    def missing(self):
        """Why the arm cannot run here, or None."""
        return None

    def version(self):
        """What the results call the program."""
        return "Linux " + os.uname().release

    def start(self, lab):
        """Puts the rules into a lab; returns the standing arm."""
        lab.server.sysctl(ipv4__tcp_congestion_control=self.sender)
        if self.rules:
            with open(tree(self.rules), encoding="ascii") as file:
                lab.gateway.nft(file.read())
        return Standing(self, None)


class Proxy(Arm):
    """A proxy behind TPROXY."""

    def __init__(self, name, title, program, argv):
        super().__init__(name, title, "tproxy.nft")
        self.program, self.argv = program, argv
        self.proxy = True

    def missing(self):
        if not self.program or not shutil.which(self.program):
            return "%s: no such program" % (self.program or self.name)
        return None

    def version(self):
        return version([self.program, "-v" if "haproxy" in self.name
                        else "--version"])

    def start(self, lab):
        super().start(lab)
        lab.gateway.ip("""
            rule add fwmark 0x100 lookup 100
            route add local default dev lo table 100
        """)
        child = lab.spawn(lab.gateway, [
            shutil.which("prlimit"), "--nofile=%d" % DESCRIPTORS,
            shutil.which(self.program)] + self.argv)
        end = time.monotonic() + PATIENCE
        while not listens(lab.gateway):
            if child.poll() is not None or time.monotonic() > end:
                raise RuntimeError("%s does not listen" % self.name)
            time.sleep(0.01)
        return Standing(self, child)


class Standing:
    """An arm that runs: its CPU, its memory, its descriptors."""

    def __init__(self, arm, child):
        self.arm, self.child = arm, child
        self.pid = child.pid if child else None

    def check(self):
        """Fails when the proxy has gone: the kernel would carry on."""
        if self.child and self.child.poll() is not None:
            raise RuntimeError("%s ended with %d" %
                               (self.arm.name, self.child.returncode))

    def cpu(self):
        """Seconds of CPU of all its threads."""
        if not self.pid:
            return 0.0
        spent = 0
        base = "/proc/%d/task" % self.pid
        for task in os.listdir(base):
            with open("%s/%s/schedstat" % (base, task),
                      encoding="ascii") as file:
                spent += int(file.read().split()[0])
        return spent / 1e9

    def resident(self):
        """Bytes of memory that it holds."""
        if not self.pid:
            return 0
        # Exact; VmRSS lags behind by some pages a CPU.
        with open("/proc/%d/smaps_rollup" % self.pid,
                  encoding="ascii") as file:
            return 1024 * int(re.search(r"Rss:\s+(\d+)", file.read())[1])

    def descriptors(self):
        """How many it has open."""
        return len(os.listdir("/proc/%d/fd" % self.pid)) if self.pid else 0


def listens(ns):
    """Whether somebody listens on the proxy's port."""
    with ns, open("/proc/thread-self/net/tcp", encoding="ascii") as file:
        return ":270F 00000000:0000 0A" in file.read()


def machine_cpu():
    """Seconds that the machine's CPUs were busy; what was stolen is not."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(one) for one in file.readline().split()[1:9]]
    user, nice, system, _, _, irq, softirq, _ = fields
    return (user + nice + system + irq + softirq) / TICKS


def present(chosen):
    """Those of the arms that can run here; why others cannot is told."""
    for arm in chosen:
        if arm.missing():
            print("without %s: %s" % (arm.name, arm.missing()),
                  file=sys.stderr)
    return [arm for arm in chosen if not arm.missing()]


def makers(haproxy, unatatp):
    """What makes an arm of either proxy; FILE: its configuration."""
    def hap(name, title):
        return Proxy(name, title, haproxy,
                     ["-db", "-q", "-f", tree(name + ".cfg")])

    def una(name, title, file=None):
        return Proxy(name, title, unatatp, [
            "run", "-c", tree((file or name) + ".conf")])
    return hap, una


def link_arms(haproxy, unatatp):
    """The arms of the bench on a lossy link."""
    hap, una = makers(haproxy, unatatp)
    return [
        Arm("direct", "plain forwarding"),
        una("cubic", "unatatp, cubic", "unatatp"),
        una("bbr", "unatatp, BBR on the client leg", "unatatp-bbr"),
        una("cubic-iw30", "unatatp, cubic, initial window 30",
            "unatatp-iw30"),
        una("bbr-iw30", "unatatp, BBR, initial window 30",
            "unatatp-bbr-iw30"),
        hap("haproxy", "HAProxy"),
        una("auto", "unatatp, chosen by what flows achieve", "unatatp-auto"),
    ]


def delay_arms(unatatp):
    """
    The arms of the delay inside a flow: each congestion control end to end,
    split without a bound, and split with one.
    """
    _, una = makers(None, unatatp)
    return [
        Arm("direct", "plain forwarding"),
        una("cubic", "unatatp, cubic", "unatatp"),
        una("cubic-50ms", "the same, latency 50ms", "unatatp-50ms"),
        Arm("direct-bbr", "plain forwarding, BBR", sender="bbr"),
        una("bbr", "unatatp, BBR on the client leg", "unatatp-bbr"),
        una("bbr-50ms", "the same, latency 50ms", "unatatp-bbr-50ms"),
    ]


def all_arms(haproxy, unatatp):
    """Every arm, in the order of the tables."""
    hap, una = makers(haproxy, unatatp)
    return [
        Arm("forward", "plain forwarding"),
        Arm("nat", "kernel NAT", "nat.nft"),
        hap("haproxy", "HAProxy"),
        hap("haproxy-auto", "HAProxy splice-auto"),
        hap("haproxy-256k", "HAProxy 256K buffers"),
        hap("haproxy-splice", "HAProxy all splice"),
        una("unatatp", "unatatp"),
        una("unatatp-copy", "unatatp, splice_after 0"),
        una("unatatp-splice", "unatatp, splice_after 1"),
    ]
