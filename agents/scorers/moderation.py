"""Toxicity by a moderation endpoint in the shape of OpenAI's: the vendor's, or a server of your own."""

import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import openai

from agents.errors import ConfigurationError
from agents.model_files.manifest import short_hash
from agents.ports import ScoreInput
from schemas.score import Score

WINDOW = 8_000
"""Characters sent as one text: a longer one is sent in windows, and the highest score of a label counts."""
OVERLAP = 200
KEY = "OPENAI_API_KEY"


class ModerationToxicity:
    """Asks `POST {base_url}/moderations` about a batch in one call; labels are the server's categories.

    `value` is the highest of them. The key is read from the environment variable `api_key_env`, so that it stands
    in no settings file. What the server judges by can change without its name changing: `model` should say which.
    """

    name = "toxicity"

    def __init__(
        self,
        base_url: str | None = None,
        model: str = "omni-moderation-latest",
        api_key_env: str = KEY,
        timeout_s: str = "5",
    ) -> None:
        """Connect to nothing yet.

        Raises:
            ConfigurationError: no key for the vendor's endpoint, or a timeout that is no positive number.
        """
        key = os.environ.get(api_key_env)
        if not key and base_url is None:
            raise ConfigurationError(f"toxicity-moderation needs base_url, or a key in {api_key_env}")
        self._model = model
        self._client = openai.OpenAI(
            api_key=key or "none", base_url=base_url, timeout=_seconds(timeout_s), max_retries=1
        )
        self._version = f"moderation-{_plain(model)}@{short_hash(str(self._client.base_url), model)}"

    @property
    def version(self) -> str:
        """`moderation-MODEL@hash` over address and model; the server's weights are its own."""
        return self._version

    def score(self, batch: Sequence[ScoreInput]) -> list[Score]:
        """One score an input, in order, of `text` alone; blank texts are skipped and not sent.

        Raises:
            openai.OpenAIError: the server is away, or refused.
            ValueError: its answer is not one of moderations.
        """
        windows = [(owner, part) for owner, item in enumerate(batch) for part in _windows(item.text)]
        highest: list[dict[str, float]] = [{} for _ in batch]
        if windows:
            judged = self._ask([part for _, part in windows])
            for (owner, _), labels in zip(windows, judged, strict=True):
                for label, value in labels.items():
                    highest[owner][label] = max(value, highest[owner].get(label, 0.0))
        return [self._scored(labels) for labels in highest]

    def _ask(self, texts: list[str]) -> list[dict[str, float]]:
        answer = self._client.moderations.create(model=self._model, input=texts)
        # The client builds its objects without checking them: any part may be missing or of another type.
        results = getattr(answer, "results", None)
        if not isinstance(results, list) or len(results) != len(texts):
            raise ValueError(f"the moderation server did not judge each of {len(texts)} texts")
        return [_labels(getattr(result, "category_scores", None)) for result in results]

    def _scored(self, labels: dict[str, float]) -> Score:
        if not labels:
            return Score(name=self.name, version=self._version, status="skipped", reason="no text")
        return Score(
            name=self.name, version=self._version, status="ok", value=max(labels.values()), labels=labels
        )


def _labels(scores: Any) -> dict[str, float]:
    try:
        said = scores.model_dump(by_alias=True)
        labels = {str(name): round(float(value), 6) for name, value in said.items() if value is not None}
    except (AttributeError, TypeError, ValueError):
        raise ValueError("the moderation server's answer holds no category scores") from None
    if not labels or not all(math.isfinite(value) and 0 <= value <= 1 for value in labels.values()):
        raise ValueError("the moderation server's category scores are not between 0 and 1")
    return labels


def _windows(text: str) -> Iterator[str]:
    if not text.strip():
        return
    for start in range(0, max(1, len(text) - OVERLAP), WINDOW - OVERLAP):
        yield text[start : start + WINDOW]


def _seconds(said: str) -> float:
    try:
        seconds = float(said)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise ConfigurationError(f"toxicity-moderation: timeout_s is {said!r}, expected seconds above 0")
    return seconds


def _plain(model: str) -> str:
    return "".join(char if char.isalnum() or char in "._-" else "-" for char in model)
