"""One delivery rule around every agent: decode, handle, publish, wait for the broker, ack in order.

It knows nothing of what the agents do, and nothing of Faust: `streams/wiring.py` hands it chunks of records, and
commits what `progress` says. A record waits for all before it in its partition: to commit an offset is to say that
everything before it is done (`docs/delivery.md`).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Generic, Protocol, TypeVar

import structlog
from prometheus_client import Histogram

from agents.errors import Unprocessable
from schemas.channels import BY_EVENT
from schemas.codec import DecodeError, decode
from schemas.common import Event
from schemas.dead_letter import DeadLetter
from schemas.headers import read_headers
from schemas.identity import about, lane_of
from streams.ledger import Entry, Ledger, StopLimit
from streams.metrics import Metrics
from streams.progress import Progress
from streams.records import Origin, RawRecord

log = structlog.get_logger(__name__)

E = TypeVar("E", bound=Event)
Partition = tuple[str, int]
Place = tuple[str, int, int]


async def _none(_topic: str, _partition: int) -> Collection[int]:
    return ()


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
class Stage(Generic[E]):
    """One agent as the delivery rule sees it."""

    name: str
    event: type[E]
    handle: Callable[[E, Origin], Awaitable[Sequence[Event | Unprocessable]]]
    """What is to be published; an Unprocessable among it goes to the dead letters, one that is raised alone does."""
    on_error: Callable[[E, Origin], Awaitable[Sequence[Event]]]
    """The terminal events of an event whose handling raised what it never should."""
    max_bytes: int | None = None
    waits: bool = False
    """Whether it mostly sleeps: many more records fit its window then, and a stop does not wait for them."""


@dataclass(slots=True)
class Delivery(Generic[E]):
    """Keeps up to `window` records of a stage in flight and finishes each exactly as the rule says."""

    stage: Stage[E]
    publisher: Publisher
    metrics: Metrics
    window: int
    limit: StopLimit = field(default_factory=lambda: StopLimit(0, 0.0))
    finished: Callable[[str, int], Awaitable[Collection[int]]] = _none
    """Records of a partition that its earlier owner finished beyond the committed offset."""
    stopped: str | None = None
    """Why the stage takes no more records, when there is a reason."""
    _topic: str = field(init=False)
    _duration: Histogram = field(init=False)
    _closing: asyncio.Event = field(init=False, default_factory=asyncio.Event)
    _letting_go: bool = field(init=False, default=False)
    _assignment: int = field(init=False, default=0)
    _busy: int = field(init=False, default=0)
    _left: asyncio.Event = field(init=False, default_factory=asyncio.Event)
    _loop: asyncio.AbstractEventLoop = field(init=False)
    _tasks: dict[Place, asyncio.Task[None]] = field(init=False, default_factory=dict)
    _ledgers: dict[Partition, tuple[object, Ledger]] = field(init=False, default_factory=dict)
    _lanes: dict[tuple[str, str], asyncio.Event] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        # As our tables name it, without an installation's prefix.
        self._topic = BY_EVENT[self.stage.event].topic
        self.metrics.in_flight.labels(stage=self.stage.name).set_function(lambda: len(self._tasks))
        self._duration = self.metrics.stage_duration_seconds.labels(stage=self.stage.name)
        self.metrics.stopped.labels(stage=self.stage.name).set(0)

    @property
    def in_flight(self) -> int:
        """Records that are being worked on."""
        return len(self._tasks)

    def progress(self, topic: str, partition: int, generation: object) -> Progress | None:
        """What may be committed of a partition under that assignment; None when nothing of it was read."""
        known = self._ledgers.get((topic, partition))
        return known[1].progress() if known and known[0] == generation else None

    async def accept(
        self, records: Sequence[RawRecord], generation: object, follows: int | None = None
    ) -> bool:
        """Start work on records of one partition, in order; returns when all have found room in the window.

        `generation` names the assignment they were read under. `follows` is the offset after the records read before
        them, None where reading began, or began again, at the committed offset.

        Returns False when they do not follow on those accepted before: some between were dropped on their way here.
        Nothing is begun then; the partition must be read again from its committed offset.
        """
        if self._closing.is_set() or self._letting_go:
            return True  # not begun: whoever gets the partition reads it again
        assignment, self._loop = self._assignment, asyncio.get_running_loop()
        ledger = await self._ledger(records[0], generation, follows)
        if ledger is None:
            return False
        for record in records:
            await self._room()
            if self.stopped:
                await self._closing.wait()
            if self._closing.is_set() or self._letting_go or assignment != self._assignment:
                return True  # nor is this one
            self._begin(record, ledger)
        return True

    async def _room(self) -> None:
        """Wait until the window has room for one more."""
        while self._busy >= self.window:
            self._left.clear()
            await self._left.wait()

    async def let_go(self, timeout_s: float) -> None:
        """Partitions are about to be dealt out anew: begin nothing, and give what is at work a moment to end.

        What is done when they go is not done again by others. What is not goes on here, too, and is adopted if its
        partition comes back; a stage that only waits drops it.
        """
        self._letting_go = True
        self._assignment += 1
        tasks = set(self._tasks.values())
        if self.stage.waits:
            for task in tasks:
                task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)

    def go_on(self) -> None:
        """Partitions have been dealt out."""
        self._letting_go = False

    def _begin(self, record: RawRecord, ledger: Ledger) -> None:
        place = (record.topic, record.partition, record.offset)
        entry = ledger.open(record.offset)
        if entry is None:
            self.metrics.records_total.labels(topic=self._topic, result="finished_before").inc()
            return
        # Read again after a rebalance while its first reading is still at work: that one finishes for both.
        running = self._tasks.get(place)
        work = self._follow(running, ledger, entry) if running else self._finish(record, ledger, entry)
        self._busy += 1
        task = self._loop.create_task(work)
        if running is None:
            self._tasks[place] = task
        task.add_done_callback(partial(self._done, place))

    async def _follow(self, running: "asyncio.Task[None]", ledger: Ledger, entry: Entry) -> None:
        await asyncio.wait([running])
        if not running.cancelled() and running.exception() is None:
            ledger.finish(entry)

    async def _ledger(self, first: RawRecord, generation: object, follows: int | None) -> Ledger | None:
        """The ledger that these records go on with; a new one where reading began."""
        partition = first.topic, first.partition
        known_under, known = self._ledgers.get(partition, (None, None))
        if known_under != generation:
            known = None
        if follows is not None:
            return known if known is not None and known.end == follows else None
        # What was done of it and not yet committed must not be forgotten when it is read again.
        if known is not None and known.read_again(first.offset):
            return known
        ledger = Ledger(first.offset, await self.finished(*partition))
        self._ledgers[partition] = generation, ledger
        return ledger

    def _done(self, place: Place, task: "asyncio.Task[None]") -> None:
        self._busy -= 1
        self._left.set()
        if self._tasks.get(place) is task:
            del self._tasks[place]
        if not task.cancelled() and (error := task.exception()):
            # Unacked on purpose: the partition waits, health fails, a restart reads the record again.
            log.critical("delivery.stuck", stage=self.stage.name, error=repr(error))

    async def drain(self, timeout_s: float) -> int:
        """Take no more, wait for what is in flight; returns how many records were cancelled at the limit."""
        self._closing.set()
        tasks = set(self._tasks.values())
        if not tasks:
            return 0
        _, late = await asyncio.wait(tasks, timeout=timeout_s)
        for task in late:
            task.cancel()
        return len(late)

    async def _finish(self, record: RawRecord, ledger: Ledger, entry: Entry) -> None:
        started = perf_counter()
        result = await self._deliver(record)
        self._duration.observe(perf_counter() - started)
        self.metrics.records_total.labels(topic=self._topic, result=result).inc()
        ledger.finish(entry)
        # What is readable and unprocessable is one producer's mistake, such as an id used before: no reason to stop.
        why = self.limit.note(bad=result in ("undecodable", "error"))
        if why and not self.stopped:
            self._stop(why)

    def _stop(self, why: str) -> None:
        """Take no more records, and say so wherever somebody may look."""
        self.stopped = why
        self.metrics.stopped.labels(stage=self.stage.name).set(1)
        log.critical(
            "delivery.stopped",
            stage=self.stage.name,
            reason=why,
            do="look at `sluicegate dlq list`; restart to go on, with SLUICEGATE_INVALID_RUN=0 and "
            "SLUICEGATE_INVALID_SHARE=0 to set aside all of them",
        )

    async def _deliver(self, record: RawRecord) -> str:
        known = read_headers(record.headers)
        origin = Origin(record.topic, record.partition, record.offset, known.id, known.traceparent)
        try:
            event = decode(self.stage.event, record.value, self.stage.max_bytes)
        except DecodeError as error:
            letter = self._letter(record, error)
            await self._set_aside(record, letter)
            return "undecodable"
        lane = lane_of(event)
        if lane is None:
            return await self._handle(event, record, origin)
        async with self._in_order(lane):
            return await self._handle(event, record, origin)

    @asynccontextmanager
    async def _in_order(self, lane: tuple[str, str]) -> AsyncIterator[None]:
        """After those of the same lane that were accepted before: tasks begin in the order they were made."""
        before, done = self._lanes.get(lane), asyncio.Event()
        self._lanes[lane] = done
        try:
            if before is not None:
                await before.wait()
            yield
        finally:
            done.set()
            if self._lanes.get(lane) is done:
                del self._lanes[lane]

    async def _handle(self, event: E, record: RawRecord, origin: Origin) -> str:
        try:
            found = await self.stage.handle(event, origin)
            await self.publisher.publish([e for e in found if isinstance(e, Event)], origin)
        except Unprocessable as error:
            await self._set_aside(record, self._letter(record, error, event))
            return "unprocessable"
        except Exception as error:
            log.exception("stage.failed", stage=self.stage.name, position=origin.position)
            # The class alone: messages of unknown errors may quote a prompt.
            said = Unprocessable("handler_error", f"{type(error).__name__} in stage {self.stage.name}")
            await self._set_aside(record, self._letter(record, said, event))
            await self.publisher.publish(await self.stage.on_error(event, origin), origin)
            return "error"
        for problem in found:
            if isinstance(problem, Unprocessable):
                await self._set_aside(record, self._letter(record, problem, event))
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
            attempts=getattr(error, "attempts", None),
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
