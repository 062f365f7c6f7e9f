"""The clock of held answers: says what is due, once, on one worker, whatever was before."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError
from msgspec.structs import replace

from agents.policy import Policy
from agents.review import ReleaseStage
from schemas.codec import encode
from schemas.common import Event
from schemas.review import Review
from schemas.score import Decision
from streams.cli.review import shown, waiting_rows
from streams.expiry import Expiry
from streams.records import Origin
from streams.reviews import last_state
from tests.agents.stage_fakes import NOW, POLICY, FakeJudge, draft, request


def review(name: str = "r1", **fields: object) -> Review:
    held = draft()
    asked = request(id=name, risk=fields.pop("risk", "low"))
    return Review(
        id=f"default:{name}:review",
        draft=replace(held, context=replace(held.context, request=asked)),
        scores=(),
        decision=Decision(action="review", policy="test@1"),
        **{"state": "pending", "created": NOW, **fields},  # type: ignore[arg-type]
    )


@dataclass
class Book:
    """Reviews by request id; away while `away` holds an error."""

    reviews: dict[str, Review]
    away: Exception | None = None
    looks: int = 0

    async def pending(self) -> list[Review]:
        self.looks += 1
        if self.away is not None:
            raise self.away
        return [review for review in self.reviews.values() if review.state == "pending"]

    async def find(self, _: str, request_id: str) -> Review | None:
        return self.reviews.get(request_id)


@dataclass
class Published:
    """Notes what was published."""

    events: list[Event] = field(default_factory=list)

    async def publish(self, events: Sequence[Event], _: Origin) -> None:
        self.events += events

    @property
    def words(self) -> list[tuple[str, str]]:
        return [(event.request_id, event.action) for event in self.events]  # type: ignore[attr-defined]


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def after(self, seconds: float) -> None:
        self.now = NOW + timedelta(seconds=seconds)


@pytest.fixture
def rules(tmp_path: Path) -> Policy:
    path = tmp_path / "p.yaml"
    section = "review: {escalate_after_s: 60, expire_after_s: 600, by_risk: {high: {expire_after_s: 120}}}\n"
    path.write_text(POLICY + section)
    return Policy.load(path)


@dataclass
class Setting:
    """An Expiry and all it is given."""

    policy: Policy
    book: Book
    out: Published = field(default_factory=Published)
    clock: Clock = field(default_factory=Clock)
    assigned: bool = True
    counted: list[str] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)

    def expiry(self) -> Expiry:
        return Expiry(
            book=self.book,
            publisher=self.out,
            policy=self.policy,
            clock=self.clock,
            assigned=lambda: self.assigned,
            on_due=self.counted.append,
            on_pending=self.waiting.append,
            every_s=0.01,
        )


@pytest.fixture
def given(rules: Policy) -> Setting:
    return Setting(rules, Book({"r1": review()}))


async def test_nothing_is_said_before_its_time(given) -> None:
    given.clock.after(59)
    await given.expiry().look()
    assert (given.out.words, given.waiting) == ([], [1])


async def test_what_is_due_is_said_and_counted(given) -> None:
    given.book.reviews |= {"old": review("old", created=NOW - timedelta(hours=1)), "risky": review("risky")}
    given.book.reviews["risky"] = review("risky", risk="high", escalated=NOW)
    given.clock.after(120)
    await given.expiry().look()
    assert given.out.words == [("r1", "escalate"), ("old", "expire"), ("risky", "expire")]
    assert given.counted == ["escalate", "expire", "expire"]
    assert given.waiting == [3]


async def test_the_same_is_not_said_again_while_the_release_stage_has_not_got_to_it(given) -> None:
    expiry = given.expiry()
    for second in (60, 65, 119):
        given.clock.after(second)
        await expiry.look()
    assert given.out.words == [("r1", "escalate")]
    given.clock.after(120)
    await expiry.look()
    assert given.out.words == [("r1", "escalate")] * 2


async def test_an_escalation_that_was_said_does_not_hide_the_expiry(given) -> None:
    expiry = given.expiry()
    given.clock.after(599)
    await expiry.look()
    given.clock.after(600)
    await expiry.look()
    assert given.out.words == [("r1", "escalate"), ("r1", "expire")]


async def test_a_later_review_under_the_same_id_is_another_one(given) -> None:
    expiry = given.expiry()
    given.clock.after(600)
    await expiry.look()
    given.book.reviews["r1"] = review(created=NOW - timedelta(seconds=1))
    await expiry.look()
    assert given.out.words == [("r1", "expire")] * 2


async def test_what_was_carried_out_is_forgotten(given) -> None:
    expiry = given.expiry()
    given.clock.after(600)
    await expiry.look()
    given.book.reviews["r1"] = review(state="expired")
    await expiry.look()
    assert expiry._sent == {}


async def test_a_worker_that_is_not_assigned_does_not_even_look(given) -> None:
    given.assigned = False
    given.clock.after(600)
    await given.expiry().look()
    assert (given.book.looks, given.out.words, given.waiting) == (0, [], [0])


async def test_a_worker_that_starts_anew_says_what_is_due_and_the_end_is_the_same(given) -> None:
    given.clock.after(60)
    await given.expiry().look()
    stage = ReleaseStage(given.book, FakeJudge(), given.policy, given.clock)
    given.book.reviews["r1"], _ = await stage.handle(given.out.events[0])
    given.clock.after(600)
    await given.expiry().look()
    await given.expiry().look()  # another worker that knows nothing of the first
    assert given.out.words == [("r1", "escalate"), ("r1", "expire"), ("r1", "expire")]
    first = await stage.handle(given.out.events[1])
    given.book.reviews["r1"] = first[1]
    second = await stage.handle(given.out.events[2])
    assert [encode(event) for event in first] == [encode(event) for event in second]


@pytest.mark.parametrize("error", [KafkaConnectionError("gone"), OSError("gone"), TimeoutError()])
async def test_it_outlives_a_broker_that_is_away(given, error) -> None:
    given.clock.after(60)
    given.book.away = error
    running = asyncio.create_task(given.expiry().run())
    async with asyncio.timeout(5):
        while given.book.looks < 3:
            await asyncio.sleep(0.01)
        assert not running.done()
        given.book.away = None
        while not given.out.events:
            await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert given.out.words == [("r1", "escalate")]


async def test_a_decided_review_does_not_wait_again_because_a_waiting_state_is_read_late() -> None:
    expired = review(state="expired", resolved=NOW)
    assert last_state(review(), expired) == expired
    assert last_state(expired, review(escalated=NOW)) == expired


async def test_a_later_review_under_the_same_id_waits_like_any_other() -> None:
    later = review(created=NOW + timedelta(days=2))
    assert last_state(review(state="expired", resolved=NOW), later) == later
    assert last_state(None, later) == later


def test_the_list_shows_escalated_reviews_first_and_when_each_expires(given) -> None:
    at = NOW + timedelta(seconds=3700)
    older, younger = review("older"), review("younger", created=NOW + timedelta(hours=1), risk="high")
    urgent = review("urgent", created=NOW + timedelta(hours=1), escalated=at)
    rows = waiting_rows([older, younger, urgent], given.policy.review_terms, at)
    assert [row["request_id"] for row in rows] == ["urgent", "older", "younger"]
    assert [row["waited_s"] for row in rows] == [100, 3700, 100]
    assert [row["expires"] for row in rows] == [
        "2026-01-02T04:14:05+00:00",
        "2026-01-02T03:14:05+00:00",
        "2026-01-02T04:06:05+00:00",
    ]
    people = [shown(row, at) for row in rows]
    assert [row["waited"] for row in people] == ["1 min", "1 h 1 min", "1 min"]
    assert [row["expires in"] for row in people] == ["8 min", "now", "20 s"]
    assert [row["escalated"] for row in people] == ["yes", "", ""]


def test_the_list_says_nothing_of_an_end_that_no_policy_sets() -> None:
    (row,) = waiting_rows([review()], None, NOW)
    assert row["expires"] is None
    assert shown(row, NOW)["expires in"] == ""
