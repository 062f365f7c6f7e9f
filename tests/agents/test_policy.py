"""The policy: what fires, what wins, what is redacted, and how long a review may wait."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agents.errors import ConfigurationError
from agents.policy import Policy
from schemas.common import Lineage, Message, Timings
from schemas.context import RetrievedContext
from schemas.request import GenerationRequest
from schemas.score import ACTIONS, Score

DEFAULT = Path(__file__).parents[2] / "policies/default.yaml"


def toxicity(value: float | None, status: str = "ok") -> Score:
    return Score(name="toxicity", version="t@1", status=status, value=value)


def groundedness(value: float | None, status: str = "ok") -> Score:
    return Score(name="groundedness", version="g@1", status=status, value=value)


TOXICITY_OK, GROUNDED = toxicity(0.01), groundedness(0.9)


def context(risk: str = "low", tenant: str = "acme", text: str = "Hi") -> RetrievedContext:
    request = GenerationRequest(
        id="r1", tenant=tenant, risk=risk, messages=[Message(role="user", content=text)]
    )
    return RetrievedContext(
        id="c1",
        request=request,
        passages=(),
        received=datetime(2026, 1, 1, tzinfo=UTC),
        lineage=Lineage(),
        timings=Timings(),
    )


def policy(tmp_path: Path, **parts: object) -> Policy:
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump({"name": "test", **parts}, sort_keys=False))
    return Policy.load(path)


def rules(*given: dict) -> dict:
    return {"rules": [{"id": f"r{n}", **rule} for n, rule in enumerate(given)]}


@pytest.fixture(scope="module")
def default() -> Policy:
    return Policy.load(DEFAULT)


CASES = [
    ("low", [], "fine", (), "allow", None),
    ("low", [groundedness(0.2)], "x", (), "flag", "ungrounded-low-risk"),
    ("medium", [groundedness(0.2)], "x", (), "review", "ungrounded"),
    ("high", [], "fine", (), "review", "high-risk"),
    ("low", [toxicity(None, "failed")], "x", (), "review", "toxicity-unknown"),
    ("low", [toxicity(0.8)], "x", (), "block", "toxic-output"),
    ("high", [toxicity(0.95)], "x", (), "block", "toxic-output"),
    ("low", [], "see [9]", (9,), "flag", "unknown-citation"),
    ("low", [], "mail a.b@example.org", (), "redact", "email-in-answer"),
    ("medium", [groundedness(None, "skipped")], "x", (), "allow", None),
    ("medium", [groundedness(None, "failed")], "x", (), "review", "groundedness-unknown"),
    ("low", [toxicity(None, "unsupported")], "x", (), "flag", "toxicity-language-unknown-low-risk"),
    ("medium", [toxicity(None, "unsupported")], "x", (), "review", "toxicity-language-unknown"),
    ("low", [groundedness(None, "unsupported")], "x", (), "flag", "groundedness-language-unknown-low-risk"),
    ("medium", [groundedness(None, "unsupported")], "x", (), "review", "groundedness-language-unknown"),
]


@pytest.mark.parametrize(("risk", "changed", "answer", "unknown", "action", "rule"), CASES)
def test_the_default_policy_on_answers(
    default: Policy, risk: str, changed: list, answer: str, unknown: tuple, action: str, rule: str | None
) -> None:
    scores = [TOXICITY_OK, GROUNDED, *changed]
    decision = default.decide_output(scores, answer, context(risk), unknown)
    assert decision.action == action
    assert rule is None or rule in decision.rules
    assert decision.policy == default.label


def test_a_score_that_is_absent_counts_as_missing(default: Policy) -> None:
    assert default.decide_output([GROUNDED], "x", context(), ()).rules == ("toxicity-unknown",)


@pytest.mark.parametrize(("value", "action"), [(0.1, "allow"), (0.6, "flag"), (0.9, "block")])
def test_the_default_policy_on_requests(default: Policy, value: float, action: str) -> None:
    assert default.decide_input([toxicity(value)], context().request).action == action


def test_a_request_in_a_language_that_nobody_can_judge_is_flagged(default: Policy) -> None:
    decision = default.decide_input([toxicity(None, "unsupported")], context().request)
    assert (decision.action, decision.rules) == ("flag", ("input-language-unknown",))


@pytest.mark.parametrize(
    ("score", "fired"),
    [
        (toxicity(None, "unsupported"), ("unsupported",)),
        (toxicity(None, "failed"), ("missing",)),
        (toxicity(None, "skipped"), ()),
        (toxicity(0.9), ()),
        (GROUNDED, ("missing",)),
    ],
    ids=["unsupported", "failed", "skipped", "ok", "absent"],
)
def test_an_unsupported_score_is_not_a_missing_one(tmp_path: Path, score: Score, fired: tuple) -> None:
    conditions = [{"score": "toxicity", "missing": True}, {"score": "toxicity", "unsupported": True}]
    named = [
        {"id": id_, "when": when, "action": "flag"}
        for id_, when in zip(("missing", "unsupported"), conditions, strict=True)
    ]
    found = policy(tmp_path, output={"rules": named})
    assert found.decide_output([score], "x", context(), ()).rules == fired


def test_a_label_of_a_score_can_be_the_condition(tmp_path: Path) -> None:
    found = policy(
        tmp_path,
        output=rules({"when": {"score": "toxicity", "label": "threat", "at_least": 0.3}, "action": "block"}),
    )
    threat = Score(name="toxicity", version="t", status="ok", value=0.1, labels={"threat": 0.4})
    assert found.decide_output([threat], "x", context(), ()).action == "block"
    assert found.decide_output([TOXICITY_OK], "x", context(), ()).action == "allow"


def test_all_conditions_of_a_rule_must_hold(tmp_path: Path) -> None:
    found = policy(
        tmp_path,
        output=rules(
            {"when": {"score": "groundedness", "below": 0.95, "tenant": ["ac*"]}, "action": "block"}
        ),
    )
    assert found.decide_output([GROUNDED], "x", context(tenant="acme"), ()).action == "block"
    assert found.decide_output([GROUNDED], "x", context(tenant="other"), ()).action == "allow"


def test_a_tenants_section_adds_rules_and_drops_none(tmp_path: Path) -> None:
    found = policy(
        tmp_path,
        output={"rules": [{"id": "base", "when": {"risk": ["low"]}, "action": "flag"}]},
        tenants={
            "acme": {"output": {"rules": [{"id": "own", "when": {"risk": ["low"]}, "action": "review"}]}}
        },
    )
    assert found.decide_output([], "x", context(tenant="acme"), ()).rules == ("base", "own")
    assert found.decide_output([], "x", context(tenant="other"), ()).rules == ("base",)


@pytest.mark.parametrize(
    ("text", "expected", "counts"),
    [
        ("Write to ann.lee+x@mail.example.org.", "Write to [REDACTED:email].", {"email": 1}),
        ("Call +49 30 1234567 or 415-555-2671!", "Call [REDACTED:phone] or [REDACTED:phone]!", {"phone": 2}),
        ("Card 4111 1111 1111 1111 ok", "Card [REDACTED:card] ok", {"card": 1}),
        ("Order 4111 1111 1111 1112 of 2026-11-23", "Order 4111 1111 1111 1112 of 2026-11-23", {}),
        ("It costs 1,200.50 euros for 3 weeks.", "It costs 1,200.50 euros for 3 weeks.", {}),
    ],
)
def test_personal_data_is_replaced(default: Policy, text: str, expected: str, counts: dict) -> None:
    redacted = default.redact(context().request, text)
    assert (redacted.text, redacted.counts) == (expected, counts)


@pytest.mark.parametrize(
    ("text", "name", "rule"),
    [
        ("Pay to DE89 3704 0044 0532 0130 00.", "iban", "iban-in-answer"),
        ("Her number is 536-90-4399.", "national-id", "national-id-in-answer"),
        ("export AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG", "secret", "secret-in-answer"),
    ],
)
def test_the_default_policy_redacts_numbers_and_secrets(
    default: Policy, text: str, name: str, rule: str
) -> None:
    decision = default.decide_output([TOXICITY_OK, GROUNDED], text, context(), ())
    assert (decision.action, decision.rules) == ("redact", (rule,))
    assert default.redact(context().request, text).counts == {name: 1}


def test_the_default_policy_leaves_addresses_of_machines(default: Policy) -> None:
    assert default.redact(context().request, "ping 192.168.10.7").counts == {}


def test_a_redaction_names_detectors_or_a_pattern(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        policy(
            tmp_path,
            redactions={
                "neither": {},
                "both": {"pattern": "a", "detector": "email"},
                "strange": {"detector": ["email", "passport"]},
                "checked": {"detector": "card", "check": "luhn"},
            },
            vault={"keep_for_s": 3600},
        )
    told = str(caught.value)
    for expected in (
        "$.redactions.neither: needs either a pattern or a detector",
        "$.redactions.both: needs either a pattern or a detector",
        "$.redactions.strange.detector: 'passport' is not a detector; expected one of aws-access-key, card",
        "$.redactions.checked.check: a detector has its own check",
        "$.vault: plain placeholders cannot be restored; expected numbered or hashed placeholders",
    ):
        assert expected in told


def test_overlapping_matches_leave_nothing_behind(tmp_path: Path) -> None:
    found = policy(tmp_path, redactions={"a": {"pattern": "abc"}, "b": {"pattern": "bcde"}})
    request = context().request
    assert found.redact(request, "xabcdex").text == "x[REDACTED:b]x"
    inner = policy(tmp_path, redactions={"inner": {"pattern": "cd"}, "outer": {"pattern": "abcdef"}})
    assert inner.redact(request, "xabcdefx").counts == {"outer": 1}


@given(st.text(alphabet=st.sampled_from(list("ab1@.+- 4()é\n")), max_size=80))
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    found = Policy.load(DEFAULT)
    once = found.redact(context().request, text).text
    twice = found.redact(context().request, once)
    assert (twice.text, twice.counts) == (once, {})


def test_it_knows_which_rules_ask_for_redaction(default: Policy) -> None:
    assert default.asks_redaction(["high-risk", "email-in-answer"])
    assert not default.asks_redaction(["high-risk"])


def test_the_label_changes_with_the_rules_and_not_with_comments(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("name: a\n")
    before = Policy.load(path).label
    path.write_text("# a comment\nname:   a\n")
    assert Policy.load(path).label == before
    path.write_text("name: a\ndescription: b\n")
    assert Policy.load(path).label != before
    assert before.startswith("a@")
    assert len(before) == len("a@") + 12


def test_the_default_policy_escalates_after_four_hours_and_expires_after_a_day(default: Policy) -> None:
    terms = default.review_terms("high")
    assert (terms.escalate_after_s, terms.expire_after_s) == (4 * 3600, 24 * 3600)


def test_without_a_section_a_review_waits_for_ever(tmp_path: Path) -> None:
    terms = policy(tmp_path).review_terms("low")
    assert (terms.escalate_after_s, terms.expire_after_s) == (None, None)


def test_a_risk_changes_only_the_terms_it_names(tmp_path: Path) -> None:
    found = policy(
        tmp_path,
        review={"escalate_after_s": 60, "expire_after_s": 600, "by_risk": {"high": {"expire_after_s": 120}}},
    )
    high, low = found.review_terms("high"), found.review_terms("low")
    assert (high.escalate_after_s, high.expire_after_s) == (60, 120)
    assert (low.escalate_after_s, low.expire_after_s) == (60, 600)


def test_the_terms_of_reviews_are_part_of_the_version(tmp_path: Path) -> None:
    labels = {policy(tmp_path, review={"expire_after_s": seconds}).label for seconds in (60, 61)}
    assert len(labels | {policy(tmp_path).label}) == 3


_WHENS = st.one_of(
    st.builds(lambda v: {"score": "toxicity", "at_least": v}, st.sampled_from([0.0, 0.5, 1.0])),
    st.builds(lambda v: {"score": "groundedness", "below": v}, st.sampled_from([0.0, 0.5, 1.0])),
    st.sampled_from(
        [
            {"score": "toxicity", "missing": True},
            {"risk": ["high"]},
            {"matches": "digit"},
            {"unknown_citations": True},
            {"tenant": ["a*"]},
        ]
    ),
)
_RULES = st.fixed_dictionaries({"when": _WHENS, "action": st.sampled_from(ACTIONS)})
_SCORES = st.lists(
    st.builds(
        lambda name, value: Score(
            name=name, version="v", status="failed" if value is None else "ok", value=value
        ),
        st.sampled_from(["toxicity", "groundedness"]),
        st.one_of(st.none(), st.floats(0, 1)),
    ),
    max_size=2,
)


@given(
    base=st.lists(_RULES, max_size=4),
    added=_RULES,
    scores=_SCORES,
    risk=st.sampled_from(["low", "medium", "high"]),
    answer=st.sampled_from(["x", "7"]),
)
def test_adding_a_rule_never_makes_a_decision_less_restrictive(
    tmp_path_factory: pytest.TempPathFactory, base: list, added: dict, scores: list, risk: str, answer: str
) -> None:
    folder = tmp_path_factory.mktemp("p")
    redactions = {"digit": {"pattern": "[0-9]"}}
    before = policy(folder, redactions=redactions, output=rules(*base))
    after = policy(folder, redactions=redactions, output=rules(*base, added))
    where = context(risk)
    one, two = (p.decide_output(scores, answer, where, (3,)) for p in (before, after))
    assert ACTIONS.index(two.action) >= ACTIONS.index(one.action)
