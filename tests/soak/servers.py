"""The servers behind the gateway, as Debian has them."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess

from lab import SERVER, eventually

POSTGRES = "/usr/lib/postgresql"
SSH_OPTIONS = ["-F", "none", "-o", "BatchMode=yes", "-o",
               "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
               "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=20"]
NGINX = """
daemon off;
user nobody nogroup;
worker_processes 2;
pid %(work)s/nginx.pid;
error_log %(work)s/nginx.log;
events { worker_connections 512; }
http {
	access_log off;
	sendfile on;
	client_body_temp_path %(work)s/nginx-body;
	proxy_temp_path %(work)s/nginx-proxy;
	fastcgi_temp_path %(work)s/nginx-fastcgi;
	uwsgi_temp_path %(work)s/nginx-uwsgi;
	scgi_temp_path %(work)s/nginx-scgi;
	server {
		listen 80; listen [::]:80;
		listen 443 ssl; listen [::]:443 ssl;
		ssl_certificate %(work)s/cert.pem;
		ssl_certificate_key %(work)s/cert.key;
		root %(work)s/files;
	}
}
"""
SSHD = """
Port 22
HostKey %(work)s/host_key
AuthorizedKeysFile %(work)s/key.pub
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PidFile none
MaxStartups 100
Subsystem sftp internal-sftp
"""


class Service:
    """One server: its port, how it starts, and how flows to it may end."""

    def __init__(self, name, port, argv, endings=(), stop=signal.SIGKILL,
                 ready=None):
        # pylint: disable=too-many-arguments
        self.name, self.port, self.argv = name, port, argv
        self.endings, self.stop_signal = set(endings), stop
        self.ready = ready	# a program that knows better than a SYN
        self.process = None

    def start(self, ns, work):
        """Starts it; returns once it answers."""
        with ns, open(os.path.join(work, self.name + ".out"), "ab") as out:
            self.process = subprocess.Popen(	# pylint: disable=R1732
                self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True, cwd=work)
        eventually(lambda: self.answers(ns), 60, self.name + " answers")

    def answers(self, ns):
        """It takes connections of both families."""
        if self.process.poll() is not None:
            raise RuntimeError("%s ended: status %d" % (
                self.name, self.process.returncode))
        for address in SERVER.values():
            with ns, contextlib.closing(socket.socket(
                    socket.AF_INET6 if ":" in address else
                    socket.AF_INET)) as probe:
                if probe.connect_ex((address, self.port)):
                    return False
        with ns:
            return not self.ready or not subprocess.call(
                self.ready, stdout=subprocess.DEVNULL)

    def stop(self):
        """Ends it and what it has started, in no gentle way."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, self.stop_signal)
        self.process.wait(30)


def postgres(name):
    """A program of the newest PostgreSQL."""
    versions = os.listdir(POSTGRES) if os.path.isdir(POSTGRES) else ["none"]
    return os.path.join(POSTGRES, max(versions, key=float), "bin", name) \
        if versions != ["none"] else name


# Programs, and the Debian packages that they come from.
NEEDED = {"curl": "curl", "nginx": "nginx-light", "openssl": "openssl",
          "/usr/sbin/sshd": "openssh-server", "ssh": "openssh-client",
          "ssh-keygen": "openssh-client", "git": "git", "iperf3": "iperf3",
          "redis-server": "redis-server", "redis-benchmark": "redis-tools",
          "psql": "postgresql", postgres("pgbench"): "postgresql",
          postgres("initdb"): "postgresql", "unshare": "util-linux",
          "setpriv": "util-linux", "nft": "nftables", "ip": "iproute2"}


def missing():
    """The packages that are to be installed first."""
    return sorted({package for program, package in NEEDED.items()
                   if not shutil.which(program)})


def as_postgres(argv):
    """ARGV as the user that PostgreSQL insists on."""
    user = pwd.getpwnam("postgres")
    return ["setpriv", "--reuid", str(user.pw_uid), "--regid",
            str(user.pw_gid), "--clear-groups", "--"] + argv


def run(*argv, cwd=None, **more):
    """Runs one step of the preparations."""
    done = subprocess.run(argv, capture_output=True, cwd=cwd, check=False,
                          stdin=subprocess.DEVNULL, **more)
    if done.returncode:
        raise RuntimeError("%s: %s" % (" ".join(argv), done.stderr.decode()))


def prepare(work):
    """Keys, a certificate, a repository and a database in WORK."""
    os.makedirs("/run/sshd", exist_ok=True)
    for name, text in (("nginx.conf", NGINX), ("sshd.conf", SSHD)):
        with open(os.path.join(work, name), "w", encoding="ascii") as file:
            file.write(text % {"work": work})
    for name in "host_key", "key":
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
            os.path.join(work, name))
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days",
        "2", "-subj", "/CN=soak", "-keyout", "cert.key", "-out", "cert.pem",
        cwd=work)
    _repository(os.path.join(work, "repositories", "one.git"), work)
    data = os.path.join(work, "postgres")
    os.mkdir(data)
    shutil.chown(data, "postgres", "postgres")
    run(*as_postgres([postgres("initdb"), "--no-sync", "--auth=trust",
                      "--username=soak", "-D", data]), cwd="/")
    with open(os.path.join(data, "pg_hba.conf"), "a",
              encoding="ascii") as file:
        file.write("host all all all trust\n")


def _repository(path, work):
    """A repository of some megabytes and some dozen commits."""
    tree = os.path.join(work, "tree")
    git = ["git", "-c", "user.name=soak", "-c", "user.email=soak@localhost",
           "-c", "init.defaultBranch=main", "-c", "gc.auto=0"]
    run(*git, "init", "-q", tree)
    for number in range(30):
        with open(os.path.join(tree, "file%d" % (number % 10)), "wb") as file:
            file.write(os.urandom(100000))
        run(*git, "add", "-A", cwd=tree)
        run(*git, "commit", "-q", "-m", "commit %d" % number, cwd=tree)
    run(*git, "clone", "-q", "--bare", tree, path)


def services(work):
    """{port: Service}"""
    redis = ["redis-server", "--port", "6379", "--bind", "0.0.0.0", "::",
             "--protected-mode", "no", "--save", "", "--maxmemory", "64mb",
             "--maxmemory-policy", "allkeys-random", "--dir", work]
    database = [postgres("postgres"), "-D", os.path.join(work, "postgres"),
                "-c", "listen_addresses=*", "-c", "fsync=off",
                "-c", "unix_socket_directories=", "-c", "shared_buffers=16MB",
                "-c", "autovacuum=off"]
    rows = [
        Service("web", 80, ["nginx", "-c", work + "/nginx.conf"]),
        Service("ssh", 22, ["/usr/sbin/sshd", "-D", "-e", "-f",
                            work + "/sshd.conf"]),
        Service("git", 9418, ["git", "daemon", "--reuseaddr", "--export-all",
                              "--base-path=" + work + "/repositories"]),
        # Closes its streams with bytes in them, and without a proxy, too.
        Service("iperf", 5201, ["iperf3", "-s"],
                {"client-reset", "server-reset"}),
        Service("redis", 6379, redis),
        Service("postgres", 5432, as_postgres(database), (), signal.SIGQUIT,
                [postgres("pg_isready"), "-q", "-h", "::1"])]
    found = {one.port: one for one in rows}
    found[443] = found[80]	# the same process
    return found
