"""Who is scored next: a bounded queue of one scorer, by deadline and by length."""

import asyncio
import heapq
import time
from collections.abc import Callable, Sequence
from itertools import count

from agents.ports import ScoreInput
from schemas.score import Score

BOUNDS = (512, 2048, 8192)
"""Texts up to so many characters share a batch; longer ones make up the last kind."""

BATCH_CHARS = 16_384
"""A batch takes no further text once it holds so many characters, so that its time stays bounded."""


class Call:
    """One input at one scorer. `outcome` is a score, or why there is none, and came at `settled`.

    Times are the engine's clock, in s.
    """

    __slots__ = ("_clock", "abandoned", "arrived", "due", "item", "outcome", "settled", "waits")

    def __init__(
        self, item: ScoreInput, arrived: float, due: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.item = item
        self.arrived, self.due, self.settled = arrived, due, due
        self._clock = clock
        self.outcome: asyncio.Future[Score | str] = asyncio.get_running_loop().create_future()
        self.waits = False
        self.abandoned = False

    @property
    def size(self) -> int:
        """Characters to judge."""
        return len(self.item.text)

    def settle(self, outcome: Score | str) -> None:
        """Answer, unless there is an answer."""
        if not self.outcome.done():
            self.settled = self._clock()
            self.outcome.set_result(outcome)

    def is_urgent(self, now: float) -> bool:
        """Whether half of its time is over."""
        return now - self.arrived >= self.due - now


class _Kind:
    """The calls whose texts are about equally long, the one that is due first in front."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Call]] = []
        self._numbers = count()
        self._left = 0  # calls in the heap that wait no more
        self._least_s: float | None = None

    def add(self, call: Call) -> None:
        heapq.heappush(self._heap, (call.due, next(self._numbers), call))

    def head(self) -> Call | None:
        while self._heap:
            call = self._heap[0][2]
            if call.waits:
                return call
            heapq.heappop(self._heap)
            self._left -= 1
        return None

    def pop(self) -> None:
        heapq.heappop(self._heap)

    def forget(self) -> None:
        """One call left from the middle; once most have, they are swept out."""
        self._left += 1
        if self._left > 32 and 2 * self._left > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].waits]
            heapq.heapify(self._heap)
            self._left = 0

    def took(self, seconds: float) -> None:
        self._least_s = seconds if self._least_s is None else min(seconds, self._least_s)

    def comes_too_late(self, call: Call, now: float) -> bool:
        """Whether not even the fastest batch so far would be done in time.

        A call that still has half of its time is tried all the same: it may be the measure that is wrong.
        """
        return now >= call.due or (call.is_urgent(now) and now + (self._least_s or 0.0) > call.due)


class Waiting:
    """At most `room` calls, handed out in batches of texts of similar length.

    Short texts go first, so that a few long ones hold nobody up. A call that has waited for half of its time goes
    before all that have not, and among those the one that is due first.

    Args:
        room: calls that may wait.
        max_batch: calls in a batch.
        bounds: up to how many characters texts are of one kind; none: length does not matter.
        batch_chars: a batch takes no further text once it holds so many characters.
    """

    def __init__(
        self,
        room: int,
        max_batch: int,
        bounds: Sequence[int] = BOUNDS,
        batch_chars: int = BATCH_CHARS,
    ) -> None:
        self._room, self._max_batch = room, max_batch
        self._bounds, self._batch_chars = bounds, batch_chars
        self._kinds = [_Kind() for _ in range(len(bounds) + 1)]
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def add(self, call: Call) -> bool:
        """Let it wait; False when there is no room."""
        if self._length >= self._room:
            return False
        call.waits = True
        self._length += 1
        self._kind(call).add(call)
        return True

    def leave(self, call: Call) -> None:
        """Free its place, if it still has one."""
        if call.waits:
            call.waits = False
            self._length -= 1
            self._kind(call).forget()

    def take(self, now: float) -> list[Call]:
        """The next batch. Calls that would be scored too late are settled as `timeout` and not in it."""
        batch: list[Call] = []
        kind, room = self._next(now), self._batch_chars
        while kind and len(batch) < self._max_batch and (call := kind.head()):
            if batch and call.size > room:
                break
            kind.pop()
            call.waits = False
            self._length -= 1
            if kind.comes_too_late(call, now):
                call.settle("timeout")
            else:
                batch.append(call)
                room -= call.size
        return batch

    def took(self, batch: Sequence[Call], seconds: float) -> None:
        """Hear how long a batch took, to know what can still be done in time."""
        self._kind(batch[0]).took(seconds)

    def clear(self) -> list[Call]:
        """All that wait; they do no longer."""
        left = []
        while kind := self._next(0.0):
            while call := kind.head():
                self.leave(call)
                left.append(call)
        return left

    def _kind(self, call: Call) -> _Kind:
        return self._kinds[sum(call.size > bound for bound in self._bounds)]

    def _next(self, now: float) -> _Kind | None:
        heads = [(head, kind) for kind in self._kinds if (head := kind.head())]
        urgent = [(head.due, number) for number, (head, _) in enumerate(heads) if head.is_urgent(now)]
        chosen = min(urgent)[1] if urgent else 0
        return heads[chosen][1] if heads else None
