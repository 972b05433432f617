"""A unatatp process: its configuration, its log, and what the kernel knows
of its sockets."""

import contextlib
import copy
import ctypes
import json
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import threading

from lab import PORT, eventually

SYS_PIDFD_OPEN, SYS_PIDFD_GETFD = 434, 438
LISTEN, ESTABLISHED, CLOSED = 10, 1, 7
LISTENS = [{"address": "127.0.0.1", "port": PORT},
           {"address": "::1", "port": PORT}]
SANITIZER = re.compile(
    r"(ERROR|WARNING): \w+Sanitizer|runtime error:|Assertion `|^==\d+== ", re.M)


def binary():
    """The program under test."""
    path = os.environ.get("UNATATP", "")
    if not os.access(path, os.X_OK):
        raise RuntimeError("UNATATP names no program: %r" % path)
    return os.path.abspath(path)


def has_sanitizer():
    """True when it was built with --enable-sanitizers."""
    with open(binary(), "rb") as file:
        return re.search(b"__[at]san_init", file.read()) is not None


# --- configuration ---------------------------------------------------------

def value_text(value):
    """VALUE in libconfig syntax."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"%s"' % value
    if isinstance(value, dict):
        return "{ %s }" % " ".join("%s = %s;" % (key, value_text(one))
                                   for key, one in value.items())
    if isinstance(value, (list, tuple)):
        marks = "()" if value and isinstance(value[0], dict) else "[]"
        return "%s %s %s" % (marks[0], ", ".join(map(value_text, value)),
                             marks[1])
    return str(value)


def config_text(options):
    """A configuration file, an option a line."""
    return "".join("%s = %s;\n" % (key, value_text(value))
                   for key, value in options.items())


def merge(base, extra):
    """BASE with EXTRA over it, group by group."""
    result = copy.deepcopy(base)
    for key, value in extra.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merge(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result


# --- what the kernel says of a process's sockets ---------------------------

def _address(text):
    """An address of /proc/net/tcp and tcp6."""
    raw, port = text.split(":")
    words = struct.pack("=%dI" % (len(raw) // 8), *(
        int(raw[i:i + 8], 16) for i in range(0, len(raw), 8)))
    family = socket.AF_INET if len(raw) == 8 else socket.AF_INET6
    return socket.inet_ntop(family, words), int(port, 16)


def tcp_rows(pid):
    """(local, peer, state, inode) of every TCP socket of PID's namespace."""
    rows = []
    for name in ("tcp", "tcp6"):
        with open("/proc/%d/net/%s" % (pid, name), encoding="ascii") as file:
            for line in file.readlines()[1:]:
                word = line.split()
                rows.append((_address(word[1]), _address(word[2]),
                             int(word[3], 16), int(word[9])))
    return rows


def socket_inodes(pid):
    """{inode: fd} of PID's sockets."""
    found = {}
    for fd in os.listdir("/proc/%d/fd" % pid):
        with contextlib.suppress(OSError):
            link = os.readlink("/proc/%d/fd/%s" % (pid, fd))
            if link.startswith("socket:["):
                found[int(link[8:-1])] = int(fd)
    return found


def borrow(pid, fd):
    """A socket of another process, as our own descriptor: pidfd_getfd(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = libc.syscall(SYS_PIDFD_OPEN, pid, 0)
    if handle < 0:
        raise OSError(ctypes.get_errno(), "pidfd_open")
    try:
        copied = libc.syscall(SYS_PIDFD_GETFD, handle, fd, 0)
        if copied < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
    finally:
        os.close(handle)
    return socket.socket(fileno=copied)


# --- the process -----------------------------------------------------------

class Log:
    """The lines of a stream, read by a thread of its own as they come."""

    def __init__(self, stream):
        self.lines = []
        self._stream = stream
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for line in self._stream:
            self.lines.append(line.rstrip("\n"))

    def join(self):
        """Waits for the end of the stream."""
        self._thread.join(5)
        self._stream.close()

    def text(self):
        """All of it so far."""
        return "\n".join(self.lines)

    def find(self, pattern):
        """The first match of PATTERN in a line, or None."""
        for line in list(self.lines):
            match = re.search(pattern, line)
            if match:
                return match
        return None


def pairs(line):
    """{key: value} of the key=value words of a line."""
    return dict(word.split("=", 1) for word in line.split() if "=" in word)


class Daemon:
    """`unatatp` in the gateway. Its configuration lies in FOLDER."""

    def __init__(self, ns, folder, options=None, args=None, prefix=(),
                 env=None, stderr=None, listens=None, pass_fds=()):
        self.ns = ns
        self.file = os.path.join(folder, "unatatp.conf")
        self.control = os.path.join(folder, "control")
        self.options = self._with_control(options)
        self.args = list(args) if args is not None else ["run", "-c",
                                                         self.file]
        self.prefix = list(prefix)
        self.env = dict(os.environ, **(env or {}))
        self.stderr = stderr
        self.expected = listens
        self.pass_fds = pass_fds
        self.process = self.log = None
        self.seen_stats = 0

    def _with_control(self, options):
        """OPTIONS with a control socket of our own."""
        if options is None:
            return None
        return merge({"control": {"path": self.control}}, options)

    def write(self, options):
        """Writes a new configuration; nobody reads half a file."""
        self.options = self._with_control(options)
        self.write_text(config_text(self.options))

    def write_text(self, text):
        """Writes TEXT as the configuration."""
        with open(self.file + ".new", "w", encoding="ascii") as file:
            file.write(text)
        os.rename(self.file + ".new", self.file)

    def start(self, wait=True):
        """Starts it; returns once it listens and takes signals."""
        if self.options is not None:
            self.write(self.options)
        with self.ns:
            # setpriv: it dies with us, even when we are killed.
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--"] + self.prefix +
                [binary()] + self.args, env=self.env,
                pass_fds=self.pass_fds, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self.stderr or subprocess.PIPE, text=True,
                errors="replace")
        if not self.stderr:
            self.log = Log(self.process.stderr)
        if wait:
            eventually(self.is_ready, 15, "the daemon is ready")
        return self

    @property
    def pid(self):
        """Its process id."""
        return self.process.pid

    def is_ready(self):
        """It listens on what it should and catches HUP and TERM."""
        if self.process.poll() is not None:
            raise AssertionError("the daemon ended with status %d:\n%s" % (
                self.process.returncode, self.log and self.log.text()))
        with contextlib.suppress(OSError):
            return self.catches(signal.SIGHUP) and \
                self.catches(signal.SIGTERM) and \
                self.wanted() <= set(self.listeners())
        return False

    def wanted(self):
        """The addresses that it should listen on."""
        if self.expected is not None:
            return set(self.expected)
        listens = (self.options or {}).get("listen", LISTENS)
        return {(one["address"], one["port"]) for one in listens}

    def catches(self, number):
        """True when signal NUMBER is caught or held."""
        with open("/proc/%d/status" % self.pid, encoding="ascii") as file:
            masks = re.findall(r"^Sig(?:Cgt|Blk):\s*(\w+)", file.read(), re.M)
        return any(int(mask, 16) >> (number - 1) & 1 for mask in masks)

    def listeners(self):
        """{(address, port): inodes} of what it listens on."""
        own, found = socket_inodes(self.pid), {}
        for local, _, state, inode in tcp_rows(self.pid):
            if state == LISTEN and inode in own:
                found.setdefault(local, set()).add(inode)
        return found

    def legs(self, client):
        """
        Both sockets of the flow of CLIENT (its own socket's name), client
        leg first, borrowed; to be closed by the caller (`with`).
        """
        return Legs(self, client)

    def fds(self):
        """How many descriptors it holds."""
        return len(os.listdir("/proc/%d/fd" % self.pid))

    def rss(self):
        """Resident bytes."""
        with open("/proc/%d/statm" % self.pid, encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()

    def cpu(self):
        """Seconds of CPU it has used."""
        with open("/proc/%d/stat" % self.pid, encoding="ascii") as file:
            word = file.read().rpartition(")")[2].split()
        return (int(word[11]) + int(word[12])) / os.sysconf("SC_CLK_TCK")

    # What it says.

    def signal(self, number):
        """Sends it a signal."""
        self.process.send_signal(number)

    def reload(self, **changes):
        """Merges CHANGES into the configuration, and reloads it."""
        before = len(self.reloads())
        self.write(merge(self.options, changes))
        self.signal(signal.SIGHUP)
        eventually(lambda: len(self.reloads()) > before, what="a reload")

    def reloads(self):
        """The log lines of reloads, good and bad."""
        return [line for line in list(self.log.lines)
                if re.search(r"\breloaded\b|\breload refused\b", line)]

    def flows(self):
        """The flow lines so far, each as a dictionary."""
        return [pairs(line) for line in list(self.log.lines)
                if re.search(r"\bflow id=\d+ .*\bending=", line)]

    def flow(self, client, timeout=5.0):
        """The flow line of CLIENT's flow (a socket, or its name)."""
        name = client if isinstance(client, tuple) else client.getsockname()
        text = ("[%s]:%d" if ":" in name[0] else "%s:%d") % name[:2]
        return eventually(
            lambda: next((flow for flow in reversed(self.flows())
                          if flow["src"] == text), None),
            timeout, "the flow line of %s" % text)

    def ask(self, *args, prefix=()):
        """A subcommand that speaks to it; (status, stdout, stderr)."""
        return run(self.ns, *args, "-c", self.file, prefix=prefix)

    def show(self, what, *args):
        """`show WHAT --json`, its objects as dictionaries."""
        status, out, err = self.ask("show", what, "--json", *args)
        assert status == 0, err
        return [json.loads(line) for line in out.splitlines()]

    def stats(self):
        """Its counters, by SIGUSR1."""
        def lines():
            return [line for line in list(self.log.lines)
                    if re.search(r"\bstats \w+=", line)]
        before = len(lines())
        self.signal(signal.SIGUSR1)
        eventually(lambda: len(lines()) > before, what="a stats line")
        return {key: int(value) for key, value in pairs(lines()[-1]).items()}

    def wait_stat(self, name, value=1, timeout=5.0):
        """Waits until a counter has this VALUE."""
        eventually(lambda: self.stats().get(name, 0) == value, timeout,
                   "%s=%d" % (name, value))

    def wait_empty(self, timeout=5.0):
        """Waits until no flow is left and the counts agree."""
        def empty():
            stats = self.stats()
            return stats["flows_active"] == 0 and \
                stats["flows_opened"] == stats["flows_ended"]
        eventually(empty, timeout, "no flow is left")

    # Its end.

    def wait(self, timeout=10.0):
        """Its exit status, once it ended. The search for leaks takes long."""
        status = self.process.wait(timeout * (6 if has_sanitizer() else 1))
        if self.log:
            self.log.join()
            found = self.log.find(SANITIZER)
            assert not found, self.log.text()
        return status

    def is_running(self):
        """True until it ended."""
        return self.process is not None and self.process.poll() is None

    def stop(self):
        """TERM; it must end well, with no flow left behind."""
        if self.is_running():
            self.signal(signal.SIGTERM)
        assert self.wait() == 0, self.log and self.log.text()

    def end(self):
        """At once, drained or not, but in its own way where it can."""
        if self.is_running():
            self.signal(signal.SIGTERM)
            self.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
        self.kill()

    def kill(self):
        """Whatever happened: it is gone."""
        if self.is_running():
            self.process.kill()
            self.process.wait()


class Legs:
    """
    Both legs of one flow, found by the client's name. Borrowed sockets
    would keep a closed one alive: use it as a context manager.
    """

    def __init__(self, daemon, client):
        self.client = self.server = None
        own = socket_inodes(daemon.pid)
        rows = [row for row in tcp_rows(daemon.pid)
                if row[3] in own and row[2] != LISTEN]
        name = client.getsockname()[:2]
        dst = client.getpeername()[:2]
        for local, peer, _, inode in rows:
            if (local, peer) == (dst, name):
                self.client = borrow(daemon.pid, own[inode])
            elif peer == dst:
                self.server = borrow(daemon.pid, own[inode])
        assert self.client and self.server, rows

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()
        self.server.close()

    def __iter__(self):
        return iter((self.client, self.server))


def run(ns, *args, prefix=(), cwd=None):
    """Runs the program to its end; (status, stdout, stderr)."""
    with ns:
        done = subprocess.run(list(prefix) + [binary()] + list(args),
                              capture_output=True, text=True, timeout=20,
                              cwd=cwd, check=False)
    assert not SANITIZER.search(done.stderr), done.stderr
    return done.returncode, done.stdout, done.stderr


BASE = {
    "listen": LISTENS,
    "user": "nobody",
    "timeouts": {"drain": "5s"},
    "log": {"level": "info", "max_per_second": 0},
}


def proxy_to(**options):
    """One policy for everybody."""
    return {"policies": [dict({"name": "all"}, **options)]}


