"""The table on the terminal and the JSON, both made from the list of runs."""

import datetime
import json
import os
import statistics
import sys

import checks

# What the table shows: figure, metric, words, how to print.
ROWS = [
    ("bulk-up", "gbit_s", "one flow up, Gbit/s", "%.1f"),
    ("bulk-down", "gbit_s", "one flow down, Gbit/s", "%.1f"),
    ("bulk16-down", "gbit_s", "16 flows down, Gbit/s", "%.1f"),
    ("bulk-up", "proxy_s_per_gb", "proxy CPU s/GB, one up", "%.3f"),
    ("bulk-down", "proxy_s_per_gb", "proxy CPU s/GB, one down", "%.3f"),
    ("bulk16-down", "proxy_s_per_gb", "proxy CPU s/GB, 16 down", "%.3f"),
    ("bulk-down", "machine_s_per_gb", "machine CPU s/GB, one down", "%.2f"),
    ("keepalive", "rate", "keep-alive, req/s", "%.0f"),
    ("keepalive", "p50_us", "keep-alive p50, us", "%.0f"),
    ("keepalive", "p99_us", "keep-alive p99, us", "%.0f"),
    ("keepalive", "proxy_us_per_request", "  proxy CPU us/request", "%.2f"),
    ("one", "p50_us", "one connection p50, us", "%.1f"),
    ("one", "p99_us", "one connection p99, us", "%.1f"),
    ("connect", "rate", "connection each, req/s", "%.0f"),
    ("connect", "p99_us", "connection each p99, us", "%.0f"),
    ("connect", "proxy_us_per_request", "  proxy CPU us/request", "%.1f"),
    ("beside-bulk", "p50_us", "small beside bulk p50, us", "%.0f"),
    ("beside-bulk", "p99_us", "small beside bulk p99, us", "%.0f"),
    ("beside-bulk", "gbit_s", "  the bulk flows, Gbit/s", "%.1f"),
    ("live-10", "proxy_us_per_request", "CPU us/req, 10 live", "%.2f"),
    ("live-100", "proxy_us_per_request", "CPU us/req, 100 live", "%.2f"),
    ("live-1000", "proxy_us_per_request", "CPU us/req, 1,000 live", "%.2f"),
    ("live-8000", "proxy_us_per_request", "CPU us/req, 8,000 live", "%.2f"),
    ("idle", "bytes_per_flow", "bytes an idle flow", "%.0f"),
    ("idle-after-bulk", "bytes_per_flow", "  after bulk", "%.0f"),
    ("idle", "descriptors_per_flow", "descriptors a flow", "%.2f"),
]


def summarise(runs):
    """figure -> arm -> metric -> median, least, most, spread."""
    found = {}
    for run in runs:
        metrics = found.setdefault(run["figure"], {}).setdefault(
            run["arm"], {})
        for metric, value in run["metrics"].items():
            metrics.setdefault(metric, []).append(value)
    return {figure: {arm: {metric: spread(values)
                           for metric, values in metrics.items()}
                     for arm, metrics in arms.items()}
            for figure, arms in found.items()}


def spread(values):
    """Median and range of one metric."""
    median = statistics.median(values)
    return {"median": median, "least": min(values), "most": max(values),
            "spread": (max(values) - min(values)) / median if median else 0,
            "rounds": len(values)}


def tell(text=None):
    """One line of progress that rewrites itself; none for a log."""
    if sys.stderr.isatty():
        print("\r\033[K" + (text or ""), end="", file=sys.stderr, flush=True)


def read(path):
    """A small file of /proc, or None."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None


def facts(arms):
    """What the machine is and what runs on it."""
    cpuinfo = read("/proc/cpuinfo") or ""
    model = next((line.split(":", 1)[1].strip() for line in
                  cpuinfo.splitlines() if line.startswith("model name")), None)
    sysctls = ("net/ipv4/tcp_rmem", "net/ipv4/tcp_wmem",
               "fs/pipe-user-pages-soft")
    return {
        "date": datetime.datetime.now(datetime.timezone.utc)
        .isoformat(timespec="seconds"),
        "kernel": os.uname().release, "arch": os.uname().machine,
        "cpu": model, "cpus": os.cpu_count(),
        "load_before": read("/proc/loadavg"),
        "congestion": "cubic",
        "sysctl": {one: read("/proc/sys/" + one) for one in sysctls},
        "versions": {arm.name: arm.version() for arm in arms},
    }


def save(path, results):
    """Writes the results as JSON, whole or not at all."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
        file.write("\n")
    os.replace(path + ".new", path)


def table(summary, arms):
    """The medians, a row a metric and a column an arm."""
    names = [arm.name for arm in arms
             if any(arm.name in one for one in summary.values())]
    width = max(12, *(len(one) + 1 for one in names))
    lines = ["%-28s" % "" + "".join("%*s" % (width, one) for one in names)]
    for figure, metric, words, form in ROWS:
        cells = [summary.get(figure, {}).get(one, {}).get(metric)
                 for one in names]
        if any(cells):
            lines.append("%-28s" % words + "".join(
                "%*s" % (width, form % cell["median"] if cell else "")
                for cell in cells))
    return "\n".join(lines)


def verdicts(rows):
    """Each bound with what was found, met or missed."""
    lines = []
    for row in rows:
        if row["value"] is None:
            continue
        lines.append("%-7s %-42s %9.3f  (%.3f .. %.3f)  %s %g%s" % (
            "met" if row["met"] else "MISSED", row["figure"], row["value"],
            row["least"], row["most"], row["sense"], row["bound"],
            " x " + row["over"] if row["over"] else ""))
    return "\n".join(lines)


def matching(rows):
    """The time of policy_find, a line a size."""
    return "\n".join("%9d prefixes %9.1f ns a match %10.1f ms to load" % (
        row["prefixes"], row["match_ns"], row["load_ms"]) for row in rows)


def show(results, arms):
    """All of it, for a terminal."""
    met, harder = checks.judge(results["runs"])
    parts = [table(results["summary"], arms)]
    if results.get("match"):
        parts.append("Match time\n" + matching(results["match"]))
    for title, rows in (("Figures to reach", met),
                        ("Beside HAProxy set up for bulk", harder)):
        text = verdicts(rows)
        if text:
            parts.append("%s (median of the rounds' ratios, range)\n%s" %
                         (title, text))
    return "\n\n".join(parts)
