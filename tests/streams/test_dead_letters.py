"""Which dead letters are meant, and what a replay makes of each."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.admission import RetrievalStage
from agents.errors import SluicegateError, UnknownPart
from schemas import channels
from schemas.codec import decode, encode
from schemas.common import Event
from schemas.context import RetrievedContext
from schemas.dead_letter import DeadLetter, DeadLetterReason
from schemas.draft import Draft
from schemas.examples import FULL, MINIMAL
from schemas.headers import ce_headers, read_headers
from schemas.identity import key_of, request_of
from schemas.request import GenerationRequest
from schemas.retry import Retry
from schemas.review import ReviewDecision
from streams.dead_letters import (
    CannotReplay,
    Change,
    Headers,
    Outgoing,
    Place,
    Stored,
    Wanted,
    head,
    instant,
    own_headers,
    plan,
    purge_of,
    replayed,
    stored,
    wanted,
)

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
AS_IT_WAS = Change()
OTHER = Change.of("answer@v2", "large-chat")
PREFIX = "eu."


def letter(
    value: bytes | None,
    topic: str = "eu.genai.requests",
    *,
    at: Place | None = None,
    reason: DeadLetterReason = "handler_error",
    tenant: str | None = None,
    age: timedelta = timedelta(0),
    own: Headers = (),
) -> Stored:
    """A dead letter as a worker writes it."""
    why = DeadLetter(
        topic=topic, partition=1, offset=5, stage="any", reason=reason, message="it failed", tenant=tenant
    )
    return Stored(
        place=at or Place(0, 0),
        timestamp_ms=int((NOW - age).timestamp() * 1_000),
        key=b"key",
        value=value,
        headers=[*own, *why.headers()],
        letter=why,
    )


def letter_of(event: Event, **rest: Any) -> Stored:
    channel = channels.BY_EVENT[type(event)]
    headers = ce_headers(event, getattr(event, "id", None) or key_of(event), "/test", NOW)
    return letter(encode(event), f"{PREFIX}{channel.topic}", own=headers, **rest)


def sent(found: Stored, change: Change = AS_IT_WAS) -> Outgoing:
    return replayed(found, change, PREFIX)


def request_in(outgoing: Outgoing) -> GenerationRequest:
    kind = channels.BY_TOPIC[outgoing.topic.removeprefix(PREFIX)].event
    request = request_of(decode(kind, outgoing.value))
    assert request is not None
    return request


# Times, places, names.


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


@pytest.mark.parametrize("text", ["", "3", "3:", ":3", "-1:2", "1:2:3", "a:b"])
def test_what_is_no_place_is_told_with_what_was_expected(text: str) -> None:
    with pytest.raises(SluicegateError, match="expected PARTITION:OFFSET"):
        Place.of(text)


@given(st.integers(0, 10**6), st.integers(0, 10**15))
def test_a_place_reads_back(partition: int, offset: int) -> None:
    assert Place.of(str(Place(partition, offset))) == Place(partition, offset)


def test_a_reason_or_topic_that_is_none_is_told_with_those_that_are() -> None:
    with pytest.raises(UnknownPart, match=r"unknown reason 'broken'.*not_json"):
        wanted("", NOW, reasons=["invalid", "broken"])
    with pytest.raises(UnknownPart, match=r"unknown topic 'wishes'.*genai\.requests"):
        wanted("", NOW, topic="wishes")


# Which are meant.

LETTERS = [
    letter(b"a", at=Place(0, 1), reason="invalid", tenant="shop", age=timedelta(hours=3)),
    letter(b"b", "eu.genai.drafts", at=Place(0, 2), reason="invalid", tenant="bank", age=timedelta(hours=2)),
    letter(b"c", at=Place(1, 1), reason="not_json", age=timedelta(hours=1)),
    Stored(Place(1, 2), int(NOW.timestamp() * 1_000), None, b"d", [("from", b"elsewhere")], None),
]


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


# What is sent.

HOLDING_A_REQUEST = (GenerationRequest, RetrievedContext, Retry, Draft)


@pytest.mark.parametrize("examples", [MINIMAL, FULL], ids=["minimal", "full"])
@pytest.mark.parametrize("kind", HOLDING_A_REQUEST)
def test_a_request_goes_back_as_its_next_replay(
    kind: type[Event], examples: dict[type[Event], Event]
) -> None:
    event = examples[kind]
    before, outgoing = request_of(event), sent(letter_of(event))
    after = request_in(outgoing)
    assert before is not None
    assert after.replay == before.replay + 1
    assert (after.tenant, after.conversation_id) == (before.tenant, before.conversation_id)
    assert after.messages == before.messages
    assert (outgoing.topic, outgoing.partition) == (f"{PREFIX}{channels.BY_EVENT[kind].topic}", 1)
    assert outgoing.key == b"key"
    assert after.id == (before.id or "eu.genai.requests-1-5")


@pytest.mark.parametrize("kind", [RetrievedContext, Retry, Draft])
def test_a_replayed_events_ids_are_told_from_the_first_ones(kind: type[Event]) -> None:
    outgoing = sent(letter_of(MINIMAL[kind]))
    body = json.loads(outgoing.value or b"")
    assert body["id"].endswith(":replay-1")
    assert read_headers([(n, v) for n, v in outgoing.headers if v is not None]).id == body["id"]
    if "context" in body:
        assert body["context"]["id"].endswith(":context:replay-1")


def test_a_paid_draft_keeps_its_answer_and_its_cost() -> None:
    draft = FULL[Draft]
    again = decode(Draft, sent(letter_of(draft)).value)
    assert isinstance(draft, Draft)
    assert (again.answer, again.cost, again.citations) == (draft.answer, draft.cost, draft.citations)


def test_the_attempts_of_before_do_not_count() -> None:
    body = json.loads(encode(MINIMAL[RetrievedContext]))
    spent = {"attempts": 12, "give_up": "2026-01-01T00:00:00Z"}
    context = decode(RetrievedContext, json.dumps(body | spent).encode())
    again = decode(RetrievedContext, sent(letter_of(context)).value)
    assert (again.attempts, again.give_up) == (0, None)


def test_a_request_named_by_its_record_or_header_keeps_that_name() -> None:
    bare = b'{"messages": [{"role": "user", "content": "hi"}]}'
    assert request_in(sent(letter(bare))).id == "eu.genai.requests-1-5"
    assert request_in(sent(letter(bare, own=[("ce_id", b"order-7")]))).id == "order-7"


@given(st.none() | st.text(max_size=140) | st.sampled_from(["a b", "x" * 128, "x" * 129, "ü", "a\n"]))
def test_an_unnamed_request_gets_the_id_admission_gave_it(header: str | None) -> None:
    own = [] if header is None else [("ce_id", header.encode("utf-8", "replace"))]
    bare = b'{"messages": [{"role": "user", "content": "hi"}]}'
    known = read_headers(own).id
    before = RetrievalStage.identified(None, decode(GenerationRequest, bare), "eu.genai.requests-1-5", known)
    assert request_in(sent(letter(bare, own=own))).id == before.id


def test_unknown_fields_keep_their_very_bytes() -> None:
    odd = b'{"a":1.10,"b":123456789012345678901234567890,"c":1e400,"d":[ 1 , "\\u00e9" ]}'
    value = b'{"messages":[{"role":"user","content":"hi","later":%b}],"id":"r1","later":%b}' % (odd, odd)
    outgoing = sent(letter(value), OTHER)
    assert outgoing.value is not None
    assert outgoing.value.count(odd) == 2
    assert request_in(outgoing).model == "large-chat"


@pytest.mark.parametrize(
    "value",
    [
        b"not json",
        b"\xff\xfe",
        b"",
        b'{"messages": 1}',
        b'{"messages": [], "id": "r1"}',
        b"[]",
        b"null",
        None,
    ],
    ids=repr,
)
def test_what_cannot_be_read_goes_back_byte_for_byte(value: bytes | None) -> None:
    own: Headers = [("trace", b"\x00\xff"), ("trace", b""), ("empty", None)]
    found = letter(value, own=own)
    assert sent(found) == Outgoing(found.place, "eu.genai.requests", 1, b"key", value, own, "as it came")


@pytest.mark.parametrize(
    "kind", [channel.event for channel in channels.CHANNELS if channel.event not in HOLDING_A_REQUEST]
)
def test_what_asks_for_nothing_goes_back_as_it_came(kind: type[Event]) -> None:
    found = letter_of(FULL[kind])
    assert found.letter is not None
    assert (sent(found).value, sent(found).topic) == (found.value, found.letter.topic)
    with pytest.raises(CannotReplay, match="expected a request"):
        sent(found, OTHER)


# Another prompt, another model.


@pytest.mark.parametrize("kind", HOLDING_A_REQUEST)
def test_a_replay_may_ask_with_another_prompt_and_model(kind: type[Event]) -> None:
    before = request_of(FULL[kind])
    after = request_in(sent(letter_of(FULL[kind]), OTHER))
    assert before is not None
    assert before.prompt is not None
    assert after.prompt is not None
    assert (after.prompt.name, after.prompt.version, after.model) == ("answer", "v2", "large-chat")
    assert after.prompt.variables == before.prompt.variables
    assert request_in(sent(letter_of(MINIMAL[kind]), OTHER)).prompt is not None


def test_a_prompt_without_a_version_is_the_latest() -> None:
    prompt = Change.of("answer", None).prompt
    assert prompt is not None
    assert (prompt.name, prompt.version) == ("answer", "latest")


def test_a_draft_with_another_prompt_is_made_again_from_its_context() -> None:
    draft = FULL[Draft]
    assert isinstance(draft, Draft)
    outgoing = sent(letter_of(draft), Change.of("answer@v2", None))
    again = decode(RetrievedContext, outgoing.value)
    assert (outgoing.topic, outgoing.partition) == ("eu.genai.contexts", None)
    assert again.passages == draft.context.passages
    assert ":context:replay-" in again.id
    kept = read_headers([(name, value) for name, value in outgoing.headers if value is not None])
    assert (kept.type, kept.id) == ("sluicegate.context.v1", again.id)


def test_the_answer_of_another_model_is_not_cached_for_those_who_asked_the_first() -> None:
    body = json.loads(encode(MINIMAL[RetrievedContext])) | {"cache_key": "default:abc"}
    found = letter_of(decode(RetrievedContext, json.dumps(body).encode()))
    assert decode(RetrievedContext, sent(found).value).cache_key == "default:abc"
    assert decode(RetrievedContext, sent(found, OTHER).value).cache_key is None


@pytest.mark.parametrize(("prompt", "model"), [("", None), ("a b@v1", None), ("@v1", None), (None, " ")])
def test_a_change_that_names_nothing_is_told(prompt: str | None, model: str | None) -> None:
    with pytest.raises(SluicegateError, match="expected"):
        Change.of(prompt, model)


# What cannot go.


@pytest.mark.parametrize(
    ("found", "change", "field", "expected"),
    [
        (letter(b"not json"), OTHER, "$", "a JSON object"),
        (letter(b'{"messages": 1}'), OTHER, "$.messages", "`array`"),
        (letter(None), OTHER, "$", "a JSON object"),
        (letter_of(MINIMAL[ReviewDecision]), OTHER, "$", "a request"),
        (LETTERS[3], AS_IT_WAS, "__connect.errors.topic", "the topic it came from"),
        (letter(b"{}", "us.genai.requests"), AS_IT_WAS, "__connect.errors.topic", "eu.genai.requests"),
        (letter(b"{}", "genai.requests"), AS_IT_WAS, "__connect.errors.topic", "eu.genai.requests"),
        (letter(b"{}", "eu.genai.dead-letters"), AS_IT_WAS, "__connect.errors.topic", "eu.genai.requests"),
        (
            letter(b'{"messages": [{"role": "user", "content": "hi"}], "replay": 999}'),
            AS_IT_WAS,
            "$.replay",
            "at most 999 replays",
        ),
    ],
)
def test_a_letter_that_cannot_go_says_field_reason_and_what_was_expected(
    found: Stored, change: Change, field: str, expected: str
) -> None:
    with pytest.raises(CannotReplay) as caught:
        sent(found, change)
    assert caught.value.field == field
    assert expected in caught.value.expected
    assert caught.value.reason
    assert str(caught.value).startswith(f"{found.place}: {field}: ")


def test_letters_that_cannot_go_are_left_out_with_why() -> None:
    going, left = plan(LETTERS, Wanted(), AS_IT_WAS, PREFIX)
    assert [one.value for one in going] == [b"a", b"b", b"c"]
    assert [error.place for error in left] == [Place(1, 2)]


def test_nothing_goes_when_a_letter_that_was_named_cannot() -> None:
    named = Wanted(places=[Place(0, 1), Place(1, 2)])
    with pytest.raises(SluicegateError, match=r"nothing was sent:\n1:2: __connect\.errors\.topic"):
        plan(LETTERS, named, AS_IT_WAS, PREFIX)
    with pytest.raises(SluicegateError, match="no such dead letter: 7:7"):
        plan(LETTERS, Wanted(places=[Place(0, 1), Place(7, 7)]), AS_IT_WAS, PREFIX)


def test_letters_go_in_the_order_in_which_they_were_set_aside() -> None:
    going, _ = plan(reversed(LETTERS), Wanted(reasons=["invalid", "not_json"]), AS_IT_WAS, PREFIX)
    assert [one.place for one in going] == [Place(0, 1), Place(0, 2), Place(1, 1)]


# What is deleted.


def test_a_purge_deletes_up_to_the_last_letter_that_goes() -> None:
    letters = [
        letter(b"", at=Place(p, o), tenant=t)
        for p, o, t in [(0, 3, "a"), (0, 4, "b"), (0, 6, "a"), (0, 7, "b"), (1, 0, "b"), (2, 9, "a")]
    ]
    planned = purge_of(letters, Wanted(tenant="a"))
    assert [str(one.place) for one in planned.removed] == ["0:3", "0:6", "2:9"]
    assert (planned.begins, planned.ends) == ({0: 3, 2: 9}, {0: 7, 2: 10})
