"""The requests of a soak, at a steady rate: much that is new, some that was asked before, all paths of the flow."""

import json
import random
import threading
import time
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from tests.chaos.records import QUIETLY
from tests.chaos.verifier import INVALID_KEY

_SHARES = {
    "unreadable": 0.01,
    "late": 0.01,
    "repeated": 0.2,
    "conversation": 0.2,
    "ordered": 0.1,
    "retrieval": 0.1,
}
_REPEATED_QUESTIONS = 50


def request(seed: int, number: int) -> tuple[str, bytes]:
    """Key and value of the request of that number: the same for the same seed."""
    dice = random.Random(seed * 2**40 + number)
    (kind,) = dice.choices([*_SHARES, "plain"], [*_SHARES.values(), 1 - sum(_SHARES.values())])
    if kind == "unreadable":
        return f"{INVALID_KEY}{number}", b'{"messages": 1}'
    asked = dice.randrange(_REPEATED_QUESTIONS) if kind == "repeated" else number
    body: dict[str, Any] = {
        "id": f"q-{number}",
        "tenant": "soak",
        "messages": [{"role": "user", "content": f"Question {asked}: how long may a parcel be returned?"}],
    }
    if kind == "late":
        body["deadline"] = "2020-01-01T00:00:00Z"
    if kind == "retrieval":
        body["retrieval"] = {"index": "examples", "top_k": 3}
    if kind in ("conversation", "ordered"):
        body["conversation_id"] = f"{kind}-{dice.randrange(1_000)}"
    if kind == "ordered":
        body["ordering"] = "key"
    return body.get("conversation_id", body["id"]), json.dumps(body).encode()


class Load(threading.Thread):
    """Sends them until the time is over, and counts those that the broker has taken."""

    def __init__(self, bootstrap: str, topic: str, seed: int, rate: float, seconds: float) -> None:
        super().__init__(name="load", daemon=True)
        self._producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 5, **QUIETLY})
        self._topic, self._seed, self._rate, self._seconds = topic, seed, rate, seconds
        self._ending = threading.Event()
        self.taken = 0
        self.refused: list[str] = []

    def run(self) -> None:
        started, number = time.monotonic(), 0
        while not self._ending.is_set() and (elapsed_s := time.monotonic() - started) < self._seconds:
            while number < elapsed_s * self._rate:
                key, value = request(self._seed, number)
                self._producer.produce(self._topic, value, key.encode(), on_delivery=self._heard)
                number += 1
            self._producer.poll(0.01)
        self._producer.flush(30)

    def _heard(self, error: KafkaError | None, _: Message) -> None:
        if error is None:
            self.taken += 1
        else:
            self.refused.append(str(error))

    def stop(self) -> None:
        """End early."""
        self._ending.set()
        self.join(60)
