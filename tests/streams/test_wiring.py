"""The table of agents: complete, and true to what the agents return."""

from collections.abc import Sequence

from agents.admission import RetrievalStage
from agents.review import ReleaseStage
from agents.scoring import ScoringStage
from schemas import channels
from schemas.common import Event, Lineage
from schemas.review import ReviewDecision
from streams.settings import STAGES
from streams.topics import TOPICS
from streams.wiring import BY_STAGE, WIRING
from tests.agents.stage_fakes import (
    FakeBook,
    FakeClock,
    FakeJudge,
    FakeRetriever,
    FakeStore,
    draft,
    policy,
    request,
)


def topics(events: Sequence[Event]) -> set[str]:
    return {channels.BY_EVENT[type(event)].topic for event in events}


def test_every_stage_is_wired_once_and_every_topic_has_somebody() -> None:
    assert tuple(wire.stage for wire in WIRING) == STAGES
    used = {wire.reads for wire in WIRING} | {topic for wire in WIRING for topic in wire.writes}
    assert used | {channels.DEAD_LETTERS} == {topic.name for topic in TOPICS}


async def test_retrieval_writes_what_the_table_says(tmp_path) -> None:
    rules, store = policy(tmp_path), FakeStore()
    judge = FakeJudge()

    def describe(_, *, has_passages: bool) -> Lineage:
        return Lineage(model="openai/m")

    stage = RetrievalStage(FakeRetriever(), store, judge, ["toxicity"], rules, describe, FakeClock())
    context, *rest = await stage.handle(request(), "t-0-0")
    written = topics([context, *rest])
    scoring = ScoringStage(judge, rules, store, FakeClock())
    await scoring.handle(draft(context=context, lineage=context.lineage))
    written |= topics(await stage.handle(request(id="r2"), "t-0-1"))
    judge.toxicity = 1.0
    written |= topics(await stage.handle(request(id="r3", seed=3), "t-0-2"))
    assert written == set(BY_STAGE["retrieval"].writes)


async def test_scoring_and_release_write_what_the_table_says(tmp_path) -> None:
    rules = policy(tmp_path)
    scoring = ScoringStage(FakeJudge(groundedness=0.1), rules, FakeStore(), FakeClock())
    held = await scoring.handle(draft())
    assert topics(held) == set(BY_STAGE["scoring"].writes)
    release = ReleaseStage(FakeBook({("default", "r1"): held[0]}), FakeJudge(), rules, FakeClock())
    events = await release.handle(ReviewDecision(request_id="r1", action="approve", reviewer="ann"))
    assert topics(events) == set(BY_STAGE["release"].writes)
