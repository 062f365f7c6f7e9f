"""What may be committed, and when to stop: the two pure parts of the delivery rule."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

LAST = 200
"""How many records a share is taken of."""


@dataclass(slots=True)
class Entry:
    """A record in the ledger."""

    offset: int
    done: bool = False


class Ledger:
    """Acks of one partition under one assignment, in offset order: the finished prefix, never past a gap.

    `ack` is given the offset of the last record of the finished prefix, each time that it grows.
    """

    def __init__(self, ack: Callable[[int], None]) -> None:
        self._ack = ack
        self._entries: deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def open(self, offset: int) -> Entry:
        """Enter a record; records are entered in offset order."""
        entry = Entry(offset)
        self._entries.append(entry)
        return entry

    def finish(self, entry: Entry) -> None:
        """Mark a record as finished, and ack what thereby became the finished prefix."""
        entry.done = True
        last: Entry | None = None
        while self._entries and self._entries[0].done:
            last = self._entries.popleft()
        if last is not None:
            self._ack(last.offset)


@dataclass(slots=True)
class StopLimit:
    """Notices a topic that is bad as a whole, before all of it is in the dead letters.

    Stops at `run` bad records in a row, or when more than `share` of the last 200 are bad; 0 turns either off.
    """

    run: int
    share: float
    _in_a_row: int = 0
    _last: deque[bool] = field(default_factory=lambda: deque(maxlen=LAST))

    def note(self, *, bad: bool) -> str | None:
        """Count a record; returns why to stop, if so."""
        self._last.append(bad)
        self._in_a_row = self._in_a_row + 1 if bad else 0
        if self.run and self._in_a_row >= self.run:
            return f"{self._in_a_row} records in a row could not be processed"
        share = sum(self._last) / LAST
        if self.share and len(self._last) == LAST and share > self.share:
            return f"{share:.0%} of the last {LAST} records could not be processed"
        return None
