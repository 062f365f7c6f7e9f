"""What was measured, as the plan needs it: medians of `latest.json`, and `stages.json` beside it."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import Measured, spread
from benchmarks.plan.stages import Redised, Stages
from benchmarks.targets import OURS
from benchmarks.workloads import Pace

SERVING = ("retrieval", "generation", "scoring")
"""The stages that every request passes; the others wait for what is rare."""
_ENGINE_THREADS = 2
"""As `benchmarks/scoring.py` runs it."""


class Unmeasured(Exception):
    """A figure that the plan cannot do without."""


@dataclass(frozen=True)
class Figures:
    """Medians over the rounds, of Sluicegate alone; processor time in microseconds a request."""

    cores: int
    whole_us: float
    """All stages in one process, saturated, the model answers at once."""
    slow_us: float
    """The same with the model that takes 250 ms."""
    hit_us: float | None
    hop_us: float | None
    broker_us: float
    light_us: float
    """At 100 requests/s, where what comes alone is not shared by a batch."""
    light_broker_us: float
    added_ms: Mapping[str, float]
    """Latency at 100 requests/s less the model's own, by percentile."""
    peak_rss_mib: float | None
    rates: Mapping[str, float]
    """Requests/s of one process, saturated, by workload."""
    scaling: Mapping[str, Mapping[int, float]]
    """Requests/s by what was varied (`light, processes`) and how many."""
    engine_us: Mapping[str, float]
    """Core time of one item at batch 8, by scorer."""
    pace: Pace
    about: Mapping[str, Any]


def read_figures(path: Path) -> Figures:
    """What the benchmarks wrote.

    Raises:
        Unmeasured: a workload that the plan needs is not in it; says which.
    """
    whole = json.loads(path.read_text())
    ours = [Measured(**one) for one in whole["measured"] if one["program"] == OURS]
    about = whole["about"]

    def median(workload: str, value: Callable[[Measured], float | None]) -> float | None:
        told = spread(value(one) for one in ours if one.workload == workload)
        return told.median if told else None

    def needed(workload: str, value: Callable[[Measured], float | None]) -> float:
        found = median(workload, value)
        if found is None:
            raise Unmeasured(
                f"{path} has no workload {workload!r}: python -m benchmarks --workloads {workload}"
            )
        return found

    latency = {
        name: found
        for name in ("p50", "p90", "p99")
        if (found := median("latency", lambda one, name=name: one.latency_ms.get(name))) is not None  # type: ignore[misc]
    }
    return Figures(
        cores=about["machine"]["cores"],
        whole_us=needed("instant", _cpu),
        slow_us=needed("slow", _cpu),
        hit_us=median("cache", _cpu),
        hop_us=median("hop", _cpu),
        broker_us=needed("instant", _broker_cpu),
        light_us=needed("latency", _cpu),
        light_broker_us=needed("latency", _broker_cpu),
        added_ms=latency,
        peak_rss_mib=median("memory", lambda one: one.peak_rss_mib),
        rates={
            name: rate
            for name in ("slow", "instant")
            if (rate := median(name, lambda one: one.rate_per_s)) is not None
        },
        scaling=_scaling(ours),
        engine_us=_engine(ours),
        pace=_pace(about["pace"]),
        about=about,
    )


def _pace(told: Mapping[str, Any]) -> Pace:
    made: dict[str, Any] = {name: tuple(it) if isinstance(it, list) else it for name, it in told.items()}
    return Pace(**made)


def _cpu(one: Measured) -> float | None:
    return one.cpu_us_a_request


def _broker_cpu(one: Measured) -> float | None:
    if one.broker_cpu_s is None or not one.rate_per_s or not one.window_s:
        return None
    return one.broker_cpu_s / (one.rate_per_s * one.window_s) * 1e6


def _medians(rates: Iterable[tuple[str, int, float | None]]) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, list[float | None]]] = {}
    for kind, count, rate in rates:
        found.setdefault(kind, {}).setdefault(count, []).append(rate)
    return {
        kind: {count: told.median for count, values in sorted(counts.items()) if (told := spread(values))}
        for kind, counts in found.items()
    }


def _scaling(ours: Iterable[Measured]) -> dict[str, dict[int, float]]:
    return _medians(
        (one.case.rpartition(" ")[0], int(one.figures["count"]), one.rate_per_s)
        for one in ours
        if one.workload == "scaling" and "count" in one.figures
    )


def _engine(ours: Iterable[Measured]) -> dict[str, float]:
    cases = _medians((one.case, 1, one.rate_per_s) for one in ours if one.workload == "engine")
    ending = ", batch 8"
    return {
        case.removesuffix(ending): _ENGINE_THREADS / rates[1] * 1e6
        for case, rates in cases.items()
        if case.endswith(ending) and rates
    }


def read_stages(path: Path) -> Stages:
    """What `--measure` wrote.

    Raises:
        Unmeasured: nothing yet.
    """
    if not path.exists():
        raise Unmeasured(f"{path} is not there: python -m benchmarks.plan --measure")
    found = json.loads(path.read_text())
    for name in ("redis", "hit_redis"):
        found[name] = Redised(**found[name])
    return Stages(**found)
