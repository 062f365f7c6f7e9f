"""Whose an event is: the request it is about, and the Kafka key that follows from it."""

from schemas.common import Event
from schemas.context import RetrievedContext
from schemas.cost import CostEvent
from schemas.draft import Draft
from schemas.moderation import ModerationEvent
from schemas.request import GenerationRequest
from schemas.response import GenerationResponse
from schemas.review import Review, ReviewDecision


def about(event: Event) -> tuple[str, str | None]:
    """Tenant and request id; the id is None for a request that has none yet."""
    match event:
        case GenerationRequest():
            return event.tenant, event.id
        case RetrievedContext():
            return about(event.request)
        case Draft():
            return about(event.context)
        case Review():
            return about(event.draft)
        case GenerationResponse() | CostEvent() | ModerationEvent() | ReviewDecision():
            return event.tenant, event.request_id
    raise TypeError(f"{type(event).__name__} is about no request")


def key_of(event: Event) -> str:
    """The Kafka key: the conversation's id, else the request's; reviews are keyed for compaction."""
    match event:
        case GenerationRequest():
            return event.key
        case RetrievedContext():
            return event.request.key
        case Draft():
            return event.context.request.key
        case GenerationResponse():
            return event.conversation_id or event.request_id
        case Review():
            tenant, request_id = about(event)
            return f"{tenant}:{request_id}"
    return about(event)[1] or ""
