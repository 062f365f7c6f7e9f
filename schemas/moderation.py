"""`genai.moderation`: one event for every judgement, allows and failures included."""

from typing import Literal

from schemas.common import SCHEMA_VERSION, Event, Id, Instant, Lineage, RequestId, Risk, Tenant, Version
from schemas.score import Decision, PassageAction, Score

JudgedStage = Literal["input", "passage", "output", "review"]


class JudgedPassage(Event, frozen=True, kw_only=True):
    """A retrieved passage that was not simply allowed. Never its text."""

    passage_id: str
    source: str
    action: PassageAction
    rules: tuple[str, ...]
    scores: tuple[Score, ...] = ()


class ModerationEvent(Event, frozen=True, kw_only=True):
    """Who or what decided, by which rules and scores. Never the judged text: evidence is left out."""

    id: Id
    request_id: RequestId
    tenant: Tenant
    stage: JudgedStage
    decision: Decision
    scores: tuple[Score, ...]
    decided_by: str
    passages: tuple[JudgedPassage, ...] = ()
    risk: Risk
    lineage: Lineage
    created: Instant
    version: Version = SCHEMA_VERSION
