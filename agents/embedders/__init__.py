"""Texts to vectors: one table of names, each with what loads it."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from agents.errors import ConfigurationError, UnknownPart
from agents.ports import Embedder

if TYPE_CHECKING:
    from agents.model_files import ModelFiles

Loader = Callable[["ModelFiles", Mapping[str, str]], Embedder]
"""Makes an embedder from model files and its own options, as text; imports its libraries when called."""


def _minilm(files: "ModelFiles", options: Mapping[str, str]) -> Embedder:
    """`threads`: how many texts are embedded at once (1)."""
    from agents.embedders.onnx import OnnxEmbedder

    return OnnxEmbedder(files.minilm(), threads=int(options.get("threads", "1")))


def _sentence_transformers(_files: "ModelFiles", options: Mapping[str, str]) -> Embedder:
    """`path`: the model's folder; `device`: as torch names it (cpu)."""
    from agents.embedders.sentence_transformers import (
        SentenceTransformersEmbedder,
    )

    if "path" not in options:
        raise ConfigurationError(
            "the sentence-transformers embedder needs the option 'path', a model's folder"
        )
    return SentenceTransformersEmbedder(options["path"], device=options.get("device", "cpu"))


EMBEDDERS: dict[str, Loader] = {
    "minilm": _minilm,
    "sentence-transformers": _sentence_transformers,
}


def load_embedder(name: str, files: "ModelFiles", options: Mapping[str, str] | None = None) -> Embedder:
    """The embedder of that name, ready to use; blocks while its model is read.

    Raises:
        UnknownPart: there is none of that name.
        MissingExtra: its library is not installed.
        ConfigurationError: its options or model files are wrong.
    """
    if name not in EMBEDDERS:
        raise UnknownPart("embedder", name, list(EMBEDDERS))
    return EMBEDDERS[name](files, options or {})
