"""unatatp doctor: no false alarm on a right gateway; on a broken one it
names what is wrong, and the commands that it prints mend it."""

import json
import os
import re
import signal
import subprocess
import tempfile
import time
import types

import pytest

import gateways
import lab as places
from daemon import BASE, Daemon, binary, config_text, merge
from lab import eventually

# Root stays root: one daemon is reloaded with whatever a test wants.
CONF = merge(BASE, {
    "user": "",
    "firewall": {"interfaces": ["lan"]},
    "policies": [{"name": "all", "client": {"congestion": "cubic"}}]})
FIREWALL_UP = "unatatp firewall up -c "
CLIENT_IP = {"policies": [{"name": "all", "source": "clientip"}]}
CLIENT_PORT = {"policies": [{"name": "all", "source": "client"}]}


class Gateway:
    """The lab's gateway, put back as it should be before each test."""

    def __init__(self, lab, folder):
        self.lab = lab
        self.ns = lab.gateway
        self.folder = folder
        self.file = os.path.join(folder, "unatatp.conf")
        self.daemon = None
        self.fakes = []
        self.env = dict(os.environ, PATH="%s:%s" % (
            os.path.dirname(binary()), os.environ["PATH"]))

    def reset(self, form, conf):
        """A right gateway, with rules in FORM, and a daemon."""
        self.fakes = []
        self.sh("""
            nft flush ruleset
            ip rule flush; ip -6 rule flush
            for f in -4 -6; do
                ip $f rule add pref 32766 lookup main
                ip $f route flush table 100 2>/dev/null || :
                ip $f route flush root 2001:2::/32 2>/dev/null || :
            done
            ip rule add pref 32767 lookup default
            ip link set lan up
            for a in lan/src_valid_mark=0 all/src_valid_mark=1 \
                    lan/rp_filter=1 all/rp_filter=0; do
                echo ${a#*=} >/proc/sys/net/ipv4/conf/${a%=*}
            done
            echo 0 >/proc/sys/net/ipv4/tcp_fwmark_accept
            echo 1 >/proc/sys/net/ipv4/ip_forward
            echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
            echo 10000 60999 >/proc/sys/net/ipv4/ip_local_port_range
            echo >/proc/sys/net/ipv4/ip_local_reserved_ports
            echo 4096 131072 8388608 >/proc/sys/net/ipv4/tcp_rmem
            echo 4096 65536 8388608 >/proc/sys/net/ipv4/tcp_wmem
        """)
        self.run_with(conf)
        if form in ("nft", "iptables"):
            self.sh("unatatp firewall up -c %s --backend %s" % (self.file,
                                                                form))
        elif form != "none":
            self.sh(gateways.ROUTES + gateways.BY_HAND[form])

    def run_with(self, conf):
        """A daemon that runs with CONF; one that is there stays."""
        if self.daemon is not None and self.daemon.is_running():
            self.daemon.write(conf)
            self.sh("unatatp reload -c %s" % self.file)
        else:
            self.daemon = Daemon(self.ns, self.folder, options=conf).start()

    def change(self, conf):
        """The file changes, later than it was loaded."""
        loaded = json.loads(self.sh("unatatp show stats --json -c %s" %
                                    self.file).stdout)["loaded"]
        eventually(lambda: time.time() >= loaded + 1.1)
        self.daemon.write(merge(self.daemon.options, conf))

    def stop(self):
        """Ends the daemon, and whoever else listens."""
        if self.daemon:
            self.daemon.end()
        self.ns.kill_all()
        self.daemon = None
        eventually(lambda: ":9999" not in self.ns.run("ss", "-Hltn"))

    def fake(self, path, text):
        """A setting of the whole machine, for the commands of one test."""
        file = os.path.join(self.folder, "fake%d" % len(self.fakes))
        with open(file, "w", encoding="ascii") as out:
            out.write(text + "\n")
        self.fakes.append((file, path))

    def sh(self, lines, check=True):
        """Runs lines of shell; any that fails ends it."""
        argv = ["sh", "-eu", "-c", lines]
        if self.fakes:
            mounts = "".join("mount --bind %s %s\n" % one
                             for one in self.fakes)
            argv = ["unshare", "-m", "sh", "-eu", "-c",
                    mounts + 'exec sh -eu -c "$1"', "sh", lines]
        with self.ns:
            done = subprocess.run(argv, capture_output=True, text=True,
                                  timeout=30, check=False, env=self.env)
        if check:
            assert done.returncode == 0, (lines, done.stdout, done.stderr)
        return done

    def doctor(self, *args):
        """(status, the JSON) of doctor."""
        done = self.sh("unatatp doctor -c %s --json %s" % (
            self.file, " ".join(args)), check=False)
        assert not re.search("Sanitizer|runtime error", done.stderr), \
            done.stderr
        return done.returncode, json.loads(done.stdout)

    def faults(self, *args):
        """{id: check} of what doctor calls a warning or a failure."""
        status, said = self.doctor(*args)
        found = {one["id"]: one for one in said["checks"]
                 if one["verdict"] in ("warning", "failure")}
        worst = max([{"warning": 1, "failure": 2}[one["verdict"]]
                     for one in found.values()], default=0)
        assert status == worst
        assert said["verdict"] == ["ok", "warning", "failure"][worst]
        return found


@pytest.fixture(scope="module")
def place(machine):
    """One gateway for all tests here, and not the others' lab."""
    # pylint: disable=unused-argument
    lab = places.Lab()
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        gateway = Gateway(lab, folder)
        try:
            yield gateway
        finally:
            gateway.stop()
            lab.close()


# What breaks a gateway, one thing each: (id, form, shell, how). HOW may have
# conf (merged into the file), late (merged after the daemon loaded it), args
# (of doctor), fake {path: text}, finds (text of the finding), also (what else
# must be named), call (a function of the gateway), undo (shell), mend (how the
# commands begin; "none": they are for a person).


def nft_rule(chain, rule, hook, priority="filter", policy="accept",
             family="inet", kind="filter"):
    """Shell that makes a table of somebody else."""
    return ("nft -f - <<'E'\ntable %s other {\n chain %s {\n type %s hook "
            "%s priority %s; policy %s;\n %s\n }\n}\nE" %
            (family, chain, kind, hook, priority, policy, rule))


def squat(gateway):
    """Somebody else listens on the IPv4 address."""
    conf = merge(gateway.daemon.options, {
        "listen": [{"address": "127.0.0.1", "port": 9999}]})
    with open(gateway.file, "w", encoding="ascii") as file:
        file.write(config_text(conf))
    gateway.stop()
    with gateway.ns:
        subprocess.Popen(  # pylint: disable=consider-using-with
            ["setpriv", "--pdeathsig", "KILL", "/usr/bin/python3", "-c",
             "import socket, signal\ns = socket.create_server(('127.0.0.1', "
             "9999))\nsignal.pause()"])
    eventually(lambda: ":9999" in gateway.ns.run("ss", "-Hltn"))


def few_descriptors(gateway):
    """The daemon may have 100 descriptors."""
    gateway.sh("prlimit --pid %d --nofile=100:" % gateway.daemon.pid)


def refused(gateway):
    """A reload was refused, and the file is as it was again."""
    good = gateway.daemon.options
    gateway.daemon.write_text(config_text(good) + "bogus = 1;\n")
    assert gateway.sh("unatatp reload -c %s" % gateway.file,
                      check=False).returncode == 78
    gateway.daemon.write(good)


def without_capability(gateway):
    """A daemon on sockets that it was given, without any capability."""
    gateway.stop()
    with gateway.ns:
        subprocess.Popen(  # pylint: disable=consider-using-with
            ["setpriv", "--pdeathsig", "KILL", "--inh-caps=-all",
             "--bounding-set=-all", "/usr/bin/python3", "-c",
             "import socket, signal\n"
             "open('/proc/self/comm', 'w').write('unatatp')\n"
             "s = socket.create_server(('127.0.0.1', 9999))\n"
             "t = socket.create_server(('::1', 9999), family=socket."
             "AF_INET6)\nsignal.pause()"])
    eventually(lambda: gateway.ns.run("ss", "-Hltn").count(":9999") == 2)


BROKEN = [
    # The rules of ip(8).
    ("rule-ipv4", "nft", "ip rule del pref 32765", {}),
    ("rule-ipv6", "nft", "ip -6 rule del pref 32765", {}),
    ("rule-ipv4", "iptables", "ip rule del pref 32765; ip rule add "
     "fwmark 0x200/0xf00 iif lan lookup 100", {}),
    ("rule-ipv4", "nft", "ip rule del pref 32765; ip rule add "
     "fwmark 0x100 iif lan lookup 100", {}),
    ("rule-ipv6", "nft", "ip -6 rule del pref 32765; ip -6 rule add "
     "fwmark 0x100/0xf00 iif wan lookup 100", {}),
    ("rule-ipv4", "nft", "ip rule del pref 32765; ip rule add "
     "fwmark 0x100/0xf00 iif lan lookup 101", {}),
    ("rule-ipv4", "nft", "ip link add lan2 type veth peer name lan3; "
     "ip link set lan2 up; ip rule del fwmark 0x100/0xf00 iif lan2 lookup 100",
     {"conf": {"firewall": {"interfaces": ["lan", "lan2"]}},
      "undo": "ip link del lan2"}),
    ("rule-ipv6", "hand-nft", "ip -6 rule del pref 32765", {}),
    ("rule-ipv4", "hand-iptables", "ip rule del pref 32765; ip rule add "
     "fwmark 0x200/0xf00 iif lan lookup 100", {}),
    ("src-valid-mark", "nft", "ip rule del pref 32765; ip rule add "
     "fwmark 0x100/0xf00 lookup 100", {}),
    ("rule-iif-ipv4", "nft", "echo 0 >/proc/sys/net/ipv4/conf/all/"
     "src_valid_mark; ip rule del pref 32765; ip rule add "
     "fwmark 0x100/0xf00 lookup 100", {}),
    ("rule-iif-ipv6", "nft", "ip -6 rule del pref 32765; ip -6 rule add "
     "fwmark 0x100/0xf00 lookup 100", {}),
    ("rule-order-ipv4", "nft", "ip rule del pref 32765; ip rule add pref "
     "40000 fwmark 0x100/0xf00 iif lan lookup 100", {}),
    ("rule-order-ipv6", "nft", "ip -6 rule del pref 32765; ip -6 rule add "
     "pref 40000 fwmark 0x100/0xf00 iif lan lookup 100", {}),
    ("rule-order-ipv4", "nft", "ip route add default via 10.72.0.2 table "
     "777; ip rule add pref 1000 not fwmark 0xca6c lookup 777",
     {"undo": "ip route flush table 777"}),
    ("rule-clash-ipv4", "nft", "ip rule add pref 500 fwmark 0x100/0x100 "
     "lookup 200", {}),
    ("rule-clash-ipv6", "nft", "ip -6 rule add pref 500 fwmark 0x1100/0xff00 "
     "lookup 200", {}),
    # The table.
    ("route-ipv4", "nft", "ip route flush table 100", {}),
    ("route-ipv6", "nft", "ip -6 route flush table 100", {}),
    ("route-ipv4", "nft", "ip route flush table 100; ip route add "
     "default via 10.72.0.2 table 100", {}),
    ("route-ipv6", "nft", "ip -6 route flush table 100; ip -6 route add "
     "unreachable default table 100", {}),
    ("route-other-ipv4", "nft", "ip route add unreachable 10.9.0.0/16 "
     "table 100", {}),
    ("route-other-ipv6", "nft", "ip -6 route add 2001:db8::/32 dev wan "
     "table 100", {}),
    # The capture.
    ("capture-ipv4", "nft", "nft flush chain inet unatatp prerouting; "
     "nft add rule inet unatatp prerouting iifname lan meta nfproto ipv6 "
     "meta l4proto tcp jump from_clients", {"mend": FIREWALL_UP}),
    ("capture-ipv6", "iptables", "ip6tables -t mangle -F PREROUTING",
     {"mend": FIREWALL_UP}),
    ("capture-target-ipv4", "nft", "nft -a list chain inet unatatp take_new "
     "| sed -n 's/.*tproxy ip to 127.*handle //p' | { read h; nft replace "
     "rule inet unatatp take_new handle $h meta l4proto tcp tproxy ip to "
     "127.0.0.1:9998 goto divert_new; }", {"mend": FIREWALL_UP}),
    ("capture-mark-ipv6", "iptables", "ip6tables -t mangle -A UNATATP_TAKE "
     "-p tcp -j TPROXY --on-port 9999 --on-ip ::1 --tproxy-mark 0x200/0xf00; "
     "ip6tables -t mangle -D UNATATP_TAKE -p tcp -j TPROXY --on-port 9999 "
     "--on-ip ::1 --tproxy-mark 0x100/0xf00", {"mend": FIREWALL_UP}),
    ("established-ipv6", "nft", "nft insert rule inet unatatp from_clients "
     "meta nfproto ipv6 tcp flags '& (fin | syn | rst | ack) != syn' "
     "socket transparent 1 accept", {"mend": FIREWALL_UP}),
    ("syn-cookies-ipv4", "iptables", "iptables -t mangle -F UNATATP_LATER",
     {"mend": FIREWALL_UP}),
    ("own-address-ipv4", "nft", "nft insert rule inet unatatp from_clients "
     "meta nfproto ipv4 tcp flags '& (fin | syn | rst | ack) == syn' "
     "goto new_flow", {"mend": FIREWALL_UP}),
    ("own-address-ipv6", "iptables", "ip6tables -t mangle -D UNATATP_IN "
     "-m addrtype --dst-type LOCAL -j RETURN", {"mend": FIREWALL_UP}),
    ("capture-ipv4", "hand-nft", "nft flush chain inet unatatp prerouting; "
     "nft add rule inet unatatp prerouting iifname lan meta nfproto ipv6 "
     "meta l4proto tcp jump from_lan", {"mend": FIREWALL_UP}),
    ("capture-target-ipv4", "hand-nft", "nft -a list chain inet unatatp new_flow "
     "| sed -n 's/.*tproxy ip to 127.*handle //p' | { read h; nft replace "
     "rule inet unatatp new_flow handle $h meta l4proto tcp tproxy ip to "
     "127.0.0.1:9998 goto take; }", {}),
    ("capture-target-ipv6", "hand-nft", "nft -a list chain inet unatatp new_flow "
     "| sed -n 's/.*tproxy ip6 to .*handle //p' | { read h; nft replace "
     "rule inet unatatp new_flow handle $h meta l4proto tcp tproxy ip6 to "
     "'[::2]:9999' goto take; }", {}),
    ("capture-target-ipv4", "hand-iptables", "iptables -t mangle -R UNATATP 4 "
     "-p tcp -m connmark --mark 0x100/0xf00 -j TPROXY --on-ip 127.0.0.1 "
     "--on-port 3128 --tproxy-mark 0x100/0xf00", {}),
    ("capture-mark-ipv4", "hand-iptables", "iptables -t mangle -R UNATATP 4 "
     "-p tcp -m connmark --mark 0x100/0xf00 -j TPROXY --on-ip 127.0.0.1 "
     "--on-port 9999 --tproxy-mark 0x1/0x1", {}),
    ("capture-mark-ipv6", "terse", "nft -a list chain inet lab take "
     "| sed -n 's/.*tproxy ip6 to .*handle //p' | { read h; nft replace "
     "rule inet lab take handle $h meta nfproto ipv6 meta l4proto tcp "
     "tproxy ip6 to '[::1]:9999' meta mark set 'meta mark & 0xfffff0ff | "
     "0x200 ct mark set ct mark & 0xfffff0ff | 0x100' accept; }", {}),
    ("capture-mark-ipv4", "terse", "nft -a list chain inet lab take "
     "| sed -n 's/.*tproxy ip to .*handle //p' | { read h; nft replace "
     "rule inet lab take handle $h meta nfproto ipv4 meta l4proto tcp "
     "tproxy ip to 127.0.0.1:9999 ct mark set 'ct mark & 0xfffff0ff | "
     "0x100' accept; }", {}),
    ("established-ipv4", "hand-iptables", "iptables -t mangle -D UNATATP 2; "
     "iptables -t mangle -R UNATATP 3 -p tcp --syn -m connmark --mark "
     "0x100/0xf00 -j TPROXY --on-ip 127.0.0.1 --on-port 9999 "
     "--tproxy-mark 0x100/0xf00", {"also": ["syn-cookies-ipv4"]}),
    ("syn-cookies-ipv4", "hand-iptables", "iptables -t mangle -R UNATATP 4 -p "
     "tcp --syn -m connmark --mark 0x100/0xf00 -j TPROXY --on-ip 127.0.0.1 "
     "--on-port 9999 --tproxy-mark 0x100/0xf00", {"mend": FIREWALL_UP}),
    ("established-ipv4", "terse", "nft flush chain inet lab prerouting; "
     "nft add rule inet lab prerouting fib daddr type local accept; "
     "nft add rule inet lab prerouting iifname lan meta l4proto tcp "
     "meta nfproto ipv6 tcp flags '& (fin | syn | rst | ack) != syn' "
     "socket transparent 1 meta mark set 0x100 accept; "
     "nft add rule inet lab prerouting iifname lan socket transparent 0 "
     "meta l4proto tcp jump take; nft add rule inet lab prerouting iifname "
     "lan tcp flags '& (fin | syn | rst | ack) == syn' jump take", {}),
    ("established-ipv6", "hand-nft", "nft insert rule inet unatatp from_lan "
     "'meta nfproto ipv6 tcp flags & (fin | syn | rst | ack) != syn socket "
     "transparent 1 meta mark set meta mark & 0xfffff0ff | 0x200 accept'",
     {}),
    ("syn-cookies-ipv6", "hand-nft", "nft -a list chain inet unatatp from_lan "
     "| sed -n 's/.*taken_flow.*handle //p' | { read h; nft replace rule "
     "inet unatatp from_lan handle $h meta nfproto ipv4 ct mark '& 0xf00 == "
     "0x100' goto taken_flow; }", {"mend": FIREWALL_UP}),
    ("own-address-ipv4", "hand-iptables", "iptables -t mangle -D UNATATP 1", {}),
    ("own-address-ipv6", "hand-iptables", "ip6tables -t mangle -D UNATATP 1", {}),
    # Other rules.
    ("prerouting-drop-ipv4", "nft", nft_rule(
        "p", "tcp dport 0-65535 drop", "prerouting", "raw", family="ip"), {}),
    ("prerouting-drop-ipv6", "iptables", "ip6tables -t raw -A PREROUTING "
     "-i lan -p tcp -j DROP", {}),
    ("notrack-ipv4", "iptables", "iptables -t raw -A PREROUTING -i lan "
     "-p tcp -j CT --notrack", {}),
    ("notrack-ipv6", "nft", nft_rule(
        "p", "iifname lan tcp dport 443 notrack", "prerouting", "raw",
        family="ip6"), {}),
    ("redirect-ipv4", "nft", "iptables -t nat -A PREROUTING -i lan -p tcp "
     "--dport 80 -j REDIRECT --to-ports 3128", {}),
    ("redirect-ipv6", "nft", nft_rule(
        "p", "iifname lan meta l4proto tcp redirect to :3128", "prerouting",
        "dstnat", family="ip6", kind="nat"), {}),
    ("input-ipv4", "nft", nft_rule(
        "i", "ct state vmap { established : accept, related : accept, "
        "invalid : drop }\n iifname lo accept\n tcp dport { 22, 53 } accept",
        "input", policy="drop", family="ip"), {}),
    ("input-ipv4", "nft", "nft -f - <<'E'\ntable ip other {\n"
     " set served { type inet_service; elements = { 22, 53 }; }\n"
     " map known { type ct_state : verdict;\n"
     "  elements = { established : accept, related : accept }; }\n"
     " chain i { type filter hook input priority filter; policy drop;\n"
     "  ct state vmap @known\n tcp dport @served accept\n }\n}\nE", {}),
    ("input-ipv6", "nft", nft_rule(
        "i", "ct state established,related accept\n tcp dport 22 accept\n"
        "reject", "input", family="ip6"), {}),
    ("input-ipv4", "iptables", "iptables -A INPUT -m conntrack --ctstate "
     "RELATED,ESTABLISHED -j ACCEPT; iptables -A INPUT -p tcp --dport 22 "
     "-j ACCEPT; iptables -P INPUT DROP", {}),
    ("input-ipv6", "iptables", "ip6tables -A INPUT -i lan -p tcp --syn "
     "-j REJECT", {}),
    ("input-ipv4", "nft", "iptables-legacy -A INPUT -p tcp --syn -j REJECT",
     {"undo": "iptables-legacy -F", "mend": "iptables-legacy -t filter -I"}),
    ("output-ipv4", "nft", nft_rule(
        "o", "ct state established accept\n udp dport 53 accept", "output",
        policy="drop", family="ip"), {}),
    ("output-ipv6", "iptables", "ip6tables -A OUTPUT -p tcp --syn -j REJECT",
     {}),
    ("forward-ipv4", "nft", "iptables -A FORWARD -i lan -p tcp --dport 25 "
     "-j DROP", {"mend": "none"}),
    ("forward-ipv6", "iptables", nft_rule(
        "f", "ct state established accept", "forward", policy="drop",
        family="ip6"), {"mend": "none"}),
    ("masquerade-ipv4", "nft", "nft flush chain inet unatatp keep_source; "
     "iptables -t nat -A POSTROUTING -o wan -j MASQUERADE",
     {"conf": CLIENT_IP}),
    ("masquerade-ipv6", "iptables", "ip6tables -t nat -F UNATATP; " + nft_rule(
        "n", "ip6 saddr fd71::/16 masquerade", "postrouting", "srcnat",
        family="ip6", kind="nat"), {"conf": CLIENT_PORT}),
    ("masquerade-ipv4", "iptables", nft_rule(
        "n", "oifname wan masquerade", "postrouting", "srcnat",
        family="ip", kind="nat"), {"conf": CLIENT_IP}),
    ("return-ipv4", "nft", "nft flush chain inet unatatp zone_in", {
        "conf": CLIENT_PORT, "also": ["return-ipv6"],
        "mend": FIREWALL_UP}),
    ("return-ipv6", "iptables", "ip6tables -t mangle -D UNATATP 2", {
        "conf": CLIENT_IP, "mend": FIREWALL_UP}),
    ("return-ipv6", "nft", "nft insert rule inet unatatp zone_out "
     "meta nfproto ipv6 accept", {"conf": CLIENT_PORT, "mend": FIREWALL_UP,
                                  "finds": "another zone of conntrack"}),
    ("return-ipv4", "hand-nft", "ip rule add fwmark 0x100/0xf00 lookup 100 "
     "pref 98; ip rule add pref 97 iif lo goto 32766", {
         "conf": CLIENT_IP, "also": ["return-ipv6", "return-rule-ipv6"],
         "mend": FIREWALL_UP}),
    ("return-ipv4", "iptables", "iptables -t raw -F; iptables -t raw -X", {
        "conf": CLIENT_PORT, "mend": FIREWALL_UP}),
    ("return-rule-ipv4", "nft", "ip rule del pref 118", {
        "conf": CLIENT_PORT, "mend": FIREWALL_UP}),
    ("return-rule-ipv6", "iptables", "ip -6 rule del pref 118", {
        "conf": CLIENT_IP, "mend": FIREWALL_UP}),
    ("src-valid-mark", "nft", "ip rule del pref 117", {
        "conf": CLIENT_IP, "mend": FIREWALL_UP}),
    ("src-valid-mark", "iptables", "ip rule del pref 117; ip rule add "
     "pref 150 iif lo goto 32766", {"conf": CLIENT_IP, "mend": FIREWALL_UP}),
    ("source-allowed", "nft", ":", {
        "call": without_capability, "conf": CLIENT_IP, "mend": "none"}),
    ("mark-clash", "nft", "iptables -t mangle -A PREROUTING -i wan -p udp "
     "-j MARK --set-mark 0x300", {}),
    ("mark-clash", "iptables", nft_rule(
        "p", "iifname wan udp dport 5000 meta mark set 0x100",
        "prerouting"), {}),
    ("conntrack-mark-clash", "nft", "iptables -t mangle -A POSTROUTING "
     "-o wan -j CONNMARK --set-xmark 0x700/0xf00", {}),
    # Settings.
    ("tcp-fwmark-accept", "nft", "echo 1 >/proc/sys/net/ipv4/"
     "tcp_fwmark_accept", {}),
    ("ip-forward", "nft", "echo 0 >/proc/sys/net/ipv4/ip_forward", {}),
    ("ipv6-forwarding", "nft", "echo 0 >/proc/sys/net/ipv6/conf/all/"
     "forwarding", {}),
    ("rp-filter", "nft", "ip route add 10.71.8.0/24 dev wan",
     {"conf": {"policies": [{"name": "far", "sources": ["10.71.8.0/24"]}]},
      "undo": "ip route del 10.71.8.0/24"}),
    ("initial-window", "nft",
     "echo 1 >/proc/sys/net/ipv4/tcp_slow_start_after_idle",
     {"conf": {"policies": [
         {"name": "all", "client": {"initial_window": 30}}]}}),
    ("local-ports", "nft", "echo 40000 40100 >/proc/sys/net/ipv4/"
     "ip_local_port_range", {}),
    ("reserved-port", "nft", "echo 1024 60999 >/proc/sys/net/ipv4/"
     "ip_local_port_range; echo 8080 >/proc/sys/net/ipv4/"
     "ip_local_reserved_ports", {}),
    ("tcp-rmem", "nft", "echo 4096 131072 1048576 >/proc/sys/net/ipv4/"
     "tcp_rmem", {"args": ["--link", "100M,150ms"]}),
    ("tcp-wmem", "nft", "echo 4096 131072 1048576 >/proc/sys/net/ipv4/"
     "tcp_wmem", {"args": ["--link", "100M,150ms"]}),
    ("link-buffers", "nft", ":", {
        "args": ["--link", "100M,150ms"], "mend": "none",
        "conf": {"policies": [{"name": "all",
                               "client": {"sndbuf": "64K"}}]}}),
    ("conntrack", "nft", ":", {"fake": {
        "netfilter/nf_conntrack_max": "100",
        "netfilter/nf_conntrack_count": "95"}}),
    ("bridge-netfilter", "nft", "ip link add br0 type bridge; "
     "ip link set br0 up", {
         "conf": {"firewall": {"interfaces": ["br0"]}},
         "fake": {"bridge/bridge-nf-call-iptables": "1",
                  "bridge/bridge-nf-call-ip6tables": "0"},
         "undo": "ip link del br0"}),
    # The process, the interface, the kernel.
    ("listener-ipv4", "nft", ":", {
        "late": {"listen": [{"address": "127.0.0.1", "port": 9999},
                            {"address": "127.0.0.3", "port": 9999},
                            {"address": "::1", "port": 9999}]},
        "also": ["loaded"], "mend": "unatatp reload -c "}),
    ("listener-ipv6", "iptables", ":", {
        "call": Gateway.stop, "also": ["listener-ipv4"],
        "mend": "unatatp run -d -c "}),
    ("loaded", "nft", ":", {"late": {"log": {"level": "notice"}},
                            "mend": "unatatp reload -c "}),
    ("loaded", "iptables", ":", {"call": refused,
                                 "mend": "unatatp check -c "}),
    ("listener-owner", "nft", ":", {"call": squat}),
    ("descriptors", "nft", ":", {
        "call": few_descriptors, "conf": {"limits": {"flows": 1000}}}),
    ("interfaces", "nft", ":", {
        "conf": {"firewall": {"interfaces": ["lan", "lan9"]}},
        "mend": "none"}),
    ("interface-up", "nft", "ip link set lan down", {}),
    ("congestion-allowed", "nft", ":", {
        "call": without_capability,
        "fake": {"ipv4/tcp_allowed_congestion_control": "reno",
                 "ipv4/tcp_available_congestion_control": "reno cubic"}}),
    ("congestion", "nft", ":", {
        "conf": {"policies": [{"name": "all",
                               "server": {"congestion": "vegas"}}]},
        "fake": {"ipv4/tcp_available_congestion_control": "reno cubic"},
        "mend": "none"}),
]


def name_of(row):
    """A test's name."""
    return "%s-%s" % (row[0], row[1])


RIGHT = ["nft", "iptables", "hand-nft", "hand-iptables", "terse"]


@pytest.mark.parametrize("form", RIGHT)
def test_right(place, form):
    """A right gateway is clean, with wg-quick's setting, its rules, and a
    firewall that lets the mark in."""
    place.reset(form, CONF)
    place.sh(gateways.WG_QUICK + """
        iptables -A INPUT -m mark --mark 0x100/0xf00 -j ACCEPT
        iptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        iptables -A INPUT -p tcp --dport 22 -j ACCEPT
        iptables -P INPUT DROP
        iptables -t nat -A POSTROUTING -o wan -j MASQUERADE
    """)
    assert place.faults("--link", "100M,150ms") == {}


@pytest.mark.parametrize("source", ["gateway", "clientip", "client"])
@pytest.mark.parametrize("form", ["nft", "iptables"])
def test_right_source(place, form, source):
    """So is what the firewall command makes for each kind of source, with
    a policy that rejects, wg-quick, masquerading, and a filter beside it."""
    place.reset(form, merge(CONF, {"policies": [
        {"name": "no", "action": "reject", "sources": ["10.71.1.0/24"]},
        {"name": "past", "action": "bypass", "destinations": ["10.0.0.0/8"],
         "ports": ["25", "100-200"]},
        {"name": "all", "source": source}]}))
    place.sh(gateways.WG_QUICK + """
        iptables -t nat -A POSTROUTING -o wan -j MASQUERADE
        ip6tables -t nat -A POSTROUTING -j MASQUERADE
        iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP
    """)
    assert place.faults() == {}
    assert {one["id"] for one in place.doctor()[1]["checks"]
            if one["verdict"] != "ok"} == set()


@pytest.mark.parametrize("source", ["gateway", "client"])
@pytest.mark.parametrize("form", ["nft", "iptables"])
def test_right_any_address(place, form, source):
    """Listeners for any address: their rules have more to say."""
    place.stop()	# one for any address cannot take over
    place.reset(form, merge(CONF, {
        "listen": [{"address": "0.0.0.0", "port": 9999},
                   {"address": "::", "port": 9999}],
        "policies": [{"name": "all", "source": source}]}))
    said = place.doctor()[1]["checks"]
    place.stop()
    assert {one["id"]: one["finding"] for one in said
            if one["verdict"] != "ok"} == {}


@pytest.mark.parametrize("form", ["nft", "iptables"])
@pytest.mark.parametrize("name", gateways.OTHERS)
def test_right_beside(place, form, name):
    """No false alarm beside what other programs make of a packet filter,
    once it lets the mark in; only filters of FORWARD are named."""
    shell, forward = gateways.OTHERS[name]
    # What iptables exempts from masquerading nft's chains take up anew.
    place.reset(form, merge(CONF, CLIENT_PORT if form == "nft" else {}))
    place.sh(shell)
    assert set(place.faults()) == set(forward)


def test_initial_window_of_bbr(place):
    """A silence does not end it there: no alarm."""
    place.reset("nft", merge(CONF, {"policies": [
        {"name": "all", "client": {"congestion": "bbr",
                                   "initial_window": 30}}]}))
    place.sh("echo 1 >/proc/sys/net/ipv4/tcp_slow_start_after_idle")
    assert place.faults() == {}


def test_names_no_interface(place):
    """Where the file names no interface, those of the ip rules are meant."""
    place.reset("hand-nft", merge(CONF, {"firewall": {"interfaces": []}}))
    assert place.faults() == {}
    place.sh("ip -6 route flush table 100")
    assert set(place.faults()) == {"route-ipv6"}


def test_text(place):
    """The text names the fault and its mend; JSON has the fields that the
    manual names."""
    place.reset("hand-nft", CONF)
    place.sh("ip rule del pref 32765")
    done = place.sh("unatatp doctor -c %s" % place.file, check=False)
    assert done.returncode == 2
    assert "failure  rule-ipv4: " in done.stdout
    assert "ip rule add fwmark 0x100/0xf00 iif lan lookup 100" in [
        line.strip() for line in done.stdout.splitlines()]
    assert done.stdout.splitlines()[-1].startswith("failure: ")
    for check in place.doctor()[1]["checks"]:
        assert list(check) == ["id", "title", "looked_at", "verdict",
                               "finding", "mend"]
        assert check["looked_at"] and check["finding"]


def test_not_root(place):
    """Without privilege nothing is guessed: unknown, and no alarm about
    what could not be seen."""
    place.reset("nft", CONF)
    done = place.sh("exec setpriv --reuid=65534 --regid=65534 --clear-groups "
                    "%s doctor -c %s --json" % (binary(), place.file),
                    check=False)
    said = {one["id"]: one["verdict"]
            for one in json.loads(done.stdout)["checks"]}
    assert done.returncode == 0, said
    assert said["capture-ipv4"] == "unknown"
    assert said["rule-ipv4"] == "ok"


@pytest.mark.parametrize("form, tool, check", [
    ("nft", "nft", "capture-ipv6"), ("iptables", "iptables-save", "capture-ipv4"),
    ("iptables", "ip6tables-save", "return-ipv6"), ("nft", "ip", "rule-ipv4")])
def test_missing_tool(place, tmp_path, form, tool, check):
    """A tool that is not there makes a verdict unknown, and is named."""
    place.reset(form, merge(CONF, CLIENT_PORT))
    (tmp_path / tool).write_text("#!/bin/sh\nexit 127\n")
    (tmp_path / tool).chmod(0o755)
    done = place.sh("PATH=%s:$PATH unatatp doctor -c %s --json" % (
        tmp_path, place.file), check=False)
    said = {one["id"]: one for one in json.loads(done.stdout)["checks"]}
    assert done.returncode == 0, done.stdout
    assert said[check]["verdict"] == "unknown"
    assert tool + ": No such file" in said[check]["finding"]


def test_bad_file(place):
    """A file with mistakes: they are what there is to see to."""
    place.reset("nft", CONF)
    place.daemon.write_text("policies = ( { names = \"a\"; } );\n")
    done = place.sh("unatatp doctor -c %s" % place.file, check=False)
    assert done.returncode == 78 and not done.stdout
    assert "%s:1: " % place.file in done.stderr
    assert "did you mean \"name\"" in done.stderr


def test_no_file(place):
    """Without a file the built-in one serves, and the interfaces are those
    of the rules; without rules a person must name them."""
    assert not os.path.exists("/etc/unatatp.conf")
    place.reset("hand-nft", CONF)
    done = place.sh("unatatp doctor --json", check=False)
    assert done.returncode == 0, done.stdout
    place.reset("none", CONF)
    done = place.sh("unatatp doctor", check=False)
    assert done.returncode == 2
    assert "# name the clients' interfaces in firewall.interfaces, then:" in \
        done.stdout


def test_no_daemon(place):
    """Nobody listens, and nobody can be asked: that alone is named."""
    place.reset("nft", CONF)
    place.stop()
    status, said = place.doctor()
    assert status == 2
    assert {one["id"]: one["verdict"] for one in said["checks"]
            if one["verdict"] != "ok"} == {
        "listener-ipv4": "failure", "listener-ipv6": "failure",
        "loaded": "unknown"}
    assert "no daemon is there" in {
        one["id"]: one["finding"] for one in said["checks"]}["loaded"]


def test_no_socket(place):
    """Without a control socket the file's age is unknown, and no fault."""
    place.reset("nft", merge(CONF, {"log": {"level": "info"}}))
    place.daemon.write_text(config_text(merge(
        place.daemon.options, {"control": {"path": ""}})))
    said = {one["id"]: one for one in place.doctor()[1]["checks"]}
    assert said["loaded"]["verdict"] == "unknown"
    assert "control.path is empty" in said["loaded"]["finding"]
    assert place.faults() == {}
    place.stop()


def test_loaded(place):
    """When the daemon loaded its file is told."""
    place.reset("nft", CONF)
    done = place.sh("unatatp doctor -c %s" % place.file, check=False)
    assert re.search(r"^ok       loaded: .* \(loaded at 20\d\d-\d\d-\d\d "
                     r"\d\d:\d\d:\d\d UTC, good reloads: \d+\)$", done.stdout,
                     re.M), done.stdout


def test_many_rules(place):
    """Ten thousand rules of each kind are read and followed."""
    place.reset("nft", CONF)
    many = ["10.%d.%d.0/24" % (i >> 8, i & 255) for i in range(10000)]
    with place.ns:
        subprocess.run(["iptables-restore", "--noflush"], check=True,
                       text=True, input="*filter\n" + "".join(
                           "-A FORWARD -s %s -j DROP\n-A INPUT -s %s -j DROP\n"
                           % (one, one) for one in many) + "COMMIT\n")
    place.ns.nft("table inet many { chain input {\ntype filter hook input "
                 "priority 1; policy accept;\n%s\n}\n}" % "\n".join(
                     "ip saddr %s tcp dport 1-9 drop" % one for one in many))
    found = place.faults()
    assert set(found) == {"forward-ipv4"}
    assert found["forward-ipv4"]["finding"].endswith("; and others")
    assert "unknown" not in {one["verdict"]
                             for one in place.doctor()[1]["checks"]}


@pytest.fixture
def four(machine, tmp_path):
    """A gateway where IPv6 is off."""
    # pylint: disable=unused-argument
    tmp_path.chmod(0o755)
    ns = places.Namespace()
    gateway = Gateway(types.SimpleNamespace(gateway=ns), str(tmp_path))
    try:
        ns.run("ip", "link", "set", "lo", "up")
        ns.ip("link add lan type veth peer name client\n"
              "link add wan type veth peer name server\n"
              "link set lan up\nlink set wan up\nlink set client up\n"
              "link set server up\naddr add 10.71.0.1/24 dev lan\n"
              "addr add 10.72.0.1/24 dev wan\n")
        ns.sysctl(ipv6__conf__all__disable_ipv6=1)
        yield gateway
    finally:
        gateway.stop()
        ns.close()


ONLY_FOUR = merge(CONF, {"listen": [{"address": "127.0.0.1", "port": 9999}]})
ALSO_SIX = merge(CONF, {"listen": [{"address": "127.0.0.1", "port": 9999},
                                   {"address": "::", "port": 9999}]})
# A kernel that was booted without IPv6.
NO_SIX = """
mkdir sys
mount -t tmpfs none sys
for a in core ipv4 netfilter; do
    mkdir sys/$a
    mount --bind /proc/sys/net/$a sys/$a
done
mount --rbind sys /proc/sys/net
"""


@pytest.mark.parametrize("source", ["gateway", "client"])
@pytest.mark.parametrize("form", ["nft", "iptables"])
@pytest.mark.parametrize("conf", [ONLY_FOUR, ALSO_SIX], ids=["four", "any"])
def test_ipv6_is_off(four, form, source, conf):
    """Where IPv6 is off nothing is missed of it: not what `firewall up` has
    left out, and not forwarding."""
    four.reset(form, merge(conf, {"policies": [
        {"name": "all", "source": source}]}))
    four.sh("echo 0 >/proc/sys/net/ipv6/conf/all/forwarding")
    assert "fwmark" not in four.sh("ip -6 rule").stdout
    assert {one["id"]: one["finding"] for one in four.doctor()[1]["checks"]
            if one["verdict"] != "ok"} == {}


def test_no_ipv6_in_kernel(four, tmp_path):
    """Nor where the kernel has none and ip6tables-save cannot say a thing."""
    four.reset("iptables", ALSO_SIX)
    four.sh("echo 0 >/proc/sys/net/ipv6/conf/all/disable_ipv6")
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "ip6tables-save").write_text(
        "#!/bin/sh\necho not supported >&2\nexit 3\n")
    (tools / "ip6tables-save").chmod(0o755)
    done = four.sh("cd %s; unshare -m sh -euc '%s exec env PATH=%s:$PATH "
                   "unatatp doctor -c %s --json'" % (
                       tmp_path, NO_SIX, tools, four.file))
    assert {one["id"]: one["finding"]
            for one in json.loads(done.stdout)["checks"]
            if one["verdict"] != "ok"} == {}


def test_ipv6_is_off_built_in(four):
    """The built-in configuration listens where it can; a file that names
    ::1 cannot be served, and that is what doctor says."""
    four.reset("none", ONLY_FOUR)
    four.sh(gateways.FOUR_ROUTES + gateways.BY_HAND["hand-nft"])
    done = four.sh("unatatp doctor --json")
    assert "IPv6 is turned off" in {
        one["id"]: one["finding"]
        for one in json.loads(done.stdout)["checks"]}["listener-ipv6"]
    four.stop()
    with open(four.file, "w", encoding="ascii") as file:
        file.write(config_text(CONF))
    found = four.faults()
    assert set(found) == {"listener-ipv4", "listener-ipv6"}
    assert "IPv6 is turned off" in found["listener-ipv6"]["finding"]
    assert found["listener-ipv6"]["mend"] == (
        "# in %s, take [::1]:9999 out of listen, or turn IPv6 on" % four.file)


@pytest.mark.parametrize("what", ["tproxy", "socket"])
def test_kernel(place, tmp_path, what):
    """A kernel that refuses the rule is a failure, with its modules named."""
    place.reset("none", CONF)
    assert "kernel-" + what not in place.faults()
    (tmp_path / "nft").write_text(
        '#!/bin/sh\n[ "$1" = -c ] || exec /usr/sbin/nft "$@"\n'
        'grep -q %s && { echo "Error: Could not process rule" >&2; exit 1; }'
        '\nexit 0\n' % what)
    (tmp_path / "nft").chmod(0o755)
    done = place.sh("PATH=%s:$PATH unatatp doctor -c %s --json" % (
        tmp_path, place.file), check=False)
    said = {one["id"]: one for one in json.loads(done.stdout)["checks"]}
    one = said["kernel-" + what]
    assert done.returncode == 2 and one["verdict"] == "failure"
    assert one["mend"].startswith("modprobe -a nft_" + what)
    other = said["kernel-" + {"tproxy": "socket", "socket": "tproxy"}[what]]
    assert other["verdict"] == "ok"


def test_nobody_says_which(place):
    """No interface in the file and no rule: failures, and a mend that asks
    for the interface instead of a rule for all of them."""
    place.reset("none", merge(CONF, {"firewall": {"interfaces": []}}))
    found = place.faults()
    assert set(found) == {
        "%s-ipv%d" % (one, family) for family in (4, 6)
        for one in ("capture", "rule", "route")}
    assert found["rule-ipv4"]["mend"].startswith("# name the clients'")


@pytest.mark.parametrize("value", ["100M", "x,y", "100M,", ",1s", "1,1,1"])
def test_bad_link(place, value):
    """--link wants both a rate and a time."""
    place.reset("nft", CONF)
    done = place.sh("unatatp doctor --link %s" % value, check=False)
    assert done.returncode == 64
    assert "100M,150ms" in done.stderr


def run_mends(place, found):
    """Mends by what was printed, as somebody would who copies it all."""
    for mend in dict.fromkeys(one["mend"] for one in found.values()):
        if mend.startswith("kill "):
            # The one in the way ends first; that takes a moment.
            kill, mend = mend.split("\n")
            place.sh(kill)
            eventually(lambda: ":9999" not in place.ns.run("ss", "-Hltn"))
        place.sh(mend)
    if any(one.startswith("listener") for one in found):
        eventually(lambda: "127.0.0.1:9999" in place.ns.run("ss", "-Hltn"))


@pytest.mark.parametrize("row", BROKEN, ids=name_of)
def test_broken(place, row):
    """Doctor names the one thing that is broken; its mend mends it."""
    fault, form, shell, how = row
    args = how.get("args", [])
    place.reset(form, merge(CONF, how.get("conf", {})))
    try:
        for path, text in how.get("fake", {}).items():
            place.fake("/proc/sys/net/" + path, text)
        place.sh(shell)
        how.get("call", lambda _: None)(place)
        if "late" in how:
            place.change(how["late"])
        found = place.faults(*args)
        assert set(found) == {fault, *how.get("also", [])}, found
        assert how.get("finds", "") in found[fault]["finding"]
        mend = found[fault]["mend"]
        if form == "iptables":
            # What made the rules makes them anew.
            assert mend.count("firewall up") == mend.count("--backend"), mend
        if how.get("mend") == "none":
            assert all(line.startswith("# ") for line in mend.split("\n"))
        else:
            assert how.get("mend", "") in mend, mend
            assert not re.search("^#", mend, re.M), mend
            run_mends(place, found)
            assert place.faults(*args) == {}
    finally:
        place.fakes = []
        place.sh(how.get("undo", ":"), check=False)
        if "call" in how:
            place.stop()


# --- the probe --------------------------------------------------------------

STAGES = [
    # (the stage, the family, what breaks it)
    ("captured", 4, "nft flush chain inet unatatp from_clients"),
    ("captured", 6, "iptables -t raw -A PREROUTING -i wan -j ACCEPT;"
     "ip6tables -t raw -A PREROUTING -i lan -p tcp -j DROP"),
    ("delivered", 4, "ip rule del pref 32765"),
    ("delivered", 6, "ip -6 route flush table 100; ip -6 route add "
     "unreachable default table 100"),
    ("let_in", 4, "iptables -P INPUT DROP"),
    ("let_in", 6, "ip6tables -A INPUT -p tcp --syn -j DROP"),
    ("connected", 4, "nft insert rule inet unatatp from_clients "
     "meta l4proto tcp goto divert"),
    ("sent", 4, "iptables -A OUTPUT -o unatatp-ps -p tcp -j DROP"),
    ("answered", 6, "ip -6 route add 2001:2:0:114::2/128 dev wan"),
    ("bytes", 4, "iptables -A INPUT -i unatatp-ps -j DROP"),
]


def probe(place):
    """{id: check} of the probe alone, and that nothing of it is left."""
    before = snapshot(place)
    found = {one["id"]: one for one in place.doctor("--probe")[1]["checks"]
             if one["id"].startswith("probe-")}
    assert set(found) == {"probe-ipv4", "probe-ipv6"}
    eventually(lambda: snapshot(place) == before,
               what="nothing of the probe is left")
    return found


def snapshot(place):
    """Rules, routes and links of the gateway, without counters."""
    text = place.sh("nft -s list ruleset; ip rule; ip -6 rule; "
                    "ip route show table all; ip -6 route show table all; "
                    "ip -o link; tc qdisc").stdout
    return re.sub(r"(packets|bytes) \d+", "", text)


@pytest.mark.parametrize("form", RIGHT)
def test_probe(place, form):
    """On a right gateway the connection comes through, in both families."""
    place.reset(form, CONF)
    place.sh("echo 0 >/proc/sys/net/ipv4/conf/lan/rp_filter")
    found = probe(place)
    assert {one["verdict"] for one in found.values()} == {"ok"}, found


@pytest.mark.parametrize("stage", STAGES,
                         ids=lambda row: "%s-v%d" % row[:2])
def test_probe_stage(place, stage):
    """The probe names the stage where the connection got lost, and the
    other family is none the worse."""
    name, family, shell = stage
    place.reset("nft", CONF)
    place.sh("echo 0 >/proc/sys/net/ipv4/conf/lan/rp_filter\n" + shell)
    found = probe(place)
    lost = found["probe-ipv%d" % family]
    assert lost["verdict"] == "failure", found
    assert 'lost at "%s"' % name in lost["finding"], found


def test_probe_without_daemon(place):
    """Nobody listens: the connection is not captured but goes past."""
    place.reset("nft", CONF)
    place.sh("echo 0 >/proc/sys/net/ipv4/conf/lan/rp_filter")
    place.stop()
    found = probe(place)
    assert 'lost at "captured"' in found["probe-ipv4"]["finding"]
    assert "forwarded past unatatp" in found["probe-ipv6"]["finding"]


def test_probe_strict(place):
    """The strict reverse path filter would drop the probe: not guessed."""
    place.reset("nft", CONF)
    found = probe(place)
    assert found["probe-ipv4"]["verdict"] == "unknown"
    assert found["probe-ipv6"]["verdict"] == "ok"


def test_probe_interrupted(place):
    """SIGINT in the middle: everything is taken back."""
    place.reset("nft", CONF)
    place.sh("echo 0 >/proc/sys/net/ipv4/conf/lan/rp_filter; "
             "iptables -P INPUT DROP")
    before = snapshot(place)
    with place.ns:
        process = subprocess.Popen(
            [binary(), "doctor", "-c", place.file, "--probe"],
            stdout=subprocess.DEVNULL)
    with process:
        eventually(lambda: "unatatp_probe" in place.ns.run(
            "nft", "list", "tables"), 10)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == -signal.SIGINT
    eventually(lambda: snapshot(place) == before,
               what="nothing of the probe is left")


def test_probe_not_root(place):
    """It needs root, and says so."""
    place.reset("nft", CONF)
    done = place.sh("exec setpriv --reuid=65534 --regid=65534 --clear-groups "
                    "%s doctor -c %s --probe" % (binary(), place.file),
                    check=False)
    assert done.returncode == 77 and "root" in done.stderr


def test_forty():
    """There are forty broken gateways and more."""
    assert len(BROKEN) >= 40
