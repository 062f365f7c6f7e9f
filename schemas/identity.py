"""Whose an event is: the request it is about, and the Kafka key that follows from it."""

from schemas.common import Event, event_id
from schemas.context import RetrievedContext
from schemas.cost import CostEvent
from schemas.draft import Draft
from schemas.moderation import ModerationEvent
from schemas.request import GenerationRequest
from schemas.response import GenerationResponse
from schemas.retry import Retry
from schemas.review import Review, ReviewDecision


def id_of(request: GenerationRequest, kind: str) -> str:
    """The deterministic id of an event about a request; a replay's events are told from the first ones."""
    replayed = f":replay-{request.replay}" if request.replay else ""
    return event_id(request.tenant, request.id or "", f"{kind}{replayed}")


def about(event: Event) -> tuple[str, str | None]:
    """Tenant and request id; the id is None for a request that has none yet."""
    match event:
        case GenerationRequest():
            return event.tenant, event.id
        case RetrievedContext():
            return about(event.request)
        case Draft() | Retry():
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
        case Draft() | Retry():
            return event.context.request.key
        case GenerationResponse():
            return event.conversation_id or event.request_id
        case Review():
            tenant, request_id = about(event)
            return f"{tenant}:{request_id}"
    return about(event)[1] or ""


def request_of(event: Event) -> GenerationRequest | None:
    """The request that an event carries; None for one that only names it."""
    match event:
        case GenerationRequest():
            return event
        case RetrievedContext():
            return event.request
        case Draft() | Retry():
            return event.context.request
        case Review():
            return event.draft.context.request
    return None


def lane_of(event: Event) -> tuple[str, str] | None:
    """What an event must keep its order among: the conversation, where its request asks for it; None for most.

    Decisions on one review always keep their order: the first one counts.
    """
    if isinstance(event, ReviewDecision):
        return event.tenant, event.request_id
    request = request_of(event)
    if request is None or request.ordering != "key" or not request.conversation_id:
        return None
    return request.tenant, request.conversation_id
