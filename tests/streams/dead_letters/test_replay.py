"""What a replay makes of each dead letter, and which cannot go."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.admission import RetrievalStage
from agents.errors import SluicegateError
from schemas import channels
from schemas.codec import decode, encode
from schemas.common import Event
from schemas.context import RetrievedContext
from schemas.draft import Draft
from schemas.examples import FULL, MINIMAL
from schemas.headers import read_headers
from schemas.identity import request_of
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
    plan,
    replayed,
)
from tests.streams.dead_letters.letters import LETTERS, PREFIX, letter, letter_of

AS_IT_WAS = Change()
OTHER = Change.of("answer@v2", "large-chat")


def sent(found: Stored, change: Change = AS_IT_WAS) -> Outgoing:
    return replayed(found, change, PREFIX)


def request_in(outgoing: Outgoing) -> GenerationRequest:
    kind = channels.BY_TOPIC[outgoing.topic.removeprefix(PREFIX)].event
    request = request_of(decode(kind, outgoing.value))
    assert request is not None
    return request


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
