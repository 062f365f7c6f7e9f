"""Admission: what ends at once, what goes on, and what a second look at the same record does."""

from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from agents.admission import RetrievalStage
from agents.errors import RequestRefused, Unprocessable
from agents.outcomes import answered
from agents.passages import PassageGuard
from agents.scoring import ScoringStage
from schemas.codec import encode
from schemas.common import Lineage, Message
from schemas.context import RetrievedContext
from schemas.cost import CostEvent
from schemas.moderation import ModerationEvent
from schemas.request import GenerationRequest, PromptRef, RetrievalSpec
from schemas.response import GenerationResponse
from schemas.score import Decision
from tests.agents.stage_fakes import (
    NOW,
    PASSAGE,
    FakeClock,
    FakeJudge,
    FakeRetriever,
    FakeStore,
    draft,
    policy,
    request,
)


def describe(asked: GenerationRequest, *, has_passages: bool) -> Lineage:
    if asked.prompt and asked.prompt.name == "nope":
        raise RequestRefused("unknown_prompt", "no prompt 'nope'", "$.prompt.name", "one of chat")
    return Lineage(prompt="chat@1", route="default@1", model="openai/m")


@pytest.fixture
def stage(tmp_path) -> RetrievalStage:
    judge, rules = FakeJudge(), policy(tmp_path)
    return RetrievalStage(
        retriever=FakeRetriever(),
        store=FakeStore(),
        judge=judge,
        input_scorers=["toxicity"],
        policy=rules,
        describe=describe,
        clock=FakeClock(),
        guard=PassageGuard(judge, rules, []),
    )


async def test_an_admitted_request_becomes_a_context_with_passages_and_lineage(stage) -> None:
    context, judged = await stage.handle(request(), "t-0-1")
    assert isinstance(context, RetrievedContext)
    assert context.passages == (PASSAGE,)
    assert context.lineage.index == "docs@1"
    assert context.lineage.policy == stage.policy.label
    assert context.lineage.scorers == stage.judge.versions
    assert isinstance(judged, ModerationEvent)
    assert (judged.stage, judged.decision.action) == ("input", "allow")


async def test_without_an_id_the_header_names_the_request_else_its_position(stage) -> None:
    named, _ = await stage.handle(request(id=None), "t-0-1", "from-header")
    placed, _ = await stage.handle(request(id=None), "t-0-2", "not usable as an id")
    assert (named.request.id, placed.request.id) == ("from-header", "t-0-2")


@pytest.mark.parametrize(
    ("asked", "status", "code", "field"),
    [
        (request(deadline=NOW - timedelta(seconds=1)), "expired", "deadline_passed", "$.deadline"),
        (request(prompt=PromptRef(name="nope")), "refused", "unknown_prompt", "$.prompt.name"),
        (request(retrieval=RetrievalSpec(index="nope")), "refused", "unknown_index", "$.retrieval.index"),
        (request(ordering="key"), "refused", "no_conversation", "$.conversation_id"),
    ],
)
async def test_what_cannot_be_served_ends_with_a_field_and_what_was_expected(
    stage, asked, status, code, field
) -> None:
    (response,) = await stage.handle(asked, "t-0-1")
    assert (response.status, response.error.code, response.error.field) == (status, code, field)
    assert response.error.expected


async def test_a_toxic_request_is_blocked_before_a_model_is_paid(stage) -> None:
    stage.judge.toxicity = 0.95
    response, judged = await stage.handle(request(), "t-0-1")
    assert (response.status, response.error.code) == ("blocked", "blocked_input")
    assert judged.decision.rules == ("toxic-input",)


async def test_the_scorers_have_the_time_that_the_request_leaves_them(stage) -> None:
    await stage.handle(request(deadline=NOW + timedelta(seconds=3)), "t-0-1")
    await stage.handle(request(id="r2"), "t-0-2")
    with_deadline, without = stage.judge.timeouts
    assert 2.9 < with_deadline < 3
    assert without is None


async def test_an_id_used_by_another_record_is_set_aside_with_where_it_was_used(stage) -> None:
    await stage.handle(request(), "t-0-1")
    with pytest.raises(Unprocessable, match="t-0-1") as caught:
        await stage.handle(request(), "t-0-2")
    assert (caught.value.reason, caught.value.field) == ("duplicate_id", "$.id")


async def test_another_tenant_may_use_the_same_id(stage) -> None:
    await stage.handle(request(), "t-0-1")
    context, _ = await stage.handle(request(tenant="other"), "t-0-2")
    assert context.id == "other:r1:context"


async def test_a_record_read_again_writes_the_same_ids_again(stage) -> None:
    first = await stage.handle(request(), "t-0-1")
    second = await stage.handle(request(), "t-0-1")
    assert [event.id for event in first] == [event.id for event in second]


async def test_what_ended_at_once_ends_the_same_when_its_record_is_read_again(stage) -> None:
    """Even where it would be admitted by now: the first end was published, perhaps."""
    (first,) = await stage.handle(request(prompt=PromptRef(name="nope")), "t-0-1")
    (again,) = await stage.handle(request(), "t-0-1")
    assert again == first


async def test_a_request_that_a_model_is_asked_for_is_not_ended_by_a_second_reading(stage) -> None:
    context, _ = await stage.handle(request(), "t-0-1")
    await stage.store.claim(context)
    assert await stage.handle(request(deadline=NOW - timedelta(seconds=1)), "t-0-1") == []


async def test_a_replay_may_use_its_id_again_once(stage) -> None:
    await stage.handle(request(), "t-0-1")
    context, _ = await stage.handle(request(replay=1), "t-0-9")
    assert context.id == "default:r1:context:replay-1"
    with pytest.raises(Unprocessable, match="t-0-9"):
        await stage.handle(request(replay=1), "t-0-10")


async def fill_cache(stage, asked: GenerationRequest) -> None:
    context, _ = await stage.handle(asked, "t-0-1")
    scoring = ScoringStage(FakeJudge(), stage.policy, stage.store, FakeClock())
    answer = replace(draft(), context=context, lineage=context.lineage)
    await scoring.handle(answer)


async def test_an_equal_request_is_answered_from_the_cache_at_no_cost(stage) -> None:
    await fill_cache(stage, request())
    response, cost = await stage.handle(request(id="r2"), "t-0-2")
    assert isinstance(response, GenerationResponse)
    assert (response.cached, response.request_id, response.id) == (True, "r2", "default:r2:response")
    assert isinstance(cost, CostEvent)
    assert (cost.kind, cost.amount, cost.avoided) == ("cache_hit", Decimal(0), Decimal("0.001"))


@pytest.mark.parametrize(
    "other",
    [
        {"tenant": "other"},
        {"temperature": 0.5},
        {"max_tokens": 5},
        {"seed": 1},
        {"risk": "high"},
        {"messages": [Message(role="user", content="When does water freeze?")]},
        {"retrieval": RetrievalSpec(index="docs", top_k=2)},
    ],
)
async def test_what_differs_in_anything_that_shapes_the_answer_misses_the_cache(stage, other) -> None:
    await fill_cache(stage, request())
    context, _ = await stage.handle(request(id="r2", **other), "t-0-2")
    assert isinstance(context, RetrievedContext)


async def test_a_record_read_again_is_not_answered_from_the_cache_that_it_filled(stage) -> None:
    """Its first reading wrote a context: an answer from the cache now would be a second terminal response."""
    await fill_cache(stage, request())
    context, _ = await stage.handle(request(), "t-0-1")
    assert isinstance(context, RetrievedContext)


async def test_composed_and_decomposed_letters_are_the_same_text_to_the_cache(stage) -> None:
    await fill_cache(stage, request(messages=[Message(role="user", content="caf\u00e9")]))
    hit, _ = await stage.handle(
        request(id="r2", messages=[Message(role="user", content="cafe\u0301")]), "t-0-2"
    )
    assert isinstance(hit, GenerationResponse)


def test_only_a_completed_response_shows_the_answer() -> None:
    decision = Decision(action="block", policy="p@1")
    blocked = answered(draft(), "blocked", "secret", decision, (), draft().timings, NOW)
    assert blocked.choices == ()
    assert b"secret" not in encode(blocked)
