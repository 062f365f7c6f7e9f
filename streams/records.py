"""What a consumed record is to us, and how it is named."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct


class RawRecord(Protocol):
    """A consumed record, as aiokafka shapes it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class Origin(Struct, frozen=True, gc=False):
    """Where an event came from; `position` names its record for good."""

    topic: str
    partition: int
    offset: int
    event_id: str | None
    traceparent: str | None

    @property
    def position(self) -> str:
        """`topic-partition-offset`."""
        return f"{self.topic}-{self.partition}-{self.offset}"
