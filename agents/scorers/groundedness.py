"""Groundedness without a trained model: each sentence of an answer against the passages, with its evidence.

A sentence is aligned with the passage sentence, or two neighbours, that shares most with it; a logistic head
over what they share gives its score; a wrong number, a turned negation or an unknown name caps it.
The weights and what they are worth are measured by `benchmarks/groundedness_quality.py` (docs/quality.md).
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, pairwise

from agents.ports import Embedder, ScoreInput, Vectors
from agents.scorers.alignment import (
    NOTHING,
    Words,
    analyse,
    missing_quantities,
    negation_differs,
    recall,
    union,
)
from agents.scorers.recent import Recent
from agents.scorers.sentences import Span, claims, split, without_citations
from schemas.score import Evidence, Score

REVISION = 1
"""Raise when the rules change: it enters the version, beside the weights."""
SUPPORTED = 0.5
CAP = 0.3
"""The highest score of a sentence with a hard contradiction; below `SUPPORTED`."""
LEXICAL: Mapping[str, float] = {
    "bias": -1.44,
    "recall": 0.65,
    "pairs": 0.2,
    "anywhere": 2.42,
    "quantities": -0.94,
    "names": -1.28,
    "novel": -1.86,
}
WITH_SIMILARITY: Mapping[str, float] = {
    "bias": -1.78,
    "recall": 0.19,
    "pairs": 0.01,
    "anywhere": 2.37,
    "quantities": -0.99,
    "names": -1.23,
    "novel": -2.14,
    "similarity": 1.41,
}


@dataclass(frozen=True, slots=True)
class _Sentence:
    span: Span
    text: str
    words: Words


@dataclass(frozen=True, slots=True)
class _Window:
    """One sentence of a passage, or two neighbours; `sentences` are their texts."""

    span: Span
    sentences: tuple[str, ...]
    words: Words


@dataclass(frozen=True, slots=True)
class _Passage:
    """An analysed passage; `words` are those of all its windows."""

    windows: tuple[_Window, ...]
    words: Words


@dataclass(frozen=True, slots=True)
class Alignment:
    """A sentence beside its best window, in the passage of that number, counted from 1.

    The head sees `features`; `reason` names a contradiction, which caps the score.
    """

    sentence: _Sentence
    passage: int | None
    window: _Window | None
    features: dict[str, float]
    reason: str | None


Near = Callable[[_Window], float]
"""How near in meaning a window is, as a cosine."""


def align(
    sentence: _Sentence, passages: Sequence[_Passage], everything: Words, near: Near | None
) -> Alignment:
    """Find the window that shares most with the sentence; of equals the first and shorter one."""
    words = sentence.words
    number, best, best_rank, similarity = None, None, 0.0, 0.0
    for position, passage in enumerate(passages, start=1):
        for window in passage.windows:
            meaning = near(window) if near else 0.0
            rank = recall(words.stems, window.words.stems) + 0.5 * (
                recall(words.pairs, window.words.pairs) + meaning
            )
            rank -= 0.02 * len(window.sentences)
            if rank > best_rank and (near or not words.stems.isdisjoint(window.words.stems)):
                number, best, best_rank, similarity = position, window, rank, meaning
    there = best.words if best else NOTHING
    features = {**_features(words, there, everything), "similarity": similarity}
    return Alignment(sentence, number, best, features, _contradiction(words, there, everything))


def _features(words: Words, there: Words, everything: Words) -> dict[str, float]:
    return {
        "bias": 1.0,
        "recall": recall(words.stems, there.stems),
        "pairs": recall(words.pairs, there.pairs),
        "anywhere": recall(words.stems, everything.stems),
        "quantities": missing_quantities(words, there) / max(1, len(words.quantities)),
        "names": 1.0 - recall(words.names, everything.stems),
        "novel": min(6, len(words.stems - there.stems)) / 6,
    }


def _contradiction(words: Words, there: Words, everything: Words) -> str | None:
    if missing_quantities(words, everything):
        return "number differs"
    if words.names - everything.stems:
        return "name not in passages"
    if negation_differs(words, there):
        return "negation differs"
    return None


class Groundedness:
    """The share of an answer that the passages support, and for each sentence where.

    The value is the mean of the sentence scores, weighted by length in characters. `labels` holds the number
    of `supported` and `unsupported` sentences and the `lowest` sentence score. Greetings, questions and
    refusals are left out. Skipped with reason `no passages` or `no claims`.

    Args:
        embedder: adds similarity of meaning to the shared words.
        weights: of the logistic head, by feature.
        cached_passages: how many analysed passages, and how many times eight embedded sentences, are kept.
    """

    name = "groundedness"

    def __init__(
        self,
        embedder: Embedder | None = None,
        weights: Mapping[str, float] | None = None,
        cached_passages: int = 2048,
    ) -> None:
        self._embedder = embedder
        self._weights = dict(weights or (WITH_SIMILARITY if embedder else LEXICAL))
        self._passages: Recent[_Passage] = Recent(cached_passages)
        self._vectors: Recent[Vectors] = Recent(8 * cached_passages)
        made_of = (
            f"{REVISION} {SUPPORTED} {CAP} {sorted(self._weights.items())} {embedder and embedder.version}"
        )
        self._version = f"groundedness@{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"

    @property
    def version(self) -> str:
        """Covers the rules, the weights and the embedder."""
        return self._version

    def score(self, batch: Sequence[ScoreInput]) -> list[Score]:
        """One score an input. Texts of the whole batch that are not cached are embedded in one call."""
        return [
            self._judged(alignments, item)
            for alignments, item in zip(self.alignments(batch), batch, strict=True)
        ]

    def alignments(self, batch: Sequence[ScoreInput]) -> list[list[Alignment]]:
        """What every claim of every input was aligned with: what the weights are trained on."""
        claimed = [_claims(item.text) if item.passages else [] for item in batch]
        passages = [
            [self._analysed(passage.text) for passage in item.passages] if found else []
            for item, found in zip(batch, claimed, strict=True)
        ]
        vectors = self._embed(claimed, passages, self._embedder) if self._embedder else None
        return [list(_aligned(found, there, vectors)) for found, there in zip(claimed, passages, strict=True)]

    def _analysed(self, text: str) -> _Passage:
        passage = self._passages.get(text)
        if passage is None:
            passage = _read(text)
            self._passages.put(text, passage)
        return passage

    def _embed(
        self,
        claimed: Sequence[Sequence[_Sentence]],
        passages: Sequence[Sequence[_Passage]],
        embedder: Embedder,
    ) -> dict[str, Vectors]:
        """The vector of every text; only passages are kept, because answers do not come back."""
        windows = (window for passage in chain.from_iterable(passages) for window in passage.windows)
        there = dict.fromkeys(text for window in windows for text in window.sentences)
        vectors = {text: vector for text in there if (vector := self._vectors.get(text)) is not None}
        own = (sentence.text for sentence in chain.from_iterable(claimed))
        wanted = [text for text in dict.fromkeys(chain(own, there)) if text not in vectors]
        if wanted:
            vectors.update(zip(wanted, embedder.embed(wanted), strict=True))
        for text in there:
            self._vectors.put(text, vectors[text])
        return vectors

    def _judged(self, alignments: Sequence[Alignment], item: ScoreInput) -> Score:
        if not alignments:
            reason = "no claims" if item.passages else "no passages"
            return Score(name=self.name, version=self._version, status="skipped", reason=reason)
        evidence = tuple(self._evidence(one, item.text) for one in alignments)
        lengths = [one.end - one.start for one in evidence]
        supported = sum(one.supported for one in evidence)
        return Score(
            name=self.name,
            version=self._version,
            status="ok",
            value=sum(one.score * length for one, length in zip(evidence, lengths, strict=True))
            / sum(lengths),
            labels={
                "supported": supported,
                "unsupported": len(evidence) - supported,
                "lowest": min(one.score for one in evidence),
            },
            evidence=evidence,
        )

    def _evidence(self, found: Alignment, text: str) -> Evidence:
        total = sum(weight * found.features[name] for name, weight in self._weights.items())
        score = 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))
        if found.reason:
            score = min(score, CAP)
        supported = score >= SUPPORTED
        span, window = found.sentence.span, found.window
        return Evidence(
            text=text[span.start : span.end],
            start=span.start,
            end=span.end,
            supported=supported,
            score=round(score, 4),
            passage=found.passage,
            passage_start=window.span.start if window else None,
            passage_end=window.span.end if window else None,
            reason=None if supported else found.reason or "not in passages",
        )


def _claims(text: str) -> list[_Sentence]:
    plain = without_citations(text)
    spans = (span for span in split(text) if claims(text[span.start : span.end]))
    sentences = (_sentence(plain, span) for span in spans)
    return [sentence for sentence in sentences if sentence.words.stems]


def _sentence(text: str, span: Span) -> _Sentence:
    own = text[span.start : span.end].strip()
    return _Sentence(span, own, analyse(own))


def _read(text: str) -> _Passage:
    sentences = [_sentence(text, span) for span in split(text)]
    windows = [_Window(one.span, (one.text,), one.words) for one in sentences]
    for one, two in pairwise(sentences):
        span = Span(one.span.start, two.span.end)
        windows.append(_Window(span, (one.text, two.text), one.words | two.words))
    return _Passage(tuple(windows), union(sentence.words for sentence in sentences))


def _aligned(
    sentences: Sequence[_Sentence], passages: Sequence[_Passage], vectors: Mapping[str, Vectors] | None
) -> Iterator[Alignment]:
    everything = union(passage.words for passage in passages)
    for sentence in sentences:
        near = None if vectors is None else partial(_near, vectors, vectors[sentence.text])
        yield align(sentence, passages, everything, near)


def _near(vectors: Mapping[str, Vectors], own: Vectors, window: _Window) -> float:
    """That of its nearest sentence."""
    return max(float(own @ vectors[text]) for text in window.sentences)
