"""How far behind a stage is, asked of the broker itself; health fails when offsets stand still under lag."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.metrics import Metrics
from streams.offsets import GroupOffsets
from streams.topics import logical

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Watchdog:
    """Says whether committed offsets stand still while there is something to read. Pure: time is passed in."""

    stall_after_s: float
    _moved_at: dict[object, tuple[int, float]] = field(default_factory=dict)
    """Committed offset and time, of partitions with something to read."""

    def observe(self, partition: object, committed: int, lag: int, now_s: float) -> None:
        """Note one partition's committed offset and lag."""
        known = self._moved_at.get(partition)
        if lag == 0:
            # What comes after an idle time has not waited since its beginning.
            self._moved_at.pop(partition, None)
        elif known is None or known[0] != committed:
            self._moved_at[partition] = (committed, now_s)

    def keep(self, partitions: set[object]) -> None:
        """Forget partitions that are no longer ours."""
        for gone in set(self._moved_at) - partitions:
            del self._moved_at[gone]

    def stalled_s(self, now_s: float) -> float:
        """Seconds since the partition that stands still the longest moved."""
        return max((now_s - moved for _, moved in self._moved_at.values()), default=0.0)

    def healthy(self, now_s: float) -> bool:
        """Whether every partition moved, or had nothing to read, within the limit."""
        return self.stalled_s(now_s) <= self.stall_after_s


class LagMonitor:
    """Asks the broker for end and committed offsets of one group's partitions, every few seconds."""

    def __init__(
        self,
        bootstrap: str,
        group: str,
        offsets: GroupOffsets,
        prefix: str,
        assignment: Callable[[], set[tuple[str, int]]],
        metrics: Metrics,
        stall_after_s: float,
    ) -> None:
        self._group, self._prefix, self._assignment, self._metrics = group, prefix, assignment, metrics
        self._consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
        self._offsets = offsets
        self.watchdog = Watchdog(stall_after_s)

    async def run(self, every_s: float = 2.0) -> None:
        """Watch until cancelled; a broker that is away is asked again."""
        try:
            await self._consumer.start()
            while True:
                await asyncio.sleep(every_s)
                try:
                    await self._look()
                except (KafkaError, OSError, TimeoutError) as error:
                    log.warning("lag.unknown", group=self._group, error=repr(error))
        finally:
            await self._consumer.stop()

    async def _look(self) -> None:
        ours = [TopicPartition(topic, partition) for topic, partition in sorted(self._assignment())]
        self.watchdog.keep(set(ours))
        if not ours:
            return
        ends = await self._consumer.end_offsets(ours)
        committed = await self._offsets.of(ours)
        begins = await self._consumer.beginning_offsets(ours)
        self._note(ends, begins, {tp: found.next for tp, found in committed.items()})

    def _note(
        self,
        ends: Mapping[TopicPartition, int],
        begins: Mapping[TopicPartition, int],
        committed: Mapping[TopicPartition, int],
    ) -> None:
        now_s = time.monotonic()
        for partition, end in ends.items():
            done = max(committed.get(partition, -1), begins.get(partition, 0))
            lag = max(0, end - done)
            self.watchdog.observe(partition, done, lag, now_s)
            topic = logical(partition.topic, self._prefix)
            self._metrics.consumer_lag.labels(topic=topic, partition=str(partition.partition)).set(lag)
