"""What a run found: `latest.json` with every figure, `latest.md` in plain words, and plots."""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import plots
from benchmarks.measure import Measured, Spread, ratios, spread
from benchmarks.run import Options, Results
from benchmarks.targets import OURS, TARGETS, Verdict, by_round
from benchmarks.workloads import WORKLOADS, Workload, label, programs


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an earlier run found of other workloads."""

    measured: Sequence[Measured] = ()
    runs: Sequence[Mapping[str, Any]] = ()
    """Which workloads, when, at which commit, in how many rounds."""


def earlier(folder: Path, options: Options) -> Earlier:
    """What the folder's `latest.json` has of workloads that are not measured now; nothing where there is none."""
    file = folder / "latest.json"
    if not file.exists():
        return Earlier()
    whole = json.loads(file.read_text())
    now = {workload.name for workload in options.workloads}
    kept = [Measured(**one) for one in whole["measured"] if one["workload"] not in now]
    told = {name for run in whole["about"].get("earlier", ()) for name in run["workloads"]}
    last = {one["workload"]: None for one in whole["measured"] if one["workload"] not in told}
    runs = [*whole["about"].get("earlier", ()), _run(whole["about"], list(last))]
    still = [{**run, "workloads": [name for name in run["workloads"] if name not in now]} for run in runs]
    return Earlier(kept, [run for run in still if run["workloads"]])


def _run(about: Mapping[str, Any], workloads: Sequence[str]) -> dict[str, Any]:
    return {"workloads": workloads, **{name: about[name] for name in ("began", "took_s", "commit", "rounds")}}


def keep(results: Results, options: Options, folder: Path, before: Earlier = Earlier()) -> None:  # frozen
    """Write what there is so far, with what was found before."""
    folder.mkdir(parents=True, exist_ok=True)
    measured = [*results.measured, *before.measured]
    about = {**_about(results, options), "earlier": list(before.runs)}
    verdicts = [target.judge(measured) for target in TARGETS]
    whole = {
        "about": about,
        "targets": [asdict(verdict) for verdict in verdicts],
        "ratios": list(all_ratios(measured)),
        "spreads": list(all_spreads(measured)),
        "measured": [asdict(one) for one in measured],
    }
    (folder / "latest.json").write_text(json.dumps(whole, indent=1) + "\n")
    drawn = plots.all_of(measured)
    for name, picture in drawn.items():
        (folder / name).write_text(picture)
    (folder / "latest.md").write_text(markdown(measured, about, verdicts, list(drawn)))


def all_ratios(measured: Sequence[Measured]) -> Iterator[dict[str, Any]]:
    """Ours to each other program's, by workload and case: round by round, and their spread."""
    for workload, case in dict.fromkeys((one.workload, one.case) for one in measured):
        ours = by_round(measured, workload, OURS, case)
        here = [one for one in measured if (one.workload, one.case) == (workload, case)]
        for program in dict.fromkeys(one.program for one in here if one.program != OURS):
            found = ratios(ours, by_round(measured, workload, program, case))
            told = spread(found.values())
            yield {
                "workload": workload,
                "case": case,
                "program": program,
                "rounds": found,
                "spread": asdict(told) if told else None,
            }


_SPREAD = ("rate_per_s", "cpu_us_a_request", "peak_rss_mib")


def all_spreads(measured: Sequence[Measured]) -> Iterator[dict[str, Any]]:
    """Median, ends and quartiles over the rounds, by workload, case and program."""
    for workload, case, program in dict.fromkeys((one.workload, one.case, one.program) for one in measured):
        several = [m for m in measured if (m.workload, m.case, m.program) == (workload, case, program)]
        values = {name: [getattr(one, name) for one in several] for name in _SPREAD}
        for name in ("p50", "p99"):
            values[f"latency_{name}_ms"] = [one.latency_ms.get(name) for one in several]
        told = {name: spread(rounds) for name, rounds in values.items()}
        known = {name: asdict(one) for name, one in told.items() if one}
        yield {"workload": workload, "case": case, "program": program, **known}


def _about(results: Results, options: Options) -> dict[str, Any]:
    return {
        "began": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(results.began)),
        "took_s": round(results.took_s),
        "load_now": round(os.getloadavg()[0], 2),
        "broker": "Apache Kafka" if options.broker == "apache" else "the embedded broker",
        "rounds": options.rounds,
        "pace": asdict(options.pace),
        **results.about,
    }


def markdown(
    measured: Sequence[Measured],
    about: Mapping[str, Any],
    verdicts: Sequence[Verdict],
    pictures: Sequence[str],
) -> str:
    """The report for people."""
    machine = about["machine"]
    workloads = [one for name, one in WORKLOADS.items() if any(found.workload == name for found in measured)]
    parts = [
        "# Benchmarks",
        f"{about['began']}, {about['rounds']} rounds in {about['took_s']} s, {about['broker']}, commit "
        f"`{about['commit'][:10]}`{' with changes' if about['changed_since'] else ''}. {machine['processor']}, "
        f"{machine['cores']} cores, {machine['memory_gib']} GiB; load {machine['load_before']} before it began. "
        "Written by `python -m benchmarks`; `benchmarks/README.md` says how it measures. Figures are medians of "
        "the rounds; least to most stand in brackets. Of other machines expect other figures, and similar ratios."
        + "".join(
            f" From a run before ({run['began']}, commit `{run['commit'][:10]}`, {run['rounds']} rounds in "
            f"{run['took_s']} s): {', '.join(run['workloads'])}."
            for run in about["earlier"]
        ),
        "## Targets",
        _targets(verdicts),
        *(_section(workload, measured) for workload in workloads),
        *(f"![{name.removesuffix('.svg')}]({name})" for name in pictures),
        "## What each peer gives up",
        _given_up(measured),
        "## Versions",
        ", ".join(f"{name} {number}" for name, number in about["versions"].items()) + ".",
    ]
    return "\n\n".join(parts) + "\n"


def _targets(verdicts: Sequence[Verdict]) -> str:
    rows = [(v.workload, v.figure, v.wanted, v.found, v.told) for v in verdicts]
    return table(("workload", "figure", "target", "found", ""), rows)


def _section(workload: Workload, measured: Sequence[Measured]) -> str:
    mine = [one for one in measured if one.workload == workload.name]
    found = {(one["case"], one["program"]): one for one in all_ratios(mine)}
    rows = []
    for case, program in dict.fromkeys((one.case, one.program) for one in mine):
        several = [one for one in mine if (one.case, one.program) == (case, program)]
        ratio = found.get((case, program))
        rows.append(_row(case, program, several, ratio["rounds"].values() if ratio else []))
    unit = "items/s" if workload.name == "engine" else "requests/s"
    head = (
        "program",
        unit,
        "Sluicegate to it",
        "CPU each",
        "peak RSS",
        "calls at once",
        "p50 / p99",
        "notes",
    )
    shown = [index for index in range(len(head)) if index < 2 or any(row[index] for row in rows)]
    picked = [tuple(row[index] for index in shown) for row in rows]
    return f"## {workload.title}\n\n" + table(tuple(head[index] for index in shown), picked)


def _row(case: str, program: str, several: Sequence[Measured], ratio: Any) -> tuple[str, ...]:
    p50 = spread(one.latency_ms.get("p50") for one in several)
    p99 = spread(one.latency_ms.get("p99") for one in several)
    cost = spread(one.cpu_us_a_request for one in several)
    memory = spread(one.peak_rss_mib for one in several)
    return (
        f"{program}: {case}" if case else program,
        show(spread(one.rate_per_s for one in several)),
        show(spread(ratio), "x"),
        f"{cost.median:,.0f} us" if cost else "",
        f"{memory.median:,.0f} MiB" if memory else "",
        f"{most:,}" if (most := max((one.most_at_once or 0 for one in several), default=0)) else "",
        f"{p50.median:,.1f} / {p99.median:,.1f} ms" if p50 and p99 else "",
        "; ".join(_notes(several)),
    )


def _notes(several: Sequence[Measured]) -> list[str]:
    """What only this workload has, and whatever should not have been."""
    figures = {name for one in several for name in one.figures if name not in ("count", "calls")}
    notes = [
        f"{name.replace('_per_s', '/s')} {show(spread(one.figures.get(name) for one in several))}"
        for name in sorted(figures)
    ]
    if repeats := sum(one.repeats for one in several):
        notes.append(f"{repeats:,} answered again")
    odd = dict.fromkeys(status for one in several for status in one.statuses if status != "completed")
    return [*notes, *odd, *dict.fromkeys(one.problem.splitlines()[0] for one in several if one.problem)]


def show(told: Spread | None, unit: str = "") -> str:
    """A median with its ends; nothing where nothing is known."""
    if told is None:
        return ""
    if told.rounds == 1:
        return f"{number(told.median)}{unit}"
    return f"{number(told.median)}{unit} [{number(told.least)} to {number(told.most)}]"


def number(value: float) -> str:
    """Three digits that mean something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """As Markdown; a bar inside a cell would end it."""
    lines = [head, ["---"] * len(head), *([cell.replace("|", "/") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _given_up(measured: Sequence[Measured]) -> str:
    there = {one.program for one in measured}
    rows = [
        (label(peer), peer.about, peer.gives_up or "nothing that was found")
        for name, peer in programs().items()
        if name in there and name != OURS
    ]
    return table(("program", "what it is", "what it gives up"), rows)
