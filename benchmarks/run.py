"""All rounds of all workloads; programs take turns, so that whatever else the machine does meets each alike."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException

from benchmarks import machine
from benchmarks.measure import Measured
from benchmarks.peers import Peer
from benchmarks.servers import ProgramFailed, Rig
from benchmarks.workloads import SLUICEGATE, Pace, Workload, label

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """A run, as the command line describes it."""

    workloads: Sequence[Workload]
    peers: Sequence[Peer]
    rounds: int
    pace: Pace
    broker: str = "apache"


@dataclass
class Results:
    """What a run has found so far."""

    began: float
    about: dict[str, Any] = field(default_factory=dict)
    measured: list[Measured] = field(default_factory=list)
    took_s: float = 0.0


def turns(workload: Workload, peers: Sequence[Peer], number: int) -> list[Peer]:
    """Who is measured in that round, in order: each round another begins."""
    taking = [SLUICEGATE, *(peer for peer in peers if workload.takes(peer))]
    first = number % len(taking)
    return taking[first:] + taking[:first]


def execute(options: Options, tell: Tell, keep: Callable[[Results], None]) -> Results:
    """Run everything; `keep` is called after every round of a workload, so that a long run is not lost."""
    results = Results(time.time(), machine.about())
    folder = Path(tempfile.mkdtemp(prefix="sluicegate-bench-"))
    rig = Rig(folder, options.broker)
    try:
        tell(f"starting {options.broker} broker, Redis and the stub of a model in {folder}")
        rig.start()
        for number in range(options.rounds):
            for workload in options.workloads:
                for peer in turns(workload, options.peers, number):
                    for one in measured(rig, workload, peer, options.pace, number):
                        results.measured.append(one)
                        tell(line(one, number + 1, options.rounds))
                results.took_s = time.time() - results.began
                keep(results)
    finally:
        rig.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return results


def measured(rig: Rig, workload: Workload, peer: Peer, pace: Pace, number: int) -> Iterator[Measured]:
    """One round of one program; a program that fails is told of and does not end the run."""
    to = Measured(workload.name, label(peer), number)
    try:
        yield from workload.measure(rig, peer, pace, to)
    except (ProgramFailed, KafkaException, OSError) as error:
        yield Measured(workload.name, label(peer), number, problem=str(error))


def line(one: Measured, number: int, rounds: int) -> str:
    """One measurement as a line of progress."""
    parts = [f"{number}/{rounds} {one.workload:8} {one.program:34} {one.case:24}"]
    if one.rate_per_s is not None:
        parts.append(f"{one.rate_per_s:9,.1f}/s")
    if one.cpu_us_a_request is not None:
        parts.append(f"{one.cpu_us_a_request:7,.0f} us CPU each")
    if one.peak_rss_mib is not None:
        parts.append(f"{one.peak_rss_mib:5,.0f} MiB")
    parts += [f"{name} {value:,.1f} ms" for name, value in one.latency_ms.items() if name in ("p50", "p99")]
    parts += [f"{name} {value:,.1f}" for name, value in one.figures.items() if name != "count"]
    if one.problem:
        parts.append(f"PROBLEM: {one.problem.splitlines()[0][:150]}")
    return "  ".join(parts)
