"""What a run showed, as a table for people and as JSON for machines."""

import json
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.chaos.run import Options, Outcome

_SHOWN = 20
_MEANINGS = {
    "requests": "readable requests that the broker confirmed",
    "terminal": "of them, ended in a terminal response",
    "lost": "never ended",
    "conflicting": "ended in two ways",
    "conflicting_without_redis": "ended in two ways, bought twice after an outage of Redis",
    "repeated_responses": "extra copies of a response, under the same id",
    "invalid": "unreadable records",
    "invalid_lost": "of them, not in the dead letters",
    "repeated_dead_letters": "extra copies of an unreadable record's dead letter",
    "failed_dead_letters": "dead letters of requests that ended as failed",
    "out_of_order": "answered after a later one of their conversation",
    "unwritten": "confirmed, yet not on the topic",
    "calls": "calls of the model",
    "calls_repeated_in_flight": "made again: a kill caught the first one on its way",
    "calls_repeated_without_redis": "made again after an outage of Redis",
    "calls_repeated_otherwise": "made again without an excuse",
    "longest_kill_after_answer_s": "seconds from an answer to the kill that lost it",
    "longest_stall_s": "longest time in which nothing ended though something waited",
    "longest_stall_at_s": "when that began",
    "ended_per_s": "requests ended per second, first to last",
}

_COUNTED = {
    "rebalances": "workers that came and went",
    "group_rebalances": "times that a stage's partitions were dealt out anew",
}


def as_dict(options: Options, outcome: Outcome) -> dict[str, object]:
    """Everything, in a stable order."""
    counts = outcome.counts
    return {
        "seed": options.seed,
        "kind": "plain Faust" if options.baseline else "sluicegate",
        "broker": options.broker,
        "workers": options.workers,
        "rate": options.rate,
        **outcome.verdict.as_dict(),
        "kills": counts["kill"],
        "broker_restarts": counts["broker"],
        "rebalances": counts["rebalance"],
        "group_rebalances": outcome.group_rebalances,
        "unplanned_exits": outcome.exits,
        "unclean_stops": outcome.unclean,
        "loaded_s": round(outcome.loaded_s, 1),
        "took_s": round(outcome.took_s, 1),
        "faults": sorted(outcome.happened, key=lambda fault: float(str(fault["at_s"]))),
    }


def write(path: Path, told: dict[str, object]) -> None:
    """To a file, for machines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=2) + "\n")


def show(told: dict[str, object], console: Console) -> None:
    """To the terminal: counts, faults, and what is broken."""
    table = Table("", "", "meaning", title=f"{told['kind']}, seed {told['seed']}, {told['broker']} broker")
    table.columns[1].justify = "right"
    offending = told["offending"]
    assert isinstance(offending, dict)
    for name, meaning in _MEANINGS.items():
        style = "bold red" if name in offending else None
        table.add_row(name, str(told[name]), meaning, style=style)
    table.add_row("by_status", "", str(told["by_status"]))
    table.add_row("calls_by_outcome", "", str(told["calls_by_outcome"]))
    for name in ("kills", "broker_restarts", "rebalances", "group_rebalances"):
        table.add_row(name, str(told[name]), _COUNTED.get(name, ""))
    for name in ("unplanned_exits", "unclean_stops"):
        found = told[name]
        assert isinstance(found, list)
        table.add_row(name, str(len(found)), escape("; ".join(found[:3])))
    console.print(table)
    for name, listed in offending.items():
        ids = list(dict.fromkeys(listed))
        more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
        console.print(f"[bold red]{name}[/]: {', '.join(ids[:_SHOWN])}{more}", soft_wrap=True)
    console.print("the promise is broken" if offending else "the promise was kept")
