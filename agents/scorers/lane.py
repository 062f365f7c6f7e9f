"""One scorer's lane: a bounded queue and threads that no other scorer uses, so that one that hangs is alone."""

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from agents.errors import ConfigurationError
from agents.ports import ScoreInput, Scorer
from agents.scorers.threads import DaemonThreads
from agents.scorers.waiting import BATCH_CHARS, BOUNDS, Call, Waiting
from schemas.score import Score

STOP_GRACE_S = 1.0
"""How long `aclose` waits for batches that are running."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """Of each lane.

    Attributes:
        max_batch: inputs a scorer is given at once.
        linger_s: how long an idle scorer waits for more inputs, where they come that close to one another.
        threads: batches of *one* scorer at work at a time.
        max_queue: inputs that may wait for one scorer; beyond it calls fail at once as `overloaded`.
        bounds: texts up to so many characters share a batch; none: length does not matter.
        batch_chars: a batch takes no further text once it holds so many characters.

    Raises:
        ConfigurationError: a number is not positive.
    """

    max_batch: int = 32
    linger_s: float = 0.002
    threads: int = 2
    max_queue: int = 1000
    bounds: tuple[int, ...] = BOUNDS
    batch_chars: int = BATCH_CHARS

    def __post_init__(self) -> None:
        if min(self.max_batch, self.threads, self.max_queue, self.batch_chars) <= 0 or self.linger_s < 0:
            raise ConfigurationError("the scoring engine's limits must be positive")


class Lane:
    """One scorer's queue, with `limits.threads` batches at work at a time."""

    def __init__(self, scorer: Scorer, limits: Limits, clock: Callable[[], float]) -> None:
        self.name, self.version = scorer.name, scorer.version
        self.languages: frozenset[str] | None = getattr(scorer, "languages", None)  # see KnowsLanguages
        self._scorer, self._limits, self._clock = scorer, limits, clock
        self._waiting = Waiting(limits.max_queue, limits.max_batch, limits.bounds, limits.batch_chars)
        self._arrived = asyncio.Event()
        self._last, self._gap_s = -math.inf, math.inf
        self._pool: DaemonThreads | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start in the running event loop; again does nothing."""
        if self._pool is None:
            threads = self._limits.threads
            self._pool = DaemonThreads(f"scorer-{self.name}", threads)
            self._pool.start()
            self._tasks = [asyncio.create_task(self._serve(self._pool)) for _ in range(threads)]

    async def aclose(self) -> None:
        """Fail what waits as `stopped` and end the threads; one that hangs is left behind."""
        pool, self._pool = self._pool, None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for call in self._waiting.clear():
            call.settle("stopped")
        if pool is not None and not await asyncio.to_thread(pool.stop, STOP_GRACE_S):
            log.warning("scorer %s is still at work; its thread is left behind", self.name)

    def covers(self, language: str | None) -> bool:
        """Whether its scorer can judge a text of this language; one that nobody could tell is tried."""
        return self.languages is None or language is None or language in self.languages

    def submit(self, item: ScoreInput, due: float) -> Call:
        """Queue an input that must be scored by `due`; where that cannot be, the call is settled already."""
        now = self._clock()
        call = Call(item, now, due, self._clock)
        self._last, self._gap_s = now, now - self._last
        if self._pool is None:
            call.settle("stopped")
        elif now >= due:
            call.settle("timeout")
        elif not self._waiting.add(call):
            call.settle("overloaded")
        else:
            self._arrived.set()
        return call

    def withdraw(self, call: Call) -> None:
        """Nobody waits for this call any more: free its place in the queue."""
        call.abandoned = True
        self._waiting.leave(call)

    async def _serve(self, pool: DaemonThreads) -> None:
        while True:
            if not (batch := await self._next_batch()):
                continue
            started = self._clock()
            try:
                outcomes = await pool.run(partial(_score, self._scorer, batch))
            except asyncio.CancelledError:
                for call in batch:
                    call.settle("stopped")
                raise
            self._waiting.took(batch, self._clock() - started)
            for call, outcome in zip(batch, outcomes, strict=True):
                call.settle(outcome)

    async def _next_batch(self) -> list[Call]:
        """A few calls more than the first are waited for: a batch costs less than its parts. Empty: all too late.

        A call that came long after the one before it is not kept waiting: nor will another come that soon.
        """
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
            if self._gap_s < self._limits.linger_s and len(self._waiting) < self._limits.max_batch:
                await asyncio.sleep(self._limits.linger_s)
        return self._waiting.take(self._clock())


def _score(scorer: Scorer, calls: Sequence[Call]) -> list[Score | str]:
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


def _checked(scorer: Scorer, calls: Sequence[Call]) -> list[Score]:
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
