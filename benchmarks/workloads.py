"""What is measured: each workload's load, who takes part, and how one round of one program is made."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from benchmarks import requests, scoring
from benchmarks.measure import Measured
from benchmarks.peers import PEERS, Peer
from benchmarks.servers import Program, ProgramFailed, Rig
from benchmarks.sluicegate_program import DATA
from benchmarks.trial import Setup, Trial, fill_latency, renamed

SLUICEGATE = Peer(
    "sluicegate",
    "concurrent",
    "Sluicegate: all stages in one worker process",
    "",
    ("-m", "benchmarks.sluicegate_program"),
    workloads=frozenset({"full", "hop", "hops"}),
)
MODEL_S = 0.25
AGAIN, HITS = "h", "l"
"""How ids begin of requests whose prompts were asked before: all at once, and at a steady rate."""
_FEW = 8
"""Of a program that answers four a second: its warm-up."""
_SCORING_S = 600.0
_LIGHT_INFLIGHT = 16
"""So few in flight that a worker process waits for the model, not for the processor."""


def label(peer: Peer) -> str:
    """How reports name a program."""
    return peer.name if peer is SLUICEGATE else f"{peer.name} ({peer.form})"


def programs() -> dict[str, Peer]:
    """Every program by its label, ours first."""
    return {label(peer): peer for peer in (SLUICEGATE, *PEERS)}


@dataclass(frozen=True, slots=True)
class Pace:
    """How much of everything: a full run, or a quick one.

    Rounds say more than long loads do: what varies is the machine, from minute to minute.
    """

    limit_s: float = 5.0
    warm: int = 200
    hop_requests: int = 120_000
    """More than most answer in the time: publishing them takes a core, from each for the same share of its window."""
    requests: int = 3_000
    slow_requests: int = 3_000
    steady_s: float = 10.0
    cache_requests: int = 2_000
    processes: tuple[int, ...] = (1, 2, 4)
    partitions: tuple[int, ...] = (1, 2, 4, 8)
    computing: bool = True
    """Whether processes are also counted at work that computes, and not at work that waits alone."""
    queued: tuple[int, ...] = (1_000, 10_000)
    queue_limit_s: float = 90.0
    scoring_s: float = 0.7
    batches: tuple[int, ...] = scoring.BATCHES


QUICK = Pace(
    hop_requests=30_000,
    requests=1_500,
    slow_requests=1_500,
    steady_s=5.0,
    cache_requests=500,
    processes=(1, 2),
    partitions=(),
    computing=False,
    queued=(500, 2_000),
    queue_limit_s=40.0,
    scoring_s=0.4,
    batches=(1, 8),
)
TINY = Pace(
    limit_s=5.0,
    warm=20,
    hop_requests=300,
    requests=100,
    slow_requests=100,
    steady_s=1.0,
    cache_requests=50,
    processes=(1,),
    partitions=(1,),
    queued=(50, 100),
    queue_limit_s=20.0,
    scoring_s=0.1,
)
"""For the test of the harness itself."""
RATE = 100.0
"""Requests a second of the workload `latency`."""

Body = Callable[[Rig, Peer, Pace, Measured], Iterator[Measured]]


@dataclass(frozen=True, slots=True)
class Workload:
    """One of them; `measure` gives what one round of a program showed, once for each case it varies."""

    name: str
    title: str
    measure: Body
    takes: Callable[[Peer], bool]
    """Which peers take part; Sluicegate always does."""


@cache
def _requests(number: int) -> list[bytes]:
    """The same for every program and round: caches are emptied between them."""
    return requests.make(number)


def _warm_for(peer: Peer, setup: Setup) -> Setup:
    return replace(setup, warm=_FEW) if setup.latency_s and peer.form == "plain" else setup


def _saturated(rig: Rig, peer: Peer, setup: Setup, number: int, limit_s: float, to: Measured) -> Measured:
    """The load that most workloads are: as many as are answered in the time, all published at once."""
    with Trial(rig, peer, _warm_for(peer, setup)) as trial:
        trial.start()
        if peer.form == "proxy":
            counted, failed = trial.proxy(limit_s)
            to.answered, to.problem = counted.answers, f"{failed} failed" if failed else ""
            trial.stop()
            trial.fill(to, counted, None)
            return to
        trial.warm()
        began = trial.saturate(_requests(number), limit_s)
        answers = trial.answers()
        window, to.answered = trial.window(answers, began)
        to.requests = number
        trial.fill(to, window, answers)
    return to


def _slow(rig: Rig, peer: Peer, pace: Pace, to: Measured) -> Iterator[Measured]:
    yield _saturated(
        rig, peer, Setup(latency_s=MODEL_S, warm=pace.warm), pace.slow_requests, pace.limit_s, to
    )


def _hop(rig: Rig, peer: Peer, pace: Pace, to: Measured) -> Iterator[Measured]:
    yield _saturated(rig, peer, Setup("hop", warm=5 * pace.warm), pace.hop_requests, pace.limit_s, to)


def _instant(rig: Rig, peer: Peer, pace: Pace, to: Measured) -> Iterator[Measured]:
    does = "hops" if "hops" in peer.workloads and peer is not SLUICEGATE else "full"
    yield _saturated(rig, peer, Setup(does, warm=pace.warm), pace.requests, pace.limit_s, to)


def _latency(rig: Rig, peer: Peer, pace: Pace, to: Measured) -> Iterator[Measured]:
    made = _requests(int(RATE * pace.steady_s))
    with Trial(rig, peer, Setup(latency_s=MODEL_S, warm=pace.warm)) as trial:
        trial.start()
        trial.warm()
        sent = trial.steady(made, RATE)
        answers = trial.answers()
        window, _ = trial.window(answers, min(sent.values()))
        to.requests = len(made)
        trial.fill(to, window, answers)
        fill_latency(to, sent, answers.at, MODEL_S)
    yield to


def _cache(rig: Rig, peer: Peer, pace: Pace, to: Measured) -> Iterator[Measured]:
    made = _requests(pace.cache_requests)
    steady = renamed(made[: int(RATE * min(pace.steady_s, 10.0))], HITS)
    with Trial(rig, peer, Setup(warm=pace.warm)) as trial:
        trial.start()
        trial.warm()
        first = trial.saturate(made, pace.queue_limit_s)
        second = trial.saturate(renamed(made, AGAIN), pace.queue_limit_s)
        calls = rig.stub.calls()["calls"]
        sent = trial.steady(steady, RATE)
        answers = trial.answers()
        missed, _ = trial.window(answers, first)
        hit, _ = trial.window(answers, second, AGAIN)
        trial.fill(to, hit, answers)
        fill_latency(to, sent, answers.at, 0.0)
        to.requests = 2 * len(made) + len(steady)
        to.answered = sum(map(len, (answers.of("r"), answers.of(AGAIN), answers.of(HITS))))
    to.figures["calls"] = calls
    if missed and hit:
        to.figures |= {"misses_per_s": missed.rate, "hits_per_s": hit.rate, "ratio": hit.rate / missed.rate}
    yield to


def _scaling(rig: Rig, peer: Peer, pace: Pace, to: Measured) -> Iterator[Measured]:
    """Work that waits, then work that computes, over processes; then partitions of one process."""
    kinds = [("light", MODEL_S, _LIGHT_INFLIGHT), ("instant", 0.0, 256)]
    for kind, latency_s, inflight in kinds if pace.computing else kinds[:1]:
        for count in pace.processes:
            setup = Setup(latency_s=latency_s, inflight=inflight, processes=count, warm=pace.warm)
            case = replace(to, case=f"{kind}, processes {count}", figures={"count": count})
            number = min(pace.slow_requests, int(count * 80 * pace.limit_s)) if latency_s else pace.requests
            yield _busy(_saturated(rig, peer, setup, number, pace.limit_s, case))
    for count in pace.partitions:
        case = replace(to, case=f"instant, partitions {count}", figures={"count": count})
        setup = Setup(partitions=count, warm=pace.warm)
        yield _busy(_saturated(rig, peer, setup, pace.requests, pace.limit_s, case))


def _busy(measured: Measured) -> Measured:
    """How many cores were at work, everybody's: where they are full, nothing can scale."""
    used = [measured.cpu_s, measured.stub_cpu_s, measured.broker_cpu_s]
    if measured.window_s:
        measured.figures["cores busy"] = sum(one for one in used if one is not None) / measured.window_s
    return measured


def _memory(rig: Rig, peer: Peer, pace: Pace, to: Measured) -> Iterator[Measured]:
    """The queue is there before the program starts."""
    for number in pace.queued:
        case = replace(to, case=f"{number} queued", figures={"count": number})
        with Trial(rig, peer, Setup(latency_s=MODEL_S)) as trial:
            trial.queue(_requests(number))
            began = trial.start()
            trial.until_answered(pace.queue_limit_s)
            answers = trial.answers()
            window, case.answered = trial.window(answers, began)
            case.requests = number
            trial.fill(case, window, answers)
        yield case


def _engine(rig: Rig, _: Peer, pace: Pace, to: Measured) -> Iterator[Measured]:
    """In a process of its own, so that torch stays out of this one; the other side's figures come with ours."""
    if problem := scoring.missing():
        yield replace(to, problem=f"skipped: {problem}")
        return
    options = (
        "--seconds",
        str(pace.scoring_s),
        "--batches",
        ",".join(map(str, pace.batches)),
        "--data",
        str(DATA),
    )
    command = [sys.executable, "-m", "benchmarks.scoring", *options]
    program = Program(
        rig.folder / "programs", f"scoring-{to.round}", command, {"HF_HUB_OFFLINE": "1"}
    ).start()
    try:
        due = time.monotonic() + _SCORING_S
        while program.pid is not None and time.monotonic() < due:
            time.sleep(0.5)
        lines = program.log.read_text().splitlines()
    finally:
        program.stop()
    told = [json.loads(line) for line in lines if line.startswith('{"kind"')]
    if len(told) < 2 * len(scoring.KINDS) * len(pace.batches):
        raise ProgramFailed("the scorers were not all measured\n" + "\n".join(lines[-8:]))
    for one in told:
        case = f"{one['kind']}, batch {one['batch']}"
        yield replace(to, program=one["program"], case=case, rate_per_s=one["items_per_s"], figures={})


def _full(peer: Peer) -> bool:
    return "full" in peer.workloads


def _steady(peer: Peer) -> bool:
    """Those that can answer 100 requests a second of a model that takes 250 ms, and read Kafka."""
    return peer.form == "concurrent" and _full(peer)


def _nobody(_: Peer) -> bool:
    return False


WORKLOADS: dict[str, Workload] = {
    one.name: one
    for one in (
        Workload("slow", "The model answers in 250 ms, saturating load", _slow, _full),
        Workload(
            "hop",
            "One hop: decode, encode, produce, confirmed before ack",
            _hop,
            lambda p: "hop" in p.workloads,
        ),
        Workload(
            "instant",
            "The model answers at once, saturating load",
            _instant,
            lambda peer: peer.form != "proxy" and bool({"full", "hops"} & peer.workloads),
        ),
        Workload("latency", "100 requests/s, the model answers in 250 ms", _latency, _steady),
        Workload(
            "cache", "The same prompts again, after misses at a model that answers at once", _cache, _nobody
        ),
        Workload("scaling", "Worker processes and partitions", _scaling, _nobody),
        Workload("memory", "A long queue", _memory, _nobody),
        Workload("engine", "Scorers and embedder beside torch on the same processor", _engine, _nobody),
    )
}


def chosen_peers(names: Sequence[str]) -> list[Peer]:
    """Peers by name or label; all for `all`, none for `none`.

    Raises:
        ValueError: there is none of that name.
    """
    known = programs()
    if list(names) == ["all"]:
        return list(PEERS)
    if list(names) == ["none"]:
        return []
    found = []
    for name in names:
        those = [
            peer for shown, peer in known.items() if name in (peer.name, shown) and peer is not SLUICEGATE
        ]
        if not those:
            raise ValueError(f"no peer {name!r}; there are: {', '.join(list(known)[1:])}")
        found += those
    return list(dict.fromkeys(found))
