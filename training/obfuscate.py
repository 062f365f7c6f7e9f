"""Hides words as people do who dodge a filter, to measure (and teach) what a disguise costs.

The tables come from Unicode's character names and from here, never from the normaliser that undoes them: a
test that shared its tables would only show that a table is its own inverse.
"""

import random
import sys
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from typing import Literal

Kind = Literal["leet", "spacing", "punctuation", "homoglyph", "zero-width", "repeats", "masked"]
KINDS: tuple[Kind, ...] = (
    "leet", "spacing", "punctuation", "homoglyph", "zero-width", "repeats", "masked",
)  # fmt: skip
_LEET = {"a": "4@", "b": "8", "e": "3", "g": "9", "i": "1!", "l": "1", "o": "0", "s": "5$", "t": "7+"}
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad"
_OTHER_SCRIPTS = {
    "a": ("CYRILLIC SMALL LETTER A", "GREEK SMALL LETTER ALPHA"), "c": ("CYRILLIC SMALL LETTER ES",),
    "e": ("CYRILLIC SMALL LETTER IE",), "h": ("CYRILLIC SMALL LETTER SHHA",),
    "i": ("CYRILLIC SMALL LETTER BYELORUSSIAN-UKRAINIAN I",),
    "o": ("CYRILLIC SMALL LETTER O", "GREEK SMALL LETTER OMICRON"),
    "p": ("CYRILLIC SMALL LETTER ER", "GREEK SMALL LETTER RHO"), "s": ("CYRILLIC SMALL LETTER DZE",),
    "v": ("GREEK SMALL LETTER NU",), "x": ("CYRILLIC SMALL LETTER HA",), "y": ("CYRILLIC SMALL LETTER U",),
}  # fmt: skip


def obfuscate(text: str, spans: Sequence[tuple[int, int]], kind: Kind, rng: random.Random) -> str:
    """The text with the words inside `spans` (start, end; in order, apart) disguised, and all else as it was."""
    change, parts, at = _CHANGES[kind], [], 0
    for start, end in spans:
        words = text[start:end].split(" ")
        parts += [text[at:start], " ".join(change(word, rng) if word else word for word in words)]
        at = end
    return "".join([*parts, text[at:]])


@cache
def lookalikes() -> dict[str, str]:
    """For each small Latin letter, characters that Unicode names after it, and a few of other scripts."""
    found = dict.fromkeys("abcdefghijklmnopqrstuvwxyz", "")
    styles = (
        "MATHEMATICAL ",
        "FULLWIDTH LATIN SMALL LETTER ",
        "CIRCLED LATIN SMALL LETTER ",
    )
    for code in range(0x80, sys.maxunicode):
        name = unicodedata.name(chr(code), "")
        letter = name[-1:].lower()
        small = name[-3:-1] == "L " or name[-2:-1] == " "
        if small and letter in found and name.startswith(styles) and " SMALL " in name:
            found[letter] += chr(code)
    for letter, names in _OTHER_SCRIPTS.items():
        found[letter] += "".join(map(unicodedata.lookup, names))
    return found


def _each(word: str, table: dict[str, str], rng: random.Random) -> str:
    """At least one letter of the table replaced, each other one by chance of a half."""
    places = [at for at, letter in enumerate(word) if table.get(letter.lower())]
    if not places:
        return word
    sure = rng.choice(places)
    letters = list(word)
    for at in places:
        if at == sure or rng.random() < 0.5:
            letters[at] = rng.choice(table[word[at].lower()])
    return "".join(letters)


def _repeats(word: str, rng: random.Random) -> str:
    places = [at for at, letter in enumerate(word) if letter.isalpha()]
    if not places:
        return word
    at = rng.choice(places)
    return word[:at] + word[at] * rng.randint(3, 6) + word[at + 1 :]


def _masked(word: str, rng: random.Random) -> str:
    """Inner vowels, or the second letter where there is none, behind one kind of sign."""
    places = [at for at in range(1, len(word) - 1) if word[at].lower() in "aeiou"] or [1] * (len(word) > 2)
    sign = rng.choice("*#")
    return "".join(sign if at in places else letter for at, letter in enumerate(word))


_CHANGES: dict[Kind, Callable[[str, random.Random], str]] = {
    "leet": lambda word, rng: _each(word, _LEET, rng),
    "homoglyph": lambda word, rng: _each(word, lookalikes(), rng),
    "spacing": lambda word, _: " ".join(word),
    "punctuation": lambda word, rng: rng.choice(".-_*").join(word),
    "zero-width": lambda word, rng: (
        "".join(letter + rng.choice(_INVISIBLE) for letter in word[:-1]) + word[-1:]
    ),
    "repeats": _repeats,
    "masked": _masked,
}
