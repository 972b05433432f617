"""
The plots, as SVG, from results.json alone. `plot.py RESULTS.json FOLDER`
draws them anew. Colours are middle tones on no background, and the text
follows the reader's light or dark scheme.
"""

import json
import math
import os
import sys
from xml.sax.saxutils import escape

OURS = "unatatp"
NAMES = {
    "forward": "forwarding", "nat": "kernel NAT", "haproxy": "HAProxy",
    "haproxy-auto": "HAProxy splice-auto",
    "haproxy-256k": "HAProxy 256K buffers",
    "haproxy-splice": "HAProxy all splice", "unatatp": "unatatp",
    "direct": "direct, cubic", "cubic": "unatatp, cubic",
    "bbr": "unatatp, BBR", "bbr-iw30": "unatatp, BBR, window 30",
}
COLOURS = {"unatatp": "#2f81f7", "nat": "#57ab5a", "haproxy": "#c69026",
           "cubic": "#57ab5a", "bbr": "#2f81f7", "bbr-iw30": "#a371f7"}
OTHER = "#8b949e"

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.soft { fill: #6e7781 }
.axis { stroke: #8b949e; stroke-width: 1; fill: none }
.line { stroke-width: 2; fill: none }
@media (prefers-color-scheme: dark) {
  text { fill: #d1d7e0 } .soft { fill: #9198a1 }
}
"""

# Panels of the main plot: figure, metric, title, factor, how to print.
PANELS = [
    ("bulk-down", "gbit_s", "One bulk flow, Gbit/s", 1, "%.1f", "more"),
    ("bulk16-down", "gbit_s", "16 bulk flows, Gbit/s", 1, "%.1f", "more"),
    ("bulk-down", "proxy_s_per_gb", "CPU of the proxy a GB, s", 1, "%.2f",
     "less"),
    ("keepalive", "rate", "Keep-alive, 1,000 requests/s", 1e-3, "%.1f",
     "more"),
    ("connect", "rate", "A connection each, 1,000 requests/s", 1e-3, "%.1f",
     "more"),
    ("one", "p50_us", "One connection, median \u00b5s", 1, "%.0f", "less"),
    ("beside-bulk", "p99_us", "A small flow beside 16 bulk flows, p99 ms",
     1e-3, "%.2f", "less"),
    ("idle", "bytes_per_flow", "Memory of a flow at rest, bytes", 1, "%.0f",
     "less"),
]
PANEL_WIDTH, LABELS, NUMBERS, BAR, GAP = 440, 140, 50, 14, 6


class Svg:
    """A picture in the making."""

    def __init__(self):
        self.parts = []

    def text(self, x, y, words, kind="", anchor="start"):
        """Words at a place."""
        self.parts.append('<text x="%.1f" y="%.1f" class="%s" '
                          'text-anchor="%s">%s</text>' %
                          (x, y, kind, anchor, escape(words)))

    def bar(self, x, y, width, colour):
        """A horizontal bar."""
        self.parts.append('<rect x="%.1f" y="%.1f" width="%.1f" height="%d" '
                          'rx="2" fill="%s"/>' %
                          (x, y, max(width, 1), BAR, colour))

    def path(self, points, kind, colour=None):
        """A line through points."""
        self.parts.append('<path class="%s"%s d="M%s"/>' % (
            kind, ' stroke="%s"' % colour if colour else "",
            "L".join("%.1f,%.1f" % one for one in points)))

    def dot(self, x, y, colour):
        """A point of a line."""
        self.parts.append('<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>' %
                          (x, y, colour))

    def save(self, path, width, height, title):
        """Writes the picture."""
        with open(path, "w", encoding="utf-8") as file:
            file.write('<svg xmlns="http://www.w3.org/2000/svg" width="%d" '
                       'height="%d" viewBox="0 0 %d %d" role="img">\n'
                       "<title>%s</title>\n<style>%s</style>\n%s\n</svg>\n" %
                       (width, height, width, height, escape(title), STYLE,
                        "\n".join(self.parts)))


def values_of(summary, figure, metric):
    """(arm, median) of the arms that have the metric, in order."""
    arms = summary.get(figure, {})
    return [(arm, arms[arm][metric]["median"]) for arm in NAMES
            if metric in arms.get(arm, {})]


def draw_panel(svg, x, y, panel, values):
    """One group of bars; returns its height."""
    _, _, title, factor, form, better = panel
    longest = max(value for _, value in values) or 1
    room = PANEL_WIDTH - LABELS - NUMBERS - 20
    svg.text(x, y + 12, title, "title")
    svg.text(x + PANEL_WIDTH - 20, y + 12, better + " is better", "soft",
             "end")
    y += 22
    for arm, value in values:
        width = room * value / longest
        svg.text(x + LABELS - 8, y + BAR - 3, NAMES[arm], "", "end")
        svg.bar(x + LABELS, y, width, COLOURS.get(arm, OTHER))
        svg.text(x + LABELS + width + 6, y + BAR - 3, form % (value * factor),
                 "title" if arm == OURS else "soft")
        y += BAR + GAP
    return 22 + len(values) * (BAR + GAP)


def draw_main(results, path):
    """Bars for every arm, two panels a row."""
    svg, y, row = Svg(), 10, []
    panels = [(panel, values_of(results["summary"], *panel[:2]))
              for panel in PANELS]
    panels = [(panel, [one for one in values
                       if panel[1] != "proxy_s_per_gb" or one[0] != "nat"])
              for panel, values in panels if values]
    for number, (panel, values) in enumerate(panels):
        x = 10 + (number % 2) * PANEL_WIDTH
        row.append(draw_panel(svg, x, y, panel, values) if values else 0)
        if number % 2 or number == len(panels) - 1:
            y, row = y + max(row) + 18, []
    facts = results["facts"]
    svg.text(10, y, "Linux %s, %d CPUs, cubic, medians of interleaved rounds, "
             "%s" % (facts["kernel"], facts["cpus"], facts["date"][:10]),
             "soft")
    svg.save(path, 2 * PANEL_WIDTH + 10, y + 14, "unatatp beside HAProxy and "
             "the kernel's own NAT")


def round_up(value):
    """A round number above a value, that splits in four."""
    scale = 10 ** math.floor(math.log10(value or 1))
    return next(step * scale for step in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 5, 6,
                                          8, 10, 12)
                if step * scale >= value)


def logarithmic(values):
    """Where values lie on an axis from 0 to 1, as logarithms."""
    low, high = math.log10(min(values)), math.log10(max(values))
    return lambda x: (math.log10(x) - low) / ((high - low) or 1)


def linear(values):
    """Where values lie on an axis from 0 to 1, which begins with 0."""
    return lambda x: x / (max(values) or 1)


def even(values):
    """Where values lie on an axis from 0 to 1, all equally far apart."""
    order = sorted(set(values))
    return lambda x: order.index(x) / ((len(order) - 1) or 1)


CHART_WIDTH, CHART_HEIGHT = 480, 220


def draw_chart(svg, title, unit, lines, scale=logarithmic, labels="{:,}",
               at=(60, 40), width=CHART_WIDTH, ticks=None, dots=True):
    """LINES: name -> [(x, y)]; returns where each of them ends."""
    (left, top), height = at, CHART_HEIGHT
    points = [one for line in lines.values() for one in line]
    across = scale([x for x, _ in points])
    most = round_up(max(y for _, y in points))

    def place(x, y):
        return left + across(x) * width, top + height * (1 - y / most)
    svg.text(left - 50, top - 20, title, "title")
    svg.path([(left, top), (left, top + height),
              (left + width, top + height)], "axis")
    for step in range(5):
        svg.text(left - 6, top + height * (1 - step / 4) + 4,
                 "%.4g" % (most * step / 4), "soft", "end")
    svg.text(left + 6, top + 4, unit, "soft")
    for x in ticks or sorted({x for x, _ in points}):
        svg.text(place(x, 0)[0], top + height + 16, labels.format(x), "soft",
                 "middle")
    for name, line in lines.items():
        colour = COLOURS.get(name, OTHER)
        svg.path([place(*one) for one in line], "line", colour)
        for one in line if dots else ():
            svg.dot(*place(*one), colour)
    return {name: place(*line[-1]) for name, line in lines.items()}


def draw_lines(path, title, unit, lines):
    """One chart, whose lines have their names at their ends."""
    svg = Svg()
    for name, (x, y) in draw_chart(svg, title, unit, lines).items():
        svg.text(x + 8, y + 4, NAMES.get(name, name))
    svg.save(path, 60 + CHART_WIDTH + 150, 40 + CHART_HEIGHT + 26, title)


def concurrency(summary, metric):
    """CPU a request against live flows, by arm."""
    lines = {}
    for figure in summary:
        if figure.startswith("live-"):
            for arm, value in values_of(summary, figure, metric):
                if arm in ("haproxy", OURS):
                    lines.setdefault(arm, []).append((int(figure[5:]), value))
    return {arm: sorted(line) for arm, line in lines.items()}


def draw_all(results, out):
    """Every plot that the results have figures for."""
    if any(values_of(results["summary"], *panel[:2]) for panel in PANELS):
        draw_main(results, os.path.join(out, "bench.svg"))
    lines = concurrency(results["summary"], "proxy_us_per_request")
    if lines:
        draw_lines(os.path.join(out, "concurrency.svg"),
                   "CPU of the proxy a request, against live flows "
                   "(10 requests under way)", "\u00b5s", lines)
    if results.get("match"):
        draw_lines(os.path.join(out, "match.svg"),
                   "Time to find a flow's policy, against prefixes", "ns",
                   {OURS: [(one["prefixes"], one["match_ns"])
                           for one in results["match"]]})


LINK_WIDTH = 330	# of a chart of draw_link
LINK_ARMS = ("direct", "haproxy", "cubic", "bbr", "bbr-iw30")


def link_lines(results, load, metric, across, factor=1, **same):
    """Medians of a metric against a part of the point; SAME are the rest."""
    lines = {}
    for row in results["runs"]:
        found = results["summary"].get(row["figure"], {}).get(row["arm"], {})
        if row["load"] == load and metric in found and \
                all(row["point"][key] == value for key, value in same.items()):
            x = float(row["point"][across].rstrip("ms"))
            lines.setdefault(row["arm"], {})[x] = \
                factor * found[metric]["median"]
    return {arm: sorted(lines[arm].items()) for arm in LINK_ARMS
            if arm in lines}


def link_series(results, what, factor, **point):
    """A series of one run of each arm, that of the first seed."""
    lines = {}
    for row in results["runs"]:
        if row["point"] == point and row["link"]["valid"] and \
                row.get("series", {}).get(what):
            lines.setdefault(row["arm"], [
                (when, factor * value) for when, value in row["series"][what]])
    return {arm: lines[arm] for arm in LINK_ARMS if arm in lines}


def draw_legend(svg, x, y, names):
    """A line of colour and a name each, one below the other."""
    for number, name in enumerate(names):
        svg.path([(x, y + 20 * number), (x + 24, y + 20 * number)], "line",
                 COLOURS.get(name, OTHER))
        svg.text(x + 32, y + 4 + 20 * number, NAMES[name])


def link_charts(results):
    """Goodput against loss, a page against round trip, delay against time."""
    point = next(row["point"] for row in results["runs"]
                 if row["link"]["valid"])
    rate, rtt = point["rate"], point["rtt"]
    speed = "%s %sbit/s" % (rate[:-1], rate[-1])
    link = "%s, %s ms" % (speed, rtt.rstrip("ms"))
    return [
        ("A big download, %s" % link, "Mbit/s", link_lines(
            results, "download", "mbit_s", "loss", rate=rate, rtt=rtt),
         {"scale": even, "labels": "{:g} % loss"}),
        ("A page of 12 objects, %s, 1 %% loss" % speed, "s", link_lines(
            results, "page", "page_ms", "rtt", 1e-3, rate=rate, loss="1"),
         {"scale": even, "labels": "{:g} ms"}),
        ("Delay inside a bulk flow, %s, 1 %% loss" % link, "s", link_series(
            results, "delay", 1e-3, rate=rate, rtt=rtt, loss="1"),
         {"scale": linear, "labels": "{} s", "ticks": (0, 4, 8, 12, 16),
          "dots": False}),
    ]


def draw_link(results, out):
    """The charts that there are runs for, two a row."""
    if not results["summary"]:
        return
    svg, names, place = Svg(), {}, 0
    for title, unit, lines, more in link_charts(results):
        if lines:
            draw_chart(svg, title, unit, lines, width=LINK_WIDTH, at=(
                60 + place % 2 * (LINK_WIDTH + 100),
                40 + place // 2 * (CHART_HEIGHT + 80)), **more)
            names.update(lines)
            place += 1
    x = 60 + place % 2 * (LINK_WIDTH + 100)
    y = 60 + place // 2 * (CHART_HEIGHT + 80)
    draw_legend(svg, x, y, [one for one in LINK_ARMS if one in names])
    facts = results["facts"]
    for line, words in enumerate((
            "%s, %d CPUs, Linux %s" % (facts["date"][:10], facts["cpus"],
                                       facts["kernel"]),
            "%s%d runs, medians of the seeds" % (
                "a reduced run: " if len(results["runs"]) < results["whole"]
                else "", len(results["runs"])))):
        svg.text(x, y + 130 + 18 * line, words, "soft")
    svg.save(os.path.join(out, "link.svg"), 2 * (LINK_WIDTH + 100) + 20,
             40 + (place // 2 + 1) * (CHART_HEIGHT + 80),
             "unatatp on a lossy link, beside plain forwarding and HAProxy")


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as source:
        found = json.load(source)
        (draw_link if found["form"] == "link" else draw_all)(found,
                                                             sys.argv[2])
