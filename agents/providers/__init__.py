"""Models behind their APIs: one table of kinds, each with what makes it.

Other packages join by an entry point in the group `sluicegate.providers` whose object is a `Loader`.
"""

from collections.abc import Callable, Collection, Mapping
from importlib.metadata import entry_points
from typing import Protocol

from pydantic import SecretStr

from agents.errors import ConfigurationError, UnknownPart
from agents.ports import Provider

GROUP = "sluicegate.providers"


class ProviderSpec(Protocol):
    """What an installation says of one provider. `options` are the kind's own settings, as text."""

    @property
    def kind(self) -> str:
        """A name in the table."""
        ...

    @property
    def base_url(self) -> str | None:
        """Where its API is."""
        ...

    @property
    def api_key(self) -> SecretStr | None:
        """What it asks for, if it does."""
        ...

    @property
    def model(self) -> str:
        """Asked for when nobody names one."""
        ...

    @property
    def media_types(self) -> Collection[str]:
        """Content parts it takes besides text."""
        ...

    @property
    def options(self) -> Mapping[str, str]:
        """Settings of its kind."""
        ...


Loader = Callable[[str, ProviderSpec], Provider]
"""Makes the provider of a name; it opens no connection yet. Its library is imported when it is called."""


def _openai(name: str, spec: ProviderSpec) -> Provider:
    from agents.providers.openai import OpenAIProvider  # as the others

    options = _options(spec, connect_timeout_s="5")
    return OpenAIProvider(
        name,
        spec.base_url,
        spec.api_key.get_secret_value() if spec.api_key else None,
        spec.model,
        spec.media_types,
        connect_timeout_s=float(options["connect_timeout_s"]),
    )


def _extractive(name: str, spec: ProviderSpec) -> Provider:
    from agents.providers.extractive import ExtractiveProvider  # as the others

    options = _options(spec, sentences="2", least_coverage="0.4")
    return ExtractiveProvider(name, int(options["sentences"]), float(options["least_coverage"]))


def _options(spec: ProviderSpec, **defaults: str) -> dict[str, str]:
    if unknown := sorted(spec.options.keys() - defaults.keys()):
        raise ValueError(f"unknown options {', '.join(unknown)}; known: {', '.join(defaults)}")
    return {**defaults, **spec.options}


PROVIDERS: dict[str, Loader] = {"openai": _openai, "extractive": _extractive}


def load_provider(name: str, spec: ProviderSpec) -> Provider:
    """The provider of that name, of the kind that `spec` says.

    Raises:
        UnknownPart: there is no such kind.
        ConfigurationError: its options are not those of the kind.
    """
    joined = {entry.name: entry for entry in entry_points(group=GROUP)}
    if spec.kind in PROVIDERS:
        loader = PROVIDERS[spec.kind]
    elif spec.kind in joined:
        loader = joined[spec.kind].load()
    else:
        raise UnknownPart("provider kind", spec.kind, [*PROVIDERS, *joined])
    try:
        return loader(name, spec)
    except ValueError as error:
        raise ConfigurationError(f"provider {name!r}: {error}") from None
