"""The judging stage: score a draft, let the policy decide, release it, hold it for a person, or block it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from agents.outcomes import answered, ended, moderated, with_citations, without_evidence
from agents.policy import Policy
from agents.ports import Clock, Judge, RequestStore, ScoreInput, Vault
from agents.redaction import Redacted
from schemas.common import Event, Problem, Timings
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
    scorers: Sequence[str] | None = None
    """Which judge an answer; all where None."""
    vault: Vault | None = None

    async def handle(self, draft: Draft) -> Sequence[Event]:
        """Judge one draft; one whose deadline is over is not judged, and not shown."""
        started = self.clock()
        context = draft.context
        left_s = context.request.time_left_s(started)
        if left_s is not None and left_s <= 0:
            return await self.store.conclude(context.request, [_expired(draft, started)])
        item = ScoreInput(draft.answer, context.passages, context.request.question())
        scores = await self.judge.judge(item, self.scorers, timeout_s=left_s)
        decision = self.policy.decide_output(scores, draft.answer, context, draft.unknown_citations)
        redacted = Redacted((draft.answer,), {})
        if decision.action == "redact":
            redacted = self.policy.redact(context.request, draft.answer, *(c.text for c in draft.citations))
            draft = with_citations(draft, redacted.texts[1:])
        decision = replace(decision, redacted=redacted.counts)
        now = self.clock()
        timings = _timings(draft, started, now)
        judged = moderated(context.request, "output", decision, scores, "policy", draft.lineage, now)
        if decision.action == "review":
            return await self.store.conclude(
                context.request, [*_held(draft, decision, scores, timings, now), judged]
            )
        status: Status = "blocked" if decision.action == "block" else "completed"
        response = answered(draft, status, redacted.text, decision, scores, timings, now)
        if self.vault and redacted.values:
            await self.vault.keep(context.request, redacted)
        if redacted.counts:
            # Evidence quotes the answer's sentences, and spans point into them: what was redacted must not leave.
            response = replace(response, scores=without_evidence(response.scores))
        return await self.store.conclude(context.request, [response, judged], _reusable(draft, response))


def _expired(draft: Draft, now: datetime) -> GenerationResponse:
    request = draft.context.request
    reason = f"the deadline {request.deadline} passed before the answer was judged"
    problem = Problem(code="deadline_passed", reason=reason, field="$.deadline")
    timings = replace(draft.timings, total_ms=(now - draft.context.received).total_seconds() * 1e3)
    response = ended(request, "expired", now, problem, lineage=draft.lineage, timings=timings)
    return replace(response, usage=draft.usage, cost=draft.cost)


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
