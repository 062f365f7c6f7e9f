"""Scorers and the engine that runs them: one table of names, each with what loads it.

Other packages join by an entry point in the group `sluicegate.scorers` whose object is a `Loader`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from agents.errors import ConfigurationError, UnknownPart
from agents.ports import Embedder, Scorer

if TYPE_CHECKING:
    from agents.model_files import ModelFiles
    from agents.scorers.judges import Ask, SentenceJudge

GROUP = "sluicegate.scorers"
WEIGHTS = Path(__file__).parent / "weights"
"""Encoders that ship with the package, a folder each; `training/` has how they were made."""


@dataclass(frozen=True, slots=True)
class ScorerResources:
    """What a loader may draw on. `options` are the scorer's own settings, as text; `device` is `cpu` or `cuda`."""

    model_files: "ModelFiles"
    embedder: Embedder | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"
    ask: "Ask | None" = None
    """Asks a chat model through a route, where there is somebody to ask."""


Loader = Callable[[ScorerResources], Scorer]
"""Makes a scorer, as `load_scorer` says. Its library is imported when it is called, not before."""


def _toxicity(resources: ScorerResources) -> Scorer:
    from agents.scorers.toxicity import EncoderToxicity  # loads onnxruntime

    _options("toxicity", resources)
    return EncoderToxicity(WEIGHTS / "toxicity", resources.device)


def _toxicity_bilstm(resources: ScorerResources) -> Scorer:
    from agents.scorers.toxicity_onnx import OnnxToxicity  # as the others

    _options("toxicity-bilstm", resources)
    return OnnxToxicity(resources.model_files.toxicity())


def _detoxify(resources: ScorerResources) -> Scorer:
    from agents.scorers.detoxify import DetoxifyToxicity  # loads torch

    options = _options("toxicity-detoxify", resources, "name", "checkpoint", "device")
    return DetoxifyToxicity(**{"device": resources.device, **options})


def _moderation(resources: ScorerResources) -> Scorer:
    from agents.scorers.moderation import ModerationToxicity  # the client takes a second to import

    options = _options("toxicity-moderation", resources, "base_url", "model", "api_key_env", "timeout_s")
    return ModerationToxicity(**options)


def _groundedness(resources: ScorerResources) -> Scorer:
    from agents.scorers.groundedness import Groundedness

    options = _options("groundedness", resources, "encoder", "judge", "trust_remote_code")
    encoder = _is_on("groundedness", "encoder", options.get("encoder", "on"))
    return Groundedness(
        WEIGHTS / "groundedness", encoder=encoder, device=resources.device, judge=_judge(resources, options)
    )


def _judge(resources: ScorerResources, options: Mapping[str, str]) -> "SentenceJudge | None":
    """The user's own judge: `judge: route:NAME`, or the path or name of a transformers model."""
    from agents.scorers.judges import RouteJudge, TransformersJudge

    wanted = options.get("judge")
    if wanted is None:
        return None
    if not wanted.startswith("route:"):
        trusted = _is_on("groundedness", "trust_remote_code", options.get("trust_remote_code", "off"))
        return TransformersJudge(wanted, resources.device, trust_remote_code=trusted)
    if resources.ask is None:
        raise ConfigurationError("groundedness: a judge through a route works in a worker only")
    return RouteJudge(wanted.removeprefix("route:"), resources.ask)


def _injection(resources: ScorerResources) -> Scorer:
    from agents.scorers.injection import Injection

    return Injection(
        WEIGHTS / "injection" if _switch("injection", resources, "encoder") else None, resources.device
    )


def _switch(scorer: str, resources: ScorerResources, option: str) -> bool:
    """An option that is `on` unless it is turned off."""
    return _is_on(scorer, option, _options(scorer, resources, option).get(option, "on"))


def _is_on(scorer: str, option: str, said: str) -> bool:
    if said not in ("on", "off"):
        raise ConfigurationError(f"{scorer}: {option} is {said!r}, expected on or off")
    return said == "on"


def _personal_data(resources: ScorerResources) -> Scorer:
    from agents.scorers.personal_data import PersonalData

    return PersonalData(_kinds(_options("personal-data", resources, "kinds")))


def _presidio(resources: ScorerResources) -> Scorer:
    from agents.scorers.personal_data_presidio import PresidioPersonalData  # loads spaCy

    said = _options("personal-data-presidio", resources, "kinds", "threshold")
    return PresidioPersonalData(_kinds(said), said.get("threshold", "0.4"))


def _kinds(said: Mapping[str, str]) -> list[str]:
    return [kind.strip() for kind in said.get("kinds", "").split(",") if kind.strip()]


def _options(scorer: str, resources: ScorerResources, *known: str) -> dict[str, str]:
    unknown = sorted(set(resources.options) - set(known))
    if unknown:
        expected = ", ".join(known) or "none"
        raise ConfigurationError(f"{scorer}: unknown option {unknown[0]!r}, expected {expected}")
    return dict(resources.options)


SCORERS: dict[str, Loader] = {
    "toxicity": _toxicity,
    "toxicity-bilstm": _toxicity_bilstm,
    "toxicity-detoxify": _detoxify,
    "toxicity-moderation": _moderation,
    "groundedness": _groundedness,
    "injection": _injection,
    "personal-data": _personal_data,
    "personal-data-presidio": _presidio,
}


EXTRAS: dict[str, tuple[str, str]] = {"toxicity-detoxify": ("torch", "detoxify")}
"""Of a scorer whose library is not always installed: the extra and the module."""


def missing_extra(name: str) -> str | None:
    """What to install for a scorer, or None where nothing is missing."""
    extra, module = EXTRAS.get(name, ("", "agents"))
    return None if find_spec(module) else f"pip install 'sluicegate[{extra}]'"


def known_scorers() -> list[str]:
    """Names of the table, then those that installed packages add."""
    return list(dict.fromkeys([*SCORERS, *(point.name for point in entry_points(group=GROUP))]))


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
