"""Toxicity by the encoder: what it finds, where it points, and whom it does not blame."""

import pytest

from agents.ports import ScoreInput
from agents.scorers import WEIGHTS
from agents.scorers.toxicity import EncoderToxicity
from tests.agents.scorers.test_toxicity_onnx import FILLER, HARMLESS, TOXIC
from tests.conformance.scorer import ScorerContract

LABELS = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")


@pytest.fixture(scope="module")
def toxicity():
    return EncoderToxicity(WEIGHTS / "toxicity")


@pytest.fixture(scope="module")
def judge(toxicity):
    return lambda text: toxicity.score([ScoreInput(text)])[0]


class TestEncoderToxicity(ScorerContract):
    @pytest.fixture
    def scorer(self, toxicity):
        return toxicity


@pytest.mark.parametrize("text", TOXIC)
def test_what_is_toxic_scores_high_under_six_labels(judge, text):
    score = judge(text)
    assert score.value > 0.8
    assert tuple(score.labels) == LABELS


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_harmless_scores_low_and_points_nowhere(judge, text):
    score = judge(text)
    assert score.value < 0.2
    assert score.spans == ()


def test_one_bad_sentence_is_found_at_the_end_of_a_long_text(judge):
    assert judge(FILLER * 200).value < 0.3
    text = FILLER * 200 + "You are a complete idiot."
    score = judge(text)
    assert score.value > 0.8
    assert any("idiot" in text[span.start : span.end] for span in score.spans)


@pytest.mark.parametrize(
    "hidden", ["1d10t", "i d i o t", "i.d.i.o.t", "idi\u043et", "id\u200biot", "idiiiiot"]
)
def test_a_hidden_word_is_found_and_pointed_at_where_it_stands(judge, hidden):
    text = f"You are a complete {hidden}, go away."
    score = judge(text)
    assert score.value > 0.6
    assert any(
        text[span.start : span.end].strip(" .,") in hidden or hidden in text[span.start : span.end]
        for span in score.spans
    )


@pytest.mark.parametrize("who", ["gay", "Muslim", "trans", "Black", "Jewish", "disabled", "Sikh", "bisexual"])
def test_an_identity_is_no_insult(judge, who):
    assert judge(f"I am a {who} man living in Berlin.").value < 0.3
    assert judge(f"All {who} people are disgusting animals.").value > 0.6


def test_a_score_does_not_depend_on_its_neighbours(toxicity):
    alone = toxicity.score([ScoreInput(TOXIC[0])])
    among = toxicity.score([ScoreInput(text) for text in (*TOXIC, *HARMLESS)])
    assert among[0].labels == alone[0].labels
