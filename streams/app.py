"""A Faust app whose consumer hands over chunks of records, so that Faust's cost is paid once a chunk.

Faust spends about 100 us of Python on every record; grouping what one fetch returned divides that by the size of
the chunk (`docs/delivery.md` has the measurement). One app per stage, because each stage is a consumer group of
its own: workers with different stages must not disturb each other's assignment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import faust
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams.progress import Progress
from streams.records import RawRecord
from streams.settings import Settings

log = structlog.get_logger(__name__)

_AGAIN_S = 1.0
_LET_GO_S = 2.0
"""How long a rebalance waits for work in flight: model calls may take longer, and then go on under their claims."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one partition as the broker gave them, in the group's `generation`.

    `follows` is the offset after the records handed over before them; None where reading began at the committed
    offset. Faust drops records on their way to the agent when partitions are dealt out: so it is noticed.
    """

    records: Sequence[RawRecord]
    generation: int
    follows: int | None


class Chunk:
    """Looks like one record to Faust: its value is a batch of records, its offset the last one's."""

    headers = ()
    key = None
    checksum = None
    serialized_key_size = serialized_value_size = 0

    def __init__(self, records: Sequence[Any], generation: int, follows: int | None) -> None:
        last = records[-1]
        self.topic, self.partition, self.offset = last.topic, last.partition, last.offset
        self.timestamp, self.timestamp_type = last.timestamp, last.timestamp_type
        self.value = Batch(records, generation, follows)


class HandedOver:
    """Up to where each partition's records were handed over, under which assignment."""

    def __init__(self) -> None:
        self._ends: dict[TopicPartition, tuple[object, int]] = {}

    def moved(self, tp: TopicPartition) -> None:
        """The partition is read from its committed offset again."""
        self._ends.pop(tp, None)

    def chunks(
        self, tp: TopicPartition, records: Sequence[Any], size: int, assignment: object, generation: int
    ) -> list[Chunk]:
        """The records in chunks of `size`, each of which says what it follows."""
        before, end = self._ends.get(tp, (None, 0))
        follows = end if before is assignment else None
        made = []
        for start in range(0, len(records), size):
            made.append(Chunk(records[start : start + size], generation, follows))
            follows = made[-1].offset + 1
        self._ends[tp] = assignment, made[-1].offset + 1
        return made


class Work(Protocol):
    """What is done with the records: `streams.delivery.Delivery`."""

    def progress(self, topic: str, partition: int, generation: object) -> Progress | None:
        """What may be committed of a partition under an assignment."""
        ...

    async def let_go(self, timeout_s: float) -> None:
        """Partitions are about to be dealt out anew."""
        ...

    def go_on(self) -> None:
        """Partitions have been dealt out."""
        ...


class _Thread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # faust is untyped
    """Makes the chunks where records are taken, and commits a text beside each offset, which Faust leaves empty."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._handed_over = HandedOver()

    async def _fetch_records(self, consumer: Any, *args: Any, **kwargs: Any) -> dict[TP, list[Chunk]]:
        found = await super()._fetch_records(consumer, *args, **kwargs)
        # Nothing is awaited since they were taken, so these are what they were taken under.
        subscription = consumer._subscription.subscription
        assignment, generation = subscription and subscription.assignment, consumer._coordinator.generation
        size = self.app.chunk_size
        return {
            tp: self._handed_over.chunks(tp, records, size, assignment, generation)
            for tp, records in found.items()
            if records
        }

    async def seek_to_committed(self) -> Mapping[TP, int | None]:
        """Read every partition from its committed offset, or its beginning."""
        found: Mapping[TP, int | None] = await self.call_thread(self._go_back, None)
        return found

    async def go_back(self, tp: TP) -> Mapping[TP, int | None]:
        """Read one partition from its committed offset, or its beginning; returns that offset."""
        found: Mapping[TP, int | None] = await self.call_thread(self._go_back, [tp])
        return found

    async def _go_back(self, tps: Sequence[TP] | None) -> dict[TP, int | None]:
        """As aiokafka's own, which leaves a partition where it is when nothing is committed."""
        consumer = self._ensure_consumer()
        found: dict[TP, int | None] = {}
        for one in consumer.assignment() if tps is None else tps:
            tp = TopicPartition(one.topic, one.partition)
            offset = await consumer.committed(tp)
            self._handed_over.moved(tp)
            if offset is None:
                await consumer.seek_to_beginning(tp)
            else:
                consumer.seek(tp, offset)
            found[TP(tp.topic, tp.partition)] = offset
        return found

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        beside = self.consumer.beside
        held = self.assignment()
        wanted = {
            TopicPartition(tp.topic, tp.partition): OffsetAndMetadata(offset, beside.get((tp, offset), ""))
            for tp, offset in offsets.items()
            if tp in held
        }
        try:
            await self._ensure_consumer().commit(wanted)
        except (CommitFailedError, IllegalStateError) as error:
            # The partitions are somebody else's by now, who reads on from what was committed before.
            log.info("commit.too_late", error=repr(error))
            return False
        except KafkaError as error:
            log.warning("commit.failed", error=repr(error))
            return False
        return True


class _ChunkConsumer(driver.Consumer):  # type: ignore[misc]
    """Hands over chunks, and commits what our ledgers say instead of what Faust makes of acks.

    Faust's own reckoning can commit past a record that is still at work (`docs/delivery.md`).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.beside: dict[tuple[TP, int], str] = {}
        self._told: dict[TP, tuple[int, str]] = {}
        self.joined = False

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ARG002, FBT001, FBT002  # Faust's signature
        """Commit what changed since the last commit."""
        generation = self.app.consumer_generation_id
        found = {tp: self.app.work.progress(tp.topic, tp.partition, generation) for tp in self.assignment()}
        wanted = {tp: (one.next, one.text()) for tp, one in found.items() if one is not None}
        changed = {tp: told for tp, told in wanted.items() if self._told.get(tp) != told}
        if not changed:
            return False
        self.beside = {(tp, offset): text for tp, (offset, text) in changed.items()}
        done: bool = await self._commit_offsets({tp: offset for tp, (offset, _) in changed.items()})
        if done:
            self._told.update(changed)
        return done

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """End what can be ended soon, and commit what is done: others then do not do it again."""
        self.joined = False
        await self.app.work.let_go(_LET_GO_S)
        await self.commit()
        await super().on_partitions_revoked(revoked)
        for tp in revoked:
            self._told.pop(tp, None)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Note that the group has us, even where it has no partition for us."""
        # Before records flow again: those that came too early would be left out, and read once more.
        self.app.work.go_on()
        await super().on_partitions_assigned(assigned, generation_id)
        self.joined = True
        log.info(
            "group.dealt",
            group=self.app.conf.id,
            generation=self.app.consumer_generation_id,
            partitions=len(assigned),
        )

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Nothing: Faust's watch over standstill crashes where a position is not known yet. Health has its own."""

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Nothing: Faust would note the records inside a chunk as missing, for a reckoning that is not ours."""

    async def go_back(self, topic: str, partition: int) -> None:
        """Read a partition from its committed offset again, unless it is somebody else's by now."""
        tp = TP(topic, partition)
        while tp in self.assignment() and not self.should_stop:
            try:
                # Faust drops what lies before its read offset.
                self._read_offset.update(await self._thread.go_back(tp))
            except IllegalStateError:
                return
            except KafkaError as error:
                log.warning("go_back.failed", topic=topic, partition=partition, error=repr(error))
                await self.sleep(_AGAIN_S)
            else:
                return


class _ChunkTransport(driver.Transport):  # type: ignore[misc]
    Consumer = _ChunkConsumer


class StageApp(faust.App):  # type: ignore[misc]
    """The Faust app of one stage."""

    chunk_size: int = 64
    work: Work

    def _new_transport(self) -> Any:
        return _ChunkTransport(super()._new_transport().url, self)


def new_app(stage: str, settings: Settings) -> StageApp:
    """An app in the stage's consumer group; nothing connects until it is started."""
    session_s = settings.session_timeout_s
    app = StageApp(
        f"{settings.group_prefix}.{stage}",
        broker=[f"kafka://{host.strip()}" for host in settings.broker.split(",")],
        # Faust reads bare variables (BROKER_URL, WEB_PORT, ...) unless they carry a prefix of our own.
        env_prefix="SLUICEGATE_FAUST_",
        store="memory://",
        datadir=str(settings.data_dir / "faust"),  # it makes folders for tables, which we have none of
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        # Without tables partitions are dealt out in turn. Faust's own assignor gives ceil(partitions / workers) to
        # each as long as there are some: four among three workers would be two, two and none.
        table_standby_replicas=0,
        # A rebalance must not wait for slow model calls: work of lost partitions is dropped and read again.
        stream_wait_empty=False,
        stream_buffer_maxsize=4,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=4 * 1024 * 1024,
        broker_session_timeout=session_s,
        broker_rebalance_timeout=max(session_s, 10.0),
        broker_heartbeat_interval=session_s / 5,
        broker_commit_interval=0.5,
        broker_max_poll_records=500,
    )
    app.chunk_size = settings.chunk_size
    return app
