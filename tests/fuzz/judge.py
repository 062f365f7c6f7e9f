"""What must hold for every input: a value that can be written and read again, or the documented error."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, get_args

from schemas.channels import CHANNELS
from schemas.codec import DecodeError, decode, encode
from schemas.common import Event
from schemas.dead_letter import DeadLetter, DeadLetterReason
from schemas.export import short_name
from schemas.headers import _TRACEPARENT, read_headers
from tests.fuzz import generate

VALUE = "value"
_REASONS = frozenset(get_args(DeadLetterReason))
_MOST_CPU_S = 2.0


class Broken(Exception):
    """A rule does not hold for an input."""


@dataclass(frozen=True, slots=True)
class Target:
    """Something that reads what others wrote: what it is given, and what is then to hold."""

    name: str
    make: Callable[[Random], Any]
    judge: Callable[[Any], str]
    """Gives `value`, or the reason of the error."""


def judge_record(kind: type[Event], value: bytes | None, max_bytes: int | None = None) -> str:
    """Raises whatever should not have been raised, and Broken."""
    try:
        event = decode(kind, value, max_bytes)
    except DecodeError as error:
        if error.reason not in _REASONS or not (error.field or "").startswith("$"):
            raise Broken(f"no reason or no path: {error.reason!r}, {error.field!r}") from error
        return error.reason
    _same(event, decode(kind, encode(event)))
    return VALUE


def judge_headers(headers: generate.Headers) -> str:
    """They are all optional: nothing is an error."""
    read = read_headers(headers)  # type: ignore[arg-type]  # a Kafka header may have no value
    if "" in (read.id, read.type, read.traceparent):
        raise Broken(f"an empty header is not None: {read}")
    if read.traceparent is not None and not _TRACEPARENT.fullmatch(read.traceparent):
        raise Broken(f"not a traceparent: {read.traceparent!r}")
    return VALUE


def judge_dead_letter(headers: generate.Headers) -> str:
    """KeyError for a header that is missing, ValueError for a number that is none: its readers expect both."""
    try:
        letter = DeadLetter.from_headers([(name, value) for name, value in headers if value is not None])
    except (KeyError, ValueError) as error:
        return type(error).__name__
    _same(letter, DeadLetter.from_headers(letter.headers()))
    return VALUE


def _same(first: object, second: object) -> None:
    if first != second:
        raise Broken(f"reads back as another: {second!r}")


def _event_target(name: str, kind: type[Event]) -> Target:
    return Target(
        name, lambda dice: generate.record(dice, name), lambda given: judge_record(kind, given[0], given[1])
    )


TARGETS: dict[str, Target] = {
    **{(name := short_name(channel)): _event_target(name, channel.event) for channel in CHANNELS},
    "headers": Target("headers", generate.event_headers, judge_headers),
    "dead-letter": Target("dead-letter", generate.dead_letter_headers, judge_dead_letter),
}


def judge_in_time(target: Target, given: Any) -> str:
    """As `judge`, and not slower than anybody can wait for."""
    began_s = time.process_time()
    outcome = target.judge(given)
    if (took_s := time.process_time() - began_s) > _MOST_CPU_S:
        raise Broken(f"took {took_s:.1f} s of processor time")
    return outcome
