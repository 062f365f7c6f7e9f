"""What is handed over says what it follows, so that records which Faust drops are noticed."""

from dataclasses import dataclass

from aiokafka import TopicPartition

from streams.app import Chunk, HandedOver

TP = TopicPartition("genai.requests", 0)


@dataclass
class Record:
    offset: int
    topic: str = "genai.requests"
    partition: int = 0
    timestamp: int = 0
    timestamp_type: int = 0


def seen(chunks: list[Chunk]) -> list[tuple[int | None, list[int]]]:
    return [(chunk.value.follows, [record.offset for record in chunk.value.records]) for chunk in chunks]


def records(*offsets: int) -> list[Record]:
    return [Record(offset) for offset in offsets]


def test_every_chunk_follows_the_one_before_it_over_fetches_and_gaps_in_the_offsets() -> None:
    handed, first = HandedOver(), object()
    assert seen(handed.chunks(TP, records(3, 4, 7), 2, first, 1)) == [(None, [3, 4]), (5, [7])]
    assert seen(handed.chunks(TP, records(9), 2, first, 1)) == [(8, [9])]


def test_reading_begins_anew_under_a_new_assignment_and_after_going_back() -> None:
    """The group may deal out the same generation twice; the assignment is another one then."""
    handed, first, second = HandedOver(), object(), object()
    handed.chunks(TP, records(3, 4), 2, first, 1)
    assert seen(handed.chunks(TP, records(3), 2, second, 1)) == [(None, [3])]
    handed.moved(TP)
    assert seen(handed.chunks(TP, records(3), 2, second, 1)) == [(None, [3])]
    assert seen(handed.chunks(TP, records(4), 2, second, 1)) == [(4, [4])]
