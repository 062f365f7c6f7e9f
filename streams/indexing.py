"""Documents into a version of an index: what `sluicegate index build` does, and `up` before its worker starts."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.embedders import load_embedder
from agents.errors import ConfigurationError
from agents.model_files import ModelFiles
from agents.ports import Embedder
from agents.retrievers.chunking import chunk
from agents.retrievers.collecting import collect
from agents.retrievers.documents import UnreadableDocument
from agents.retrievers.lance import IndexStore
from agents.retrievers.versions import IndexVersion
from streams.settings import Settings

Progress = Callable[[str, int, int], None]
"""Hears (step, done, total)."""


@dataclass(frozen=True, slots=True)
class IndexResult:
    """What was built, and which files could not be read."""

    version: IndexVersion
    documents: int
    passages: int
    seconds: float
    problems: Sequence[UnreadableDocument]


def store_of(settings: Settings) -> IndexStore:
    """The indexes of this installation."""
    return IndexStore(settings.data_dir / "indexes")


def build_index(
    settings: Settings,
    name: str,
    paths: Sequence[Path],
    progress: Progress | None = None,
    *,
    add: bool = False,
) -> IndexResult:
    """Read, chunk, embed and store; the new version is live when this returns.

    Raises:
        ConfigurationError: nothing could be read, or another process is building this index.
        UnknownPart: `add` to an index that is not there.
    """
    started = time.monotonic()
    tell = progress or _silent
    tell("reading", 0, 1)
    found = collect(paths)
    passages = [passage for document in found.documents for passage in chunk(document)]
    tell("reading", 1, 1)
    if not passages:
        reasons = "".join(f"\n  {problem}" for problem in found.problems)
        raise ConfigurationError(f"nothing to index in {', '.join(map(str, paths))}{reasons}")
    embedder = _embedder(settings, progress)
    store = store_of(settings)
    build = store.add if add else store.build
    version = build(name, passages, embedder, lambda done, total, stage: tell(stage, done, total))
    return IndexResult(
        version, len(found.documents), len(passages), time.monotonic() - started, tuple(found.problems)
    )


def ensure_index(
    settings: Settings, name: str, paths: Sequence[Path], progress: Progress | None = None
) -> IndexResult | None:
    """Build an index that is missing, or whose live version a worker with this embedder would refuse.

    Returns None when there was nothing to do. Raises as `build_index`.
    """
    built = {catalog.name: catalog.current().embedder for catalog in store_of(settings).list()}
    if name in built and built[name] == _embedder(settings, progress).version:
        return None
    return build_index(settings, name, paths, progress)


def _embedder(settings: Settings, progress: Progress | None) -> Embedder:
    files = ModelFiles(settings.data_dir / "models", progress)
    return load_embedder(settings.embedder, files, {"threads": "2", **settings.embedder_options})


def _silent(step: str, done: int, total: int) -> None:
    del step, done, total
