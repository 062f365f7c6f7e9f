"""Plots of a run as SVG, readable on light and dark pages: rates by program, scaling, distribution of latency."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from benchmarks.measure import Measured, spread
from tests.soak.plot import ticks

_WIDTH = 760
_ROW, _HEAD, _FOOT = 22, 40, 30
_NAMES, _VALUES = 220, 90
_LEFT, _RIGHT, _HEIGHT = 70, 180, 320
_COLOURS = ("#0969da", "#cf222e", "#1a7f37", "#8250df", "#bf8700", "#0a7ea4", "#bc4c00", "#57606a")
_STYLE = """\
.page { fill: #ffffff } text { font: 12px system-ui, sans-serif; fill: #24292f }
.head { font-size: 15px; font-weight: 600 } .soft { fill: #57606a } .grid { stroke: #d0d7de; stroke-width: 1 }
.bar { fill: #8c959f } .ours { fill: #0969da } .whisker { stroke: #24292f; stroke-width: 1 }
polyline { fill: none; stroke-width: 2; stroke-linejoin: round } .ideal { stroke-dasharray: 5 4 }
@media (prefers-color-scheme: dark) {
  .page { fill: #0d1117 } text { fill: #e6edf3 } .soft { fill: #9198a1 } .grid { stroke: #3d444d }
  .bar { fill: #6e7681 } .ours { fill: #4493f8 } .whisker { stroke: #e6edf3 }
}
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One curve."""

    name: str
    points: Sequence[tuple[float, float]]
    ideal: bool = False


def all_of(measured: Sequence[Measured]) -> dict[str, str]:
    """File name to picture, of what there is to draw."""
    drawn = {}
    for name in ("slow", "hop", "instant"):
        rates = {
            program: [one.rate_per_s for one in measured if (one.workload, one.program) == (name, program)]
            for program in dict.fromkeys(one.program for one in measured if one.workload == name)
        }
        if picture := bars(f"{name}: requests/s", rates):
            drawn[f"{name}.svg"] = picture
    if lines := _scaling(measured):
        drawn["scaling.svg"] = curves("Sluicegate: requests/s by processes or partitions", "count", lines)
    if lines := _latency(measured):
        drawn["latency.svg"] = curves(
            "100 requests/s: latency added, ms, by share of requests, %", "%", lines
        )
    return drawn


def _scaling(measured: Sequence[Measured]) -> list[Line]:
    found: dict[str, dict[float, list[float | None]]] = {}
    for one in measured:
        if one.workload == "scaling" and "count" in one.figures:
            kind = one.case.rpartition(" ")[0]
            found.setdefault(kind, {}).setdefault(one.figures["count"], []).append(one.rate_per_s)
    lines = []
    for kind, counts in found.items():
        told = [(count, spread(values)) for count, values in sorted(counts.items())]
        points = [(count, one.median) for count, one in told if one]
        if not points:
            continue
        lines.append(Line(kind, points))
        if kind.startswith("light"):
            first = points[0][1] / points[0][0]
            lines.append(Line("linear", [(count, count * first) for count, _ in points], ideal=True))
    return lines


def _latency(measured: Sequence[Measured]) -> list[Line]:
    lines = []
    for program in dict.fromkeys(one.program for one in measured if one.workload == "latency"):
        rounds = [one for one in measured if (one.workload, one.program) == ("latency", program)]
        kept = sorted(value for one in rounds for value in one.latencies_ms)
        if kept:
            step = 100 / len(kept)
            lines.append(Line(program, [(step * (index + 1), value) for index, value in enumerate(kept)]))
    return lines


def bars(head: str, rates: Mapping[str, Sequence[float | None]]) -> str:
    """Medians as bars on a scale of powers of ten, least and most as a line; nothing where nothing is known."""
    told = sorted(
        ((one, name) for name, values in rates.items() if (one := spread(values)) and one.least > 0),
        key=lambda pair: -pair[0].median,
    )
    if not told:
        return ""
    low = math.floor(math.log10(min(one.least for one, _ in told)))
    high = max(math.ceil(math.log10(max(one.most for one, _ in told))), low + 1)
    room = _WIDTH - _NAMES - _VALUES

    def x(value: float) -> float:
        return round(_NAMES + (math.log10(value) - low) / (high - low) * room, 1)

    bottom = _HEAD + _ROW * len(told)
    drawn = []
    for power in range(low, high + 1):
        at = x(10.0**power)
        drawn.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{_HEAD - 6}" y2="{bottom}"/>')
        drawn.append(_text(at, bottom + 16, f"{10.0**power:,g}", "soft", "middle"))
    for index, (one, name) in enumerate(told):
        top = _HEAD + index * _ROW
        kind = "ours" if name == "sluicegate" else "bar"
        width = round(max(x(one.median) - _NAMES, 1.0), 1)
        drawn.append(_text(_NAMES - 8, top + 13, name, "", "end"))
        drawn.append(f'<rect class="{kind}" x="{_NAMES}" y="{top + 2}" width="{width}" height="{_ROW - 7}"/>')
        y = top + 2 + (_ROW - 7) / 2
        drawn.append(f'<line class="whisker" x1="{x(one.least)}" x2="{x(one.most)}" y1="{y}" y2="{y}"/>')
        drawn.append(
            _text(
                x(one.most) + 6,
                top + 13,
                f"{one.median:,.0f}" if one.median >= 10 else f"{one.median:.1f}",
                "soft",
            )
        )
    return _page(head, bottom + _FOOT, drawn)


def curves(head: str, unit: str, lines: Sequence[Line]) -> str:
    """Lines over a common scale from 0, with their names at the right."""
    across = max(point[0] for line in lines for point in line.points)
    highest = max(point[1] for line in lines for point in line.points)
    marks = ticks(highest)
    top = marks[-1] if marks[-1] >= highest else marks[-1] + marks[1]
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _HEAD - _FOOT

    def x(value: float) -> float:
        return round(_LEFT + value / across * width, 1)

    def y(value: float) -> float:
        return round(_HEAD + height - max(value, 0.0) / top * height, 1)

    drawn = []
    for mark in marks if top == marks[-1] else [*marks, top]:
        drawn.append(f'<line class="grid" x1="{_LEFT}" x2="{_LEFT + width}" y1="{y(mark)}" y2="{y(mark)}"/>')
        drawn.append(_text(_LEFT - 6, y(mark) + 4, f"{mark:,g}", "soft", "end"))
    drawn += [_text(x(mark), _HEIGHT - 12, f"{mark:g}", "soft", "middle") for mark in ticks(across)]
    drawn.append(_text(_LEFT + width + 16, _HEIGHT - 12, unit, "soft"))
    for index, line in enumerate(lines):
        colour = _COLOURS[index % len(_COLOURS)]
        points = " ".join(f"{x(a)},{y(b)}" for a, b in line.points)
        kind = ' class="ideal"' if line.ideal else ""
        drawn.append(f'<polyline{kind} points="{points}" stroke="{colour}"/>')
        row = _HEAD + 10 + index * 18
        drawn.append(f'<rect x="{_LEFT + width + 10}" y="{row - 9}" width="10" height="10" fill="{colour}"/>')
        drawn.append(_text(_LEFT + width + 26, row, line.name, ""))
    return _page(head, _HEIGHT, drawn)


def _page(head: str, height: int, drawn: Sequence[str]) -> str:
    box = f'viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
    top = f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img">\n<title>{escape(head)}</title>'
    page = f'<rect class="page" width="{_WIDTH}" height="{height}"/>'
    return "\n".join(
        [top, f"<style>\n{_STYLE}</style>", page, _text(12, 22, head, "head"), *drawn, "</svg>\n"]
    )


def _text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'
