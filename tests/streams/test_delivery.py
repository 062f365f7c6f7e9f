"""The delivery rule: offsets are done in order, after everything is confirmed; nothing escapes or is dropped."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from agents.errors import Unprocessable
from schemas.common import Event, Message
from schemas.dead_letter import DeadLetter
from schemas.request import GenerationRequest
from streams.delivery import Delivery, Stage
from streams.ledger import StopLimit
from streams.metrics import Metrics
from streams.records import Origin, RawRecord

BODY = b'{"messages":[{"role":"user","content":"hi"}]}'


@dataclass
class Record:
    offset: int
    value: bytes | None = BODY
    topic: str = "genai.requests"
    partition: int = 0
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass
class FakePublisher:
    """Confirms at once, or when its gate opens."""

    published: list[tuple[Event, Origin]] = field(default_factory=list)
    letters: list[tuple[RawRecord, DeadLetter]] = field(default_factory=list)
    gate: asyncio.Event | None = None

    async def publish(self, events: Sequence[Event], origin: Origin) -> None:
        if self.gate:
            await self.gate.wait()
        self.published.extend((event, origin) for event in events)

    async def dead_letter(self, record: RawRecord, letter: DeadLetter) -> None:
        self.letters.append((record, letter))


async def failed(request: GenerationRequest, _: Origin) -> Sequence[Event]:
    return [GenerationRequest(messages=[Message(role="user", content="failed")])]


def delivery(
    handle, publisher: FakePublisher, window: int = 10, limit: StopLimit | None = None
) -> Delivery[GenerationRequest]:
    stage = Stage("retrieval", GenerationRequest, handle, failed, max_bytes=1_000)
    return Delivery(stage, publisher, Metrics(CollectorRegistry()), window, limit or StopLimit(0, 0.0))


def committed(rule: Delivery, partition: int = 0, generation: int = 1) -> tuple[int, list[int]]:
    """The next offset to be read by whoever comes after us, and what they need not read beyond it."""
    progress = rule.progress("genai.requests", partition, generation)
    assert progress
    return progress.next, list(progress.beyond)


async def echo(request: GenerationRequest, _: Origin) -> Sequence[Event]:
    return [request]


async def test_nothing_may_be_committed_before_the_broker_has_confirmed() -> None:
    publisher = FakePublisher(gate=asyncio.Event())
    rule = delivery(echo, publisher)
    await rule.accept([Record(0)], 1)
    await asyncio.sleep(0.01)
    assert committed(rule) == (0, [])
    publisher.gate.set()
    await rule.drain(1)
    assert committed(rule) == (1, [])


async def test_a_slow_record_holds_its_offset_back_but_no_other_work() -> None:
    slow, publisher = asyncio.Event(), FakePublisher()

    async def handle(request: GenerationRequest, origin: Origin) -> Sequence[Event]:
        if origin.offset == 0:
            await slow.wait()
        return [request]

    rule = delivery(handle, publisher)
    for offset in range(3):
        await rule.accept([Record(offset)], 1, offset or None)
    await rule.accept([Record(0, partition=1, value=b"x")], 1)
    await asyncio.sleep(0.01)
    assert [origin.offset for _, origin in publisher.published] == [1, 2]
    assert committed(rule, partition=1) == (1, [])
    assert committed(rule) == (0, [1, 2])
    slow.set()
    await rule.drain(1)
    assert committed(rule) == (3, [])


@pytest.mark.parametrize(
    ("value", "reason", "field"),
    [
        (None, "null_value", "$"),
        (b"\xff\xfe", "not_utf8", "$"),
        (b"not json", "not_json", "$"),
        (b'{"messages": 3}', "invalid", "$.messages"),
        (b"x" * 2_000, "too_large", "$"),
    ],
)
async def test_an_unreadable_record_is_set_aside_untouched_and_done(value, reason, field) -> None:
    publisher = FakePublisher()
    rule = delivery(echo, publisher)
    record = Record(7, value)
    await rule.accept([record], 1)
    await rule.drain(1)
    (kept, letter) = publisher.letters[0]
    assert kept is record
    assert (letter.reason, letter.field, letter.offset) == (reason, field, 7)
    assert committed(rule) == (8, [])
    assert publisher.published == []


async def test_a_handler_that_raises_gives_a_terminal_event_and_a_dead_letter_without_the_message() -> None:
    async def handle(request: GenerationRequest, origin: Origin) -> Sequence[Event]:
        raise RuntimeError("the prompt was: hunter2")

    publisher = FakePublisher()
    rule = delivery(handle, publisher)
    await rule.accept([Record(0)], 1)
    await rule.drain(1)
    assert publisher.letters[0][1].reason == "handler_error"
    assert "hunter2" not in publisher.letters[0][1].message
    assert publisher.published[0][0].messages[0].text() == "failed"
    assert committed(rule) == (1, [])


async def test_what_cannot_be_answered_is_a_dead_letter_with_its_field() -> None:
    async def handle(request: GenerationRequest, origin: Origin) -> Sequence[Event]:
        raise Unprocessable("duplicate_id", "used before", "$.id", "a new id")

    publisher = FakePublisher()
    rule = delivery(handle, publisher)
    await rule.accept([Record(0)], 1)
    await rule.drain(1)
    letter = publisher.letters[0][1]
    assert (letter.reason, letter.field, letter.expected) == ("duplicate_id", "$.id", "a new id")


async def test_the_window_bounds_what_is_in_flight() -> None:
    running, most, go = 0, 0, asyncio.Event()

    async def handle(request: GenerationRequest, origin: Origin) -> Sequence[Event]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go.wait()
        running -= 1
        return []

    rule = delivery(handle, FakePublisher(), window=4)
    feeding = asyncio.create_task(rule.accept([Record(i) for i in range(20)], 1))
    await asyncio.sleep(0.01)
    assert not feeding.done()
    go.set()
    await feeding
    await rule.drain(1)
    assert most == 4


async def test_an_event_of_ours_that_cannot_be_written_ends_the_request_instead_of_blocking_its_partition() -> (
    None
):
    class Strict(FakePublisher):
        async def publish(self, events: Sequence[Event], origin: Origin) -> None:
            if any(event.messages[0].text() == "hi" for event in events):
                raise ValueError("not writable")
            await super().publish(events, origin)

    publisher = Strict()
    rule = delivery(echo, publisher)
    await rule.accept([Record(0)], 1)
    await rule.drain(1)
    assert publisher.letters[0][1].reason == "handler_error"
    assert [event.messages[0].text() for event, _ in publisher.published] == ["failed"]
    assert committed(rule) == (1, [])


async def test_a_dead_letter_of_a_readable_record_names_tenant_and_request() -> None:
    async def handle(request: GenerationRequest, origin: Origin) -> Sequence[Event]:
        raise Unprocessable("duplicate_id", "used before", "$.id", "a new id")

    publisher = FakePublisher()
    rule = delivery(handle, publisher)
    value = b'{"id":"r9","tenant":"acme","messages":[{"role":"user","content":"hi"}]}'
    await rule.accept([Record(0, value)], 1)
    await rule.drain(1)
    assert (publisher.letters[0][1].tenant, publisher.letters[0][1].request_id) == ("acme", "r9")


async def test_what_is_done_of_a_chunk_may_be_committed_before_all_of_it_is() -> None:
    slow = asyncio.Event()

    async def handle(request: GenerationRequest, origin: Origin) -> Sequence[Event]:
        if origin.offset == 2:
            await slow.wait()
        return []

    rule = delivery(handle, FakePublisher())
    await rule.accept([Record(offset) for offset in range(4)], 1)
    await asyncio.sleep(0.01)
    assert committed(rule) == (2, [3])
    slow.set()
    await rule.drain(1)
    assert committed(rule) == (4, [])


def asking(text: str, conversation: str, ordering: str = "key") -> bytes:
    fields = {"conversation_id": conversation, "ordering": ordering}
    return json.dumps({**fields, "messages": [{"role": "user", "content": text}]}).encode()


async def test_requests_of_a_conversation_keep_their_order_where_they_ask_for_it() -> None:
    """The slow first of lane `a` holds back its second, not lane `b`, and not those that ask for no order."""
    slow, publisher = asyncio.Event(), FakePublisher()

    async def handle(request: GenerationRequest, origin: Origin) -> Sequence[Event]:
        if request.messages[0].text() == "a1":
            await slow.wait()
        return [request]

    rule = delivery(handle, publisher)
    values = [asking("a1", "a"), asking("a2", "a"), asking("b1", "b"), asking("free", "a", "none")]
    await rule.accept([Record(number, value) for number, value in enumerate(values)], 1)
    await asyncio.sleep(0.01)
    assert [event.messages[0].text() for event, _ in publisher.published] == ["b1", "free"]
    slow.set()
    await rule.drain(1)
    assert [event.messages[0].text() for event, _ in publisher.published] == ["b1", "free", "a1", "a2"]
    assert rule._lanes == {}


async def test_a_failing_request_does_not_hold_its_lane() -> None:
    async def handle(request: GenerationRequest, origin: Origin) -> Sequence[Event]:
        if origin.offset == 0:
            raise RuntimeError("broken")
        return [request]

    publisher = FakePublisher()
    rule = delivery(handle, publisher)
    await rule.accept([Record(0, asking("a1", "a")), Record(1, asking("a2", "a"))], 1)
    await rule.drain(1)
    assert [event.messages[0].text() for event, _ in publisher.published] == ["failed", "a2"]


async def test_a_problem_told_beside_the_events_is_a_dead_letter_after_them() -> None:
    async def handle(request: GenerationRequest, origin: Origin) -> Sequence[Event | Unprocessable]:
        return [request, Unprocessable("model_timeout", "no answer", attempts=3)]

    publisher = FakePublisher()
    rule = delivery(handle, publisher)
    await rule.accept([Record(0)], 1)
    await rule.drain(1)
    letter = publisher.letters[0][1]
    assert (len(publisher.published), letter.reason, letter.attempts) == (1, "model_timeout", 3)
    assert committed(rule) == (1, [])


async def test_a_stage_stops_at_too_many_bad_records_and_leaves_the_rest_unread() -> None:
    publisher = FakePublisher()
    rule = delivery(echo, publisher, window=1, limit=StopLimit(run=5, share=0.0))
    records = [Record(offset, b"not json") for offset in range(50)]
    feeding = asyncio.create_task(rule.accept(records, 1))
    await asyncio.sleep(0.05)
    assert rule.stopped == "5 records in a row could not be processed"
    assert (len(publisher.letters), committed(rule)) == (5, (5, []))
    assert rule.metrics.registry.get_sample_value("sluicegate_stopped", {"stage": "retrieval"}) == 1
    assert not feeding.done()
    await rule.drain(1)
    await asyncio.wait_for(feeding, 1)


async def test_ids_used_before_are_no_reason_to_stop() -> None:
    async def handle(request: GenerationRequest, origin: Origin) -> Sequence[Event]:
        raise Unprocessable("duplicate_id", "used before", "$.id", "a new id")

    rule = delivery(handle, FakePublisher(), limit=StopLimit(run=5, share=0.5))
    await rule.accept([Record(offset) for offset in range(50)], 1)
    await rule.drain(1)
    assert rule.stopped is None
