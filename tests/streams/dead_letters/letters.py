"""Dead letters to choose from and to send again."""

from datetime import UTC, datetime, timedelta
from typing import Any

from schemas import channels
from schemas.codec import encode
from schemas.common import Event
from schemas.dead_letter import DeadLetter, DeadLetterReason
from schemas.headers import ce_headers
from schemas.identity import key_of
from streams.dead_letters import (
    Headers,
    Place,
    Stored,
)

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
PREFIX = "eu."


def letter(
    value: bytes | None,
    topic: str = "eu.genai.requests",
    *,
    at: Place | None = None,
    reason: DeadLetterReason = "handler_error",
    tenant: str | None = None,
    age: timedelta = timedelta(0),
    own: Headers = (),
) -> Stored:
    """A dead letter as a worker writes it."""
    why = DeadLetter(
        topic=topic, partition=1, offset=5, stage="any", reason=reason, message="it failed", tenant=tenant
    )
    return Stored(
        place=at or Place(0, 0),
        timestamp_ms=int((NOW - age).timestamp() * 1_000),
        key=b"key",
        value=value,
        headers=[*own, *why.headers()],
        letter=why,
    )


def letter_of(event: Event, **rest: Any) -> Stored:
    channel = channels.BY_EVENT[type(event)]
    headers = ce_headers(event, getattr(event, "id", None) or key_of(event), "/test", NOW)
    return letter(encode(event), f"{PREFIX}{channel.topic}", own=headers, **rest)


LETTERS = [
    letter(b"a", at=Place(0, 1), reason="invalid", tenant="shop", age=timedelta(hours=3)),
    letter(b"b", "eu.genai.drafts", at=Place(0, 2), reason="invalid", tenant="bank", age=timedelta(hours=2)),
    letter(b"c", at=Place(1, 1), reason="not_json", age=timedelta(hours=1)),
    Stored(Place(1, 2), int(NOW.timestamp() * 1_000), None, b"d", [("from", b"elsewhere")], None),
]
