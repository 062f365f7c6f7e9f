"""What may leave: a versioned YAML policy turns scores, tenant and risk into a decision.

Every rule whose conditions all hold fires; the most restrictive action of those that fired wins. A section
for a tenant adds rules and cannot drop any.
"""

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from agents.operator_files import FileModel, Mistakes, content_hash, parse, read_document
from agents.privacy.detectors import NAMES, named
from agents.redaction import Check, Redacted, Redaction, Redactor, Style
from schemas.common import Risk, Score01
from schemas.context import RetrievedContext
from schemas.request import GenerationRequest
from schemas.score import ACTIONS, PASSAGE_ACTIONS, Action, Decision, PassageAction, Score

Stage = Literal["input", "passages", "output"]
_Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
_Threshold = Annotated[float, Field(ge=0.0, le=1.0)]
_Seconds = Annotated[float, Field(gt=0.0, le=1e9)]
_LEAST: Action = ACTIONS[0]
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


class _Facts:
    """What conditions look at; patterns are searched only when a rule asks."""

    def __init__(
        self,
        scores: Iterable[Score],
        text: str,
        request: GenerationRequest,
        redactions: dict[str, Redaction],
        unknown_citations: Sequence[int] = (),
    ) -> None:
        self.scores = {score.name: score for score in scores}
        self.request = request
        self.unknown_citations = bool(unknown_citations)
        self._text, self._redactions = text, redactions
        self._matched: dict[str, bool] = {}

    def matches(self, name: str) -> bool:
        if name not in self._matched:
            self._matched[name] = bool(self._redactions[name].spans(self._text))
        return self._matched[name]


class Policy:
    """A loaded policy. `label` is `name@hash`, as lineage and decisions carry it."""

    def __init__(self, file: PolicyFile, label: str, redaction_key: str = "") -> None:
        self.label = label
        self._file = file
        self._redactions = {name: spec.redaction(name) for name, spec in file.redactions.items()}
        self._redactor = Redactor(self._redactions, file.placeholders, redaction_key.encode())
        self.guards_passages = any(at == "passages" for at, _, _ in _every_rule(file))
        """Whether it says anything of retrieved passages."""
        self._redacting = {rule.id for _, _, rule in _every_rule(file) if rule.action == "redact"}

    @classmethod
    def load(cls, path: Path, redaction_key: str = "") -> "Policy":
        """Read a policy file; the key is that of hashed placeholders.

        Raises:
            ConfigurationError: every mistake in it: file, field, reason and what was expected.
        """
        mistakes = Mistakes()
        document = read_document(path, mistakes)
        file = None if mistakes else parse(path, document, PolicyFile, mistakes)
        if file is not None:
            _check(path, file, mistakes)
        mistakes.raise_if_any("the policy")
        assert file is not None
        return cls(file, f"{file.name}@{content_hash(document)}", redaction_key)

    @property
    def description(self) -> str:
        """What the file says it is for."""
        return self._file.description

    @property
    def placeholders(self) -> Style:
        """What stands in an answer for what was redacted."""
        return self._file.placeholders

    @property
    def vault_life_s(self) -> int | None:
        """How long the vault keeps what was redacted; None where it keeps nothing."""
        return self._file.vault.keep_for_s if self._file.vault else None

    def review_terms(self, risk: Risk) -> ReviewTerms:
        """How long a review of a request of this risk may wait; for ever where the file says nothing."""
        return self._file.review.of(risk)

    def score_names(self, stage: Stage) -> set[str]:
        """The scores its rules look at: those that must be enabled for it to mean something."""
        rules = (rule for at, _, rule in _every_rule(self._file) if at == stage)
        return {rule.when.score for rule in rules if rule.when.score is not None}

    def rows(self) -> list[dict[str, str]]:
        """Every rule as text: stage, tenant, id, conditions, action; for people."""
        return [
            {
                "stage": stage,
                "tenant": place.split(".")[2] if ".tenants." in place else "all",
                "rule": rule.id,
                "when": ", ".join(f"{k} {v}" for k, v in rule.when.model_dump(exclude_none=True).items()),
                "action": rule.action,
            }
            for stage, place, rule in _every_rule(self._file)
        ]

    def decide_input(self, scores: Iterable[Score], request: GenerationRequest) -> Decision:
        """Whether the request may go on."""
        text = "\n".join(message.text() for message in request.messages)
        return self._decide("input", _Facts(scores, text, request, self._redactions))

    def decide_passage(
        self, scores: Iterable[Score], text: str, request: GenerationRequest
    ) -> tuple[PassageAction, tuple[str, ...]]:
        """What happens to a retrieved passage, by which rules."""
        fired = self._fired("passages", _Facts(scores, text, request, self._redactions))
        actions = [rule.action for rule in fired if isinstance(rule, PassageRule)]
        return max(actions, key=PASSAGE_ACTIONS.index, default="allow"), tuple(rule.id for rule in fired)

    def decide_output(
        self,
        scores: Iterable[Score],
        answer: str,
        context: RetrievedContext,
        unknown_citations: Sequence[int],
    ) -> Decision:
        """Whether the answer may leave. The caller redacts when the decision says so."""
        facts = _Facts(scores, answer, context.request, self._redactions, unknown_citations)
        return self._decide("output", facts)

    def redact(self, request: GenerationRequest, *texts: str) -> Redacted:
        """These texts of the request's answer with all that is declared replaced by placeholders."""
        scope = "\0".join((request.tenant, request.conversation_id or request.id or ""))
        return self._redactor.redact(texts, scope, [message.text() for message in request.messages])

    def asks_redaction(self, rules: Iterable[str]) -> bool:
        """Whether one of these fired rules wants the answer redacted."""
        return not self._redacting.isdisjoint(rules)

    def _decide(self, stage: Stage, facts: _Facts) -> Decision:
        fired = self._fired(stage, facts)
        actions = [rule.action for rule in fired if isinstance(rule, Rule)]
        action: Action = max(actions, key=ACTIONS.index, default=_LEAST)
        return Decision(action=action, policy=self.label, rules=tuple(rule.id for rule in fired))

    def _fired(self, stage: Stage, facts: _Facts) -> list[Rule | PassageRule]:
        return [rule for rule in self._rules_for(stage, facts.request.tenant) if _holds(rule.when, facts)]

    def _rules_for(self, stage: Stage, tenant: str) -> list[Rule | PassageRule]:
        own = [section for name, section in self._file.tenants.items() if fnmatchcase(tenant, name)]
        return [rule for section in (self._file, *own) for rule in getattr(section, stage).rules]


def _holds(when: When, facts: _Facts) -> bool:
    request = facts.request
    return (
        (when.score is None or _score_holds(when, facts.scores.get(when.score)))
        and (when.risk is None or request.risk in when.risk)
        and (when.tenant is None or any(fnmatchcase(request.tenant, glob) for glob in when.tenant))
        and (when.unknown_citations is None or facts.unknown_citations)
        and (when.matches is None or facts.matches(when.matches))
    )


def _score_holds(when: When, score: Score | None) -> bool:
    if when.missing:
        return score is None or score.status == "failed"
    if when.unsupported:
        return score is not None and score.status == "unsupported"
    value = _value(score, when.label)
    if value is None:
        return False
    return (when.at_least is None or value >= when.at_least) and (when.below is None or value < when.below)


def _value(score: Score | None, label: str | None) -> Score01 | None:
    if score is None or score.status != "ok":
        return None
    return score.value if label is None else score.labels.get(label)


def _every_rule(file: PolicyFile) -> Iterable[tuple[Stage, str, Rule | PassageRule]]:
    """Each rule with its stage and its place in the file."""
    sections: list[tuple[str, PolicyFile | TenantRules]] = [("$", file)]
    sections += [(f"$.tenants.{tenant}", section) for tenant, section in file.tenants.items()]
    stages: tuple[Stage, ...] = ("input", "passages", "output")
    for at, section in sections:
        for stage in stages:
            for number, rule in enumerate(getattr(section, stage).rules):
                yield stage, f"{at}.{stage}.rules[{number}]", rule


def _check(path: Path, file: PolicyFile, mistakes: Mistakes) -> None:
    """What a schema cannot say: patterns compile, names exist, conditions go together."""
    for name, spec in file.redactions.items():
        for field, reason, expected in _redaction_mistakes(spec):
            mistakes.add(path, f"$.redactions.{name}{field}", reason, expected)
    if file.vault and file.placeholders == "plain":
        mistakes.add(
            path, "$.vault", "plain placeholders cannot be restored", "numbered or hashed placeholders"
        )
    seen: set[str] = set()
    for stage, at, rule in _every_rule(file):
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
