"""The book of reviews: a view of the compacted topic `genai.reviews`, kept in memory by whoever needs it."""

import asyncio
from collections.abc import Iterable
from typing import Self

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas import channels
from schemas.codec import DecodeError, decode
from schemas.review import Review
from streams.offsets import partitions_of
from streams.topics import MAX_RECORD_BYTES, physical

log = structlog.get_logger(__name__)


class KafkaReviewBook:
    """Implements `agents.review.ReviewBook`: reads the topic from its beginning, in no consumer group.

    Every release worker holds all reviews of the topic's retention: a few kilobytes for each held answer.
    """

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._bootstrap = bootstrap
        self._topic = physical(channels.REVIEWS, prefix)
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_bytes=MAX_RECORD_BYTES,
        )
        self._reviews: dict[tuple[str, str], Review] = {}
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Connect and read what is there; where that fails, nothing is left open."""
        try:
            await self._consumer.start()
            partitions = await partitions_of(self._bootstrap, self._topic)
            self._consumer.assign(partitions)
            await self._consumer.seek_to_beginning(*partitions)
            await self.catch_up()
        except BaseException:
            await self._consumer.stop()
            raise

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Disconnect."""
        await self._consumer.stop()

    async def find(self, tenant: str, request_id: str) -> Review | None:
        """The last state of a review; reads to the topic's end before it answers."""
        await self.catch_up()
        return self._reviews.get((tenant, request_id))

    async def pending(self) -> list[Review]:
        """Reviews that wait for a person, oldest first."""
        await self.catch_up()
        waiting = (review for review in self._reviews.values() if review.state == "pending")
        return sorted(waiting, key=lambda review: review.created)

    async def catch_up(self) -> None:
        """Read to the end as it stands now."""
        async with self._lock:
            partitions = self._consumer.assignment()
            ends = await self._consumer.end_offsets(partitions)
            while await self._behind(ends):
                batches = await self._consumer.getmany(timeout_ms=200)
                for records in batches.values():
                    self._note(records)

    async def _behind(self, ends: dict[TopicPartition, int]) -> bool:
        for partition, end in ends.items():
            if await self._consumer.position(partition) < end:
                return True
        return False

    def _note(self, records: Iterable[object]) -> None:
        for record in records:
            value: bytes | None = getattr(record, "value", None)
            try:
                review = decode(Review, value)
            except DecodeError as error:
                # Only we write this topic: another release did, or somebody who should not.
                log.warning("reviews.unreadable", reason=error.reason, field=error.field)
                continue
            request = review.draft.context.request
            key = request.tenant, request.id or ""
            self._reviews[key] = last_state(self._reviews.get(key), review)


def last_state(known: Review | None, read: Review) -> Review:
    """Which of two states holds: the one read later, but a review that was decided never waits again.

    A waiting state can be published late, by a repeat or by an escalation that a person was faster than.
    """
    if known is None or known.state == "pending" or read.state != "pending":
        return read
    return known if (known.id, known.created) == (read.id, read.created) else read
