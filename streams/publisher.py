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
from streams.records import Origin, RawRecord
from streams.settings import Settings
from streams.topics import MAX_RECORD_BYTES, physical

log = structlog.get_logger(__name__)

SOURCE = "/sluicegate"
_MAX_DELAY_S = 5.0

Headers = list[tuple[str, bytes]]


def new_producer(settings: Settings) -> AIOKafkaProducer:
    """A producer that waits for all replicas and takes the largest record that our topics take."""
    return AIOKafkaProducer(
        bootstrap_servers=settings.broker,
        acks="all",
        enable_idempotence=settings.idempotence,
        # Under load batches fill while the one before is under way; without load waiting only delays.
        linger_ms=0,
        max_batch_size=256 * 1024,
        max_request_size=MAX_RECORD_BYTES + 32 * 1024,
        request_timeout_ms=20_000,
    )


class KafkaPublisher:
    """Publishes with retries that never give up: an unconfirmed event is never acked, and so never lost."""

    def __init__(
        self, producer: AIOKafkaProducer, prefix: str, metrics: Metrics, clock: Callable[[], datetime]
    ) -> None:
        self._producer = producer
        self._prefix = prefix
        self._metrics = metrics
        self._clock = clock

    async def publish(self, events: Sequence[Event], origin: Origin) -> None:
        """Return once the broker has confirmed every event.

        Raises:
            ValueError: an event is not what its type allows; nothing was published.
        """
        records = [self._record(event, origin) for event in events]
        # One after the other into the producer's batches, then one wait for all: a task for each costs more.
        sent = [await self._begin(*record) for record in records]
        for record, confirmed in zip(records, sent, strict=True):
            await self._confirmed(confirmed, *record)
        observe(events, self._metrics)

    def _record(self, event: Event, origin: Origin) -> tuple[str, bytes, bytes, Headers]:
        topic = channels.BY_EVENT[type(event)].topic
        key = key_of(event)
        headers = ce_headers(
            event, getattr(event, "id", None) or key, SOURCE, self._clock(), origin.traceparent
        )
        return topic, key.encode(), encode(event), headers

    async def dead_letter(self, record: RawRecord, letter: DeadLetter) -> None:
        """Set a record aside with its own headers, ours added; returns once the broker has confirmed it."""
        own = [(name, value) for name, value in record.headers if not name.startswith(OWN_PREFIXES)]
        # aiokafka sends no record without both key and value: an empty key stands for the missing one.
        key = b"" if record.key is None and record.value is None else record.key
        await self._send(channels.DEAD_LETTERS, key, record.value, [*own, *letter.headers()])

    async def _send(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        await self._confirmed(await self._begin(topic, key, value, headers), topic, key, value, headers)

    async def _begin(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers
    ) -> asyncio.Future[object]:
        """Put a record among those to be sent; what is returned ends when the broker has confirmed it, or raises."""
        try:
            sent: asyncio.Future[object] = await self._producer.send(
                physical(topic, self._prefix), value=value, key=key, headers=headers
            )
        except MessageSizeTooLargeError:
            raise
        except KafkaError as error:
            sent = asyncio.get_running_loop().create_future()
            sent.set_exception(error)
        return sent

    async def _confirmed(
        self,
        confirmed: asyncio.Future[object],
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
    ) -> None:
        """Wait for the broker, and send again until it has the record."""
        delay_s = 0.1
        while True:
            try:
                await confirmed
            except MessageSizeTooLargeError:
                raise
            except KafkaError as error:
                self._metrics.publish_errors_total.labels(topic=topic).inc()
                log.warning("publish.retry", topic=topic, error=repr(error), delay_s=delay_s)
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, _MAX_DELAY_S)
                confirmed = await self._begin(topic, key, value, headers)
            else:
                return
