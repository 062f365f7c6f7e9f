"""A loop over confluent-kafka, written by hand.

    python -m benchmarks.peers.confluent_loop plain|concurrent

`plain` polls one record at a time and commits every hundred of them, as Confluent's guide for Python has it for at
least once; `concurrent` gives what one `consume` returned to a pool of threads, waits for the slowest of it and for
the broker, and commits.
"""

import signal
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from confluent_kafka import Consumer, KafkaError, Message, Producer

from benchmarks.peers import common
from benchmarks.peers.asking_threads import Asking

_COMMIT_EVERY = 100
_HOP_BATCH = 2000
_SESSION_MS = 6_000
_WAIT_S = 0.1


class NotDelivered(Exception):
    """The broker did not take an event: nothing may be committed."""


class Publisher:
    """Produces, and says whether all of it was confirmed."""

    def __init__(self, kafka: str) -> None:
        self._producer = Producer({"bootstrap.servers": kafka, "acks": "all"})
        self._error: KafkaError | None = None

    def produce(self, topic: str, value: bytes, key: bytes) -> None:
        """Hand over an event."""
        while True:
            try:
                self._producer.produce(topic, value, key, on_delivery=self._heard)
            except BufferError:  # the local queue is full
                self._producer.poll(0.1)
            else:
                return

    def confirm(self) -> None:
        """Wait until the broker has all of it.

        Raises:
            NotDelivered: it has not.
        """
        if left := self._producer.flush(60):
            raise NotDelivered(f"{left} events unconfirmed")
        if self._error is not None:
            raise NotDelivered(str(self._error))

    def _heard(self, error: KafkaError | None, _: Message) -> None:
        self._error = self._error or error


class Work:
    """What is done with records."""

    def __init__(self, settings: common.Settings, *, concurrent: bool) -> None:
        self._settings = settings
        threads = settings.inflight if concurrent and not settings.hop else 1
        self._pool = ThreadPoolExecutor(threads)
        self._asking = Asking(settings, threads)
        self._publisher = Publisher(settings.kafka)
        self.confirm = self._publisher.confirm

    def do(self, value: bytes) -> None:
        """All of a request, or one hop of it."""
        if self._settings.hop:
            request = common.read(value)
            self._publisher.produce(self._settings.responses, common.echoed(request), request["id"].encode())
        else:
            self._publish(self._asking.finished(value))

    def do_all(self, values: Iterable[bytes]) -> None:
        """The same with all of them, the slow part of it at once."""
        if self._settings.hop:
            for value in values:
                self.do(value)
        else:
            for events in self._pool.map(self._asking.finished, values):
                self._publish(events)

    def close(self) -> None:
        """Release connections."""
        self._pool.shutdown()
        self._asking.close()

    def _publish(self, events: common.Events) -> None:
        self._publisher.produce(self._settings.responses, events.response, events.key)
        self._publisher.produce(self._settings.moderation, events.moderation, events.key)
        self._publisher.produce(self._settings.costs, events.cost, events.key)


class Loop:
    """Runs until SIGTERM."""

    def __init__(self, settings: common.Settings, *, concurrent: bool) -> None:
        self._settings = settings
        self._work = Work(settings, concurrent=concurrent)
        self._stopping = False
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.kafka,
                "group.id": settings.group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "session.timeout.ms": _SESSION_MS,
                "fetch.wait.max.ms": settings.fetch_wait_ms,
            }
        )
        self._consumer.subscribe([settings.requests])

    def stop(self, *_: object) -> None:
        """Leave after what is at work now."""
        self._stopping = True

    def one_by_one(self) -> None:
        """Poll, work, and commit every so often, and whenever there is nothing to do."""
        uncommitted = 0
        while not self._stopping:
            message = self._consumer.poll(_WAIT_S)
            if message is not None:
                self._work.do(_value(message))
                uncommitted += 1
            if uncommitted and (message is None or uncommitted >= _COMMIT_EVERY):
                self._commit()
                uncommitted = 0

    def batches(self) -> None:
        """Consume many, work on them at once, commit."""
        size = _HOP_BATCH if self._settings.hop else self._settings.inflight
        while not self._stopping:
            messages = self._consumer.consume(size, _WAIT_S)
            if messages:
                self._work.do_all([_value(message) for message in messages])
                self._commit()

    def _commit(self) -> None:
        self._work.confirm()
        self._consumer.commit(asynchronous=False)

    def close(self) -> None:
        """Leave the group, release connections."""
        self._consumer.close()
        self._work.close()


def _value(message: Message) -> bytes:
    if error := message.error():
        raise RuntimeError(str(error))
    value = message.value()
    assert isinstance(value, bytes)
    return value


def main() -> None:
    """The command line."""
    concurrent = sys.argv[1] == "concurrent"
    loop = Loop(common.settings(), concurrent=concurrent)
    signal.signal(signal.SIGTERM, loop.stop)
    try:
        if concurrent:
            loop.batches()
        else:
            loop.one_by_one()
    finally:
        loop.close()


if __name__ == "__main__":
    main()
