"""Whatever comes in: an event, or a DecodeError with a reason and a field, and never another exception."""

import json
from datetime import UTC, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.channels import CHANNELS
from schemas.codec import DecodeError, decode, encode
from schemas.common import ImagePart, Message, TextPart
from schemas.request import GenerationRequest, PromptRef, RetrievalSpec
from tests.contracts.cases import EXAMPLES, GOLDEN

EVENTS = [pytest.param(channel.event, id=channel.event.__name__) for channel in CHANNELS]
LENIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
MANY, FEWER = settings(LENIENT, max_examples=2000), settings(LENIENT, max_examples=500)
GOLDEN_BYTES = {
    channel.event: [c.values[2].read_bytes() for c in EXAMPLES if c.values[0] is channel]
    for channel in CHANNELS
}
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=8)
)
ANY_JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def _is_event_or_error(kind, value: bytes) -> None:
    result = _read(kind, value)
    if isinstance(result, DecodeError):
        assert result.reason
        assert (result.field or "").startswith("$")
    else:
        assert decode(kind, encode(result)) == result


def _read(kind, value: bytes):
    try:
        return decode(kind, value)
    except DecodeError as error:
        return error


@pytest.mark.parametrize("kind", EVENTS)
@MANY
@given(value=st.binary(max_size=200))
def test_any_bytes_are_an_event_or_a_decode_error(kind, value) -> None:
    _is_event_or_error(kind, value)


@pytest.mark.parametrize("kind", EVENTS)
@MANY
@given(data=st.data())
def test_golden_bytes_cut_and_overwritten_are_an_event_or_a_decode_error(kind, data) -> None:
    value = data.draw(st.sampled_from(GOLDEN_BYTES[kind]))
    start = data.draw(st.integers(0, len(value)))
    end = data.draw(st.integers(start, min(len(value), start + 20)))
    _is_event_or_error(kind, value[:start] + data.draw(st.binary(max_size=12)) + value[end:])


@pytest.mark.parametrize("kind", EVENTS)
@FEWER
@given(data=st.data())
def test_golden_events_with_any_other_value_somewhere_are_an_event_or_a_decode_error(kind, data) -> None:
    value = json.loads(data.draw(st.sampled_from(GOLDEN_BYTES[kind])))
    places = list(_places(value))
    holder, name = places[data.draw(st.integers(0, len(places) - 1))]
    holder[name] = data.draw(ANY_JSON)
    _is_event_or_error(kind, json.dumps(value).encode())


def _places(value):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield value, name
        yield from _places(item)


TEXT = st.text(max_size=30)
IDS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=128)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,30}", fullmatch=True)
OPTIONAL = st.none()
PARTS = st.builds(TextPart, text=TEXT) | st.builds(
    ImagePart, image_url=st.dictionaries(TEXT, TEXT, max_size=2)
)
MESSAGES = st.builds(
    Message, role=st.sampled_from(["system", "user", "assistant"]), content=TEXT | st.lists(PARTS, max_size=3)
)
METADATA = st.dictionaries(
    TEXT,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=5,
    ),
    max_size=3,
)
ZONES = st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))) | st.just(
    UTC
)
REQUESTS = st.builds(
    GenerationRequest,
    messages=st.lists(MESSAGES, min_size=1, max_size=4),
    id=OPTIONAL | IDS,
    tenant=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,30}", fullmatch=True),
    conversation_id=OPTIONAL | IDS,
    route=OPTIONAL | NAMES,
    model=OPTIONAL | TEXT,
    temperature=OPTIONAL | st.floats(0, 2),
    top_p=OPTIONAL | st.floats(0, 1, exclude_min=True),
    max_tokens=OPTIONAL | st.integers(1, 1_000_000),
    seed=OPTIONAL | st.integers(),
    stop=OPTIONAL | st.lists(TEXT, max_size=8),
    prompt=OPTIONAL
    | st.builds(PromptRef, name=NAMES, version=TEXT, variables=st.dictionaries(TEXT, TEXT, max_size=2)),
    retrieval=OPTIONAL | st.builds(RetrievalSpec, index=NAMES, top_k=st.integers(1, 50)),
    deadline=OPTIONAL | st.datetimes(timezones=ZONES),
    risk=st.sampled_from(["low", "medium", "high"]),
    metadata=METADATA,
)


@FEWER
@given(REQUESTS)
def test_a_request_reads_back_as_itself(request) -> None:
    assert decode(GenerationRequest, encode(request)) == request


def test_there_are_golden_bytes_to_change_for_every_event() -> None:
    assert all(len(values) == 2 for values in GOLDEN_BYTES.values())
    assert len(list(GOLDEN.iterdir())) == 2 * len(CHANNELS)
