"""What the clients do, with the programs that people use. Each piece of work
is checked: by a digest of what came, or by what the program says."""

import contextlib
import hashlib
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import urllib.parse

from daemon import socket_inodes, tcp_rows
from lab import CLIENT, CLIENT_B, FAMILY, SERVER, SERVER_B, UNREACHABLE
from ledger import EXPLAIN
from servers import SSH_OPTIONS, postgres

HANGS = 120		# seconds that nothing here may take
MB = 1 << 20
FILES = {"tiny": 700, "small": 24000, "page": 180000, "large": 5 * MB,
         "bulk": 100 * 1000 * 1000}
CLOSED, HOLE = 9, 7	# ports of the server
LINGER_RESET = struct.pack("ii", 1, 0)


class Failed(Exception):
    """A transfer that did not do what it should; FAULTS may excuse it, just
    now, or at any time since its beginning."""

    faults, just_now = EXPLAIN, True


class Corrupt(Failed):
    """It says that all is well, but other bytes came."""

    faults = set()


class Hung(Failed):
    """It waits for a connection of its own. A RST is sent once: one that met
    a cable that was out is never heard of by a client that only waits."""

    faults, just_now = {"link down"}, False


class Stuck(Failed):
    """It hangs and has no connection left, so that nobody else is to blame:
    redis-benchmark does when all of its connections are reset at once."""

    just_now = False


class Late(Failed):
    """It reads slowly: a server's end comes behind all that lies between."""

    just_now = False


class Kind:
    """A row: what is done, to which service, how often (mean pause in
    seconds), by how many at a time."""

    def __init__(self, name, service, work, pause, many=1):
        # pylint: disable=too-many-arguments
        self.name, self.service, self.work = name, service, work
        self.pause, self.many = pause, many


class Clients:
    """Whoever works behind the gateway."""

    def __init__(self, the_lab, work, ledger, seed):
        self.lab, self.work, self.ledger = the_lab, work, ledger
        self.seed = seed
        self.digests = make_files(os.path.join(work, "files"))
        self.open = threading.Event()	# closed while all rest
        self.ended = threading.Event()
        self.pace = 1.0			# what pauses are multiplied by
        self.threads = []

    def start(self):
        """All of them begin."""
        for kind in KINDS:
            for number in range(kind.many):
                thread = threading.Thread(
                    target=self._live, args=(kind, number), daemon=True)
                thread.start()
                self.threads.append(thread)

    def _live(self, kind, number):
        rng = random.Random("%s %s %d" % (self.seed, kind.name, number))
        while not self.ended.wait(rng.expovariate(1 / kind.pause) *
                                  self.pace):
            # What has begun is known before anybody asks whether all rest.
            if not self.open.wait(0.5):
                continue
            with self.ledger.transfer(kind) as one:
                if self.open.is_set() and not self.ended.is_set():
                    one.worked = True
                    self._work(one, rng)

    def _work(self, one, rng):
        folder = tempfile.mkdtemp(dir=self.work)
        try:
            one.kind.work(Job(self, one, rng, folder))
        except Failed as error:
            one.error = error
        except (OSError, subprocess.SubprocessError) as error:
            one.error = Failed(repr(error))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def end(self):
        """No more work."""
        self.ended.set()
        self.open.set()
        for thread in self.threads:
            thread.join(HANGS + 10)


class Job:
    """One transfer at work."""

    def __init__(self, clients, transfer, rng, folder):
        self.clients, self.transfer = clients, transfer
        self.rng, self.folder = rng, folder
        self.family = rng.choice([4, 6])
        self.host = rng.choice([SERVER, SERVER_B])[self.family]
        self.source = rng.choice([CLIENT, CLIENT_B])[self.family]
        self.url_host = "[%s]" % self.host if self.family == 6 else self.host

    def run(self, *argv, feed=None, where=None, env=None):
        """Runs a program of the client; what it printed."""
        with where or self.clients.lab.client:
            process = subprocess.Popen(	# pylint: disable=R1732
                argv, stdin=subprocess.PIPE if feed is not None else
                subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, cwd=self.folder,
                start_new_session=True, env=dict(
                    os.environ, GIT_CONFIG_GLOBAL="/dev/null",
                    GIT_CONFIG_NOSYSTEM="1", HOME=self.folder, **(env or {})))
        self.transfer.process = process
        try:
            out, err = process.communicate(feed, timeout=HANGS)
        except subprocess.TimeoutExpired:
            kind = Hung if has_connection(process) else Stuck
            kill_session(process)
            process.communicate()
            raise kind(" ".join(argv)) from None
        finally:
            self.transfer.process = None
        if process.returncode:
            raise Failed("%s: status %d: %s" % (
                " ".join(argv), process.returncode,
                (err or out).decode(errors="replace").strip()[-300:]))
        return out

    def expect(self, got, wanted, what):
        """Fails unless both are the same."""
        if got != wanted:
            raise Corrupt("%s: %.80r, not %.80r" % (what, got, wanted))

    def path(self, name):
        """A file of everybody's."""
        return os.path.join(self.clients.work, name)

    def socket(self, ending=None):
        """A socket of the client; its flow is to have this ENDING."""
        with self.clients.lab.client:
            sock = socket.socket(FAMILY[self.family])
        sock.settimeout(30)
        sock.bind((self.source, 0))
        name = sock.getsockname()[:2]
        self.clients.ledger.foresee(("[%s]:%d" if self.family == 6 else
                                     "%s:%d") % name, ending)
        return sock


def kill_session(process):
    """Ends a program and whatever it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def has_connection(process):
    """A program, or one that it has started, holds a socket that is not
    closed."""
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        with contextlib.suppress(OSError):
            if os.getsid(pid) == process.pid:
                own = socket_inodes(pid)
                if any(inode in own for *_, inode in tcp_rows(pid)):
                    return True
    return False


def make_files(folder):
    """What the web server has; {name: SHA-256}."""
    os.makedirs(folder)
    digests = {}
    for name, size in FILES.items():
        block = os.urandom(min(size, MB))
        data = (block * (size // len(block) + 1))[:size]
        # No two megabytes are the same: one that is lost is seen.
        with open(os.path.join(folder, name), "wb") as file:
            digest = hashlib.sha256()
            for start in range(0, size, MB):
                part = struct.pack("!Q", start) + data[start + 8:start + MB]
                part = part[:size - start]
                file.write(part)
                digest.update(part)
        digests[name] = digest.hexdigest()
    return digests


# --- the web ---------------------------------------------------------------

def curl(job, urls, *options):
    """Gets URLS with one curl, one after the other, in one connection."""
    return job.run("curl", "-sSfg", "--fail-early", "--interface", job.source,
                   "--connect-timeout", "30", *options, *urls)


def page(job):
    """One small file, one connection."""
    name = job.rng.choice(["tiny", "small", "page"])
    got = curl(job, ["http://%s/%s" % (job.url_host, name)])
    job.expect(hashlib.sha256(got).hexdigest(), job.clients.digests[name],
               name)
    job.transfer.bytes = len(got)


def many(job, scheme="http", *options):
    """Many files in one connection."""
    names = [job.rng.choice(["tiny", "small", "page"]) for _ in range(25)]
    got = curl(job, ["%s://%s/%s" % (scheme, job.url_host, name)
                     for name in names], *options)
    job.transfer.bytes = len(got)
    for name in names:
        part, got = got[:FILES[name]], got[FILES[name]:]
        job.expect(hashlib.sha256(part).hexdigest(),
                   job.clients.digests[name], name)


def many_tls(job):
    """Likewise, encrypted."""
    many(job, "https", "-k")


def large(job, name, *options):
    """A file that is written to disk and read again."""
    url = options[0] if options else "http://%s/" % job.url_host
    curl(job, [url + name], "-k", "-o", "got")
    out = job.run("sha256sum", "got").decode().split()[0]
    job.expect(out, job.clients.digests[name], name)
    job.transfer.bytes = FILES[name]


def bulk(job):
    """100 MB."""
    large(job, "bulk")


def large_tls(job):
    """Some megabytes, encrypted."""
    large(job, "large", "https://%s/" % job.url_host)


def request(job, sock, name):
    """Asks for a file, by hand."""
    sock.connect((job.host, 80))
    sock.sendall(b"GET /%s HTTP/1.0\r\n\r\n" % name.encode())


def slow_reader(job):
    """Takes its time for five megabytes."""
    with job.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        request(job, sock, "large")
        got = bytearray()
        while True:
            part = sock.recv(200000)
            if not part:
                break
            got += part
            time.sleep(0.02 + job.rng.random() * 0.3)
    body = bytes(got).partition(b"\r\n\r\n")[2]
    if len(body) < FILES["large"]:
        raise Late("a FIN after %d bytes" % len(body))
    job.expect(hashlib.sha256(body).hexdigest(), job.clients.digests["large"],
               "large, slowly")
    job.transfer.bytes = len(got)


def hang_up(job):
    """Resets a download in the middle."""
    with job.socket("client-reset") as sock:
        request(job, sock, "bulk")
        wanted = job.rng.randrange(1, 2 * MB)
        while wanted > 0:
            part = sock.recv(min(wanted, 1 << 16))
            if not part:
                raise Failed("a FIN in the middle")
            wanted -= len(part)
            job.transfer.bytes += len(part)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)


# --- ssh and git -----------------------------------------------------------

def ssh_command(job):
    """A command that reads some megabytes and answers with their digest."""
    data = job.rng.randbytes(job.rng.choice([1000, 300000, 3 * MB]))
    out = job.run("ssh", *SSH_OPTIONS, "-i", job.path("key"), "-b", job.source,
                  "root@" + job.host, "sha256sum", feed=data)
    job.expect(out.decode().split()[0], hashlib.sha256(data).hexdigest(),
               "sha256sum there")
    job.transfer.bytes = len(data)


def session(job):
    """Somebody sits at a terminal: little, and for long."""
    lines = job.rng.randrange(5, 60)
    out = job.run("ssh", *SSH_OPTIONS, "-i", job.path("key"), "-b", job.source,
                  "root@" + job.host, "seq %d | while read -r n; do echo $n; "
                  "sleep 0.2; done" % lines)
    job.expect(out.split(), [b"%d" % n for n in range(1, lines + 1)],
               "lines")
    job.transfer.bytes = len(out)


def copy(job):
    """scp there and back."""
    data = job.rng.randbytes(2 * MB)
    with open(os.path.join(job.folder, "sent"), "wb") as file:
        file.write(data)
    options = [*SSH_OPTIONS, "-o", "BindAddress=" + job.source, "-i",
               job.path("key"), "-q"]
    there = "root@%s:%s/copied" % (job.url_host, job.folder)
    job.run("scp", *options, "sent", there)
    job.run("scp", *options, there, "back")
    with open(os.path.join(job.folder, "back"), "rb") as file:
        job.expect(hashlib.sha256(file.read()).hexdigest(),
                   hashlib.sha256(data).hexdigest(), "scp")
    job.transfer.bytes = 2 * len(data)


def clone(job, url):
    """git clone, and a look at all that came."""
    ssh = " ".join(["ssh", *SSH_OPTIONS, "-i", job.path("key"), "-b",
                    job.source])
    job.run("git", "clone", "-q", "--bare", url, "got",
            env={"GIT_SSH_COMMAND": ssh})
    heads = [job.run("git", "--git-dir", one, "rev-parse", "main")
             for one in ("got", job.path("repositories/one.git"))]
    job.expect(heads[0], heads[1], "the clone's head")
    job.run("git", "--git-dir", "got", "fsck", "--full")
    job.transfer.bytes = 3 * MB


def git_clone(job):
    """By git's own protocol."""
    clone(job, "git://%s/one.git" % job.url_host)


def git_ssh(job):
    """By ssh."""
    clone(job, "ssh://root@%s%s" % (job.url_host, urllib.parse.quote(
        job.path("repositories/one.git"))))


# --- streams, databases ----------------------------------------------------

def iperf(job):
    """Several streams, one way or the other."""
    reverse = ["-R"] if job.rng.random() < 0.5 else []
    job.run("iperf3", "-c", job.host, "-B", job.source, "-P", "4", "-n", "8M",
            "-b", "100M", *reverse)
    job.transfer.bytes = 8 * MB


def redis(job):
    """Pipelined requests, and one large value."""
    job.run("redis-benchmark", "-h", job.host, "-n", "3000", "-P", "16", "-c",
            "8", "-d", "200", "-r", "1000", "-t", "set,get", "-q")
    key = "soak-%x" % job.rng.getrandbits(64)
    data = job.rng.randbytes(400000).hex().encode()
    client = ["redis-cli", "-h", job.host]
    out = job.run(*client, "-x", "SETEX", key, "60", feed=data)
    job.expect(out.strip(), b"OK", "SETEX")
    out = job.run(*client, "GET", key).strip()
    if not out:
        raise Failed("redis has forgotten")
    job.expect(hashlib.sha256(out).hexdigest(),
               hashlib.sha256(data).hexdigest(), "GET")
    job.transfer.bytes = 2 * len(data)


ROWS = 20000
ROWS_DIGEST = hashlib.sha256(b"".join(
    b"%d\t%s\n" % (n, hashlib.md5(b"%d" % n).hexdigest().encode())
    for n in range(1, ROWS + 1))).hexdigest()


def psql(job):
    """A long answer."""
    out = job.run("psql", "-X", "-h", job.host, "-U", "soak", "postgres", "-c",
                  "copy (select i, md5(i::text) from generate_series(1, %d) i)"
                  " to stdout" % ROWS)
    job.expect(hashlib.sha256(out).hexdigest(), ROWS_DIGEST, "the rows")
    job.transfer.bytes = len(out)


def pgbench(job):
    """Transactions for some seconds."""
    out = job.run(postgres("pgbench"), "-h", job.host, "-U", "soak", "-n",
                  "-T", "4", "-c", "3", "-R", "60", "-S", "postgres").decode()
    if "number of failed transactions: 0 " not in out:
        raise Failed("pgbench: " + out[-300:])


# --- what cannot work ------------------------------------------------------

def refused(job, port=CLOSED, host=None, ending="connect-refused"):
    """A closed port: a reset comes and nothing else."""
    with job.socket(ending) as sock:
        try:
            sock.connect((host or job.host, port))
            got = sock.recv(1)
        except ConnectionResetError:
            return
        except socket.timeout:
            raise Hung("no reset") from None
    raise Failed("%r where a reset should be" % got)


def black_hole(job):
    """A server that says nothing."""
    refused(job, HOLE, None, "connect-timeout")


def unreachable(job):
    """No way there."""
    refused(job, 80, UNREACHABLE[job.family], "connect-unreachable")


# --- those who watch -------------------------------------------------------

def watch(job):
    """An administrator looks."""
    words = job.rng.choice([
        ["show", "flows", "--json"], ["show", "policies"], ["show", "stats"],
        ["show", "config"], ["top", "--once"], ["metrics"], ["page"]])
    gateway = job.clients.lab.gateway
    if words[0] in ("metrics", "page"):
        job.run("curl", "-sSf", "http://127.0.0.1:9477/" + (
            words[0] if words[0] == "metrics" else ""), where=gateway)
        return
    job.run(os.path.abspath(os.environ["UNATATP"]), *words, "-s",
            job.path("control"), where=gateway)


KINDS = [
    Kind("page", "web", page, 0.5, 2),
    Kind("keep-alive", "web", many, 2),
    Kind("keep-alive tls", "web", many_tls, 3),
    Kind("100 MB", "web", bulk, 12),
    Kind("5 MB tls", "web", large_tls, 4),
    Kind("slow reader", "web", slow_reader, 3, 2),
    Kind("hang-up", "web", hang_up, 3),
    Kind("ssh", "ssh", ssh_command, 4),
    Kind("session", "ssh", session, 3, 4),
    Kind("scp", "ssh", copy, 8),
    Kind("git", "git", git_clone, 6),
    Kind("git ssh", "ssh", git_ssh, 12),
    Kind("iperf3", "iperf", iperf, 5),
    Kind("redis", "redis", redis, 4),
    Kind("psql", "postgres", psql, 4),
    Kind("pgbench", "postgres", pgbench, 8),
    Kind("closed port", None, refused, 3),
    Kind("black hole", None, black_hole, 5),
    Kind("unreachable", None, unreachable, 5),
    Kind("watch", "watch", watch, 2, 2),
]
