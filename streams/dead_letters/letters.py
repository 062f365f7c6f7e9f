"""What stands in `genai.dead-letters`, and where."""

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from agents.errors import SluicegateError
from schemas.dead_letter import DeadLetter

Headers = Sequence[tuple[str, bytes | None]]

_HEAD_BYTES = 40
_PLACE = re.compile(r"(\d{1,9}):(\d{1,18})")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a letter is in `genai.dead-letters`."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"

    @classmethod
    def of(cls, text: str) -> Self:
        """`3:17` as `dlq list` shows it.

        Raises:
            SluicegateError: it is no place.
        """
        match = _PLACE.fullmatch(text)
        if match is None:
            raise SluicegateError(f"{text!r} is no place; expected PARTITION:OFFSET, as `dlq list` shows it")
        return cls(int(match[1]), int(match[2]))


@dataclass(frozen=True, slots=True)
class Stored:
    """One record of `genai.dead-letters`; `letter` is None where somebody else wrote it."""

    place: Place
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    letter: DeadLetter | None

    @property
    def time(self) -> datetime:
        """When it was set aside."""
        return datetime.fromtimestamp(max(self.timestamp_ms, 0) / 1_000, UTC)


def stored(record: Any) -> Stored:
    """A record as kafka-python shapes it."""
    headers = [(name, value) for name, value in record.headers]
    return Stored(
        place=Place(record.partition, record.offset),
        timestamp_ms=record.timestamp,
        key=record.key,
        value=record.value,
        headers=headers,
        letter=_letter(headers),
    )


def head(found: Stored) -> Stored:
    """The letter with the first bytes of its value only, for lists: there may be many, and large ones."""
    return dataclasses.replace(found, value=found.value and found.value[:_HEAD_BYTES])


def _letter(headers: Headers) -> DeadLetter | None:
    try:
        return DeadLetter.from_headers(list(headers))
    except (KeyError, ValueError):
        return None
