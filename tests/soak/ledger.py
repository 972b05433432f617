"""What happened: transfers, flows and faults, and which of them explains
which. A failure is excused by a fault that can cause it, of its service, and
that was under way when it failed; everything else is unexplained."""

import collections
import contextlib
import json
import re
import threading
import time

# Faults that may end a flow; a reload, for one, may not.
EXPLAIN = {"kill client", "restart", "link down", "unreachable", "kill flow",
           "drain", "standstill"}
BEFORE, AFTER = 1.0, 4.0	# seconds around a fault
LATE = 60.0	# seconds from a foreseen flow's beginning to its line of the log
# How every flow may end; some services have more (servers.py).
ORDERLY = {"client-fin", "server-fin"}
LINE = re.compile(r"<(\d)>(.*)")
STATS = re.compile(r"stats \w+=")
# What a reload that must be refused says.
EXPECTED = re.compile(r"^reload refused: |unatatp\.conf:\d+: unknown option "
                      r'"soak"')
NOTICE = 5
SHOWN = 60		# things that are wrong
LONGEST = 400		# characters of a line


class Fault:
    """One fault; END is None while it lasts, SERVICE for all of them."""

    def __init__(self, kind, service, note):
        self.kind, self.service, self.note = kind, service, note
        self.start, self.end = time.monotonic(), None

    def explains(self, service, first, last, faults=frozenset(EXPLAIN)):
        """It may have ended something of SERVICE between these moments."""
        return self.kind in faults and \
            self.service in (None, service) and \
            self.start - BEFORE <= last and \
            first <= (self.end or time.monotonic()) + AFTER


class Transfer:
    """One piece of work of a client."""

    def __init__(self, kind):
        self.kind = kind
        self.process = None	# what it runs now
        self.worked = self.killed = False
        self.error = None	# why it failed (see traffic.py)
        self.start, self.end = time.monotonic(), None
        self.bytes = 0


class Life:
    """One process of the daemon, by its log."""

    def __init__(self, path):
        self.path = path
        self.count = collections.Counter()	# flows, up, down
        self.endings = collections.Counter()
        self.engines = collections.Counter()
        self.stats = None
        self.rests = []		# (when, what was measured at rest)
        self.file = open(path, encoding="utf-8",	# pylint: disable=R1732
                         errors="replace")
        self.part = ""

    def lines(self):
        """The lines that are new, without those cut short."""
        *whole, self.part = (self.part + self.file.read()).split("\n")
        return whole


class Ledger:
    """All that is remembered; used by every thread."""

    def __init__(self, path, services):
        self.began = time.monotonic()
        self.services = services	# {port: Service}
        self.lock = threading.Lock()
        self.reading = threading.Lock()
        self.journal = open(path, "w",	# pylint: disable=R1732
                            encoding="utf-8", buffering=1)
        self.faults, self.lives, self.running = [], [], set()
        self.done = collections.Counter()	# (kind, outcome)
        self.failed = []		# transfers
        self.bytes = collections.Counter()
        self.odd = []			# (moment, flow)
        # {("address:port", ending): when}; ports come again.
        self.foreseen = collections.defaultdict(list)
        self.killed = set()		# ids of flows
        self.lines = []			# of the log that should not be
        self.wrong = []			# texts

    def note(self, text, *args):
        """A line of the journal."""
        line = " | ".join((text % args).splitlines())
        self.journal.write("%8.1f  %s\n" % (time.monotonic() - self.began,
                                            line[:LONGEST]))

    def complain(self, text, *args):
        """Something is wrong: the soak fails."""
        self.note("WRONG: " + text, *args)
        self.wrong.append("at %.0f s: " % (time.monotonic() - self.began) +
                          text % args)

    def foresee(self, src, ending):
        """A flow from SRC, an address and port, is about to end like this."""
        self.foreseen[src, ending].append(time.monotonic())

    # Faults and transfers.

    @contextlib.contextmanager
    def fault(self, kind, service=None, note=""):
        """A fault, as long as the block."""
        one = Fault(kind, service, note)
        self.note("fault: %s %s %s", kind, service or "", note)
        with self.lock:
            self.faults.append(one)
        try:
            yield one
        finally:
            one.end = time.monotonic()

    def stood_still(self, since):
        """The machine did not let us run: programs may have given up."""
        with self.fault("standstill", None, "since %.1f s" % (
                since - self.began)) as one:
            one.start = since

    @contextlib.contextmanager
    def transfer(self, kind):
        """A transfer, as long as the block."""
        one = Transfer(kind)
        with self.lock:
            self.running.add(one)
        try:
            yield one
        finally:
            one.end = time.monotonic()
            with self.lock:
                self.running.discard(one)
                self._count(one)
            if one.error:
                self.note("%s %s: %r", kind.name, "killed" if one.killed
                          else "failed", one.error)

    def _count(self, one):
        name = one.kind.name
        if one.killed and not (one.error and not one.error.faults):
            self.done[name, "killed"] += 1
        elif one.error:
            self.failed.append(one)
        elif one.worked:
            self.done[name, "good"] += 1
            self.bytes[name] += one.bytes

    def excuse(self, service, moment):
        """The fault that explains the end of a flow, or None."""
        return next((one for one in self.faults if one.explains(
            service, moment, moment)), None)

    # The daemon's log.

    def begin_life(self, path):
        """A new process logs into PATH."""
        with self.reading:
            self.lives.append(Life(path))
        return self.lives[-1]

    def read_log(self):
        """Reads what is new of every log; a line's moment is now."""
        with self.reading:
            for life in self.lives:
                for line in life.lines():
                    self._take(life, line)

    def _take(self, life, line):
        match = LINE.match(line)
        level, text = match.groups() if match else ("0", line)
        if text.startswith('{"event":"flow"'):
            self._take_flow(life, json.loads(text))
        elif STATS.match(text):
            life.stats = {key: int(value) for key, value in (
                word.split("=") for word in text.split()[1:])}
        elif int(level) < NOTICE and not EXPECTED.search(text):
            self.lines.append(text)
            self.note("log: %s", line)

    def _take_flow(self, life, flow):
        life.count.update(flows=1, up=flow["up"], down=flow["down"])
        life.endings[flow["ending"]] += 1
        life.engines[flow["engine"]] += 1
        if flow["ending"] not in ORDERLY:
            self.odd.append((time.monotonic(), life, flow))

    def judge_flow(self, moment, flow):
        """Why it was right to end like this, or None."""
        ending = flow["ending"]
        if any(when <= moment <= when + LATE for when in
               self.foreseen.get((flow["src"], ending), ())):
            return "foreseen"
        if ending == "killed":
            return "killed" if flow["id"] in self.killed else None
        port = int(flow["dst"].rpartition(":")[2])
        service = self.services.get(port)
        if service and ending in service.endings:
            return "the way of %s" % service.name
        fault = self.excuse(service and service.name, moment)
        return fault and fault.kind

    # The page.

    def failures(self):
        """(excused, unexplained) transfers."""
        excused, unexplained = [], []
        for one in self.failed:
            first = one.end if one.error.just_now else one.start
            fault = next((fault for fault in self.faults if fault.explains(
                one.kind.service, first, one.end, one.error.faults)), None)
            (excused if fault else unexplained).append((one, fault))
        return excused, unexplained

    def conclude(self):
        """Failures and endings that nothing explains are wrong."""
        for one, _ in self.failures()[1]:
            self.wrong.append("at %.0f s: unexplained: %s: %r" % (
                one.end - self.began, one.kind.name, one.error))
        for moment, _, flow in self.odd:
            if not self.judge_flow(moment, flow):
                self.wrong.append("at %.0f s: unexplained ending: %s" % (
                    moment - self.began, json.dumps(flow)))
        self.wrong += ["the log says: " + line for line in self.lines]

    def covered(self):
        """How much of the time a fault could excuse something, by service."""
        names = [one.name for one in self.services.values()]
        end, step, share = time.monotonic(), 0.5, {}
        moments = [self.began + step * n
                   for n in range(1, int((end - self.began) / step))]
        for name in names:
            hits = sum(1 for one in moments if self.excuse(name, one))
            share[name] = hits / max(1, len(moments))
        return share

    def page(self, kinds, samples):
        """The report."""
        excused, unexplained = self.failures()
        rows = ["%-14s %8s %8s %8s %8s %10s" % (
            "transfers", "good", "killed", "excused", "wrong", "MB")]
        for kind in kinds:
            name = kind.name
            rows.append("%-14s %8d %8d %8d %8d %10.1f" % (
                name, self.done[name, "good"], self.done[name, "killed"],
                sum(1 for one, _ in excused if one.kind is kind),
                sum(1 for one, _ in unexplained if one.kind is kind),
                self.bytes[name] / 1e6))
        faults = collections.Counter(one.kind for one in self.faults)
        rows += ["", "faults:    " + _counts(faults)]
        rows.append("excused by: " + _counts(collections.Counter(
            fault.kind for _, fault in excused)))
        rows.append("time in which a fault could excuse a failure: " +
                    ", ".join("%s %.0f%%" % (name, 100 * part)
                              for name, part in self.covered().items()))
        rows += ["", *self._flows(), "", *_samples(samples, self.began)]
        for life in self.lives:
            rows += ["at rest, %5.0f s: %s" % (when - self.began, _counts(what))
                     for when, what in life.rests]
        rows += [""] + [" | ".join(one.splitlines())[:LONGEST]
                        for one in self.wrong[:SHOWN]]
        rows.append("%d wrong" % len(self.wrong) if self.wrong else "good")
        return "\n".join(rows)

    def _flows(self):
        total, endings, engines = (sum(
            (getattr(life, name) for life in self.lives),
            collections.Counter()) for name in ("count", "endings",
                                                "engines"))
        why = collections.Counter("%s: %s" % (
            flow["ending"], self.judge_flow(moment, flow) or "UNEXPLAINED")
            for moment, _, flow in self.odd)
        return ["flows:     %d in %d processes, %.1f MB up, %.1f MB down" % (
            total["flows"], len(self.lives), total["up"] / 1e6,
            total["down"] / 1e6),
            "engines:   " + _counts(engines), "endings:   " + _counts(endings),
            "why:       " + _counts(why)]


def _counts(counter):
    """NAME COUNT, ..."""
    return ", ".join("%s %s" % pair for pair in sorted(counter.items())) or "-"


def _samples(samples, began):
    """Twenty lines at most of the RSS over time."""
    rows = ["%8s %9s %6s %6s %6s" % ("seconds", "RSS KiB", "flows", "fds",
                                     "CPUs")]
    for one in samples[::max(1, len(samples) // 20)]:
        rows.append("%8.0f %9d %6d %6d %6.2f" % (
            (one["at"] - began, one["rss"] >> 10, one["flows"], one["fds"],
             one["cpus"])))
    return rows
