"""The table of provider kinds."""

import pytest

from agents.errors import ConfigurationError, UnknownPart
from agents.providers import ProviderConfig, load_provider


def test_an_unknown_kind_is_told_with_the_known_ones() -> None:
    with pytest.raises(UnknownPart, match="openai") as caught:
        load_provider("oracle", ProviderConfig("x"))
    assert caught.value.known == ["openai", "extractive"]


@pytest.mark.parametrize("options", [{"sentences": "many"}, {"unknown": "1"}])
def test_wrong_options_are_told_with_the_provider(options: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="'quotes'"):
        load_provider("extractive", ProviderConfig("quotes", options=options))


async def test_each_kind_can_be_made_without_a_connection() -> None:
    for kind in ("openai", "extractive"):
        provider = load_provider(kind, ProviderConfig("mine", base_url="http://127.0.0.1:9/v1", model=None))
        assert provider.name == "mine"
        await provider.aclose()


def test_a_key_is_never_shown() -> None:
    assert "secret" not in repr(ProviderConfig("x", api_key="secret"))
