"""What the stages give the vault, before they release anything."""

import pytest

from agents.policy import Policy
from agents.redaction import restore
from agents.review import ReleaseStage
from agents.scoring import ScoringStage
from schemas.common import Citation
from schemas.review import ReviewDecision
from tests.agents.stage_fakes import FakeBook, FakeClock, FakeJudge, FakeStore, draft, request
from tests.conformance.vault import VaultContract
from tests.fakes import FakeVault

POLICY = """
name: test
placeholders: numbered
vault: {keep_for_s: 3600}
redactions:
  email: {detector: email}
output:
  rules:
    - {id: unscored, when: {score: toxicity, missing: true}, action: review}
    - {id: email, when: {matches: email}, action: redact}
"""
ANSWER = "Ask ann@example.org, or bob@example.org; ann@example.org is faster [1]."
LEFT = "Ask [REDACTED:email:1], or [REDACTED:email:2]; [REDACTED:email:1] is faster [1]."


class TestFakeVault(VaultContract):
    @pytest.fixture
    def vault(self) -> FakeVault:
        return FakeVault()


@pytest.fixture
def policy(tmp_path) -> Policy:
    path = tmp_path / "test.yaml"
    path.write_text(POLICY)
    return Policy.load(path)


@pytest.fixture
def stage(policy) -> ScoringStage:
    return ScoringStage(FakeJudge(), policy, FakeStore(), FakeClock(), vault=FakeVault())


async def test_a_redacted_answer_can_be_restored(stage) -> None:
    response, _ = await stage.handle(draft(ANSWER))
    assert response.text() == LEFT
    (kept,) = await stage.vault.recall("default", "r1")
    assert restore(response.text(), kept.values) == ANSWER


async def test_an_answer_that_is_read_again_leaves_the_same(stage) -> None:
    first, _ = await stage.handle(draft(ANSWER))
    stage.store = FakeStore()  # Redis forgot the verdict
    again, _ = await stage.handle(draft(ANSWER))
    assert again.choices == first.choices
    assert len(await stage.vault.recall("default", "r1")) == 1


async def test_when_the_vault_is_away_the_answer_leaves_redacted(stage) -> None:
    stage.vault.away = True
    response, _ = await stage.handle(draft(ANSWER))
    assert response.text() == LEFT
    assert await stage.vault.recall("default", "r1") == []


async def test_an_answer_without_personal_data_is_not_kept(stage) -> None:
    await stage.handle(draft())
    assert stage.vault.kept == {}


async def test_what_is_quoted_from_passages_is_redacted_with_the_same_placeholders(stage) -> None:
    quoted = Citation(
        number=1, passage_id="p1", source="s", text="bob@example.org, eve@example.org", start=0, end=32
    )
    response, _ = await stage.handle(draft(ANSWER, citations=(quoted,)))
    assert response.citations[0].text == "[REDACTED:email:2], [REDACTED:email:3]"


async def test_a_released_review_is_kept_as_it_left(policy) -> None:
    scoring = ScoringStage(FakeJudge(toxicity=None), policy, FakeStore(), FakeClock(), vault=FakeVault())
    review = (await scoring.handle(draft(ANSWER)))[0]
    assert scoring.vault.kept == {}
    book = FakeBook({("default", "r1"): review})
    release = ReleaseStage(book, FakeJudge(), policy, FakeClock(), vault=FakeVault())
    response, *_ = await release.handle(ReviewDecision(request_id="r1", action="approve", reviewer="jo"))
    assert (response.text(), response.decision.action) == (LEFT, "redact")
    assert restore(LEFT, (await release.vault.recall("default", "r1"))[0].values) == ANSWER


async def test_a_rejected_review_is_not_kept(policy) -> None:
    scoring = ScoringStage(FakeJudge(toxicity=None), policy, FakeStore(), FakeClock())
    book = FakeBook({("default", "r1"): (await scoring.handle(draft(ANSWER)))[0]})
    release = ReleaseStage(book, FakeJudge(), policy, FakeClock(), vault=FakeVault())
    response, *_ = await release.handle(ReviewDecision(request_id="r1", action="reject", reviewer="jo"))
    assert (response.status, response.text(), response.decision.action) == ("blocked", "", "block")
    assert release.vault.kept == {}


async def test_numbers_go_on_after_those_of_the_conversation(policy) -> None:
    from schemas.common import Message

    asked = request(messages=[Message(role="user", content="Who is [REDACTED:email:7]?")])
    stage = ScoringStage(FakeJudge(), policy, FakeStore(), FakeClock(), vault=FakeVault())
    response, _ = await stage.handle(draft("It is ann@example.org.", request=asked))
    assert response.text() == "It is [REDACTED:email:8]."
