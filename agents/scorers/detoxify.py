"""Toxicity by Detoxify, on torch: the other implementation, for the torch extra."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.errors import ConfigurationError, MissingExtra
from agents.model_files.torch_version import torch_version
from agents.ports import ScoreInput
from schemas.score import Score

LABELS = {"toxicity": "toxic", "severe_toxicity": "severe_toxic", "identity_attack": "identity_hate"}
"""Detoxify's names that differ from ours; `obscene`, `threat` and `insult` are the same."""

LANGUAGES = {"multilingual": frozenset({"en", "fr", "es", "it", "pt", "tr", "ru"})}
"""What Detoxify's networks were trained on; those not named here know English alone."""

BATCH = 16
OVERLAP = 60
"""Characters that two windows of a long text share, so that a phrase at the cut is whole in one of them."""

CHECKPOINT_TOKENS = 512
"""Detoxify reads no further; its tokenizers say so themselves, except where a checkpoint's does not."""


class DetoxifyToxicity:
    """Scores with a Detoxify model; labels as `OnnxToxicity` names them, and `value` is likewise the largest.

    By `name` (`original`, `original-small`, `unbiased`, ...) Detoxify downloads its weights on first use. By
    `checkpoint` nothing is downloaded when the file's `config.arch.args.model_type` is a local folder with
    the network's configuration and tokenizer. A checkpoint is a pickle: load only what you trust.
    `languages` follow from `name`, so give that of its kind beside a checkpoint of your own.
    Labels beyond the six (`sexual_explicit` of `unbiased`) keep their names and count as well.
    """

    name = "toxicity"

    def __init__(
        self, name: str = "original-small", checkpoint: Path | str | None = None, device: str = "cpu"
    ) -> None:
        """Import torch and read the model; seconds.

        Raises:
            MissingExtra: detoxify is not installed.
            ConfigurationError: no model of that name, or the checkpoint cannot be read.
        """
        try:
            from detoxify import Detoxify
        except ImportError as error:
            raise MissingExtra("the Detoxify scorer", "torch") from error
        if checkpoint is not None and not Path(checkpoint).is_file():
            raise ConfigurationError(f"there is no Detoxify checkpoint {checkpoint}")
        try:
            where = None if checkpoint is None else str(checkpoint)
            self._model: Any = Detoxify(name, checkpoint=where, device=device)
        except Exception as error:  # torch, pickle and transformers each raise their own
            raise ConfigurationError(f"Detoxify cannot read {checkpoint or name}: {error}") from error
        self.languages = LANGUAGES.get(name, frozenset({"en"}))
        label = Path(checkpoint).stem if checkpoint else name
        self._version = torch_version(f"detoxify-{label}", self._model.model)
        self._limit = min(CHECKPOINT_TOKENS, int(self._model.tokenizer.model_max_length))
        self._lock = threading.Lock()

    @property
    def version(self) -> str:
        """`detoxify-NAME@hash` over the weights."""
        return self._version

    def score(self, batch: Sequence[ScoreInput]) -> list[Score]:
        """One score an input, in order, of `text` alone; a long text is read in windows and not cut."""
        with self._lock:  # its tokenizer keeps padding and truncation as state
            windows = [(owner, part) for owner, item in enumerate(batch) for part in self._windows(item.text)]
            predicted = self._predict([part for _, part in windows])
        highest: list[dict[str, float]] = [{} for _ in batch]
        for (owner, _), labels in zip(windows, predicted, strict=True):
            for label, value in labels.items():
                highest[owner][label] = max(value, highest[owner].get(label, 0.0))
        return [
            Score(
                name=self.name, version=self._version, status="ok", value=max(labels.values()), labels=labels
            )
            for labels in highest
        ]

    def _windows(self, text: str) -> Iterator[str]:
        """The text in pieces that fit, halved until they do."""
        if len(text) <= 4 * OVERLAP or len(self._model.tokenizer(text)["input_ids"]) <= self._limit:
            yield text
            return
        middle = len(text) // 2
        yield from self._windows(text[: middle + OVERLAP])
        yield from self._windows(text[middle - OVERLAP :])

    def _predict(self, texts: list[str]) -> list[dict[str, float]]:
        rows: list[dict[str, float]] = []
        for start in range(0, len(texts), BATCH):
            part = texts[start : start + BATCH]
            columns = self._model.predict(part)
            # of one text it answers numbers, of several lists
            values = {LABELS.get(name, name): np.atleast_1d(column) for name, column in columns.items()}
            rows += [
                {label: round(float(column[row]), 6) for label, column in values.items()}
                for row in range(len(part))
            ]
        return rows
