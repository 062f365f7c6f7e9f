"""The table of provider kinds."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from pydantic import SecretStr

from agents.errors import ConfigurationError, UnknownPart
from agents.providers import load_provider


@dataclass(frozen=True)
class Spec:
    kind: str
    base_url: str | None = "http://127.0.0.1:9/v1"
    api_key: SecretStr | None = None
    model: str = "m"
    media_types: tuple[str, ...] = ("image_url",)
    options: Mapping[str, str] = field(default_factory=dict)


def test_an_unknown_kind_is_told_with_the_known_ones() -> None:
    with pytest.raises(UnknownPart, match="openai") as caught:
        load_provider("x", Spec("oracle"))
    assert caught.value.known == ["openai", "extractive"]


@pytest.mark.parametrize("options", [{"sentences": "many"}, {"unknown": "1"}])
def test_wrong_options_are_told_with_the_provider(options: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="'quotes'"):
        load_provider("quotes", Spec("extractive", options=options))


async def test_each_kind_can_be_made_without_a_connection() -> None:
    for kind in ("openai", "extractive"):
        provider = load_provider("mine", Spec(kind, api_key=SecretStr("k")))
        assert provider.name == "mine"
        await provider.aclose()


async def test_an_openai_provider_takes_what_the_specification_says() -> None:
    provider = load_provider("gate", Spec("openai", options={"connect_timeout_s": "1"}))
    assert (provider.default_model, provider.media_types) == ("m", frozenset({"image_url"}))
    await provider.aclose()
