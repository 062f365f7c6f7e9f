"""Publishing on real brokers: what arrives and where, what goes together, what is refused, a broker away."""

import asyncio
import os
import random
import signal
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import count

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from schemas.channels import COSTS, DEAD_LETTERS, RESPONSES
from schemas.codec import encode
from schemas.common import Message as Said
from schemas.cost import CostEvent
from schemas.dead_letter import DeadLetter
from schemas.examples import FULL, MINIMAL
from schemas.response import Choice, GenerationResponse
from streams.embedded import ApacheKafka, EmbeddedBroker
from streams.metrics import Metrics
from streams.outbox import Outbox, Outgoing
from streams.publisher import KafkaPublisher, new_producer
from streams.reader import Record
from streams.records import Origin
from streams.settings import Settings
from streams.topics import MAX_RECORD_BYTES, TOPICS
from tests.integration.conftest import LIBS, Broker

pytestmark = pytest.mark.integration

MB = 1_000_000


def create(bootstrap: str, *names: str, partitions: int = 1, max_bytes: int | None = None) -> str:
    """New topics; returns the prefix that makes their names this test's own."""
    prefix = f"t{uuid.uuid4().hex[:8]}."
    limit = {"max.message.bytes": str(max_bytes or TOPICS[0].config()["max.message.bytes"])}
    admin = AdminClient({"bootstrap.servers": bootstrap})  # kept while its futures are waited for
    made = admin.create_topics([NewTopic(prefix + name, partitions, 1, config=limit) for name in names])
    for future in made.values():
        future.result()
    return prefix


def read(bootstrap: str, topic: str, number: int, silent_s: float = 0.0) -> list[Message]:
    """So many records of a topic and what follows them for a while; those of each partition in order."""
    client = Consumer({"bootstrap.servers": bootstrap, "group.id": topic, "enable.auto.commit": False})
    try:
        partitions = client.list_topics(topic, timeout=10).topics[topic].partitions
        client.assign([TopicPartition(topic, one, 0) for one in partitions])
        found: list[Message] = []
        while len(found) < number:
            more = client.consume(number - len(found), 20)
            assert more, f"{topic}: {len(found)} of {number} records"
            found += more
        found += client.consume(1_000, silent_s)
    finally:
        client.close()
    assert not [message.error() for message in found if message.error()]
    return found


@pytest.fixture
async def producer(kafka: Broker) -> AsyncIterator[AIOKafkaProducer]:
    async with new_producer(Settings(broker=kafka.bootstrap, idempotence=kafka.name == "apache")) as made:
        yield made


def publisher(producer: AIOKafkaProducer, prefix: str) -> tuple[KafkaPublisher, Metrics]:
    metrics = Metrics(CollectorRegistry())
    return KafkaPublisher(producer, prefix, metrics, lambda: datetime.now(UTC)), metrics


ORIGIN = Origin("in", 0, 0, None, None)


def cost(number: int) -> CostEvent:
    return replace(MINIMAL[CostEvent], id=f"c{number}", request_id=f"r{number % 5}")


def costs_of(bootstrap: str, prefix: str, number: int) -> set[str]:
    """The ids of so many costs and of those that follow."""
    return {dict(one.headers())["ce_id"].decode() for one in read(bootstrap, prefix + COSTS, number, 1.0)}


async def test_records_arrive_untouched_and_in_the_order_of_their_key(kafka: Broker, producer) -> None:
    names = ["a", "b", "c"]
    prefix = create(kafka.bootstrap, *names, partitions=3)
    outbox = Outbox(producer)
    headers = [("bytes", b"\x00\xff"), ("twice", b"1"), ("twice", b"2"), ("empty", b""), ("é", b"")]

    async def talk(key: bytes) -> None:
        """Every second call sends two records of a topic."""
        for turn in range(15):
            values = [b"%d" % turn, None, b""] if turn % 2 else [b"%d" % turn]
            sent = [Outgoing(prefix + name, key, value, headers) for name in names for value in values]
            assert await outbox.send(sent) == []

    keys = [b"key-%d" % number for number in range(30)]
    await asyncio.gather(*map(talk, keys))
    expected = [value for turn in range(15) for value in ([b"%d" % turn, None, b""][: 3 if turn % 2 else 1])]
    for name in names:
        found = await asyncio.to_thread(read, kafka.bootstrap, prefix + name, 30 * len(expected), 0.5)
        by_key = defaultdict(list)
        for one in found:
            by_key[one.key()].append(one.value())
            assert one.headers() == headers
        assert by_key == dict.fromkeys(keys, expected)
        assert {one.partition() for one in found} == {0, 1, 2}


async def test_nothing_to_send_is_sent_at_once(kafka: Broker, producer) -> None:
    async with asyncio.timeout(5):
        assert await Outbox(producer).send([]) == []


async def test_of_records_to_a_topic_that_is_not_there_none_is_sent(apache_kafka: Broker) -> None:
    """The embedded broker makes any topic that is asked for."""
    topic = create(apache_kafka.bootstrap, "t") + "t"
    records = [Outgoing(topic, b"k", b"v", []), Outgoing(topic + "-not-there", b"k", b"v", [])]
    async with AIOKafkaProducer(
        bootstrap_servers=apache_kafka.bootstrap, request_timeout_ms=3_000
    ) as producer:
        outbox = Outbox(producer)
        refused = await outbox.send(records)
        assert await outbox.send([Outgoing(topic, b"k", b"after it", [])]) == []
    assert [one.record for one in refused] == records
    assert all(isinstance(one.error, KafkaError) for one in refused)
    found = await asyncio.to_thread(read, apache_kafka.bootstrap, topic, 1, 0.5)
    assert [one.value() for one in found] == [b"after it"]


async def test_a_record_that_cannot_be_packed_holds_up_no_other(kafka: Broker, producer) -> None:
    topic = create(kafka.bootstrap, "t") + "t"
    outbox = Outbox(producer)
    with pytest.raises(UnicodeEncodeError):
        await outbox.send([Outgoing(topic, b"k", b"bad", [("\udc80", b"")])])
    async with asyncio.timeout(10):
        assert await outbox.send([Outgoing(topic, b"k", b"good", [])]) == []
    (found,) = await asyncio.to_thread(read, kafka.bootstrap, topic, 1)
    assert found.value() == b"good"


async def test_a_key_has_the_partition_that_other_clients_choose(kafka: Broker, producer) -> None:
    topic = create(kafka.bootstrap, "t", partitions=7) + "t"
    some = random.Random(7)
    keys = ["ключ".encode(), bytes(range(256)), *(some.randbytes(size) for size in range(1, 60))]
    await Outbox(producer).send([Outgoing(topic, key, b"ours", []) for key in keys])
    for key in [b"", *keys]:
        await producer.send_and_wait(topic, b"aiokafka's", key)
    await Outbox(producer).send([Outgoing(topic, b"", b"ours", [])])
    librdkafka = Producer({"bootstrap.servers": kafka.bootstrap, "partitioner": "murmur2_random"})
    for key in keys:  # of an empty one it thinks differently
        librdkafka.produce(topic, b"librdkafka's", key)
    assert librdkafka.flush(10) == 0
    chosen = defaultdict(list)
    for one in await asyncio.to_thread(read, kafka.bootstrap, topic, 3 * len(keys) + 2):
        chosen[one.key()].append(one.partition())
    assert {len(found) for key, found in chosen.items() if key} == {3}
    assert {key: found for key, found in chosen.items() if len(set(found)) > 1} == {}
    assert len({found[0] for found in chosen.values()}) == 7


async def test_records_without_a_key_arrive_on_any_partition(kafka: Broker, producer) -> None:
    topic = create(kafka.bootstrap, "t", partitions=4) + "t"
    sent = [Outgoing(topic, None, b"%d" % number, []) for number in range(200)]
    assert await Outbox(producer).send(sent) == []
    found = await asyncio.to_thread(read, kafka.bootstrap, topic, 200, 0.5)
    assert sorted(one.value() for one in found) == sorted(one.value for one in sent)
    assert {one.key() for one in found} == {None}
    assert {one.partition() for one in found} == {0, 1, 2, 3}


async def test_records_larger_than_a_batch_arrive_in_order_among_small_ones(kafka: Broker, producer) -> None:
    topic = create(kafka.bootstrap, "t") + "t"
    sizes = [1, MB, MB, 2, 3, MB, 200_000, 200_000, MB, 4]
    outbox = Outbox(producer)
    assert await outbox.send([Outgoing(topic, b"k", b"x" * MB, [])]) == []
    async with asyncio.timeout(30):
        assert await outbox.send([Outgoing(topic, b"k", b"y" * size, []) for size in sizes]) == []
    found = await asyncio.to_thread(read, kafka.bootstrap, topic, 11, 0.5)
    assert [one.value() for one in found] == [b"x" * MB, *(b"y" * size for size in sizes)]


@pytest.mark.parametrize("turns", [0, 1, 2, 4])
async def test_a_sender_that_is_cancelled_takes_no_other_with_it(kafka: Broker, producer, turns: int) -> None:
    topic = create(kafka.bootstrap, "t") + "t"
    outbox = Outbox(producer)
    await outbox.send([Outgoing(topic, b"k", b"first", [])])
    sending = [outbox.send([Outgoing(topic, b"k", b"%d" % number, [])]) for number in range(9)]
    await asyncio.sleep(0)
    for _ in range(turns):  # its batch is filled, then handed over, then under way
        await asyncio.sleep(0)
    sending[4].cancel()
    async with asyncio.timeout(10):
        ends = await asyncio.gather(*sending, return_exceptions=True)
        assert await outbox.send([Outgoing(topic, b"k", b"last", [])]) == []
    assert isinstance(ends.pop(4), asyncio.CancelledError)
    assert ends == [[]] * 8
    found = await asyncio.to_thread(read, kafka.bootstrap, topic, 10, 0.5)
    assert [one.value() for one in found if one.value() != b"4"] == [
        b"first",
        *(b"%d" % number for number in range(9) if number != 4),
        b"last",
    ]


async def test_what_is_sent_at_once_goes_in_few_batches(kafka: Broker, producer, monkeypatch) -> None:
    topic = create(kafka.bootstrap, "t") + "t"
    counted: list[int] = []
    send_batch = producer.send_batch

    async def counting(batch, *rest, **named):
        counted.append(batch.record_count())
        return await send_batch(batch, *rest, **named)

    monkeypatch.setattr(producer, "send_batch", counting)
    outbox = Outbox(producer)
    await asyncio.gather(*(outbox.send([Outgoing(topic, b"k", b"v", [])]) for _ in range(500)))
    assert sum(counted) == 500
    assert len(counted) <= 3


async def test_who_sent_a_record_that_the_broker_refuses_is_told_and_no_other(apache_kafka: Broker) -> None:
    strict = create(apache_kafka.bootstrap, "t", max_bytes=1_000) + "t"
    topic = create(apache_kafka.bootstrap, "t") + "t"
    large = Outgoing(strict, b"k", b"x" * 2_000, [])
    async with new_producer(Settings(broker=apache_kafka.bootstrap)) as producer:
        outbox = Outbox(producer)
        first, second = await asyncio.gather(
            outbox.send([Outgoing(topic, b"k", b"1", []), large, Outgoing(topic, b"k", b"2", [])]),
            outbox.send([Outgoing(topic, b"k", b"3", [])]),
        )
    assert second == []
    assert [(one.record, type(one.error)) for one in first] == [(large, MessageSizeTooLargeError)]
    found = await asyncio.to_thread(read, apache_kafka.bootstrap, topic, 3)
    assert sorted(one.value() for one in found) == [b"1", b"2", b"3"]


async def test_the_largest_record_there_may_be_fits_into_the_dead_letters(kafka: Broker, producer) -> None:
    prefix = create(kafka.bootstrap, DEAD_LETTERS)
    publish, _ = publisher(producer, prefix)
    letter = DeadLetter(
        topic="t", partition=0, offset=7, stage="retrieval", reason="too_large", message="large"
    )
    record = Record("t", 0, 7, b"k" * 100, b"x" * MAX_RECORD_BYTES, [("own", b"1")])
    async with asyncio.timeout(30):
        await publish.dead_letter(record, letter)
    (found,) = await asyncio.to_thread(read, kafka.bootstrap, prefix + DEAD_LETTERS, 1)
    assert (found.key(), found.value(), found.headers()[0]) == (record.key, record.value, ("own", b"1"))


def response(size: int) -> GenerationResponse:
    """One that takes so many bytes on the wire."""

    def of(text: str) -> GenerationResponse:
        choice = Choice(message=Said(role="assistant", content=text), finish_reason="stop")
        return replace(FULL[GenerationResponse], choices=(choice,))

    return of("x" * (size - len(encode(of("")))))


async def test_an_event_above_the_limit_raises_and_nothing_of_its_call_is_published(
    kafka: Broker, producer
) -> None:
    prefix = create(kafka.bootstrap, COSTS, RESPONSES)
    publishing, _ = publisher(producer, prefix)
    with pytest.raises(MessageSizeTooLargeError):
        await publishing.publish([cost(1), response(MAX_RECORD_BYTES + 1), cost(2)], ORIGIN)
    largest = response(MAX_RECORD_BYTES)
    await publishing.publish([largest, cost(3)], ORIGIN)
    assert await asyncio.to_thread(costs_of, kafka.bootstrap, prefix, 1) == {"c3"}
    (found,) = await asyncio.to_thread(read, kafka.bootstrap, prefix + RESPONSES, 1, 1.0)
    assert found.value() == encode(largest)


async def test_events_published_while_the_broker_is_killed_and_starts_again_all_arrive(
    apache_kafka: Broker, tmp_path
) -> None:
    with ApacheKafka(tmp_path, LIBS) as broker:
        prefix = create(broker.bootstrap, COSTS, partitions=2)
        numbers, down = count(), asyncio.Event()
        async with new_producer(Settings(broker=broker.bootstrap)) as producer:
            publishing, _ = publisher(producer, prefix)

            async def publish_until_down() -> None:
                while not down.is_set():
                    await publishing.publish([cost(next(numbers))], ORIGIN)

            busy = [asyncio.create_task(publish_until_down()) for _ in range(10)]
            await asyncio.sleep(0.3)
            broker.kill()
            await asyncio.sleep(1.0)  # each has begun one that cannot be confirmed
            down.set()
            await asyncio.sleep(0.5)
            assert not [task for task in busy if task.done()]
            await asyncio.to_thread(broker.start)
            async with asyncio.timeout(60):
                await asyncio.gather(*busy)
        total = next(numbers)
        found = await asyncio.to_thread(costs_of, broker.bootstrap, prefix, total)
    assert found == {f"c{number}" for number in range(total)}


async def test_events_that_a_frozen_broker_did_not_confirm_in_time_are_sent_again(tmp_path) -> None:
    with EmbeddedBroker(tmp_path) as broker:
        prefix = create(broker.bootstrap, COSTS)
        impatient = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, request_timeout_ms=500)
        async with impatient:
            publishing, metrics = publisher(impatient, prefix)
            await publishing.publish([cost(0)], ORIGIN)
            pid = broker.pid
            assert pid
            os.kill(pid, signal.SIGSTOP)
            try:
                late = asyncio.create_task(publishing.publish([cost(1), cost(2)], ORIGIN))
                refused = ("sluicegate_publish_errors_total", {"topic": COSTS})
                async with asyncio.timeout(20):
                    while not metrics.registry.get_sample_value(*refused):
                        await asyncio.sleep(0.05)
                assert not late.done()
            finally:
                os.kill(pid, signal.SIGCONT)
            async with asyncio.timeout(60):
                await late
        assert await asyncio.to_thread(costs_of, broker.bootstrap, prefix, 3) == {"c0", "c1", "c2"}
