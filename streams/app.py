"""A Faust app whose consumer hands over chunks of records, so that Faust's cost is paid once a chunk.

Faust spends about 100 us of Python on every record; grouping what one fetch returned divides that by the size of
the chunk (`docs/delivery.md` has the measurement). One app per stage, because each stage is a consumer group of
its own: workers with different stages must not disturb each other's assignment.
"""

from collections.abc import Mapping, Sequence
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

_LET_GO_S = 2.0
"""How long a rebalance waits for work in flight: model calls may take longer, and then go on under their claims."""


class Chunk:
    """Looks like one record to Faust: its value is the list of records, its offset the last one's."""

    headers = ()
    key = None
    checksum = None
    serialized_key_size = serialized_value_size = 0

    def __init__(self, records: Sequence[Any]) -> None:
        last = records[-1]
        self.topic, self.partition, self.offset = last.topic, last.partition, last.offset
        self.timestamp, self.timestamp_type = last.timestamp, last.timestamp_type
        self.value: Sequence[RawRecord] = records


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
    """Commits a text beside each offset, which Faust leaves empty."""

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
        # Before records flow again: one that came too early would be left out, and passed by those after it.
        self.app.work.go_on()
        await super().on_partitions_assigned(assigned, generation_id)
        self.joined = True
        log.info(
            "group.dealt",
            group=self.app.conf.id,
            generation=self.app.consumer_generation_id,
            partitions=len(assigned),
        )

    async def _wait_next_records(self, timeout: float) -> tuple[Any, Any]:  # noqa: ASYNC109  # Faust's signature
        records, active = await super()._wait_next_records(timeout)
        size = self.app.chunk_size
        return {
            tp: [Chunk(batch[i : i + size]) for i in range(0, len(batch), size)]
            for tp, batch in (records or {}).items()
            if batch
        }, active


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
