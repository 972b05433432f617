"""
Where a proxy's time goes: strace or perf, attached while a figure runs. The
figure itself is worth nothing then; the calls a request are.
"""

import os
import shutil
import signal
import subprocess
import time

import figures
import lab as labs

CALLS_SHOWN = 16


def attach(argv):
    """Starts a tool that watches the proxy, and gives it time to attach."""
    if not shutil.which(argv[0]):
        raise SystemExit("bench: no %s here" % argv[0])
    tool = subprocess.Popen(argv, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
    time.sleep(0.7)
    return tool


def detach(tool):
    """Has it write what it saw."""
    tool.send_signal(signal.SIGINT)
    tool.wait(60)


def run_watched(figure, arm, form, argv_of):
    """Runs a figure with a tool attached; the load's own result."""
    with labs.Lab() as lab:
        run = figures.Run(lab, arm.start(lab), form)
        run.prove_path()
        tool = attach(argv_of(run.standing.pid))
        try:
            if not hasattr(figure.measure, "argv"):
                return figure.measure(run)
            return run.load(*figure.measure.argv(form)).measure()
        finally:
            detach(tool)


def calls_of(path):
    """The table of strace -c: call -> (calls, errors)."""
    found = {}
    with open(path, encoding="ascii") as file:
        for line in file:
            words = line.split()
            if len(words) in (5, 6) and words[3].isdigit() and \
                    words[-1] != "total":
                errors = int(words[4]) if len(words) == 6 else 0
                found[words[-1]] = (int(words[3]), errors)
    return found


def strace(figure, arm, form, out):
    """System calls a request, or a GB, as text."""
    path = os.path.join(out, "strace-%s-%s.txt" % (figure.name, arm.name))
    if not hasattr(figure.measure, "argv"):
        raise SystemExit("bench: --strace knows no unit for " + figure.name)
    found = run_watched(figure, arm, form, lambda pid: [
        "strace", "-f", "-c", "-p", str(pid), "-o", path])
    unit = figure.measure.unit
    units = found["total_requests"] if unit == "request" else \
        found["total_bytes"] / figures.GIGA
    calls = sorted(calls_of(path).items(), key=lambda one: -one[1][0])
    lines = ["%s, %s: calls a %s (%.0f of them)" %
             (arm.name, figure.name, unit, units)]
    for name, (count, errors) in calls[:CALLS_SHOWN]:
        lines.append("  %-18s %10.3f   errors %10.3f" %
                     (name, count / units, errors / units))
    lines.append("  %-18s %10.3f" %
                 ("all", sum(one[0] for _, one in calls) / units))
    return "\n".join(lines)


def perf(figure, arm, form, out):
    """Where the proxy's threads spend their time, as text."""
    path = os.path.join(out, "perf-%s-%s.data" % (figure.name, arm.name))
    run_watched(figure, arm, form, lambda pid: [
        "perf", "record", "-q", "-g", "-F", "1999", "-p", str(pid),
        "-o", path])
    report = subprocess.run(
        ["perf", "report", "--stdio", "-q", "--no-children", "-g", "none",
         "--percent-limit", "0.5", "-F", "overhead,dso,symbol", "-i", path],
        capture_output=True, text=True, timeout=120).stdout
    lines = [line for line in report.splitlines() if line.strip()]
    return "%s, %s (all of it: perf report -i %s)\n%s" % (
        arm.name, figure.name, path, "\n".join(lines[:45]))
