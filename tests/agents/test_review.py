"""Release: a person's decision ends a held request, once; the policy's does when nobody decides."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from agents.errors import Unprocessable
from agents.policy import Policy
from agents.policy_file import ReviewTerms
from agents.review import ReleaseStage, due, expires
from agents.scoring import ScoringStage
from schemas.codec import encode
from schemas.review import Review, ReviewDecision
from tests.agents.stage_fakes import POLICY, FakeBook, FakeClock, FakeJudge, FakeStore, draft, policy


@pytest.fixture
async def stage(tmp_path) -> ReleaseStage:
    rules, clock = policy(tmp_path), FakeClock()
    held, *_ = await ScoringStage(FakeJudge(groundedness=0.1), rules, FakeStore(), clock).handle(draft())
    book = FakeBook({("default", "r1"): held})
    return ReleaseStage(book, FakeJudge(), rules, clock)


def word(action: str, **fields: object) -> ReviewDecision:
    return ReviewDecision(request_id="r1", action=action, reviewer="ann", **fields)  # type: ignore[arg-type]


async def test_an_approved_answer_is_released_as_it_was(stage) -> None:
    response, review, judged = await stage.handle(word("approve"))
    assert (response.status, response.text()) == ("completed", "At 100 degrees [1].")
    assert response.id == "default:r1:response"
    assert response.timings.review_ms > 0
    assert (review.state, review.resolution.reviewer) == ("approved", "ann")
    assert (judged.stage, judged.decided_by) == ("review", "reviewer:ann")


async def test_a_rejected_answer_never_leaves(stage) -> None:
    response, review, judged = await stage.handle(word("reject"))
    assert (response.status, review.state, judged.decision.action) == ("blocked", "rejected", "block")
    assert b"100 degrees" not in encode(response)


async def test_an_edited_answer_is_judged_again_and_released(stage) -> None:
    response, review, _ = await stage.handle(word("edit", text="At 100 degrees Celsius [1]."))
    assert (response.text(), review.state) == ("At 100 degrees Celsius [1].", "edited")
    assert stage.judge.judged[0].text == "At 100 degrees Celsius [1]."
    assert [citation.number for citation in response.citations] == [1]


async def test_an_edit_cannot_carry_out_what_the_policy_blocks(stage) -> None:
    stage.judge.toxicity = 0.95
    response, *_ = await stage.handle(word("edit", text="You toad."))
    assert response.status == "blocked"
    assert b"toad" not in encode(response)


async def test_a_persons_yes_does_not_undo_a_redaction(stage) -> None:
    response, *_ = await stage.handle(word("edit", text="Ask ann@example.org."))
    assert response.text() == "Ask [REDACTED:email]."


async def test_the_same_decision_read_again_writes_the_same_ids(stage) -> None:
    first = await stage.handle(word("approve"))
    stage.book["default", "r1"] = first[1]
    second = await stage.handle(word("approve"))
    assert [event.id for event in first] == [event.id for event in second]


@pytest.mark.parametrize(
    ("decision", "reason", "field"),
    [
        (
            ReviewDecision(request_id="other", action="approve", reviewer="a"),
            "unknown_review",
            "$.request_id",
        ),
        (
            ReviewDecision(request_id="r1", tenant="other", action="approve", reviewer="a"),
            "unknown_review",
            "$.request_id",
        ),
        (word("edit"), "invalid", "$.text"),
    ],
)
async def test_a_decision_about_nothing_is_set_aside(stage, decision, reason, field) -> None:
    with pytest.raises(Unprocessable) as caught:
        await stage.handle(decision)
    assert (caught.value.reason, caught.value.field) == (reason, field)


async def test_a_second_opinion_comes_too_late(stage) -> None:
    _, resolved, _ = await stage.handle(word("approve"))
    stage.book["default", "r1"] = resolved
    with pytest.raises(Unprocessable) as caught:
        await stage.handle(word("reject"))
    assert caught.value.reason == "already_decided"


TERMS = ReviewTerms(escalate_after_s=60, expire_after_s=600)
ESCALATE = ReviewDecision(request_id="r1", action="escalate", reviewer="sluicegate")
EXPIRE = ReviewDecision(request_id="r1", action="expire", reviewer="sluicegate")


@pytest.fixture
def hurried(stage, tmp_path) -> ReleaseStage:
    """The same stage under a policy that escalates after a minute and expires after ten."""
    path = tmp_path / "hurried.yaml"
    path.write_text(POLICY + "review: {escalate_after_s: 60, expire_after_s: 600}\n")
    stage.policy = Policy.load(path)
    return stage


def held(stage: ReleaseStage) -> Review:
    return stage.book["default", "r1"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("after_s", "expected"), [(0, None), (59, None), (60, ESCALATE), (599, ESCALATE), (600, EXPIRE)]
)
async def test_what_is_due_depends_on_how_long_nobody_decided(stage, after_s, expected) -> None:
    review = held(stage)
    assert due(review, TERMS, review.created + timedelta(seconds=after_s)) == expected


async def test_nothing_is_due_twice_nor_after_a_decision_nor_without_terms(stage) -> None:
    review = held(stage)
    at = review.created + timedelta(seconds=100)
    assert due(replace(review, escalated=at), TERMS, at) is None
    assert due(replace(review, escalated=at), TERMS, at + timedelta(seconds=600)) == EXPIRE
    assert due(replace(review, state="approved"), TERMS, at + timedelta(days=9)) is None
    assert due(review, ReviewTerms(), at + timedelta(days=999)) is None


async def test_it_is_known_when_a_review_expires(stage) -> None:
    review = held(stage)
    assert expires(review, TERMS) == review.created + timedelta(seconds=600)
    assert expires(review, ReviewTerms(escalate_after_s=1)) is None


async def test_an_escalated_review_still_waits_and_its_event_has_an_id_of_its_own(hurried) -> None:
    hurried.clock.now += timedelta(seconds=61)
    review, judged = await hurried.handle(ESCALATE)
    assert (review.state, review.escalated, review.resolution) == ("pending", hurried.clock.now, None)
    assert judged.id == "default:r1:moderation:review-escalated"
    assert (judged.stage, judged.decided_by, judged.created) == ("review", "sluicegate", review.escalated)
    assert (judged.decision.action, judged.decision.rules) == ("review", ("review-escalated",))
    assert judged.decision.policy == hurried.policy.label


async def test_an_escalation_read_again_is_the_same_to_the_byte(hurried) -> None:
    hurried.clock.now += timedelta(seconds=61)
    first = await hurried.handle(ESCALATE)
    hurried.book["default", "r1"] = first[0]
    second = await hurried.handle(ESCALATE)
    assert [encode(event) for event in first] == [encode(event) for event in second]


async def test_a_person_may_still_decide_after_an_escalation(hurried) -> None:
    hurried.clock.now += timedelta(seconds=61)
    hurried.book["default", "r1"], _ = await hurried.handle(ESCALATE)
    response, review, judged = await hurried.handle(word("approve"))
    assert (response.status, review.state) == ("completed", "approved")
    assert review.escalated is not None
    assert judged.id == "default:r1:moderation:review"


async def test_an_expired_review_ends_as_blocked_and_its_answer_never_leaves(hurried) -> None:
    hurried.clock.now += timedelta(seconds=601)
    response, review, judged = await hurried.handle(EXPIRE)
    assert (response.id, response.status) == ("default:r1:response", "blocked")
    assert response.error.code == "review_expired"
    assert "nobody decided" in response.error.reason
    assert (review.state, review.resolution) == ("expired", EXPIRE)
    assert (judged.id, judged.decided_by) == ("default:r1:moderation:review", "sluicegate")
    assert (judged.decision.action, judged.decision.rules) == ("block", ("review-expired",))
    assert b"100 degrees" not in encode(response)


async def test_an_expiry_read_again_writes_the_same_ids(hurried) -> None:
    hurried.clock.now += timedelta(seconds=601)
    first = await hurried.handle(EXPIRE)
    hurried.book["default", "r1"] = first[1]
    second = await hurried.handle(EXPIRE)
    assert [event.id for event in first] == [event.id for event in second]
    assert second[0].error.code == "review_expired"
    assert await hurried.handle(ESCALATE) == []


@pytest.mark.parametrize("late", [ESCALATE, EXPIRE])
async def test_the_clock_comes_too_late_after_a_person_and_that_is_no_mistake(hurried, late) -> None:
    _, hurried.book["default", "r1"], _ = await hurried.handle(word("approve"))
    hurried.clock.now += timedelta(days=1)
    assert await hurried.handle(late) == []


@pytest.mark.parametrize("early", [ESCALATE, EXPIRE])
async def test_the_clock_is_not_believed_before_the_time_of_the_policy(hurried, early) -> None:
    assert await hurried.handle(early) == []


async def test_a_person_comes_too_late_after_the_expiry(hurried) -> None:
    hurried.clock.now += timedelta(seconds=601)
    _, hurried.book["default", "r1"], _ = await hurried.handle(EXPIRE)
    with pytest.raises(Unprocessable) as caught:
        await hurried.handle(word("approve"))
    assert caught.value.reason == "already_decided"


@pytest.mark.parametrize("action", ["escalate", "expire"])
async def test_a_person_cannot_speak_for_the_policy(hurried, action) -> None:
    hurried.clock.now += timedelta(seconds=601)
    with pytest.raises(Unprocessable) as caught:
        await hurried.handle(word(action))
    assert (caught.value.reason, caught.value.field) == ("invalid", "$.action")
