"""A client on kafka-python: publish requests, wait for answers, read topics. What `send`, `ask` and `tail` use."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError
from msgspec.structs import replace

from agents.errors import ConfigurationError, RequestRefused, SluicegateError
from schemas import channels
from schemas.codec import DecodeError, decode, encode
from schemas.common import Event, event_id
from schemas.headers import ce_headers
from schemas.identity import about, key_of
from schemas.request import GenerationRequest
from schemas.response import GenerationResponse
from streams.settings import Settings
from streams.topics import MAX_RECORD_BYTES, physical

SOURCE = "/sluicegate/client"


class NoAnswer(SluicegateError):
    """No terminal response came in time; it may still come, the request is on its topic."""


class Client:
    """A context manager; connects when first used."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._producer is not None:
            self._producer.close()

    def send(self, request: GenerationRequest) -> str:
        """Publish a request and wait for the broker; returns its id, a new one where it had none.

        Raises:
            RequestRefused: it is larger than a worker takes.
            ConfigurationError: no broker answers, or it has no such topic.
        """
        request = replace(request, id=request.id or uuid.uuid4().hex)
        self.publish(channels.REQUESTS, request)
        assert request.id is not None
        return request.id

    def publish(self, topic: str, event: Event) -> None:
        """Publish an event of ours with its key and headers; as `send` otherwise."""
        value, limit = encode(event), self._settings.max_request_bytes
        if len(value) > limit:
            said = f"{len(value)} bytes are more than a worker takes"
            raise RequestRefused("too_large", said, "$", f"at most {limit} bytes")
        tenant, request_id = about(event)
        named = event_id(tenant, request_id or "", topic.removeprefix("genai."))
        headers = ce_headers(event, named, SOURCE, datetime.now(UTC))
        try:
            sent = self._connected().send(
                self._name(topic), key=key_of(event).encode(), value=value, headers=headers
            )
            sent.get(timeout=15)
        except KafkaError as error:
            raise ConfigurationError(self._no_broker(error)) from None

    def ask(
        self,
        request: GenerationRequest,
        timeout_s: float = 120.0,
        on_event: Callable[[GenerationResponse], None] = lambda _: None,
    ) -> GenerationResponse:
        """Send, and wait for the terminal response; `on_event` hears of `pending_review` on the way.

        Raises:
            NoAnswer: none came within `timeout_s`.
            RequestRefused: as `send`.
            ConfigurationError: as `send`.
        """
        request = replace(request, id=request.id or uuid.uuid4().hex)
        # At the end of the topic before the request is sent: the answer cannot come before we look.
        with closing(self._consumer(channels.RESPONSES, from_beginning=False)) as consumer:
            self.send(request)
            end = time.monotonic() + timeout_s
            while (left_s := end - time.monotonic()) > 0:
                for record in _poll(consumer, min(left_s, 0.5)):
                    response = _response(record.value)
                    if response is None or about(response) != about(request):
                        continue
                    if response.terminal:
                        return response
                    on_event(response)
        raise NoAnswer(f"no terminal response for {request.id} within {timeout_s:.0f} s; it may still come")

    def records(
        self, topic: str, *, from_beginning: bool = True, idle_s: float | None = None
    ) -> Iterator[Any]:
        """Records of a topic as kafka-python shapes them; ends when nothing came for `idle_s`, else never.

        Raises:
            ConfigurationError: no broker answers, or it has no such topic.
        """
        with closing(self._consumer(topic, from_beginning=from_beginning)) as consumer:
            last = time.monotonic()
            while idle_s is None or time.monotonic() - last < idle_s:
                for record in _poll(consumer, 0.3):
                    last = time.monotonic()
                    yield record

    def _consumer(self, topic: str, *, from_beginning: bool) -> Any:
        name = self._name(topic)
        try:
            consumer = KafkaConsumer(
                bootstrap_servers=self._settings.broker.split(","),
                group_id=None,
                enable_auto_commit=False,
                fetch_max_bytes=MAX_RECORD_BYTES,
                allow_auto_create_topics=False,
            )
            numbers = consumer.partitions_for_topic(name)
            if not numbers:
                consumer.close()
                where = f"{self._settings.broker} has no topic {name}"
                raise ConfigurationError(f"{where}; run: sluicegate topics create")
            partitions = [TopicPartition(name, number) for number in sorted(numbers)]
            consumer.assign(partitions)
            seek = consumer.seek_to_beginning if from_beginning else consumer.seek_to_end
            seek(*partitions)
            for partition in partitions:
                consumer.position(partition)  # seeking is lazy: this asks the broker now
        except KafkaError as error:
            raise ConfigurationError(self._no_broker(error)) from None
        return consumer

    def _connected(self) -> Any:
        if self._producer is None:
            self._producer = KafkaProducer(
                bootstrap_servers=self._settings.broker.split(","),
                max_request_size=MAX_RECORD_BYTES,
                enable_idempotence=self._settings.idempotence,
                allow_auto_create_topics=False,
            )
        return self._producer

    def _name(self, topic: str) -> str:
        return physical(topic, self._settings.topic_prefix)

    def _no_broker(self, error: KafkaError) -> str:
        return (
            f"the broker at {self._settings.broker} does not serve us ({type(error).__name__}); "
            "start one with `sluicegate up`, or set SLUICEGATE_BROKER"
        )


def _poll(consumer: Any, timeout_s: float) -> Iterator[Any]:
    for records in consumer.poll(timeout_ms=int(timeout_s * 1_000)).values():
        yield from records


def _response(value: bytes | None) -> GenerationResponse | None:
    try:
        return decode(GenerationResponse, value)
    except DecodeError:
        return None  # not ours, or of a later release
