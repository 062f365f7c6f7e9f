"""Which letters are meant: conditions as they are typed, and as they are tried."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import get_args

from agents.errors import SluicegateError, UnknownPart
from schemas import channels
from schemas.dead_letter import DeadLetterReason
from streams.dead_letters.letters import Place, Stored
from streams.topics import physical

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"(\d{1,5})([smhdw])")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters are meant: those that every given condition holds for; without any, all."""

    reasons: Collection[str] = ()
    tenant: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    topic: str | None = None
    """The source topic as the broker names it."""
    places: Collection[Place] = ()

    def __bool__(self) -> bool:
        return bool(self.reasons or self.tenant or self.since or self.until or self.topic or self.places)

    def __contains__(self, found: Stored) -> bool:
        letter = found.letter
        return (
            (not self.places or found.place in self.places)
            and (not self.reasons or (letter is not None and letter.reason in self.reasons))
            and (self.tenant is None or (letter is not None and letter.tenant == self.tenant))
            and (self.topic is None or (letter is not None and letter.topic == self.topic))
            and (self.since is None or found.time >= self.since)
            and (self.until is None or found.time < self.until)
        )

    def check_found(self, found: Collection[Place]) -> None:
        """Every place that was named must be among those found.

        Raises:
            SluicegateError: some are not.
        """
        if absent := sorted(place for place in self.places if place not in found):
            names = ", ".join(str(place) for place in absent)
            raise SluicegateError(f"no such dead letter: {names}; see: sluicegate dlq list")


def wanted(
    prefix: str,
    now: datetime,
    *,
    reasons: Iterable[str] = (),
    tenant: str | None = None,
    since: str | None = None,
    until: str | None = None,
    topic: str | None = None,
    places: Iterable[str] = (),
) -> Wanted:
    """The conditions as they were typed.

    Raises:
        SluicegateError: one of them is not what it should be.
    """
    known = get_args(DeadLetterReason)
    for reason in (reasons := tuple(reasons)):
        if reason not in known:
            raise UnknownPart("reason", reason, list(known))
    return Wanted(
        reasons=reasons,
        tenant=tenant,
        since=instant(since, now) if since else None,
        until=instant(until, now) if until else None,
        topic=_source(topic, prefix) if topic else None,
        places=frozenset(map(Place.of, places)),
    )


def instant(text: str, now: datetime) -> datetime:
    """`2026-01-02T03:04:05Z` (UTC where it names no zone), or `30m`, `2h`, `3d` before now.

    Raises:
        SluicegateError: it is neither.
    """
    if span := _SPAN.fullmatch(text):
        return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        expected = "expected 2026-01-02T03:04:05Z, or 30m, 2h, 3d for so long ago"
        raise SluicegateError(f"{text!r} is no time; {expected}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _source(text: str, prefix: str) -> str:
    """`requests`, `genai.requests` or the broker's name of it, as the broker's name."""
    for name in channels.BY_TOPIC:
        if text in (name, name.removeprefix("genai."), physical(name, prefix)):
            return physical(name, prefix)
    raise UnknownPart("topic", text, list(channels.BY_TOPIC))
