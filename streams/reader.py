"""Reads a topic through librdkafka in a thread, and hands its records over to the event loop in batches.

The thread spends its time in C without the interpreter's lock: fetching, decompressing, checking sums. What is left
to Python is a few microseconds a record, and one call into the event loop for all that had arrived.

Only this thread may touch the consumer: confluent-kafka keeps every other one waiting until a poll has returned, its
callbacks included. So a commit is an order to the thread, which also follows orders while a callback of its waits for
the event loop.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from operator import methodcaller
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeVar

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from msgspec import Struct

from streams.records import RawRecord
from streams.settings import Settings

log = structlog.get_logger(__name__)

T = TypeVar("T")
Place = tuple[str, int]
"""Topic and partition."""

_MOST = 256
"""Records in one handing over."""
_AHEAD = 1
"""How many of those may be on their way while the thread reads the next."""
_IDLE_S = 0.1
"""How long an order to the thread may wait while nothing is read."""
_PATIENCE_S = 1.0
"""So long the thread waits for the event loop to take records before it turns to the group."""
_STANDSTILL_S = 0.1
"""How long anything may wait for the thread while it waits itself."""
_ASK_S = 5.0
_AGAIN_S = 1.0

_read_headers = methodcaller("headers")
"""Not `message.headers()`: the interpreter specialises such a call, and then does not see that it has failed.

confluent-kafka sets an error and returns a list with a hole; the next call, whichever that is, would raise.
"""


class Record(Struct, gc=False):
    """A consumed record; as `streams.records.RawRecord`."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one partition as the broker gave them, read under the assignment of that `generation`.

    `follows` is the offset after the records handed over before them; None where reading began at the committed
    offset. So it is noticed when some are lost between here and the agent.
    """

    records: Sequence[RawRecord]
    generation: int
    follows: int | None


class HandedOver:
    """Up to where each partition's records were handed over, under which assignment."""

    def __init__(self) -> None:
        self._ends: dict[Place, tuple[int, int]] = {}

    def moved(self, place: Place) -> None:
        """The partition is read from its committed offset again."""
        self._ends.pop(place, None)

    def batches(self, place: Place, records: Sequence[RawRecord], size: int, generation: int) -> list[Batch]:
        """The records in batches of `size`, each of which says what it follows."""
        before, end = self._ends.get(place, (None, 0))
        follows = end if before == generation else None
        made = []
        for start in range(0, len(records), size):
            some = records[start : start + size]
            made.append(Batch(some, generation, follows))
            follows = some[-1].offset + 1
        self._ends[place] = generation, records[-1].offset + 1
        return made


class Owner(Protocol):
    """Who is told of what happens; in the event loop's thread."""

    def arrived(self, batches: Sequence[Batch]) -> None:
        """Records; `Reader.took` is to be called once they have been taken."""
        ...

    async def dealt(self, places: set[Place], generation: int) -> None:
        """These partitions are ours from now on; reading begins when this returns."""
        ...

    async def taken_away(self, places: set[Place]) -> None:
        """They are ours no longer when this returns; until then offsets can be committed."""
        ...

    async def failed(self, error: BaseException) -> None:
        """The thread has ended."""
        ...


def consumer_of(settings: Settings, group: str, fetch_wait_ms: int) -> Consumer:
    """A consumer in that group, which commits nothing by itself; nothing connects until it subscribes."""
    session_ms = int(settings.session_timeout_s * 1000)
    return Consumer(
        {
            "bootstrap.servers": settings.broker,
            "group.id": group,
            "client.id": "sluicegate",
            # Requests of aborted transactions are not read, as librdkafka has it unless told otherwise.
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            # Partitions are dealt out in turn: four among three workers are two, one and one.
            "partition.assignment.strategy": "roundrobin",
            "session.timeout.ms": session_ms,
            "heartbeat.interval.ms": session_ms // 5,
            "fetch.wait.max.ms": fetch_wait_ms,
            "fetch.error.backoff.ms": 100,
            # When the queue below is full, fetching goes on so soon after it has room again.
            "fetch.queue.backoff.ms": 20,
            # Read ahead for the next moment, not for the next minute: it is memory of each stage.
            "queued.min.messages": 250,
            "queued.max.messages.kbytes": 1024,
            "fetch.message.max.bytes": 256 * 1024,
            "check.crcs": True,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 1_000,
            # A commit that nobody answers must not keep a stop waiting for a minute.
            "socket.timeout.ms": 10_000,
            "allow.auto.create.topics": False,
            "error_cb": _told,
            "log_level": 2,
        }
    )


def _told(error: KafkaError) -> None:
    """What librdkafka goes on after by itself, such as a broker that is away."""
    log.info("broker.trouble", error=error.str())


class Reader:
    """One consumer and its thread."""

    def __init__(self, kafka: Consumer, owner: Owner, size: int) -> None:
        self._kafka, self._owner, self._size = kafka, owner, size
        self._loop = asyncio.get_running_loop()
        self._generation = 0
        self._handed_over = HandedOver()
        self._room = threading.Semaphore(_AHEAD)
        self._orders: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._stopping = threading.Event()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="sluicegate-reader", daemon=True)

    def start(self, topics: Iterable[str]) -> None:
        """Join the group and read, in the background."""
        self._kafka.subscribe(list(topics), on_assign=self._dealt, on_revoke=self._taken_away)
        self._thread.start()

    async def stopped(self) -> None:
        """Leave the group. The thread is not joined: in a broker's absence it may take longer than anybody waits."""
        self._stopping.set()
        await self._ended.wait()

    def took(self) -> None:
        """One handing over has been taken: there is room for the next."""
        self._room.release()
        self._orders.put(_wake_up)

    def go_back(self, place: Place) -> "Future[None]":
        """Read one partition from its committed offset again, or from its beginning, unless it is dealt out anew."""
        return self._order(lambda: self._read_again([TopicPartition(*place)]))

    def commit(self, offsets: Sequence[TopicPartition]) -> "Future[None]":
        """Commit these offsets.

        The future raises:
            KafkaException: not all of them were committed.
            RuntimeError: the consumer is closed.
        """

        def commit() -> None:
            for tp in self._kafka.commit(offsets=list(offsets), asynchronous=False) or ():
                if tp.error:
                    raise KafkaException(tp.error)

        return self._order(commit)

    def _order(self, step: Callable[[], T]) -> "Future[T]":
        done: Future[T] = Future()

        def run() -> None:
            if not done.set_running_or_notify_cancel():
                return
            try:
                done.set_result(step())
            except Exception as error:
                done.set_exception(error)

        self._orders.put(run)
        if self._ended.is_set():
            self._obey()
        return done

    def _obey(self, wait_s: float = 0.0) -> None:
        """Do what was ordered; wait so long for a first order."""
        with contextlib.suppress(Empty):
            self._orders.get(block=wait_s > 0, timeout=wait_s)()
            while True:
                self._orders.get_nowait()()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._obey()
                self._hand_over(self._taken())
        except BaseException as error:  # told to whoever can end the worker
            log.exception("reader.failed")
            self._ask(self._owner.failed(error))
        finally:
            self._end()

    def _end(self) -> None:
        """Leave the group and say so, whatever the owner makes of losing its partitions once more."""
        try:
            self._kafka.close()
        except Exception:
            log.exception("reader.close_failed")
        self._obey()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._ended.set)

    def _taken(self) -> list[Message]:
        """What has arrived, as soon as there is something."""
        first = self._kafka.poll(_IDLE_S)
        if first is None:
            return []
        generation = self._generation
        found = [first, *self._kafka.consume(_MOST - 1, 0)]
        if generation == self._generation:
            return found
        # Dealt out anew in between: which of them were read before cannot be told.
        self._read_again(self._kafka.assignment())
        return []

    def _hand_over(self, messages: Sequence[Message]) -> None:
        found: dict[Place, list[RawRecord]] = {}
        for message in messages:
            if error := message.error():
                self._complain(error)
                continue
            topic, partition = message.topic(), message.partition()
            record = Record(
                topic, partition, message.offset(), message.key(), message.value(), _headers(message)
            )
            found.setdefault((topic, partition), []).append(record)
        if not found:
            return
        batches = [
            batch
            for place, records in found.items()
            for batch in self._handed_over.batches(place, records, self._size, self._generation)
        ]
        self._loop.call_soon_threadsafe(self._owner.arrived, batches)
        if not self._is_room(_PATIENCE_S):
            self._stand_still()

    def _is_room(self, wait_s: float) -> bool:
        """Whether there is room for more within that time; orders are followed meanwhile."""
        until_s = time.monotonic() + wait_s
        while not self._room.acquire(blocking=False):
            left_s = until_s - time.monotonic()
            if left_s <= 0 or self._stopping.is_set():
                return False
            self._obey(min(left_s, _STANDSTILL_S))
        return True

    def _complain(self, error: KafkaError) -> None:
        if error.fatal():
            raise KafkaException(error)
        log.warning("read.failed", error=error.str())

    def _stand_still(self) -> None:
        """Nobody takes records: read none, but answer the group, which would deal our partitions out otherwise."""
        paused = 0
        while not (self._stopping.is_set() or self._room.acquire(blocking=False)):
            if paused != self._generation:
                self._kafka.pause(self._kafka.assignment())
                paused = self._generation
            self._obey()
            late = self._kafka.poll(_STANDSTILL_S)
            if late is not None and not late.error():
                self._kafka.seek(TopicPartition(late.topic(), late.partition(), late.offset()))
                paused = 0
        self._kafka.resume(self._kafka.assignment())

    def _read_again(self, partitions: Sequence[TopicPartition]) -> None:
        """Read from the committed offsets, however long the broker is away; a new assignment begins there anyway."""
        generation = self._generation
        while generation == self._generation and not self._stopping.is_set():
            try:
                self._seek_committed(partitions)
            except KafkaException as error:
                log.warning("go_back.failed", error=str(error))
                self._stopping.wait(_AGAIN_S)
            else:
                return

    def _seek_committed(self, partitions: Sequence[TopicPartition]) -> None:
        held = {(tp.topic, tp.partition) for tp in self._kafka.assignment()}
        ours = [tp for tp in partitions if (tp.topic, tp.partition) in held]
        for tp in self._kafka.committed(ours, timeout=_ASK_S) if ours else []:
            if tp.error:
                raise KafkaException(tp.error)
            offset = tp.offset if tp.offset >= 0 else OFFSET_BEGINNING
            self._kafka.seek(TopicPartition(tp.topic, tp.partition, offset))
            self._handed_over.moved((tp.topic, tp.partition))

    def _dealt(self, _: Consumer, partitions: Sequence[TopicPartition]) -> None:
        self._generation += 1
        self._ask(self._owner.dealt(_places(partitions), self._generation))

    def _taken_away(self, _: Consumer, partitions: Sequence[TopicPartition]) -> None:
        self._ask(self._owner.taken_away(_places(partitions)))

    def _ask(self, answer: Coroutine[Any, Any, None]) -> None:
        """Have the event loop do something and wait for it; not at the end, when it waits for us."""
        if self._stopping.is_set():
            answer.close()
            return
        asked = asyncio.run_coroutine_threadsafe(answer, self._loop)
        asked.add_done_callback(lambda _: self._orders.put(_wake_up))
        while not asked.done():
            if self._stopping.is_set():
                return
            self._obey(_STANDSTILL_S)
        if not asked.cancelled():  # the loop is ending
            asked.result()


def _headers(message: Message) -> Sequence[tuple[str, bytes]]:
    """A record's headers; none where the name of one is not UTF-8, which confluent-kafka cannot say."""
    try:
        return _read_headers(message) or ()
    except (SystemError, UnicodeDecodeError):
        log.warning(
            "read.headers_dropped",
            reason="the name of a header is not UTF-8",
            topic=message.topic(),
            partition=message.partition(),
            offset=message.offset(),
        )
        return ()


def _wake_up() -> None:
    """An order that ends a wait for orders."""


def _places(partitions: Iterable[TopicPartition]) -> set[Place]:
    return {(tp.topic, tp.partition) for tp in partitions}
