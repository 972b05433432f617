"""
Calls that fail. A library that is preloaded into the daemon (inject.c) makes
each call of the C library that the daemon uses fail with each error that its
manual page gives and that can be met, and each allocation of memory in turn:
at the start, and while flows, a reload and `show` need them. It never ends
by a signal, leaks nothing, loses one flow at most, and serves the next.

FAULT_REPEAT=2 tries every single call instead of a few of each kind.
"""

import select
import socket
import subprocess

import pytest

from daemon import binary, has_sanitizer
from fixtures import Starter
from inject import ERRORS, Page, options, places, scrape
from lab import SERVER, eventually
from peers import Peers, reset
from talk import BLOCK, Talk, both_of, drive

# Two workers hide nothing that one does not, but who does what varies.
MODES = {"buffer": {"workers": 1, "splice": "0"},
         "splice": {"workers": 1, "splice": "1"}}
PATIENCE = 8.0
SCRAPE = 25.0		# more than http.c lets anybody live
SLACK = 4		# blocks that are kept for the next time, or not
BULK = 300000

if has_sanitizer():
    pytest.skip("inject.c stands where a sanitizer's own malloc would",
                allow_module_level=True)


# --- a scene that goes through everything ----------------------------------

class Scene:
    """Three flows, a reload, and questions."""

    def __init__(self, the_lab, daemon):
        self.lab, self.daemon = the_lab, daemon
        self.answers = []

    def play(self, questions=("flows", "stats", "policies", "config")):
        """How many of the flows were lost."""
        peers = Peers(self.lab)
        try:
            lost = self.flows(peers)
        finally:
            peers.close()
        self.answers = [self.ask("reload")] + [
            self.ask("show", what, "--json")
            for what in questions]
        self.answers.append(self.scrape())
        return lost

    def ask(self, *words):
        """A client's exit status."""
        with self.lab.gateway:
            return subprocess.run(
                [binary(), *words, "-c", self.daemon.file],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                timeout=PATIENCE, check=False).returncode

    def scrape(self):
        """0 when the metrics came. evhttp may never hear of a client: then
        http.c ends it."""
        return 0 if scrape(self.lab, SCRAPE) else 1

    def flows(self, peers):
        """Bulk that the client ends, a few bytes that the server ends, and
        one that is reset: how many did not come through."""
        pairs = [self.open(peers, number) for number in range(3)]
        for pair, n in zip(pairs, (BULK, 1000, 1000)):
            for one in pair or ():
                one.say(n)
        live = [pair for pair in pairs if pair]
        for one, two in live:
            one.peer, two.peer = two, one
        drive(both_of(live), lambda one: one.end or one.has_heard(one.peer),
              "bytes", PATIENCE)
        self.end(pairs)
        lost = 3 - len(live)
        for one, two in live:
            want = "reset" if (one, two) == pairs[2] else "fin"
            one.assert_heard(two)
            two.assert_heard(one)
            good = two.end == want and one.end in (None, want)
            lost += not good
            assert two.end != "fin" or two.has_heard(one), "bytes are missing"
            assert one.end != "fin" or one.has_heard(two), "bytes are missing"
        return lost

    @staticmethod
    def end(pairs):
        """The ends of the three."""
        ends = []
        for number, (first, second) in ((0, (0, 1)), (1, (1, 0))):
            if pairs[number]:
                first, second = pairs[number][first], pairs[number][second]
                first.say(0, fin=True)
                ends += [first, second]
                drive([first, second],
                      lambda one, two=second: one is not two or two.end,
                      "the end", PATIENCE)
                second.say(0, fin=True)
        if pairs[2]:
            reset(pairs[2][0].sock)
            ends.append(pairs[2][1])
        drive(ends, lambda one: one.end, "the ends", PATIENCE)

    def open(self, peers, number):
        """One flow's two ends, or None: the daemon has reset it."""
        listener = peers.listen(port=7100 + number)
        client = peers.new(self.lab.client)
        client.setblocking(False)
        client.connect_ex((SERVER[4], 7100 + number))
        poll = select.poll()
        poll.register(client, select.POLLIN)
        poll.register(listener, select.POLLIN)
        ready = [fd for fd, _ in poll.poll(1000 * PATIENCE)]
        assert ready, "a flow is neither served nor reset"
        if listener.fileno() not in ready:
            listener.close()
            client.close()
            return None
        server, _ = peers.accept(listener)
        listener.close()
        return Talk(client, 0), Talk(server, 1)


class Kept(AssertionError):
    """Something was not given back."""


class Inject:
    """A daemon whose calls can be made to fail, and what it holds."""

    def __init__(self, the_lab, starter, folder):
        self.page = Page(folder)
        self.starter = starter
        self.daemon = starter.start(options=options(starter),
                                    env=self.page.env)
        self.scene = Scene(the_lab, self.daemon)
        for _ in range(5):	# what is kept has been made
            assert self.scene.play() == 0
            assert not any(self.scene.answers), self.scene.answers
        before = self.page.calls()
        assert self.scene.play() == 0
        self.daemon.wait_empty()
        after = self.page.calls()
        self.calls = {call: after[call] - before[call] for call in after
                      if after[call] > before[call]}
        self.held = self.settle()

    def holds(self):
        """Its descriptors, and blocks of memory."""
        return self.daemon.fds(), self.page.live

    def settle(self):
        """What it holds once clients have gone."""
        seen = []

        def same():
            seen.append(self.holds())
            return len(seen) > 20 and len(set(seen[-20:])) == 1
        eventually(same, PATIENCE, "it comes to rest")
        return seen[-1]

    def hit(self, call, error, nth):
        """One call fails: at most a flow is lost, and all is well again.
        True when it came to that call."""
        try:
            return self.try_once(call, error, nth)
        except Kept:	# a library's, for good: then it is kept once
            self.held = self.settle()
            return self.try_once(call, error, nth)

    def try_once(self, call, error, nth):
        """Likewise; Kept when it holds more than before."""
        self.page.clear()
        self.page.fail(call, error, nth)
        lost = self.scene.play()
        hit = self.page.hits
        self.page.clear()
        what = "%s %s, call %d" % (call, error, nth)
        assert self.daemon.is_running(), what
        assert lost <= 1, "%s: %d flows lost" % (what, lost)
        assert self.answers_wrong() <= 1, (what, self.scene.answers)
        assert self.scene.play(["stats"]) == 0, "%s: a flow after it" % what
        assert not any(self.scene.answers), (what, self.scene.answers)
        try:
            eventually(self.is_at_rest)
        except AssertionError as fault:
            raise Kept("%s: it holds %s, before %s" % (
                what, self.holds(), self.held)) from fault
        return hit

    def answers_wrong(self):
        """How many were not answered well."""
        return sum(1 for answer in self.scene.answers if answer)

    def is_at_rest(self):
        """No flow, no descriptor, no memory is left of it."""
        stats = self.daemon.stats()
        return stats["flows_active"] == 0 and \
            stats["flows_opened"] == stats["flows_ended"] and \
            self.daemon.fds() == self.held[0] and \
            abs(self.page.live - self.held[1]) <= SLACK


class Holder:
    """One daemon for many tests, until one of them fails."""

    def __init__(self, the_lab, mode, folders):
        self.lab, self.mode, self.folders = the_lab, mode, folders
        self.injected = self.starter = None

    def get(self):
        """The daemon."""
        if not self.injected:
            folder = self.folders.mktemp("inject")
            self.starter = Starter(self.lab, folder, MODES[self.mode])
            self.injected = Inject(self.lab, self.starter, folder)
        return self.injected

    def drop(self, failed):
        """Ends it."""
        if self.starter:
            self.starter.finish(Peers(self.lab), failed)
        self.injected = self.starter = None


@pytest.fixture(scope="module", params=list(MODES))
def holder(request, session_lab, tmp_path_factory):
    """Either engine's."""
    session_lab.use_rules("nft")
    one = Holder(session_lab, request.param, tmp_path_factory)
    yield one
    one.drop(False)


@pytest.fixture
def injected(request, holder, lab):
    """The daemon to try."""
    # pylint: disable=redefined-outer-name,unused-argument
    try:
        yield holder.get()
    finally:
        report = getattr(request.node, "call_report", None)
        if report is None or report.failed:
            holder.drop(True)


@pytest.mark.parametrize("call", list(ERRORS))
def test_live(injected, call):
    """While it serves."""
    n = injected.calls.get(call, 0)
    if not n:
        return		# at the start only, or with the other engine
    hits = 0
    for error in ERRORS[call].split():
        for nth in places(call, n):
            hits += injected.hit(call, error, nth)
    assert hits
