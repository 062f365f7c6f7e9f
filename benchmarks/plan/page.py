"""The plan for people: tables as Markdown, the plot, and the same tables between the marks of a page."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from benchmarks import plots
from benchmarks.plan.checked import Check, Loaded
from benchmarks.plan.costs import RATES, Assumptions, Bill, Costs, Need, bill_of, bills, by_cpu
from benchmarks.plan.figures import SERVING, Figures
from benchmarks.plan.limits import ALL, MACHINE, PROCESS, Limit, broken
from benchmarks.plan.stages import Stages
from benchmarks.report import number, table

START, END = "<!-- planned: python -m benchmarks.plan --docs -->", "<!-- /planned -->"
PICTURE = "plan.svg"


@dataclass(frozen=True)
class Plan:
    """All that is written down."""

    figures: Figures
    stages: Stages
    assume: Assumptions
    costs: Costs
    hit: Costs
    """Of a request that the cache answers."""
    needs: Sequence[Need]
    limits: Sequence[Limit]
    checks: Sequence[Check]
    loaded: Sequence[Loaded]


def markdown(plan: Plan, pictures: str = "", depth: int = 2) -> str:
    """Every section, headed at that depth; `pictures` is the folder of the plot as the page sees it."""
    head = "#" * depth
    parts = [_basis(plan)]
    for title, section in SECTIONS.items():
        parts += [f"{head} {title}", *section(plan)]
    parts.append(f"![the simulation beside what was measured]({pictures}{PICTURE})")
    return "\n\n".join(parts) + "\n"


def put(text: str, page: Path) -> None:
    """Replace what stands between the marks.

    Raises:
        ValueError: the page lacks them.
    """
    whole = page.read_text()
    if START not in whole or END not in whole:
        raise ValueError(f"{page} has no {START} ... {END}")
    before, rest = whole.split(START, 1)
    after = rest.split(END, 1)[1]
    page.write_text(f"{before}{START}\n\n{text.strip()}\n\n{END}{after}")


def picture(checks: Sequence[Check]) -> str:
    """Measured curves, and what was predicted for them, dashed; nothing where nothing was measured."""
    kinds: dict[str, list[tuple[int, Check]]] = {}
    for one in checks:
        if one.unit == "requests/s" and one.measured is not None:
            kind, _, count = one.case.rpartition(" ")
            if kind:  # the others vary nothing
                kinds.setdefault(kind, []).append((int(count), one))
    lines = []
    for kind, several in kinds.items():
        lines.append(plots.Line(kind, [(count, one.measured or 0.0) for count, one in several]))
        lines.append(plots.Line("predicted", [(count, one.predicted) for count, one in several], ideal=True))
    return (
        plots.curves("requests/s measured, and predicted by the simulation", "count", lines) if lines else ""
    )


def _basis(plan: Plan) -> str:
    return (
        f"Written by `python -m benchmarks.plan` from {_told(plan.figures.about)} (what a request costs), "
        f"{_told(plan.stages.about)} (its share by stage), and assumptions: the last table of this plan."
    )


def _told(about: Mapping[str, Any]) -> str:
    if not about:
        return "a run without a date"
    changed = " with changes" if about.get("changed_since") else ""
    machine = about["machine"]
    return (
        f"the run of {about['began']}, commit `{about['commit'][:10]}`{changed}, on {machine['cores']} cores of "
        f"{machine['processor']}"
    )


def _million(plan: Plan) -> Iterator[str]:
    one, assume, figures = plan.costs, plan.assume, plan.figures
    rows = [_bill(bill) for bill in bills(one.parts, assume)]
    rows.append(_bill(bill_of("**all**", sum(one.parts.values()), assume)))
    rows.append(_bill(bill_of("a million cache hits", sum(plan.hit.parts.values()), assume)))
    if figures.hop_us is not None:
        rows.append(_bill(bill_of("a million records through one hop, worker alone", figures.hop_us, assume)))
    further = bills(figures.engine_us, assume)
    rows += [_bill(bill, f"further: `{bill.part}`, one item a request") for bill in further]
    yield table(("part", "core-seconds", "core-hours", "US$, assumed"), rows)
    split = sum(plan.stages.stage_us[name] for name in SERVING)
    yield (
        f"The scorer in it is the benchmark's trivial one; what shipped models cost comes on top. US$ are at "
        f"{assume.vcpu_hour_usd:g} a vCPU hour, an assumption, with cores used to {assume.utilisation:.0%}; neither "
        f"the model's own price nor network and disks are in it. In a process each, the stages cost "
        f"{number(split)} us a request; all in one, in the same minutes, {number(plan.stages.whole_us)} us."
    )


def _bill(bill: Bill, name: str = "") -> tuple[str, ...]:
    return name or bill.part, f"{bill.core_s:,.0f}", f"{bill.core_s / 3600:,.2f}", f"{bill.usd:,.3f}"


def _needs(plan: Plan) -> Iterator[str]:
    head = ("", *(f"{need.rate:,.0f}/s" for need in plan.needs))
    rows = [(name, *(show(need) for need in plan.needs)) for name, show in _NEEDS.items()]
    for scorer, us in plan.figures.engine_us.items():
        more = (by_cpu(need.rate, us, plan.assume.utilisation) for need in plan.needs)
        rows.append((f"further cores for `{scorer}`, one item a request", *(f"{cores:,}" for cores in more)))
    yield table(head, rows)
    commands = ", ".join(f"{name} {value:g}" for name, value in sorted(plan.stages.redis.by_command.items()))
    idle = plan.stages.idle_cores
    waiting = [name for name in idle if name not in SERVING]
    yield (
        f"Beside these, a worker each for {' and '.join(waiting)}, which what is rare passes. A worker without work "
        f"takes {max(idle.values()):.1%} of a core."
    )
    yield f"Redis commands of a request that is no cache hit, those within scripts included: {commands}."


_NEEDS: dict[str, Callable[[Need], str]] = {
    "workers: retrieval": lambda need: f"{need.workers['retrieval']:,}",
    "workers: generation": lambda need: f"{need.workers['generation']:,}",
    "of those by processor, by window": lambda need: (
        f"{need.generation_by_cpu:,}, {need.generation_by_window:,}"
    ),
    "workers: scoring": lambda need: f"{need.workers['scoring']:,}",
    "processes in all": lambda need: f"{need.processes:,}",
    "their memory, GB, by one with all stages": lambda need: (
        number(need.memory_gb) if need.memory_gb else "not measured"
    ),
    "partitions, at least": lambda need: f"{need.partitions:,}",
    "calls at the model at once": lambda need: number(need.at_the_model),
    "broker: cores": lambda need: number(need.broker_cores),
    "broker: MB/s in, copies included": lambda need: number(need.broker_in_mb_s),
    "broker: MB/s out, copies included": lambda need: number(need.broker_out_mb_s),
    "broker: connections": lambda need: f"{need.connections:,}",
    "broker: disk for retention, TB": lambda need: number(need.disk_tb),
    "Redis: commands/s": lambda need: number(need.redis_commands),
    "Redis: share of its one thread": lambda need: f"{need.redis_cores:,.0%}",
    "Redis: memory, GB": lambda need: number(need.redis_gb),
}


def _first(plan: Plan) -> Iterator[str]:
    head = ("of", "resource", "runs out at", *(f"needed at {rate:,}/s" for rate in RATES), "what then")
    rows = [
        (
            limit.of,
            limit.resource,
            f"{number(limit.runs_out)}/s",
            *(f"{limit.needed(rate):,}" for rate in RATES),
            limit.then,
        )
        for limit in plan.limits
        if not math.isinf(limit.runs_out)
    ]
    yield table(head, rows)
    yield "\n".join(_firsts(plan.limits))
    yield _ONE_REDIS


def _firsts(limits: Sequence[Limit]) -> Iterator[str]:
    for of in (PROCESS, MACHINE):
        lowest = next(limit for limit in limits if limit.of == of)
        yield f"- {of}: {lowest.resource}, at {number(lowest.runs_out)}/s."
    for rate in RATES:
        gone = broken(limits, rate, ALL)
        told = "; ".join(f"{limit.resource} ({number(limit.runs_out)}/s)" for limit in gone)
        yield f"- {rate:,}/s, before it, in this order: {told or 'nothing'}."


_ONE_REDIS = """\
An installation has one Redis and cannot have a cluster: a script's two keys, the request's and the answer's or the
memory's, share no hash tag. Past one there are several installations, each with prefixes and a Redis of its own. A
Redis that is full refuses what is to be kept, and is treated like one that is away. Not measured, and so in no
figure: what copies cost the broker's processor, what hundreds of partitions cost, a network between machines."""


def _compared(plan: Plan) -> Iterator[str]:
    rows = [
        (
            one.case,
            one.unit,
            number(one.predicted),
            number(one.measured) if one.measured is not None else "not measured",
            f"{one.error:+.0%}" if one.error is not None else "",
        )
        for one in plan.checks
    ]
    yield table(("case", "figure", "predicted", "measured", "error"), rows)
    rates = [abs(one.error) for one in plan.checks if one.unit == "requests/s" and one.error is not None]
    if rates:
        yield f"Of {len(rates)} rates the worst is {max(rates):.0%} off, the mean {sum(rates) / len(rates):.0%}."
    yield _ERRS


_ERRS = """\
Prices of a record and of a chunk come from the processor time of a request, saturated and at 100 requests/s, which so
must agree; no rate of this table and no latency goes into them. Where it errs: it knows no start of a load, no
rebalance, no garbage collection, no waiting between threads and no retry, so that latencies tend to come out too
low, the slowest most; a request costs it the same whether the model is slow or not; broker, Redis and stub are one
server, and the harness takes no time; a step takes always the same."""


def _busy(plan: Plan) -> Iterator[str]:
    rows = [
        (
            f"{one.share:.0%}",
            number(one.rate),
            number(one.cpu_us),
            f"{one.busy:.0%}",
            f"{number(one.p50_ms)} / {number(one.p99_ms)} ms",
        )
        for one in plan.loaded
    ]
    yield (
        "One process, by the simulation alone: of these only the processor time at 100 requests/s was measured, and "
        "there it tells too little of latency. Little load means small chunks, so that a process is busy long "
        "before it can do no more; the workers above are counted by what it can do at most, and the share that is "
        "to be used is in the first column."
    )
    yield table(("of its most", "requests/s", "us of CPU each", "busy", "added, p50 / p99"), rows)


def _assumed(plan: Plan) -> Iterator[str]:
    rows = [
        (f"`--{one.name.replace('_', '-')}`", f"{getattr(plan.assume, one.name):g}", one.metadata["meaning"])
        for one in fields(Assumptions)
    ]
    yield table(("option", "value", "meaning"), rows)


SECTIONS = {
    "A million requests": _million,
    "What a rate needs": _needs,
    "What runs out first": _first,
    "The simulation beside what was measured": _compared,
    "What latency a busy process adds": _busy,
    "Assumptions": _assumed,
}
