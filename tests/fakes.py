"""Small deterministic stand-ins that several tests share; each is named for what it is."""

import re
from collections.abc import Sequence
from zlib import crc32

import numpy as np

from agents.ports import Vectors


class FakeEmbedder:
    """Bags of hashed words, scaled to length 1: texts that share words are close. Counts what it embeds."""

    def __init__(self, version: str = "fake-words@00000001", dimensions: int = 64) -> None:
        self.version = version
        self.dimensions = dimensions
        self.embedded: list[str] = []

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.embedded += texts
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for word in re.findall(r"\w+", text.lower()) or [""]:
                row[crc32(word.encode()) % self.dimensions] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
