"""The judging stage: score a draft, let the policy decide, release it, hold it for a person, or block it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from agents.outcomes import answered, moderated, without_evidence
from agents.policy import Policy
from agents.ports import Clock, Judge, RequestStore, ScoreInput
from schemas.common import Event, Timings
from schemas.draft import Draft
from schemas.identity import id_of
from schemas.response import GenerationResponse, Status
from schemas.review import Review
from schemas.score import Decision, Score


@dataclass(slots=True)
class ScoringStage:
    """`genai.drafts` in; a response or a review, and a moderation event, out."""

    judge: Judge
    policy: Policy
    store: RequestStore
    clock: Clock

    async def handle(self, draft: Draft) -> Sequence[Event]:
        """Judge one draft."""
        started = self.clock()
        context = draft.context
        item = ScoreInput(draft.answer, context.passages, context.request.question())
        scores = await self.judge.judge(item)
        decision = self.policy.decide_output(scores, draft.answer, context, draft.unknown_citations)
        text, redacted = draft.answer, dict[str, int]()
        if decision.action == "redact":
            text, redacted = self.policy.redact(draft.answer)
        decision = replace(decision, redacted=redacted)
        now = self.clock()
        timings = _timings(draft, started, now)
        judged = moderated(context.request, "output", decision, scores, "policy", draft.lineage, now)
        if decision.action == "review":
            return await self.store.conclude(
                context.request, [*_held(draft, decision, scores, timings, now), judged]
            )
        status: Status = "blocked" if decision.action == "block" else "completed"
        response = answered(draft, status, text, decision, scores, timings, now)
        if redacted:
            # Evidence quotes the answer's sentences: what was redacted must not leave in it.
            response = replace(response, scores=without_evidence(response.scores))
        return await self.store.conclude(context.request, [response, judged], _reusable(draft, response))


def _reusable(draft: Draft, response: GenerationResponse) -> str | None:
    """The cache key of what was released whole: complete, allowed, every check passed, not a fallback."""
    whole = draft.finish_reason in ("stop", "quoted") and all(s.status != "failed" for s in response.scores)
    allowed = response.status == "completed" and response.decision and response.decision.action == "allow"
    as_asked = draft.lineage == draft.context.lineage
    return draft.context.cache_key if whole and allowed and as_asked else None


def _timings(draft: Draft, started: datetime, now: datetime) -> Timings:
    return replace(
        draft.timings,
        scoring_ms=(now - started).total_seconds() * 1e3,
        total_ms=(now - draft.context.received).total_seconds() * 1e3,
    )


def _held(
    draft: Draft, decision: Decision, scores: tuple[Score, ...], timings: Timings, now: datetime
) -> Sequence[Event]:
    request = draft.context.request
    review = Review(
        id=id_of(request, "review"),
        draft=replace(draft, timings=timings),
        scores=scores,
        decision=decision,
        state="pending",
        created=now,
    )
    return [review, answered(draft, "pending_review", "", decision, scores, timings, now)]
