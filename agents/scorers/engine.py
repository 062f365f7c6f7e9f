"""Runs several scorers side by side, in micro-batches, off the event loop; a failure is a score."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from msgspec.structs import replace

from agents.errors import ConfigurationError, UnknownPart
from agents.ports import ScoreInput, Scorer
from agents.scorers import language
from agents.scorers.lane import STOP_GRACE_S, Lane, Limits
from agents.scorers.threads import DaemonThreads
from agents.scorers.waiting import Call
from schemas.score import Score, ScoreStatus

log = logging.getLogger(__name__)

Detect = Callable[[str], str | None]
"""The language of a text as ISO 639-1, None where it cannot be told. Runs off the event loop."""


class ScoreObserver(Protocol):
    """Hears of every score that was given, for metrics."""

    def on_score(self, name: str, status: ScoreStatus, seconds: float) -> None:
        """A score of the scorer `name` took `seconds`, queueing included. Called on the event loop."""
        ...


class ScoringEngine:
    """The one implementation of `Judge`.

    Args:
        scorers: each under a name of its own.
        timeout_s: how long a call may take, queueing included.
        limits: of each scorer's lane.
        observer: hears of every score.
        detect: tells the language, once a text, when one of its scorers does not take every language.
        clock: seconds, monotonic.

    Raises:
        ConfigurationError: two scorers have the same name, or `timeout_s` is not positive.
    """

    def __init__(
        self,
        scorers: Sequence[Scorer],
        *,
        timeout_s: float,
        limits: Limits | None = None,
        observer: ScoreObserver | None = None,
        detect: Detect = language.detect,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if timeout_s <= 0:
            raise ConfigurationError("the scoring engine's limits must be positive")
        self._lanes: dict[str, Lane] = {}
        for scorer in scorers:
            if scorer.name in self._lanes:
                raise ConfigurationError(f"two scorers are named {scorer.name!r}")
            self._lanes[scorer.name] = Lane(scorer, limits or Limits(), clock)
        self.versions = {name: lane.version for name, lane in self._lanes.items()}
        """Scorer name to `name@hash`, for the lineage."""
        self._timeout_s = timeout_s
        self._observer = observer
        self._detect = detect
        self._detecting: DaemonThreads | None = None
        self._clock = clock

    async def start(self) -> None:
        """Start the lanes in the running event loop. Before, and after `aclose`, calls fail as `stopped`."""
        if self._detecting is None:
            self._detecting = DaemonThreads("scorer-language", 1)
            self._detecting.start()
        for lane in self._lanes.values():
            lane.start()

    async def aclose(self) -> None:
        """Fail what still waits as `stopped` and end the threads; one that hangs is left behind."""
        detecting, self._detecting = self._detecting, None
        await asyncio.gather(*(lane.aclose() for lane in self._lanes.values()))
        if detecting is not None:
            await asyncio.to_thread(detecting.stop, STOP_GRACE_S)

    async def judge(
        self, item: ScoreInput, names: Sequence[str] | None = None, timeout_s: float | None = None
    ) -> tuple[Score, ...]:
        """A score of each named scorer, in that order (all by default), at the latest when its time is over.

        A scorer that fails, is late or is overloaded gives a score with status `failed` and a reason; one that does
        not know the text's language is not asked and gives `unsupported`.

        Args:
            item: what is judged.
            names: the scorers.
            timeout_s: shortens the engine's own limit.

        Raises:
            UnknownPart: there is no scorer of that name: the caller's mistake, not the scorer's.
        """
        lanes = [self._lane(name) for name in (self._lanes if names is None else names)]
        if not lanes:
            return ()
        started = self._clock()
        due = started + (self._timeout_s if timeout_s is None else min(timeout_s, self._timeout_s))
        spoken = await self._language(item.text, lanes, due)
        calls = [lane.submit(item, due) if lane.covers(spoken) else None for lane in lanes]
        await self._settled([(lane, call) for lane, call in zip(lanes, calls, strict=True) if call], due)
        return tuple(
            self._finish(lane, _of(lane, call, spoken), (call.settled if call else self._clock()) - started)
            for lane, call in zip(lanes, calls, strict=True)
        )

    async def _settled(self, asked: Sequence[tuple[Lane, Call]], due: float) -> None:
        """Until all calls are settled; at `due` those that are not have timed out."""
        loop = asyncio.get_running_loop()
        late = loop.call_later(max(0.0, due - self._clock()), _give_up, [call for _, call in asked])
        try:
            for _, call in asked:
                await call.outcome
        finally:
            late.cancel()
            for lane, call in asked:
                lane.withdraw(call)

    def _lane(self, name: str) -> Lane:
        try:
            return self._lanes[name]
        except KeyError:
            raise UnknownPart("scorer", name, list(self._lanes)) from None

    async def _language(self, text: str, lanes: Sequence[Lane], due: float) -> str | None:
        """Where it cannot be told in time, or at all, the scorers are asked as if it were theirs."""
        if self._detecting is None or all(lane.languages is None for lane in lanes):
            return None
        try:
            async with asyncio.timeout(due - self._clock()):
                return await self._detecting.run(partial(self._detect, text))
        except Exception as error:
            if not isinstance(error, TimeoutError):
                log.warning("the language could not be detected: %s", type(error).__name__)
            return None

    def _finish(self, lane: Lane, score: Score, seconds: float) -> Score:
        score = replace(score, name=lane.name, version=lane.version, latency_ms=max(0.0, seconds * 1000))
        if self._observer is not None:
            try:
                self._observer.on_score(score.name, score.status, seconds)
            except Exception:
                log.exception("the observer of scores failed")
        return score


def _give_up(calls: Sequence[Call]) -> None:
    for call in calls:
        call.settle("timeout")


def _of(lane: Lane, call: Call | None, spoken: str | None) -> Score:
    """What a settled call gave; without one the scorer does not know the language."""
    if call is None:
        return _without_value(lane, "unsupported", f"language: {spoken}")
    outcome = call.outcome.result()
    return _without_value(lane, "failed", outcome) if isinstance(outcome, str) else outcome


def _without_value(lane: Lane, status: ScoreStatus, reason: str) -> Score:
    return Score(name=lane.name, version=lane.version, status=status, reason=reason)
