"""The load: requests at a steady rate, each with an id of its own, and the few that nobody can read."""

import json
import random
import threading
import time
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from tests.chaos.records import QUIETLY
from tests.chaos.verifier import INVALID_KEY

_TENANTS = ("acme", "globex", "initech")
_CONVERSATIONS = 40
_UNREADABLE: tuple[bytes, ...] = (
    b"{not json",
    b"\xff\xfe no text \x00",
    b'["a list"]',
    b'{"id": "x", "messages": "not a list"}',
    b'{"id": 7, "messages": [{"role": "user", "content": "a number for an id"}]}',
    b'{"messages": []}',
)
_SHARES = {"unreadable": 0.02, "unknown route": 0.01, "late": 0.01, "ordered": 0.10, "conversation": 0.20}


def record(seed: int, number: int) -> tuple[str, bytes]:
    """Key and value of the record of that number: the same for the same seed."""
    dice = random.Random(seed * 1_000_003 + number)
    (kind,) = dice.choices([*_SHARES, "plain"], [*_SHARES.values(), 1 - sum(_SHARES.values())])
    if kind == "unreadable":
        return f"{INVALID_KEY}{number:06}", dice.choice(_UNREADABLE)
    name = f"q-{number:06}"
    request: dict[str, Any] = {
        "id": name,
        "tenant": dice.choice(_TENANTS),
        "messages": [{"role": "user", "content": f"Question {number}: what is {dice.randrange(10**9)}?"}],
    }
    if kind == "unknown route":
        request["route"] = "nowhere"
    if kind == "late":
        request["deadline"] = "2020-01-01T00:00:00Z"
    if kind == "conversation":
        request["conversation_id"] = f"chat-{dice.randrange(500)}"
    if kind == "ordered":
        conversation = dice.randrange(_CONVERSATIONS)
        # A conversation has one tenant; its requests carry rising numbers.
        request |= {"tenant": _TENANTS[conversation % 3], "conversation_id": f"ordered-{conversation}"}
        request |= {"ordering": "key", "metadata": {"sequence": number}}
    return request.get("conversation_id", name), json.dumps(request).encode()


class Load(threading.Thread):
    """Sends records and hears which are stored, through outages of the broker, until it has sent enough."""

    def __init__(
        self, bootstrap: str, topic: str, seed: int, rate: float, total: int, *, idempotence: bool
    ) -> None:
        super().__init__(name="load", daemon=True)
        self._topic, self._seed, self._rate, self._total = topic, seed, rate, total
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": idempotence,
                "acks": "all",
                "message.timeout.ms": 0,  # never: what is sent is tried until the broker takes it
                "queue.buffering.max.messages": 1_000_000,
                "linger.ms": 5,
                **QUIETLY,
            }
        )
        self._ending = threading.Event()
        self.confirmed: set[str] = set()
        """Ids of requests, and keys of unreadable records, that the broker has confirmed."""
        self.refused: list[str] = []
        self.sent = 0

    def run(self) -> None:
        started = time.monotonic()
        while not self._ending.is_set() and self.sent < self._total:
            due = min(self._total, int((time.monotonic() - started) * self._rate) + 1)
            while self.sent < due:
                self._send(self.sent)
                self.sent += 1
            self._producer.poll(0.01)

    def _send(self, number: int) -> None:
        key, value = record(self._seed, number)
        name = key if key.startswith(INVALID_KEY) else f"q-{number:06}"

        def heard(error: KafkaError | None, _: Message) -> None:
            if error is None:
                self.confirmed.add(name)
            else:
                self.refused.append(f"{name}: {error}")

        self._producer.produce(self._topic, value, key.encode(), on_delivery=heard)

    def settle(self, timeout_s: float) -> int:
        """Wait for the last confirmations; how many are missing."""
        self.join(timeout_s)
        return int(self._producer.flush(timeout_s))

    def stop(self) -> None:
        """End early."""
        self._ending.set()
        self.join(10)
