"""A user's own judge of groundedness: what it is asked, how it is asked, and that its word counts."""

from dataclasses import dataclass, field

import pytest

from agents.errors import ConfigurationError, MissingExtra
from agents.model_files import ModelFiles
from agents.ports import ScoreInput
from agents.scorers import WEIGHTS, ScorerResources, load_scorer
from agents.scorers.groundedness import OPEN, Groundedness
from agents.scorers.judges import RouteJudge, TransformersJudge, opinion
from tests.agents.scorers.test_groundedness import passages
from tests.conformance.scorer import ScorerContract


@dataclass
class Judge:
    says: float | None
    asked: list = field(default_factory=list)
    version = "judge@1"

    def supported(self, pairs):
        self.asked += pairs
        return [self.says] * len(pairs)


class TestGroundednessWithAJudge(ScorerContract):
    @pytest.fixture
    def scorer(self):
        return Groundedness(WEIGHTS / "groundedness", judge=Judge(0.9))


SENTENCES = (
    "The ferry departs from the fourth pier in the morning.", "Refunds need a while.", "People pay for coming back.",
    "A visitor founded it.", "Sundays are quiet.", "Tickets can be had.", "Lopez had visitors in 2019.",
)  # fmt: skip


def judged(judge) -> dict[str, float]:
    scorer = Groundedness(WEIGHTS / "groundedness", judge=judge)
    return {text: scorer.score([ScoreInput(text, passages())])[0].evidence[0].score for text in SENTENCES}


def test_only_what_is_open_is_put_before_it_and_its_word_counts() -> None:
    ours, judge = judged(Judge(None)), Judge(0.99)
    theirs = judged(judge)
    still_open = {text for text, score in ours.items() if OPEN[0] < score < OPEN[1]}
    assert still_open, "the sentences should leave some open"
    assert {sentence for sentence, _ in judge.asked} == still_open
    assert {text for text in SENTENCES if theirs[text] != ours[text]} == still_open
    assert all(theirs[text] == 0.99 for text in still_open)


@pytest.mark.parametrize(
    ("answer", "probability"),
    [
        ('{"supported": true, "confidence": 0.8}', 0.8),
        ('Sure! ```json\n{"supported": false, "confidence": 0.9}\n```', pytest.approx(0.1)),
        ('{"supported": true}', 1.0),
        ('{"supported": "yes"}', None),
        ('{"supported": true, "confidence": 7}', None),
        ("It is supported.", None),
        ("{", None),
    ],
)
def test_an_answer_is_read_or_is_no_opinion(answer, probability) -> None:
    assert opinion(answer) == probability


def test_a_route_is_asked_with_text_and_statement() -> None:
    asked = []

    def ask(route, messages):
        asked.append((route, messages[1].text()))
        return '{"supported": false, "confidence": 1.0}'

    assert RouteJudge("cheap", ask).supported([("It is 3.", "It is 4.")]) == [0.0]
    assert asked == [("cheap", "Text:\nIt is 4.\n\nStatement:\nIt is 3.")]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"judge": "route:cheap"}, "works in a worker only"),
        ({"judge": "/no/such/folder"}, "cannot be loaded"),
        ({"judge": "x", "trust_remote_code": "maybe"}, "trust_remote_code is 'maybe'"),
    ],
)
def test_a_judge_that_cannot_be_had_is_told(tmp_path, options, said) -> None:
    with pytest.raises((ConfigurationError, MissingExtra), match=rf"{said}|torch extra|sluicegate\[torch\]"):
        load_scorer("groundedness", ScorerResources(ModelFiles(tmp_path), options=options))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Real models of both kinds, small and untrained, as folders that transformers loads."""
    transformers = pytest.importorskip("transformers", reason="the torch extra is not installed")
    pytest.importorskip("torch", reason="the torch extra is not installed")
    from training.encoder import source

    folder = tmp_path_factory.mktemp("judges")
    reader = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(source() / "tokenizer.json"),
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    )
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    kinds = {
        "tokens": (transformers.BertForTokenClassification, {0: "supported", 1: "hallucinated"}),
        "nli": (
            transformers.BertForSequenceClassification,
            {0: "contradiction", 1: "entailment", 2: "neutral"},
        ),
        "other": (transformers.BertForSequenceClassification, {0: "spam", 1: "ham"}),
    }
    for name, (kind, labels) in kinds.items():
        config = transformers.BertConfig(**shape, id2label=labels, label2id={v: k for k, v in labels.items()})
        kind(config).save_pretrained(folder / name)
        reader.save_pretrained(folder / name)
    return folder


@pytest.mark.torch
@pytest.mark.parametrize("kind", ["tokens", "nli"])
def test_models_of_both_kinds_are_loaded_from_a_folder_and_give_probabilities(models, kind) -> None:
    judge = TransformersJudge(str(models / kind))
    long = "The ferry leaves at nine. " * 300
    found = judge.supported([("It leaves at nine.", "The ferry leaves at nine."), ("It leaves.", long)])
    assert all(0.0 < one < 1.0 for one in found)
    assert judge.supported([("It leaves at nine.", "The ferry leaves at nine.")]) == pytest.approx(found[:1])
    assert judge.version.startswith(f"judge-{kind}@")


@pytest.mark.torch
def test_a_model_that_judges_something_else_is_refused(models) -> None:
    with pytest.raises(ConfigurationError, match=r"no label for entailment but \['ham', 'spam'\]"):
        TransformersJudge(str(models / "other"))
