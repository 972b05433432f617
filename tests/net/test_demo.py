"""contrib/demo shows what a split is worth, and leaves nothing behind."""

import os
import re
import signal
import subprocess

from lab import eventually

DEMO = os.path.join(os.path.dirname(__file__), "..", "..", "contrib", "demo")


def start(megabytes):
    """The demo on what was just built, as a pipe sees it."""
    build = os.path.dirname(os.path.abspath(os.environ["UNATATP"]))
    return subprocess.Popen(
        [DEMO, build, "--megabytes", str(megabytes)], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def children(pid):
    """The processes that a process has started."""
    with open("/proc/%d/task/%d/children" % (pid, pid),
              encoding="ascii") as file:
        return [int(one) for one in file.read().split()]


def test_both_downloads_and_the_factor():
    """Two whole downloads, the flow's own line, and how they compare."""
    demo = start(0.5)
    said, _ = demo.communicate(timeout=100)
    assert demo.returncode == 0, said
    assert len(re.findall(r"0\.5 of 0\.5 MB", said)) == 2, said
    assert "client_cc=bbr" in said
    assert re.search(r"\d\.\d times as fast", said), said
    # No terminal: no colours, and no line that rewrites itself.
    assert "\033" not in said and "\r" not in said


def test_interrupted():
    """Ctrl-C ends it at once, with all that it started."""
    demo = start(100)
    assert any("1. Direct" in line for line in demo.stdout)
    started = eventually(lambda: children(demo.pid), what="the link runs")
    demo.send_signal(signal.SIGINT)
    said, _ = demo.communicate(timeout=20)
    assert demo.returncode == 130
    assert "the lab is gone" in said
    eventually(lambda: not any(os.path.exists("/proc/%d" % one)
                               for one in started), what="all of it is gone")
