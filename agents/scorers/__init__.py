"""Scorers and the engine that runs them: one table of names, each with what loads it.

Other packages join by an entry point in the group `sluicegate.scorers` whose object is a `Loader`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from agents.errors import ConfigurationError, UnknownPart
from agents.ports import Embedder, Scorer

if TYPE_CHECKING:
    from agents.model_files import ModelFiles

GROUP = "sluicegate.scorers"


@dataclass(frozen=True, slots=True)
class ScorerResources:
    """What a loader may draw on. `options` are the scorer's own settings, as text."""

    model_files: "ModelFiles"
    embedder: Embedder | None = None
    options: Mapping[str, str] = field(default_factory=dict)


Loader = Callable[[ScorerResources], Scorer]
"""Makes a scorer, as `load_scorer` says. Its library is imported when it is called, not before."""


def _toxicity(resources: ScorerResources) -> Scorer:
    from agents.scorers.toxicity_onnx import OnnxToxicity  # loads onnxruntime

    _options("toxicity", resources)
    return OnnxToxicity(resources.model_files.toxicity())


def _detoxify(resources: ScorerResources) -> Scorer:
    from agents.scorers.detoxify import DetoxifyToxicity  # loads torch

    return DetoxifyToxicity(**_options("toxicity-detoxify", resources, "name", "checkpoint", "device"))


def _groundedness(resources: ScorerResources) -> Scorer:
    from agents.scorers.groundedness import Groundedness  # as the others

    similarity = _options("groundedness", resources, "similarity").get("similarity", "off")
    if similarity not in ("on", "off"):
        raise ConfigurationError(f"groundedness: similarity is {similarity!r}, expected on or off")
    if similarity == "on" and resources.embedder is None:
        raise ConfigurationError("groundedness: similarity is on, but no embedder is configured")
    return Groundedness(resources.embedder if similarity == "on" else None)


def _options(scorer: str, resources: ScorerResources, *known: str) -> dict[str, str]:
    unknown = sorted(set(resources.options) - set(known))
    if unknown:
        expected = ", ".join(known) or "none"
        raise ConfigurationError(f"{scorer}: unknown option {unknown[0]!r}, expected {expected}")
    return dict(resources.options)


SCORERS: dict[str, Loader] = {
    "toxicity": _toxicity,
    "toxicity-detoxify": _detoxify,
    "groundedness": _groundedness,
}


def load_scorer(name: str, resources: ScorerResources) -> Scorer:
    """The scorer of that name, ready to score; blocks while its model is read.

    Raises:
        UnknownPart: neither the table nor an installed package has one of that name.
        MissingExtra: its library is not installed.
        ConfigurationError: its options or model files are wrong.
    """
    if name in SCORERS:
        return SCORERS[name](resources)
    joined = {point.name: point for point in entry_points(group=GROUP)}
    if name not in joined:
        raise UnknownPart("scorer", name, [*SCORERS, *joined])
    try:
        loader: Loader = joined[name].load()
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"scorer {name!r} of {joined[name].value!r} cannot be loaded: {error}"
        ) from error
    return loader(resources)
