"""One delivery rule around every agent: decode, handle, publish, wait for the broker, ack in order.

It knows nothing of what the agents do, and nothing of Faust: `streams/wiring.py` hands it chunks of records and
a way to ack each chunk. A record's acks wait for all before it in its partition, because Faust commits past an
unfinished record otherwise (`docs/delivery.md`).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Generic, Protocol, TypeVar

import structlog
from prometheus_client import Gauge

from agents.errors import Unprocessable
from schemas.channels import BY_EVENT
from schemas.codec import DecodeError, decode
from schemas.common import Event
from schemas.dead_letter import DeadLetter
from schemas.headers import read_headers
from schemas.identity import about
from streams.metrics import Metrics
from streams.records import Origin, RawRecord

log = structlog.get_logger(__name__)

E = TypeVar("E", bound=Event)


class Publisher(Protocol):
    """Publishes and waits: what these return from is on the broker."""

    async def publish(self, events: Sequence[Event], origin: Origin) -> None:
        """Return once the broker has confirmed every event; keeps trying until then.

        Raises:
            ValueError: an event is not what its type allows; nothing was published.
        """
        ...

    async def dead_letter(self, record: RawRecord, letter: DeadLetter) -> None:
        """Set a record aside, key and value bytes untouched; returns once the broker has confirmed it."""
        ...


@dataclass(slots=True)
class Entry:
    """A chunk in the ledger: how many of its records are unfinished, and how to ack it."""

    remaining: int
    ack: Callable[[], None]


class Ledger:
    """Releases the acks of one partition in offset order: the finished prefix, never past a gap."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def open(self, records: int, ack: Callable[[], None]) -> Entry:
        """Enter a chunk of `records` records; chunks are entered in offset order."""
        entry = Entry(records, ack)
        self._entries.append(entry)
        return entry

    def finish(self, entry: Entry) -> None:
        """Mark one of the entry's records as finished, and ack what thereby became the finished prefix."""
        entry.remaining -= 1
        while self._entries and self._entries[0].remaining <= 0:
            self._entries.popleft().ack()


@dataclass(slots=True)
class Stage(Generic[E]):
    """One agent as the delivery rule sees it."""

    name: str
    event: type[E]
    handle: Callable[[E, Origin], Awaitable[Sequence[Event]]]
    on_error: Callable[[E, Origin], Sequence[Event]]
    """The terminal events of an event whose handling raised what it never should."""
    max_bytes: int | None = None


@dataclass(slots=True)
class Delivery(Generic[E]):
    """Keeps up to `window` records of a stage in flight and finishes each exactly as the rule says."""

    stage: Stage[E]
    publisher: Publisher
    metrics: Metrics
    window: int
    _topic: str = field(init=False)
    _gauge: Gauge = field(init=False)
    _closed: bool = field(init=False, default=False)
    _free: asyncio.Semaphore = field(init=False)
    _tasks: set[asyncio.Task[None]] = field(init=False, default_factory=set)
    _ledgers: dict[tuple[object, str, int], Ledger] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._topic = BY_EVENT[
            self.stage.event
        ].topic  # as our tables name it, without an installation's prefix
        self._gauge = self.metrics.in_flight.labels(stage=self.stage.name)
        self._free = asyncio.Semaphore(self.window)

    @property
    def in_flight(self) -> int:
        """Records that are being worked on."""
        return len(self._tasks)

    async def accept(self, records: Sequence[RawRecord], generation: object, ack: Callable[[], None]) -> None:
        """Start work on a chunk of one partition; returns when all of it has found room in the window.

        `generation` names the assignment the chunk was read under. A newer one drops what is left of the older:
        its acks no longer count, its records are read again from the committed offset.
        """
        if self._closed:
            return  # unacked: whoever gets the partition reads it again
        ledger = self._ledger(generation, records[0].topic, records[0].partition)
        entry = ledger.open(len(records), ack)
        for record in records:
            await self._free.acquire()
            task = asyncio.create_task(self._finish(record, ledger, entry))
            self._tasks.add(task)
            self._gauge.set(len(self._tasks))
            task.add_done_callback(self._done)

    def _ledger(self, generation: object, topic: str, partition: int) -> Ledger:
        key = (generation, topic, partition)
        if key not in self._ledgers:
            for old in [k for k in self._ledgers if k[1:] == key[1:]]:
                del self._ledgers[old]
            self._ledgers[key] = Ledger()
        return self._ledgers[key]

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._free.release()
        self._gauge.set(len(self._tasks))
        if not task.cancelled() and (error := task.exception()):
            # Unacked on purpose: the partition waits, health fails, a restart reads the record again.
            log.critical("delivery.stuck", stage=self.stage.name, error=repr(error))

    async def drain(self, timeout_s: float) -> int:
        """Take no more, wait for what is in flight; returns how many records were cancelled at the limit."""
        self._closed = True
        tasks = set(self._tasks)
        if not tasks:
            return 0
        _, late = await asyncio.wait(tasks, timeout=timeout_s)
        for task in late:
            task.cancel()
        return len(late)

    async def _finish(self, record: RawRecord, ledger: Ledger, entry: Entry) -> None:
        started = perf_counter()
        result = await self._deliver(record)
        self.metrics.stage_duration_seconds.labels(stage=self.stage.name).observe(perf_counter() - started)
        self.metrics.records_total.labels(topic=self._topic, result=result).inc()
        ledger.finish(entry)

    async def _deliver(self, record: RawRecord) -> str:
        known = read_headers(record.headers)
        origin = Origin(record.topic, record.partition, record.offset, known.id, known.traceparent)
        try:
            event = decode(self.stage.event, record.value, self.stage.max_bytes)
        except DecodeError as error:
            letter = self._letter(record, error)
            await self._set_aside(record, letter)
            return "undecodable"
        return await self._handle(event, record, origin)

    async def _handle(self, event: E, record: RawRecord, origin: Origin) -> str:
        try:
            events = await self.stage.handle(event, origin)
            await self.publisher.publish(events, origin)
        except Unprocessable as error:
            await self._set_aside(record, self._letter(record, error, event))
            return "unprocessable"
        except Exception as error:
            log.exception("stage.failed", stage=self.stage.name, position=origin.position)
            # The class alone: messages of unknown errors may quote a prompt.
            said = Unprocessable("handler_error", f"{type(error).__name__} in stage {self.stage.name}")
            await self._set_aside(record, self._letter(record, said, event))
            await self.publisher.publish(self.stage.on_error(event, origin), origin)
            return "error"
        return "ok"

    def _letter(
        self, record: RawRecord, error: DecodeError | Unprocessable, event: Event | None = None
    ) -> DeadLetter:
        tenant, request_id = about(event) if event is not None else (None, None)
        return DeadLetter(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            stage=self.stage.name,
            reason=error.reason,
            message=str(error),
            field=error.field,
            expected=error.expected,
            request_id=request_id,
            tenant=tenant,
        )

    async def _set_aside(self, record: RawRecord, letter: DeadLetter) -> None:
        await self.publisher.dead_letter(record, letter)
        self.metrics.dead_letters_total.labels(topic=self._topic, reason=letter.reason).inc()
        log.warning(
            "record.dead_letter",
            stage=self.stage.name,
            position=f"{record.topic}-{record.partition}-{record.offset}",
            reason=letter.reason,
            field=letter.field,
            expected=letter.expected,
        )
