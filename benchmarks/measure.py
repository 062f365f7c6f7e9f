"""One program measured once: warmed up, put under load, its answers counted; and the arithmetic of that.

The window of a saturating load begins when its first request is published to a program that has answered its
warm-up, and ends with the last answer that counts: the last of all, or the last before time is up. Timestamps are the
broker's (with the embedded broker, those of our own reading). Nothing is cut off at the beginning: a program of
several stages answers little while its first stages work ahead, and to leave that out would flatter it. The topic is
read after the load, so that reading costs the program nothing.
"""

import json
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_LEAST = 5
"""Fewer answers make no rate."""


@dataclass(frozen=True, slots=True)
class Window:
    """From the first request of a load to its last answer, in seconds of the wall clock, and how many answers."""

    began: float
    ended: float
    answers: int

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / (self.ended - self.began)


def window_of(began: float, times: Iterable[float]) -> Window | None:
    """The window of answers with these timestamps; None where there are too few."""
    counted = [at for at in times if at >= began]
    if len(counted) < _LEAST:
        return None
    ended = max(counted)
    return Window(began, ended, len(counted)) if ended > began else None


def percentile(values: Iterable[float], share: float) -> float | None:
    """The nearest-rank percentile; None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


@dataclass(frozen=True, slots=True)
class Spread:
    """How several rounds came out."""

    median: float
    least: float
    most: float
    quarter: float
    three_quarters: float
    rounds: int


def spread(values: Iterable[float | None]) -> Spread | None:
    """Median, ends and quartiles of what is known; None of nothing."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    if len(known) == 1:
        return Spread(known[0], known[0], known[0], known[0], known[0], 1)
    quarter, _, three_quarters = statistics.quantiles(known, n=4, method="inclusive")
    return Spread(statistics.median(known), known[0], known[-1], quarter, three_quarters, len(known))


def ratios(ours: Mapping[int, float | None], theirs: Mapping[int, float | None]) -> dict[int, float]:
    """Ours to theirs, round by round, where both are known and theirs is not 0."""
    found = {}
    for number, one in ours.items():
        other = theirs.get(number)
        if one is not None and other:
            found[number] = one / other
    return found


@dataclass
class Measured:
    """What one round of one program gave; None is unknown, never 0."""

    workload: str
    program: str
    round: int
    case: str = ""
    """What was varied: `4 processes`; "" where nothing was."""
    rate_per_s: float | None = None
    requests: int = 0
    answered: int = 0
    repeats: int = 0
    window_s: float | None = None
    cpu_s: float | None = None
    """Of the program's process tree, in the window."""
    cpu_us_a_request: float | None = None
    stub_cpu_s: float | None = None
    broker_cpu_s: float | None = None
    peak_rss_mib: float | None = None
    calls: int | None = None
    most_at_once: int | None = None
    latency_ms: dict[str, float] = field(default_factory=dict)
    latencies_ms: list[float] = field(default_factory=list)
    """A few hundred of them in order, for the plot."""
    figures: dict[str, float] = field(default_factory=dict)
    """What only this workload has."""
    statuses: dict[str, int] = field(default_factory=dict)
    """Of the answers that were decoded, one in a hundred."""
    problem: str = ""


def describe_latency(added_ms: Sequence[float]) -> tuple[dict[str, float], list[float]]:
    """Percentiles of latencies, and at most 200 of them, evenly taken in order."""
    ordered = sorted(added_ms)
    named = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    told = (
        {name: round(percentile(ordered, share) or 0.0, 2) for name, share in named.items()}
        if ordered
        else {}
    )
    step = max(1, len(ordered) // 200)
    return told, [round(value, 2) for value in ordered[::step]]


def proxy_rate(log: str) -> tuple[float, int, int] | None:
    """Rate, answers and failures of a program without Kafka, by the lines it prints once a second.

    Between the first line and the last: what came before is its warm-up.
    """
    lines = [line for line in map(_told, log.splitlines()) if line]
    if len(lines) < 2:
        return None
    first, last = lines[0], lines[-1]
    seconds = last["seconds"] - first["seconds"]
    return (last["done"] - first["done"]) / seconds, int(last["done"]), int(last["failed"])


def _told(line: str) -> dict[str, Any] | None:
    if not line.startswith('{"done"'):
        return None
    try:
        found: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    return found


def now() -> float:
    """The wall clock, which timestamps of records are taken from."""
    return time.time()
