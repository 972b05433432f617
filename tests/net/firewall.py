"""`unatatp firewall` as tests call it, and what it must leave as it was."""

import contextlib
import os
import re
import stat

from daemon import BASE, config_text, merge, run
from lab import eventually

FIREWALL = {"interfaces": ["lan"]}


def snapshot(ns, iptables=True):
    """All that `down` must leave as it was, as text; without counts of
    packets, which the links' own chatter moves."""
    parts = [["nft", "list", "ruleset"], ["ip", "rule"], ["ip", "-6", "rule"],
             ["ip", "route", "show", "table", "all"],
             ["ip", "-6", "route", "show", "table", "all"]]
    if iptables:
        parts += [["iptables-save"], ["ip6tables-save"]]
    text = "\n".join("%s\n%s" % (" ".join(argv), ns.run(*argv))
                     for argv in parts)
    text = re.sub(r"packets \d+ bytes \d+|\[\d+:\d+\]", "counted", text)
    return "\n".join(line for line in text.splitlines()
                     if not line.startswith("# "))


def comes_back(ns, before):
    """NS is as BEFORE within five seconds, or the test shows what is not."""
    with contextlib.suppress(AssertionError):
        eventually(lambda: snapshot(ns) == before, 5)
    assert snapshot(ns) == before


def run_files(ns):
    """The files of ours in /run that are about NS."""
    path = "/run/unatatp.firewall.%d" % ns.inode
    return [path] if os.path.exists(path) else []


class Command:
    """`unatatp firewall` in a namespace, with a file of its own."""

    def __init__(self, ns, folder, **options):
        self.ns = ns
        self.file = os.path.join(str(folder), "firewall.conf")
        self.write(**options)

    def write(self, **options):
        """The configuration is BASE and OPTIONS."""
        options = merge(merge(BASE, {"firewall": FIREWALL}), options)
        with open(self.file, "w", encoding="ascii") as file:
            file.write(config_text(options))

    def __call__(self, verb, *args, status=0, prefix=()):
        """Runs it; what it printed on both outputs."""
        code, out, err = run(self.ns, "firewall", verb, "-c", self.file,
                             *args, prefix=prefix)
        assert code == status, (verb, code, out, err)
        return out + err


def wrapper(folder, name, pattern):
    """A program NAME in FOLDER that fails when its arguments match."""
    path = os.path.join(str(folder), name)
    with open(path, "w", encoding="ascii") as file:
        file.write('#!/bin/sh\ncase "$*" in\n%s)\n'
                   '\techo "%s: broken" >&2\n\texit 3\n\t;;\nesac\n'
                   'exec /usr/bin/env PATH=/usr/sbin:/usr/bin:/sbin:/bin '
                   '%s "$@"\n' % (pattern, name, name))
    os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
    return ["env", "PATH=%s:%s" % (folder, os.environ["PATH"])]


@contextlib.contextmanager
def ruled(lab, folder, **options):
    """The lab with rules that the command makes."""
    lab.use_rules(None)
    lab.forget_rules()
    for family in (4, 6):
        lab.gateway.ip("rule del fwmark 0x100/0xf00 iif lan lookup 100\n"
                       "route flush table 100\n", family)
    command = Command(lab.gateway, folder, **options)
    try:
        yield command
    finally:
        command("down")
        for family in (4, 6):
            lab.gateway.ip("""
                rule add fwmark 0x100/0xf00 iif lan lookup 100
                route add local default dev lo table 100
            """, family)
