"""What contrib/systemd's units do to the process: who it is, what it may do,
and which system calls it is left with."""

import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

from lab import CLIENT, eventually
from peers import exchange

FOLDER = pathlib.Path(__file__).parents[2] / "contrib/systemd"
UNIT = FOLDER / "unatatp.service"
NOBODY = 65534
CAP_DAC_READ_SEARCH = 2
CAP_NET_ADMIN, CAP_NET_RAW = 12, 13


def settings(key, *more):
    """The words of all KEY= lines of the unit, and of the drop-ins MORE, line
    by line."""
    text = "".join(file.read_text(encoding="ascii")
                   for file in (UNIT,) + more)
    return [line.split() for line in re.findall("^%s=(.*)$" % key, text, re.M)]


def ambient(*more):
    """setpriv(1)'s arguments for what the unit gives its user."""
    caps = [word for line in settings("AmbientCapabilities", *more)
            for word in line]
    names = ",".join("+" + cap[len("CAP_"):].lower() for cap in caps)
    return ["setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY,
            "--clear-groups", "--no-new-privs", "--inh-caps=-all," + names,
            "--ambient-caps=-all," + names, "--bounding-set=-all," + names,
            "--"]


def capabilities(pid, tid):
    """{"CapEff": {12, 13}, ...} of a thread."""
    path = "/proc/%d/task/%s/status" % (pid, tid)
    with open(path, encoding="ascii") as file:
        return {name: {bit for bit in range(64) if int(mask, 16) >> bit & 1}
                for name, mask in re.findall(r"^(Cap\w+):\s*(\w+)",
                                             file.read(), re.M)}


POLICY = {"name": "all", "mark": 7, "interface": "wan"}


def start(unatatp, folder, prefix=(), wait=True):
    """A daemon as the unit starts it; its file is root's alone."""
    unatatp.folder = folder
    old = os.umask(0o077)
    try:
        return unatatp.start(
            wait, options=unatatp.options(workers=2, user="unatatp",
                                          policies=[POLICY]),
            prefix=ambient() + list(prefix))
    finally:
        os.umask(old)


def test_capabilities(unatatp_once, peers, public_folder):
    """The user that the unit starts keeps what its policies take, and no more:
    a file that is root's alone is read again, though only main's sleeping
    capability can; a mark and an interface are set."""
    one = start(unatatp_once, public_folder)
    assert os.stat(one.file).st_mode & 0o777 == 0o600
    for tid in os.listdir("/proc/%d/task" % one.pid):
        caps = capabilities(one.pid, tid)
        assert caps["CapEff"] == {CAP_NET_ADMIN, CAP_NET_RAW}
        assert caps["CapPrm"] - caps["CapEff"] == (
            {CAP_DAC_READ_SEARCH} if int(tid) == one.pid else set())
        assert not caps["CapAmb"] and not caps["CapInh"]
    old = os.umask(0o077)
    try:
        one.reload(policies=[dict(POLICY, sources=[CLIENT[4] + "/32"])])
    finally:
        os.umask(old)
    assert one.log.find("reloaded"), one.log.text()
    client, server = peers.flow()
    exchange(client, server, 100000, 100000)
    assert one.flow(client)["ending"] in ("client-fin", "server-fin")


def allowed(*more):
    """The system calls that the unit's SystemCallFilter= leaves."""
    names = set()
    for line in settings("SystemCallFilter", *more):
        deny = line[0].startswith("~")
        for word in line:
            found = members(word.lstrip("~"))
            names = names - found if deny else names | found
    return names


def members(word):
    """What a group of system calls holds, its groups included."""
    if not word.startswith("@"):
        return {word}
    done = subprocess.run(["systemd-analyze", "syscall-filter", word],
                          capture_output=True, text=True, check=True)
    rows = re.sub(r"\x1b\[[\d;]*m", "", done.stdout).splitlines()[1:]
    rows = [row.strip() for row in rows]
    return set().union(*(members(row) for row in rows
                         if row and not row.startswith("#")))


def test_system_calls(unatatp_once, peers, public_folder):
    """A life of the daemon, with flows of both engines, reloads and a drain,
    takes no system call that the unit forbids."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze (Debian package systemd)")
    trace = public_folder / "trace"
    trace.touch()
    os.chmod(trace, 0o666)
    one = start(unatatp_once, public_folder,
                ["strace", "-f", "-qq", "-o", str(trace), "setpriv",
                 "--pdeathsig", "KILL", "--"], wait=False)
    eventually(lambda: one.log.find(r"listening on \[::1\]"),
               what="it listens")
    tracer = one.pid
    with open("/proc/%d/task/%d/children" % (tracer, tracer),
              encoding="ascii") as file:
        pid = int(file.read().split()[0])
    for splice in ("0", "1"):
        before = len(one.reloads())
        one.write(dict(one.options, policies=[
            {"name": "all", "splice_after": splice}]))
        os.kill(pid, signal.SIGHUP)
        eventually(lambda b=before: len(one.reloads()) > b, what="a reload")
        for family in (4, 6):
            client, server = peers.flow(family)
            exchange(client, server, 1000000, 1000000)
            client.close()
            server.close()
    os.kill(pid, signal.SIGTERM)
    assert one.wait(30) == 0
    # What came before our own execve was setpriv's.
    text = trace.read_text(errors="replace")
    text = text[text.rindex("execve("):]
    calls = set(re.findall(r"^\d+ +(\w+)\(", text, re.M))
    assert {"splice", "epoll_wait", "capset", "accept4"} <= calls
    forbidden = calls - allowed()
    assert not forbidden
