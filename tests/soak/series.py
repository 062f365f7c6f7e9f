"""What a soak measures, and whether each of it stays flat."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

_CERTAIN = 3.0
"""Standard errors that a slope must be away from zero: less is noise."""
_WARM_UP = 1 / 3


@dataclass(frozen=True, slots=True)
class Series:
    """One measurement. It is not flat when it changes by more than `limit` of its mean, and by more than `floor`."""

    name: str
    title: str
    unit: str
    limit: float = 0.05
    floor: float = 0.0
    bad: int = 1
    """1: growing is bad; -1: falling is."""


SERIES: tuple[Series, ...] = (
    Series("rss", "Memory of the worker (RSS)", "MiB"),
    Series("descriptors", "Open file descriptors", "descriptors", floor=5),
    Series("threads", "Threads", "threads", floor=1),
    Series("tasks", "Asyncio tasks", "tasks", floor=5),
    Series("in_flight", "Records in flight", "records", limit=0.25, floor=3),
    Series("lag", "Consumer lag, all topics", "records", limit=0.25, floor=20),
    Series("redis_keys", "Keys in Redis", "keys", floor=10),
    Series("redis_memory", "Memory that Redis uses", "MiB"),
    Series("ended_rate", "Requests ended", "a second", bad=-1),
)


@dataclass(frozen=True, slots=True)
class Trend:
    """What a straight line through a series says of it, after its warm-up."""

    name: str
    mean: float
    change: float
    """The slope times the length, in the unit of the series."""
    uncertainty: float
    """One standard error of `change`."""
    flat: bool

    @property
    def share(self) -> float:
        """The change as a part of the mean."""
        return self.change / self.mean if self.mean else 0.0


def warm_up_end(times: Sequence[float]) -> float:
    """Until then, what is measured is not judged: caches fill, libraries load."""
    return times[0] + (times[-1] - times[0]) * _WARM_UP


def judge(series: Series, times: Sequence[float], values: Sequence[float]) -> Trend:
    """Fit a line through what comes after the warm-up.

    Raises:
        ValueError: fewer than three samples are left, and no line through them means anything.
    """
    start = warm_up_end(times)
    points = [(time, value) for time, value in zip(times, values, strict=True) if time >= start]
    if len(points) < 3:
        raise ValueError(f"{series.name}: {len(points)} samples after the warm-up, at least 3 are needed")
    mean = fmean(value for _, value in points)
    slope, error = _line(points)
    length = points[-1][0] - points[0][0]
    change, uncertainty = slope * length, error * length
    worse = change * series.bad
    limit = max(series.limit * abs(mean), series.floor)
    flat = worse <= limit or worse <= _CERTAIN * uncertainty
    return Trend(series.name, mean, change, uncertainty, flat)


def _line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Slope by least squares, and its standard error."""
    mean_x, mean_y = fmean(x for x, _ in points), fmean(y for _, y in points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    rest = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in points)
    return slope, math.sqrt(rest / (len(points) - 2) / spread)


def judge_all(samples: Sequence[Mapping[str, float]]) -> list[Trend]:
    """Every series that all samples have; a sample's time is `t_s`."""
    times = [sample["t_s"] for sample in samples]
    return [judge(series, times, [sample[series.name] for sample in samples]) for series in present(samples)]


def present(samples: Sequence[Mapping[str, float]]) -> list[Series]:
    """The series that all samples have."""
    return [series for series in SERIES if all(series.name in sample for sample in samples)]
