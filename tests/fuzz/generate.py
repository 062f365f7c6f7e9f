"""Inputs: bytes for the codec and headers for their readers, every one decided by a seed."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from random import Random
from typing import Any

from schemas.channels import CHANNELS
from schemas.dead_letter import HEADER_PREFIX
from schemas.examples import DEAD_LETTER
from schemas.export import short_name
from tests.contracts.cases import GOLDEN
from tests.fuzz.hostile import CONTAINERS, DECIMALS, NUMBERS, TEXTS, TIMES, TOKENS, VALUES, WORDS

Headers = list[tuple[str, bytes | None]]
Place = tuple[Any, Any]

_SMALL_LIMIT = 512


@cache
def golden(event: str) -> tuple[bytes, ...]:
    """The golden files of an event."""
    return tuple(path.read_bytes() for path in sorted(GOLDEN.glob(f"{event}.*.json")))


@cache
def _all_golden() -> tuple[bytes, ...]:
    return tuple(value for channel in CHANNELS for value in golden(short_name(channel)))


def record(dice: Random, event: str) -> tuple[bytes | None, int | None]:
    """A record's value, and the most bytes that it may have."""
    chance = dice.random()
    if chance < 0.001:
        return None, None
    limit = _SMALL_LIMIT if chance < 0.03 else None
    (kind,) = dice.choices((_random_bytes, _soup, _mutated, _restructured), (1, 1, 5, 8))
    return kind(dice, event), limit


def _random_bytes(dice: Random, _: str) -> bytes:
    return dice.randbytes(int(dice.expovariate(1 / 40)))


def _soup(dice: Random, event: str) -> bytes:
    """Hostile pieces and names of fields, one after the other."""
    names = [json.dumps(name).encode() + b":" for name in json.loads(golden(event)[0])]
    return b"".join(
        dice.choice(names if dice.random() < 0.3 else TOKENS) for _ in range(dice.randrange(1, 12))
    )


# Golden bytes, changed without regard to what they mean.


def _mutated(dice: Random, event: str) -> bytes:
    value = dice.choice(golden(event))
    for _ in range(dice.choice((1, 1, 1, 2, 3, 5))):
        value = dice.choice(_MUTATIONS)(dice, value)
    return value


def _flipped(dice: Random, value: bytes) -> bytes:
    changed = bytearray(value)
    for _ in range(dice.randrange(1, 4) if changed else 0):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def _cut(dice: Random, value: bytes) -> bytes:
    start, end = _span(dice, value, 40)
    return dice.choice((value[:start], value[end:], value[:start] + value[end:]))


def _spliced(dice: Random, value: bytes) -> bytes:
    other = dice.choice(_all_golden())
    return value[: dice.randrange(len(value) + 1)] + other[dice.randrange(len(other)) :]


def _overwritten(dice: Random, value: bytes) -> bytes:
    start, end = _span(dice, value, 12)
    return value[:start] + dice.randbytes(end - start) + value[end:]


def _repeated(dice: Random, value: bytes) -> bytes:
    start, end = _span(dice, value, 60)
    return value[:start] + value[start:end] * dice.choice((2, 2, 3, 50)) + value[end:]


def _with_a_token(dice: Random, value: bytes) -> bytes:
    start, end = _span(dice, value, dice.choice((1, 10)))
    return value[:start] + dice.choice(TOKENS) + value[end:]


def _span(dice: Random, value: bytes, most: int) -> tuple[int, int]:
    start = dice.randrange(len(value) + 1)
    return start, min(len(value), start + dice.randrange(most))


_MUTATIONS = (_flipped, _cut, _spliced, _overwritten, _repeated, _with_a_token)


# Golden events, changed where their fields are.


def _restructured(dice: Random, event: str) -> bytes:
    tree = json.loads(dice.choice(golden(event)))
    raw: dict[str, bytes] = {}
    for _ in range(dice.choice((1, 1, 1, 1, 2, 3))):
        found = list(places(tree))
        if not found:
            break
        holder, name = dice.choice(found)
        (change,) = dice.choices(_CHANGES, _WEIGHTS)
        change(dice, holder, name, raw)
    value = json.dumps(tree, ensure_ascii=dice.random() < 0.5).encode()
    for mark, token in reversed(raw.items()):  # a later one may hold an earlier mark
        value = value.replace(json.dumps(mark).encode(), token)
    return value


def places(tree: Any) -> Iterator[Place]:
    """Every value in it, as what holds it and its name there."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for name, item in items:
        yield tree, name
        yield from places(item)


def _mark(raw: dict[str, bytes], token: bytes) -> str:
    """Text that stands in the tree for bytes that no tree can hold."""
    mark = f"@@{len(raw)}@@"
    raw[mark] = token
    return mark


def _hostile(dice: Random) -> bytes:
    return dice.choice(dice.choice(VALUES))


def _replace(dice: Random, holder: Any, name: Any, raw: dict[str, bytes]) -> None:
    holder[name] = _mark(raw, _hostile(dice))


def _alike(dice: Random, holder: Any, name: Any, raw: dict[str, bytes]) -> None:
    """Odd, but of the same type in JSON: more of these are read."""
    holder[name] = _mark(raw, dice.choice(_of_the_type(holder[name])))


def _of_the_type(value: Any) -> tuple[bytes, ...]:
    if isinstance(value, bool) or value is None:
        return WORDS
    if isinstance(value, int | float):
        return NUMBERS
    if isinstance(value, str):
        return TIMES if value.endswith("Z") else DECIMALS if value.startswith("0") else TEXTS
    return CONTAINERS


def _transplant(dice: Random, holder: Any, name: Any, _: dict[str, bytes]) -> None:
    """A value from anywhere in any event."""
    other, there = dice.choice(list(places(json.loads(dice.choice(_all_golden())))))
    holder[name] = other[there]


def _remove(dice: Random, holder: Any, name: Any, _: dict[str, bytes]) -> None:
    del holder[name]


def _add(dice: Random, holder: Any, name: Any, raw: dict[str, bytes]) -> None:
    if isinstance(holder, list):
        holder.extend(holder[:1] * dice.choice((1, 10)))
    else:
        holder[dice.choice(("metadata", "later", "", "type", "id", "version", "\x00"))] = _mark(
            raw, _hostile(dice)
        )


def _twice(dice: Random, holder: Any, name: Any, raw: dict[str, bytes]) -> None:
    """The same key a second time, with another value."""
    if isinstance(holder, dict):
        value, key = json.dumps(holder[name]).encode(), json.dumps(name).encode()
        holder[name] = _mark(raw, value + b"," + key + b":" + _hostile(dice))


def _wrap(dice: Random, holder: Any, name: Any, raw: dict[str, bytes]) -> None:
    depth = dice.choice((1, 2, 60, 64, 65, 1_100))
    holder[name] = _mark(raw, b"[" * depth + json.dumps(holder[name]).encode() + b"]" * depth)


_CHANGES: tuple[Callable[[Random, Any, Any, dict[str, bytes]], None], ...] = (
    _replace,
    _alike,
    _transplant,
    _remove,
    _add,
    _twice,
    _wrap,
)
_WEIGHTS = (6, 8, 2, 1, 3, 1, 1)


# Headers.

_EVENT_HEADERS: tuple[tuple[str, bytes], ...] = (
    ("ce_specversion", b"1.0"),
    ("ce_id", b"t:r:response"),
    ("ce_type", b"sluicegate.response.v1"),
    ("content-type", b"application/json"),
    ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
)
_ODD_NAMES = ("", "CE_ID", "ce_id ", "\x00", "\ud800", "é", HEADER_PREFIX, "x" * 300)


def event_headers(dice: Random) -> Headers:
    """What a stranger may send beside an event; a header of Kafka's may have no value."""
    return _changed_headers(
        dice, list(_EVENT_HEADERS), (None, b"", b"\xff", b"00-" + b"0" * 32 + b"-" + b"0" * 16)
    )


def dead_letter_headers(dice: Random) -> Headers:
    """A dead letter's; those without a value are taken out before they are read."""
    return _changed_headers(
        dice, list(DEAD_LETTER.headers()), (b"", b"-1", b" 7 ", b"1_0", b"\xff", b"9" * 4301)
    )


def _changed_headers(dice: Random, start: Headers, odd: tuple[bytes | None, ...]) -> Headers:
    headers = list(start)
    for _ in range(dice.randrange(5)):
        at = dice.randrange(len(headers) + 1)
        name = dice.choice((*(known for known, _ in start), *_ODD_NAMES))
        value = dice.choice(
            (*odd, dice.choice(TOKENS), dice.randbytes(dice.randrange(20)), _near(dice, start))
        )
        headers[at : at + dice.choice((0, 1, 1))] = [(name, value)][: dice.choice((0, 1, 1, 1))]
    return headers


def _near(dice: Random, start: Headers) -> bytes:
    return dice.choice(_MUTATIONS)(dice, dice.choice(start)[1] or b"")
