"""
What the style tests share: where the source is, which files are the
project's own, and how a test ends. A test prints what it looked at, each
fault as FILE:LINE: text, and exits 0, 1, or 77 when it cannot run here.
"""

import os
import subprocess
import sys

TOP = os.path.abspath(os.environ.get("srcdir") or
                      os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.path.abspath(os.environ.get("builddir") or os.getcwd())

# What autotools and the build leave in a source tree that is no work tree.
MADE_FOLDERS = {".git", ".deps", "autom4te.cache", "build-aux",
                "__pycache__", ".pytest_cache", "_build", "_inst"}
MADE_FILES = {"configure", "configure~", "aclocal.m4", "Makefile",
              "Makefile.in", "config.h", "config.h.in", "config.h.in~",
              "config.log", "config.status", "stamp-h1"}
MADE_ENDINGS = (".o", ".a", ".log", ".trs", ".dirstamp")


def _tracked():
    """Git's own list: tracked files and new ones that it does not ignore."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "-C", TOP, "ls-files", "-z",
         "--cached", "--others", "--exclude-standard"],
        capture_output=True, check=True, text=True).stdout
    return [name for name in listed.split("\0") if name]


def _walked():
    for folder, folders, files in os.walk(TOP):
        folders[:] = [f for f in folders if f not in MADE_FOLDERS and not
                      os.path.exists(os.path.join(folder, f, "config.status"))]
        for name in files:
            path = os.path.relpath(os.path.join(folder, name), TOP)
            if path in MADE_FILES or path.endswith(MADE_ENDINGS):
                continue
            if "\0" not in read(path):
                yield path


def files(*suffixes, under=""):
    """The project's own files, relative to TOP, sorted."""
    try:
        if not os.path.exists(os.path.join(TOP, ".git")):
            raise OSError
        names = _tracked()
    except (OSError, subprocess.CalledProcessError):
        names = list(_walked())
    return sorted(
        name for name in names
        if name.startswith(under) and os.path.isfile(os.path.join(TOP, name))
        and (not suffixes or name.endswith(suffixes)))


def read(name):
    """The text of one file; undecodable bytes become marks."""
    try:
        with open(os.path.join(TOP, name), encoding="utf-8",
                  errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        sys.exit("%s is missing" % name)


def skip(why):
    """Ends the test as skipped, loudly."""
    print("SKIPPED: " + why)
    sys.exit(77)


def finish(checked, faults):
    """Ends the test: CHECKED says what was looked at."""
    for fault in faults:
        print(fault)
    print("%s: %s" % (checked, "%d wrong" % len(faults) if faults else "good"))
    sys.exit(1 if faults else 0)
