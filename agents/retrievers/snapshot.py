"""One version of an index in memory, searched by vectors and by words together."""

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from agents.ports import Vectors
from agents.retrievers.chunking import embedding_text
from agents.retrievers.keywords import KeywordIndex
from agents.retrievers.lance import Stored
from schemas.common import Passage

RRF_K = 60
"""The constant of reciprocal rank fusion, as its authors chose it."""
DEPTH = 50
"""How far down each ranking is looked."""

Positions = NDArray[np.intp]


class Snapshot:
    """Immutable and thread-safe. Exact search: at 100,000 passages a query takes some 12 ms."""

    def __init__(self, stored: Stored) -> None:
        self.version = stored.record.version
        self.embedder = stored.record.embedder
        self._passages = stored.passages
        self._vectors = stored.vectors
        self._keywords = KeywordIndex([embedding_text(passage) for passage in stored.passages])

    def search(self, query: str, vector: Vectors, top_k: int, filters: Mapping[str, str]) -> list[Passage]:
        """The best passages by reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009).

        `vector` is the query's, of length 1. A passage's score is its fused score as a share of the best
        possible: 1.0 stands first in both rankings.
        """
        allowed = self._allowed(filters)
        if not len(allowed):
            return []
        depth = max(DEPTH, top_k)
        words = self._keywords.scores(query)[allowed]
        rankings = [_best(self._vectors[allowed] @ vector if filters else self._vectors @ vector, depth)]
        rankings.append(_best(words, min(depth, int(np.count_nonzero(words)))))
        fused = np.zeros(len(allowed), dtype=np.float64)
        for ranking in rankings:
            fused[ranking] += 1 / (RRF_K + 1 + np.arange(len(ranking)))
        fused *= (RRF_K + 1) / len(rankings)
        best = _best(fused, min(top_k, int(np.count_nonzero(fused))))
        return [
            msgspec.structs.replace(self._passages[allowed[at]], score=round(float(fused[at]), 6))
            for at in best
        ]

    def _allowed(self, filters: Mapping[str, str]) -> Positions:
        """Positions of the passages whose metadata has every filter's value; `source` asks for the source."""
        if not filters:
            return np.arange(len(self._passages))
        wanted = filters.items()
        return np.array(
            [
                at
                for at, p in enumerate(self._passages)
                if wanted <= (p.metadata | {"source": p.source}).items()
            ],
            dtype=np.intp,
        )


def _best(scores: NDArray[np.floating], count: int) -> Positions:
    """Positions of the `count` highest scores, highest first; of equal ones the earlier first."""
    if count < len(scores):
        edge = np.partition(scores, len(scores) - count)[len(scores) - count] if count else np.inf
        candidates = np.flatnonzero(scores >= edge)
    else:
        candidates = np.arange(len(scores))
    order = np.argsort(-scores[candidates], kind="stable")[:count]
    return np.asarray(candidates[order])
