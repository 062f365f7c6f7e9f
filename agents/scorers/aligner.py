"""Each claim of an answer beside the passage sentences that share most with it, and what they share in numbers."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

from agents.ports import ScoreInput
from agents.scorers.alignment import (
    NOTHING,
    Words,
    analyse,
    disorder,
    longest_run,
    missing_quantities,
    negation_differs,
    recall,
    union,
)
from agents.scorers.recent import Recent
from agents.scorers.sentences import Span, claims, split, without_citations

NUMBER = "number differs"
EVIDENCE = 3
"""Passage sentences that the encoder reads beside a sentence."""
FEATURES = (
    "recall", "pairs", "anywhere", "run", "recall of evidence", "pairs of evidence", "quantities",
    "quantities anywhere", "names", "names of evidence", "novel", "negation", "disorder", "length", "short",
    "phrases", "phrases of evidence", "first person",
)  # fmt: skip
Features = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Sentence:
    span: Span
    text: str
    words: Words


@dataclass(frozen=True, slots=True)
class _Window:
    """One sentence of a passage, or two neighbours; `text` is empty for two."""

    span: Span
    text: str
    words: Words


@dataclass(frozen=True, slots=True)
class _Passage:
    """An analysed passage; `words` are those of all its windows."""

    windows: tuple[_Window, ...]
    words: Words


@dataclass(frozen=True, slots=True)
class Alignment:
    """A sentence beside its best window, in the passage of that number, counted from 1.

    The first judge sees `features`, the encoder `evidence`; `reason` names a contradiction, `wrong` what it
    is about.
    """

    sentence: _Sentence
    passage: int | None
    window: _Window | None
    evidence: str
    features: Features
    reason: str | None
    wrong: frozenset[str]


def align(sentence: _Sentence, passages: Sequence[_Passage], everything: Words) -> Alignment:
    """Find the window that shares most with the sentence, of equals the first and shorter one, and the evidence."""
    words = sentence.words
    number, best, best_rank = None, None, 0.0
    single: list[tuple[float, int, _Window]] = []
    for position, passage in enumerate(passages, start=1):
        for window in passage.windows:
            if words.stems.isdisjoint(window.words.stems):
                continue
            rank = recall(words.stems, window.words.stems) + 0.5 * recall(words.pairs, window.words.pairs)
            if window.text:
                single.append((rank, -len(single), window))
            rank -= 0.0 if window.text else 0.02
            if rank > best_rank:
                number, best, best_rank = position, window, rank
    chosen = sorted(heapq.nlargest(EVIDENCE, single, key=lambda one: one[:2]), key=lambda one: -one[1])
    near = union(window.words for _, _, window in chosen)
    there = best.words if best else NOTHING
    reason, wrong = _contradiction(words, there, everything)
    text = " ".join(window.text for _, _, window in chosen)
    return Alignment(sentence, number, best, text, _features(words, there, near, everything), reason, wrong)


def _features(words: Words, there: Words, near: Words, everything: Words) -> Features:
    """In the order of `FEATURES`."""
    count, names = max(1, len(words.quantities)), len(words.names)
    length = len(words.order)
    return (
        recall(words.stems, there.stems),
        recall(words.pairs, there.pairs),
        recall(words.stems, everything.stems),
        longest_run(words, there) / max(1, length),
        recall(words.stems, near.stems),
        recall(words.pairs, near.pairs),
        len(missing_quantities(words, there)) / count,
        len(missing_quantities(words, everything)) / count,
        len(words.names - everything.stems) / max(1, names),
        len(words.names - near.stems) / max(1, names),
        min(6, len(words.stems - there.stems)) / 6,
        float(negation_differs(words, there)),
        disorder(words, there),
        min(30, length) / 30,
        float(length <= 3),
        recall(words.phrases, there.phrases),
        recall(words.phrases, near.phrases),
        float(words.first_person and not near.first_person),
    )


def _contradiction(words: Words, there: Words, everything: Words) -> tuple[str | None, frozenset[str]]:
    """What cannot be supported, whatever else is shared, and the stems it is about."""
    if missing := missing_quantities(words, everything):
        return NUMBER, frozenset(one.value for one in missing)
    if names := words.names - everything.stems:
        return "name not in passages", names
    if negation_differs(words, there):
        return "negation differs", frozenset()
    return None, frozenset()


class Aligner:
    """Aligns answers with their passages, and remembers the passages it has read."""

    def __init__(self, cached_passages: int) -> None:
        self._passages: Recent[_Passage] = Recent(cached_passages)

    def alignments(self, batch: Sequence[ScoreInput]) -> list[list[Alignment]]:
        """What every claim of every input was aligned with."""
        return [list(self._aligned(item)) if item.passages else [] for item in batch]

    def _aligned(self, item: ScoreInput) -> Iterator[Alignment]:
        found = _claims(item.text)
        if not found:
            return
        passages = [self._analysed(passage.text) for passage in item.passages]
        everything = union(passage.words for passage in passages)
        for sentence in found:
            yield align(sentence, passages, everything)

    def _analysed(self, text: str) -> _Passage:
        passage = self._passages.get(text)
        if passage is None:
            passage = _read(text)
            self._passages.put(text, passage)
        return passage


def _claims(text: str) -> list[_Sentence]:
    plain = without_citations(text)
    spans = (span for span in split(text) if claims(text[span.start : span.end]))
    sentences = (_sentence(plain, span) for span in spans)
    return [sentence for sentence in sentences if sentence.words.stems]


def _sentence(text: str, span: Span) -> _Sentence:
    own = text[span.start : span.end]
    return _Sentence(span, own.rstrip(), analyse(own))


def _read(text: str) -> _Passage:
    sentences = [_sentence(text, span) for span in split(text)]
    windows = [_Window(one.span, one.text, one.words) for one in sentences]
    for one, two in pairwise(sentences):
        windows.append(_Window(Span(one.span.start, two.span.end), "", one.words | two.words))
    return _Passage(tuple(windows), union(chain(sentence.words for sentence in sentences)))
