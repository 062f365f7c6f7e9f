"""Release: a person's decision ends a held request, once."""

import pytest

from agents.errors import Unprocessable
from agents.review import ReleaseStage
from agents.scoring import ScoringStage
from schemas.codec import encode
from schemas.review import ReviewDecision
from tests.agents.stage_fakes import FakeBook, FakeClock, FakeJudge, FakeStore, draft, policy


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
