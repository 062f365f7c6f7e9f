"""Answers without a model: quotes the sentences of the passages that best match the question."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from agents.ports import Completion, ModelCall
from agents.scorers.alignment import STOP_WORDS, stem
from agents.scorers.sentences import split
from schemas.common import Passage, Usage

MODEL = "extractive-v1"
NO_ANSWER = "The passages do not answer this."
_WORD = re.compile(r"\w+(?:['’.]\w+)*")
_WRAPPED = re.compile(r"(?<=[^\n])\n(?=[a-z(])")
_K1, _B = 1.2, 0.75


@dataclass(frozen=True, slots=True)
class _Sentence:
    passage: int
    text: str
    words: tuple[str, ...]


class ExtractiveProvider:
    """For machines without any model. An answer holds only what a passage says, word for word.

    Sentences are ranked by BM25 (Robertson and Zaragoza, 2009) over the sentences of the passages. One is quoted
    when it holds at least `least_coverage` of the question's content words, weighted by rarity.
    """

    media_types: frozenset[str] = frozenset()

    def __init__(self, name: str = "extractive", sentences: int = 2, least_coverage: float = 0.4) -> None:
        self.name = name
        self.default_model = MODEL
        self._sentences = sentences
        self._least_coverage = least_coverage

    async def complete(self, call: ModelCall) -> Completion:
        """Quote; never fails, whatever the passages are."""
        chosen = self._best(_words(call.question), call.passages)
        text = " ".join(f'"{sentence.text}" [{sentence.passage}]' for sentence in chosen) or NO_ANSWER
        return Completion(text, "quoted", MODEL, self.name, Usage())

    async def aclose(self) -> None:
        """Nothing to release."""

    def _best(self, question: Sequence[str], passages: Sequence[Passage]) -> list[_Sentence]:
        sentences = _sentences(passages)
        wanted = list(dict.fromkeys(question))
        counts = [Counter(sentence.words) for sentence in sentences]
        rarity = {word: _rarity(sum(word in c for c in counts), len(counts)) for word in wanted}
        total = sum(rarity.values())
        if not total:
            return []
        mean = sum(len(s.words) for s in sentences) / max(1, len(sentences))
        ranked = []
        for sentence, count in zip(sentences, counts, strict=True):
            if sum(rarity[w] for w in wanted if w in count) / total >= self._least_coverage:
                length = _K1 * (1 - _B + _B * len(sentence.words) / mean)
                value = sum(rarity[w] * count[w] * (_K1 + 1) / (count[w] + length) for w in wanted)
                ranked.append((value, sentence))
        ranked.sort(key=lambda pair: -pair[0])  # stable: earlier passages first
        best = ranked[0][0] if ranked else 0.0
        return [sentence for value, sentence in ranked[: self._sentences] if value >= best / 2]


def _sentences(passages: Sequence[Passage]) -> list[_Sentence]:
    found: dict[str, _Sentence] = {}
    for number, passage in enumerate(passages, 1):
        flowing = _WRAPPED.sub(" ", passage.text)  # lines that were broken only to fit a page
        for span in split(flowing):
            text = flowing[span.start : span.end]
            found.setdefault(text, _Sentence(number, text, tuple(_words(text))))
    return list(found.values())


def _words(text: str) -> list[str]:
    return [stem(word) for word in _WORD.findall(text.lower()) if word not in STOP_WORDS]


def _rarity(holding: int, sentences: int) -> float:
    return math.log(1 + (sentences - holding + 0.5) / (holding + 0.5))
