"""Personal data by patterns: what is said of an answer, and never the data itself."""

import msgspec
import pytest

from agents.errors import ConfigurationError
from agents.model_files import ModelFiles
from agents.ports import ScoreInput
from agents.scorers import ScorerResources, load_scorer
from agents.scorers.personal_data import PersonalData
from schemas.score import Span
from tests.conformance.scorer import INPUTS, ScorerContract

TEXT = "Ask ann@example.org or bob@example.org; the card is 4111 1111 1111 1111."


class TestPersonalDataContract(ScorerContract):
    @pytest.fixture
    def scorer(self) -> PersonalData:
        return PersonalData()

    @pytest.fixture
    def inputs(self) -> tuple[ScoreInput, ...]:
        return (*INPUTS, ScoreInput(TEXT))


def test_it_labels_each_kind_and_points_at_each_find() -> None:
    score = PersonalData().score([ScoreInput(TEXT)])[0]
    assert (score.value, score.labels) == (1.0, {"email": 1.0, "card": 1.0})
    assert score.spans == (
        Span(start=4, end=19, label="email", score=1.0),
        Span(start=23, end=38, label="email", score=1.0),
        Span(start=52, end=71, label="card", score=1.0),
    )


def test_nothing_found_is_a_score_of_nothing() -> None:
    score = PersonalData().score([ScoreInput("The ferry leaves at 9:30.")])[0]
    assert (score.status, score.value, score.labels, score.spans) == ("ok", 0.0, {}, ())


def test_the_score_never_holds_what_was_found() -> None:
    published = msgspec.json.encode(PersonalData().score([ScoreInput(TEXT)])[0])
    assert b"ann@" not in published
    assert b"4111" not in published


def test_it_looks_for_the_kinds_that_its_option_names(tmp_path) -> None:
    files = ModelFiles(tmp_path)
    cards = load_scorer("personal-data", ScorerResources(files, options={"kinds": "card, national-ids"}))
    assert cards.score([ScoreInput(TEXT)])[0].labels == {"card": 1.0}
    assert cards.version != PersonalData().version
    with pytest.raises(ConfigurationError, match="'passport' is no kind"):
        load_scorer("personal-data", ScorerResources(files, options={"kinds": "passport"}))
