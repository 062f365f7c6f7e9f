"""Groundedness: which sentences the passages support, where, and why not."""

import json
import shutil
import time

import pytest

from agents.errors import ConfigurationError
from agents.ports import ScoreInput
from agents.scorers import WEIGHTS
from agents.scorers.aligner import Aligner
from agents.scorers.alignment import analyse, missing_quantities, negation_differs, stem
from agents.scorers.groundedness import CAP, Groundedness
from schemas.common import Passage
from tests.conformance.scorer import ScorerContract

FOLDER = WEIGHTS / "groundedness"
TEXTS = (
    "The ferry leaves at 9:30 from pier 4. It does not run on Sundays. Tickets are sold on board.",
    "Refunds take 3 business days. A return ticket costs 12 euros. The museum had 1,000 visitors, 12% more than in"
    " 2019. It was founded by Maria Lopez.",
)


def passages(*texts: str) -> list[Passage]:
    return [
        Passage(id=str(number), text=text, source="test", start=0, end=len(text))
        for number, text in enumerate(texts or TEXTS)
    ]


CASCADE = Groundedness(FOLDER)
WORDS = Groundedness(FOLDER, encoder=False)


def judged(answer: str, *texts: str, scorer: Groundedness = CASCADE):
    (score,) = scorer.score([ScoreInput(answer, passages(*texts))])
    return score


class TestGroundedness(ScorerContract):
    @pytest.fixture
    def scorer(self):
        return CASCADE


class TestGroundednessByWordsAlone(ScorerContract):
    @pytest.fixture
    def scorer(self):
        return WORDS


@pytest.mark.parametrize(
    ("sentence", "passage", "quote"),
    [
        ("The ferry leaves at 9:30 from pier 4 [1].", 1, "The ferry leaves at 9:30 from pier 4."),
        ("Refunds take three business days.", 2, "Refunds take 3 business days."),
        ("A return ticket costs €12.", 2, "A return ticket costs 12 euros."),
        (
            "The museum had 1000 visitors, 12 percent more than in 2019.",
            2,
            "The museum had 1,000 visitors, 12% more than in 2019.",
        ),
        (
            "The ferry doesn't run on Sundays.",
            1,
            "The ferry leaves at 9:30 from pier 4. It does not run on Sundays.",
        ),
        ("Tickets are sold on board.", 1, "Tickets are sold on board."),
    ],
)
def test_a_supported_sentence_names_its_passage_and_place(sentence, passage, quote):
    (evidence,) = judged(sentence).evidence
    assert evidence.supported
    assert evidence.reason is None
    assert evidence.passage == passage
    assert TEXTS[passage - 1][evidence.passage_start : evidence.passage_end] == quote


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("Refunds take 3 weeks.", "number differs"),
        ("A return ticket costs 15 euros.", "number differs"),
        ("A return ticket costs 12 dollars.", "number differs"),
        ("The museum had 10,000 visitors.", "number differs"),
        ("The ferry leaves at 10:30 from pier 4.", "number differs"),
        ("It runs on Sundays.", "negation differs"),
        ("The ferry never leaves from pier 4.", "negation differs"),
        ("It was founded by Maria Gomez.", "name not in passages"),
        ("The harbour offers free coffee to sailors.", "not in passages"),
    ],
)
def test_an_unsupported_sentence_says_why(sentence, reason):
    (evidence,) = judged(sentence).evidence
    assert not evidence.supported
    assert evidence.reason == reason
    assert evidence.score < 0.5


def test_a_contradiction_is_capped_however_much_is_copied():
    (copied,) = judged("Refunds take 3 weeks.").evidence
    assert copied.score <= CAP


def test_each_sentence_is_judged_at_its_own_place_in_the_answer():
    answer = "Hello! The ferry leaves at 9:30 from pier 4 [1]. Refunds take 3 weeks [2]. Anything else?"
    score = judged(answer)
    assert [(one.text, one.supported) for one in score.evidence] == [
        ("The ferry leaves at 9:30 from pier 4 [1].", True),
        ("Refunds take 3 weeks [2].", False),
    ]
    assert [answer[one.start : one.end] for one in score.evidence] == [one.text for one in score.evidence]
    assert (score.labels["supported"], score.labels["unsupported"]) == (1, 1)
    assert score.labels["lowest"] <= CAP


def test_the_value_is_the_mean_of_the_sentences_weighted_by_length():
    score = judged("The ferry leaves at 9:30 from pier 4. Refunds take 3 weeks.")
    one, two = score.evidence
    assert score.value == pytest.approx((one.score * 37 + two.score * 21) / 58)


def test_two_neighbouring_sentences_may_support_one_together():
    (evidence,) = judged("Maria Lopez founded the museum.").evidence
    assert evidence.supported
    assert TEXTS[1][evidence.passage_start : evidence.passage_end].endswith("It was founded by Maria Lopez.")


def test_a_sentence_with_nothing_in_common_points_nowhere():
    (evidence,) = judged("Bananas ripen quickly.").evidence
    assert (evidence.passage, evidence.passage_start, evidence.passage_end) == (None, None, None)


@pytest.mark.parametrize("answer", ["The passages do not say.", "Thank you!", "", "Shall I look again?"])
def test_an_answer_without_claims_is_skipped(answer):
    score = judged(answer)
    assert (score.status, score.reason, score.value, score.evidence) == ("skipped", "no claims", None, ())


def test_without_passages_there_is_nothing_to_compare_with():
    (score,) = CASCADE.score([ScoreInput("The ferry leaves at nine.")])
    assert (score.status, score.reason) == ("skipped", "no passages")


def test_numbers_between_other_passages_do_not_support_another_unit():
    (evidence,) = judged(
        "A ticket costs 15 euros.", "A ticket costs 12 euros. The trip takes 15 minutes."
    ).evidence
    assert evidence.reason == "number differs"


def test_the_cache_of_passages_is_bounded():
    aligner = Aligner(cached_passages=1)
    for number in range(20):
        aligner.alignments([ScoreInput("Trams stop here.", passages(f"Trams stop at place {number}."))])
    assert len(aligner._passages._values) == 1


def test_the_span_without_support_is_named_within_the_sentence():
    answer = "The ferry leaves at 9:30 from pier 4. Refunds take 3 weeks."
    evidence = judged(answer).evidence[1]
    assert answer[evidence.unsupported_start : evidence.unsupported_end].startswith("3")
    assert evidence.start <= evidence.unsupported_start < evidence.unsupported_end <= evidence.end
    (named,) = judged("It was founded by Maria Gomez.").evidence
    assert "It was founded by Maria Gomez."[named.unsupported_start : named.unsupported_end] == "Gomez"


def test_the_encoder_sees_what_shared_words_do_not_tell():
    """The words are the same, who did it to whom is not."""
    text = "Anna Berg defeated Carla Diaz in the final of 2019."
    right, wrong = "Anna Berg defeated Carla Diaz.", "Carla Diaz defeated Anna Berg."
    gap = judged(right, text).evidence[0].score - judged(wrong, text).evidence[0].score
    assert gap > 0.1


def test_damaged_weights_are_noticed(tmp_path):
    folder = shutil.copytree(FOLDER, tmp_path / "copy")
    with (folder / "model.onnx").open("r+b") as file:
        file.seek(5_000_000)
        file.write(b"damaged")
    with pytest.raises(ConfigurationError, match="damaged"):
        Groundedness(folder)


def test_weights_of_another_release_are_refused(tmp_path):
    folder = shutil.copytree(FOLDER, tmp_path / "copy")
    head = json.loads((folder / "head.json").read_text())
    (folder / "head.json").write_text(json.dumps({**head, "features": ["other"]}))
    with pytest.raises(ConfigurationError, match="another release"):
        Groundedness(folder)


def test_the_version_says_whether_the_encoder_is_asked():
    assert CASCADE.version.startswith("groundedness-cascade@")
    assert WORDS.version.startswith("groundedness-words@")
    assert CASCADE.version == Groundedness(FOLDER).version


def test_a_usual_answer_takes_little_time():
    """Well under a millisecond where it is measured; the limit leaves room for a busy machine."""
    scorer = WORDS
    item = ScoreInput("The ferry leaves at 9:30 from pier 4 [1]. Refunds take 3 weeks [2].", passages())
    scorer.score([item])
    started = time.perf_counter()
    for _ in range(100):
        scorer.score([item])
    assert (time.perf_counter() - started) / 100 < 0.01


@pytest.mark.parametrize(
    ("one", "other"),
    [("runs", "running"), ("ferries", "ferry"), ("leaves", "leaving"), ("museum's", "museums")],
)
def test_forms_of_a_word_share_a_stem(one, other):
    assert stem(one) == stem(other)


@pytest.mark.parametrize(
    ("sentence", "there", "missing"),
    [
        ("3 weeks", "3 business days", 1),
        ("1,000 visitors", "1000 visitors", 0),
        ("12%", "12 percent", 0),
        ("12%", "12 euros", 1),
        ("3.5 million dollars", "$3,500,000", 0),
        ("five km", "5 kilometres", 0),
        ("5 days", "5 working days", 1),
        ("09:30", "9:30", 0),
        ("12 €", "12 euros", 0),
        ("in 1942", "in 1949", 1),
        ("2 or 3 weeks", "2 or 3 weeks", 0),
    ],
)
def test_quantities_are_compared_by_value_and_unit(sentence, there, missing):
    assert len(missing_quantities(analyse(sentence), analyse(there))) == missing


@pytest.mark.parametrize(
    ("sentence", "there", "differs"),
    [
        ("It runs on Sundays", "It does not run on Sundays", True),
        ("It doesn't run on Sundays", "It does not run on Sundays", False),
        ("It never rains", "It rains", True),
        ("Not cheap, but the ferry runs", "The ferry runs", False),
        ("It rains", "The sun does not shine", False),
    ],
)
def test_negation_is_compared_by_the_words_it_reaches(sentence, there, differs):
    assert negation_differs(analyse(sentence), analyse(there)) is differs
