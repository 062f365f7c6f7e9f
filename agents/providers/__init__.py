"""Models behind their APIs: one table of kinds, each with what makes it.

Other packages join by an entry point in the group `sluicegate.providers` whose object is a `Loader`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points

from agents.errors import ConfigurationError, UnknownPart
from agents.ports import Provider

GROUP = "sluicegate.providers"


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """What an installation says of one provider. `options` are the kind's own settings, as text."""

    name: str
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    model: str | None = None
    media_types: Collection[str] = ()
    options: Mapping[str, str] = field(default_factory=dict)


Loader = Callable[[ProviderConfig], Provider]
"""Makes a provider; it opens no connection yet. Its library is imported when it is called, not before."""


def _openai(config: ProviderConfig) -> Provider:
    from agents.providers.openai import OpenAIProvider  # noqa: PLC0415  # the client takes a second to import

    options = dict(config.options)
    connect_timeout_s = float(options.pop("connect_timeout_s", "5"))
    _refuse_unknown(config, options)
    return OpenAIProvider(
        config.name,
        config.base_url,
        config.api_key,
        config.model or "gpt-4o-mini",
        config.media_types,
        connect_timeout_s,
    )


def _extractive(config: ProviderConfig) -> Provider:
    from agents.providers.extractive import ExtractiveProvider  # noqa: PLC0415  # as the others

    options = dict(config.options)
    sentences = int(options.pop("sentences", "2"))
    least_coverage = float(options.pop("least_coverage", "0.4"))
    _refuse_unknown(config, options)
    return ExtractiveProvider(config.name, sentences, least_coverage)


PROVIDERS: dict[str, Loader] = {"openai": _openai, "extractive": _extractive}


def load_provider(kind: str, config: ProviderConfig) -> Provider:
    """A provider of that kind.

    Raises:
        UnknownPart: there is no such kind.
        ConfigurationError: its options are not those of the kind.
    """
    joined = {entry.name: entry for entry in entry_points(group=GROUP)}
    if kind in PROVIDERS:
        loader = PROVIDERS[kind]
    elif kind in joined:
        loader = joined[kind].load()
    else:
        raise UnknownPart("provider kind", kind, [*PROVIDERS, *joined])
    try:
        return loader(config)
    except ValueError as error:
        raise ConfigurationError(f"provider {config.name!r}: {error}") from None


def _refuse_unknown(config: ProviderConfig, left: Mapping[str, str]) -> None:
    if left:
        raise ConfigurationError(f"provider {config.name!r}: unknown options {', '.join(sorted(left))}")
