"""What must be so once nothing moves any more."""

# KiB, from the first rest of a process to its last; what has not run for long
# has not yet met all that can come together.
MOST_RSS, MOST_RSS_EARLY, EARLY = 1024, 4096, 600
MOST_FDS = 2
IDLE_PIPES = 2 * 16	# descriptors that a worker keeps (src/flow/pipe_pool.c)
# What the counters of an interface may say beyond the bytes carried: headers,
# what was sent twice, and what lay in a buffer when a flow was cut.
HEADERS, AGAIN, CUT = 100, 0.02, 4 << 20


def check_sums(life, stats, ledger):
    """The counters of one process add up, and its log says the same."""
    def same(what, *values):
        if len(set(values)) != 1:
            ledger.complain("%s: %s: %s", life.path, what,
                            " is not ".join(map(str, values)))
    if not stats:
        ledger.complain("%s: no line of counters", life.path)
        return
    same("opened, ended and logged", stats["flows_opened"],
         stats["flows_ended"], life.count["flows"])
    same("active", stats["flows_active"], 0)
    same("bytes up", stats["bytes_up"], life.count["up"])
    same("bytes down", stats["bytes_down"], life.count["down"])
    for ending, count in life.endings.items():
        same(ending, stats.get(ending), count)


def total(metrics, name, match=""):
    """The sum of a metric's samples."""
    return sum(value for labels, value in metrics.get(name, {}).items()
               if match in labels)


def check_metrics(gateway, ledger):
    """Metrics, `show policies' and the log agree."""
    metrics, life = gateway.metrics(), gateway.life
    opened, ended = "unatatp_flows_opened_total", "unatatp_flows_ended_total"
    moved = "unatatp_bytes_total"
    rows = [
        ("flows opened", total(metrics, opened), life.count["flows"]),
        ("flows ended", total(metrics, ended), life.count["flows"]),
        ("bytes up", total(metrics, moved, 'lane="up"'), life.count["up"]),
        ("bytes down", total(metrics, moved, 'lane="down"'),
         life.count["down"]),
        ("flows active", total(metrics, "unatatp_flows_active"), 0),
        ("memory held", total(metrics, "unatatp_memory_held_bytes"), 0),
        ("reloads refused", total(metrics, "unatatp_reloads_total",
                                  "refused"), gateway.refused),
        ("options refused", total(metrics, "unatatp_options_refused_total"),
         0)]
    rows += [("ending " + ending, total(metrics, ended, 'ending="%s"' %
                                        ending), count)
             for ending, count in life.endings.items()]
    for one in gateway.daemon.show("policies"):
        label = 'policy="%s"' % one["policy"]
        rows += [(label + " opened", total(metrics, opened, label),
                  one["flows_opened"]),
                 (label + " ended", total(metrics, ended, label),
                  one["flows_ended"]),
                 (label + " bytes", total(metrics, moved, label),
                  one["up"] + one["down"])]
    for what, *values in rows:
        if len(set(values)) != 1:
            ledger.complain("metrics: %s: %s", what, " is not ".join(
                "%d" % one for one in values))


def check_interface(before, after, ledger):
    """What came in by one link went out by the other."""
    lives = ledger.lives
    for lane, inside, outside in (("up", "rx", "tx"), ("down", "tx", "rx")):
        carried = sum(life.count[lane] for life in lives)
        for link, side in (("lan", inside), ("wan", outside)):
            moved, packets = (now - then for then, now in zip(
                before[link][side], after[link][side]))
            slack = AGAIN * carried + CUT * len(ledger.odd)
            ledger.note("%s %s: %d bytes in %d packets, carried %s: %d", link,
                        side, moved, packets, lane, carried)
            if not carried - slack <= moved <= \
                    carried + slack + HEADERS * packets:
                ledger.complain("%s %s: %d bytes in %d packets, but carried "
                                "%s: %d", link, side, moved, packets, lane,
                                carried)


def check_held(gateway, ledger):
    """A process holds at its last rest what it held at its first."""
    life = gateway.life
    if len(life.rests) < 2:
        ledger.complain("too short: the last process had %d rests, not two",
                        len(life.rests))
        return
    first, last = life.rests[0][1], life.rests[-1][1]
    if abs(last["fds"] - first["fds"]) > MOST_FDS:
        ledger.complain("descriptors at rest: %d at first, %d at the end",
                        first["fds"], last["fds"])
    if last["pipes"] > IDLE_PIPES * 2:
        ledger.complain("%d descriptors of pipes at rest", last["pipes"])
    age = life.rests[-1][0] - life.rests[0][0]
    if last["rss_kib"] - first["rss_kib"] > (
            MOST_RSS if age > EARLY else MOST_RSS_EARLY):
        ledger.complain("RSS at rest: %d KiB at first, %d at the end",
                        first["rss_kib"], last["rss_kib"])


def check_sandbox(gateway, ledger):
    """The sandbox is on, so that a call that it forbids would be felt."""
    with open("/proc/%d/status" % gateway.daemon.pid,
              encoding="ascii") as file:
        words = dict(line.split(":\t", 1) for line in file.read().splitlines()
                     if ":\t" in line)
    for key, wanted in (("Seccomp", "2"), ("NoNewPrivs", "1")):
        if words.get(key, "").strip() != wanted:
            ledger.complain("%s is %s", key, words.get(key))
