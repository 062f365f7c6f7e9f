"""A policy as it is written: the fields of its YAML, and what a schema cannot say of them."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from agents.operator_files import FileModel, Mistakes
from agents.privacy.detectors import NAMES, named
from agents.redaction import Check, Redaction, Style
from schemas.common import Risk
from schemas.score import Action, PassageAction

Stage = Literal["input", "passages", "output"]
_Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
_Threshold = Annotated[float, Field(ge=0.0, le=1.0)]
_Seconds = Annotated[float, Field(gt=0.0, le=1e9)]
_NESTED = re.compile(r"\((?:[^()\\]|\\.)*(?<!\\)[*+](?:[^()\\]|\\.)*\)(?:[*+]|\{\d+,\})")


class When(FileModel):
    """Conditions of a rule; all that are given must hold.

    `missing` holds when the score is absent or failed; a skipped score is not missing, it did not apply.
    `unsupported` holds when the scorer does not know the text's language; such a score is not missing either.
    `matches` names a redaction whose pattern is found in the text.
    """

    score: str | None = None
    label: str | None = None
    at_least: _Threshold | None = None
    below: _Threshold | None = None
    missing: Literal[True] | None = None
    unsupported: Literal[True] | None = None
    matches: str | None = None
    risk: Annotated[tuple[Risk, ...], Field(min_length=1)] | None = None
    tenant: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    unknown_citations: Literal[True] | None = None


class Rule(FileModel):
    """One rule; `id` is what decisions and audits name."""

    id: _Identifier
    when: When
    action: Action
    description: str = ""


class Rules(FileModel):
    """The rules of one stage."""

    rules: tuple[Rule, ...] = ()


class PassageRule(FileModel):
    """One rule over a retrieved passage."""

    id: _Identifier
    when: When
    action: PassageAction
    description: str = ""


class PassageRules(FileModel):
    """The rules over retrieved passages."""

    rules: tuple[PassageRule, ...] = ()


class TenantRules(FileModel):
    """What a tenant's section adds."""

    input: Rules = Rules()
    passages: PassageRules = PassageRules()
    output: Rules = Rules()


class RedactionSpec(FileModel):
    """What is to be redacted: built-in detectors or groups of them, or an own pattern; one of the two.

    `keep: false` keeps what was found out of the vault.
    """

    pattern: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    detector: str | tuple[str, ...] | None = None
    check: Check | None = None
    keep: bool = True

    @property
    def detectors(self) -> tuple[str, ...]:
        """The names of the detectors; none where there is a pattern."""
        return (self.detector,) if isinstance(self.detector, str) else self.detector or ()

    def redaction(self, name: str) -> Redaction:
        """As it is carried out."""
        if self.pattern is not None:
            return Redaction.of_pattern(name, self.pattern, self.check, keep=self.keep)
        return Redaction(name, tuple(named(self.detectors)), self.keep)


class VaultSection(FileModel):
    """How long the values of redacted answers are kept, encrypted, to be restored."""

    keep_for_s: Annotated[int, Field(ge=60, le=1_000_000_000)]


class ReviewTerms(FileModel):
    """How long a review may wait for a person; what is not given never happens."""

    escalate_after_s: _Seconds | None = None
    expire_after_s: _Seconds | None = None


class ReviewSection(ReviewTerms):
    """The terms of all reviews, and what differs for a request's risk."""

    by_risk: dict[Risk, ReviewTerms] = Field(default_factory=dict)

    def of(self, risk: Risk) -> ReviewTerms:
        """The terms of one risk: its own where given, else those of all."""
        own = self.by_risk.get(risk, ReviewTerms()).model_dump(exclude_none=True)
        common = {"escalate_after_s": self.escalate_after_s, "expire_after_s": self.expire_after_s}
        return ReviewTerms(**{**common, **own})


class PolicyFile(FileModel):
    """The file as written."""

    name: _Identifier
    description: str = ""
    redactions: dict[_Identifier, RedactionSpec] = Field(default_factory=dict)
    placeholders: Style = "plain"
    vault: VaultSection | None = None
    input: Rules = Rules()
    passages: PassageRules = PassageRules()
    output: Rules = Rules()
    review: ReviewSection = ReviewSection()
    tenants: dict[str, TenantRules] = Field(default_factory=dict)


def every_rule(file: PolicyFile) -> Iterable[tuple[Stage, str, Rule | PassageRule]]:
    """Each rule with its stage and its place in the file."""
    sections: list[tuple[str, PolicyFile | TenantRules]] = [("$", file)]
    sections += [(f"$.tenants.{tenant}", section) for tenant, section in file.tenants.items()]
    stages: tuple[Stage, ...] = ("input", "passages", "output")
    for at, section in sections:
        for stage in stages:
            for number, rule in enumerate(getattr(section, stage).rules):
                yield stage, f"{at}.{stage}.rules[{number}]", rule


def check(path: Path, file: PolicyFile, mistakes: Mistakes) -> None:
    """What a schema cannot say: patterns compile, names exist, conditions go together."""
    for name, spec in file.redactions.items():
        for field, reason, expected in _redaction_mistakes(spec):
            mistakes.add(path, f"$.redactions.{name}{field}", reason, expected)
    if file.vault and file.placeholders == "plain":
        mistakes.add(
            path, "$.vault", "plain placeholders cannot be restored", "numbered or hashed placeholders"
        )
    seen: set[str] = set()
    for stage, at, rule in every_rule(file):
        if rule.id in seen:
            mistakes.add(path, f"{at}.id", f"{rule.id!r} is used twice", "an id of its own")
        seen.add(rule.id)
        for field, reason, expected in _rule_mistakes(stage, rule, file):
            mistakes.add(path, f"{at}.{field}", reason, expected)
    _check_review(path, file.review, mistakes)


def _check_review(path: Path, review: ReviewSection, mistakes: Mistakes) -> None:
    places: list[tuple[str, ReviewTerms]] = [("$.review", review)]
    places += [(f"$.review.by_risk.{risk}", review.of(risk)) for risk in review.by_risk]
    for at, terms in places:
        escalate_s, expire_s = terms.escalate_after_s, terms.expire_after_s
        if escalate_s is not None and expire_s is not None and expire_s <= escalate_s:
            reason = f"{expire_s:g} s is not after the {escalate_s:g} s of escalate_after_s"
            mistakes.add(path, f"{at}.expire_after_s", reason, "a later time, or one of the two alone")


def _redaction_mistakes(spec: RedactionSpec) -> Iterable[tuple[str, str, str]]:
    if (spec.pattern is None) == (not spec.detectors):
        yield "", "needs either a pattern or a detector", "one of the two"
    for name in spec.detectors:
        if name not in NAMES:
            yield ".detector", f"{name!r} is not a detector", f"one of {_listed(NAMES)}"
    if spec.pattern is not None and (reason := _pattern_mistake(spec.pattern)):
        yield ".pattern", reason, "a bounded regular expression"
    if spec.check and spec.detectors:
        yield ".check", "a detector has its own check", "it beside a pattern only"


def _pattern_mistake(pattern: str) -> str | None:
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"does not compile: {error}"
    if compiled.match("") is not None:
        return "matches the empty text"
    if _NESTED.search(pattern):
        return "repeats a repetition without bound, which can take forever on some texts"
    return None


def _rule_mistakes(
    stage: Stage, rule: Rule | PassageRule, file: PolicyFile
) -> Iterable[tuple[str, str, str]]:
    when = rule.when
    thresholds = (when.label, when.at_least, when.below)
    of_score = (*thresholds, when.missing, when.unsupported)
    if not when.model_fields_set:
        yield "when", "has no condition and would always hold", "at least one condition"
    if when.score is None and any(value is not None for value in of_score):
        yield (
            "when.score",
            "is missing",
            "the score that label, at_least, below, missing or unsupported speak of",
        )
    if when.score is not None and all(value is None for value in of_score[1:]):
        yield "when.score", "is compared with nothing", "at_least, below, missing or unsupported beside it"
    if when.missing and any(value is not None for value in thresholds):
        yield "when.missing", "cannot hold together with a threshold", "two rules"
    if when.unsupported and (when.missing or any(value is not None for value in thresholds)):
        yield "when.unsupported", "cannot hold together with a threshold or missing", "two rules"
    if when.matches is not None and when.matches not in file.redactions:
        yield "when.matches", f"{when.matches!r} is not declared", f"one of {_listed(file.redactions)}"
    if rule.action == "redact" and not file.redactions:
        yield "action", "nothing is declared that could be redacted", "an entry under $.redactions"
    if stage == "input" and rule.action in ("redact", "review"):
        yield "action", f"{rule.action!r} is not carried out on a request", "allow, flag or block"
    if stage != "output" and when.unknown_citations:
        yield "when.unknown_citations", "only an answer cites", "this condition under output only"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
