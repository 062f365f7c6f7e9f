"""Retrieved passages before the model sees them.

Judged one by one, and allowed, fenced or dropped by the policy.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from agents.outcomes import moderated, without_evidence
from agents.policy import Policy
from agents.ports import Judge, ScoreInput
from schemas.common import Lineage, Passage
from schemas.moderation import JudgedPassage, ModerationEvent
from schemas.request import GenerationRequest
from schemas.score import Decision


@dataclass(slots=True)
class PassageGuard:
    """Judges passages with the scorers that the policy's `passages` section asks for.

    Without any, all pass unread.
    """

    judge: Judge
    policy: Policy
    scorers: Sequence[str]

    async def check(
        self, request: GenerationRequest, passages: Sequence[Passage], timeout_s: float | None
    ) -> tuple[list[Passage], tuple[JudgedPassage, ...]]:
        """The passages that may be used, fenced ones marked, and what was decided of those not simply allowed.

        After `timeout_s` at the latest; what was not judged by then has no score.
        """
        if not self.policy.guards_passages:
            return list(passages), ()
        judged = await asyncio.gather(*(self._judged(request, passage, timeout_s) for passage in passages))
        kept = [
            replace(passage, fenced=True) if one.action == "fence" else passage
            for passage, one in zip(passages, judged, strict=True)
            if one.action != "drop"
        ]
        return kept, tuple(one for one in judged if one.action != "allow")

    async def _judged(
        self, request: GenerationRequest, passage: Passage, timeout_s: float | None
    ) -> JudgedPassage:
        scores = await self.judge.judge(ScoreInput(passage.text), self.scorers, timeout_s)
        action, rules = self.policy.decide_passage(scores, passage.text, request)
        return JudgedPassage(
            passage_id=passage.id,
            source=passage.source,
            action=action,
            rules=rules,
            scores=without_evidence(scores),
        )


def told(
    request: GenerationRequest,
    judged: Sequence[JudgedPassage],
    policy: str,
    lineage: Lineage,
    now: datetime,
) -> list[ModerationEvent]:
    """The event that says what was dropped, fenced or flagged; none where nothing was."""
    if not judged:
        return []
    rules = tuple(dict.fromkeys(rule for one in judged for rule in one.rules))
    event = moderated(
        request, "passage", Decision(action="flag", policy=policy, rules=rules), (), "policy", lineage, now
    )
    return [replace(event, passages=tuple(judged))]
