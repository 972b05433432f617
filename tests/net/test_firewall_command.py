"""`unatatp firewall`: the machine is what it was after `down`, `show` says
what `up` does, and nobody is locked out."""

import os
import signal
import socket
import subprocess
import threading

import pytest

import lab as places
from daemon import binary, run
from firewall import (Command, comes_back, ruled, run_files, snapshot,
                      wrapper)
from lab import FAMILY, eventually
from peers import recv_exactly, reset

# What an administrator may have, in the way of everything of ours.
FOREIGN_NFT = """
table inet others {
	set banned { type ipv4_addr; elements = { 192.0.2.1 } }
	chain prerouting {
		type filter hook prerouting priority mangle; policy accept;
		ip saddr @banned drop
	}
	chain unatatp { accept
	}
}
table ip unatatp { chain c { type filter hook input priority 0;
	ct mark 0x100 accept
	}
}
"""
FOREIGN_IPTABLES = """*mangle
:MINE - [0:0]
-A PREROUTING -i wan -p tcp -j MINE
-A MINE -j MARK --set-xmark 0x10000/0x10000
-A MINE -m comment --comment "before -j UNATATP was" -j RETURN
COMMIT
*nat
-A POSTROUTING -o wan -j MASQUERADE
COMMIT
"""


def furnish(ns):
    """Others' tables, chains, rules and routes."""
    ns.nft(FOREIGN_NFT)
    for tool in ("iptables-restore", "ip6tables-restore"):
        ns.run(tool, "--noflush", text=FOREIGN_IPTABLES)
    for family in (4, 6):
        ns.ip("rule add fwmark 0xca6c lookup 51820\n"
              "rule add fwmark 0x200/0xf00 iif lan lookup 101\n"
              "rule add not fwmark 0xca6c lookup 51820\n"
              "route add local default dev lo table 101\n"
              "route add unreachable default table 51820\n", family)


POLICIES = [
    {"name": "refused", "sources": ["10.71.0.0/24", "fd71::/64"],
     "ports": ["23", "8000-8999"], "action": "reject"},
    {"name": "apart", "destinations": ["10.72.0.3", "10.9.0.0/16",
                                       "fd72::3", "fd09::/64"],
     "action": "bypass"},
    {"name": "rest"},
]
SHAPES = {
    "plain": {},
    "drop": {"firewall": {"when_down": "drop"}},
    "policies": {"policies": POLICIES},
    "transparent": {"policies": [{"name": "all", "source": "client"}]},
    "any": {"listen": [{"address": "0.0.0.0", "port": 9999}],
            "firewall": {"interfaces": ["lan", "not-there"],
                         "mark": 1, "mask": 0xffffffff, "table": 2000}},
}


@pytest.mark.parametrize("furnished", [False, True], ids=["bare", "others"])
@pytest.mark.parametrize("shape", list(SHAPES))
def test_down_restores(bare, firewall, backend, shape, furnished):
    """After `down` all is equal to before; twice each is no mistake;
    `status` finds it whole, then gone; `show` does what `up` does."""
    if furnished:
        furnish(bare)
    firewall.write(**SHAPES[shape])
    before = snapshot(bare)
    shown = firewall("show", "--backend", backend)
    assert snapshot(bare) == before
    firewall("status", status=1)
    firewall("up", "--backend", backend)
    up = snapshot(bare)
    assert up != before
    firewall("status")
    firewall("up", "--backend", backend)
    assert snapshot(bare) == up
    firewall("down")
    assert snapshot(bare) == before
    firewall("down")
    assert snapshot(bare) == before
    bare.run("sh", "-euc", shown)
    assert snapshot(bare) == up
    firewall("status")
    firewall("down")
    assert snapshot(bare) == before
    assert not run_files(bare)


def test_show_when_up(bare, firewall, backend):
    """`show` is about what is there: what stands already is a comment, so
    that the text can be run at any time."""
    firewall("up", "--backend", backend)
    up = snapshot(bare)
    shown = firewall("show", "--backend", backend)
    assert "# in place: ip rule add fwmark 0x100/0xf00 iif lan" in shown
    bare.run("sh", "-euc", shown)
    assert snapshot(bare) == up


def test_show_text(bare, public_folder):
    """The lines that people look for; root is not needed."""
    firewall = Command(bare, public_folder)
    text = firewall("show")
    for line in ("ip rule add fwmark 0x100/0xf00 iif lan lookup 100 ",
                 "ip -6 rule add fwmark 0x100/0xf00 iif lan lookup 100 ",
                 "ip route add local default dev lo table 100 ",
                 "ip -6 route add local default dev lo table 100 ",
                 "nft -f - <<'END'\n", "# nft delete table inet unatatp\n"):
        assert "\n" + line in text
    os.chmod(firewall.file, 0o644)
    nobody = firewall("show", prefix=["setpriv", "--reuid", "65534", "--"])
    assert nobody == text


def test_own_rule_of_others(bare, firewall, backend):
    """An administrator's own equal rule and route serve, and stay."""
    for family in (4, 6):
        bare.ip("rule add fwmark 0x100/0xf00 iif lan lookup 100\n"
                "route add local default dev lo table 100\n", family)
    before = snapshot(bare)
    firewall("up", "--backend", backend)
    assert "made by others" in firewall("status")
    firewall("down")
    assert snapshot(bare) == before


def test_table_in_use(bare, firewall):
    """Others' routes in our table are an error before anything changes."""
    bare.ip("route add 10.99.0.0/24 dev lan table 100\n")
    before = snapshot(bare)
    said = firewall("up", status=1)
    assert "table 100 is in use by others" in said
    assert "10.99.0.0/24" in said and "firewall.table" in said
    assert snapshot(bare) == before


def test_new_configuration(bare, firewall, backend):
    """`up` after the file has changed leaves nothing of the old one."""
    before = snapshot(bare)
    firewall("up", "--backend", backend)
    firewall.write(firewall={"interfaces": ["wan"], "table": 200,
                             "mark": 0x300})
    said = firewall("status", status=1)
    assert "not of this configuration" in said and "missing" in said
    assert "not what the configuration says" in said
    firewall("up", "--backend", backend)
    firewall("status")
    text = snapshot(bare)
    assert "iif lan" not in text and "table 100 " not in text
    assert "0x100/" not in text
    firewall("down")
    assert snapshot(bare) == before


def test_other_backend(bare, firewall):
    """`up` with the other backend replaces the first one's rules."""
    before = snapshot(bare)
    firewall("up", "--backend", "iptables")
    firewall("up", "--backend", "nft")
    text = snapshot(bare)
    assert "table inet unatatp" in text and "UNATATP" not in text
    firewall("up", "--backend", "iptables")
    text = snapshot(bare)
    assert "table inet unatatp" not in text and "UNATATP" in text
    firewall("status")
    firewall("down")
    assert snapshot(bare) == before


@pytest.mark.parametrize("harm", [
    "ip rule del fwmark 0x100/0xf00 iif lan lookup 100",
    "ip -6 route del local default dev lo table 100",
    "nft add rule inet unatatp prerouting accept",
    "nft delete table inet unatatp",
])
def test_status_sees(bare, firewall, harm):
    """What somebody changed is found, and `up` mends it."""
    firewall("up")
    firewall("status")
    bare.run(*harm.split())
    firewall("status", status=1)
    firewall("up")
    firewall("status")


# --- what goes wrong -------------------------------------------------------

@pytest.mark.parametrize("name,pattern", [
    ("ip", "*rule*add*"), ("ip", "*-6*rule*add*"), ("ip", "*-6*route*add*"),
    ("nft", "*-f*"),
])
@pytest.mark.parametrize("verb", ["fresh", "again"])
def test_failing_step(bare, firewall, tmp_path, name, pattern, verb):
    """A step that fails is named, and those before it are undone; a table
    that was there before stays as it was."""
    furnish(bare)
    if verb == "again":
        firewall("up")
        firewall.write(firewall={"interfaces": ["wan"], "table": 300})
    before = snapshot(bare)
    prefix = wrapper(tmp_path, name, pattern)
    said = firewall("up", status=1, prefix=prefix)
    assert "%s: broken" % name in said and "all is as it was" in said
    assert snapshot(bare) == before
    firewall("up", "--confirm", "30", status=1, prefix=prefix)
    assert "nothing waits" in firewall("confirm", status=1)
    assert snapshot(bare) == before


def test_failing_iptables(bare, firewall, tmp_path):
    """The second family's rules fail: the first one's go again, and the
    table that was made for them."""
    before = snapshot(bare)
    said = firewall("up", "--backend", "iptables", status=1,
                    prefix=wrapper(tmp_path, "ip6tables-restore", "*"))
    assert "ip6tables-restore: broken" in said
    assert snapshot(bare) == before


def test_usage(bare, firewall, tmp_path):
    """Wrong words, wrong numbers, no interfaces, no root."""
    for args in (["up", "--confirm", "0"], ["up", "--confirm", "3601"],
                 ["up", "--confirm", "x"], ["up", "--backend", "pf"],
                 ["down", "--confirm", "3"], ["show", "--confirm", "3"],
                 ["status", "--backend", "nft"], ["undo"]):
        firewall(*args, status=64)
    said = firewall("up", status=77,
                    prefix=["setpriv", "--reuid", "65534", "--"])
    assert "be root" in said
    path = tmp_path / "none.conf"
    path.write_text('user = "";\n')
    code, _, err = run(bare, "firewall", "up", "-c", str(path))
    assert code == 78 and str(path) in err and "interfaces = [" in err
    path.write_text('user = "";\nfirewall = {\n'
                    '  interfaces = [ "lan", "wg*" ]; };\n')
    code, _, err = run(bare, "firewall", "up", "-c", str(path))
    assert code == 78 and "%s:3: " % path in err and "wildcard" in err


# --- confirm ---------------------------------------------------------------

def test_confirm_comes(bare, firewall, backend):
    """What was confirmed stays."""
    before = snapshot(bare)
    firewall("up", "--backend", backend, "--confirm", "2")
    up = snapshot(bare)
    assert "waited for" in firewall("status")
    firewall("confirm")
    assert "nothing waits" in firewall("status")
    assert not run_files(bare)
    eventually(lambda: not bare.processes(), what="the guardian has gone")
    assert snapshot(bare) == up
    assert "nothing waits" in firewall("confirm", status=1)
    firewall("down")
    assert snapshot(bare) == before


def test_confirm_does_not_come(bare, firewall, backend):
    """Without a confirm, all is as before within five seconds, although
    the shell, its session and its terminal are gone."""
    furnish(bare)
    before = snapshot(bare)
    with bare:
        shell = subprocess.Popen(
            ["setsid", "sh", "-c",
             "%s firewall up -c %s --backend %s --confirm 3; sleep 60" % (binary(), firewall.file, backend)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert "taken back" in eventually(shell.stdout.readline)
    assert snapshot(bare) != before
    os.killpg(shell.pid, signal.SIGHUP)
    os.killpg(shell.pid, signal.SIGKILL)
    shell.wait()
    assert shell.stdout.read() == ""	# nobody else has the pipe
    comes_back(bare, before)
    eventually(lambda: not bare.processes(), what="the guardian has gone")
    assert not run_files(bare)
    assert "taken back already" in firewall("confirm", status=1)


def test_older_version_comes_back(bare, firewall, backend):
    """What was there is what `up' found, be it of another file."""
    firewall("up", "--backend", backend)
    before = snapshot(bare)
    firewall.write(policies=POLICIES, firewall={"interfaces": ["wan"]})
    firewall("up", "--backend", backend, "--confirm", "1")
    assert snapshot(bare) != before
    comes_back(bare, before)


def test_superseding_up(bare, firewall):
    """A second `up --confirm' while one is pending: the time begins anew,
    and what comes back is what was there before the first."""
    before = snapshot(bare)
    firewall("up", "--confirm", "60")
    firewall.write(firewall={"interfaces": ["wan"]})
    firewall("up", "--confirm", "1")
    assert "iif wan" in snapshot(bare)
    comes_back(bare, before)
    firewall("up", "--confirm", "1")
    firewall("up")	# for good
    up = snapshot(bare)
    eventually(lambda: not bare.processes(), what="the guardian has gone")
    assert snapshot(bare) == up
    firewall("up", "--confirm", "60")
    firewall("down")
    assert snapshot(bare) == before
    eventually(lambda: not bare.processes(), what="the guardian has gone")


def test_up_killed(bare, firewall, tmp_path):
    """`up --confirm' is killed between two steps: the guardian steps in."""
    before = snapshot(bare)
    mark = tmp_path / "reached"
    path = tmp_path / "nft"
    path.write_text('#!/bin/sh\ncase "$*" in\n*-f*) touch %s; sleep 60;;\n'
                    'esac\nexec /usr/sbin/nft "$@"\n' % mark)
    path.chmod(0o755)
    with bare:
        process = subprocess.Popen(
            [binary(), "firewall", "up", "-c", firewall.file, "--confirm",
             "60"], env=dict(os.environ, PATH="%s:%s" % (
                 tmp_path, os.environ["PATH"])))
    eventually(mark.exists, what="nft is called")
    assert snapshot(bare) != before
    process.kill()
    process.wait()
    comes_back(bare, before)


def test_stale_file(bare, firewall):
    """What a dead guardian left in /run does not matter."""
    path = "/run/unatatp.firewall.%d" % bare.inode
    with open(path, "w", encoding="ascii") as file:
        file.write("1 99999999999999\n")
    assert "nothing waits" in firewall("status", status=1)
    firewall("up", "--confirm", "60")
    assert "waited for" in firewall("status")
    guardian = bare.processes()
    for pid in guardian:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not bare.processes(), what="the guardian is dead")
    assert "nothing waits" in firewall("status")
    assert "nothing waits" in firewall("confirm", status=1)
    assert not run_files(bare)


def test_many_at_once(bare, firewall, backend):
    """Ups and downs at once wait for each other: each ends well, and what
    is left is whole or gone."""
    before = snapshot(bare)
    for _ in range(3):
        failed = []

        def call(verb, *args):
            try:
                code, out, err = run(bare, "firewall", verb, "-c",
                                     firewall.file, *args)
                if code:
                    failed.append((verb, out, err))
            except BaseException as error:	# pylint: disable=broad-except
                failed.append(error)
        threads = [threading.Thread(target=call, args=args) for args in (
            ("up", "--backend", backend), ("down",),
            ("up", "--backend", backend, "--confirm", "60"), ("down",))]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert not failed
        if snapshot(bare) != before:
            firewall("status")
        firewall("down")
        assert snapshot(bare) == before
        eventually(lambda: not bare.processes(), what="no guardian is left")


# --- what the rules do -----------------------------------------------------

def refused(peers, family, port):
    """True when a connection to PORT of the server is refused."""
    with peers.lab.client:
        client = socket.socket(FAMILY[family], socket.SOCK_STREAM)
    with client:
        client.settimeout(5)
        return client.connect_ex((places.SERVER[family], port)) == 111


def test_policies(unatatp_once, lab, peers, backend, family, tmp_path):
    """proxy, bypass and reject, by destination, port and many prefixes;
    the same while the daemon runs and while it does not."""
    many = ["10.%d.%d.0/24" % (i // 250 + 100, i % 250) for i in range(900)]
    policies = [dict(POLICIES[0]), dict(POLICIES[1], destinations=POLICIES[
        1]["destinations"] + many), {"name": "rest"}]
    with ruled(lab, tmp_path, policies=policies) as command:
        command("up", "--backend", backend)
        command("status")
        daemon = unatatp_once(policies=policies)
        listeners = [peers.listen(places.SERVER[family], port=port)
                     for port in (23, 8500, 9000)]
        assert refused(peers, family, 23)
        assert refused(peers, family, 8500)
        assert peers.is_proxied(family)
        apart = peers.listen(places.SERVER_B[family])
        peers.connect(apart)
        assert peers.accept(apart)[1][0] == places.CLIENT[family]
        other = peers.connect(listeners[0], places.CLIENT_B[family])
        assert peers.accept(listeners[0])[1][0] != places.CLIENT_B[family]
        other.close()
        peers.close()
        daemon.wait_empty()
        daemon.stop()
        peers.listen(places.SERVER[family], port=23)
        assert refused(peers, family, 23)


@pytest.mark.parametrize("when_down", ["forward", "drop"])
def test_when_down(unatatp_once, lab, peers, backend, family, tmp_path,
                   when_down):
    """Without a daemon new flows pass, or they do not; a daemon that comes
    back takes them again."""
    options = {"firewall": {"when_down": when_down}}
    with ruled(lab, tmp_path, **options) as command:
        command("up", "--backend", backend)
        daemon = unatatp_once()
        for _ in range(3):
            assert peers.is_proxied(family)
        daemon.kill()
        peers.close()
        listener = peers.listen(family=family)
        with lab.client:
            client = socket.socket(FAMILY[family], socket.SOCK_STREAM)
        with client:
            client.settimeout(4)
            passed = client.connect_ex(listener.getsockname()[:2]) == 0
        assert passed == (when_down == "forward")
        if passed:
            assert peers.accept(listener)[1][0] == places.CLIENT[family]
            assert not peers.is_proxied(family)
        unatatp_once()
        assert peers.is_proxied(family)


def test_open_session(unatatp_once, lab, peers, backend, family, tmp_path):
    """A session from before `up' goes on: through `up', another `up', the
    daemon's restart, its death, and `down'; new flows are taken."""
    with ruled(lab, tmp_path) as command:
        client, server = peers.flow(family)
        assert server.getpeername()[0] == places.CLIENT[family]

        def alive():
            client.sendall(b"x" * 1000)
            assert len(recv_exactly(server, 1000)) == 1000
            server.sendall(b"y" * 1000)
            assert len(recv_exactly(client, 1000)) == 1000
        daemon = unatatp_once()
        command("up", "--backend", backend)
        alive()
        assert peers.is_proxied(family)
        command("up", "--backend", backend)
        alive()
        daemon.kill()
        alive()
        daemon = unatatp_once()
        assert peers.is_proxied(family)
        alive()
        daemon.kill()
        command("down")
        alive()
        assert not peers.is_proxied(family)


def transparent(ns, family):
    """A socket in NS that may have any address: IP_TRANSPARENT."""
    with ns:
        sock = socket.socket(FAMILY[family], socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(*{4: (socket.IPPROTO_IP, 19),
                      6: (socket.IPPROTO_IPV6, 75)}[family], 1)
    sock.settimeout(5)
    return sock


def test_client_port(lab, peers, backend, family, tmp_path):
    """Both legs with the client's address and port: conntrack keeps them
    apart, and each gets its own packets, through many connections."""
    options = {"policies": [{"name": "all", "source": "client"}]}
    with ruled(lab, tmp_path, **options) as command:
        command("up", "--backend", backend)
        proxy = transparent(lab.gateway, family)
        with proxy:
            proxy.bind(({4: "127.0.0.1", 6: "::1"}[family], 9999))
            proxy.listen()
            listener = peers.listen(family=family)
            for port in range(5100, 5120):
                client = peers.connect(listener, places.CLIENT[family], port)
                near, name = proxy.accept()
                assert name[:2] == (places.CLIENT[family], port)
                with transparent(lab.gateway, family) as far:
                    far.bind(name[:2])
                    far.connect(near.getsockname()[:2])
                    server, peer = peers.accept(listener)
                    assert peer == name[:2]
                    for one, other in ((client, near), (far, server),
                                       (server, far), (near, client)):
                        one.sendall(b"x" * 5000)
                        assert len(recv_exactly(other, 5000)) == 5000
                    reset(far)
                reset(near)


@pytest.mark.parametrize("valid_mark", [0, 1])
def test_client_source(lab, peers, backend, family, tmp_path, valid_mark):
    """A socket of the gateway with a client's address and port gets its
    answers, past a masquerade and wg-quick's sysctls."""
    options = {"policies": [{"name": "all", "source": "client"}]}
    lab.gateway.sysctl(ipv4__conf__all__src_valid_mark=valid_mark,
                       ipv4__conf__lan__rp_filter=valid_mark,
                       ipv4__conf__wan__rp_filter=valid_mark)
    nat = {4: "iptables", 6: "ip6tables"}[family]
    try:
        with ruled(lab, tmp_path, **options) as command:
            lab.gateway.run(nat, "-t", "nat", "-A", "POSTROUTING", "-o",
                            "wan", "-j", "MASQUERADE")
            command("up", "--backend", backend)
            listener = peers.listen(family=family)
            with transparent(lab.gateway, family) as leg:
                leg.bind((places.CLIENT[family], 5000))
                leg.connect(listener.getsockname()[:2])
                server, peer = peers.accept(listener)
                assert peer[:2] == (places.CLIENT[family], 5000)
                leg.sendall(b"there")
                assert recv_exactly(server, 5) == b"there"
                server.sendall(b"back")
                assert recv_exactly(leg, 4) == b"back"
                reset(leg)
            lab.gateway.run(nat, "-t", "nat", "-F", "POSTROUTING",
                            check=False)
    finally:
        lab.gateway.sysctl(ipv4__conf__all__src_valid_mark=0,
                           ipv4__conf__lan__rp_filter=0,
                           ipv4__conf__wan__rp_filter=0)
        lab.gateway.run("nft", "flush", "ruleset")


def test_killed_daemon_and_down(unatatp_once, lab, peers, backend, family,
                                tmp_path):
    """up, confirm, kill -9 of the daemon, down: equal to before."""
    with ruled(lab, tmp_path) as command:
        before = snapshot(lab.gateway)
        daemon = unatatp_once()
        command("up", "--backend", backend, "--confirm", "60")
        assert peers.is_proxied(family)
        command("confirm")
        daemon.kill()
        command("down")
        assert snapshot(lab.gateway) == before
