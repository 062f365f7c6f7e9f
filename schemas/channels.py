"""Which event each topic carries: the one table behind topics, wiring, codec choice and AsyncAPI."""

from dataclasses import dataclass

from schemas.common import Event
from schemas.context import RetrievedContext
from schemas.cost import CostEvent
from schemas.draft import Draft
from schemas.moderation import ModerationEvent
from schemas.request import GenerationRequest
from schemas.response import GenerationResponse
from schemas.retry import Retry
from schemas.review import Review, ReviewDecision

REQUESTS = "genai.requests"
CONTEXTS = "genai.contexts"
RETRIES = "genai.retries"
DRAFTS = "genai.drafts"
RESPONSES = "genai.responses"
REVIEWS = "genai.reviews"
REVIEW_DECISIONS = "genai.review-decisions"
MODERATION = "genai.moderation"
COSTS = "genai.costs"
DEAD_LETTERS = "genai.dead-letters"


@dataclass(frozen=True, slots=True)
class Channel:
    """A topic and the event on it; `ce_type` is the CloudEvents type, which carries the major version."""

    topic: str
    event: type[Event]
    ce_type: str
    description: str


CHANNELS: tuple[Channel, ...] = (
    Channel(REQUESTS, GenerationRequest, "sluicegate.request.v1", "What producers ask for."),
    Channel(CONTEXTS, RetrievedContext, "sluicegate.context.v1", "Admitted requests with their passages."),
    Channel(RETRIES, Retry, "sluicegate.retry.v1", "Requests whose next attempt is far away."),
    Channel(DRAFTS, Draft, "sluicegate.draft.v1", "Model answers, paid for and not yet judged."),
    Channel(RESPONSES, GenerationResponse, "sluicegate.response.v1", "How each request ended."),
    Channel(REVIEWS, Review, "sluicegate.review.v1", "Answers that wait for a person; compacted."),
    Channel(REVIEW_DECISIONS, ReviewDecision, "sluicegate.review-decision.v1", "What reviewers decided."),
    Channel(MODERATION, ModerationEvent, "sluicegate.moderation.v1", "Every judgement, allows included."),
    Channel(COSTS, CostEvent, "sluicegate.cost.v1", "One line for every paid call."),
)

BY_EVENT: dict[type[Event], Channel] = {channel.event: channel for channel in CHANNELS}
BY_TOPIC: dict[str, Channel] = {channel.topic: channel for channel in CHANNELS}
