"""The last stage: a person's decision turns a held answer into the final one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from msgspec.structs import replace

from agents.citations import find_citations
from agents.errors import Unprocessable
from agents.outcomes import answered, moderated, without_evidence
from agents.policy import Policy
from agents.ports import Clock, Judge, ScoreInput
from schemas.common import Event
from schemas.draft import Draft
from schemas.response import GenerationResponse
from schemas.review import Review, ReviewDecision, ReviewState
from schemas.score import Decision, Score

_STATES: dict[str, ReviewState] = {"approve": "approved", "edit": "edited", "reject": "rejected"}


class ReviewBook(Protocol):
    """The held answers; a view of the compacted topic."""

    async def find(self, tenant: str, request_id: str) -> Review | None:
        """The last state of a review, read up to what is on the topic now; None if there is none."""
        ...


@dataclass(slots=True)
class ReleaseStage:
    """`genai.review-decisions` in; the final response, the review's new state and a moderation event out."""

    book: ReviewBook
    judge: Judge
    policy: Policy
    clock: Clock

    async def handle(self, decision: ReviewDecision) -> Sequence[Event]:
        """Carry out one decision; the same decision read again writes the same events again.

        Raises:
            Unprocessable: there is no such review, it was decided otherwise before, or an edit has no text.
        """
        review = await self.book.find(decision.tenant, decision.request_id)
        if review is None:
            raise Unprocessable(
                "unknown_review",
                f"tenant {decision.tenant} has no review for {decision.request_id!r}",
                "$.request_id",
                "the request id of a pending review (and its `tenant`)",
            )
        if review.state != "pending" and review.resolution != decision:
            raise Unprocessable(
                "already_decided", f"already {review.state}", "$.request_id", "a pending review"
            )
        if decision.action == "edit" and not decision.text:
            raise Unprocessable("invalid", "an edit without a text", "$.text", "the new answer")
        return await self._resolve(review, decision)

    async def _resolve(self, review: Review, word: ReviewDecision) -> Sequence[Event]:
        draft = review.draft
        text = word.text if word.action == "edit" and word.text else draft.answer
        scores, decision = review.scores, review.decision
        if word.action == "edit":
            draft = _edited(draft, text)
            scores, decision = await self._judge_again(draft, text)
        status, decision, text = self._outcome(word, decision, text)
        now = self.clock()
        response = _final(review, draft, status == "completed", text, decision, scores, now)
        resolved = replace(review, state=_STATES[word.action], resolution=word, resolved=now)
        request = draft.context.request
        who = f"reviewer:{word.reviewer}"
        return [response, resolved, moderated(request, "review", decision, scores, who, draft.lineage, now)]

    async def _judge_again(self, draft: Draft, text: str) -> tuple[tuple[Score, ...], Decision]:
        """A person's text is judged like a model's: an edit must not carry out what the policy blocks."""
        item = ScoreInput(text, draft.context.passages, draft.context.request.question())
        scores = await self.judge.judge(item)
        return scores, self.policy.decide_output(scores, text, draft.context, draft.unknown_citations)

    def _outcome(self, word: ReviewDecision, decision: Decision, text: str) -> tuple[str, Decision, str]:
        """Status, decision and text: a person may overrule `review`, never `block`."""
        if word.action == "reject" or decision.action == "block":
            rules = decision.rules if decision.action == "block" else ("rejected-by-reviewer",)
            return "blocked", replace(decision, action="block", rules=rules), ""
        text, redacted = self.policy.redact(text) if self._must_redact(decision) else (text, {})
        return (
            "completed",
            replace(decision, action="redact" if redacted else "allow", redacted=redacted),
            text,
        )

    def _must_redact(self, decision: Decision) -> bool:
        """Whether a rule asked for redaction: a review outranks it, and a person's yes must not undo it."""
        return self.policy.asks_redaction(decision.rules)


def _edited(draft: Draft, text: str) -> Draft:
    citations, unknown = find_citations(text, draft.context.passages)
    return replace(draft, answer=text, citations=citations, unknown_citations=unknown)


def _final(
    review: Review,
    draft: Draft,
    released: bool,  # noqa: FBT001  # two outcomes, named where it is called
    text: str,
    decision: Decision,
    scores: tuple[Score, ...],
    now: datetime,
) -> GenerationResponse:
    timings = replace(
        draft.timings,
        review_ms=(now - review.created).total_seconds() * 1e3,
        total_ms=(now - draft.context.received).total_seconds() * 1e3,
    )
    shown = without_evidence(scores) if decision.redacted else scores
    return answered(draft, "completed" if released else "blocked", text, decision, shown, timings, now)
