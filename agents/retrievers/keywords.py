"""Search by words: BM25 over the passages, with identifiers found whole and by their parts."""

import logging
import re
from collections.abc import Iterator, Sequence

import bm25s
import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"\w+")
_STOPWORDS = frozenset(
    "a an and are as at be but by can do does for from has have how i if in into is it its me my no not of on "  # noqa: SIM905
    "or our should so such that the their then there these they this to was we what when where which who why "
    "will with would you your".split()
)


def words(text: str) -> list[str]:
    """The words of a text in lower case, without the commonest; `start_http_server` also gives its three parts."""
    return list(_words(text))


def _words(text: str) -> Iterator[str]:
    for word in _WORD.findall(text.lower()):
        parts = [part for part in word.split("_") if part]
        if len(parts) > 1:
            yield word
        yield from (part for part in parts if part not in _STOPWORDS)


class KeywordIndex:
    """BM25 (Robertson and Zaragoza, 2009, in Lucene's variant) in memory; thread-safe to search."""

    def __init__(self, texts: Sequence[str]) -> None:
        logging.getLogger("bm25s").setLevel(logging.WARNING)  # it asks for DEBUG when imported
        self._size = len(texts)
        tokens = [words(text) for text in texts]
        self._index = bm25s.BM25()
        self._index.index(tokens, show_progress=False)
        self._vocabulary = {word for text in tokens for word in text}

    def scores(self, query: str) -> NDArray[np.float32]:
        """A score for each text, 0 where no word of the query is in it."""
        known = [word for word in words(query) if word in self._vocabulary]
        if not known:
            return np.zeros(self._size, dtype=np.float32)
        return np.asarray(self._index.get_scores(known), dtype=np.float32)
