"""Bytes to events and back: tolerant of unknown fields when reading, strict about everything we write."""

import json
import re
from functools import cache
from typing import TypeVar

import msgspec

from schemas.common import SCHEMA_VERSION, Event
from schemas.dead_letter import DeadLetterReason

E = TypeVar("E", bound=Event)

_encoder = msgspec.json.Encoder(decimal_format="string")
_PATH = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>.+)`)?$", re.DOTALL)
_MISSING = re.compile(r"missing required field `(?P<field>[^`]+)`")
_EXPECTED = re.compile(r"^Expected (?P<expected>.+?)(?:, got .*)?$", re.DOTALL)


class DecodeError(ValueError):
    """A record cannot be read as the event its topic carries: the sender must mend it, no retry can help."""

    def __init__(
        self, reason: DeadLetterReason, message: str, field: str | None = None, expected: str | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.field = field
        self.expected = expected


@cache
def _decoder(kind: type[E]) -> "msgspec.json.Decoder[E]":
    return msgspec.json.Decoder(kind)


def decode(kind: type[E], value: bytes | None, max_bytes: int | None = None) -> E:
    """Read one record's value.

    Raises:
        DecodeError: with a typed reason, the JSON path of the field and what was expected.
    """
    if value is None:
        raise DecodeError("null_value", "the record has no value", "$", "a JSON object")
    if max_bytes is not None and len(value) > max_bytes:
        raise DecodeError("too_large", f"{len(value)} bytes", "$", f"at most {max_bytes} bytes")
    try:
        event: E = _decoder(kind).decode(value)
        return event  # noqa: TRY300  # an else branch would only hide the happy path
    except msgspec.ValidationError as error:
        raise _explained(str(error), value) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(value, error) from None


def _unreadable(value: bytes, error: Exception) -> DecodeError:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError as bad:
        return DecodeError("not_utf8", f"byte {bad.start} is not UTF-8", "$", "UTF-8 text")
    return DecodeError("not_json", str(error), "$", "a JSON object")


def _explained(text: str, value: bytes) -> DecodeError:
    match = _PATH.match(text)
    what, path = (match["what"], match["path"] or "$") if match else (text, "$")
    if path == "$.version" and _is_newer(value):
        return DecodeError("unsupported_version", what, path, f"a version up to {SCHEMA_VERSION}")
    if missing := _MISSING.search(what):
        return DecodeError("invalid", what, f"{path}.{missing['field']}", "a value")
    expected = _EXPECTED.match(what)
    return DecodeError("invalid", what, path, expected["expected"] if expected else None)


def _is_newer(value: bytes) -> bool:
    version = json.loads(value).get("version")
    return isinstance(version, int) and version > SCHEMA_VERSION


def encode(event: Event) -> bytes:
    """Write an event, after proving that it can be read back as what it claims to be.

    Raises:
        ValueError: a field holds what its type does not allow: our mistake, found before it is published.
    """
    value = _encoder.encode(event)
    try:
        _decoder(type(event)).decode(value)
    except msgspec.ValidationError as error:
        raise ValueError(f"{type(event).__name__} would not be readable: {error}") from None
    return value
