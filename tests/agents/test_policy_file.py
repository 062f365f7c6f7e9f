"""Which files are no policy, and what is said of each mistake."""

from pathlib import Path

import pytest

from agents.errors import ConfigurationError
from agents.policy import Policy
from tests.agents.test_policy import policy, rules


def test_every_mistake_is_told_at_once_with_its_field(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        policy(
            tmp_path,
            redactions={"bad": {"pattern": "("}, "slow": {"pattern": "(a+)+b"}, "empty": {"pattern": "x*"}},
            input=rules({"when": {"risk": ["low"]}, "action": "review"}),
            output={
                "rules": [
                    {"id": "x", "when": {}, "action": "flag"},
                    {"id": "x", "when": {"score": "toxicity"}, "action": "flag"},
                    {"id": "y", "when": {"at_least": 0.3}, "action": "flag"},
                    {"id": "z", "when": {"matches": "nobody"}, "action": "flag"},
                    {"id": "u", "when": {"unsupported": True}, "action": "flag"},
                    {
                        "id": "v",
                        "when": {"score": "toxicity", "unsupported": True, "below": 1},
                        "action": "flag",
                    },
                    {
                        "id": "w",
                        "when": {"score": "toxicity", "unsupported": True, "missing": True},
                        "action": "flag",
                    },
                ]
            },
        )
    told = str(caught.value)
    for expected in (
        "$.redactions.bad.pattern: does not compile",
        "$.redactions.slow.pattern: repeats",
        "$.redactions.empty.pattern: matches the empty text",
        "$.input.rules[0].action",
        "$.output.rules[0].when: has no condition",
        "$.output.rules[1].id: 'x' is used twice",
        "$.output.rules[1].when.score: is compared with nothing",
        "$.output.rules[2].when.score: is missing",
        "$.output.rules[3].when.matches: 'nobody' is not declared; expected one of bad, empty, slow",
        "$.output.rules[4].when.score: is missing",
        "$.output.rules[5].when.unsupported: cannot hold together",
        "$.output.rules[6].when.unsupported: cannot hold together",
    ):
        assert expected in told
    assert str(tmp_path / "policy.yaml") in told


def test_a_review_cannot_expire_before_it_is_escalated(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        policy(
            tmp_path,
            review={"escalate_after_s": 60, "expire_after_s": 60, "by_risk": {"high": {"expire_after_s": 5}}},
        )
    told = str(caught.value)
    assert "$.review.expire_after_s: 60 s is not after the 60 s of escalate_after_s; expected a later" in told
    assert "$.review.by_risk.high.expire_after_s: 5 s is not after the 60 s of escalate_after_s" in told


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("name: a\nname: b\n", "stands twice"),
        ("name: a\nextra: 1\n", "$.extra"),
        (
            "name: a\noutput: {rules: [{id: x, when: {risk: [low]}, action: explode}]}\n",
            "$.output.rules[0].action",
        ),
        ("name: a\noutput: {rules: [{id: x, when: {score: t, at_least: 5}, action: flag}]}\n", "at_least"),
        ("name: a\noutput: {rules: [{id: x, when: {score: t, at_least: .nan}, action: flag}]}\n", "at_least"),
        ("name: a\nreview: {expire_after_s: 0}\n", "$.review.expire_after_s"),
        ("name: a\nreview: {escalate_after_s: .inf}\n", "$.review.escalate_after_s"),
        ("name: a\nreview: {by_risk: {severe: {}}}\n", "$.review.by_risk.severe"),
        ("[]", "$"),
        ("", "$"),
        ("a: [", "YAML"),
    ],
)
def test_a_file_that_is_not_a_policy_is_turned_away(tmp_path: Path, text: str, field: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"p\.yaml") as caught:
        Policy.load(path)
    assert field in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        Policy.load(tmp_path / "none.yaml")
