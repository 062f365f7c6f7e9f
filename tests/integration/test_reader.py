"""The thread that reads, on both brokers: nobody taking records, a group that grows, going back, the end."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from kafka import KafkaProducer

from streams.reader import Batch, Place, Reader, consumer_of
from streams.settings import Settings
from tests.integration.conftest import Broker

PARTITIONS = 2
HELD_BACK = 2 * 256
"""What a reader reads ahead while nobody takes it."""


class Owner:
    """Notes what it is told; takes what arrives when it is let."""

    def __init__(self) -> None:
        self.reader: Reader
        self.arrivals: list[Sequence[Batch]] = []
        self.held: set[Place] = set()
        self.deals = 0
        self.error: BaseException | None = None
        self.on_taken_away: Callable[[], Awaitable[None]] | None = None

    def arrived(self, batches: Sequence[Batch]) -> None:
        self.arrivals.append(batches)

    async def dealt(self, places: set[Place], generation: int) -> None:
        self.held, self.deals = places, self.deals + 1

    async def taken_away(self, places: set[Place]) -> None:
        if self.on_taken_away is not None:
            await self.on_taken_away()
        self.held -= places

    async def failed(self, error: BaseException) -> None:
        self.error = error

    def offsets(self) -> list[tuple[int, int]]:
        """Partition and offset of all that has arrived."""
        return [
            (record.partition, record.offset)
            for batches in self.arrivals
            for batch in batches
            for record in batch.records
        ]

    async def take_until(self, condition: Callable[[], bool], taken: int = 0) -> int:
        """Take what arrives; returns how many times something was taken."""
        while not condition():
            while taken < len(self.arrivals):
                taken += 1
                self.reader.took()
            await asyncio.sleep(0.02)
        return taken


@asynccontextmanager
async def reading(settings: Settings, group: str, topic: str) -> AsyncIterator[Owner]:
    owner = Owner()
    owner.reader = Reader(consumer_of(settings, group, settings.fetch_wait_ms), owner, 64)
    owner.reader.start([topic])
    try:
        yield owner
    finally:
        await asyncio.wait_for(owner.reader.stopped(), 20)


@pytest.fixture
def at(kafka: Broker) -> tuple[Settings, str]:
    """Settings, and a topic of 3,000 records."""
    name = f"t{uuid.uuid4().hex[:8]}"
    # Kept while its futures are waited for.
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result()
    publish(kafka.bootstrap, name, 3_000)
    return Settings(broker=kafka.bootstrap, session_timeout_s=6.0), name


def publish(bootstrap: str, topic: str, number: int) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    for one in range(number):
        producer.produce(topic, b"x" * 100, partition=one % PARTITIONS, headers=[("n", str(one).encode())])
    assert producer.flush(30) == 0


async def until(condition: Callable[[], bool], limit_s: float = 30.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.02)


async def test_while_nobody_takes_records_none_are_read_and_the_group_is_answered(at) -> None:
    settings, topic = at
    async with reading(settings, f"{topic}.g", topic) as first:
        await until(lambda: len(first.arrivals) >= 2)
        await asyncio.sleep(2.5)  # longer than its patience
        assert len(first.offsets()) <= HELD_BACK
        async with reading(settings, f"{topic}.g", topic) as second:
            # Within the session's timeout: a reader that did not poll would be waited for for minutes.
            await until(lambda: bool(second.held) and first.deals == 2, 15)
            assert len(first.held) == len(second.held) == 1
        before = len(first.arrivals)
        await until(lambda: first.deals == 3, 15)
        async with asyncio.timeout(30):
            await first.take_until(lambda: len({*flat(first.arrivals[before:])}) == 3_000)


def flat(arrivals: Sequence[Sequence[Batch]]) -> list[tuple[int, int]]:
    return [
        (record.partition, record.offset)
        for batches in arrivals
        for batch in batches
        for record in batch.records
    ]


async def test_all_is_read_once_in_order_and_says_what_it_follows(at) -> None:
    settings, topic = at
    async with reading(settings, f"{topic}.g", topic) as owner:
        async with asyncio.timeout(30):
            await owner.take_until(lambda: len(owner.offsets()) >= 3_000)
        for partition in range(PARTITIONS):
            seen = [offset for place, offset in owner.offsets() if place == partition]
            assert seen == list(range(1_500))
        batches = [batch for arrived in owner.arrivals for batch in arrived]
        assert sum(batch.follows is None for batch in batches) == PARTITIONS
        assert all(len(batch.records) <= 64 for batch in batches)
        assert batches[0].records[0].headers == [("n", b"0")] or batches[0].records[0].headers == [
            ("n", b"1")
        ]


async def test_going_back_reads_from_the_committed_offset_again(at) -> None:
    settings, topic = at
    async with reading(settings, f"{topic}.g", topic) as owner:
        async with asyncio.timeout(30):
            taken = await owner.take_until(lambda: len(owner.offsets()) >= 3_000)
            await asyncio.wrap_future(owner.reader.commit([TopicPartition(topic, 0, 1_000)]))
            known = len(owner.arrivals)
            await asyncio.wrap_future(owner.reader.go_back((topic, 0)))
            await owner.take_until(lambda: len(flat(owner.arrivals[known:])) >= 500, taken)
        again = [batch for arrived in owner.arrivals[known:] for batch in arrived]
        assert again[0].follows is None
        assert flat(owner.arrivals[known:]) == [(0, offset) for offset in range(1_000, 1_500)]


async def test_what_is_committed_while_partitions_are_taken_away_is_committed(at, kafka) -> None:
    """The reader's thread waits for its owner then, and must follow its orders meanwhile."""
    settings, topic = at
    async with reading(settings, f"{topic}.g", topic) as first:
        await until(lambda: first.deals == 1)

        async def commit() -> None:
            await asyncio.wrap_future(first.reader.commit([TopicPartition(topic, 0, 7, metadata="seven")]))

        first.on_taken_away = commit
        async with reading(settings, f"{topic}.g", topic) as second:
            await until(lambda: bool(second.held), 15)
    asker = Consumer({"bootstrap.servers": settings.broker, "group.id": f"{topic}.g"})
    (found,) = asker.committed([TopicPartition(topic, 0)], timeout=10)
    asker.close()
    assert found.offset == 7
    if kafka.name == "apache":  # the embedded broker forgets it
        assert found.metadata == "seven"


async def test_after_the_end_a_commit_is_refused_and_does_not_hang(at) -> None:
    settings, topic = at
    async with reading(settings, f"{topic}.g", topic) as owner:
        await until(lambda: owner.deals == 1)
    with pytest.raises(RuntimeError):
        await asyncio.wait_for(asyncio.wrap_future(owner.reader.commit([TopicPartition(topic, 0, 1)])), 5)


async def test_a_thread_that_fails_tells_its_owner(at) -> None:
    settings, topic = at
    async with reading(settings, f"{topic}.g", topic) as owner:

        async def refuse() -> None:
            raise ValueError("no")

        owner.on_taken_away = refuse
        await until(lambda: owner.deals == 1)
        async with reading(settings, f"{topic}.g", topic):
            await until(lambda: owner.error is not None, 15)
        # It leaves the group, is asked about its partitions once more, and fails again: it has ended all the same.
        await until(lambda: not owner.reader._thread.is_alive(), 15)
    assert isinstance(owner.error, ValueError)


async def test_a_header_whose_name_is_not_utf8_is_left_out_and_stops_nothing(at) -> None:
    class Odd(str):
        def encode(self, *_: str) -> bytes:
            return b"\xff\xfe"

    settings, topic = at
    producer = KafkaProducer(bootstrap_servers=settings.broker)
    for headers in ([(Odd("n"), b"1")], [("n", b"2")]):
        producer.send(topic, b"odd", partition=0, headers=headers).get(timeout=10)
    producer.close()
    async with reading(settings, f"{topic}.g", topic) as owner:
        async with asyncio.timeout(30):
            await owner.take_until(lambda: len(owner.offsets()) >= 3_002)
        odd = [
            record
            for batches in owner.arrivals
            for batch in batches
            for record in batch.records
            if record.value == b"odd"
        ]
        assert [record.headers for record in odd] == [(), [("n", b"2")]]
        assert owner.error is None
