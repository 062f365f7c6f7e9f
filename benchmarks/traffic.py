"""Requests into the broker and answers out of it, through confluent-kafka: fast, and independent of every program."""

import re
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from benchmarks.requests import key_of
from schemas.codec import DecodeError, decode
from schemas.response import GenerationResponse

DECODED_EVERY = 100
_NAME = re.compile(rb'"request_id"\s*:\s*"([^"]{1,128})"')
_QUIETLY = {"log_level": 0}
_SILENT_S = 1.0
_GULP_S = 0.05
_LOST_S = 10.0
_ASK_S = 10.0


class Load:
    """Publishes requests; confirmed by the broker before any method returns."""

    def __init__(self, bootstrap: str, topic: str, linger_ms: int = 5) -> None:
        self._topic = topic
        self._refused: list[str] = []
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "linger.ms": linger_ms,
                "acks": "all",
                "queue.buffering.max.messages": 1_000_000,
                **_QUIETLY,
            }
        )

    def _heard(self, error: object, _: Message) -> None:
        if error is not None:
            self._refused.append(str(error))

    def _send(self, request: bytes, key: bytes) -> None:
        while True:
            try:
                self._producer.produce(self._topic, request, key, on_delivery=self._heard)
            except BufferError:
                self._producer.poll(0.1)
            else:
                return

    def burst(self, requests: Sequence[bytes]) -> float:
        """As fast as it goes; returns when that began, by the wall clock."""
        keyed = [(request, key_of(request)) for request in requests]
        began = time.time()
        for number, (request, key) in enumerate(keyed):
            self._send(request, key)
            if number % 1000 == 0:
                self._producer.poll(0)
        self.settle()
        return began

    def steady(self, requests: Sequence[bytes], per_s: float) -> dict[str, float]:
        """One after the other at that rate, whatever becomes of them; id to when it was sent."""
        keyed = [(request, key_of(request)) for request in requests]
        sent: dict[str, float] = {}
        began = time.perf_counter()
        for number, (request, key) in enumerate(keyed):
            while (wait_s := began + number / per_s - time.perf_counter()) > 0:
                self._producer.poll(min(wait_s, 0.005))
            sent[key.decode()] = time.time()
            self._send(request, key)
        self.settle()
        return sent

    def settle(self) -> None:
        """Wait for the broker.

        Raises:
            KafkaException: it did not take all of them.
        """
        if self._producer.flush(60) or self._refused:
            raise KafkaException(f"not all requests were stored: {self._refused[:3]}")


@dataclass
class Answers:
    """What was read from the topic of responses."""

    at: dict[str, float] = field(default_factory=dict)
    """Request id to the first response's timestamp, in seconds."""
    seen: dict[str, float] = field(default_factory=dict)
    """Request id to when we read it."""
    repeats: int = 0
    records: int = 0
    decoded: int = 0
    unreadable: list[str] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    """Of those that were decoded."""

    def take(self, value: bytes, timestamp_s: float, seen_s: float = 0.0) -> None:
        """One response: counted by its request's id; one in a hundred is decoded."""
        self.records += 1
        found = _NAME.search(value)
        name = found[1].decode() if found else f"?{len(self.at)}"
        if name in self.at:
            self.repeats += 1
            return
        self.at[name], self.seen[name] = timestamp_s, seen_s
        if len(self.at) % DECODED_EVERY == 1:
            self._decode(value)

    def _decode(self, value: bytes) -> None:
        self.decoded += 1
        try:
            status: str = decode(GenerationResponse, value).status
        except DecodeError as error:
            self.unreadable.append(str(error))
            status = "unreadable"
        self.statuses[status] = self.statuses.get(status, 0) + 1

    def of(self, prefix: str, *, seen: bool = False) -> dict[str, float]:
        """Those whose ids begin so: their timestamps, or when they were seen."""
        times = self.seen if seen else self.at
        return {name: at for name, at in times.items() if name.startswith(prefix)}


class Watch:
    """Looks at the topic of responses: how many there are, which costs next to nothing, and at last at all of it."""

    def __init__(self, bootstrap: str, topic: str, partitions: int, *, exact_ends: bool) -> None:
        """`exact_ends`: whether end offsets can be believed; those of the embedded broker cannot: it reads along."""
        self._exact_ends = exact_ends
        self._places = [TopicPartition(topic, number, 0) for number in range(partitions)]
        self._answers = Answers()
        self._ended = 0
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": uuid.uuid4().hex,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 50,
                **_QUIETLY,
            }
        )
        if not exact_ends:
            self._consumer.assign(self._places)

    def close(self) -> None:
        """Release the connection."""
        self._consumer.close()

    def count(self) -> int:
        """Records in the topic."""
        if not self._exact_ends:
            self._take(0.0)
            return len(self._answers.at)
        with suppress(KafkaException):  # a new topic has no leader for a moment
            ends = [self._consumer.get_watermark_offsets(place, timeout=_ASK_S) for place in self._places]
            self._ended = sum(max(end[1], 0) for end in ends if end)
        return self._ended

    def read(self) -> Answers:
        """The whole topic: to its end, or, where that is not known, until it is silent for a second."""
        if self._exact_ends:
            wanted = self.count()
            self._consumer.assign(self._places)
            heard = time.monotonic()
            while self._answers.records < wanted and time.monotonic() - heard < _LOST_S:
                if self._take(_GULP_S):
                    heard = time.monotonic()
        else:
            self._take(_SILENT_S)
        return self._answers

    def _take(self, patience_s: float) -> bool:
        """What is there, or comes while we have patience; whether there was anything."""
        before = self._answers.records
        while messages := self._consumer.consume(1000, patience_s):
            now = time.time()
            for message in messages:
                if message.error() is None:
                    self._answers.take(message.value() or b"", message.timestamp()[1] / 1000, now)
        return self._answers.records > before
