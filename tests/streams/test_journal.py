"""What is kept in Redis reads back as it was written, or as nothing."""

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from schemas.examples import FULL, MINIMAL
from streams.journal import pack, unpack
from tests.agents.stage_fakes import draft


@pytest.mark.parametrize("event", [*MINIMAL.values(), *FULL.values()], ids=lambda event: type(event).__name__)
def test_every_event_reads_back(event) -> None:
    context = getattr(event, "context", None)
    assert unpack(pack([event, event]), context) == [event, event]


@pytest.mark.parametrize("times", [1, 1000])
def test_a_draft_is_kept_without_its_context_and_needs_it_again(times) -> None:
    answer = draft(answer="It boils. " * times)
    packed = pack([answer, answer.cost])
    assert len(packed) < 3000  # a long answer is compressed
    plain = zstandard.decompress(packed) if times > 1 else packed
    assert b"boil" not in plain.replace(answer.answer.encode(), b"")
    assert unpack(packed) is None
    assert unpack(packed, answer.context) == [answer, answer.cost]


@given(st.binary(max_size=60))
def test_what_somebody_else_wrote_is_nothing(value: bytes) -> None:
    assert unpack(value) is None
    assert unpack(zstandard.compress(value)) in (None, [])
    assert unpack(b"[" + value) is None or value.strip() == b"]"


def test_what_a_later_release_wrote_is_nothing() -> None:
    later = b'[["sluicegate.response.v9", {}]]'
    assert unpack(zstandard.compress(later)) is None
    assert unpack(later) is None
