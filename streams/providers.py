"""The providers of an installation, from its settings."""

from agents.ports import Provider
from agents.providers import load_provider
from streams.settings import ProviderSettings, Settings


def load_providers(settings: Settings) -> dict[str, Provider]:
    """Every provider by name: those of the settings, and `openai` and `extractive` where none is named so."""
    openai = ProviderSettings(
        kind="openai",
        base_url=settings.openai_base_url,
        api_key=settings.openai_api_key,
        media_types=("image_url",),
    )
    wanted = {"openai": openai, "extractive": ProviderSettings(kind="extractive"), **settings.providers}
    return {name: load_provider(name, spec) for name, spec in wanted.items()}
