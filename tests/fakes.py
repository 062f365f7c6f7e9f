"""Small deterministic stand-ins that several tests share; each is named for what it is."""

import re
from collections.abc import Sequence
from zlib import crc32

import numpy as np

from agents.ports import Kept, Vectors
from agents.redaction import Redacted
from schemas.request import GenerationRequest


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


class FakeVault:
    """A Vault in memory that forgets nothing by itself; `away` as its backend would be."""

    def __init__(self) -> None:
        self.away = False
        self.kept: dict[tuple[str, str, int], dict[str, Kept]] = {}

    async def keep(self, request: GenerationRequest, redacted: Redacted) -> bool:
        if self.away:
            return False
        texts = self.kept.setdefault((request.tenant, request.id or "", request.replay), {})
        texts[redacted.text] = Kept(redacted.text, redacted.values)
        return True

    async def recall(self, tenant: str, request_id: str, replay: int = 0) -> list[Kept]:
        return list(self.kept.get((tenant, request_id, replay), {}).values())

    async def forget(self, tenant: str, request_id: str, replay: int = 0) -> bool:
        return self.kept.pop((tenant, request_id, replay), None) is not None
