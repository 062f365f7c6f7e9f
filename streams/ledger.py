"""What may be committed, and when to stop: the two pure parts of the delivery rule."""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field

from streams.progress import Progress

LAST = 200
"""How many records a share is taken of."""


@dataclass(slots=True)
class Entry:
    """A record in the ledger."""

    offset: int
    done: bool = False


class Ledger:
    """The records of one partition under one assignment, in offset order: what may be committed of them.

    `finished` are those that an earlier owner of the partition finished beyond its committed offset.
    """

    def __init__(self, first: int, finished: Collection[int] = ()) -> None:
        self.end = first
        """The offset after the last record that was entered: only what follows on it may be entered next."""
        self._first = self._next = first
        self._entered_before = first
        self._finished = finished
        self._entries: deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def read_again(self, offset: int) -> bool:
        """The partition is read from there again: what was entered stays; False when that is before all of it."""
        if offset < self._first:
            return False
        self._entered_before = max(self._entered_before, self.end)
        self.end = offset
        return True

    def open(self, offset: int) -> Entry | None:
        """Enter a record, in offset order; None when it needs no work, or is at work since it was read before."""
        self.end = offset + 1
        if offset < self._entered_before:
            return None
        entry = Entry(offset)
        self._entries.append(entry)
        if offset not in self._finished:
            return entry
        self.finish(entry)
        return None

    def finish(self, entry: Entry) -> None:
        """Mark a record as finished."""
        entry.done = True
        while self._entries and self._entries[0].done:
            self._next = self._entries.popleft().offset + 1

    def progress(self) -> Progress:
        """The end of the finished prefix, never past a gap, and what is finished beyond it."""
        first = self._entries[0].offset if self._entries else self._next
        return Progress(first, [entry.offset for entry in self._entries if entry.done])


@dataclass(slots=True)
class StopLimit:
    """Notices a topic that is bad as a whole, before all of it is in the dead letters.

    Stops at `run` bad records in a row, or when more than `share` of the last 200 are bad; 0 turns either off.
    """

    run: int
    share: float
    _in_a_row: int = 0
    _bad: int = 0
    _last: deque[bool] = field(default_factory=lambda: deque(maxlen=LAST))

    def note(self, *, bad: bool) -> str | None:
        """Count a record; returns why to stop, if so."""
        if len(self._last) == LAST:
            self._bad -= self._last[0]
        self._last.append(bad)
        self._bad += bad
        self._in_a_row = self._in_a_row + 1 if bad else 0
        if self.run and self._in_a_row >= self.run:
            return f"{self._in_a_row} records in a row could not be processed"
        share = self._bad / LAST
        if self.share and len(self._last) == LAST and share > self.share:
            return f"{share:.0%} of the last {LAST} records could not be processed"
        return None
