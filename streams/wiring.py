"""The table of agents (topic in, agent, topics out) and how each becomes a Faust agent."""

from dataclasses import dataclass
from typing import Any

from schemas import channels
from streams.app import StageApp
from streams.delivery import Delivery
from streams.settings import Settings
from streams.topics import physical


@dataclass(frozen=True, slots=True)
class Wire:
    """One agent: what it reads, and what it may write."""

    stage: str
    reads: str
    writes: tuple[str, ...]


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
    Wire("retries", channels.RETRIES, (channels.CONTEXTS, channels.RETRIES)),
    Wire("scoring", channels.DRAFTS, (channels.RESPONSES, channels.REVIEWS, channels.MODERATION)),
    Wire("release", channels.REVIEW_DECISIONS, (channels.RESPONSES, channels.REVIEWS, channels.MODERATION)),
)
BY_STAGE: dict[str, Wire] = {wire.stage: wire for wire in WIRING}


def bind(app: StageApp, delivery: Delivery[Any], settings: Settings) -> None:
    """Make the stage's agent a Faust agent: chunks in, our delivery rule, commits by its ledgers."""
    wire = BY_STAGE[delivery.stage.name]
    topic = app.topic(
        physical(wire.reads, settings.topic_prefix), key_type=bytes, value_type=bytes, value_serializer="raw"
    )

    async def agent(stream: Any) -> None:
        async for event in stream.noack().events():
            message = event.message
            if (
                message.generation_id == app.consumer_generation_id
            ):  # else it is read again, by whoever has it now
                await delivery.accept(message.value, message.generation_id)

    app.work = delivery
    app.agent(topic, name=delivery.stage.name)(agent)
