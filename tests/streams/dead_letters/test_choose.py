"""Which dead letters are meant: times, topics, reasons and places."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agents.errors import SluicegateError, UnknownPart
from streams.dead_letters import (
    Place,
    Wanted,
    instant,
    wanted,
)
from tests.streams.dead_letters.letters import LETTERS, NOW, PREFIX


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("30m", NOW - timedelta(minutes=30)),
        ("2h", NOW - timedelta(hours=2)),
        ("3d", NOW - timedelta(days=3)),
        ("1w", NOW - timedelta(days=7)),
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05+02:00", datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04", datetime(2026, 1, 2, 3, 4, tzinfo=UTC)),
        ("2026-01-02", datetime(2026, 1, 2, tzinfo=UTC)),
    ],
)
def test_a_time_is_a_moment_or_so_long_ago(text: str, meant: datetime) -> None:
    assert instant(text, NOW) == meant


@pytest.mark.parametrize("text", ["", "yesterday", "2", "m", "-2h", "2 h", "2026-13-01", "999999w"])
def test_what_is_no_time_is_told_with_what_was_expected(text: str) -> None:
    with pytest.raises(SluicegateError, match="expected 2026-01-02T03:04:05Z, or 30m"):
        instant(text, NOW)


def test_a_reason_or_topic_that_is_none_is_told_with_those_that_are() -> None:
    with pytest.raises(UnknownPart, match=r"unknown reason 'broken'.*not_json"):
        wanted("", NOW, reasons=["invalid", "broken"])
    with pytest.raises(UnknownPart, match=r"unknown topic 'wishes'.*genai\.requests"):
        wanted("", NOW, topic="wishes")


@pytest.mark.parametrize(
    ("conditions", "values"),
    [
        ({}, "abcd"),
        ({"reasons": ["invalid"]}, "ab"),
        ({"reasons": ["invalid", "not_json"]}, "abc"),
        ({"tenant": "shop"}, "a"),
        ({"topic": "requests"}, "ac"),
        ({"topic": "genai.requests"}, "ac"),
        ({"topic": "eu.genai.requests"}, "ac"),
        ({"since": "2h"}, "bcd"),
        ({"until": "2h"}, "a"),
        ({"since": "3h", "until": "2026-01-02T11:00:00Z"}, "ab"),
        ({"places": ["1:1", "0:2"]}, "bc"),
        ({"places": ["1:1", "0:2"], "reasons": ["invalid"]}, "b"),
        ({"reasons": ["invalid"], "tenant": "bank", "topic": "requests"}, ""),
    ],
    ids=str,
)
def test_every_condition_must_hold(conditions: dict[str, Any], values: str) -> None:
    meant = wanted(PREFIX, NOW, **conditions)
    assert b"".join(one.value or b"" for one in LETTERS if one in meant).decode() == values
    assert bool(meant) == bool(conditions)


def test_a_named_letter_that_is_not_there_is_told() -> None:
    with pytest.raises(SluicegateError, match="no such dead letter: 0:9, 3:1"):
        Wanted(places=[Place(3, 1), Place(0, 9), Place(0, 1)]).check_found({Place(0, 1)})
