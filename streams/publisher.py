"""The way out: events to their topics through one aiokafka producer, confirmed by the broker before we go on."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from schemas import channels
from schemas.codec import encode
from schemas.common import Event
from schemas.dead_letter import OWN_PREFIXES, DeadLetter
from schemas.headers import ce_headers
from schemas.identity import key_of
from streams.metrics import Metrics
from streams.observe import observe
from streams.outbox import Outbox, Outgoing, Refused
from streams.records import Origin, RawRecord
from streams.settings import Settings
from streams.topics import MAX_RECORD_BYTES, logical, physical

log = structlog.get_logger(__name__)

SOURCE = "/sluicegate"
_MAX_DELAY_S = 5.0
_MAX_REQUEST_BYTES = MAX_RECORD_BYTES + 32 * 1024
"""A dead letter is the largest record there may be, and what we say of it."""


def new_producer(settings: Settings) -> AIOKafkaProducer:
    """A producer that waits for all replicas and takes the largest record that our topics take."""
    return AIOKafkaProducer(
        bootstrap_servers=settings.broker,
        acks="all",
        enable_idempotence=settings.idempotence,
        # Under load batches fill while the one before is under way; without load waiting only delays.
        linger_ms=0,
        max_batch_size=256 * 1024,
        max_request_size=_MAX_REQUEST_BYTES,
        request_timeout_ms=20_000,
    )


class KafkaPublisher:
    """Publishes with retries that never give up: an unconfirmed event is never acked, and so never lost."""

    def __init__(
        self, producer: AIOKafkaProducer, prefix: str, metrics: Metrics, clock: Callable[[], datetime]
    ) -> None:
        self._outbox = Outbox(producer)
        self._prefix = prefix
        self._metrics = metrics
        self._clock = clock

    async def publish(self, events: Sequence[Event], origin: Origin) -> None:
        """Return once the broker has confirmed every event.

        Raises:
            ValueError: an event is not what its type allows; nothing was published.
            MessageSizeTooLargeError: one is larger than our topics take; nothing was published.
        """
        now = self._clock()
        records = [self._record(event, origin, now) for event in events]
        if refused := await self._outbox.send(records):
            await self._send_again(refused)
        observe(events, self._metrics)

    def _record(self, event: Event, origin: Origin, now: datetime) -> Outgoing:
        key = key_of(event)
        headers = ce_headers(event, getattr(event, "id", None) or key, SOURCE, now, origin.traceparent)
        topic, value = self._physical(channels.BY_EVENT[type(event)].topic), encode(event)
        _check_size(len(value), MAX_RECORD_BYTES)
        return Outgoing(topic, key.encode(), value, headers)

    async def dead_letter(self, record: RawRecord, letter: DeadLetter) -> None:
        """Set a record aside with its own headers, ours added; returns once the broker has confirmed it."""
        own = [(name, value) for name, value in record.headers if not name.startswith(OWN_PREFIXES)]
        # aiokafka sends no record without both key and value: an empty key stands for the missing one.
        key = b"" if record.key is None and record.value is None else record.key
        headers = [*own, *letter.headers()]
        size = len(key or b"") + len(record.value or b"") + sum(len(value or b"") for _, value in headers)
        _check_size(size, _MAX_REQUEST_BYTES)
        aside = Outgoing(self._physical(channels.DEAD_LETTERS), key, record.value, headers)
        await self._send_again(await self._outbox.send([aside]))

    def _physical(self, topic: str) -> str:
        return physical(topic, self._prefix)

    async def _send_again(self, refused: Sequence[Refused]) -> None:
        """Until the broker has them all."""
        delay_s = 0.1
        while refused:
            self._note(refused, delay_s)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, _MAX_DELAY_S)
            refused = await self._outbox.send([one.record for one in refused])

    def _note(self, refused: Sequence[Refused], delay_s: float) -> None:
        """Tell of what is sent again; raises what is no use to send again."""
        for one in refused:
            if isinstance(one.error, MessageSizeTooLargeError) or not isinstance(one.error, KafkaError):
                raise one.error
            self._metrics.publish_errors_total.labels(topic=logical(one.record.topic, self._prefix)).inc()
        topics = sorted({one.record.topic for one in refused})
        log.warning("publish.retry", topics=topics, error=repr(refused[0].error), delay_s=delay_s)


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise MessageSizeTooLargeError(f"{size} bytes; at most {most} can be written")
