"""Bytes to events and back: tolerant of unknown fields when reading, strict about everything we write."""

import re
from collections import OrderedDict
from functools import cache
from typing import Any, TypeVar

import msgspec

from schemas.common import SCHEMA_VERSION, Event
from schemas.dead_letter import DeadLetterReason

E = TypeVar("E", bound=Event)

MAX_DEPTH = 64
"""Levels of nesting that free-form `metadata` may have: what is read must be writable again at any call depth."""

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
        return _read(kind, value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(value, error) from None


def _read(kind: type[E], value: bytes) -> E:
    try:
        event: E = _decoder(kind).decode(value)
    except msgspec.ValidationError as error:
        raise _explained(str(error), value) from None
    metadata = getattr(event, "metadata", None)
    if metadata and _deeper_than(MAX_DEPTH, metadata):
        raise DecodeError("invalid", "nested too deeply", "$.metadata", f"at most {MAX_DEPTH} levels")
    return event


def _deeper_than(limit: int, value: object) -> bool:
    level = _containers_in(value)
    for _ in range(limit - 1):
        if not level:
            return False
        level = [child for item in level for child in _containers_in(item)]
    return bool(level)


def _containers_in(value: object) -> list[object]:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [child for child in children if isinstance(child, dict | list)]


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


class _Versioned(msgspec.Struct):
    version: Any = None


_version_decoder = msgspec.json.Decoder(_Versioned)


def _is_newer(value: bytes) -> bool:
    """Whether the version is one we do not know yet; what cannot be read at all raises, as in `decode`."""
    try:
        version = _version_decoder.decode(value).version
    except msgspec.ValidationError:  # a number of thousands of digits
        return False
    return isinstance(version, int) and version > SCHEMA_VERSION


class _Lately:
    """What was written lately, by identity: an event goes into the journal, then to its topic, and is the same."""

    def __init__(self, events: int, most_bytes: int) -> None:
        self._most, self._most_bytes = events, most_bytes
        self._kept: OrderedDict[int, tuple[Event, bytes]] = OrderedDict()

    def get(self, event: Event) -> bytes | None:
        """Its bytes. An identity means something only as long as the event is held, which it is here."""
        known = self._kept.get(id(event))
        return known[1] if known is not None and known[0] is event else None

    def put(self, event: Event, value: bytes) -> None:
        if len(value) <= self._most_bytes:
            self._kept[id(event)] = event, value
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)


_lately = _Lately(512, 16 * 1024)


def encode(event: Event, *, again: bool = False) -> bytes:
    """Write an event, after proving that it reads back as the same event.

    The comparison finds what JSON would change without a word: NaN and infinity become null there. What is written
    `again` soon is remembered, since no event is changed after it was made.

    Raises:
        ValueError: a field holds what its type does not allow: our mistake, found before it is published.
    """
    value = _lately.get(event)
    if value is None:
        value = _written(event)
        if again:
            _lately.put(event, value)
    return value


def _written(event: Event) -> bytes:
    name = type(event).__name__
    try:
        value = _encoder.encode(event)
        same = _decoder(type(event)).decode(value) == event
    except (msgspec.MsgspecError, TypeError, UnicodeEncodeError, RecursionError) as error:
        raise ValueError(f"{name} would not be readable: {error}") from None
    if not same:
        raise ValueError(f"{name} would read back as another: a NaN, an infinity, or a value of another type")
    return value
