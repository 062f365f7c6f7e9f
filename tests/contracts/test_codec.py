"""The codec: any bytes become an event or a typed error."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from msgspec.structs import replace

from schemas.codec import MAX_DEPTH, DecodeError, decode, encode
from schemas.common import Timings, Usage
from schemas.cost import CostEvent
from schemas.examples import MINIMAL
from schemas.request import GenerationRequest
from schemas.response import GenerationResponse
from schemas.score import Score


def _request(rest: str) -> bytes:
    return f'{{"messages":[{{"role":"user","content":"hi"}}],{rest}}}'.encode()


def _nested(levels: int) -> bytes:
    return _request('"metadata":{"a":' + "[" * (levels - 1) + "]" * (levels - 1) + "}")


@pytest.mark.parametrize(
    ("value", "reason", "field"),
    [
        (None, "null_value", "$"),
        (b"\xff", "not_utf8", "$"),
        (b"nope", "not_json", "$"),
        (b'{"messages":[]}', "invalid", "$.messages"),
        (b"{}", "invalid", "$.messages"),
        (b"[]", "invalid", "$"),
        (b'{"metadata":{"a":' + b"[" * 100_000, "not_json", "$"),
        (b'{"messages":[{"role":"user","content":"h\xffi"}]}', "not_utf8", "$"),
        (
            b'{"messages":[{"role":"user","content":[{"type":"smell"}]}]}',
            "invalid",
            "$.messages[0].content[0].type",
        ),
        (b'{"messages":[{"role":"user","content":"hi"}],"version":2}', "unsupported_version", "$.version"),
        (b'{"messages":[{"role":"user","content":"hi"}],"max_tokens":"a"}', "invalid", "$.max_tokens"),
        (b"", "not_json", "$"),
        (b"null", "invalid", "$"),
        (b'\xef\xbb\xbf{"messages":[]}', "not_json", "$"),
        (_request('"deadline":"2026-01-01T00:00:00"'), "invalid", "$.deadline"),
        (_request('"deadline":1767225600'), "invalid", "$.deadline"),
        (_request('"temperature":NaN'), "not_json", "$"),
        (_request('"temperature":1e999'), "invalid", "$.temperature"),
        (_request('"max_tokens":' + "9" * 40), "invalid", "$.max_tokens"),
        (_request('"stop":["a",1]'), "invalid", "$.stop[1]"),
        (_request('"retrieval":{"top_k":3}'), "invalid", "$.retrieval.index"),
        (_request('"id":""'), "invalid", "$.id"),
        (_request('"id":"a b"'), "invalid", "$.id"),
        (_request('"metadata":{"a":"\\ud800"}'), "not_json", "$"),
        (_request('"metadata":{"\\udfff":1}'), "not_json", "$"),
        (_request('"metadata":{"a":' + "9" * 5000 + "}"), "invalid", "$.metadata[...]"),
        (_nested(MAX_DEPTH + 1), "invalid", "$.metadata"),
        (_nested(900), "invalid", "$.metadata"),
        # A newer version whose remainder is broken as well: the version is looked at a second time.
        (b'{"version":2,', "not_json", "$"),
        (b'{"version":2,"x":' + b"[" * 100_000, "not_json", "$"),
        (b'{"version":2,"messages":"\xff"}', "unsupported_version", "$.version"),
        (b'{"version":' + b"9" * 5000 + b"}", "invalid", "$.version"),
        (b'{"version":' + b"9" * 30 + b"}", "unsupported_version", "$.version"),
        (b'{"version":0}', "invalid", "$.version"),
    ],
)
def test_broken_bytes_give_a_reason_and_a_field(value: bytes | None, reason: str, field: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(GenerationRequest, value)
    assert (caught.value.reason, caught.value.field) == (reason, field)


def test_an_unknown_field_is_ignored() -> None:
    request = decode(GenerationRequest, b'{"messages":[{"role":"user","content":"hi"}],"later":1}')
    assert request.question() == "hi"


def test_a_record_over_the_limit_is_not_read_at_all() -> None:
    with pytest.raises(DecodeError) as caught:
        decode(GenerationRequest, b"\xff" * 11, max_bytes=10)
    assert (caught.value.reason, caught.value.expected) == ("too_large", "at most 10 bytes")


def test_a_record_at_the_limit_is_read() -> None:
    value = _request('"risk":"high"')
    assert decode(GenerationRequest, value, max_bytes=len(value)).risk == "high"


def test_the_last_of_two_equal_keys_counts() -> None:
    assert decode(GenerationRequest, _request('"max_tokens":1,"max_tokens":2')).max_tokens == 2


def test_a_surrogate_pair_is_one_character() -> None:
    request = decode(GenerationRequest, _request('"metadata":{"a":"\\ud83d\\ude00"}'))
    assert request.metadata == {"a": "\U0001f600"}


@pytest.mark.parametrize("number", [2**63, 2**64, -(2**70), 10**400])
def test_a_huge_whole_number_stays_exact(number: int) -> None:
    request = decode(GenerationRequest, _request(f'"metadata":{{"a":{number}}}'))
    assert decode(GenerationRequest, encode(request)).metadata == {"a": number}


def test_metadata_nested_as_deep_as_allowed_can_be_written_from_a_deep_call() -> None:
    request = decode(GenerationRequest, _nested(MAX_DEPTH))

    def deeper(levels: int) -> bytes:
        return deeper(levels - 1) if levels else encode(request)

    assert decode(GenerationRequest, deeper(200)) == request


RESPONSE = GenerationResponse(
    id="t:r:response",
    request_id="r",
    tenant="t",
    status="completed",
    created=datetime(2026, 1, 1, tzinfo=UTC),
)
COST = CostEvent(
    id="t:r:cost",
    request_id="r",
    tenant="t",
    kind="chat",
    provider="p",
    model="m",
    requested_model=None,
    usage=Usage(),
    status="priced",
    amount=Decimal("0.1"),
    currency="USD",
    price_version="1",
    created=datetime(2026, 1, 1, tzinfo=UTC),
)


def _scored(value: float, **labels: float) -> GenerationResponse:
    score = Score(name="toxicity", version="1", status="ok", value=value, labels=labels)
    return replace(RESPONSE, scores=(score,))


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(_scored(float("nan")), id="NaN score"),
        pytest.param(_scored(float("inf")), id="infinite score"),
        pytest.param(_scored(1.5), id="score above 1"),
        pytest.param(_scored(0.5, insult=float("nan")), id="NaN label"),
        pytest.param(replace(RESPONSE, timings=Timings(total_ms=float("nan"))), id="NaN timing"),
        pytest.param(replace(RESPONSE, created=datetime(2026, 1, 1)), id="naive time"),  # noqa: DTZ001
        pytest.param(replace(RESPONSE, id=""), id="empty id"),
        pytest.param(replace(RESPONSE, id="x" * 257), id="long id"),
        pytest.param(replace(RESPONSE, tenant="a/b"), id="odd tenant"),
        pytest.param(replace(RESPONSE, status="done"), id="unknown status"),
        pytest.param(replace(RESPONSE, usage=Usage(input_tokens=-1)), id="negative count"),
        pytest.param(replace(RESPONSE, scores=[]), id="list for a tuple"),
        pytest.param(replace(RESPONSE, version=2), id="another version"),
        pytest.param(replace(RESPONSE, metadata={"a": float("nan")}), id="NaN in metadata"),
        pytest.param(replace(RESPONSE, metadata={"a": {1}}), id="set in metadata"),
        pytest.param(replace(RESPONSE, metadata={"a": object()}), id="object in metadata"),
        pytest.param(replace(RESPONSE, metadata={"a": "\ud800"}), id="lone surrogate"),
        pytest.param(replace(COST, amount=0.1), id="amount as a float"),
    ],
)
def test_what_would_not_read_back_as_itself_is_never_written(event: GenerationResponse | CostEvent) -> None:
    with pytest.raises(ValueError, match="would"):
        encode(event)


NOT_FINITE = ["Infinity", "-inf", "NaN", "-nan7", "sNaN"]


@pytest.mark.parametrize("name", ["amount", "avoided"])
@pytest.mark.parametrize("amount", NOT_FINITE)
def test_an_amount_that_is_no_finite_number_is_not_read(name: str, amount: str) -> None:
    value = json.dumps({**json.loads(encode(COST)), name: amount}).encode()
    with pytest.raises(DecodeError) as caught:
        decode(CostEvent, value)
    assert (caught.value.reason, caught.value.field) == ("invalid", "$")
    assert caught.value.expected == f"a finite decimal in `{name}`"


@pytest.mark.parametrize("amount", NOT_FINITE)
def test_an_amount_inside_a_response_is_finite_too(amount: str) -> None:
    cost = {**json.loads(encode(COST)), "amount": amount}
    with pytest.raises(DecodeError) as caught:
        decode(GenerationResponse, json.dumps({**json.loads(encode(RESPONSE)), "cost": cost}).encode())
    assert (caught.value.reason, caught.value.field) == ("invalid", "$.cost")


@pytest.mark.parametrize("amount", NOT_FINITE)
def test_an_amount_that_is_no_finite_number_cannot_be_made_either(amount: str) -> None:
    with pytest.raises(ValueError, match="finite decimal in `avoided`"):
        replace(COST, avoided=Decimal(amount))


@pytest.mark.parametrize("amount", ["0.000184", "-0", "1E+30", None])
def test_an_amount_that_is_finite_or_unknown_is_read(amount: str | None) -> None:
    value = json.dumps({**json.loads(encode(COST)), "amount": amount}).encode()
    assert decode(CostEvent, value).amount == (None if amount is None else Decimal(amount))


@pytest.mark.parametrize("event", [RESPONSE, COST, _scored(0.5, insult=0.25)])
def test_what_the_refused_events_were_made_from_is_written(event: GenerationResponse | CostEvent) -> None:
    assert decode(type(event), encode(event)) == event


def test_what_is_written_again_soon_is_written_the_same_and_not_anew() -> None:
    first = MINIMAL[GenerationResponse]
    kept = encode(first, again=True)
    assert encode(first) is kept
    other = replace(first, request_id="other")
    assert encode(other) != kept
    assert encode(replace(first)) == kept


def test_few_and_small_events_are_remembered() -> None:
    large = replace(MINIMAL[GenerationResponse], metadata={"x": "y" * 20_000})
    assert encode(large, again=True) is not encode(large)
    first = replace(MINIMAL[GenerationResponse])
    kept = encode(first, again=True)
    many = [replace(first, request_id=f"r{n}") for n in range(600)]
    assert all(encode(one, again=True) for one in many)
    assert encode(first) is not kept
    assert encode(first) == kept
