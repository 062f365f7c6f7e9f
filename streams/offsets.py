"""The committed offsets of one consumer group, asked of the broker itself."""

from collections.abc import Collection, Mapping

import structlog
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams.progress import Progress

log = structlog.get_logger(__name__)


async def partitions_of(bootstrap: str, topic: str) -> list[TopicPartition]:
    """A topic's partitions, by the broker's name of it.

    Raises:
        KafkaError: the broker is away.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        (found,) = await admin.describe_topics([topic])
    finally:
        await admin.close()
    return [TopicPartition(topic, entry["partition"]) for entry in found["partitions"]]


class GroupOffsets:
    """A connection of its own, because the consumer's is busy with fetching."""

    def __init__(self, bootstrap: str, group: str) -> None:
        self._group = group
        self._admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)

    async def start(self) -> None:
        """Connect."""
        await self._admin.start()

    async def aclose(self) -> None:
        """Disconnect."""
        await self._admin.close()

    async def of(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, Progress]:
        """What is committed of each partition; nothing of one where nothing is.

        Raises:
            KafkaError: the broker is away.
        """
        found = await self._admin.list_consumer_group_offsets(self._group, partitions=list(partitions))
        return {
            tp: Progress.read(one.offset, one.metadata or "") for tp, one in found.items() if one.offset >= 0
        }

    async def finished(self, topic: str, partition: int) -> Collection[int]:
        """The records beyond the committed offset that need no reading; none when the broker cannot say."""
        tp = TopicPartition(topic, partition)
        try:
            found = (await self.of([tp])).get(tp)
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("offsets.unknown", group=self._group, error=repr(error))
            return ()
        return found.beyond if found else ()
