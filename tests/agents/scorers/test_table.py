"""The table of scorers, and how other packages join it."""

import importlib.metadata
import sys

import pytest

from agents import scorers
from agents.errors import ConfigurationError, UnknownPart
from agents.model_files import ModelFiles
from agents.scorers import SCORERS, ScorerResources, load_scorer


@pytest.fixture
def resources(tmp_path) -> ScorerResources:
    return ScorerResources(ModelFiles(tmp_path))


@pytest.fixture
def installed(monkeypatch):
    """Pretend that a package with these entry points is installed."""

    def install(**values: str) -> None:
        points = [importlib.metadata.EntryPoint(name, value, scorers.GROUP) for name, value in values.items()]
        monkeypatch.setattr(scorers, "entry_points", lambda group: [p for p in points if p.group == group])

    return install


class FakeScorer:
    name = "politeness"
    version = "politeness@00000000"

    def __init__(self, options) -> None:
        self.options = options


def load_fake(resources: ScorerResources) -> FakeScorer:
    return FakeScorer(resources.options)


def test_groundedness_is_loaded_by_its_name(resources):
    assert load_scorer("groundedness", resources).name == "groundedness"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"encodr": "on"},
            "groundedness: unknown option 'encodr', expected encoder, judge, trust_remote_code",
        ),
        ({"encoder": "maybe"}, "groundedness: encoder is 'maybe', expected on or off"),
    ],
)
def test_a_wrong_option_is_told_with_what_was_expected(resources, options, message):
    with pytest.raises(ConfigurationError) as error:
        load_scorer("groundedness", ScorerResources(resources.model_files, options=options))
    assert str(error.value) == message


def test_an_unknown_name_is_told_with_the_known_ones(resources):
    with pytest.raises(
        UnknownPart,
        match=r"unknown scorer 'toxic'.*groundedness.*injection, personal-data.*toxicity.*toxicity-detoxify",
    ):
        load_scorer("toxic", resources)


def test_another_package_joins_by_an_entry_point(resources, installed):
    installed(politeness=f"{__name__}:load_fake")
    found = load_scorer("politeness", ScorerResources(resources.model_files, options={"mild": "yes"}))
    assert found.options == {"mild": "yes"}


def test_an_entry_point_cannot_replace_a_scorer_of_ours(resources, installed):
    installed(groundedness=f"{__name__}:load_fake")
    assert not isinstance(load_scorer("groundedness", resources), FakeScorer)


@pytest.mark.parametrize("value", ["no_such_module:load", f"{__name__}:no_such_object"])
def test_an_entry_point_that_cannot_be_loaded_is_the_operators_to_mend(resources, installed, value):
    installed(broken=value)
    with pytest.raises(ConfigurationError, match=r"scorer 'broken' of .* cannot be loaded"):
        load_scorer("broken", resources)


def test_the_table_itself_imports_no_model_library():
    """In a fresh interpreter, because other tests import them here."""
    import subprocess

    libraries = {"onnxruntime", "torch", "detoxify", "spacy"}
    code = f"import sys, agents.scorers; print(sorted({libraries} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert set(SCORERS) == {
        "toxicity",
        "toxicity-bilstm",
        "toxicity-detoxify",
        "toxicity-moderation",
        "groundedness",
        "injection",
        "personal-data",
        "personal-data-presidio",
    }


@pytest.mark.parametrize(("options", "device"), [({}, "cuda"), ({"device": "cuda:1"}, "cuda:1")])
def test_detoxify_runs_on_the_scoring_device_unless_its_own_is_given(resources, monkeypatch, options, device):
    monkeypatch.setattr("agents.scorers.detoxify.DetoxifyToxicity", lambda **given: given)
    given = load_scorer(
        "toxicity-detoxify", ScorerResources(resources.model_files, options=options, device="cuda")
    )
    assert given == {"device": device}
