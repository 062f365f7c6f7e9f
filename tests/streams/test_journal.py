"""What is kept in Redis reads back as it was written, or as nothing."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.examples import FULL, MINIMAL
from streams.journal import pack, unpack
from tests.agents.stage_fakes import draft


@pytest.mark.parametrize("event", [*MINIMAL.values(), *FULL.values()], ids=lambda event: type(event).__name__)
def test_every_event_reads_back(event) -> None:
    context = getattr(event, "context", None)
    assert unpack(pack([event, event]), context) == [event, event]


def test_a_draft_is_kept_without_its_context_and_needs_it_again() -> None:
    answer = draft()
    packed = pack([answer, answer.cost])
    assert b"boil" not in zlib.decompress(packed).replace(answer.answer.encode(), b"")
    assert unpack(packed) is None
    assert unpack(packed, answer.context) == [answer, answer.cost]


@given(st.binary(max_size=60))
def test_what_somebody_else_wrote_is_nothing(value: bytes) -> None:
    assert unpack(value) is None
    assert unpack(zlib.compress(value)) in (None, [])


def test_what_a_later_release_wrote_is_nothing() -> None:
    assert unpack(zlib.compress(b'[["sluicegate.response.v9", {}]]')) is None
