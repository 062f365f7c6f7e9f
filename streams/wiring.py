"""The table of agents (topic in, agent, topics out) and how each becomes a Faust agent."""

from dataclasses import dataclass
from time import monotonic
from typing import Any

import structlog

from schemas import channels
from streams.app import StageApp
from streams.delivery import Delivery
from streams.reader import Batch
from streams.settings import Settings
from streams.topics import physical

_ON_THEIR_WAY_S = 1.0
_PATIENT_MS = 500

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Wire:
    """One agent: what it reads, and what it may write."""

    stage: str
    reads: str
    writes: tuple[str, ...]
    patient: bool = False
    """What it reads has waited for a clock or a person already."""

    def fetch_wait_ms(self, asked: int) -> int:
        """How long its fetches may be held back: quick ones cost a broker something, who is patient needs none."""
        return max(asked, _PATIENT_MS) if self.patient else asked


WIRING: tuple[Wire, ...] = (
    Wire(
        "retrieval",
        channels.REQUESTS,
        (channels.CONTEXTS, channels.RESPONSES, channels.MODERATION, channels.COSTS),
    ),
    Wire(
        "generation",
        channels.CONTEXTS,
        (channels.RETRIES, channels.DRAFTS, channels.RESPONSES, channels.COSTS),
    ),
    Wire("retries", channels.RETRIES, (channels.CONTEXTS, channels.RETRIES), patient=True),
    Wire("scoring", channels.DRAFTS, (channels.RESPONSES, channels.REVIEWS, channels.MODERATION)),
    Wire(
        "release",
        channels.REVIEW_DECISIONS,
        (channels.RESPONSES, channels.REVIEWS, channels.MODERATION),
        patient=True,
    ),
)
BY_STAGE: dict[str, Wire] = {wire.stage: wire for wire in WIRING}


def bind(app: StageApp, delivery: Delivery[Any], settings: Settings) -> None:
    """Make the stage's agent a Faust agent: chunks in, our delivery rule, commits by its ledgers."""
    wire = BY_STAGE[delivery.stage.name]
    topic = app.topic(
        physical(wire.reads, settings.topic_prefix), key_type=bytes, value_type=bytes, value_serializer="raw"
    )

    went_back: dict[tuple[str, int], float] = {}  # when, by partition

    async def take(batch: Batch) -> None:
        """Hand a batch to the delivery rule; where some before it were dropped, have them read again."""
        first = batch.records[0]
        place = first.topic, first.partition
        if await delivery.accept(batch.records, batch.generation, batch.follows):
            return
        # Those on their way already are refused as well, and are no reason to go back again.
        if monotonic() - went_back.get(place, -_ON_THEIR_WAY_S) >= _ON_THEIR_WAY_S:
            log.info("delivery.gap", stage=wire.stage, partition=first.partition, before=first.offset)
            await app.consumer.go_back(*place)
            went_back[place] = monotonic()

    async def agent(stream: Any) -> None:
        async for event in stream.noack().events():
            batch = event.message.value
            if batch.generation == app.consumer_generation_id:  # else whoever has it now reads it
                await take(batch)

    app.work = delivery
    app.fetch_wait_ms = wire.fetch_wait_ms(settings.fetch_wait_ms)
    app.agent(topic, name=delivery.stage.name)(agent)
