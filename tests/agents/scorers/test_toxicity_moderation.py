"""The moderation endpoint's scorer against a real HTTP server."""

import openai
import pytest

from agents.errors import ConfigurationError
from agents.model_files import ModelFiles
from agents.ports import ScoreInput
from agents.scorers import ScorerResources, load_scorer
from agents.scorers.moderation import KEY, OVERLAP, WINDOW, ModerationToxicity
from tests.conformance.scorer import ScorerContract
from tests.model_server import running_model_server


@pytest.fixture(scope="module")
def server():
    with running_model_server() as running:
        yield running


@pytest.fixture
def scorer(server):
    return ModerationToxicity(server.base_url, "stub")


class TestModeration(ScorerContract):
    @pytest.fixture
    def scorer(self, server):
        return ModerationToxicity(server.base_url, "stub")


def test_a_batch_is_one_call_and_labels_are_the_servers_categories(scorer, server):
    before = len(server.stub.bodies)
    good, bad = scorer.score([ScoreInput("good day"), ScoreInput("you idiot")])
    assert len(server.stub.bodies) == before + 1
    assert server.stub.bodies[-1]["input"] == ["good day", "you idiot"]
    assert (good.value, bad.value) == (0.01, 0.97)
    assert bad.labels == {"harassment": 0.97, "harassment/threatening": 0.485}


@pytest.mark.parametrize("place", [0, WINDOW - 3, WINDOW + OVERLAP, 5 * WINDOW])
def test_a_long_text_is_sent_in_windows_and_not_cut(scorer, place):
    text = "x " * (place // 2) + "idiot" + " x" * 3 * WINDOW
    assert scorer.score([ScoreInput(text)])[0].value == 0.97


def test_blank_texts_are_not_sent(scorer, server):
    before = len(server.stub.bodies)
    (score,) = scorer.score([ScoreInput(" \n")])
    assert (score.status, score.reason) == ("skipped", "no text")
    assert len(server.stub.bodies) == before


def test_the_key_is_read_from_the_named_variable(server, monkeypatch):
    monkeypatch.setenv("OUR_KEY", "key-9")
    ModerationToxicity(server.base_url, "stub", api_key_env="OUR_KEY").score([ScoreInput("a")])
    assert server.stub.headers[-1]["Authorization"] == "Bearer key-9"


@pytest.mark.parametrize(
    ("model", "error", "said"),
    [
        ("unauthorized", openai.AuthenticationError, "401"),
        ("too-few", ValueError, "each of 1 texts"),
        ("no-scores", ValueError, "between 0 and 1"),
        ("out-of-range", ValueError, "between 0 and 1"),
    ],
)
def test_an_answer_that_judges_nothing_is_an_error(server, model, error, said):
    with pytest.raises(error, match=said):
        ModerationToxicity(server.base_url, model).score([ScoreInput("a")])


def test_a_server_that_is_not_there_is_an_error():
    with pytest.raises(openai.APIConnectionError):
        ModerationToxicity("http://127.0.0.1:9/v1").score([ScoreInput("a")])


def test_without_a_server_and_a_key_it_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.delenv(KEY, raising=False)
    with pytest.raises(ConfigurationError, match=f"base_url, or a key in {KEY}"):
        load_scorer("toxicity-moderation", ScorerResources(ModelFiles(tmp_path)))


@pytest.mark.parametrize("said", ["0", "-1", "soon", "inf", "nan"])
def test_a_timeout_is_a_positive_number(said):
    with pytest.raises(ConfigurationError, match="timeout_s"):
        ModerationToxicity("http://127.0.0.1:9/v1", timeout_s=said)


def test_the_version_names_the_model_and_tells_servers_apart():
    here, there = (ModerationToxicity(f"http://127.0.0.1:{port}/v1", "a/b") for port in (9, 10))
    assert here.version.startswith("moderation-a-b@")
    assert here.version != there.version
