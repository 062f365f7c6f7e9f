"""Record headers: the CloudEvents 1.0 Kafka binding in binary mode, and W3C `traceparent`."""

import re
from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from schemas.channels import BY_EVENT
from schemas.common import Event

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


_encoder = msgspec.json.Encoder()
_SPEC_VERSION = ("ce_specversion", b"1.0")
_CONTENT_TYPE = ("content-type", b"application/json")
_TYPES = {event: ("ce_type", channel.ce_type.encode()) for event, channel in BY_EVENT.items()}


class EventHeaders(Struct, frozen=True, gc=False):
    """What we read of a record's headers; None for what is absent or unreadable."""

    id: str | None = None
    type: str | None = None
    traceparent: str | None = None


def ce_headers(
    event: Event, event_id: str, source: str, time: datetime, traceparent: str | None = None
) -> list[tuple[str, bytes]]:
    """The headers of an event that we write.

    Raises:
        ValueError: `time` has no zone, which RFC 3339 asks for.
    """
    if time.tzinfo is None:
        raise ValueError("ce_time needs a zone")
    written = [
        _SPEC_VERSION,
        ("ce_id", event_id.encode()),
        _TYPES[type(event)],
        ("ce_source", source.encode()),
        ("ce_time", _encoder.encode(time)[1:-1]),  # as RFC 3339, without JSON's quotes
        _CONTENT_TYPE,
    ]
    if traceparent:
        written.append(("traceparent", traceparent.encode()))
    return written


def read_headers(headers: Sequence[tuple[str, bytes]]) -> EventHeaders:
    """What others wrote: anything may be missing or garbage, and nothing is raised for it."""
    event_id = kind = traceparent = None
    for name, value in headers or ():
        if name == "ce_id":
            event_id = _text(value)
        elif name == "ce_type":
            kind = _text(value)
        elif name == "traceparent":
            traceparent = _text(value)
    return EventHeaders(
        id=event_id or None,
        type=kind or None,
        traceparent=traceparent if traceparent and _TRACEPARENT.fullmatch(traceparent) else None,
    )


def _text(value: bytes | None) -> str | None:
    try:
        return value.decode("utf-8") if value is not None else None
    except UnicodeDecodeError:
        return None
