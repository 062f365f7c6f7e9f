"""The real Detoxify with a small checkpoint that is made here: its numbers mean nothing, its path is the real one."""

from importlib.util import find_spec

import pytest

from agents.errors import ConfigurationError, MissingExtra
from agents.model_files.toxicity import LABELS
from agents.ports import ScoreInput
from agents.scorers import ScorerResources, load_scorer
from agents.scorers.detoxify import DetoxifyToxicity
from tests.conformance.scorer import ScorerContract

THEIR_LABELS = ["toxicity", "severe_toxicity", "obscene", "threat", "insult", "identity_attack"]
WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "you",
    "are",
    "a",
    "fool",
    "the",
    "ferry",
    "leaves",
    ".",
]


def write_checkpoint(folder, seed):
    """A two-layer BERT of width 32 with random weights, in the form that Detoxify reads."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    network = folder / "network"
    network.mkdir()
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        num_labels=len(LABELS),
        initializer_range=1.0,
    )
    (network / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    config.save_pretrained(network)
    BertTokenizer(str(network / "vocab.txt"), model_max_length=64).save_pretrained(network)
    torch.manual_seed(seed)
    arguments = {
        "model_type": str(network),
        "model_name": "BertForSequenceClassification",
        "tokenizer_name": "BertTokenizer",
        "num_classes": len(LABELS),
    }
    path = folder / "small.ckpt"
    torch.save(
        {
            "config": {"arch": {"args": arguments}, "dataset": {"args": {"classes": list(THEIR_LABELS)}}},
            "state_dict": BertForSequenceClassification(config).state_dict(),
        },
        path,
    )
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("detoxify"), seed=7)


@pytest.fixture(scope="module")
def detoxify(checkpoint):
    return DetoxifyToxicity(checkpoint=checkpoint)


@pytest.mark.torch
class TestDetoxifyToxicity(ScorerContract):
    @pytest.fixture
    def scorer(self, detoxify):
        return detoxify


@pytest.mark.torch
def test_its_labels_carry_our_names_and_the_value_is_the_highest(detoxify):
    score = detoxify.score([ScoreInput("you are a fool.")])[0]
    assert tuple(score.labels) == LABELS
    assert score.value == max(score.labels.values())


@pytest.mark.torch
def test_its_numbers_are_those_of_detoxify(detoxify, checkpoint):
    from detoxify import Detoxify

    theirs = Detoxify("original", checkpoint=str(checkpoint)).predict("you are a fool.")
    ours = detoxify.score([ScoreInput("you are a fool.")])[0].labels
    assert list(ours.values()) == pytest.approx([theirs[label] for label in THEIR_LABELS], abs=1e-5)
    assert len(set(ours.values())) == len(LABELS)


@pytest.mark.torch
def test_the_end_of_a_long_text_is_read(detoxify):
    """Detoxify alone reads the first 64 tokens of it."""
    start = "the ferry leaves . " * 60
    plain, changed = detoxify.score([ScoreInput(start), ScoreInput(start + "you are a fool . " * 20)])
    assert plain.labels != changed.labels


@pytest.mark.torch
def test_its_version_is_that_of_the_weights(detoxify, checkpoint, tmp_path):
    assert DetoxifyToxicity(checkpoint=checkpoint).version == detoxify.version
    assert DetoxifyToxicity(checkpoint=write_checkpoint(tmp_path, seed=8)).version != detoxify.version


@pytest.mark.torch
def test_the_table_loads_it_with_its_options(checkpoint, model_files):
    options = {"checkpoint": str(checkpoint)}
    scorer = load_scorer("toxicity-detoxify", ScorerResources(model_files=model_files, options=options))
    assert scorer.version.startswith("detoxify-small@")


@pytest.mark.torch
def test_it_knows_english_unless_it_is_the_multilingual_one(detoxify, checkpoint):
    assert detoxify.languages == {"en"}
    multilingual = DetoxifyToxicity("multilingual", checkpoint=checkpoint)
    assert multilingual.languages == {"en", "fr", "es", "it", "pt", "tr", "ru"}


@pytest.mark.torch
def test_a_checkpoint_that_cannot_be_read_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigurationError, match="no Detoxify checkpoint"):
        DetoxifyToxicity(checkpoint=tmp_path / "missing.ckpt")
    (tmp_path / "broken.ckpt").write_bytes(b"not a checkpoint")
    with pytest.raises(ConfigurationError, match="cannot read"):
        DetoxifyToxicity(checkpoint=tmp_path / "broken.ckpt")


@pytest.mark.skipif(find_spec("detoxify") is not None, reason="the torch extra is installed")
def test_without_the_extra_it_says_which_is_missing():
    with pytest.raises(MissingExtra, match=r"sluicegate\[torch\]"):
        DetoxifyToxicity()
