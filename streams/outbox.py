"""Records on their way to the broker: what comes while a request to a broker is under way shares the next one.

aiokafka's `send` makes a future for each record and hashes each key in Python; batches filled here and handed over
whole cost a fifth less (`docs/performance.md`).
"""

import asyncio
import random
from collections.abc import Sequence
from functools import lru_cache

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from aiokafka.partitioner import murmur2
from msgspec import Struct

Headers = list[tuple[str, bytes]]


class Outgoing(Struct, frozen=True, gc=False):
    """A record to be written."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers


class Refused(Struct, frozen=True):
    """A record that the broker did not confirm, and why."""

    record: Outgoing
    error: Exception


class _Sending:
    """The records of one call of `send`: it ends when the last of them has been told of."""

    __slots__ = ("done", "left", "refused")

    def __init__(self, count: int) -> None:
        self.left = count
        self.refused: list[Refused] = []
        self.done: asyncio.Future[list[Refused]] = asyncio.get_running_loop().create_future()

    def told(self, record: Outgoing, error: Exception | None) -> None:
        if error is not None:
            self.refused.append(Refused(record, error))
        self.left -= 1
        if not self.left and not self.done.done():  # else who asked has gone
            self.done.set_result(self.refused)


class _Batch:
    """Records of one partition that go together."""

    __slots__ = ("_records", "builder", "place")

    def __init__(self, place: TopicPartition, producer: AIOKafkaProducer) -> None:
        self.place = place
        self.builder = producer.create_batch()
        self._records: list[tuple[_Sending, Outgoing]] = []

    def add(self, record: Outgoing, sending: _Sending) -> bool:
        """False when it is full; the first record always fits."""
        added = self.builder.append(
            key=record.key, value=record.value, timestamp=None, headers=record.headers
        )
        if added is None:
            return False
        self._records.append((sending, record))
        return True

    def told(self, error: Exception | None) -> None:
        """Tell whoever sent them what became of them."""
        for sending, record in self._records:
            sending.told(record, error)


class Outbox:
    """Gathers records by partition; one request at a time is under way to each broker, as aiokafka has it."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._places: dict[str, list[TopicPartition]] = {}
        self._open: dict[TopicPartition, _Batch] = {}
        self._waiting: dict[int | None, dict[TopicPartition, list[_Batch]]] = {}
        self._flying: dict[int | None, asyncio.Task[None]] = {}
        # A topic may have got more partitions.
        producer.client.cluster.add_listener(lambda _: self._places.clear())

    def send(self, records: Sequence[Outgoing]) -> "asyncio.Future[list[Refused]]":
        """The future has those that were refused, once the broker has told of every one.

        No coroutine, since it is called for everything that is published.
        """
        places = []
        for record in records:
            place = self._place(record)
            if place is None:
                return asyncio.create_task(self._send_to_unknown(records))
            places.append(place)
        sending = _Sending(len(records))
        for record, place in zip(records, places, strict=True):
            self._add(place, record, sending)
        if not records:
            sending.done.set_result([])
        return sending.done

    async def _send_to_unknown(self, records: Sequence[Outgoing]) -> list[Refused]:
        """Ask the broker about the topics first; all are refused, and none is sent, when it cannot tell."""
        try:
            for topic in {record.topic for record in records}:
                await self._look_up(topic)
        except KafkaError as error:
            return [Refused(record, error) for record in records]
        return await self.send(records)

    def _place(self, record: Outgoing) -> TopicPartition | None:
        """By the hash of the key, as Kafka's own clients choose; None while the topic is not known."""
        places = self._places.get(record.topic)
        if places is None:
            return None
        if record.key is None:
            return random.choice(places)  # noqa: S311  # no secret
        return places[_hash(record.key) % len(places)]

    async def _look_up(self, topic: str) -> None:
        numbers = await self._producer.partitions_for(topic)
        if not numbers:
            raise UnknownTopicOrPartitionError(topic)
        self._places[topic] = [TopicPartition(topic, number) for number in sorted(numbers)]

    def _add(self, place: TopicPartition, record: Outgoing, sending: _Sending) -> None:
        batch = self._open.get(place)
        if batch is not None and batch.add(record, sending):
            return
        batch = _Batch(place, self._producer)
        batch.add(record, sending)  # raises what cannot be packed; the next ones must not wait for it
        self._open[place] = batch
        broker = self._producer.client.cluster.leader_for_partition(place)
        self._waiting.setdefault(broker, {}).setdefault(place, []).append(batch)
        if broker not in self._flying:
            self._flying[broker] = asyncio.create_task(self._fly(broker))

    async def _fly(self, broker: int | None) -> None:
        """What waits for that broker, in one request after the other, until nothing does."""
        try:
            while waiting := self._waiting.pop(broker, None):
                # A partition's next batch waits for the one before it.
                later = {place: batches[1:] for place, batches in waiting.items() if len(batches) > 1}
                if later:
                    self._waiting[broker] = later
                await self._round([batches[0] for batches in waiting.values()])
        finally:
            del self._flying[broker]

    async def _round(self, batches: Sequence[_Batch]) -> None:
        for batch in batches:
            if self._open.get(batch.place) is batch:
                del self._open[batch.place]
        begun = [(batch, await self._begun(batch)) for batch in batches]
        for batch, sent in begun:
            batch.told(await _error(sent))

    async def _begun(self, batch: _Batch) -> "asyncio.Future[object]":
        batch.builder.close()
        try:
            sent: asyncio.Future[object] = await self._producer.send_batch(
                batch.builder, batch.place.topic, partition=batch.place.partition
            )
        except AssertionError:  # the topic was made anew, with fewer partitions
            return _refused(UnknownTopicOrPartitionError(batch.place.topic))
        except Exception as error:
            return _refused(error)
        return sent


def _refused(error: Exception) -> "asyncio.Future[object]":
    sent: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    sent.set_exception(error)
    return sent


@lru_cache(maxsize=1024)
def _hash(key: bytes) -> int:
    """Events about one request have one key; in Python the hash of a key takes as long as all else here.

    About as many keys are kept as have requests in flight.
    """
    hashed: int = murmur2(key) & 0x7FFFFFFF
    return hashed


async def _error(sent: "asyncio.Future[object]") -> Exception | None:
    try:
        await sent
    except Exception as error:
        return error
    return None
