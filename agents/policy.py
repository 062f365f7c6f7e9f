"""What may leave: a versioned YAML policy turns scores, tenant and risk into a decision.

Every rule whose conditions all hold fires; the most restrictive action of those that fired wins. A section
for a tenant adds rules and cannot drop any. `agents/policy_file.py` has the file's fields.
"""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from agents.operator_files import Mistakes, content_hash, parse, read_document
from agents.policy_file import PassageRule, PolicyFile, ReviewTerms, Rule, Stage, When, check, every_rule
from agents.redaction import Redacted, Redaction, Redactor, Style
from schemas.common import Risk, Score01
from schemas.context import RetrievedContext
from schemas.request import GenerationRequest
from schemas.score import ACTIONS, PASSAGE_ACTIONS, Action, Decision, PassageAction, Score

_LEAST: Action = ACTIONS[0]


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
        self.guards_passages = any(at == "passages" for at, _, _ in every_rule(file))
        """Whether it says anything of retrieved passages."""
        self._redacting = {rule.id for _, _, rule in every_rule(file) if rule.action == "redact"}

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
            check(path, file, mistakes)
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
        rules = (rule for at, _, rule in every_rule(self._file) if at == stage)
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
            for stage, place, rule in every_rule(self._file)
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
