"""MiniLM through ONNX Runtime: the embedder that needs neither torch nor a download."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from agents.errors import ConfigurationError
from agents.model_files import read_manifest
from agents.ports import Vectors
from agents.scorers.sessions import open_session

MAX_TOKENS = 256
"""What the model was trained with; a longer text is embedded by its beginning, so chunk before."""
TOGETHER = 200
"""Tokens in one batch: with more, products of matrices get no faster, and threads wait for whoever has the last."""


class OnnxEmbedder:
    """Embeds with a folder from `ModelFiles.minilm()`. `threads` batches are embedded at once.

    A batch holds texts of as many tokens each, so there is no padding, and the model rounds to fixed steps: a vector
    is the same to the last bit whatever is beside it. One thread works on one batch: two with one thread each beat
    one with two.
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
        ids = [row.ids for row in self._tokenizer.encode_batch(texts)]
        vectors = np.empty((len(ids), self._dimensions), dtype=np.float32)
        batches = _batches(ids)
        run = self._pool.map if self._pool else map
        for batch, found in zip(
            batches, run(self._run, ([ids[at] for at in batch] for batch in batches)), strict=True
        ):
            vectors[batch] = found
        return vectors

    def _run(self, ids: Sequence[Sequence[int]]) -> Vectors:
        found: Vectors = self._session.run(None, {"input_ids": np.array(ids, dtype=np.int64)})[0]
        return found


def _batches(ids: Sequence[Sequence[int]]) -> list[list[int]]:
    """Places of texts of one length; what takes longest comes first, so that threads end together."""
    by_length = sorted(range(len(ids)), key=lambda at: -len(ids[at]))
    found: list[list[int]] = []
    for length, group in groupby(by_length, lambda at: len(ids[at])):
        places, most = list(group), max(1, TOGETHER // length)
        found.extend(places[at : at + most] for at in range(0, len(places), most))
    return sorted(found, key=lambda places: -len(places) * len(ids[places[0]]))
