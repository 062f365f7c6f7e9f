"""Reads what the verdict rests on: whole topics, through confluent-kafka, and the model server's log."""

import json
import time
import uuid
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Message, TopicPartition

from tests.chaos.verifier import Call, Record

QUIETLY = {"log_level": 2}
"""Outages are what we make: the library need not tell of each connection that fails."""
_SILENT_S = 2.0


class Unreadable(Exception):
    """A topic could not be read to its end in time."""


def read_topic(bootstrap: str, topic: str, timeout_s: float = 180.0) -> list[Record]:
    """Every record of a topic, to the end that it had when this was called and until it is silent.

    Raises:
        Unreadable: the end was not reached within `timeout_s`.
    """
    found: list[Record] = []
    due_at = time.monotonic() + timeout_s
    consumer, ends = whole_topic(bootstrap, topic)
    try:
        heard_at = time.monotonic()
        while not (_reached(consumer, ends) and time.monotonic() - heard_at > _SILENT_S):
            if time.monotonic() > due_at:
                raise Unreadable(f"{topic}: {len(found)} records, and not at its end after {timeout_s:.0f} s")
            for message in consumer.consume(1000, 0.5):
                if message.error() is None:
                    heard_at = time.monotonic()
                    found.append(as_record(message))
    finally:
        consumer.close()
    return found


def whole_topic(bootstrap: str, topic: str) -> tuple[Consumer, list[TopicPartition]]:
    """A consumer of all of a topic's partitions from their beginning, in no group, and where they end now."""
    settings = {"bootstrap.servers": bootstrap, "group.id": uuid.uuid4().hex, "enable.auto.commit": False}
    consumer = Consumer({**settings, **QUIETLY, "auto.offset.reset": "earliest"})
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    ends = []
    for number in partitions:
        _, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=30)
        ends.append(TopicPartition(topic, number, high))
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    return consumer, ends


def _reached(consumer: Consumer, ends: list[TopicPartition]) -> bool:
    positions = consumer.position([TopicPartition(end.topic, end.partition) for end in ends])
    at = {position.partition: position.offset for position in positions}
    return all(end.offset <= 0 or at[end.partition] >= end.offset for end in ends)


def as_record(message: Message) -> Record:
    """A record as the verifier takes it; a value that is no JSON object is None."""
    return Record(
        partition=message.partition(),
        offset=message.offset(),
        key=(message.key() or b"").decode("utf-8", "replace"),
        value=_json(message.value()),
        timestamp_s=message.timestamp()[1] / 1000,
    )


def _json(value: bytes | None) -> Any:
    try:
        found = json.loads(value or b"null")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def read_calls(log: Path) -> list[Call]:
    """The model server's log; a last line that was cut off by its end is left out."""
    lines = log.read_text().splitlines(keepends=True)
    return [Call(**json.loads(line)) for line in lines if line.endswith("\n")]
