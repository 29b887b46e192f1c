"""What the numbers say: a table, the targets with their results, a plot as SVG. Knows no process."""
from statistics import median

ORDER = ("plain", "own", "stunnel", "haproxy", "mtlswrap")
TITLES = {"plain": "plaintext", "own": "own TLS", "stunnel": "stunnel pair", "haproxy": "haproxy pair",
          "mtlswrap": "mtlswrap"}
COLOURS = {"plain": "#8a8f98", "own": "#d08b3c", "stunnel": "#b05a7a", "haproxy": "#7a5ab0",
           "mtlswrap": "#2f7fb8"}

# part, work, metric, relative to ("plain" or "own": ratio; "+plain": difference; None: itself), bound.
# A bound below which the result must stay is given as "<=", else ">=".
TARGETS = (
    ("pingpong", "64 B ping-pong, block, one CPU", "p50 us", "plain", "<=", 1.15),
    ("pingpong", "64 B ping-pong, level, one CPU", "p50 us", "plain", "<=", 1.15),
    ("pingpong", "64 B ping-pong, edge, one CPU", "p50 us", "plain", "<=", 1.15),
    ("redis", "redis-benchmark -P 1", "requests/s", "plain", ">=", 0.90),
    ("redis", "redis-benchmark -P 16", "requests/s", "plain", ">=", 0.80),
    ("nginx", "nginx 1 KB keep-alive", "requests/s", "plain", ">=", 0.90),
    ("stream", "64 KiB stream", "CPU s/GB", "own", "<=", 0.55),
    ("nginx", "nginx 10 MB by sendfile, one CPU", "MB/s", "own", ">=", 1.2),
    ("connect", "full handshakes", "CPU us", "own", "<=", 0.6),
    ("connect", "resumed", "connections/s", "own", ">=", 1.5),
    ("idle", "5,000 idle connections", "bytes/side", None, "<=", 3072),
    ("pipe", "1 B through a pipe", "ns/call", "+plain", "<=", 5),
    ("policy", "table of 10,000 rules", "load ms", None, "<=", 50),
    ("policy", "table of 10,000 rules", "match ns, by address", None, "<=", 1000),
    ("policy", "table of 10,000 rules", "match ns, by name", None, "<=", 1000),
    ("policy", "table of 10,000 rules", "match ns, foreign name", None, "<=", 1000),
    ("policy", "table of 10,000 rules", "match ns, no rule", None, "<=", 1000),
    ("policy", "table of 10,000 rules", "match ns, accepted", None, "<=", 1000),
    ("start", "start of true", "us", "+plain", "<=", 100),
)


def value(place, way):
    return median(place[way]) if place and place.get(way) else None


def figure(number):
    if number is None:
        return "-"
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def relative(place, to):
    """The result against what it is measured by, each round by itself where that is possible."""
    mine = place.get("mtlswrap", [])
    if to is None:
        return value(place, "mtlswrap")
    other = place.get(to.lstrip("+"), [])
    pairs = [(a, b) for a, b in zip(mine, other) if to[0] == "+" or b]  # an idle plaintext side may take nothing
    if not pairs:
        return None
    return median([a - b if to[0] == "+" else a / b for a, b in pairs])


def table(results):
    rows = [["work", "measure"] + [TITLES[way] for way in ORDER] + ["of plaintext", "of own TLS"]]
    for works in results.values():
        for work, metrics in works.items():
            for metric, place in metrics.items():
                row = [work, metric] + [figure(value(place, way)) for way in ORDER]
                row += [figure(relative(place, "plain")), figure(relative(place, "own"))]
                rows.append(row)
    return rows


def targets(results):
    rows = [["work", "measure", "target", "result", ""]]
    for part, work, metric, to, sense, bound in TARGETS:
        place = results.get(part, {}).get(work, {}).get(metric)
        result = relative(place, to) if place else None
        if result is None:
            continue
        met = result <= bound if sense == "<=" else result >= bound
        against = "" if to is None else " more than plaintext" if to[0] == "+" else f" x {TITLES[to]}"
        rows.append([work, metric, f"{sense} {figure(bound)}{against}", figure(result),
                     "met" if met else "MISSED"])
    return rows


def text(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
             for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def bar(x, y, width, way, label):
    return (f'<rect x="{x}" y="{y}" width="{width:.1f}" height="13" fill="{COLOURS[way]}"/>'
            f'<text x="{x + width + 5:.1f}" y="{y + 11}">{label}</text>')


def plot(results):
    """One block of bars for each measure, all against plaintext (or the longest, where there is none)."""
    left, reach, y, out = 400, 420, 40, []
    for works in results.values():
        for work, metrics in works.items():
            for metric, place in list(metrics.items())[:2]:
                values = {way: value(place, way) for way in ORDER if value(place, way) is not None}
                longest = max(max(values.values()), 1e-9)
                base = values.get("plain")
                out.append(f'<text x="10" y="{y + 11}" font-weight="bold">{work}</text>'
                           f'<text x="10" y="{y + 26}" fill="#666">{metric}</text>')
                for way, number in values.items():
                    ratio = f"  ({number / base:.2f})" if base else ""
                    out.append(f'<text x="{left - 8}" y="{y + 11}" text-anchor="end">{TITLES[way]}</text>')
                    out.append(bar(left, y, max(0, number) / longest * reach, way, figure(number) + ratio))
                    y += 16
                y += 14
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="960" height="{y}" '
            'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
            '<text x="10" y="22" font-size="16">mtlswrap: medians, and their ratio to plaintext</text>')
    return head + "\n".join(out) + "</svg>\n"
