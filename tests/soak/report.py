"""A soak's findings: as JSON, as a picture, as a table."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from tests.soak.plot import Panel, plot
from tests.soak.run import Measured, Options
from tests.soak.series import Trend, present, warm_up_end


def as_json(options: Options, measured: Measured, trends: Sequence[Trend]) -> dict[str, Any]:
    """Everything there is to know, samples included."""
    return {
        "minutes": options.minutes,
        "rate": options.rate,
        "seed": options.seed,
        "sent": measured.sent,
        "ended": measured.ended,
        "refused": measured.refused,
        "flat": all(trend.flat for trend in trends),
        "series": {trend.name: {**asdict(trend), "share": trend.share} for trend in trends},
        "samples": measured.samples,
    }


def as_table(samples: Sequence[dict[str, float]], trends: Sequence[Trend]) -> str:
    """A line for each series."""
    rows = [f"{'series':28}{'mean':>12}{'change':>12}{'share':>9}  verdict"]
    for series, trend in zip(present(samples), trends, strict=True):
        figures = f"{trend.mean:>12,.1f}{trend.change:>+12,.2f}{trend.share:>+9.1%}"
        rows.append(f"{series.title:28}{figures}  {_word(series.bad, trend)}")
    return "\n".join(rows)


def as_plot(options: Options, samples: Sequence[dict[str, float]], trends: Sequence[Trend]) -> str:
    """One panel a series."""
    minutes = [sample["t_s"] / 60 for sample in samples]
    panels = [
        Panel(
            series.title,
            series.unit,
            minutes,
            [sample[series.name] for sample in samples],
            f"{_word(series.bad, trend)}, {trend.change:+,.1f} {series.unit}",
            bad=not trend.flat,
        )
        for series, trend in zip(present(samples), trends, strict=True)
    ]
    head = f"One worker for {options.minutes:g} minutes at {options.rate:g} requests a second"
    return plot(head, panels, warm_up_end(minutes))


def _word(bad: int, trend: Trend) -> str:
    return "flat" if trend.flat else "GROWS" if bad > 0 else "FALLS"
