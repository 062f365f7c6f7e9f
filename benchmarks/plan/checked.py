"""The simulation held against what was measured: its prices from two loads, its predictions for the others.

Prices come from `instant` (saturated) and the processor time at 100 requests/s; nothing of the workload `scaling`,
and no latency, goes into them. So those are predictions.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.measure import percentile
from benchmarks.plan.figures import SERVING, Figures
from benchmarks.plan.simulation import Machine, Outcome, Price, Simulation, at_once, poisson, steady
from benchmarks.plan.stages import Stages
from benchmarks.workloads import MODEL_S, RATE

_ROUNDS = 6
_LEAST_SHARE = 0.1
"""Of a request's cost that is left to its records, however the two loads compare."""
_LIGHT_INFLIGHT = 16
_FIT_REQUESTS = 1500
_LIGHT_S = 10.0
SHARES = (0.1, 0.2, 0.4, 0.6, 0.8, 0.9)
"""Of the saturated rate of one process: what latency costs."""


@dataclass(frozen=True)
class Check:
    """One figure, predicted and, where there is one, measured."""

    case: str
    unit: str
    predicted: float
    measured: float | None

    @property
    def error(self) -> float | None:
        """How far the prediction is off, as a share of what was measured."""
        return self.predicted / self.measured - 1 if self.measured else None


def price_of(
    stage_us: dict[str, float], record_us: float, chunk_us: float, server: tuple[float, float]
) -> Price:
    """Shares of stages put on the four steps; generation's is half before the model's answer, half after it."""
    whole = sum(stage_us[name] for name in SERVING)
    retrieval, generation, scoring = (record_us * stage_us[name] / whole / 1e6 for name in SERVING)
    return Price(
        (retrieval, generation / 2, generation / 2, scoring), chunk_us / 1e6, server[0] / 1e6, server[1] / 1e6
    )


def fit(figures: Figures, stages: Stages) -> Price:
    """The prices with which both loads cost what they did: two equations, whose chunks the simulation counts."""
    machine = Machine(figures.cores)
    redis_us = stages.redis.cpu_us
    full_us, light_us = figures.whole_us, figures.light_us
    full_server_us, light_server_us = figures.broker_us + redis_us, figures.light_broker_us + redis_us
    price = price_of(stages.stage_us, full_us, 0.0, (full_server_us / 3, 0.0))
    for _ in range(_ROUNDS):
        full = Simulation(machine, price, at_once(_FIT_REQUESTS), 0.0).run()
        light = Simulation(machine, price, steady(int(RATE * _LIGHT_S), RATE), MODEL_S).run()
        record, chunk = _two(full_us, light_us, full.each(full.read), light.each(light.read))
        server = _two(full_server_us, light_server_us, full.each(full.published), light.each(light.published))
        # Three records of a request pass through the broker.
        price = price_of(stages.stage_us, record, chunk, (server[0] / 3, server[1]))
    return price


def _two(full_us: float, light_us: float, full_chunks: float, light_chunks: float) -> tuple[float, float]:
    """What records and what a chunk cost, so that each load costs what it did."""
    fewer = light_chunks - full_chunks
    chunk = max((light_us - full_us) / fewer, 0.0) if fewer > 0 else 0.0
    chunk = min(chunk, (1 - _LEAST_SHARE) * full_us / full_chunks)
    return full_us - full_chunks * chunk, chunk


def checks(figures: Figures, price: Price) -> Iterator[Check]:
    """Every case that was measured, predicted."""
    yield from _saturated(figures, price)
    yield from _scaling(figures, price)
    yield from _latency(figures, price)


def _saturated(figures: Figures, price: Price) -> Iterator[Check]:
    pace = figures.pace
    loads = {"slow": (pace.slow_requests, MODEL_S), "instant": (pace.requests, 0.0)}
    for name, rate in figures.rates.items():
        number, model_s = loads[name]
        outcome = Simulation(Machine(figures.cores), price, at_once(number), model_s).run(pace.limit_s)
        yield Check(name, "requests/s", outcome.rate, rate)


def _scaling(figures: Figures, price: Price) -> Iterator[Check]:
    pace, cores = figures.pace, figures.cores
    for kind, counts in figures.scaling.items():
        for count, rate in counts.items():
            if kind == "light, processes":
                number = min(pace.slow_requests, int(count * 80 * pace.limit_s))
                machine = Machine(cores, count, window=_LIGHT_INFLIGHT)
                outcome = Simulation(machine, price, at_once(number), MODEL_S).run(pace.limit_s)
            else:
                machine = Machine(cores, count) if "processes" in kind else Machine(cores, partitions=count)
                outcome = Simulation(machine, price, at_once(pace.requests), 0.0).run(pace.limit_s)
            yield Check(f"{kind} {count}", "requests/s", outcome.rate, rate)


def _latency(figures: Figures, price: Price) -> Iterator[Check]:
    number = int(RATE * figures.pace.steady_s)
    outcome = Simulation(Machine(figures.cores), price, steady(number, RATE), MODEL_S).run()
    yield Check(
        f"{RATE:g} requests/s", "us of CPU each", outcome.each(outcome.workers_s) * 1e6, figures.light_us
    )
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        found = added_ms(outcome, share)
        yield Check(f"{RATE:g} requests/s, added, {name}", "ms", found, figures.added_ms.get(name))


def added_ms(outcome: Outcome, share: float) -> float:
    """A percentile of the latencies, less the model's own."""
    return ((percentile(outcome.latencies_s, share) or MODEL_S) - MODEL_S) * 1000


@dataclass(frozen=True)
class Loaded:
    """One process at a share of what it can do at most."""

    share: float
    rate: float
    cpu_us: float
    busy: float
    p50_ms: float
    p99_ms: float


def loaded(figures: Figures, price: Price, model_s: float = MODEL_S) -> Iterator[Loaded]:
    """What latency a process adds, the more it has to do: requests come whenever they like."""
    machine = Machine(figures.cores)
    most = 1e6 / figures.whole_us
    for share in SHARES:
        rate = share * most
        outcome = Simulation(machine, price, poisson(int(rate * _LIGHT_S), rate), model_s).run()
        used = outcome.each(outcome.workers_s) * 1e6
        busy = outcome.workers_s / outcome.ended_s
        yield Loaded(share, rate, used, busy, added_ms(outcome, 0.5), added_ms(outcome, 0.99))
