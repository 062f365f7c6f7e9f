"""A Faust app on a transport of our own, whose consumer hands over batches of records.

Faust spends about 100 us of Python on every record, and its own consumer half a millisecond on every fetch; a batch
of what had arrived by librdkafka divides both (`docs/performance.md`). One app per stage, because each stage is a
consumer group of its own: workers with different stages must not disturb each other's assignment.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Never, Protocol

import confluent_kafka
import faust
import structlog
from confluent_kafka import KafkaException
from faust.transport import base
from faust.transport.consumer import Consumer
from faust.types import TP, ConsumerMessage

from streams.progress import Progress
from streams.reader import Batch, Place, Reader, consumer_of
from streams.settings import Settings

log = structlog.get_logger(__name__)

_LET_GO_S = 2.0
"""How long a rebalance waits for work in flight: model calls may take longer, and then go on under their claims."""


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


class _WithoutTables(Consumer):  # type: ignore[misc]  # faust is untyped
    """What Faust asks of a consumer for the sake of tables, and of what moves records by itself: we have neither."""

    def _never(self, *_: Any, **__: Any) -> Never:
        raise NotImplementedError("agents here have no tables, and read through _drain_messages")

    _getmany = _seek = _to_message = seek_wait = position = _never
    highwater = highwaters = earliest_offsets = _never
    topic_partitions = key_partition = create_topic = _never

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    async def perform_seek(self) -> None:
        """Nothing: reading begins at the committed offsets."""

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Nothing, for the same reason."""
        return {}


class BatchConsumer(_WithoutTables):
    """Hands over batches, and commits what our ledgers say instead of what Faust makes of acks.

    Faust's own reckoning can commit past a record that is still at work (`docs/delivery.md`).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.joined = False
        self._kafka: confluent_kafka.Consumer = consumer_of(
            self.app.settings, self.app.conf.id, self.app.fetch_wait_ms
        )
        self._reader: Reader | None = None
        self._held: set[TP] = set()
        self._beside: dict[tuple[TP, int], str] = {}
        self._told: dict[TP, tuple[int, str]] = {}
        self._arrivals: asyncio.Queue[Sequence[Batch]] = asyncio.Queue()
        self._passing: asyncio.Task[None] | None = None

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Join the group; Faust asks for it once, since each app has one topic."""
        self._reader = Reader(self._kafka, self, self.app.chunk_size)
        self._reader.start(topics)

    async def on_stop(self) -> None:
        """Commit and leave the group."""
        await self._commit_all()
        await super().on_stop()
        if self._reader is not None:
            await self._reader.stopped()

    def assignment(self) -> set[TP]:
        """The partitions that are ours."""
        return self._held

    # What the reader tells of.

    def arrived(self, batches: Sequence[Batch]) -> None:
        """Records have been read."""
        self._arrivals.put_nowait(batches)

    async def dealt(self, places: set[Place], generation: int) -> None:
        """Note that the group has us, even where it has no partition for us."""
        if not self.app.rebalancing:
            self.app.on_rebalance_start()
        self._held = {TP(*place) for place in places}
        self.app.consumer_generation_id = generation
        self.app.work.go_on()
        await self.on_partitions_assigned(set(self._held), generation)
        self.joined = True
        log.info("group.dealt", group=self.app.conf.id, generation=generation, partitions=len(places))

    async def taken_away(self, places: set[Place]) -> None:
        """End what can be ended soon, and commit what is done: others then do not do it again."""
        self.app.on_rebalance_start()
        self.joined = False
        await self.app.work.let_go(_LET_GO_S)
        await self._commit_all()
        await self.on_partitions_revoked({TP(*place) for place in places})
        self._told.clear()
        self._held = set()

    async def failed(self, error: BaseException) -> None:
        """Nothing is read any more: the worker ends, and a restart is what helps."""
        await self.app.crash(error)

    # From the reader to the agent.

    async def _drain_messages(self, fetcher: Any) -> None:
        """Faust's fetcher runs this: batches to the agent, one handing over after the other."""
        while not (self.should_stop or fetcher.should_stop):
            if not self.flow_active:
                await self.can_resume_flow.wait()
            batches = await self._arrivals.get()
            self._passing = asyncio.create_task(self._pass_on(batches))
            try:
                await asyncio.wait([self._passing])
                if not self._passing.cancelled():
                    self._passing.result()
            finally:
                assert self._reader is not None
                self._reader.took()

    async def _pass_on(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            if not self.flow_active:
                await self.can_resume_flow.wait()
            if batch.generation == self.app.consumer_generation_id:
                await self.callback(_message(batch))

    def stop_flow(self) -> None:
        """Nothing goes to agents for a while. What waits for room in a queue that Faust empties waits for ever."""
        super().stop_flow()
        if self._passing is not None:
            self._passing.cancel()

    # What may be read on from.

    async def _commit_all(self) -> None:
        """Commit what is done by now. Faust takes a commit under way for ours, which may have begun before that."""
        while await self.maybe_wait_for_commit_to_finish():
            pass
        await self.commit()

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ARG002, FBT001, FBT002  # Faust's signature
        """Commit what changed since the last commit."""
        generation = self.app.consumer_generation_id
        found = {tp: self.app.work.progress(tp.topic, tp.partition, generation) for tp in self._held}
        wanted = {tp: (one.next, one.text()) for tp, one in found.items() if one is not None}
        changed = {tp: told for tp, told in wanted.items() if self._told.get(tp) != told}
        if not changed:
            return False
        self._beside = {(tp, offset): text for tp, (offset, text) in changed.items()}
        done: bool = await self._commit_offsets({tp: offset for tp, (offset, _) in changed.items()})
        if done:
            self._told.update(changed)
        return done

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        wanted = [
            confluent_kafka.TopicPartition(
                tp.topic, tp.partition, offset, metadata=self._beside.get((tp, offset), "")
            )
            for tp, offset in offsets.items()
        ]
        if self._reader is None:
            return False
        try:
            await asyncio.wrap_future(self._reader.commit(wanted))
        except (KafkaException, RuntimeError) as error:
            # Often the partitions are somebody else's by now, who reads on from what was committed before.
            log.info("commit.failed", error=str(error))
            return False
        return True

    async def go_back(self, topic: str, partition: int) -> None:
        """Read a partition from its committed offset again, unless it is somebody else's by now."""
        if self._reader is not None:
            await asyncio.wrap_future(self._reader.go_back((topic, partition)))


def _message(batch: Batch) -> ConsumerMessage:
    """Looks like one record to Faust: its value is a batch of records, its offset the last one's."""
    last = batch.records[-1]
    tp = TP(last.topic, last.partition)
    return ConsumerMessage(
        *tp, last.offset, 0.0, 0, (), None, batch, None, 0, 0, tp, generation_id=batch.generation
    )


class Transport(base.Transport):  # type: ignore[misc]
    """Our consumer under Faust. Its producer is Faust's empty one: `streams.publisher` publishes."""

    Consumer = BatchConsumer
    driver_version = f"confluent-kafka={confluent_kafka.__version__}"


class StageApp(faust.App):  # type: ignore[misc]
    """The Faust app of one stage."""

    settings: Settings
    work: Work
    fetch_wait_ms: int
    """How long its broker, with nothing new, may hold a fetch back."""

    @property
    def chunk_size(self) -> int:
        """How many records an agent is given at once."""
        return self.settings.chunk_size

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)

    _new_producer_transport = _new_transport


def new_app(stage: str, settings: Settings) -> StageApp:
    """An app in the stage's consumer group; nothing connects until it is started."""
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
        # A rebalance must not wait for slow model calls: work of lost partitions is dropped and read again.
        stream_wait_empty=False,
        stream_buffer_maxsize=1,
        broker_session_timeout=settings.session_timeout_s,
        broker_commit_interval=0.5,
    )
    app.settings = settings
    return app
