"""Files of labelled texts, one JSON object a line, to measure scorers on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.errors import ConfigurationError
from agents.ports import ScoreInput
from schemas.common import Passage

GROUNDEDNESS = "groundedness"
_BAD = {
    "1",
    "true",
    "yes",
    "bad",
    "unsupported",
    "not supported",
    "contradiction",
    "hallucinated",
    "toxic",
    "injection",
}
_BAD |= {"unsafe", "attack", "pii", "personal", "positive", "flag"}
_GOOD = {
    "0",
    "false",
    "no",
    "good",
    "supported",
    "entailment",
    "grounded",
    "clean",
    "harmless",
    "safe",
    "benign",
}
_GOOD |= {"none", "negative", "ok", "neutral"}
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Labelled:
    """One row: what is judged, and whether it should be flagged."""

    item: ScoreInput
    bad: bool


def read_labelled(path: Path, scorer: str) -> list[Labelled]:
    """The rows of a file: `answer`, `passages`, `label` for groundedness, else `text`, `label`.

    A label is true or 1, or a word such as `toxic` or `unsupported`, for what should be flagged. For
    groundedness, where a bare true or 1 reads naturally as supported, it means that: write `supported` or
    `unsupported` to be sure.

    Raises:
        ConfigurationError: the file cannot be read, or its first mistakes: line, field, reason, what was expected.

    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None
    rows: list[Labelled] = []
    mistakes: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            rows.append(_row(json.loads(line), scorer))
        except json.JSONDecodeError as error:
            mistakes.append(f"{path}:{number}: is not JSON: {error.msg}")
        except _Mistake as error:
            mistakes.append(f"{path}:{number}: {error}")
    if mistakes:
        more = [f"... and {len(mistakes) - _SHOWN} more"] if len(mistakes) > _SHOWN else []
        raise ConfigurationError("\n".join([*mistakes[:_SHOWN], *more]))
    if not rows:
        raise ConfigurationError(f"{path} has no rows: expected one JSON object a line")
    return rows


class _Mistake(Exception):
    """What is wrong with a row."""


def _row(value: Any, scorer: str) -> Labelled:
    if not isinstance(value, Mapping):
        raise _Mistake(f"is {type(value).__name__}, expected an object")
    if scorer != GROUNDEDNESS:
        return Labelled(ScoreInput(_text(value, "text")), _bad(value, scorer))
    passages = value.get("passages")
    if not isinstance(passages, Sequence) or isinstance(passages, str) or not passages:
        raise _Mistake("passages: expected a list of texts, or of objects with `text`")
    texts = [_text(one, "text") if isinstance(one, Mapping) else one for one in passages]
    if not all(isinstance(text, str) for text in texts):
        raise _Mistake("passages: expected texts, or objects with `text`")
    found = [
        Passage(id=str(at), text=text, source="file", start=0, end=len(text)) for at, text in enumerate(texts)
    ]
    return Labelled(ScoreInput(_text(value, "answer"), found), _bad(value, scorer))


def _text(value: Mapping[str, Any], field: str) -> str:
    found = value.get(field)
    if not isinstance(found, str) or not found.strip():
        raise _Mistake(f"{field}: expected a text")
    return found


def _bad(value: Mapping[str, Any], scorer: str) -> bool:
    label = value.get("label")
    if label is None:
        raise _Mistake("label: expected true, false, or words such as toxic and clean")
    if isinstance(label, bool) or label in (0, 1):
        return bool(label) is (scorer != GROUNDEDNESS)
    word = str(label).strip().lower()
    if word in _BAD or word in _GOOD:
        if word in ("1", "true", "yes", "0", "false", "no"):
            return (word in _BAD) is (scorer != GROUNDEDNESS)
        return word in _BAD
    raise _Mistake(f"label: {label!r} says neither, expected true, false, or words such as toxic and clean")
