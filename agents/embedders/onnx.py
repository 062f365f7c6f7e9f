"""MiniLM through ONNX Runtime: the embedder that needs neither torch nor a download."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from agents.errors import ConfigurationError
from agents.model_files import read_manifest
from agents.ports import Vectors
from agents.scorers.sessions import open_session

MAX_TOKENS = 256
"""What the model was trained with; a longer text is embedded by its beginning, so chunk before."""


class OnnxEmbedder:
    """Embeds with a folder from `ModelFiles.minilm()`. `threads` texts are embedded at once.

    Each text runs alone. The int8 model scales its activations by what is in the batch, so in a batch a
    vector would change with its neighbours, and batches are hardly faster on a CPU; alone, equal texts have
    equal vectors. One thread works on one text: two with one thread each beat one with two.
    """

    def __init__(self, folder: Path, threads: int = 1) -> None:
        """Read the model; some 0.2 s.

        Raises:
            ConfigurationError: the folder holds no such model.
        """
        self._version = read_manifest(folder).version
        self._session = open_session(folder / "model.onnx")
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # tokenizers raises bare classes of its own
            raise ConfigurationError(f"the model in {folder} cannot be read: {error}") from error
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()
        self._dimensions = int(self._session.get_outputs()[0].shape[1])
        self._pool = ThreadPoolExecutor(threads, "embedder") if threads > 1 else None

    @property
    def version(self) -> str:
        """`minilm-l6-int8@hash` over the model's files."""
        return self._version

    @property
    def dimensions(self) -> int:
        """384."""
        return self._dimensions

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row of length 1 a text; what is beyond 256 tokens of a text is not read."""
        if not texts:
            return np.empty((0, self._dimensions), dtype=np.float32)
        rows = self._pool.map(self._one, texts) if self._pool else map(self._one, texts)
        return np.concatenate(list(rows))

    def _one(self, text: str) -> Vectors:
        tokens = self._tokenizer.encode(text)
        ids = np.array([tokens.ids], dtype=np.int64)
        vector: Vectors = self._session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0]
        return vector
