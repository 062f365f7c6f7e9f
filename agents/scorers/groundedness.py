"""Groundedness: each sentence of an answer against the passages, with its evidence.

A cascade of two judges.

First, for every sentence: it is aligned with the passage sentences that share most with it, and a small
network judges what they share (words, word pairs, order, quantities with units, names, negation). Where that
is unsure, a trained encoder reads the sentence beside its evidence, and both are weighed. The weights come
from `training/groundedness.py`; what they are worth is in `docs/quality.md`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from agents.errors import ConfigurationError
from agents.model_files.manifest import read_manifest, short_hash
from agents.ports import ScoreInput
from agents.scorers.aligner import FEATURES, NUMBER, Aligner, Alignment
from agents.scorers.alignment import wrong_places
from agents.scorers.encoder import Reading, TextEncoder
from agents.scorers.judges import SentenceJudge
from schemas.score import Evidence, Score

REVISION = 2
"""Raise when the rules change, here or in `aligner.py`: it enters the version, beside the weights."""
SUPPORTED = 0.5
CAP = 0.3
"""The highest score of a sentence with a number that no passage has: below `SUPPORTED`, whatever else is shared."""
OPEN = (0.25, 0.75)
"""Between these a sentence is put before the user's own judge, where there is one; its word replaces ours."""


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
class _Verdict:
    """What is thought of an aligned sentence: its score, and where the encoder doubts it."""

    score: float
    doubts: tuple[tuple[int, int], ...] = ()


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
