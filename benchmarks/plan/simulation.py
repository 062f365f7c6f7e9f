"""Workers on a machine as queues: predicts rate, latency and processor time; deterministic.

A request is read by retrieval, by generation, answered by the model, published as a draft, and read by scoring. Work
is done by single servers: each worker process, because of Python's interpreter lock, and the rest of the machine
(broker, Redis, stub) as one more. Busy servers share the cores equally. A process takes what waits in one partition
of one stage as a chunk: that has a price of its own, and so has each record in it. That is why records that come
alone cost more. A stage takes no more records than its window, which a record leaves when the broker has confirmed
what came of it.
"""

import heapq
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

STEPS = ("retrieval", "ask", "answer", "scoring")
_STAGE_OF = (0, 1, 1, 2)
"""Which window a step belongs to: generation has two, with the model between them."""
_READS = (True, True, False, True)
"""Whether a step takes its records from the broker, chunk by chunk."""
_PUBLISHES = (True, False, True, True)
_LAST = len(STEPS) - 1
_NEVER = float("inf")
_CHUNK = 256
"""As the setting `chunk_size` is unless changed."""


@dataclass(frozen=True)
class Price:
    """Seconds of a core."""

    record_s: tuple[float, float, float, float]
    """Of one record at each step, in the worker."""
    chunk_s: float = 0.0
    """Of a chunk, whatever is in it, in the worker."""
    server_record_s: float = 0.0
    """Of one record that a step publishes, in broker, Redis and stub."""
    server_chunk_s: float = 0.0


@dataclass(frozen=True)
class Machine:
    """What there is."""

    cores: float
    processes: int = 1
    partitions: int = 8
    window: int = 256
    chunk: int = _CHUNK


@dataclass
class Outcome:
    """What came of a load."""

    latencies_s: list[float]
    ended_s: float
    """When the last answer that counts came; the load begins at 0."""
    workers_s: float
    servers_s: float
    read: int
    """Chunks that stages took."""
    published: int
    """Chunks that the broker was given."""
    queued_s: float
    """Until retrieval took them, all requests together."""

    @property
    def answers(self) -> int:
        """How many came in time."""
        return len(self.latencies_s)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.ended_s if self.ended_s else 0.0

    def each(self, value: float) -> float:
        """Something by the answers."""
        return value / max(self.answers, 1)


def at_once(number: int) -> list[float]:
    """Arrivals of a saturating load."""
    return [0.0] * number


def steady(number: int, rate: float) -> list[float]:
    """One after the other at that rate."""
    return [count / rate for count in range(number)]


def poisson(number: int, rate: float, seed: int = 1) -> list[float]:
    """Each whenever it likes, at that rate on average."""
    dice, now, found = random.Random(seed), 0.0, []  # noqa: S311  # no secret
    for _ in range(number):
        now += dice.expovariate(rate)
        found.append(now)
    return found


@dataclass
class _Work:
    """What a server is at, and how much of a core it still takes."""

    left_s: float
    step: int
    records: list[int]
    process: int


@dataclass
class _Process:
    """A worker: what waits by step and partition, and what each stage has in its window."""

    partitions: Sequence[int]
    waiting: dict[tuple[int, int], deque[int]] = field(init=False)
    at_work: list[int] = field(default_factory=lambda: [0, 0, 0])
    turn: deque[tuple[int, int]] = field(init=False)

    def __post_init__(self) -> None:
        places = [(step, partition) for partition in self.partitions for step in range(len(STEPS))]
        self.waiting = {place: deque() for place in places}
        self.turn = deque(places)

    def take(self, machine: Machine) -> tuple[int, list[int]] | None:
        """The next chunk: steps and partitions have their turns; nothing while windows are full."""
        for _ in range(len(self.turn)):
            place = self.turn[0]
            self.turn.rotate(-1)
            step, queue = place[0], self.waiting[place]
            if not queue:
                continue
            room = machine.window - self.at_work[_STAGE_OF[step]] if _READS[step] else machine.chunk
            many = min(len(queue), machine.chunk, room)
            if many > 0:
                if _READS[step]:
                    self.at_work[_STAGE_OF[step]] += many
                return step, [queue.popleft() for _ in range(many)]
        return None


class Simulation:
    """One load on one machine; `run` once."""

    def __init__(
        self, machine: Machine, price: Price, arrivals: Sequence[float], model_s: float, seed: int = 1
    ) -> None:
        self.machine, self.price, self.model_s = machine, price, model_s
        self.arrivals = arrivals
        dice = random.Random(seed)  # noqa: S311  # no secret
        self._partition = [dice.randrange(machine.partitions) for _ in arrivals]
        self._processes = [
            _Process(range(number, machine.partitions, machine.processes))
            for number in range(machine.processes)
        ]
        self._work: dict[int, _Work] = {}
        """By server: processes by number, the rest of the machine as -1."""
        self._confirming: deque[_Work] = deque()
        self._due: list[tuple[float, int, int]] = []
        """When a record comes to a step: from outside, or from the model."""
        self._out = Outcome([], 0.0, 0.0, 0.0, 0, 0, 0.0)

    def run(self, limit_s: float = _NEVER) -> Outcome:
        """Until all is answered, or the time is up."""
        self._due = [(at, 0, number) for number, at in enumerate(self.arrivals)]
        heapq.heapify(self._due)
        now = 0.0
        while self._due or self._work:
            speed = min(1.0, self.machine.cores / len(self._work)) if self._work else 1.0
            done = now + min((one.left_s for one in self._work.values()), default=_NEVER) / speed
            then = min(done, self._due[0][0] if self._due else _NEVER)
            if then > limit_s:
                break
            self._spend((then - now) * speed)
            now = then
            self._advance(now)
        return self._out

    def _spend(self, seconds: float) -> None:
        for server, one in self._work.items():
            one.left_s -= seconds
            if server < 0:
                self._out.servers_s += seconds
            else:
                self._out.workers_s += seconds

    def _advance(self, now: float) -> None:
        ended = [server for server, one in self._work.items() if one.left_s <= 1e-12]
        for server in ended:
            one = self._work.pop(server)
            if server < 0:
                self._confirmed(one, now)
            else:
                self._worked(one, now)
        while self._due and self._due[0][0] <= now:
            _, step, record = heapq.heappop(self._due)
            self._wait(step, record)
        self._begin(now)

    def _worked(self, one: _Work, now: float) -> None:
        if _PUBLISHES[one.step]:
            self._out.published += 1
            each, chunk = self.price.server_record_s, self.price.server_chunk_s
            self._confirming.append(
                _Work(each * len(one.records) + chunk, one.step, one.records, one.process)
            )
            return
        for record in one.records:
            heapq.heappush(self._due, (now + self.model_s, one.step + 1, record))

    def _confirmed(self, one: _Work, now: float) -> None:
        self._processes[one.process].at_work[_STAGE_OF[one.step]] -= len(one.records)
        for record in one.records:
            if one.step == _LAST:
                self._out.latencies_s.append(now - self.arrivals[record])
                self._out.ended_s = now
            else:
                self._wait(one.step + 1, record)

    def _wait(self, step: int, record: int) -> None:
        partition = self._partition[record]
        self._processes[partition % self.machine.processes].waiting[step, partition].append(record)

    def _begin(self, now: float) -> None:
        for number, process in enumerate(self._processes):
            if number not in self._work and (taken := process.take(self.machine)):
                step, records = taken
                self._out.read += _READS[step]
                if step == 0:
                    self._out.queued_s += sum(now - self.arrivals[record] for record in records)
                price = self.price.record_s[step] * len(records) + self.price.chunk_s * _READS[step]
                self._work[number] = _Work(price, step, records, number)
        if -1 not in self._work and self._confirming:
            self._work[-1] = self._confirming.popleft()
