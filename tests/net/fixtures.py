"""What every test shares: the lab, the peers, and daemons to start."""

import contextlib
import os
import pathlib
import signal
import tempfile

import pytest

import daemon as daemon_module
import lab as lab_module
from daemon import BASE, Daemon, merge
from firewall import Command
from peers import Peers

CONTROL = "/run/unatatp/control"

# A shell's background job ignores it, and what the tests start must not.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Each semantic holds in every mode: (workers, splice_after).
MODES = {
    "buffer-1": {"workers": 1, "splice": "0"},
    "buffer-4": {"workers": 4, "splice": "0"},
    "splice-1": {"workers": 1, "splice": "1"},
    "splice-4": {"workers": 4, "splice": "1"},
}


@contextlib.contextmanager
def nothing_in_run():
    """The built-in configuration has its control socket in /run."""
    folder = os.path.dirname(CONTROL)
    was_there = os.path.exists(folder)
    yield
    if not was_there and os.path.exists(folder):
        os.rmdir(folder)


@pytest.fixture(scope="session")
def machine():
    """What every namespace wants of the machine below it."""
    if os.geteuid():
        pytest.exit("these tests need root: they make network namespaces", 77)
    with lab_module.allowed_congestion(), nothing_in_run():
        yield


@pytest.fixture(scope="session")
def session_lab(machine):
    """The namespaces, one set a run."""
    # pylint: disable=unused-argument
    the_lab = lab_module.Lab()
    try:
        yield the_lab
    finally:
        the_lab.close()


@pytest.fixture
def lab(session_lab):
    """The lab with the rules in nft form."""
    session_lab.use_rules("nft")
    return session_lab


@pytest.fixture(params=["nft", "iptables"])
def rules(request, lab):
    """The gateway's rules, in both forms."""
    lab.use_rules(request.param)
    return request.param


@pytest.fixture(params=[4, 6], ids=["v4", "v6"])
def family(request):
    """IPv4 and IPv6."""
    return request.param


@pytest.fixture
def peers(lab):
    """Makes sockets of the client and the server."""
    the_peers = Peers(lab)
    yield the_peers
    the_peers.close()


@pytest.fixture
def public_folder():
    """A folder that everybody may read, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield pathlib.Path(name)


class Starter:
    """Starts daemons; at the end of the test each must end well."""

    def __init__(self, the_lab, folder, mode):
        self.lab = the_lab
        self.folder = folder
        self.mode = mode
        self.daemons = []

    def options(self, **changes):
        """The base configuration in this mode, with CHANGES over it."""
        options = merge(BASE, {"workers": self.mode["workers"]})
        options = merge(options, changes)
        for policy in options.setdefault("policies", [{"name": "all"}]):
            policy.setdefault("splice_after", self.mode["splice"])
        return options

    def policy(self, **options):
        """A running daemon whose one policy has these OPTIONS."""
        return self(policies=[dict({"name": "all"}, **options)])

    def __call__(self, **changes):
        """A running daemon, with CHANGES to the base configuration."""
        return self.start(options=self.options(**changes))

    def start(self, wait=True, **how):
        """A daemon as `Daemon` makes it."""
        folder = self.folder / str(len(self.daemons))
        folder.mkdir()
        folder.chmod(0o777)	# a daemon that is not root makes files in it
        one = Daemon(self.lab.gateway, str(folder), **how)
        self.daemons.append(one)
        return one.start(wait)

    def finish(self, peers, failed):
        """The peers go; then no flow is left, and each daemon ends well."""
        peers.close()
        try:
            for one in self.daemons:
                if not failed and one.is_running():
                    if one.log:
                        one.wait_empty()
                    one.stop()
        finally:
            for one in self.daemons:
                one.kill()
                if failed and one.log:
                    print("--- %s\n%s" % (one.args, one.log.text()[-30000:]))


def _starter(request, lab, peers, tmp_path, mode):
    starter = Starter(lab, tmp_path, mode)
    yield starter
    report = getattr(request.node, "call_report", None)
    starter.finish(peers, report is None or report.failed)


@pytest.fixture(params=list(MODES))
def unatatp(request, lab, peers, tmp_path):
    """Starts daemons, in every mode."""
    yield from _starter(request, lab, peers, tmp_path, MODES[request.param])


@pytest.fixture
def unatatp_once(request, lab, peers, tmp_path):
    """Starts daemons, in the first mode: where the engine has no part."""
    yield from _starter(request, lab, peers, tmp_path,
                        next(iter(MODES.values())))


@pytest.fixture(params=["nft", "iptables"])
def backend(request):
    """Whose rules `unatatp firewall` makes."""
    return request.param


@pytest.fixture
def bare():
    """A gateway's namespace with links, and nothing on the other ends."""
    ns = lab_module.Namespace()
    ns.ip("link set lo up\nlink add lan type veth peer name lan-peer\n"
          "link add wan type veth peer name wan-peer\n"
          "link set lan up\nlink set wan up\n"
          "addr add 10.71.0.1/24 dev lan\naddr add fd71::1/64 dev lan nodad\n")
    lab_module.eventually(	# the kernel adds it a moment later
        lambda: "local fd71::1 " in ns.run(
            "ip", "-6", "route", "show", "table", "local"))
    yield ns
    ns.kill_all()
    ns.close()


@pytest.fixture
def firewall(bare, tmp_path):
    """The command in a bare gateway."""
    return Command(bare, tmp_path)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Lets a fixture know how its test went."""
    outcome = yield
    if call.when == "call":
        item.call_report = outcome.get_result()


def pytest_report_header():
    """What is tested."""
    return "unatatp: %s%s" % (
        daemon_module.binary(),
        " (sanitizers)" if daemon_module.has_sanitizer() else "")
