"""Scoring: released, redacted, held or blocked; only whole answers are remembered."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from agents.policy import Policy
from agents.ports import ScoreInput
from agents.scorers.engine import ScoringEngine
from agents.scoring import ScoringStage
from schemas.codec import encode
from schemas.common import Lineage
from schemas.response import GenerationResponse
from schemas.score import Score
from tests.agents.stage_fakes import NOW, FakeClock, FakeJudge, FakeStore, draft, policy, request
from tests.agents.test_policy import DEFAULT


@pytest.fixture
def stage(tmp_path) -> ScoringStage:
    return ScoringStage(FakeJudge(), policy(tmp_path), FakeStore(), FakeClock())


async def test_a_good_answer_is_released_with_scores_cost_and_lineage(stage) -> None:
    response, judged = await stage.handle(draft())
    assert (response.status, response.text()) == ("completed", "At 100 degrees [1].")
    assert {score.name for score in response.scores} == {"toxicity", "groundedness"}
    assert response.cost == draft().cost
    assert response.lineage.model == "openai/m"
    assert response.timings.total_ms > 0
    assert (judged.stage, judged.decision.action) == ("output", "allow")


async def test_a_toxic_answer_is_blocked_and_nowhere_in_what_leaves(stage) -> None:
    stage.judge.toxicity = 0.95
    events = await stage.handle(draft("You poisonous toad."))
    assert events[0].status == "blocked"
    assert all(b"toad" not in encode(event) for event in events)


async def test_an_ungrounded_answer_waits_for_a_person(stage) -> None:
    stage.judge.groundedness = 0.1
    review, pending, judged = await stage.handle(draft())
    assert (review.state, review.draft.answer) == ("pending", "At 100 degrees [1].")
    assert (pending.status, pending.terminal, pending.choices) == ("pending_review", False, ())
    assert pending.id != "default:r1:response"
    assert judged.decision.rules == ("ungrounded",)


async def test_what_a_failed_scorer_means_is_for_the_policy_to_say(stage) -> None:
    stage.judge.toxicity = None
    review, *_ = await stage.handle(draft())
    assert review.decision.rules == ("unscored",)


async def test_the_scorers_have_the_time_that_the_request_leaves_them(stage) -> None:
    await stage.handle(draft())
    await stage.handle(draft(request=request(id="r2", deadline=NOW + timedelta(seconds=3))))
    without, with_deadline = stage.judge.timeouts
    assert without is None
    assert 2.9 < with_deadline < 3


async def test_an_answer_whose_deadline_is_over_is_neither_judged_nor_shown(stage) -> None:
    late = draft("At 100 degrees [1].", request=request(deadline=NOW))
    (response,) = await stage.handle(late)
    assert (response.status, response.error.code, response.choices) == ("expired", "deadline_passed", ())
    assert (response.cost, response.usage, response.lineage) == (late.cost, late.usage, late.lineage)
    assert stage.judge.judged == []
    assert await stage.handle(late) == [response]


async def test_a_redacted_answer_leaves_without_the_matched_text(stage) -> None:
    events = await stage.handle(draft("Write to ann@example.org now."))
    response = events[0]
    assert response.text() == "Write to [REDACTED:email] now."
    assert response.decision.redacted == {"email": 1}
    assert all(b"ann@" not in encode(event) for event in events)


@pytest.mark.parametrize(
    ("answer", "remembered"),
    [
        (draft(), True),
        (draft(finish_reason="length"), False),
        (draft("Write to ann@example.org."), False),
        (draft(lineage=Lineage(model="openai/fallback")), False),
    ],
    ids=["whole", "truncated", "redacted", "from a fallback"],
)
async def test_only_a_whole_answer_is_remembered(stage, answer, remembered) -> None:
    await stage.handle(answer)
    assert bool(stage.store.cache) is remembered


async def test_an_answer_whose_check_failed_is_not_remembered(stage) -> None:
    stage.judge.groundedness = None
    response, _ = await stage.handle(draft())
    assert response.status == "completed"
    assert stage.store.cache == {}


async def test_a_draft_judged_again_keeps_its_first_verdict(stage) -> None:
    """A scorer that fails at the second reading must not hold back what was released at the first."""
    first = await stage.handle(draft())
    stage.judge.toxicity = 0.95
    assert await stage.handle(draft()) == first


class FakeScorer:
    """Gives every text the same value."""

    def __init__(self, name: str, value: float, languages: frozenset[str] | None) -> None:
        self.name, self.version, self.languages = name, f"{name}@0123abcd", languages
        self.value = value

    def score(self, batch: Sequence[ScoreInput]) -> list[Score]:
        return [Score(name=self.name, version=self.version, status="ok", value=self.value) for _ in batch]


@pytest.mark.parametrize(
    ("risk", "answer", "status", "rules"),
    [
        ("low", "Wasser kocht bei hundert Grad.", "completed", ("toxicity-language-unknown-low-risk",)),
        ("medium", "Wasser kocht bei hundert Grad.", "pending_review", ("toxicity-language-unknown",)),
        ("medium", "Water boils at one hundred degrees.", "completed", ()),
    ],
)
async def test_an_answer_in_a_language_that_the_scorer_does_not_know_is_for_the_policy(
    risk, answer, status, rules
) -> None:
    """With the real engine, detection and default policy."""
    english = FakeScorer("toxicity", 0.0, frozenset({"en"}))
    engine = ScoringEngine([english, FakeScorer("groundedness", 1.0, None)], timeout_s=10)
    await engine.start()
    stage = ScoringStage(engine, Policy.load(DEFAULT), FakeStore(), FakeClock())
    events = await stage.handle(draft(answer, request=request(risk=risk)))
    await engine.aclose()
    response = next(event for event in events if isinstance(event, GenerationResponse))
    assert (response.status, response.decision.rules) == (status, rules)
