"""`unatatp firewall` where the machine, its user or others are in its way:
it says so, nothing is half done, and who waits for it is not let down."""

import contextlib
import os
import re
import signal
import subprocess

import pytest

from daemon import binary, run
from firewall import comes_back, run_files, snapshot, wrapper
from lab import eventually

CLIENT = {"policies": [{"name": "all", "source": "client"}]}

# A /run of its own: read-only, or a page large, with that much in it.
FULL_RUN = ["unshare", "-m", "sh", "-euc", """
mount -t tmpfs -o size=4k none /run
head -c 4096 /dev/zero >/run/full
exec "$@"
""", "sh"]
READ_ONLY_RUN = ["unshare", "-m", "sh", "-euc",
                 'mount -t tmpfs -o ro none /run; exec "$@"', "sh"]


def broken(folder, name, text, status):
    """A program NAME that prints TEXT and does no more."""
    path = folder / name
    path.write_text("#!/bin/sh\ncat <<'END'\n%s\nEND\n"
                    "echo '%s: out of order' >&2\nexit %d\n" % (
                        text, name, status))
    path.chmod(0o755)
    return ["env", "PATH=%s:%s" % (folder, os.environ["PATH"])]


# --- /run ------------------------------------------------------------------

def test_full_run(bare, firewall):
    """No room to note the time to confirm: all is taken back at once, and
    the user hears of it; without a time to note, `up' works."""
    before = snapshot(bare)
    said = firewall("up", "--confirm", "60", status=1, prefix=FULL_RUN)
    assert "/run/unatatp.firewall" in said and "No space left" in said
    comes_back(bare, before)
    eventually(lambda: not bare.processes(), what="the guardian has gone")
    firewall("up", prefix=FULL_RUN)
    firewall("status")
    firewall("down", prefix=FULL_RUN)
    assert snapshot(bare) == before


def test_run_fills_up(bare, firewall, tmp_path):
    """/run fills up while a confirm is waited for: a further `up' begins
    the time anew all the same."""
    before = snapshot(bare)
    script = tmp_path / "script"
    script.write_text("""
mount -t tmpfs -o size=8k none /run
%(up)s 60
head -c 8192 /dev/zero >/run/full || :
%(up)s 1
""" % {"up": "%s firewall up -c %s --confirm" % (binary(), firewall.file)})
    with bare:
        subprocess.run(["unshare", "-m", "sh", "-eu", str(script)],
                       check=True, timeout=20, stdout=subprocess.DEVNULL)
    comes_back(bare, before)


def test_read_only_run(bare, firewall):
    """Nothing can be locked, so nothing is done."""
    before = snapshot(bare)
    said = firewall("up", status=1, prefix=READ_ONLY_RUN)
    assert "Read-only file system" in said
    assert snapshot(bare) == before


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_file_in_the_way(bare, firewall, tmp_path, kind):
    """What is no file of ours is neither followed nor removed."""
    path = "/run/unatatp.firewall.%d" % bare.inode
    target = tmp_path / "target"
    target.write_text("precious")
    if kind == "folder":
        os.mkdir(path)
    else:
        os.symlink(target, path)
    try:
        before = snapshot(bare)
        assert path in firewall("up", "--confirm", "60", status=1)
        assert snapshot(bare) == before
        assert target.read_text() == "precious"
    finally:
        (os.rmdir if kind == "folder" else os.unlink)(path)


# --- who calls -------------------------------------------------------------

@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(bare, firewall, closed):
    """Called without some of the standard streams: the guardian lives, and
    what is printed goes nowhere else."""
    before = snapshot(bare)
    line = "%s firewall up -c %s --confirm 1 %s" % (binary(), firewall.file,
                                                   closed)
    with bare:
        subprocess.run(["sh", "-c", line], check=True, timeout=20,
                       stdout=subprocess.DEVNULL)
    assert "waited for" in firewall("status")
    comes_back(bare, before)
    eventually(lambda: not run_files(bare), what="nothing is left in /run")


def test_without_capability(bare, firewall):
    """Root of a container that may not touch the network."""
    for verb in ("up", "down", "confirm", "status"):
        said = firewall(verb, status=77, prefix=[
            "setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin",
            "--"])
        assert "CAP_NET_ADMIN" in said
    assert "ip rule add" in firewall("show", prefix=[
        "setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin",
        "--"])
    assert not run_files(bare)


def test_stop_key(bare, firewall, tmp_path):
    """Ctrl-Z halfway stops nobody who holds the lock."""
    mark = tmp_path / "reached"
    path = tmp_path / "nft"
    path.write_text('#!/bin/sh\ncase "$*" in\n*-f*) touch %s; sleep 1;;\n'
                    'esac\nexec /usr/sbin/nft "$@"\n' % mark)
    path.chmod(0o755)
    with bare:
        process = subprocess.Popen(
            [binary(), "firewall", "up", "-c", firewall.file],
            env=dict(os.environ, PATH="%s:%s" % (tmp_path,
                                                 os.environ["PATH"])))
    eventually(mark.exists, what="nft is called")
    try:
        for number in (signal.SIGTSTP, signal.SIGTTOU, signal.SIGTTIN):
            process.send_signal(number)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
    firewall("status")
    firewall("down")


def test_old_kernel(bare, firewall):
    """A kernel without close_range(2), such as Linux 5.4: the guardian does
    not keep the lock of who made it."""
    before = snapshot(bare)
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e",
              "trace=close_range", "-e", "inject=close_range:error=ENOSYS"]
    with bare:
        process = subprocess.Popen(
            strace + [binary(), "firewall", "up", "-c", firewall.file,
                      "--confirm", "60"], stdout=subprocess.DEVNULL)
    try:
        eventually(lambda: run(bare, "firewall", "status", "-c",
                               firewall.file)[0] == 0)
        eventually(lambda: "waited for" in firewall("status"))
        firewall("down")
        assert snapshot(bare) == before
        process.wait(10)	# strace ends with the guardian
    finally:
        for pid in bare.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


class Killer:
    """Programs that end whoever calls them, at the call with a number."""

    PROGRAMS = ["ip", "nft", "iptables-save", "ip6tables-save",
                "iptables-restore", "ip6tables-restore"]

    def __init__(self, folder):
        self.count = folder / "count"
        for name in self.PROGRAMS:
            path = folder / name
            path.write_text("""#!/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin
n=$(cat %(count)s)
echo $((n - 1)) >%(count)s
if [ "$n" = 1 ]; then
	kill -9 $PPID
	exit 1
fi
exec %(name)s "$@"
""" % {"count": self.count, "name": name})
            path.chmod(0o755)
        self.env = dict(os.environ, PATH="%s:%s" % (folder,
                                                    os.environ["PATH"]))

    def run(self, ns, number, *args):
        """True when the command came to its end before that call."""
        self.count.write_text("%d\n" % number)
        with ns:
            done = subprocess.run(
                [binary(), "firewall"] + list(args), env=self.env,
                stdout=subprocess.DEVNULL, timeout=20, check=False)
        assert done.returncode in (0, -signal.SIGKILL)
        return done.returncode == 0


def effects(ns):
    """SNAPSHOT without tables and chains that do nothing."""
    return [line for line in snapshot(ns).splitlines() if re.match(
        r"-A|:\S+ -|table inet|\d+:|local|table ip6? unatatp", line)]


FIRST_STEP = 10	# the calls before it only look


def test_up_killed_at_any_step(bare, firewall, backend, tmp_path):
    """kill -9 of `up --confirm': the guardian steps in; of `up': a further
    one, or `down', works as if nothing had been."""
    before = snapshot(bare)
    killer = Killer(tmp_path)
    number = FIRST_STEP
    args = ("up", "-c", firewall.file, "--backend", backend)
    while not killer.run(bare, number, *args, "--confirm", "60"):
        comes_back(bare, before)
        eventually(lambda: not bare.processes(), what="no guardian is left")
        assert not killer.run(bare, number, *args)
        if number % 2:
            firewall("up", "--backend", backend)
            firewall("status")
        firewall("down")
        assert snapshot(bare) == before
        number += 1
    assert number > FIRST_STEP + 4
    firewall("down")


def test_down_killed_at_any_step(bare, firewall, backend, tmp_path):
    """kill -9 of `down': a further one ends what it began. What
    iptables made for our rules, and is empty now, may stay."""
    before = effects(bare)
    killer = Killer(tmp_path)
    number = FIRST_STEP - 2
    firewall("up", "--backend", backend)
    while not killer.run(bare, number, "down"):
        firewall("down")
        assert effects(bare) == before
        firewall("up", "--backend", backend)
        number += 1
    assert number > FIRST_STEP + 1
    assert effects(bare) == before


def test_guardian_killed_at_any_step(bare, firewall, backend, tmp_path):
    """kill -9 of the guardian at its work: `down' ends what it began."""
    before = effects(bare)
    killer = Killer(tmp_path)
    for number in range(1, 20):
        assert killer.run(bare, 1000, "up", "-c", firewall.file, "--backend",
                          backend, "--confirm", "1")
        killer.count.write_text("%d\n" % number)
        eventually(lambda: not bare.processes(), what="the guardian is dead")
        if int(killer.count.read_text()) > 0:
            break
        firewall("down")
        assert effects(bare) == before
    assert number > 8
    assert effects(bare) == before


def test_up_while_down_runs(bare, firewall, tmp_path):
    """`up --confirm' waits for a `down' that is under way."""
    before = snapshot(bare)
    firewall("up")
    mark = tmp_path / "reached"
    path = tmp_path / "nft"
    path.write_text('#!/bin/sh\ncase "$*" in\ndelete*) touch %s; sleep 1;;\n'
                    'esac\nexec /usr/sbin/nft "$@"\n' % mark)
    path.chmod(0o755)
    with bare:
        process = subprocess.Popen(
            [binary(), "firewall", "down"],
            env=dict(os.environ, PATH="%s:%s" % (tmp_path,
                                                 os.environ["PATH"])))
    eventually(mark.exists, what="nft is called")
    firewall("up", "--confirm", "1")
    assert process.wait(10) == 0
    firewall("status")
    comes_back(bare, before)


# --- what cannot be read ---------------------------------------------------

@pytest.mark.parametrize("name,pattern", [
    ("nft", "list*"), ("iptables-save", "*"), ("ip6tables-save", "*"),
    ("ip", "*rule*show*"), ("ip", "*-6*route*show*all*"),
])
def test_unreadable(bare, firewall, tmp_path, name, pattern):
    """What fails to say what is there is not taken for nothing there."""
    firewall("up", "--backend", "nft" if name == "nft" else "iptables")
    up = snapshot(bare)
    prefix = wrapper(tmp_path, name, pattern)
    for verb in ("down", "up", "status"):
        said = firewall(verb, status=1, prefix=prefix)
        assert "%s: broken" % name in said
        assert snapshot(bare) == up
    firewall("down")


@pytest.mark.parametrize("status", [0, 1])
@pytest.mark.parametrize("name", ["nft", "iptables-save", "ip6tables-save",
                                  "ip"])
@pytest.mark.parametrize("text", [
    "-\n*\n:\nCOMMIT\n-A\n", "*mangle\n-AUNATATP\n:UNATATP\n-j\n", "\n\n",
    "117:\n:\tfrom\nproto\n 2 default\n local dev lo table\n1: iif\n2: from all proto\n"])
def test_garbage(bare, firewall, tmp_path, name, text, status):
    """No program's answer makes us crash, or leaves anything half done."""
    before = snapshot(bare)
    prefix = broken(tmp_path, name, text, status)
    with bare:
        for verb in ("status", "up", "down"):
            done = subprocess.run(
                prefix + [binary(), "firewall", verb, "-c", firewall.file],
                capture_output=True, text=True, timeout=20, check=False)
            assert done.returncode in (0, 1), done
    firewall("down")
    assert snapshot(bare) == before


def test_foreign_tables(bare, firewall):
    """iptables-save cannot print what nft made: no reason not to use nft;
    iptables' rules could not be found again."""
    bare.nft("table ip filter { chain c {\n"
             "meta mark set 1 ip saddr { 192.0.2.1, 192.0.2.2 } drop\n}\n}")
    before = snapshot(bare, iptables=False)
    firewall("up", "--backend", "nft")
    firewall("status")
    firewall("down")
    assert snapshot(bare, iptables=False) == before
    said = firewall("up", "--backend", "iptables", status=1)
    assert "iptables-save: " in said and "use nft" in said
    assert snapshot(bare, iptables=False) == before


def test_comment_of_others(bare, firewall):
    """A comment that reads like our jump is not one."""
    bare.run("iptables-restore", text="*mangle\n-A PREROUTING -m comment "
             '--comment "see -j UNATATP"\nCOMMIT\n')
    before = snapshot(bare)
    firewall("up", "--backend", "iptables")
    firewall("down")
    assert snapshot(bare) == before


# --- odd gateways ----------------------------------------------------------

def test_ipv6_is_off(bare, firewall, backend):
    """A gateway for IPv4 alone; what is made when IPv6 comes back."""
    bare.sysctl(ipv6__conf__all__disable_ipv6=1)
    before = snapshot(bare)
    firewall("up", "--backend", backend)
    said = firewall("status")
    assert "IPv6: turned off" in said
    assert "listener [::1]:9999: Cannot assign requested address" in said
    assert "ip -6" not in firewall("show", "--backend", backend)
    bare.sysctl(ipv6__conf__all__disable_ipv6=0)
    assert "missing" in firewall("status", status=1)
    firewall("up", "--backend", backend)
    firewall("status")
    bare.sysctl(ipv6__conf__all__disable_ipv6=1)
    firewall("down")
    assert snapshot(bare) == before


@pytest.mark.parametrize("name", ["proto", "from", "all", "iif", "-v", "a&b",
                                  "(x)", "table", "lookup"])
def test_names(bare, firewall, backend, name):
    """Names of interfaces that mean something else elsewhere."""
    before = snapshot(bare)
    firewall.write(firewall={"interfaces": [name]})
    shown = firewall("show", "--backend", backend)
    firewall("up", "--backend", backend)
    firewall("status")
    up = snapshot(bare)
    firewall("up", "--backend", backend)
    assert snapshot(bare) == up
    firewall("down")
    assert snapshot(bare) == before
    bare.run("sh", "-euc", shown)
    assert snapshot(bare) == up
    firewall("down")
    assert snapshot(bare) == before


def test_interface_goes(bare, firewall, backend):
    """The interface goes, with the rules in place, and comes back."""
    before = snapshot(bare)
    firewall("up", "--backend", backend)
    up = snapshot(bare)
    bare.ip("link del lan\n")
    firewall("status")
    bare.ip("link add lan type veth peer name lan-peer\nlink set lan up\n"
            "addr add 10.71.0.1/24 dev lan\n"
            "addr add fd71::1/64 dev lan nodad\n")
    eventually(lambda: snapshot(bare) == up, what="it is as it was")
    firewall("down")
    assert snapshot(bare) == before


@pytest.mark.parametrize("pref", [117, 118, 119])
def test_place_of_others(bare, firewall, pref):
    """Others' rules among those that belong together would be jumped over."""
    bare.ip("rule add pref %d from 192.0.2.1 lookup 5\n" % pref)
    before = snapshot(bare)
    firewall.write(**CLIENT)
    said = firewall("up", status=1)
    assert "pref %d from 192.0.2.1" % pref in said and "number" in said
    assert snapshot(bare) == before
    firewall.write()	# without transparent sources there are none
    firewall("up")
    firewall("down")
    assert snapshot(bare) == before


def test_zone(bare, firewall):
    """The zone of a high table is never that of all other connections."""
    for table in (65535, 65536, 131070, 131072, 4294967295):
        firewall.write(firewall={"table": table}, **CLIENT)
        shown = firewall("show")
        zones = {line.split("zone set ")[1] for line in shown.splitlines()
                 if "zone set" in line}
        assert len(zones) == 1 and 0 < int(zones.pop()) < 65536
    assert not run_files(bare)


def test_many_prefixes(bare, firewall):
    """50,000 for nft; iptables says which policy has too many."""
    many = ["10.%d.%d.%d/32" % (i // 4000 + 1, i // 16 % 250, i % 16 * 16)
            for i in range(50000)]
    before = snapshot(bare)
    firewall.write(policies=[{"name": "big", "sources": many,
                              "action": "bypass"}])
    said = firewall("up", "--backend", "iptables", status=1)
    assert 'policy "big"' in said and "use nft" in said
    assert snapshot(bare) == before
    firewall("up", "--backend", "nft")
    firewall("status")
    firewall("down")
    assert snapshot(bare) == before
