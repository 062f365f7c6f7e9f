"""The events that say how a request ended or what was decided of it; ids are deterministic."""

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from schemas.common import Lineage, Message, Problem, Timings
from schemas.draft import Draft
from schemas.identity import id_of
from schemas.moderation import JudgedStage, ModerationEvent
from schemas.request import GenerationRequest
from schemas.response import Choice, GenerationResponse, Status
from schemas.score import Decision, Score


def ended(
    request: GenerationRequest,
    status: Status,
    now: datetime,
    problem: Problem,
    *,
    lineage: Lineage | None = None,
    decision: Decision | None = None,
    scores: tuple[Score, ...] = (),
    timings: Timings | None = None,
) -> GenerationResponse:
    """A terminal response without an answer."""
    return GenerationResponse(
        id=id_of(request, "response"),
        request_id=request.id or "",
        tenant=request.tenant,
        conversation_id=request.conversation_id,
        status=status,
        created=now,
        error=problem,
        decision=decision,
        scores=scores,
        lineage=lineage or Lineage(),
        timings=timings or Timings(),
        metadata=request.metadata,
        replay=request.replay,
    )


def answered(
    draft: Draft,
    status: Status,
    text: str,
    decision: Decision,
    scores: tuple[Score, ...],
    timings: Timings,
    now: datetime,
) -> GenerationResponse:
    """A response about a draft. Only `completed` carries the answer; others say that there is none to show."""
    request = draft.context.request
    completed = status == "completed"
    choice = Choice(message=Message(role="assistant", content=text), finish_reason=draft.finish_reason)
    kind = "response" if status != "pending_review" else "pending"
    return GenerationResponse(
        id=id_of(request, kind),
        request_id=request.id or "",
        tenant=request.tenant,
        conversation_id=request.conversation_id,
        status=status,
        created=now,
        choices=(choice,) if completed else (),
        citations=draft.citations if completed else (),
        usage=draft.usage,
        scores=scores if completed else without_evidence(scores),
        decision=decision,
        error=None if completed else _why_withheld(status),
        cost=draft.cost,
        lineage=draft.lineage,
        timings=timings,
        metadata=request.metadata,
        replay=request.replay,
    )


def _why_withheld(status: Status) -> Problem:
    if status == "pending_review":
        return Problem(code="pending_review", reason="the answer waits for a person")
    return Problem(code="blocked_output", reason="the answer was withheld by policy")


def moderated(
    request: GenerationRequest,
    stage: JudgedStage,
    decision: Decision,
    scores: Sequence[Score],
    decided_by: str,
    lineage: Lineage,
    now: datetime,
) -> ModerationEvent:
    """The audit event of one decision; it never holds the judged text."""
    return ModerationEvent(
        id=id_of(request, f"moderation:{stage}"),
        request_id=request.id or "",
        tenant=request.tenant,
        stage=stage,
        decision=decision,
        scores=without_evidence(scores),
        decided_by=decided_by,
        risk=request.risk,
        lineage=lineage,
        created=now,
    )


def without_evidence(scores: Sequence[Score]) -> tuple[Score, ...]:
    """Scores without the sentences they quote and point at: what is withheld must not leave with its evidence."""
    return tuple(replace(score, evidence=(), spans=()) for score in scores)


def with_citations(draft: Draft, texts: Sequence[str]) -> Draft:
    """A draft whose citations quote these texts instead, in their order."""
    quoted = zip(draft.citations, texts, strict=True)
    return replace(draft, citations=tuple(replace(citation, text=text) for citation, text in quoted))


def internal_error(request: GenerationRequest, stage: str, now: datetime) -> GenerationResponse:
    """The terminal response of a request that a stage could not handle: a mistake of ours."""
    problem = Problem(
        code="internal_error", reason=f"stage {stage} failed; the record is in the dead letters"
    )
    return ended(request, "failed", now, problem)
