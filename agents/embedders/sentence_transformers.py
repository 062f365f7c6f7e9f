"""Any sentence-transformers model in a local folder, on torch: the other implementation (extra `torch`)."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.errors import ConfigurationError, MissingExtra
from agents.model_files.torch_version import torch_version
from agents.ports import Vectors


class SentenceTransformersEmbedder:
    """Embeds with the model in a folder; never downloads. `device` as torch names it."""

    def __init__(self, path: Path | str, device: str = "cpu", batch_size: int = 32) -> None:
        """Import torch and read the model; seconds.

        Raises:
            MissingExtra: sentence-transformers is not installed.
            ConfigurationError: the folder holds no such model.
        """
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise MissingExtra("the sentence-transformers embedder", "torch") from error
        folder = Path(path)
        if not folder.is_dir():  # a name would be looked for on the model hub
            raise ConfigurationError(f"{folder} is no folder with a sentence-transformers model")
        try:
            self._model: Any = SentenceTransformer(str(folder), device=device, local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise ConfigurationError(f"the model in {folder} cannot be read: {error}") from error
        self._batch_size = batch_size
        self._lock = threading.Lock()
        self._version = torch_version(folder.resolve().name, self._model, self._model.max_seq_length)
        self._dimensions = int(self._model.get_embedding_dimension())

    @property
    def version(self) -> str:
        """The folder's name and a hash over weights and truncation."""
        return self._version

    @property
    def dimensions(self) -> int:
        """Length of each vector."""
        return self._dimensions

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row of length 1 a text; a text beyond the model's limit is embedded by its beginning."""
        if not texts:
            return np.empty((0, self._dimensions), dtype=np.float32)
        with self._lock:  # its tokenizer keeps padding and truncation as state
            vectors = self._model.encode(
                list(texts),
                batch_size=self._batch_size,
                normalize_embeddings=True,
                convert_to_numpy=True,
                show_progress_bar=False,
            )
        return np.asarray(vectors, dtype=np.float32)
