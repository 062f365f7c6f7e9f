"""A program at work on topics of its own: started, warmed up, put under load, stopped, its answers read."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

from benchmarks import requests
from benchmarks.measure import Measured, Window, describe_latency, proxy_rate, window_of
from benchmarks.peers import Peer
from benchmarks.processes import Sampler
from benchmarks.servers import Program, ProgramFailed, Rig, Topics, interpreter
from benchmarks.traffic import Answers, Load, Watch

WARM, BEFORE, LOADED = "w", "b", "r"
"""How ids of requests begin: of the warm-up, of what goes before a steady load, and of what is measured."""
_WARM_SEED, _BEFORE_SEED = 999, 998
_WARM_S = 120.0
_LOOK_S, _READ_S = 0.25, 0.05
"""How often is looked; the second where what was read by then is the clock."""
_STILL_S = 5.0
"""Nothing new for so long: what is missing does not come."""


@dataclass(frozen=True, slots=True)
class Setup:
    """How a program is run."""

    does: str = "full"
    """`BENCH_WORKLOAD`."""
    latency_s: float = 0.0
    partitions: int = 8
    inflight: int = 256
    processes: int = 1
    warm: int = 200
    stages: tuple[str, ...] = ()
    """Of Sluicegate: each in a process of its own. Without them there are `processes` of them that do all."""

    def runs(self) -> dict[str, tuple[str, ...]]:
        """What each process is called here, and its further arguments."""
        if self.stages:
            return {stage: ("--stages", stage) for stage in self.stages}
        return {str(number): () for number in range(self.processes)}


def renamed(made: Sequence[bytes], prefix: str) -> list[bytes]:
    """The same requests under other ids."""
    old, new = f'"id": "{LOADED}'.encode(), f'"id": "{prefix}'.encode()
    return [request.replace(old, new, 1) for request in made]


class Trial:
    """A context manager; leaving it stops what it started."""

    def __init__(self, rig: Rig, peer: Peer, setup: Setup) -> None:
        self.rig, self.peer, self.setup = rig, peer, setup
        self._stack = ExitStack()
        self._programs: dict[str, Program] = {}
        self.topics: Topics
        self._watch: Watch
        self._load: Load
        self.sampler: Sampler
        self._expected = 0
        self.stopped_at = 0.0

    def __enter__(self) -> Self:
        rig, setup = self.rig, self.setup
        try:
            self.topics = self._stack.enter_context(rig.topics(setup.partitions))
            rig.stub.behave(latency_s=setup.latency_s)
            bootstrap, responses = rig.broker.bootstrap, self.topics.responses
            self._watch = Watch(bootstrap, responses, setup.partitions, exact_ends=rig.apache)
            self._stack.callback(self._watch.close)
            self._load = Load(bootstrap, self.topics.requests)
            self._stack.callback(self.stop)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def start(self) -> float:
        """Start the program's processes and look at them from now on; returns when that began."""
        began = time.time()
        setup, peer = self.setup, self.peer
        env = self.rig.environment(self.topics, setup.does, setup.inflight)
        command = [interpreter(peer), *peer.command]
        for run, arguments in setup.runs().items():
            name = f"{self.topics.prefix}{peer.name}-{peer.form}-{run}"
            program = Program(self.rig.folder / "programs", name, [*command, *arguments], env)
            self._programs[run] = program.start()
        self.sampler = Sampler(
            {
                "program": lambda: list(self.pids().values()),
                "stub": lambda: [self.rig.stub.pid] if self.rig.stub.pid else [],
                "broker": lambda: [self.rig.broker.pid] if self.rig.broker.pid else [],
                **{stage: partial(self._pids_of, stage) for stage in setup.stages},
            }
        )
        self.sampler.start()
        return began

    def pids(self) -> dict[str, int]:
        """The processes that run, by what `Setup.runs` calls them."""
        return {run: program.pid for run, program in self._programs.items() if program.pid}

    def _pids_of(self, run: str) -> list[int]:
        return [pid for name, pid in self.pids().items() if name == run]

    def warm(self) -> None:
        """A few requests, until all are answered: the group is joined, connections are there, code is loaded.

        Raises:
            ProgramFailed: it did not answer them.
        """
        self._load.burst(renamed(requests.make(self.setup.warm, seed=_WARM_SEED), WARM))
        self._expected += self.setup.warm
        if not self._answered(time.time() + _WARM_S):
            found = f"{self._watch.count()} of {self.setup.warm}"
            first = next(iter(self._programs.values()))
            raise ProgramFailed(
                f"answered {found} requests of the warm-up in {_WARM_S:.0f} s\n{first.tail(8)}"
            )
        self.rig.stub.behave()  # its counts begin anew

    def queue(self, made: Sequence[bytes]) -> None:
        """Publish all of them; nobody needs to be there."""
        self._load.burst(made)
        self._expected += len(made)

    def until_answered(self, limit_s: float) -> None:
        """Until all that was published is, or the time is up, or nothing comes any more."""
        self._answered(time.time() + limit_s)

    def saturate(self, made: Sequence[bytes], limit_s: float) -> float:
        """All of them at once, until they are answered, or the time is up, or nothing comes any more.

        Returns when that began.
        """
        began = self._load.burst(made)
        self._expected += len(made)
        self._answered(began + limit_s)
        return began

    def steady(self, made: Sequence[bytes], per_s: float) -> dict[str, float]:
        """At that rate; returns when each was sent.

        A second of other requests goes before, which count for nothing: the load's own connection is made meanwhile,
        and every program meets the rate after a burst.
        """
        load = Load(self.rig.broker.bootstrap, self.topics.requests, linger_ms=0)
        before = renamed(requests.make(max(1, int(per_s)), seed=_BEFORE_SEED), BEFORE)
        load.steady(before, per_s)
        sent = load.steady(made, per_s)
        self._expected += len(before) + len(made)
        self._answered(time.time() + 10.0)
        return sent

    def _answered(self, due: float) -> bool:
        count, since = -1, time.monotonic()
        while True:
            for program in self._programs.values():
                program.check()
            found = self._watch.count()
            if found >= self._expected:
                return True
            if found != count:
                count, since = found, time.monotonic()
            # Before the first answer a program may still be starting.
            still = count > 0 and time.monotonic() - since > _STILL_S
            if still or time.time() >= due:
                return False
            time.sleep(_LOOK_S if self.rig.apache else _READ_S)

    def stop(self) -> None:
        """End the program; what it answers from now on does not count."""
        if not self._programs:
            return
        self.stopped_at = time.time()
        self.sampler.stop()
        for program in self._programs.values():
            program.stop()
        self._programs.clear()

    def answers(self) -> Answers:
        """What the topic holds, once the program is stopped."""
        self.stop()
        return self._watch.read()

    def window(self, answers: Answers, began: float, prefix: str = LOADED) -> tuple[Window | None, int]:
        """The window of the answers whose ids begin so, and how many there were before the stop."""
        # The embedded broker believes producers about time; Quix Streams gives an answer its request's timestamp.
        found = answers.of(prefix, seen=not self.rig.apache)
        times = [at for at in found.values() if at <= self.stopped_at]
        return window_of(began, times), len(times)

    def proxy(self, seconds: float) -> tuple[Window, int]:
        """Let a program without Kafka run for so long after its first line; what it counted, and how often it failed.

        Raises:
            ProgramFailed: it told nothing.
        """
        (program,) = self._programs.values()
        due, began = time.time() + _WARM_S, 0.0
        while time.time() < due and (not began or time.time() < began + seconds):
            program.check()
            if not began and '{"done"' in program.tail(50):
                began = time.time()
            time.sleep(_LOOK_S)
        found = proxy_rate(program.tail(1000))
        if found is None:
            raise ProgramFailed(f"{program.name} told nothing\n{program.tail(8)}")
        self.stopped_at = time.time()
        rate, _, failed = found
        return Window(began, self.stopped_at, round(rate * (self.stopped_at - began))), failed

    def fill(self, measured: Measured, window: Window | None, answers: Answers | None) -> None:
        """Write down what any load gives: rate, CPU, memory, calls, repeats."""
        if window is not None:
            measured.rate_per_s, measured.window_s = window.rate, window.ended - window.began
            used = {name: one.used(window.began, window.ended) for name, one in self.sampler.series.items()}
            measured.cpu_s, measured.stub_cpu_s, measured.broker_cpu_s = (
                used["program"],
                used["stub"],
                used["broker"],
            )
            if measured.cpu_s is not None and window.answers:
                measured.cpu_us_a_request = measured.cpu_s / window.answers * 1e6
        measured.peak_rss_mib = self.sampler.series["program"].peak_mib or None
        found = self.rig.stub.calls()
        measured.calls, measured.most_at_once = found["calls"], found["most_at_once"]
        if answers is not None:
            measured.repeats, measured.statuses = answers.repeats, answers.statuses
            if answers.unreadable:
                measured.problem = f"{len(answers.unreadable)} unreadable: {answers.unreadable[0]}"


def fill_latency(measured: Measured, sent: dict[str, float], at: dict[str, float], model_s: float) -> None:
    """What the program added to the model's own latency, by when requests were sent and answers stored."""
    added_ms = [(at[name] - began - model_s) * 1000 for name, began in sent.items() if name in at]
    measured.latency_ms, measured.latencies_ms = describe_latency(added_ms)
    measured.answered = len(added_ms)
