"""What is known of a dead letter, whoever wrote it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.errors import SluicegateError
from streams.dead_letters import (
    Place,
    head,
    own_headers,
    stored,
)
from tests.streams.dead_letters.letters import letter


@pytest.mark.parametrize("text", ["", "3", "3:", ":3", "-1:2", "1:2:3", "a:b"])
def test_what_is_no_place_is_told_with_what_was_expected(text: str) -> None:
    with pytest.raises(SluicegateError, match="expected PARTITION:OFFSET"):
        Place.of(text)


@given(st.integers(0, 10**6), st.integers(0, 10**15))
def test_a_place_reads_back(partition: int, offset: int) -> None:
    assert Place.of(str(Place(partition, offset))) == Place(partition, offset)


def test_a_list_needs_the_first_bytes_of_a_letter_only() -> None:
    assert head(letter(b"x" * 1_000_000)).value == b"x" * 40
    assert head(letter(None)).value is None


class _Record:
    """A consumed record with headers of anybody's."""

    partition, offset, timestamp, key, value = 2, 7, 1_700_000_000_000, None, b"{}"

    def __init__(self, headers: list[tuple[str, bytes | None]]) -> None:
        self.headers = headers


def test_headers_of_others_are_no_obstacle() -> None:
    foreign = stored(_Record([("note", None), ("sluicegate.reason", b"\xff")]))
    assert (foreign.letter, str(foreign.place), foreign.time.year) == (None, "2:7", 2023)
    ours = stored(_Record([("note", None), *letter(b"").headers]))
    assert ours.letter == letter(b"").letter
    assert own_headers(ours.headers) == [("note", None)]
