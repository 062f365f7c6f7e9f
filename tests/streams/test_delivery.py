"""The delivery rule: acks in offset order, after everything is confirmed; nothing escapes, nothing is dropped."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from agents.errors import Unprocessable
from schemas.common import Event, Message
from schemas.dead_letter import DeadLetter
from schemas.request import GenerationRequest
from streams.delivery import Delivery, Entry, Ledger, Stage
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


def failed(request: GenerationRequest, _: Origin) -> Sequence[Event]:
    return [GenerationRequest(messages=[Message(role="user", content="failed")])]


def delivery(handle, publisher: FakePublisher, window: int = 10) -> Delivery[GenerationRequest]:
    stage = Stage("retrieval", GenerationRequest, handle, failed, max_bytes=1_000)
    return Delivery(stage, publisher, Metrics(CollectorRegistry()), window)


async def echo(request: GenerationRequest, _: Origin) -> Sequence[Event]:
    return [request]


@given(st.permutations(range(8)))
def test_acks_are_released_in_the_order_of_the_offsets(order: list[int]) -> None:
    acked: list[int] = []
    ledger = Ledger()
    entries: list[Entry] = [ledger.open(1, lambda i=i: acked.append(i)) for i in range(8)]
    finished: set[int] = set()
    for number in order:
        ledger.finish(entries[number])
        finished.add(number)
        prefix = next((i for i in range(8) if i not in finished), 8)
        assert acked == list(range(prefix))
    assert len(ledger) == 0


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.randoms())
def test_a_chunk_is_acked_when_its_last_record_is_done_and_not_before(sizes: list[int], random) -> None:
    acked: list[int] = []
    ledger = Ledger()
    left = dict(enumerate(sizes))
    entries = [ledger.open(size, lambda i=i: acked.append(i)) for i, size in left.items()]
    work = [i for i, size in enumerate(sizes) for _ in range(size)]
    random.shuffle(work)
    for number in work:
        ledger.finish(entries[number])
        left[number] -= 1
        prefix = next((i for i, n in left.items() if n), len(sizes))
        assert acked == list(range(prefix))


async def test_nothing_is_acked_before_the_broker_has_confirmed() -> None:
    publisher, acked = FakePublisher(gate=asyncio.Event()), []
    rule = delivery(echo, publisher)
    await rule.accept([Record(0)], 1, lambda: acked.append(0))
    await asyncio.sleep(0.01)
    assert acked == []
    publisher.gate.set()
    await rule.drain(1)
    assert acked == [0]


async def test_a_slow_record_holds_its_partition_back_but_no_other_work() -> None:
    slow, publisher, acked = asyncio.Event(), FakePublisher(), []

    async def handle(request: GenerationRequest, origin: Origin) -> Sequence[Event]:
        if origin.offset == 0:
            await slow.wait()
        return [request]

    rule = delivery(handle, publisher)
    for offset in range(3):
        await rule.accept([Record(offset)], 1, lambda o=offset: acked.append(o))
    await rule.accept([Record(0, partition=1, value=b"x")], 1, lambda: acked.append("other partition"))
    await asyncio.sleep(0.01)
    assert [origin.offset for _, origin in publisher.published] == [1, 2]
    assert acked == ["other partition"]
    slow.set()
    await rule.drain(1)
    assert acked == ["other partition", 0, 1, 2]


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
async def test_an_unreadable_record_is_set_aside_untouched_and_acked(value, reason, field) -> None:
    publisher, acked = FakePublisher(), []
    rule = delivery(echo, publisher)
    record = Record(7, value)
    await rule.accept([record], 1, lambda: acked.append(7))
    await rule.drain(1)
    (kept, letter) = publisher.letters[0]
    assert kept is record
    assert (letter.reason, letter.field, letter.offset) == (reason, field, 7)
    assert acked == [7]
    assert publisher.published == []


async def test_a_handler_that_raises_gives_a_terminal_event_and_a_dead_letter_without_the_message() -> None:
    async def handle(request: GenerationRequest, origin: Origin) -> Sequence[Event]:
        raise RuntimeError("the prompt was: hunter2")

    publisher, acked = FakePublisher(), []
    rule = delivery(handle, publisher)
    await rule.accept([Record(0)], 1, lambda: acked.append(0))
    await rule.drain(1)
    assert publisher.letters[0][1].reason == "handler_error"
    assert "hunter2" not in publisher.letters[0][1].message
    assert publisher.published[0][0].messages[0].text() == "failed"
    assert acked == [0]


async def test_what_cannot_be_answered_is_a_dead_letter_with_its_field() -> None:
    async def handle(request: GenerationRequest, origin: Origin) -> Sequence[Event]:
        raise Unprocessable("duplicate_id", "used before", "$.id", "a new id")

    publisher = FakePublisher()
    rule = delivery(handle, publisher)
    await rule.accept([Record(0)], 1, lambda: None)
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
    feeding = asyncio.create_task(rule.accept([Record(i) for i in range(20)], 1, lambda: None))
    await asyncio.sleep(0.01)
    assert not feeding.done()
    go.set()
    await feeding
    await rule.drain(1)
    assert most == 4


async def test_a_new_generation_starts_a_ledger_of_its_own() -> None:
    """Work of a lost assignment that ends late must not hold back, or release, the acks of the new one."""
    old, acked = asyncio.Event(), []

    async def handle(request: GenerationRequest, origin: Origin) -> Sequence[Event]:
        if origin.offset == 0 and not old.is_set():
            await old.wait()
        return []

    rule = delivery(handle, FakePublisher())
    await rule.accept([Record(0)], 1, lambda: acked.append("old"))
    await asyncio.sleep(0.01)
    await rule.accept([Record(5)], 2, lambda: acked.append("new"))
    await asyncio.sleep(0.01)
    assert acked == ["new"]
    old.set()
    await rule.drain(1)


async def test_draining_cuts_off_at_the_limit_and_leaves_the_rest_unacked() -> None:
    async def handle(request: GenerationRequest, origin: Origin) -> Sequence[Event]:
        await asyncio.sleep(60)
        return []

    acked: list[int] = []
    rule = delivery(handle, FakePublisher())
    await rule.accept([Record(0)], 1, lambda: acked.append(0))
    assert await rule.drain(0.01) == 1
    assert acked == []


async def test_an_event_of_ours_that_cannot_be_written_ends_the_request_instead_of_blocking_its_partition() -> (
    None
):
    class Strict(FakePublisher):
        async def publish(self, events: Sequence[Event], origin: Origin) -> None:
            if any(event.messages[0].text() == "hi" for event in events):
                raise ValueError("not writable")
            await super().publish(events, origin)

    publisher, acked = Strict(), []
    rule = delivery(echo, publisher)
    await rule.accept([Record(0)], 1, lambda: acked.append(0))
    await rule.drain(1)
    assert publisher.letters[0][1].reason == "handler_error"
    assert [event.messages[0].text() for event, _ in publisher.published] == ["failed"]
    assert acked == [0]


async def test_a_dead_letter_of_a_readable_record_names_tenant_and_request() -> None:
    async def handle(request: GenerationRequest, origin: Origin) -> Sequence[Event]:
        raise Unprocessable("duplicate_id", "used before", "$.id", "a new id")

    publisher = FakePublisher()
    rule = delivery(handle, publisher)
    value = b'{"id":"r9","tenant":"acme","messages":[{"role":"user","content":"hi"}]}'
    await rule.accept([Record(0, value)], 1, lambda: None)
    await rule.drain(1)
    assert (publisher.letters[0][1].tenant, publisher.letters[0][1].request_id) == ("acme", "r9")
