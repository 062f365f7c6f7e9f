"""The reliability plot: how often scores of each size are bad, in the terminal and as SVG."""

from collections.abc import Sequence
from html import escape

from agents.evaluation import Bin

_SIZE, _EDGE = 320, 44


def text(bins: Sequence[Bin]) -> str:
    """A line a bin: what was said, what was so, and how many rows."""
    lines = ["said        so     rows"]
    for one in bins:
        bar = "#" * round(20 * one.bad)
        lines.append(f"{one.low:.1f}-{one.high:.1f}   {one.bad:6.1%}  {one.rows:6d}  {bar}")
    return "\n".join(lines)


def svg(title: str, bins: Sequence[Bin]) -> str:
    """A square with the diagonal of a calibrated scorer, and a dot a bin, as large as it has rows."""
    most = max((one.rows for one in bins), default=1)
    end = _SIZE - _EDGE
    span = end - _EDGE
    dots = "".join(
        f'<circle cx="{_EDGE + span * one.mean:.1f}" cy="{end - span * one.bad:.1f}" '
        f'r="{3 + 7 * (one.rows / most) ** 0.5:.1f}" fill="#2b6cb0" fill-opacity="0.7">'
        f"<title>{one.rows} rows: said {one.mean:.2f}, so {one.bad:.2f}</title></circle>"
        for one in bins
    )
    marks = "".join(
        f'<text x="{_EDGE + span * at / 5:.0f}" y="{end + 16}" text-anchor="middle">{at / 5:g}</text>'
        f'<text x="{_EDGE - 8}" y="{end - span * at / 5 + 4:.0f}" text-anchor="end">{at / 5:g}</text>'
        for at in range(6)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIZE} {_SIZE}" font-family="sans-serif" '
        f'font-size="11">'
        f'<rect width="{_SIZE}" height="{_SIZE}" fill="white"/>'
        f'<text x="{_EDGE}" y="22" font-size="13">{escape(title)}</text>'
        f'<path d="M{_EDGE} {end}H{end}M{_EDGE} {end}V{_EDGE}" stroke="#444" fill="none"/>'
        f'<path d="M{_EDGE} {end}L{end} {_EDGE}" stroke="#bbb" stroke-dasharray="4"/>{marks}{dots}'
        f'<text x="{_SIZE / 2}" y="{_SIZE - 8}" text-anchor="middle">said to be bad</text>'
        f'<text transform="translate(12 {_SIZE / 2}) rotate(-90)" text-anchor="middle">'
        "share that is bad</text></svg>\n"
    )
