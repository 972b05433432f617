"""The table and the verdicts of the bench on a lossy link."""

import checks
import report

# What the table shows of a load: metric, words, how to print.
ROWS = {
    "download": [("mbit_s", "download, Mbit/s", "%.1f")],
    "upload": [("mbit_s", "upload, Mbit/s", "%.1f")],
    "changes": [("good_mbit_s", "no loss yet, Mbit/s", "%.1f"),
                ("lossy_mbit_s", "lossy, Mbit/s", "%.1f"),
                ("again_mbit_s", "no loss any more, Mbit/s", "%.1f")],
    "page": [("page_ms", "page, ms", "%.0f"),
             ("object_30k_ms", "30 KB, ms", "%.0f"),
             ("object_100k_ms", "100 KB, ms", "%.0f"),
             ("object_1000k_ms", "1 MB, ms", "%.0f")],
    "short": [("short_30k_p50_ms", "30 KB p50, ms", "%.0f"),
              ("short_100k_p50_ms", "100 KB p50, ms", "%.0f"),
              ("short_1000k_p50_ms", "1 MB p50, ms", "%.0f"),
              ("short_1000k_p90_ms", "1 MB p90, ms", "%.0f"),
              ("again_1_ms", "1 MB after 3 s, ms", "%.0f"),
              ("again_0_ms", "the same, restart off, ms", "%.0f")],
    "beside": [("mbit_s", "stream, Mbit/s", "%.1f"),
               ("delay_p50_ms", "delay in it p50, ms", "%.0f"),
               ("delay_p99_ms", "delay in it p99, ms", "%.0f"),
               ("answer_p50_ms", "answer beside p50, ms", "%.0f"),
               ("answer_p99_ms", "answer beside p99, ms", "%.0f")],
    "delay": [("mbit_s", "stream, Mbit/s", "%.1f"),
              ("delay_p50_ms", "delay in it p50, ms", "%.0f"),
              ("delay_p95_ms", "delay in it p95, ms", "%.0f")],
}


def valid(results):
    """The runs that count."""
    return [row for row in results["runs"] if row["link"]["valid"]]


def conclude(results):
    """What follows from the runs goes to the results, too."""
    runs = valid(results)
    results["summary"] = report.summarise(runs)
    results["checks"] = [one.judge(runs) for one in checks.LINK]
    results["invalid"] = len(results["runs"]) - len(runs)


def cell(spread, form):
    """A median with its range, where there is one."""
    if not spread:
        return ""
    text = form % spread["median"]
    if spread["rounds"] > 1:
        text += " (%s-%s)" % (form % spread["least"], form % spread["most"])
    return text


def table(results, names):
    """A row a figure and metric, a column an arm."""
    figures = {}
    for row in valid(results):
        figures.setdefault(row["figure"], row)
    lines = ["%-46s" % "" + "".join("%22s" % one for one in names)]
    for figure, first in figures.items():
        found = results["summary"][figure]
        point = "%(rate)s %(rtt)s %(loss)s%%" % first["point"]
        if "server_rtt" in first["point"]:
            point += " +" + first["point"]["server_rtt"]
        for metric, words, form in ROWS[first["load"]]:
            lines.append("%-22s%-24s" % (point, words) + "".join(
                "%22s" % cell(found.get(one, {}).get(metric), form)
                for one in names))
    return "\n".join(lines)


def show(results, chosen):
    """All of it, for a terminal."""
    conclude(results)
    parts = [table(results, [one.name for one in chosen])]
    verdicts = report.verdicts(results["checks"])
    if verdicts:
        parts.append("Figures to reach (median of the seeds, range)\n" +
                     verdicts)
    parts.append("%d runs, %d of them invalid and left out" %
                 (len(results["runs"]), results["invalid"]))
    return "\n\n".join(parts)
