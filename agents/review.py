"""The last stage: a person's decision turns a held answer into the final one; the policy's, when nobody decides."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from msgspec.structs import replace

from agents.citations import find_citations
from agents.errors import Unprocessable
from agents.outcomes import answered, moderated, with_citations, without_evidence
from agents.policy import Policy
from agents.policy_file import ReviewTerms
from agents.ports import Clock, Judge, ScoreInput, Vault
from agents.redaction import Redacted
from schemas.common import Event, Problem
from schemas.draft import Draft
from schemas.identity import id_of
from schemas.response import GenerationResponse, Status
from schemas.review import Review, ReviewAction, ReviewDecision, ReviewState
from schemas.score import Action, Decision, Score

_STATES: dict[str, ReviewState] = {
    "approve": "approved",
    "edit": "edited",
    "reject": "rejected",
    "expire": "expired",
}
SLUICEGATE = "sluicegate"
"""Who decides when it is the policy that does."""
_EXPIRED = Problem(
    code="review_expired", reason="nobody decided on the answer within the time that the policy gives"
)


def due(review: Review, terms: ReviewTerms, now: datetime) -> ReviewDecision | None:
    """What the policy says by now of a review that nobody decided on; None while it may wait."""
    if review.state != "pending":
        return None
    if _passed(review, terms.expire_after_s, now):
        return _word(review, "expire")
    if review.escalated is None and _passed(review, terms.escalate_after_s, now):
        return _word(review, "escalate")
    return None


def expires(review: Review, terms: ReviewTerms) -> datetime | None:
    """When a review is rejected unless somebody decides before; None if never."""
    return None if terms.expire_after_s is None else review.created + timedelta(seconds=terms.expire_after_s)


def _passed(review: Review, after_s: float | None, now: datetime) -> bool:
    return after_s is not None and now >= review.created + timedelta(seconds=after_s)


def _word(review: Review, action: ReviewAction) -> ReviewDecision:
    """Made from the review alone, so that workers that say it at the same time say the same."""
    request = review.draft.context.request
    return ReviewDecision(
        request_id=request.id or "", tenant=request.tenant, action=action, reviewer=SLUICEGATE
    )


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
    vault: Vault | None = None

    async def handle(self, decision: ReviewDecision) -> Sequence[Event]:
        """Carry out one decision; the same decision read again writes the same events again.

        Raises:
            Unprocessable: there is no such review, it was decided otherwise before, an edit has no text, or somebody
                else says what only the policy does.
        """
        review = await self.book.find(decision.tenant, decision.request_id)
        if review is None:
            raise Unprocessable(
                "unknown_review",
                f"tenant {decision.tenant} has no review for {decision.request_id!r}",
                "$.request_id",
                "the request id of a pending review (and its `tenant`)",
            )
        if decision.action in ("escalate", "expire"):
            return await self._by_policy(review, decision)
        if review.state != "pending" and review.resolution != decision:
            raise Unprocessable(
                "already_decided", f"already {review.state}", "$.request_id", "a pending review"
            )
        if decision.action == "edit" and not decision.text:
            raise Unprocessable("invalid", "an edit without a text", "$.text", "the new answer")
        return await self._resolve(review, decision)

    async def _by_policy(self, review: Review, word: ReviewDecision) -> Sequence[Event]:
        """Carry out what the policy says, unless a person was faster: that is no mistake of anybody's."""
        if word.reviewer != SLUICEGATE:
            expected = "approve, edit or reject"
            raise Unprocessable("invalid", f"only the policy may {word.action}", "$.action", expected)
        if review.state != "pending":
            return await self._resolve(review, word) if review.resolution == word else []
        terms = self.policy.review_terms(review.draft.context.request.risk)
        if word.action == "escalate":
            return self._escalate(review, terms)
        # Looked at again: the word may be about an older review under the same request id.
        expired = _passed(review, terms.expire_after_s, self.clock())
        return await self._resolve(review, word) if expired else []

    def _escalate(self, review: Review, terms: ReviewTerms) -> Sequence[Event]:
        now = self.clock()
        if review.escalated is None and not _passed(review, terms.escalate_after_s, now):
            return []
        since = review.escalated or now
        request, lineage = review.draft.context.request, review.draft.lineage
        decision = replace(review.decision, policy=self.policy.label, rules=("review-escalated",))
        event = moderated(request, "review", decision, review.scores, SLUICEGATE, lineage, since)
        # Under an id of its own: the review's end has the other one.
        return [
            replace(review, escalated=since),
            replace(event, id=id_of(request, "moderation:review-escalated")),
        ]

    async def _resolve(self, review: Review, word: ReviewDecision) -> Sequence[Event]:
        draft = review.draft
        text = word.text if word.action == "edit" and word.text else draft.answer
        scores, decision = review.scores, review.decision
        if word.action == "edit":
            draft = _edited(draft, text)
            scores, decision = await self._judge_again(draft, text)
        status, decision = self._outcome(word, decision)
        draft, redacted = await self._redacted(draft, text, status, decision)
        decision = replace(decision, action=_action(status, redacted), redacted=redacted.counts)
        now = self.clock()
        response = _final(review, draft, status == "completed", redacted.text, decision, scores, now)
        if word.action == "expire":
            response = replace(response, error=_EXPIRED)
        resolved = replace(review, state=_STATES[word.action], resolution=word, resolved=now)
        request = draft.context.request
        who = SLUICEGATE if word.action == "expire" else f"reviewer:{word.reviewer}"
        return [response, resolved, moderated(request, "review", decision, scores, who, draft.lineage, now)]

    async def _judge_again(self, draft: Draft, text: str) -> tuple[tuple[Score, ...], Decision]:
        """A person's text is judged like a model's: an edit must not carry out what the policy blocks."""
        item = ScoreInput(text, draft.context.passages, draft.context.request.question())
        scores = await self.judge.judge(item)
        return scores, self.policy.decide_output(scores, text, draft.context, draft.unknown_citations)

    def _outcome(self, word: ReviewDecision, decision: Decision) -> tuple[Status, Decision]:
        """Status and decision: a person may overrule `review`, never `block`."""
        if word.action == "expire":
            return "blocked", replace(decision, policy=self.policy.label, rules=("review-expired",))
        if word.action == "reject" or decision.action == "block":
            rules = decision.rules if decision.action == "block" else ("rejected-by-reviewer",)
            return "blocked", replace(decision, rules=rules)
        return "completed", decision

    async def _redacted(
        self, draft: Draft, text: str, status: Status, decision: Decision
    ) -> tuple[Draft, Redacted]:
        """What is released, where a rule asked for redaction: a review outranks it, and a yes must not undo it."""
        if status == "blocked" or not self.policy.asks_redaction(decision.rules):
            return draft, Redacted((text if status == "completed" else "",), {})
        request = draft.context.request
        redacted = self.policy.redact(request, text, *(c.text for c in draft.citations))
        if self.vault and redacted.values:
            await self.vault.keep(request, redacted)
        return with_citations(draft, redacted.texts[1:]), redacted


def _action(status: Status, redacted: Redacted) -> Action:
    if status == "blocked":
        return "block"
    return "redact" if redacted.counts else "allow"


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
