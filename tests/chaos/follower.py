"""Follows a run while it goes on: which requests have ended so far. For progress and for knowing when to stop."""

import contextlib
import threading
import time

from confluent_kafka import Consumer, KafkaException

from tests.chaos.records import as_record, whole_topic
from tests.chaos.verifier import INVALID_KEY, TERMINAL


class Follower(threading.Thread):
    """Reads responses and dead letters as they come, through outages of the broker."""

    def __init__(self, bootstrap: str, responses: str, dead_letters: str) -> None:
        super().__init__(name="follower", daemon=True)
        self._broker, self._topics = bootstrap, (responses, dead_letters)
        self._ending = threading.Event()
        self.ended: set[str] = set()
        self.heard_at = time.monotonic()
        """When something ended last."""

    def run(self) -> None:
        consumers = [whole_topic(self._broker, topic)[0] for topic in self._topics]
        try:
            while not self._ending.is_set():
                for consumer in consumers:
                    with contextlib.suppress(KafkaException):  # the broker is away: it will be back
                        self._take(consumer)
        finally:
            for consumer in consumers:
                consumer.close()

    def _take(self, consumer: Consumer) -> None:
        before = len(self.ended)
        for message in consumer.consume(500, 0.2):
            if message.error() is not None:
                continue
            record = as_record(message)
            if record.key.startswith(INVALID_KEY):
                self.ended.add(record.key)
            elif record.value and record.value.get("status") in TERMINAL:
                self.ended.add(record.value["request_id"])
        if len(self.ended) > before:
            self.heard_at = time.monotonic()

    def stop(self) -> None:
        """End the thread."""
        self._ending.set()
        self.join(10)
