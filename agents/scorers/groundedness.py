"""Groundedness: each sentence of an answer against the passages, with its evidence.

A cascade of two judges.

First, for every sentence: it is aligned with the passage sentences that share most with it, and a small
network judges what they share (words, word pairs, order, quantities with units, names, negation). Where that
is unsure, a trained encoder reads the sentence beside its evidence, and both are weighed. The weights come
from `training/groundedness.py`; what they are worth is in `docs/quality.md`.
"""

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from agents.errors import ConfigurationError
from agents.model_files.manifest import read_manifest, short_hash
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
    wrong_places,
)
from agents.scorers.encoder import Reading, TextEncoder
from agents.scorers.judges import SentenceJudge
from agents.scorers.recent import Recent
from agents.scorers.sentences import Span, claims, split, without_citations
from schemas.score import Evidence, Score

REVISION = 2
"""Raise when the rules change: it enters the version, beside the weights."""
SUPPORTED = 0.5
CAP = 0.3
"""The highest score of a sentence with a number that no passage has: below `SUPPORTED`, whatever else is shared."""
NUMBER = "number differs"
OPEN = (0.25, 0.75)
"""Between these a sentence is put before the user's own judge, where there is one; its word replaces ours."""
EVIDENCE = 3
"""Passage sentences that the encoder reads beside a sentence."""
FEATURES = (
    "recall", "pairs", "anywhere", "run", "recall of evidence", "pairs of evidence", "quantities",
    "quantities anywhere", "names", "names of evidence", "novel", "negation", "disorder", "length", "short",
    "phrases", "phrases of evidence", "first person",
)  # fmt: skip
Features = tuple[float, ...]


class Head(msgspec.Struct, frozen=True):
    """The file `head.json`.

    What judges the features, between which probabilities the encoder is asked, and how the two logits are
    weighed then (`first * w + encoder * v + offset`).
    """

    features: list[str]
    hidden: list[list[float]]
    hidden_offset: list[float]
    output: list[float]
    output_offset: float
    unsure: tuple[float, float]
    weighed: tuple[float, float, float]


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


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What is thought of an aligned sentence: its score, and where the encoder doubts it."""

    score: float
    doubts: tuple[tuple[int, int], ...] = ()


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


class Groundedness:
    """The share of an answer that the passages support, and for each sentence where.

    The value is the mean of the sentence scores, weighted by length in characters. `labels` holds the number
    of `supported` and `unsupported` sentences and the `lowest` sentence score. Greetings, questions and
    refusals are left out. Skipped with reason `no passages` or `no claims`.

    `folder` holds the weights; with `encoder` off the first judge decides alone, at a hundredth of the cost.
    """

    name = "groundedness"
    languages = frozenset({"en"})

    def __init__(
        self,
        folder: Path,
        *,
        encoder: bool = True,
        device: str = "cpu",
        judge: SentenceJudge | None = None,
        cached_passages: int = 1024,
    ) -> None:
        """Read the weights; some 0.2 s.

        Raises:
            ConfigurationError: a file is missing or damaged.
        """
        self._encoder = TextEncoder(folder, device) if encoder else None
        try:
            read = (folder / "head.json").read_bytes()
            self._head = msgspec.json.decode(read, type=Head)
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigurationError(f"the weights in {folder} cannot be read: {error}") from error
        if tuple(self._head.features) != FEATURES:
            raise ConfigurationError(f"the weights in {folder} are of another release: train them again")
        self._hidden = np.array(self._head.hidden)
        self._hidden_offset, self._output = np.array(self._head.hidden_offset), np.array(self._head.output)
        self._aligner = Aligner(cached_passages)
        self._judge = judge
        parts = (read_manifest(folder).version, read.hex(), str(REVISION), judge.version if judge else "")
        self._version = f"groundedness-{'cascade' if encoder else 'words'}@{short_hash(*parts)}"

    @property
    def version(self) -> str:
        """Covers the rules, the weights and the user's own judge."""
        return self._version

    def score(self, batch: Sequence[ScoreInput]) -> list[Score]:
        """One score an input. What the encoder is asked about is read in one go for the whole batch."""
        aligned = self._aligner.alignments(batch)
        verdicts = iter(self._verdicts([one for found in aligned for one in found]))
        return [
            self._judged(found, [next(verdicts) for _ in found], item)
            for found, item in zip(aligned, batch, strict=True)
        ]

    def first(self, alignments: Sequence[Alignment]) -> NDArray[np.float64]:
        """The first judge's probability that each is supported."""
        if not alignments:
            return np.zeros(0)
        features = np.array([one.features for one in alignments])
        hidden = np.tanh(features @ self._hidden + self._hidden_offset)
        return _sigmoid(hidden @ self._output + self._head.output_offset)

    def _verdicts(self, alignments: Sequence[Alignment]) -> list[_Verdict]:
        chances = self.first(alignments)
        sure = [one.reason == NUMBER for one in alignments]
        verdicts = [
            _Verdict(min(CAP, chance) if known else chance)
            for chance, known in zip(chances.tolist(), sure, strict=True)
        ]
        low, high = self._head.unsure
        unsure = [
            at
            for at, one in enumerate(alignments)
            if low < chances[at] < high and one.evidence and not sure[at]
        ]
        if self._encoder is not None and unsure:
            readings = self._encoder.read_pairs(
                [(alignments[at].sentence.text, alignments[at].evidence) for at in unsure]
            )
            for at, reading in zip(unsure, readings, strict=True):
                verdicts[at] = self._weighed(float(chances[at]), reading)
        return verdicts if self._judge is None else self._put_before(self._judge, alignments, verdicts)

    @staticmethod
    def _put_before(
        judge: SentenceJudge, alignments: Sequence[Alignment], verdicts: list[_Verdict]
    ) -> list[_Verdict]:
        """What is still open is for the user's judge to say."""
        still = [
            at for at, one in enumerate(verdicts) if OPEN[0] < one.score < OPEN[1] and alignments[at].evidence
        ]
        said = (
            judge.supported([(alignments[at].sentence.text, alignments[at].evidence) for at in still])
            if still
            else []
        )
        for at, chance in zip(still, said, strict=True):
            if chance is not None:
                verdicts[at] = _Verdict(chance, verdicts[at].doubts)
        return verdicts

    def _weighed(self, chance: float, reading: Reading) -> _Verdict:
        own, other, offset = self._head.weighed
        logit = own * _logit(chance) + other * _logit(float(reading.labels[0])) + offset
        doubts = tuple((start, end) for start, end, doubt in reading.stretches if doubt >= 0.5)
        return _Verdict(1 / (1 + math.exp(-max(-30.0, min(30.0, logit)))), doubts)

    def _judged(
        self, alignments: Sequence[Alignment], verdicts: Sequence[_Verdict], item: ScoreInput
    ) -> Score:
        if not alignments:
            reason = "no claims" if item.passages else "no passages"
            return Score(name=self.name, version=self._version, status="skipped", reason=reason)
        evidence = tuple(_evidence(*both, item.text) for both in zip(alignments, verdicts, strict=True))
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


def _evidence(found: Alignment, verdict: _Verdict, text: str) -> Evidence:
    supported = verdict.score >= SUPPORTED
    span, window = found.sentence.span, found.window
    wrong = None if supported else _wrong(found, verdict)
    return Evidence(
        text=text[span.start : span.end],
        start=span.start,
        end=span.end,
        supported=supported,
        score=round(verdict.score, 4),
        passage=found.passage,
        passage_start=window.span.start if window else None,
        passage_end=window.span.end if window else None,
        unsupported_start=span.start + wrong[0] if wrong else None,
        unsupported_end=span.start + wrong[1] if wrong else None,
        reason=None if supported else found.reason or _why(found),
    )


def _wrong(found: Alignment, verdict: _Verdict) -> tuple[int, int]:
    """The stretch of an unsupported sentence that lacks support.

    What contradicts, else what is doubted, else all of it.
    """
    text = found.sentence.text
    places = wrong_places(text, found.wrong) or list(verdict.doubts)
    return (min(start for start, _ in places), max(end for _, end in places)) if places else (0, len(text))


def _why(found: Alignment) -> str:
    """Its words are there and it does not follow from them, or they are not there."""
    return "differs from passages" if found.features[0] >= 0.8 else "not in passages"


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))))


def _logit(chance: float) -> float:
    inside = min(1 - 1e-6, max(1e-6, chance))
    return math.log(inside / (1 - inside))


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
