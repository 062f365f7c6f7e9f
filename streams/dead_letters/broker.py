"""Letters read from the broker, and records sent to it.

They are written through aiokafka, because kafka-python sends no header without a value, and a letter's bytes are to
stay.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError as WriteError
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from agents.errors import ConfigurationError
from schemas import channels
from streams.dead_letters.letters import Stored, stored
from streams.dead_letters.replay import Outgoing
from streams.provision import missing_topics
from streams.publisher import new_producer
from streams.settings import Settings
from streams.topics import MAX_RECORD_BYTES, physical

R = TypeVar("R", Stored, Outgoing)

_POLL_MS = 300
_TAIL_S = 2.0
_PATIENCE_S = 20.0
_CHUNK_RECORDS, _CHUNK_BYTES = 1_000, 2 * MAX_RECORD_BYTES


def read(settings: Settings) -> Iterator[Stored]:
    """The letters that are there now, those of a partition in order, and perhaps some that come meanwhile.

    Raises:
        ConfigurationError: no broker answers, or it has no such topic.
    """
    try:
        with closing(_consumer(settings)) as consumer:
            yield from _until_end(consumer)
    except KafkaError as error:
        raise _no_broker(settings, error) from None


def _until_end(consumer: Any) -> Iterator[Stored]:
    ends = consumer.end_offsets(consumer.assignment())
    last, reached = time.monotonic(), None
    while True:
        batches = consumer.poll(timeout_ms=_POLL_MS)
        for records in batches.values():
            yield from map(stored, records)
        now = time.monotonic()
        last = now if batches else last
        if reached is None and all(consumer.position(place) >= end for place, end in ends.items()):
            reached = now
        # The embedded broker names the start of the last batch as the end: only a silence tells that it was read.
        if reached is not None and (not batches or now - reached > _TAIL_S):
            return
        if now - last > _PATIENCE_S:
            raise ConfigurationError(
                f"the broker sent nothing for {_PATIENCE_S:.0f} s before the topic's end"
            )


def _consumer(settings: Settings) -> Any:
    name = physical(channels.DEAD_LETTERS, settings.topic_prefix)
    consumer = KafkaConsumer(
        bootstrap_servers=settings.broker.split(","),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_bytes=MAX_RECORD_BYTES,
        allow_auto_create_topics=False,
        bootstrap_timeout_ms=10_000,
    )
    numbers = consumer.partitions_for_topic(name)
    if not numbers:
        consumer.close()
        where = f"{settings.broker} has no topic {name}"
        raise ConfigurationError(f"{where}; run: sluicegate topics create")
    partitions = [TopicPartition(name, number) for number in sorted(numbers)]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    return consumer


def _no_broker(settings: Settings, error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"the broker at {settings.broker} does not serve us ({type(error).__name__}); "
        "start one with `sluicegate up`, or set SLUICEGATE_BROKER"
    )


def send(settings: Settings, records: Sequence[Outgoing]) -> None:
    """Publish replayed records; returns once the broker has confirmed all of them.

    Raises:
        ConfigurationError: the broker is away, refuses, or lacks a topic. Some may have been sent: a worker sets
            aside what comes twice.
    """
    if absent := sorted({record.topic for record in records} & set(missing_topics(settings))):
        where = f"{settings.broker} has no topic {', '.join(absent)}"
        raise ConfigurationError(f"{where}; run: sluicegate topics create")
    for chunk in chunks(records):
        with_producer(settings, partial(_send, records=chunk))


async def _send(producer: AIOKafkaProducer, records: Sequence[Outgoing]) -> None:
    confirmed = []
    for one in records:
        # aiokafka sends no record without both key and value: an empty key stands for the missing one.
        key = b"" if one.key is None and one.value is None else one.key
        there = one.partition in await producer.partitions_for(one.topic)
        partition = one.partition if there else None
        confirmed.append(await producer.send(one.topic, one.value, key, partition, headers=one.headers))
    await asyncio.gather(*confirmed)


def chunks(records: Iterable[R]) -> Iterator[list[R]]:
    """Some records at a time: many small ones, or a few large ones."""
    chunk: list[R] = []
    held = 0
    for one in records:
        chunk.append(one)
        held += len(one.value or b"")
        if len(chunk) >= _CHUNK_RECORDS or held >= _CHUNK_BYTES:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


def with_producer(settings: Settings, use: Callable[[AIOKafkaProducer], Awaitable[None]]) -> None:
    """Connect, use, disconnect.

    Raises:
        ConfigurationError: the broker is away or refuses.
    """

    async def connected() -> None:
        producer = new_producer(settings)
        try:
            await producer.start()
            await use(producer)
        finally:
            await producer.stop()

    try:
        asyncio.run(connected())
    except WriteError as error:
        raise _no_broker(settings, error) from None
