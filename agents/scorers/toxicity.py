"""Toxicity by our own encoder: six labels, and the words that speak for them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agents.ports import ScoreInput
from agents.scorers.encoder import Reading, TextEncoder
from agents.scorers.obfuscation import Plain, plain
from schemas.score import Score, Span

SAID = 0.5
"""From this probability on a word is shown as one that speaks for the score."""


class EncoderToxicity:
    """A fine-tuned MiniLM over the text as written and, where it hides words, as it reads.

    `labels` holds the probabilities of the six labels, `value` the largest of them: one bad trait is enough.
    A long text is read in windows, and each label counts where it is highest: nothing is cut, and one bad
    sentence is not outweighed by good ones. `spans` are the words that speak for it. What it was trained on
    and is worth: its model card.
    """

    name = "toxicity"
    languages = frozenset({"en"})

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        """Read the weights; some 0.1 s.

        Raises:
            ConfigurationError: a file is missing or damaged.
        """
        self._encoder = TextEncoder(folder, device)

    @property
    def version(self) -> str:
        """`toxicity@hash` over the weights."""
        return self._encoder.version

    def score(self, batch: Sequence[ScoreInput]) -> list[Score]:
        """One score an input, in order, of `text` alone; passages and question are not judged."""
        hidden = [plain(item.text) for item in batch]
        texts = [item.text for item in batch] + [one.text for one in hidden if one is not None]
        readings = self._encoder.read(texts)
        more = iter(readings[len(batch) :])
        return [
            self._result(own, (one, next(more)) if one is not None else None)
            for own, one in zip(readings[: len(batch)], hidden, strict=True)
        ]

    def _result(self, written: Reading, read: tuple[Plain, Reading] | None) -> Score:
        values = written.labels if read is None else np.maximum(written.labels, read[1].labels)
        names = self._encoder.settings.labels
        labels = {label: round(float(value), 6) for label, value in zip(names, values, strict=True)}
        highest = max(labels, key=labels.__getitem__)
        return Score(
            name=self.name,
            version=self.version,
            status="ok",
            value=labels[highest],
            labels=labels,
            spans=_spans(written, read, highest) if labels[highest] >= SAID else (),
        )


def _spans(written: Reading, read: tuple[Plain, Reading] | None, label: str) -> tuple[Span, ...]:
    """The words of either reading, joined where they touch, in the places of the text as written."""
    found = [one for one in written.stretches if one[2] >= SAID]
    if read is not None:
        found += [
            (*read[0].span(start, end), value) for start, end, value in read[1].stretches if value >= SAID
        ]
    joined: list[tuple[int, int, float]] = []
    for start, end, value in sorted(found):
        if joined and start <= joined[-1][1] + 1:
            before = joined[-1]
            joined[-1] = before[0], max(before[1], end), max(before[2], value)
        else:
            joined.append((start, end, value))
    return tuple(
        Span(start=start, end=end, label=label, score=round(value, 4)) for start, end, value in joined
    )
