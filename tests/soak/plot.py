"""Small multiples as SVG: one panel a series, readable on light and dark pages."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_COLUMNS = 2
_WIDTH, _HEIGHT = 460, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 16, 46, 34
_HEAD = 34
_STYLE = """\
.page { fill: #ffffff }
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 } .head { font-size: 15px; font-weight: 600 } .soft { fill: #57606a }
.grid { stroke: #d0d7de; stroke-width: 1 } .warm { fill: #8c959f; fill-opacity: .15 }
polyline { fill: none; stroke: #0969da; stroke-width: 1.5; stroke-linejoin: round } .bad polyline { stroke: #cf222e }
@media (prefers-color-scheme: dark) {
  .page { fill: #0d1117 } text { fill: #e6edf3 } .soft { fill: #9198a1 } .grid { stroke: #3d444d }
  polyline { stroke: #4493f8 } .bad polyline { stroke: #f85149 }
}
"""


@dataclass(frozen=True, slots=True)
class Panel:
    """One series: its points over minutes, and a word on it at the right of the title."""

    title: str
    unit: str
    minutes: Sequence[float]
    values: Sequence[float]
    note: str = ""
    bad: bool = False


def plot(head: str, panels: Sequence[Panel], warm_up_minutes: float = 0.0) -> str:
    """The whole picture; the warm-up, which is not judged, is shaded."""
    rows = math.ceil(len(panels) / _COLUMNS)
    width, height = _COLUMNS * _WIDTH, _HEAD + rows * _HEIGHT
    drawn = [
        _panel(panel, index % _COLUMNS * _WIDTH, _HEAD + index // _COLUMNS * _HEIGHT, warm_up_minutes)
        for index, panel in enumerate(panels)
    ]
    box = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    top = f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img">\n<title>{escape(head)}</title>'
    page = f'<rect class="page" width="{width}" height="{height}"/>'
    return "\n".join(
        [top, f"<style>\n{_STYLE}</style>", page, _text(12, 22, head, "head"), *drawn, "</svg>\n"]
    )


def _panel(panel: Panel, left: float, top: float, warm_up: float) -> str:
    inner_width, inner_height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    end, highest = max(panel.minutes), max(panel.values)
    x_ticks, y_ticks = ticks(end), ticks(highest)
    x_end, y_end = max(end, x_ticks[-1]), y_ticks[-1] if y_ticks[-1] >= highest else y_ticks[-1] + y_ticks[1]

    def x(minute: float) -> float:
        return round(_LEFT + minute / x_end * inner_width, 1)

    def y(value: float) -> float:
        return round(_TOP + inner_height - value / y_end * inner_height, 1)

    points = " ".join(f"{x(m)},{y(v)}" for m, v in zip(panel.minutes, panel.values, strict=True))
    y_marks = y_ticks if y_end == y_ticks[-1] else [*y_ticks, y_end]
    return "\n".join(
        [
            f'<g transform="translate({left},{top})" class="{"bad" if panel.bad else "good"}">',
            f'<rect class="warm" x="{x(0)}" y="{_TOP}" width="{x(warm_up) - x(0):.1f}" height="{inner_height}"/>',
            *(_grid(y(tick), inner_width) for tick in y_marks),
            _text(12, 16, panel.title, "title"),
            _text(_WIDTH - _RIGHT, 16, panel.note, "soft", "end"),
            _text(12, 34, panel.unit, "soft"),
            *(_text(_LEFT - 6, y(tick) + 4, f"{tick:,g}", "soft", "end") for tick in y_marks),
            *(_text(x(tick), _HEIGHT - _BOTTOM + 16, f"{tick:g}", "soft", "middle") for tick in x_ticks),
            _text(_WIDTH - _RIGHT, _HEIGHT - 4, "minutes", "soft", "end"),
            f'<polyline points="{points}"/>',
            "</g>",
        ]
    )


def _grid(y: float, width: float) -> str:
    return f'<line class="grid" x1="{_LEFT}" x2="{_LEFT + width}" y1="{y}" y2="{y}"/>'


def _text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def ticks(highest: float, about: int = 4) -> list[float]:
    """Round numbers from 0 to no more than `highest`, at least two; all from 0, so that flat looks flat."""
    if highest <= 0:
        return [0.0, 1.0]
    rough = highest / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    return [round(step * n, 10) for n in range(math.floor(highest / step) + 1)]
