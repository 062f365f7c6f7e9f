"""Removing letters from a topic that can only be deleted from its beginning."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

from aiokafka import AIOKafkaProducer
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from agents.errors import ConfigurationError
from schemas import channels
from streams.dead_letters.broker import chunks, read, with_producer
from streams.dead_letters.choose import Wanted
from streams.dead_letters.letters import Stored, head
from streams.settings import Settings
from streams.topics import physical


@dataclass(frozen=True, slots=True)
class Purge:
    """What a purge is about to do: the letters it removes, and where it deletes."""

    removed: Sequence[Stored]
    begins: Mapping[int, int]
    """The first offset of each partition that it deletes from."""
    ends: Mapping[int, int]
    """The offset after its last letter to be removed: everything before goes, what stays being written again."""


def purge_of(letters: Iterable[Stored], wanted: Wanted) -> Purge:
    """Look at every letter, and note which are meant.

    Raises:
        SluicegateError: one that was named is not there.
    """
    removed: list[Stored] = []
    begins: dict[int, int] = {}
    ends: dict[int, int] = {}
    for found in letters:
        partition, offset = found.place.partition, found.place.offset
        begins.setdefault(partition, offset)
        if found in wanted:
            removed.append(head(found))
            ends[partition] = offset + 1
    wanted.check_found({found.place for found in removed})
    return Purge(removed, {partition: begins[partition] for partition in ends}, ends)


def purge(settings: Settings, planned: Purge) -> int:
    """Remove letters; returns how many others had to move for it, and so have another place now.

    Kafka deletes only from the beginning of a partition. What is to stay is therefore written again to its end, with
    the same bytes, key, headers and timestamp, and confirmed, before anything is deleted. A crash between the two
    leaves letters twice and loses none.

    Raises:
        ConfigurationError: the broker is away or cannot delete; the message says whether letters are there twice.
    """
    _delete(settings, planned.begins, "nothing was changed")  # deletes nothing: asks whether the broker can
    moved, left = 0, dict(planned.ends)
    meant = {found.place for found in planned.removed}
    for chunk in chunks(_up_to(read(settings), left)):
        kept = [found for found in chunk if found.place not in meant]
        _rewrite(settings, kept)
        moved += len(kept)
    if left:
        raise ConfigurationError(
            "the letters changed while they were purged, and none was removed; those that stay may be there twice; "
            "look with: sluicegate dlq list"
        )
    _delete(settings, planned.ends, "letters that stay are there twice, none is lost")
    return moved


def _up_to(letters: Iterable[Stored], ends: dict[int, int]) -> Iterator[Stored]:
    """Letters before the ends; a partition is taken out of `ends` once its last one was there."""
    for found in letters:
        end = ends.get(found.place.partition, 0)
        if found.place.offset < end:
            yield found
        if found.place.offset == end - 1:
            del ends[found.place.partition]
        if not ends:
            return


def _delete(settings: Settings, before: Mapping[int, int], otherwise: str) -> None:
    """Delete what stands before an offset in each partition."""
    name = physical(channels.DEAD_LETTERS, settings.topic_prefix)
    try:
        with closing(KafkaAdminClient(bootstrap_servers=settings.broker.split(","))) as admin:
            admin.delete_records({TopicPartition(name, number): offset for number, offset in before.items()})
    except KafkaError as error:
        raise ConfigurationError(
            f"the broker at {settings.broker} does not delete records ({type(error).__name__}); {otherwise}. "
            "Apache Kafka can (DeleteRecords, with the right to delete on the topic); the embedded broker cannot: "
            f"it forgets its letters when it stops. Elsewhere let the retention of {name} remove them"
        ) from None


def _rewrite(settings: Settings, kept: Sequence[Stored]) -> None:
    name = physical(channels.DEAD_LETTERS, settings.topic_prefix)
    with_producer(settings, partial(_append, name=name, kept=kept))


async def _append(producer: AIOKafkaProducer, name: str, kept: Sequence[Stored]) -> None:
    by_partition = sorted(kept, key=lambda found: found.place)
    for partition, letters in groupby(by_partition, key=lambda found: found.place.partition):
        waiting = list(letters)
        while waiting:
            batch = producer.create_batch()
            taken = _fill(batch, waiting)
            # One batch after the other, so that they keep their order.
            await (await producer.send_batch(batch, name, partition=partition))
            waiting = waiting[taken:]


def _fill(batch: Any, letters: Sequence[Stored]) -> int:
    """How many letters the batch took; it takes the first one whatever its size."""
    for number, found in enumerate(letters):
        headers = list(found.headers)
        if (
            batch.append(timestamp=found.timestamp_ms, key=found.key, value=found.value, headers=headers)
            is None
        ):
            return number
    return len(letters)
