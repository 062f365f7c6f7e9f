"""What must hold, as a table, and whether it does. A target that was not measured is not met; it is open."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.measure import Measured, ratios, spread
from benchmarks.scoring import THEIRS

OURS = "sluicegate"
_MIB = 1024 * 1024
Found = tuple[float, str] | None
"""The figure and a word about it; None where nothing was measured."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target and what was found."""

    workload: str
    figure: str
    wanted: str
    found: str
    told: str
    """`holds`, `short`, or `not measured`."""


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that must be at least, or at most, so much."""

    workload: str
    figure: str
    find: Callable[[Sequence[Measured]], Found]
    least: float | None = None
    most: float | None = None
    unit: str = "x"

    def judge(self, measured: Sequence[Measured]) -> Verdict:
        """Look for it in what was measured."""
        limit, sign = (self.most, "at most") if self.least is None else (self.least, "at least")
        assert limit is not None
        wanted = f"{sign} {limit:g}{self.unit}"
        found = self.find([one for one in measured if one.workload == self.workload])
        if found is None:
            return Verdict(self.workload, self.figure, wanted, "", "not measured")
        value, note = found
        holds = value >= limit if self.least is not None else value <= limit
        shown = f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
        told = f"{shown}{self.unit}{f' ({note})' if note else ''}"
        return Verdict(self.workload, self.figure, wanted, told, "holds" if holds else "short")


def by_round(
    measured: Iterable[Measured], workload: str, program: str, case: str = ""
) -> dict[int, float | None]:
    """The rates of a program by round."""
    return {
        one.round: one.rate_per_s
        for one in measured
        if (one.workload, one.program, one.case) == (workload, program, case)
    }


def lowest_ratio(workload: str, chosen: Callable[[str], bool]) -> Callable[[Sequence[Measured]], Found]:
    """Ours to the peer that it is least against, of those chosen by their label: the median over rounds."""

    def find(measured: Sequence[Measured]) -> Found:
        ours = by_round(measured, workload, OURS)
        names = dict.fromkeys(one.program for one in measured if one.program != OURS and chosen(one.program))
        told = {name: spread(ratios(ours, by_round(measured, workload, name)).values()) for name in names}
        medians = [(one.median, name) for name, one in told.items() if one is not None]
        return min(medians) if medians else None

    return find


def _ends(ending: str) -> Callable[[str], bool]:
    return lambda name: name.endswith(ending)


def _is(wanted: str) -> Callable[[str], bool]:
    return lambda name: name == wanted


def _median(values: Iterable[float | None], note: str = "") -> Found:
    told = spread(values)
    return (told.median, note) if told else None


def _of_latency(name: str) -> Callable[[Sequence[Measured]], Found]:
    return lambda measured: _median(one.latency_ms.get(name) for one in measured if one.program == OURS)


def _of_figure(name: str) -> Callable[[Sequence[Measured]], Found]:
    return lambda measured: _median(one.figures.get(name) for one in measured if one.program == OURS)


def _by_count(
    measured: Sequence[Measured], word: str, value: Callable[[Measured], float | None]
) -> Mapping[int, float]:
    """Medians by what was varied, of the cases that have that word."""
    found: dict[int, list[float | None]] = {}
    for one in measured:
        if word in one.case and one.program == OURS:
            found.setdefault(int(one.figures["count"]), []).append(value(one))
    told = {count: spread(values) for count, values in found.items()}
    return {count: one.median for count, one in told.items() if one}


def _linear(measured: Sequence[Measured]) -> Found:
    rates = _by_count(measured, "light, processes", lambda one: one.rate_per_s)
    if len(rates) < 2 or 1 not in rates:
        return None
    most = max(rates)
    return rates[most] / rates[1] / most, f"{most} processes against 1: {rates[most] / rates[1]:.2f}x"


def _peak(measured: Sequence[Measured]) -> Found:
    peaks = _by_count(measured, "queued", lambda one: one.peak_rss_mib)
    if not peaks:
        return None
    most = max(peaks)
    return peaks[most] * _MIB / 1e6, f"{most:,} queued"


def _growth(measured: Sequence[Measured]) -> Found:
    peaks = _by_count(measured, "queued", lambda one: one.peak_rss_mib)
    if len(peaks) < 2:
        return None
    least, most = min(peaks), max(peaks)
    return (peaks[most] / peaks[least] - 1) * 100, f"{most:,} queued against {least:,}"


def _scorers(measured: Sequence[Measured]) -> Found:
    """The least over kinds and batches."""
    found = []
    for case in dict.fromkeys(one.case for one in measured):
        ours = by_round(measured, "engine", OURS, case)
        for name in THEIRS.values():
            told = spread(ratios(ours, by_round(measured, "engine", name, case)).values())
            if told:
                found.append((told.median, case))
    return min(found) if found else None


TARGETS: tuple[Target, ...] = (
    Target("slow", "against the best plain form", lowest_ratio("slow", _ends("(plain)")), least=50),
    Target("slow", "against the best concurrent form", lowest_ratio("slow", _ends("(concurrent)")), least=1),
    Target("slow", "against LiteLLM's proxy", lowest_ratio("slow", _ends("(proxy)")), least=8),
    Target("hop", "against a naive Faust agent", lowest_ratio("hop", _is("faust (plain)")), least=6),
    Target(
        "hop",
        "against an aiokafka loop with gather",
        lowest_ratio("hop", _is("aiokafka (concurrent)")),
        least=0.6,
    ),
    Target(
        "instant",
        "against naive Faust, same hops",
        lowest_ratio("instant", _is("faust-hops (plain)")),
        least=3,
    ),
    Target(
        "instant",
        "against an aiokafka loop with one hop",
        lowest_ratio("instant", _is("aiokafka (concurrent)")),
        least=0.6,
    ),
    Target("latency", "added, p50", _of_latency("p50"), most=15, unit=" ms"),
    Target("latency", "added, p99", _of_latency("p99"), most=60, unit=" ms"),
    Target("cache", "hits to misses", _of_figure("ratio"), least=2),
    Target("cache", "added at 100 requests/s, p99", _of_latency("p99"), most=15, unit=" ms"),
    Target("scaling", "share of linear, work that waits", _linear, least=0.9, unit=""),
    Target("engine", "against torch, the least of all", _scorers, least=3),
    Target("memory", "peak of the worker, with its embedder", _peak, most=400, unit=" MB"),
    Target("memory", "growth with the queue", _growth, most=5, unit=" %"),
)
