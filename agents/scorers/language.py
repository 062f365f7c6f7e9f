"""The language of a text, so that a scorer need not judge one that it does not know."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

LANGUAGES = (
    "af ar az be bg bn bs ca cs cy da de el en es et eu fa fi fr ga gu he hi hr hu hy id is it ja ka kk km kn ko lo "
    "lt lv mk ml mn mr ms my ne nl no pa pl ps pt ro ru si sk sl so sq sr sv sw ta te th tl tr uk ur uz vi zh zu"
)
"""ISO 639-1. The model knows others, whose neighbours on this list they would mostly be mistaken for."""

NO_LANGUAGE = "zxx"
"""What the model calls code, numbers and the like."""

READ_CHARS = 1200
"""A longer text is sampled: so many characters in all, from fifteen places."""

PIECE_CHARS = 80
"""Judged at once. A piece in English among others of another language is so noticed, and the text is mixed."""

LEAST_BYTES = 16
"""Letters, in UTF-8 (so 16 Latin ones or 6 Chinese), that a piece needs: fewer are a name or an exclamation."""

MOST_ENGLISH = 0.01
"""How probable English may be at most in a text of another language: names in English texts look foreign."""

_DISGUISED = re.compile("[A-Za-z][\u0370-\u052f]|[\u0370-\u052f][A-Za-z]")
"""A Latin letter beside a Greek or Cyrillic one: borrowed letters, for the scorers to see through."""

_NOISE = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|www\.\S+|\S{1,64}@\S{1,64}|[@#]\w+|&#?\w{1,10};|<[^<>]{0,200}>|\bRT\b|\d+",
    re.DOTALL,
)
"""Code, addresses, names of accounts, markup, numbers: no words of any language."""


def detect(text: str) -> str | None:
    """The language as ISO 639-1; None where the text is too short, mixed, or no prose.

    In doubt it is None or English, so that no disguise of an English text keeps it from being judged. Thread-safe;
    1 ms at most, whatever the length. The first call reads the model, unless `load` has.
    """
    found = Counter(language for piece in _pieces(text) if (language := _language(piece)))
    if not found or ("en" in found and len(found) > 1):
        return None
    return found.most_common(1)[0][0]


def load() -> None:
    """Read the model now: some 0.5 s, and 90 MB of memory."""
    _identifier()


def _pieces(text: str) -> Iterator[str]:
    """The words of the text, or of samples of it, in pieces of about the same length."""
    plain = " ".join(_NOISE.sub(" ", _readable(_sample(text))).split())
    plain = plain[:READ_CHARS]  # one character can stand for eighteen
    if _DISGUISED.search(plain):
        return
    pieces = max(1, round(len(plain) / PIECE_CHARS))
    size = -(-len(plain) // pieces) or 1
    for start in range(0, len(plain), size):
        yield plain[start : start + size]


def _sample(text: str) -> str:
    if len(text) <= READ_CHARS:
        return text
    last = len(text) - PIECE_CHARS
    places = READ_CHARS // PIECE_CHARS
    starts = (last * number // (places - 1) for number in range(places))
    return " ".join(text[start : start + PIECE_CHARS] for start in starts)


def _readable(text: str) -> str:
    """Without letters that only look different (full-width, mathematical) and characters that nobody sees."""
    if text.isascii():
        return text
    folded = unicodedata.normalize("NFKC", text)
    return "".join(char for char in folded if unicodedata.category(char) != "Cf")


def _language(piece: str) -> str | None:
    letters = sum(len(char.encode(errors="replace")) for char in piece if char.isalpha())
    if letters < LEAST_BYTES:
        return None
    ranking: list[tuple[str, float]] = _identifier().rank(piece)
    best, english = ranking[0][0], dict(ranking)["en"]
    if best == NO_LANGUAGE:
        return None
    return best if best == "en" or english < MOST_ENGLISH else None


@cache
def _identifier() -> Any:  # py3langid has no types
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages([*LANGUAGES.split(), NO_LANGUAGE])
    return identifier
