"""`genai.reviews` (what waits for a person) and `genai.review-decisions` (what the person said)."""

from typing import Annotated, Literal

from msgspec import Meta

from schemas.common import SCHEMA_VERSION, Event, Id, Instant, RequestId, Tenant, Version
from schemas.draft import Draft
from schemas.score import Decision, Score

ReviewState = Literal["pending", "approved", "edited", "rejected", "expired"]
ReviewAction = Literal["approve", "edit", "reject", "escalate", "expire"]


class ReviewDecision(Event, frozen=True, kw_only=True):
    """A person's word on a pending review. `text` is the new answer and goes with `edit` only.

    `escalate` and `expire` are what the policy says of a review that nobody decided; Sluicegate sends them itself.
    """

    request_id: RequestId
    action: ReviewAction
    reviewer: Annotated[str, Meta(min_length=1, max_length=200)]
    version: Version = SCHEMA_VERSION
    tenant: Tenant = "default"
    text: str | None = None
    comment: str | None = None


class Review(Event, frozen=True, kw_only=True):
    """A held answer with all a reviewer needs; the topic is compacted, the last state of an id holds.

    `escalated` is when it had waited for so long that the policy asks for somebody else.
    """

    id: Id
    draft: Draft
    scores: tuple[Score, ...]
    decision: Decision
    state: ReviewState
    created: Instant
    version: Version = SCHEMA_VERSION
    resolution: ReviewDecision | None = None
    resolved: Instant | None = None
    escalated: Instant | None = None
