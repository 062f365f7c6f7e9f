"""Runs several scorers side by side, in micro-batches, off the event loop; a failure is a score.

Each scorer has a lane of its own: a bounded queue, and threads that no other scorer uses, so a scorer that
hangs delays nothing but itself.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Protocol

import msgspec

from agents.errors import ConfigurationError, UnknownPart
from agents.ports import ScoreInput, Scorer
from agents.scorers.threads import DaemonThreads
from schemas.score import Score, ScoreStatus

STOP_GRACE_S = 1.0
"""How long `aclose` waits for batches that are running."""

log = logging.getLogger(__name__)


class ScoreObserver(Protocol):
    """Hears of every score that was given, for metrics."""

    def on_score(self, name: str, status: ScoreStatus, seconds: float) -> None:
        """A score of the scorer `name` took `seconds`, queueing included. Called on the event loop."""
        ...


class _Call:
    """One input in one lane; `outcome` is a score, or why there is none."""

    __slots__ = ("abandoned", "item", "outcome")

    def __init__(self, item: ScoreInput) -> None:
        self.item = item
        self.outcome: asyncio.Future[Score | str] = asyncio.get_running_loop().create_future()
        self.abandoned = False

    def settle(self, outcome: Score | str) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)


class _Lane:
    """One scorer's queue, with `threads` batches at work at a time."""

    def __init__(self, scorer: Scorer, max_batch: int, linger_s: float, threads: int, max_queue: int) -> None:
        self.name, self.version = scorer.name, scorer.version
        self._scorer = scorer
        self._max_batch, self._linger_s = max_batch, linger_s
        self._threads, self._max_queue = threads, max_queue
        self._waiting: dict[_Call, None] = {}  # a queue from which any call can leave
        self._arrived = asyncio.Event()
        self._pool: DaemonThreads | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        if self._pool is None:
            self._pool = DaemonThreads(f"scorer-{self.name}", self._threads)
            self._pool.start()
            self._tasks = [asyncio.create_task(self._serve(self._pool)) for _ in range(self._threads)]

    async def aclose(self) -> None:
        pool, self._pool = self._pool, None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for call in self._waiting:
            call.settle("stopped")
        self._waiting.clear()
        if pool is not None and not await asyncio.to_thread(pool.stop, STOP_GRACE_S):
            log.warning("scorer %s is still at work; its thread is left behind", self.name)

    def submit(self, item: ScoreInput) -> _Call:
        call = _Call(item)
        if self._pool is None:
            call.settle("stopped")
        elif len(self._waiting) >= self._max_queue:
            call.settle("overloaded")
        else:
            self._waiting[call] = None
            self._arrived.set()
        return call

    def withdraw(self, call: _Call) -> None:
        """Nobody waits for this call any more: free its place in the queue."""
        call.abandoned = True
        self._waiting.pop(call, None)

    async def _serve(self, pool: DaemonThreads) -> None:
        while True:
            batch = await self._next_batch()
            try:
                outcomes = await pool.run(partial(_score, self._scorer, batch))
            except asyncio.CancelledError:
                for call in batch:
                    call.settle("stopped")
                raise
            for call, outcome in zip(batch, outcomes, strict=True):
                call.settle(outcome)

    async def _next_batch(self) -> list[_Call]:
        """At least one call; a few more are waited for, because a batch costs less than its parts."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
            if len(self._waiting) < self._max_batch:
                await asyncio.sleep(self._linger_s)
        batch = list(islice(self._waiting, self._max_batch))
        for call in batch:
            del self._waiting[call]
        return batch


def _score(scorer: Scorer, calls: Sequence[_Call]) -> list[Score | str]:
    """Score a batch; where that fails, one by one, so that a poisoned input fails alone."""
    try:
        return [*_checked(scorer, calls)]
    except BaseException as error:  # a scorer may raise anything, even SystemExit
        reason = f"error: {_describe(error)}"
        log.debug("scorer %s failed on a batch of %d", scorer.name, len(calls), exc_info=True)
        if len(calls) == 1:
            log.warning("scorer %s failed: %s", scorer.name, reason)
            return [reason]
    return ["timeout" if call.abandoned else _score(scorer, [call])[0] for call in calls]


class _Unusable(Exception):
    """A scorer answered something that is not a score for each input."""


def _checked(scorer: Scorer, calls: Sequence[_Call]) -> list[Score]:
    scores = scorer.score([call.item for call in calls])
    if len(scores) != len(calls):
        raise _Unusable(f"{len(scores)} scores for {len(calls)} inputs")
    return [_readable(score) for score in scores]


def _readable(score: object) -> Score:
    """The score as a consumer would read it, so that what cannot be published fails here."""
    if not isinstance(score, Score):
        raise _Unusable(f"no valid score but {type(score).__name__}")
    try:
        read = msgspec.json.decode(msgspec.json.encode(score), type=Score)
    except (msgspec.ValidationError, TypeError) as error:
        raise _Unusable(f"no valid score: {error}") from None
    if (read.status == "ok") is (read.value is None):
        raise _Unusable("no valid score: a value belongs to status ok, and only there")
    return read


def _describe(error: BaseException) -> str:
    """The kind of error alone: the message of a foreign one may quote the text that was judged."""
    return str(error) if isinstance(error, _Unusable) else type(error).__name__


class ScoringEngine:
    """The one implementation of `Judge`.

    Args:
        scorers: each under a name of its own.
        timeout_s: how long a call may take, queueing included.
        max_batch: inputs a scorer is given at once.
        linger_s: how long an idle scorer waits for more inputs.
        threads: batches of *one* scorer at work at a time; no scorer uses another's threads.
        max_queue: inputs that may wait for one scorer; beyond it calls fail at once as `overloaded`.
        observer: hears of every score.
        clock: seconds, monotonic; measures `latency_ms`.

    Raises:
        ConfigurationError: two scorers have the same name, or a number is not positive.
    """

    def __init__(
        self,
        scorers: Sequence[Scorer],
        *,
        timeout_s: float,
        max_batch: int = 32,
        linger_s: float = 0.002,
        threads: int = 2,
        max_queue: int = 1000,
        observer: ScoreObserver | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if min(timeout_s, max_batch, threads, max_queue) <= 0 or linger_s < 0:
            raise ConfigurationError("the scoring engine's limits must be positive")
        self._lanes: dict[str, _Lane] = {}
        for scorer in scorers:
            if scorer.name in self._lanes:
                raise ConfigurationError(f"two scorers are named {scorer.name!r}")
            self._lanes[scorer.name] = _Lane(scorer, max_batch, linger_s, threads, max_queue)
        self._timeout_s = timeout_s
        self._observer = observer
        self._clock = clock

    @property
    def versions(self) -> dict[str, str]:
        """Scorer name to `name@hash`, for the lineage."""
        return {name: lane.version for name, lane in self._lanes.items()}

    async def start(self) -> None:
        """Start the lanes in the running event loop. Before, and after `aclose`, calls fail as `stopped`."""
        for lane in self._lanes.values():
            lane.start()

    async def aclose(self) -> None:
        """Fail what still waits as `stopped` and end the threads; one that hangs is left behind."""
        await asyncio.gather(*(lane.aclose() for lane in self._lanes.values()))

    async def judge(self, item: ScoreInput, names: Sequence[str] | None = None) -> tuple[Score, ...]:
        """A score of each named scorer, in that order (all by default), after `timeout_s` at the latest.

        A scorer that fails, is late or is overloaded gives a score with status `failed` and a reason.

        Raises:
            UnknownPart: there is no scorer of that name: the caller's mistake, not the scorer's.
        """
        lanes = [self._lane(name) for name in (self._lanes if names is None else names)]
        if not lanes:
            return ()
        started = self._clock()
        calls = [lane.submit(item) for lane in lanes]
        arrivals: list[float | None] = [None] * len(calls)
        for number, call in enumerate(calls):
            call.outcome.add_done_callback(partial(self._note, arrivals, number))
        try:
            await asyncio.wait([call.outcome for call in calls], timeout=self._timeout_s)
        finally:
            for lane, call in zip(lanes, calls, strict=True):
                lane.withdraw(call)
        now = self._clock()
        return tuple(
            self._finish(lane, call, (now if at is None else at) - started)
            for lane, call, at in zip(lanes, calls, arrivals, strict=True)
        )

    def _lane(self, name: str) -> _Lane:
        try:
            return self._lanes[name]
        except KeyError:
            raise UnknownPart("scorer", name, list(self._lanes)) from None

    def _note(self, arrivals: list[float | None], number: int, _: object) -> None:
        arrivals[number] = self._clock()

    def _finish(self, lane: _Lane, call: _Call, seconds: float) -> Score:
        outcome = call.outcome.result() if call.outcome.done() else "timeout"
        if isinstance(outcome, str):
            outcome = Score(name=lane.name, version=lane.version, status="failed", reason=outcome)
        score = msgspec.structs.replace(
            outcome, name=lane.name, version=lane.version, latency_ms=max(0.0, seconds * 1000)
        )
        if self._observer is not None:
            self._observe(self._observer, score, seconds)
        return score

    @staticmethod
    def _observe(observer: ScoreObserver, score: Score, seconds: float) -> None:
        try:
            observer.on_score(score.name, score.status, seconds)
        except Exception:
            log.exception("the observer of scores failed")
