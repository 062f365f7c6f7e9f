"""What Redis forgot, read back from the topics: the last drafts and responses of every partition."""

from collections.abc import AsyncIterator, Sequence

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas import channels
from schemas.codec import DecodeError, decode
from schemas.common import Event
from streams.offsets import partitions_of
from streams.topics import MAX_RECORD_BYTES, logical, physical

log = structlog.get_logger(__name__)

_READ = (channels.DRAFTS, channels.RESPONSES)
_WAIT_MS = 500


class TopicMemory:
    """Reads the tails of the topics that say what was bought and how requests ended.

    Only records that were finished and not yet committed as finished are ever read again: far fewer than `tail` of a
    partition, the number of records that is looked back.
    """

    def __init__(self, bootstrap: str, prefix: str, tail: int) -> None:
        self._bootstrap, self._prefix, self._tail = bootstrap, prefix, tail

    async def recall(self) -> AsyncIterator[Event]:
        """Drafts first, so that a response is known to be a verdict where there is one.

        Raises:
            KafkaError: the broker is away.
        """
        for topic in _READ:
            async for event in self._read(topic):
                yield event

    async def _read(self, topic: str) -> AsyncIterator[Event]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap, enable_auto_commit=False, fetch_max_bytes=MAX_RECORD_BYTES
        )
        await consumer.start()
        try:
            partitions = await self._seek(consumer, physical(topic, self._prefix))
            ends = await consumer.end_offsets(partitions)
            while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
                for records in (await consumer.getmany(timeout_ms=_WAIT_MS)).values():
                    for record in records:
                        if (event := self._event(record.topic, record.value)) is not None:
                            yield event
        finally:
            await consumer.stop()

    async def _seek(self, consumer: AIOKafkaConsumer, topic: str) -> Sequence[TopicPartition]:
        partitions = await partitions_of(self._bootstrap, topic)
        consumer.assign(partitions)
        begins, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        for tp in partitions:
            consumer.seek(tp, max(begins[tp], ends[tp] - self._tail))
        return partitions

    def _event(self, topic: str, value: bytes | None) -> Event | None:
        kind = channels.BY_TOPIC[logical(topic, self._prefix)].event
        try:
            return decode(kind, value)
        except DecodeError as error:
            log.warning("memory.unreadable", topic=topic, reason=error.reason)
            return None
