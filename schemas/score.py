"""What a scorer says of a text, with its evidence, and what the policy made of it."""

from typing import Literal

import msgspec

from schemas.common import Count, Event, Score01

ScoreStatus = Literal["ok", "failed", "skipped", "unsupported"]
"""`skipped`: there was nothing to judge; `unsupported`: the scorer does not know the text's language."""
Action = Literal["allow", "flag", "redact", "review", "block"]
ACTIONS: tuple[Action, ...] = ("allow", "flag", "redact", "review", "block")
"""From the least to the most restrictive: where several rules fire, the most restrictive wins."""
PassageAction = Literal["allow", "flag", "fence", "drop"]
PASSAGE_ACTIONS: tuple[PassageAction, ...] = ("allow", "flag", "fence", "drop")
"""What may happen to a retrieved passage, from the least to the most restrictive."""


class Span(Event, frozen=True, kw_only=True):
    """Characters `start:end` of the judged text that speak for the score, and what they are."""

    start: Count
    end: Count
    label: str
    score: Score01 | None = None


class Evidence(Event, frozen=True, kw_only=True):
    """One sentence of the answer (characters `start:end`) and the passage that supports it, or none.

    Of a sentence without support, `unsupported_start:unsupported_end` are the characters that lack it.
    """

    text: str
    start: Count
    end: Count
    supported: bool
    score: Score01
    passage: int | None = None
    passage_start: int | None = None
    passage_end: int | None = None
    unsupported_start: int | None = None
    unsupported_end: int | None = None
    reason: str | None = None


class Score(Event, frozen=True, kw_only=True):
    """One scorer's result. `value` is None unless `status` is `ok`; a failure is a result, not a crash.

    `toxicity` runs from 0 (harmless) to 1; `groundedness` from 0 (nothing supported) to 1.
    """

    name: str
    version: str
    status: ScoreStatus
    value: Score01 | None = None
    labels: dict[str, float] = msgspec.field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()
    spans: tuple[Span, ...] = ()
    reason: str | None = None
    latency_ms: float = 0.0


class Decision(Event, frozen=True, kw_only=True):
    """What the policy decided, by which rules."""

    action: Action
    policy: str
    rules: tuple[str, ...] = ()
    redacted: dict[str, int] = msgspec.field(default_factory=dict)
