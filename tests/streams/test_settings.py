"""Settings: read once, every mistake told at once, secrets hidden, the reference made from them."""

from pathlib import Path

import pytest

from agents.errors import ConfigurationError
from streams.reference import env_example, markdown
from streams.settings import load_settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_mistake_is_told_at_once(monkeypatch) -> None:
    monkeypatch.setenv("SLUICEGATE_IN_FLIGHT", "many")
    monkeypatch.setenv("SLUICEGATE_WEB_PORT", "70000")
    monkeypatch.setenv("SLUICEGATE_TYPO", "1")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    for name in ("SLUICEGATE_IN_FLIGHT", "'many'", "SLUICEGATE_WEB_PORT", "SLUICEGATE_TYPO"):
        assert name in str(caught.value)


def test_the_environment_wins_over_the_file(monkeypatch, tmp_path) -> None:
    (tmp_path / "sluicegate.toml").write_text('broker = "file:1"\npartitions = 3\n')
    monkeypatch.setenv("SLUICEGATE_BROKER", "env:2")
    settings = load_settings()
    assert (settings.broker, settings.partitions) == ("env:2", 3)


def test_a_provider_is_a_table_and_its_key_stays_hidden(tmp_path) -> None:
    (tmp_path / "sluicegate.toml").write_text(
        '[providers.local]\nbase_url = "http://x"\napi_key = "sesame"\n'
    )
    settings = load_settings()
    assert settings.providers["local"].api_key.get_secret_value() == "sesame"
    assert "sesame" not in repr(settings)


def test_the_variables_that_everybody_knows_work(monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sesame")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    settings = load_settings()
    assert settings.openai_api_key.get_secret_value() == "sesame"
    assert settings.openai_base_url == "http://127.0.0.1:1/v1"


def test_a_file_that_is_no_toml_is_named(tmp_path) -> None:
    (tmp_path / "sluicegate.toml").write_text("broker = ")
    with pytest.raises(ConfigurationError, match="settings file"):
        load_settings()


def test_settings_cannot_be_changed() -> None:
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.broker = "other:1"


@pytest.mark.parametrize(
    ("path", "made"), [("docs/configuration.md", markdown), (".env.example", env_example)]
)
def test_the_reference_is_what_the_settings_say(path, made) -> None:
    assert (ROOT / path).read_text() == made()
