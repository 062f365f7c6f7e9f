"""Prompt injection, in requests and in retrieved passages.

Known patterns, and an encoder for what has no pattern.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.ports import ScoreInput
from agents.scorers.encoder import Reading, TextEncoder
from agents.scorers.obfuscation import plain
from agents.scorers.recent import Recent
from schemas.score import Score, Span

SAID = 0.5
"""From this probability on a word is shown as part of an instruction."""
TELLS = 0.95
"""What a pattern alone is worth.

Each of them has no place in honest text, some are quoted in texts about them.
"""
_GAP = r"\W+(?:\w+\W+){0,4}?"
_BEFORE = r"(?:previous|prior|above|earlier|preceding|foregoing|all|any|your|former|existing|original)"
_TOLD = r"(?:instructions?|prompts?|rules?|guidelines?|directions?|context|messages?|commands?|training|constraints?)"


@dataclass(frozen=True, slots=True)
class _Pattern:
    name: str
    pattern: "re.Pattern[str]"


def _of(name: str, pattern: str) -> _Pattern:
    return _Pattern(name, re.compile(pattern, re.IGNORECASE))


PATTERNS = (
    _of(
        "override",
        rf"\b(?:ignore|disregard|forget|override|bypass|skip|neglect){_GAP}{_BEFORE}{_GAP}{_TOLD}\b",
    ),
    _of(
        "override",
        rf"\b(?:ignore|disregard|forget){_GAP}(?:everything|all){_GAP}(?:above|before|told|said)\b",
    ),
    _of(
        "override", r"\b(?:ignoriere|missachte|vergiss)\s(?:\w+\s){0,3}(?:anweisungen|instruktionen|regeln)\b"
    ),
    _of("override", r"\b(?:ignora|olvida)\s(?:\w+\s){0,4}(?:instrucciones|reglas)\b"),
    _of("override", r"\b(?:ignorez|oubliez)\s(?:\w+\s){0,4}(?:instructions|consignes)\b"),
    _of("role marker", r"<\|(?:im_start|im_end|system|user|assistant|endoftext|eot_id|start_header_id)\|>"),
    _of("role marker", r"\[/?INST\]|<<SYS>>"),
    _of("role marker", r"^\s*#{0,3}\s*(?:system|assistant)\s*(?:prompt|message|note)?\s*:\s*you\b"),
    _of(
        "prompt leak",
        rf"\b(?:reveal|print|show|output|repeat|leak|disclose){_GAP}(?:system|hidden|initial|secret){_GAP}"
        r"(?:prompt|instructions?|message|rules?)\b",
    ),
    _of(
        "role play",
        r"\byou are (?:now )?(?:in )?(?:developer|debug|god|dan|jailbreak|unrestricted|do anything now)\b(?: mode)?",
    ),
    _of("exfiltration", r"!\[[^\]\n]{0,80}\]\(\s*https?://[^)\s]{0,200}(?:\{|%7b|\$\{|<)[^)\s]{0,80}\)?"),
    _of(
        "secrecy",
        r"\b(?:do not|don't|never) (?:tell|inform|alert|(?:mention|reveal) (?:this|it) to) the user\b",
    ),
    _of("addressed", r"<!--[^>]{0,40}\b(?:ai|assistant|llm|chatbot|language model)\b[^>]{0,200}"),
    _Pattern("hidden text", re.compile("[\U000e0020-\U000e007f]{4,}")),
)


class Injection:
    """The higher of what the patterns and the encoder say; `labels` holds both, `spans` the words.

    `labels["embedded"]`: an instruction that does not belong into a document, for passages.
    `labels["override"]`: an attempt to turn the assistant against its instructions, for requests, in which
    every sentence is an instruction; the patterns count for both. `value` is the higher one. A long text is
    read in windows; passages that come back are not read again.
    """

    name = "injection"

    languages = frozenset({"en"})

    def __init__(self, folder: Path | None, device: str = "cpu", cached: int = 4096) -> None:
        """Read the weights; without a folder only the patterns count.

        Raises:
            ConfigurationError: a file is missing or damaged.
        """
        self._encoder = None if folder is None else TextEncoder(folder, device)
        self._known: Recent[Score] = Recent(cached)

    @property
    def version(self) -> str:
        """`injection@hash` over the weights, or `injection-patterns`."""
        return self._encoder.version if self._encoder else "injection-patterns@1"

    def score(self, batch: Sequence[ScoreInput]) -> list[Score]:
        """One score an input, in order, of `text` alone."""
        texts = [item.text for item in batch]
        new = [text for text in dict.fromkeys(texts) if self._known.get(text) is None]
        found = dict(zip(new, self._judged(new), strict=True))
        for text, score in found.items():
            self._known.put(text, score)
        return [found.get(text) or self._known.get(text) or self._judged([text])[0] for text in texts]

    def _judged(self, texts: Sequence[str]) -> list[Score]:
        readings: Sequence[Reading | None] = [None] * len(texts)
        if self._encoder is not None:
            readings = self._encoder.read(texts)
        return [self._result(text, reading) for text, reading in zip(texts, readings, strict=True)]

    def _result(self, text: str, reading: Reading | None) -> Score:
        spans = known(text)
        told = TELLS if spans else 0.0
        labels = {"embedded": told, "override": told}
        if reading is not None and self._encoder is not None:
            for label, value in zip(self._encoder.settings.labels, reading.labels, strict=True):
                labels[label] = round(max(told, float(value)), 6)
            spans += _instructed(reading)
        return Score(
            name=self.name,
            version=self.version,
            status="ok",
            value=max(labels.values()),
            labels=labels,
            spans=tuple(sorted(spans, key=lambda span: span.start)) if max(labels.values()) >= SAID else (),
        )


def known(text: str) -> list[Span]:
    """Where a pattern matches, in the text as written or as it reads."""
    found = [
        Span(start=there.start(), end=there.end(), label=one.name, score=TELLS)
        for one in PATTERNS
        for there in one.pattern.finditer(text)
    ]
    hidden = plain(text)
    if hidden is not None and not found:
        for one in PATTERNS:
            for there in one.pattern.finditer(hidden.text):
                start, end = hidden.span(*there.span())
                found.append(Span(start=start, end=end, label=one.name, score=TELLS))
    return found


def _instructed(reading: Reading) -> list[Span]:
    """Words of an instruction, joined where they are near each other."""
    joined: list[tuple[int, int, float]] = []
    for start, end, value in reading.stretches:
        if value < SAID:
            continue
        if joined and start <= joined[-1][1] + 2:
            joined[-1] = joined[-1][0], end, max(joined[-1][2], value)
        else:
            joined.append((start, end, value))
    return [Span(start=a, end=b, label="instruction", score=round(v, 4)) for a, b, v in joined]
