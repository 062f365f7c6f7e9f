"""`genai.responses`: how a request ended, or that it waits for a person."""

from typing import Literal

import msgspec

from schemas.common import (
    SCHEMA_VERSION,
    Citation,
    Count,
    Event,
    FinishReason,
    Id,
    Instant,
    Lineage,
    Message,
    Metadata,
    Problem,
    RequestId,
    Tenant,
    Timings,
    Usage,
    Version,
)
from schemas.cost import CostEvent
from schemas.score import Decision, Score

Status = Literal["completed", "blocked", "refused", "expired", "failed", "pending_review"]
TERMINAL: frozenset[Status] = frozenset({"completed", "blocked", "refused", "expired", "failed"})


class Choice(Event, frozen=True, kw_only=True):
    """One answer, shaped as chat completion APIs shape it."""

    message: Message
    finish_reason: FinishReason
    index: int = 0


class GenerationResponse(Event, frozen=True, kw_only=True):
    """Exactly one terminal response a request; `pending_review` comes before it where a person must decide.

    `id` is deterministic, so a consumer drops a repeat by it. `error` says why there are no choices; `attempts`, how
    often a model was asked before the request `failed`. `replay` is the request's: a replayed request has a response
    of its own beside the first.
    """

    id: Id
    request_id: RequestId
    tenant: Tenant
    status: Status
    created: Instant
    version: Version = SCHEMA_VERSION
    conversation_id: RequestId | None = None
    choices: tuple[Choice, ...] = ()
    citations: tuple[Citation, ...] = ()
    usage: Usage | None = None
    scores: tuple[Score, ...] = ()
    decision: Decision | None = None
    error: Problem | None = None
    cost: CostEvent | None = None
    lineage: Lineage = msgspec.field(default_factory=Lineage)
    timings: Timings = msgspec.field(default_factory=Timings)
    cached: bool = False
    attempts: Count | None = None
    replay: Count = 0
    metadata: Metadata = msgspec.field(default_factory=dict)

    @property
    def terminal(self) -> bool:
        """Whether nothing follows it."""
        return self.status in TERMINAL

    def text(self) -> str:
        """The first choice's text, or nothing."""
        return self.choices[0].message.text() if self.choices else ""
