"""
Calls that fail while the daemon begins: it serves all the same, or it ends
with a status of its own and says why. See test_inject.py.
"""

import signal

import pytest

from daemon import Daemon, has_sanitizer
from fixtures import Starter
from inject import ERRORS, Page, options, places
from lab import eventually

PATIENCE = 8.0
GOOD_EXITS = {1, 69, 77, 78, -signal.SIGTERM}
MODE = {"workers": 2, "splice": "1"}

if has_sanitizer():
    pytest.skip("inject.c stands where a sanitizer's own malloc would",
                allow_module_level=True)


class Start:
    """Daemons that begin while calls fail."""

    def __init__(self, the_lab, folder):
        self.lab, self.folder = the_lab, folder
        self.page = Page(folder)
        self.count = 0
        self.starter = Starter(the_lab, folder, MODE)

    def begin(self):
        """A daemon that is told to begin."""
        self.count += 1
        folder = self.folder / ("start%d" % self.count)
        folder.mkdir()
        return Daemon(self.lab.gateway, str(folder), env=self.page.env,
                      options=options(self.starter)).start(wait=False)

    def calls(self):
        """{call: how often a good start makes it}."""
        self.page.clear()
        daemon = self.begin()
        eventually(daemon.is_ready, PATIENCE)
        found = self.page.calls()
        daemon.stop()
        return found

    def hit(self, call, error, nth):
        """It serves, or says why it does not; True: it came to that call."""
        self.page.clear()
        self.page.fail(call, error, nth)
        what = "%s %s, call %d" % (call, error, nth)
        daemon = self.begin()
        try:
            eventually(lambda: ended(daemon) or serves(daemon), PATIENCE,
                       what + ": it serves or ends")
            hit = self.page.hits
            self.page.clear()
            if not ended(daemon):	# or a moment later, by itself
                daemon.signal(signal.SIGTERM)
            if daemon.wait():
                self.assert_said(daemon, what)
        finally:
            daemon.kill()
        return hit

    @staticmethod
    def assert_said(daemon, what):
        """It ended with a status of its own, and in words. It may
        have listened and be about to end when TERM comes."""
        status = daemon.wait()
        assert status in GOOD_EXITS, (what, status, daemon.log.text())
        assert daemon.log.text().strip(), "%s: %d, no word" % (what, status)


def ended(daemon):
    """True when it is gone."""
    return daemon.process.poll() is not None


def serves(daemon):
    """True when it listens. It may die while we look."""
    try:
        return daemon.is_ready()
    except AssertionError:
        return False


@pytest.fixture(scope="module")
def start(session_lab, tmp_path_factory):
    """Daemons to start."""
    session_lab.use_rules("nft")
    one = Start(session_lab, tmp_path_factory.mktemp("start"))
    one.made = one.calls()
    return one


@pytest.mark.parametrize("call", list(ERRORS))
def test_start(start, lab, call):
    """While it begins: it serves, or ends with a status and a reason."""
    # pylint: disable=redefined-outer-name,unused-argument
    hits = 0
    for error in ERRORS[call].split():
        for nth in places(call, start.made[call]):
            hits += start.hit(call, error, nth)
    assert hits or not start.made[call]
