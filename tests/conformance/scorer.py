"""What every scorer must keep to: subclass `ScorerContract` and give it a `scorer` fixture."""

import re
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from agents.ports import ScoreInput, Scorer
from agents.scorers.language import LANGUAGES
from schemas.common import Passage
from schemas.score import Score

PASSAGES = (
    Passage(
        id="1",
        text="The ferry leaves at 9:30 from pier 4. It does not run on Sundays.",
        source="a",
        start=0,
        end=64,
    ),
    Passage(id="2", text="A return ticket costs 12 euros.", source="b", start=0, end=31),
)
INPUTS = (
    ScoreInput("The ferry leaves at 9:30 from pier 4.", PASSAGES, "When does the ferry leave?"),
    ScoreInput("A return ticket costs 15 euros [2]. You are a complete idiot.", PASSAGES),
    ScoreInput("Thank you, have a lovely day!"),
    ScoreInput("", PASSAGES),
    ScoreInput(" \n\t ", PASSAGES),
    ScoreInput("Ça coûte 12 € — vraiment\u200b? 🚢 渡轮几点开？", PASSAGES),
    ScoreInput("\x00\x07[[[999999999999]]] ... ?!?! 1,2,3.4.5%%", PASSAGES),
    ScoreInput("The ferry never leaves from pier 4 at all. " * 400, PASSAGES),
    ScoreInput("x" * 20_000, PASSAGES),
)


def agree(scores: list[Score], others: list[Score], tolerance: float) -> bool:
    """Whether two runs judged alike: times differ, and floats in their last digits."""
    return len(scores) == len(others) and all(
        (a.status, a.reason, a.labels.keys()) == (b.status, b.reason, b.labels.keys())
        and a.value == pytest.approx(b.value, abs=tolerance)
        and a.labels == pytest.approx(b.labels, abs=tolerance)
        and [(e.start, e.end, e.supported, e.reason) for e in a.evidence]
        == [(e.start, e.end, e.supported, e.reason) for e in b.evidence]
        for a, b in zip(scores, others, strict=True)
    )


class ScorerContract:
    """The shared suite. Override `inputs` to add inputs of a kind that a scorer finds hard.

    Raise `tolerance` for a model whose arithmetic depends on its batch (dynamic quantisation).
    """

    tolerance = 1e-3

    @pytest.fixture
    def scorer(self) -> Scorer:
        raise NotImplementedError("a subclass gives the scorer under test")

    @pytest.fixture
    def inputs(self) -> tuple[ScoreInput, ...]:
        return INPUTS

    def test_it_has_a_name_fit_for_a_metric_label(self, scorer):
        assert re.fullmatch(r"[a-z][a-z0-9_-]*", scorer.name)

    def test_its_version_is_a_name_and_a_hash(self, scorer):
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{8,64}", scorer.version)
        assert scorer.version == scorer.version

    def test_the_languages_it_knows_can_be_told(self, scorer):
        languages = getattr(scorer, "languages", None)
        assert languages is None or languages
        assert set(languages or ()) <= set(LANGUAGES.split())

    def test_an_empty_batch_gives_no_scores(self, scorer):
        assert scorer.score([]) == []

    def test_it_gives_one_score_for_each_input_under_its_own_name_and_version(self, scorer, inputs):
        scores = scorer.score(inputs)
        assert len(scores) == len(inputs)
        assert {score.name for score in scores} == {scorer.name}
        assert {score.version for score in scores} == {scorer.version}

    def test_a_value_is_given_exactly_when_the_status_is_ok(self, scorer, inputs):
        for score in scorer.score(inputs):
            assert (score.value is not None) == (score.status == "ok")
            assert score.status == "ok" or score.reason

    def test_every_score_can_be_published(self, scorer, inputs):
        """Encoding checks ranges and types: values within 0 and 1, no NaN, offsets not negative."""
        for score in scorer.score(inputs):
            assert msgspec.json.decode(msgspec.json.encode(score), type=Score) == score

    def test_evidence_quotes_the_text_at_its_offsets(self, scorer, inputs):
        for given, score in zip(inputs, scorer.score(inputs), strict=True):
            for evidence in score.evidence:
                assert given.text[evidence.start : evidence.end] == evidence.text

    def test_evidence_points_into_a_passage_that_was_given(self, scorer, inputs):
        for given, score in zip(inputs, scorer.score(inputs), strict=True):
            for evidence in score.evidence:
                if evidence.passage is None:
                    assert evidence.passage_start is None
                    continue
                text = given.passages[evidence.passage - 1].text
                assert 0 <= evidence.passage_start < evidence.passage_end <= len(text)

    def test_a_score_does_not_depend_on_its_neighbours_in_the_batch(self, scorer, inputs):
        alone = [scorer.score([given])[0] for given in inputs]
        assert agree(scorer.score(inputs), alone, self.tolerance)

    def test_several_threads_may_use_it_at_once(self, scorer, inputs):
        expected = scorer.score(inputs)
        with ThreadPoolExecutor(4) as pool:
            for scores in pool.map(scorer.score, [inputs] * 8):
                assert agree(scores, expected, self.tolerance)
