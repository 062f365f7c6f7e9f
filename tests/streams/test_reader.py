"""What is handed over says what it follows, so that records which are lost on their way are noticed."""

from collections.abc import Sequence

from streams.reader import Batch, HandedOver, Record

PLACE = ("genai.requests", 0)


def seen(batches: Sequence[Batch]) -> list[tuple[int | None, list[int]]]:
    return [(batch.follows, [record.offset for record in batch.records]) for batch in batches]


def records(*offsets: int) -> list[Record]:
    return [Record(*PLACE, offset, None, b"", ()) for offset in offsets]


def test_every_batch_follows_the_one_before_it_over_fetches_and_gaps_in_the_offsets() -> None:
    handed = HandedOver()
    assert seen(handed.batches(PLACE, records(3, 4, 7), 2, 1)) == [(None, [3, 4]), (5, [7])]
    assert seen(handed.batches(PLACE, records(9), 2, 1)) == [(8, [9])]


def test_reading_begins_anew_under_a_new_assignment_and_after_going_back() -> None:
    handed = HandedOver()
    handed.batches(PLACE, records(3, 4), 2, 1)
    assert seen(handed.batches(PLACE, records(3), 2, 2)) == [(None, [3])]
    handed.moved(PLACE)
    assert seen(handed.batches(PLACE, records(3), 2, 2)) == [(None, [3])]
    assert seen(handed.batches(PLACE, records(4), 2, 2)) == [(4, [4])]
