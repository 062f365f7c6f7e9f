"""The table of agents: complete, and true to what the agents return."""

from collections.abc import Sequence
from random import Random

from agents.admission import RetrievalStage
from agents.costing import Prices
from agents.errors import ModelRateLimited, ModelRejected, Unprocessable
from agents.generation import GenerationStage
from agents.passages import PassageGuard
from agents.retries import RetryStage
from agents.review import ReleaseStage
from agents.routes import Routes
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
from tests.agents.test_generation import PROMPTS, FakeProvider, FakeTime, context


def topics(events: Sequence[Event]) -> set[str]:
    return {channels.BY_EVENT[type(event)].topic for event in events}


def test_every_stage_is_wired_once_and_every_topic_has_somebody() -> None:
    assert tuple(wire.stage for wire in WIRING) == STAGES
    used = {wire.reads for wire in WIRING} | {topic for wire in WIRING for topic in wire.writes}
    assert used | {channels.DEAD_LETTERS} == {topic.name for topic in TOPICS}


def test_only_what_has_waited_already_is_fetched_slowly() -> None:
    waits = {wire.stage: (wire.fetch_wait_ms(5), wire.fetch_wait_ms(1_000)) for wire in WIRING}
    assert {waits.pop(stage) for stage in ("retries", "release")} == {(500, 1_000)}
    assert set(waits.values()) == {(5, 1_000)}


async def test_retrieval_writes_what_the_table_says(tmp_path) -> None:
    rules, store = policy(tmp_path), FakeStore()
    judge = FakeJudge()

    def describe(_, *, has_passages: bool) -> Lineage:
        return Lineage(model="openai/m")

    stage = RetrievalStage(
        retriever=FakeRetriever(),
        store=store,
        judge=judge,
        input_scorers=["toxicity"],
        policy=rules,
        describe=describe,
        clock=FakeClock(),
        guard=PassageGuard(judge, rules, []),
    )
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


async def test_generation_and_retries_write_what_the_table_says(tmp_path) -> None:
    time = FakeTime()
    path = tmp_path / "routes.yaml"
    path.write_text("default: {targets: [{provider: a}]}\n")
    errors = [ModelRateLimited("429", 30.0), ModelRejected("401")]
    provider = FakeProvider("a", errors)
    stage = GenerationStage(
        PROMPTS, {"a": provider}, Routes.load(path), Prices(), time.clock, time.sleep, Random(1)
    )
    store = FakeStore()
    (parked,) = await stage.handle(context(id="r1"), store)
    failed, letter = await stage.handle(context(id="r2"), store)
    bought = await stage.handle(context(id="r3"), store)
    assert isinstance(letter, Unprocessable)
    assert topics([parked, failed, *bought]) == set(BY_STAGE["generation"].writes)
    retries = RetryStage(time.clock, time.sleep)
    hop = await retries.handle(parked)
    time.now = parked.not_before
    assert topics([*hop, *(await retries.handle(parked))]) == set(BY_STAGE["retries"].writes)
