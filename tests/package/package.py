"""What the tests of packages share."""

import fcntl
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "style"))
import tree  # noqa: E402 pylint: disable=wrong-import-position

PROGRAM = os.path.abspath(os.environ.get("UNATATP") or
                          os.path.join(tree.BUILD, "unatatp"))
PATIENCE = 300  # seconds that a command may take before it counts as hung

# What systemd reads of ours, by the folder below its own.
UNITS = sorted(name for name in
               os.listdir(os.path.join(tree.TOP, "contrib", "systemd"))
               if name.endswith((".service", ".socket")))
FOR_SYSTEMD = ["sysusers.d/unatatp.conf", "tmpfiles.d/unatatp.conf"]


def run(*argv, **options):
    """Runs a command that must succeed; what it prints."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False, timeout=PATIENCE, **options)
    if done.returncode:
        sys.exit("%s: status %d\n%s" % (" ".join(argv), done.returncode,
                                        done.stdout[-6000:]))
    return done.stdout


def make(*arguments, **variables):
    """Runs make in the build folder, as if no other make had called us; one
    at a time, since `make dist` has one folder."""
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS",
                                   "TESTS", "srcdir", "builddir")}
    environment.update(variables)
    lock = os.open(tree.BUILD, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        return run("make", "-C", tree.BUILD, *arguments, env=environment)
    finally:
        os.close(lock)


def need(tools):
    """Skips the test where one of TOOLS, {program: Debian package}, is not."""
    missing = {tools[tool] for tool in tools if not shutil.which(tool)}
    if missing:
        tree.skip("Debian packages are missing: " + " ".join(sorted(missing)))
