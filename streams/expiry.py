"""The clock of held answers: says as decisions what the policy makes of reviews that nobody decides on.

It keeps no state that matters: what is due follows from the reviews on the topic and the time, so that a worker that
takes over, or starts again, says what is due then. To say a thing twice is harmless (`agents/review.py`).
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from aiokafka.errors import KafkaError

from agents.policy import Policy
from agents.ports import Clock
from agents.review import due
from schemas import channels
from schemas.common import Event
from schemas.review import Review, ReviewDecision
from streams.records import Origin

log = structlog.get_logger(__name__)

_Key = tuple[str, datetime, str]
# No record of a topic is behind what the clock says.
_ORIGIN = Origin(channels.REVIEWS, -1, -1, None, None)


class PendingReviews(Protocol):
    """The part of the book of reviews that is looked at."""

    async def pending(self) -> list[Review]:
        """Reviews that wait for a person, as the topic stands now."""
        ...


class EventPublisher(Protocol):
    """The part of the publisher that is used."""

    async def publish(self, events: Sequence[Event], origin: Origin) -> None:
        """Return once the broker has confirmed every event."""
        ...


@dataclass(slots=True)
class Expiry:
    """Publishes due decisions every few seconds, on the one worker for which `assigned` holds."""

    book: PendingReviews
    publisher: EventPublisher
    policy: Policy
    clock: Clock
    assigned: Callable[[], bool]
    """Whether this worker is the one that does it: who has partition 0 of the decisions."""
    on_due: Callable[[str], None]
    """Hears the action of every decision that was published."""
    on_pending: Callable[[int], None]
    """Hears at every look how many reviews wait; 0 on a worker that does not look."""
    every_s: float = 5.0
    again_after_s: float = 60.0
    """When a decision is said again that the release stage has not carried out."""
    _sent: dict[_Key, datetime] = field(init=False, default_factory=dict)

    async def run(self) -> None:
        """Look until cancelled; a broker that is away is asked again."""
        while True:
            try:
                await self.look()
            except (KafkaError, OSError, TimeoutError) as error:
                log.warning("expiry.unknown", error=repr(error), again_in_s=self.every_s)
            await asyncio.sleep(self.every_s)

    async def look(self) -> None:
        """Publish what is due now and was not said lately."""
        if not self.assigned():
            self.on_pending(0)
            return
        reviews = await self.book.pending()
        self.on_pending(len(reviews))
        now = self.clock()
        found = self._due(reviews, now)
        lately = {
            key: at for key, at in self._sent.items() if now - at < timedelta(seconds=self.again_after_s)
        }
        new = {key: word for key, word in found.items() if key not in lately}
        # What is no longer due was carried out, or decided by a person: no need to remember it.
        self._sent = {key: at for key, at in lately.items() if key in found}
        if not new:
            return
        await self.publisher.publish(list(new.values()), _ORIGIN)
        self._sent |= dict.fromkeys(new, now)
        for word in new.values():
            self.on_due(word.action)
            log.info("review.due", action=word.action, tenant=word.tenant, request_id=word.request_id)

    def _due(self, reviews: Sequence[Review], now: datetime) -> dict[_Key, ReviewDecision]:
        found: dict[_Key, ReviewDecision] = {}
        for review in reviews:
            word = due(review, self.policy.review_terms(review.draft.context.request.risk), now)
            if word is not None:
                found[review.id, review.created, word.action] = word
        return found
