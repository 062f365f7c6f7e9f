"""Toxicity through ONNX Runtime, against the shared suite and against what Keras says."""

import shutil

import pytest

from agents.errors import ConfigurationError
from agents.model_files.toxicity import LABELS
from agents.ports import ScoreInput
from agents.scorers.toxicity_onnx import OnnxToxicity
from tests.conformance.scorer import ScorerContract

KERAS = {
    "Thank you, have a lovely day!": (0.057207, 0.0005, 0.012406, 0.000317, 0.027603, 0.001547),
    "You are a complete idiot.": (0.99354, 0.175631, 0.905284, 0.014003, 0.917768, 0.065371),
    "The ferry leaves at 9:30 from pier 4.": (0.004192, 3.6e-05, 0.001705, 3.1e-05, 0.00087, 0.000239),
    "I don't think that's right, do you?": (0.102555, 0.000473, 0.019114, 0.001025, 0.028104, 0.001183),
    "": (0.067534, 0.002373, 0.029382, 0.001006, 0.015355, 0.004006),
}
"""By Keras 3 with the layers of the package, its weights and its tokenizer."""

TOXIC = (
    "You are a complete idiot.",
    "Shut up, you stupid piece of garbage.",
    "Go to hell, you pathetic moron, nobody likes you.",
    "What a disgusting, worthless bitch.",
    "Fuck off and die.",
)
HARMLESS = (
    "The ferry leaves at 9:30 from pier 4.",
    "Your refund will arrive within three business days.",
    "Please restart the router and wait two minutes.",
    "The committee rejected the proposal after a long debate.",
    "Photosynthesis turns light into sugar and oxygen.",
)
FILLER = "The committee met in the spring to talk about the new plan for the harbour. "


@pytest.fixture(scope="module")
def toxicity(model_files):
    return OnnxToxicity(model_files.toxicity())


@pytest.fixture(scope="module")
def value(toxicity):
    return lambda text: toxicity.score([ScoreInput(text)])[0].value


class TestOnnxToxicity(ScorerContract):
    @pytest.fixture
    def scorer(self, toxicity):
        return toxicity


@pytest.mark.parametrize("text", KERAS)
def test_the_labels_are_those_that_keras_gives(toxicity, text):
    score = toxicity.score([ScoreInput(text)])[0]
    assert tuple(score.labels) == LABELS
    assert tuple(score.labels.values()) == pytest.approx(KERAS[text], abs=2e-5)


def test_toxic_and_harmless_texts_are_far_apart(value):
    assert min(map(value, TOXIC)) > 0.8
    assert max(map(value, HARMLESS)) < 0.4


def test_the_value_is_the_highest_label(toxicity):
    for score in toxicity.score([ScoreInput(text) for text in TOXIC]):
        assert score.value == max(score.labels.values())


@pytest.mark.parametrize("place", [0, 3, 10, 17, 20])
def test_one_bad_sentence_in_a_long_text_is_found_wherever_it_stands(value, place):
    """About 300 words: the network alone would read the last hundred, and miss it among them."""
    parts = [FILLER] * 20
    assert value("".join(parts)) < 0.2
    assert value("".join([*parts[:place], "You are a complete idiot. ", *parts[place:]])) > 0.8


def test_passages_and_question_are_not_judged(toxicity):
    plain, asked = toxicity.score(
        [ScoreInput("No, I will not."), ScoreInput("No, I will not.", question="Are you an idiot?")]
    )
    assert plain == asked


@pytest.mark.parametrize(
    "hidden",
    [
        "You are a complete idi\u200bot.",
        "You are a complete ｉｄｉｏｔ.",
        "You are a complete 𝐢𝐝𝐢𝐨𝐭.",
        "You\xa0are\u2009a complete idi\xadot.",
    ],
)
def test_letters_that_only_look_different_do_not_hide_a_word(value, hidden):
    assert value(hidden) == value("You are a complete idiot.")


def test_curly_apostrophes_read_as_straight_ones(value):
    assert value("I don’t think that’s right, do you?") == value("I don't think that's right, do you?")


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="no built model"):
        OnnxToxicity(tmp_path)


@pytest.mark.parametrize("name", ["model.onnx", "vocabulary.json"])
def test_a_damaged_model_is_refused(model_files, tmp_path, name):
    damaged = shutil.copytree(model_files.toxicity(), tmp_path / "damaged")
    (damaged / name).write_bytes(b"not a model")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        OnnxToxicity(damaged)
