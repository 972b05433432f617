"""What a daemon that has started is left with: its user, its capabilities,
its memory, the system calls and the files that it can reach."""

import ctypes
import os
import re
import shutil
import signal
import subprocess

import pytest

from daemon import binary, has_sanitizer, merge, run
from lab import PORT, eventually
from peers import exchange
from test_unit import capabilities

CAP_DAC_READ_SEARCH, CAP_NET_BIND_SERVICE = 2, 10
CAP_NET_ADMIN, CAP_NET_RAW = 12, 13
NOBODY = 65534
PTRACE_ATTACH = 16
ALLOWED = "/proc/sys/net/ipv4/tcp_allowed_congestion_control"

# What glibc's malloc asks for in a worker, and does as well without.
UNHEARD = re.compile(r"/proc/sys/vm/overcommit_memory|"
                     r"/sys/devices/system/cpu/online|/proc/stat")

# What a policy says, and the capabilities that this takes.
NEEDS = {
    "nothing": ({}, set()),
    "address": ({"source": "10.72.0.1"}, set()),
    "mark": ({"mark": 7}, {CAP_NET_ADMIN}),
    "interface": ({"interface": "wan"}, {CAP_NET_RAW}),
    "clientip": ({"source": "clientip"}, {CAP_NET_RAW}),
    "client": ({"source": "client"}, {CAP_NET_ADMIN, CAP_NET_BIND_SERVICE}),
    "latency": ({"latency": "20ms"}, {CAP_NET_ADMIN}),
    "allowed": ({"client": {"congestion": "bbr"}}, set()),
}

SOURCES = {"clientip": "client", "client": "client"}


def has(pattern):
    """Whether --version has a line that matches."""
    done = subprocess.run([binary(), "--version"], capture_output=True,
                          text=True, check=True)
    return re.search(pattern, done.stdout, re.M)


@pytest.fixture
def sandboxed():
    """For tests of the sandbox, which sanitizers do not stand."""
    if has("^(sandbox|seccomp): no"):
        pytest.skip("this build leaves the sandbox off")


@pytest.fixture
def landlocked(sandboxed):
    """Likewise of its files."""
    # pylint: disable=unused-argument
    if not has("^landlock: version"):
        pytest.skip("this kernel has no Landlock: see `unatatp --version'")


def fields(pid, tid):
    """/proc/PID/task/TID/status as a dictionary."""
    with open("/proc/%d/task/%s/status" % (pid, tid),
              encoding="ascii") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file)


def threads(one):
    """The threads of a daemon, main first."""
    return sorted(os.listdir("/proc/%d/task" % one.pid), key=int)


def check_caps(one, wanted, asleep=frozenset()):
    """Each thread has WANTED and no more; main also has ASLEEP."""
    for tid in threads(one):
        caps = capabilities(one.pid, tid)
        assert caps["CapEff"] == wanted
        assert caps["CapPrm"] - wanted == (
            set(asleep) if int(tid) == one.pid else set())
        assert not caps["CapInh"] and not caps["CapAmb"]
        assert not caps["CapBnd"]


def flows_go(one, peers):
    """Flows of both families are relayed."""
    for family in (4, 6):
        client, server = peers.flow(family)
        exchange(client, server, 300000, 300000)
        client.close()
        server.close()
    assert one.is_running()


# --- capabilities ----------------------------------------------------------

@pytest.mark.parametrize("what", NEEDS)
def test_capabilities(unatatp, lab, peers, public_folder, what):
    """What runs as a user has the capabilities that its policies take."""
    policy, wanted = NEEDS[what]
    lab.use_rules("nft", source=SOURCES.get(what, "gateway"))
    unatatp.folder = public_folder
    one = unatatp.policy(**policy)
    check_caps(one, wanted)
    for tid in threads(one):
        row = fields(one.pid, tid)
        assert row["NoNewPrivs"] == "1"
        assert row["Uid"].split() == [str(NOBODY)] * 4
        assert row["Groups"].strip() == ""
    flows_go(one, peers)
    one.reload(timeouts={"drain": "4s"})
    assert one.log.find("reloaded"), one.log.text()
    check_caps(one, wanted)


@pytest.mark.parametrize("client", [
    {"congestion": "bbr"},
    {"congestion": "auto", "congestion_among": ["cubic", "bbr"]}],
    ids=["bbr", "auto"])
def test_restricted_congestion(unatatp_once, peers, public_folder, client):
    """An algorithm that the kernel gives to the privileged alone."""
    unatatp_once.folder = public_folder
    fake = public_folder / "allowed"
    fake.write_text("reno cubic\n")
    one = unatatp_once.start(
        options=unatatp_once.options(policies=[
            {"name": "all", "client": client}]),
        prefix=["unshare", "-m", "sh", "-c",
                'mount --bind "$0" %s && exec "$@"' % ALLOWED, str(fake)])
    check_caps(one, {CAP_NET_ADMIN})
    flows_go(one, peers)


def test_root_file(unatatp_once, peers, public_folder):
    """A file that only root may read is read again, by a capability that
    main has asleep and workers have not."""
    unatatp_once.folder = public_folder
    old = os.umask(0o077)
    try:
        one = unatatp_once(workers=2)
        check_caps(one, set(), {CAP_DAC_READ_SEARCH})
        one.reload(timeouts={"drain": "4s"})
    finally:
        os.umask(old)
    assert one.log.find("reloaded"), one.log.text()
    check_caps(one, set(), {CAP_DAC_READ_SEARCH})
    flows_go(one, peers)


@pytest.mark.parametrize("what", [key for key, row in NEEDS.items()
                                  if row[1]])
def test_given_up(unatatp_once, peers, public_folder, what):
    """A reload that takes a capability that was given up is refused, and
    says which option it is and what to do; what there was goes on."""
    unatatp_once.folder = public_folder
    one = unatatp_once(policies=[{"name": "old"}])
    one.write(merge(one.options, {"policies": [
        dict({"name": "new"}, **NEEDS[what][0])]}))
    status, _, err = one.ask("reload")
    assert status == 78
    option = "source" if what.startswith("client") else what
    assert re.search('policy "new": %s.* CAP_NET_.*given up.*restart' %
                     option, err), err
    flows_go(one, peers)
    assert {flow["policy"] for flow in one.flows()} == {"old"}
    check_caps(one, set())


def test_given_up_listener(unatatp_once, peers, public_folder):
    """Likewise a listener that is new; one that goes is no matter."""
    unatatp_once.folder = public_folder
    one = unatatp_once()
    both = one.options["listen"]
    one.write(merge(one.options, {"listen": both + [
        {"address": "127.0.0.1", "port": 9998}]}))
    status, _, err = one.ask("reload")
    assert status == 69 or status == 78
    assert re.search("9998.*CAP_NET_ADMIN.*given up.*restart", err), err
    flows_go(one, peers)
    one.reload(listen=both[:1])
    eventually(lambda: set(one.listeners()) == {("127.0.0.1", PORT)})


# --- memory ----------------------------------------------------------------

def as_nobody(attempt):
    """What ATTEMPT returns in a process of the user nobody."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        os.write(write, repr(attempt()).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        return file.read().decode()


def test_memory(unatatp_once, public_folder, sandboxed):
    """Another process of the same user sees nothing of it, and there is no
    core."""
    # pylint: disable=unused-argument
    unatatp_once.folder = public_folder
    one = unatatp_once()
    libc = ctypes.CDLL(None, use_errno=True)

    def attach():
        libc.ptrace(PTRACE_ATTACH, one.pid, None, None)
        return ctypes.get_errno()

    def look():
        try:
            with open("/proc/%d/mem" % one.pid, "rb"):
                return "open"
        except PermissionError:
            return "no"

    assert as_nobody(attach) == "1"
    assert as_nobody(look) == "'no'"
    with open("/proc/%d/limits" % one.pid, encoding="ascii") as file:
        core = next(line for line in file if line.startswith("Max core"))
    assert core.split()[4:6] == ["0", "0"]


# --- system calls ----------------------------------------------------------

@pytest.mark.parametrize("user", ["nobody", ""])
def test_filter(unatatp_once, peers, sandboxed, user):
    """Each thread has its filter, root or not; `sandbox = false' leaves it
    off, and a reload cannot change it."""
    # pylint: disable=unused-argument
    one = unatatp_once(user=user, workers=2)
    for tid in threads(one):
        eventually(lambda t=tid: fields(one.pid, t)["Seccomp"] == "2",
                   what="a filter")
        assert fields(one.pid, tid)["NoNewPrivs"] == "1"
    flows_go(one, peers)
    one.reload(sandbox=False)
    assert one.log.find("sandbox changes at the next start")
    one.stop()
    other = unatatp_once(user=user, sandbox=False)
    for tid in threads(other):
        assert fields(other.pid, tid)["Seccomp"] == "0"


def traced(trace):
    """The calls of a trace by strace, after our own execve: {thread:
    [(name, rest of the line)]}."""
    text = trace.read_text(errors="replace")
    text = text[text.rindex("execve("):]
    found, begun = {}, {}
    for tid, resumed, name, rest in re.findall(
            r"^(\d+) +(<\.\.\. )?(\w+)(.*)$", text, re.M):
        if rest.endswith("<unfinished ...>"):
            begun[tid] = rest
            continue
        if resumed:
            rest = begun.pop(tid, "") + rest
        found.setdefault(tid, []).append((name, rest))
    assert "killed by SIGSYS" not in text
    return found


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace")
@pytest.mark.parametrize("user", ["nobody", ""])
@pytest.mark.parametrize("source", ["gateway", "client"])
def test_calls(unatatp, lab, peers, public_folder, sandboxed, user, source):
    """Whatever a daemon does in its life, its filter has room for it. The
    calls are printed, so that a failure shows what is new."""
    # pylint: disable=unused-argument,too-many-arguments
    lab.use_rules("nft", source=source)
    unatatp.folder = public_folder
    trace = public_folder / "trace"
    policy = {"name": "all", "source": source, "interface": "wan",
              "client": {"congestion": "reno", "keepalive": "1m",
                         "user_timeout": "1m", "dscp": 8}}
    one = unatatp.start(
        wait=False, prefix=["strace", "-f", "-qq", "-o", str(trace)],
        options=unatatp.options(
            user=user, policies=[policy], log={"level": "debug"},
            metrics={"address": str(public_folder / "m" / "metrics")}))
    eventually(lambda: one.log.find("sandbox: system calls"),
               what="the sandbox")
    with open("/proc/%d/task/%d/children" % (one.pid, one.pid),
              encoding="ascii") as file:
        pid = int(file.read().split()[0])

    def reload(**changes):
        before = len(one.reloads())
        one.write(merge(one.options, changes))
        os.kill(pid, signal.SIGHUP)
        eventually(lambda: len(one.reloads()) > before, what="a reload")
        assert "refused" not in one.reloads()[-1], one.log.text()

    flows_go(one, peers)
    # The client's own port twice: what stands in TIME_WAIT is ended.
    listener = peers.listen()
    for _ in range(2):
        client = peers.connect(listener, port=4321)
        server, _ = peers.accept(listener)
        exchange(client, server, 1000, 1000)
        client.close()
        server.close()
    live = peers.flow()
    for words in (["stats"], ["flows"], ["policies"], ["config"]):
        assert one.show(*words)
    scrape(public_folder / "m" / "metrics")
    os.kill(pid, signal.SIGUSR1)
    reload(metrics={"address": str(public_folder / "m" / "other")})
    scrape(public_folder / "m" / "other")
    reload(metrics={"address": "127.0.0.1"},
           policies=[dict(policy, splice_after="1", mark=7)]
           if source == "client" else [dict(policy, splice_after="1")])
    flows_go(one, peers)
    lab.gateway.run("ip", "address", "add", "10.79.0.1/32", "dev", "lo")
    lab.gateway.run("ip", "address", "del", "10.79.0.1/32", "dev", "lo")
    assert one.ask("loglevel", "info")[0] == 0
    status, out, _ = one.ask("show", "flows", "--json")
    assert status == 0
    assert one.ask("kill", re.search(r'"id": ?(\d+)', out).group(1))[0] == 0
    for side in live:
        side.close()
    os.kill(pid, signal.SIGTERM)
    assert one.wait(30) == 0
    check_calls(traced(trace))


def check_calls(seen):
    """Prints the calls of each thread; none was refused by a filter."""
    limited, refused = 0, []
    for tid, calls in seen.items():
        names = [name for name, _ in calls]
        start = names.index("seccomp") if "seccomp" in names else None
        limited += start is not None
        for name, rest in calls[start:] if start is not None else ():
            if "= -1 ENOSYS" in rest and not UNHEARD.search(rest):
                refused.append((tid, name, rest))
        print(tid, start is not None, sorted(set(names)))
    assert limited >= 2, "no thread has a filter"
    assert not refused


def scrape(path):
    """Reads the metrics from a UNIX socket."""
    done = subprocess.run(
        ["/usr/bin/python3", "-c",
         "import socket, sys\n"
         "s = socket.socket(socket.AF_UNIX)\n"
         "s.connect(sys.argv[1])\n"
         "s.sendall(b'GET /metrics HTTP/1.1\\r\\nHost: localhost\\r\\n'\n"
         "          b'Connection: close\\r\\n\\r\\n')\n"
         "text = b''\n"
         "while True:\n"
         "    piece = s.recv(65536)\n"
         "    text += piece\n"
         "    if not piece:\n"
         "        break\n"
         "assert b'unatatp_open_fds' in text, text\n", str(path)],
        check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace")
@pytest.mark.parametrize("call,said", [
    ("landlock_create_ruleset:error=ENOSYS", "no Landlock"),
    ("landlock_create_ruleset:error=EOPNOTSUPP", "no Landlock"),
    ("seccomp:error=EINVAL", "seccomp")])
def test_lacking(unatatp_once, peers, sandboxed, call, said):
    """A kernel without one of them is said to be so, and it goes on."""
    # pylint: disable=unused-argument
    one = unatatp_once.start(
        wait=False, options=unatatp_once.options(log={"level": "debug"}),
        prefix=["strace", "-f", "-qq", "-o", "/dev/null", "-e",
                "inject=" + call])
    eventually(lambda: one.log.find("sandbox: ?.*%s|worker: %s" %
                                    (said, said)), what=said)
    client, server = peers.flow()
    exchange(client, server, 100000, 100000)
    with open("/proc/%d/task/%d/children" % (one.pid, one.pid),
              encoding="ascii") as file:
        os.kill(int(file.read().split()[0]), signal.SIGTERM)
    client.close()
    server.close()
    assert one.wait(30) == 0


# --- files -----------------------------------------------------------------

def test_includes(unatatp_once, public_folder, landlocked):
    """A reload reads what lies beside the files of the start; elsewhere it
    is refused and says what to do, with and without other privileges."""
    # pylint: disable=unused-argument
    unatatp_once.folder = public_folder
    one = unatatp_once()
    beside = os.path.join(os.path.dirname(one.file), "beside.conf")
    elsewhere = public_folder / "elsewhere"
    elsewhere.mkdir()
    for path in (beside, str(elsewhere / "far.conf")):
        with open(path, "w", encoding="ascii") as file:
            file.write('workers = %d;\n' % one.options["workers"])
    text = "".join(line for line in open(one.file, encoding="ascii")
                   if not line.startswith("workers"))
    one.write_text('@include "beside.conf"\n' + text)
    assert one.ask("reload")[0] == 0, one.log.text()
    one.write_text('@include "%s"\n' % (elsewhere / "far.conf") + text)
    status, _, err = one.ask("reload")
    assert status == 78
    assert re.search("far.conf.*Permission denied.*restart", err), err
    one.stop()
    # What was there at the start may come again, with what lies beside it.
    with open(one.file, encoding="ascii") as file:
        again = file.read()
    other = unatatp_once.start(wait=False, args=["run", "-c", one.file])
    other.control = one.control
    eventually(lambda: other.log.find("listening on .*::1"), what="listening")
    eventually(lambda: other.catches(signal.SIGHUP), what="signals")
    one.write_text(again.replace("far.conf", "farther.conf"))
    os.rename(elsewhere / "far.conf", elsewhere / "farther.conf")
    os.kill(other.pid, signal.SIGHUP)
    eventually(lambda: other.log.find("reloaded|refused"), what="a reload")
    assert other.log.find("reloaded"), other.log.text()


def test_metrics_folder(unatatp_once, public_folder, landlocked):
    """A UNIX socket of the metrics moves within its folder."""
    # pylint: disable=unused-argument
    unatatp_once.folder = public_folder
    (public_folder / "other").mkdir(mode=0o777)
    (public_folder / "other").chmod(0o777)
    one = unatatp_once(
        metrics={"address": str(public_folder / "made" / "m")})
    one.reload(metrics={"address": str(public_folder / "made" / "n")})
    scrape(public_folder / "made" / "n")
    one.write(merge(one.options, {
        "metrics": {"address": str(public_folder / "other" / "m")}}))
    status, _, err = one.ask("reload")
    assert status == 78 or status == 69
    assert re.search("other/m: Permission denied.*restart", err), err
    scrape(public_folder / "made" / "n")


def test_version(lab):
    """It tells what there is."""
    status, out, _ = run(lab.gateway, "--version")
    assert status == 0
    assert re.search("^seccomp: (yes|no, .*)$", out, re.M)
    assert re.search(r"^landlock: (version \d+|no, .*)$", out, re.M)
    assert bool(re.search("^sandbox: no, ", out, re.M)) or \
        not has_sanitizer()


def test_valgrind(lab):
    """Under valgrind it is left off."""
    if not shutil.which("valgrind") or has("^sandbox: no"):
        pytest.skip("no valgrind, or a build that it does not stand")
    _, out, _ = run(lab.gateway, "--version", prefix=["valgrind", "-q"])
    assert re.search("^sandbox: no, .*valgrind", out, re.M)


