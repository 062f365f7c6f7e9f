"""The spelling a reader sees: undoes what hides a word from a classifier and from nobody else.

Zero-width and other invisible characters, full-width and styled letters, letters of other scripts that look
Latin, digits and signs for letters, letters set apart, letters repeated, letters masked by stars. What is
read wrongly here costs a second reading and nothing else: the text as written is judged as well.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_SUSPICIOUS = re.compile(
    r"[^\x00-\x7f]|[a-zA-Z][0-9@$!|+*#%&]+[a-zA-Z]|[@$][a-zA-Z]{2}|(?<![\w.])[0-9][a-zA-Z]{2,}[0-9]?|([a-zA-Z])\1\1"
    r"|\b[a-zA-Z](?:[ .\-_*/]{1,2}[a-zA-Z]\b){2}|[a-zA-Z][0-9$]\b"
)
_LOOKALIKE = dict(
    zip(
        "аеорсухіјѕһԁԛԝгкмнтвзпԍɡαβεικνορτυχωηγѡցօոսհքАВЕКМНОРСТУХІЈЅΑΒΕΗΙΚΜΝΟΡΤΥΧΖ",
        "aeopcyxijshdqwrkmhtb3nggabeiknoptuxwnywgonuhqABEKMHOPCTYXIJSABEHIKMNOPTYXZ",
        strict=True,
    )
)
_LEET = dict(zip("013457@$!|+8", "oieastasiitb", strict=True))
_QUOTES = str.maketrans("’‘“”", "''\"\"")
_PASSES = 4
"""Undoing one disguise can bare another."""
_INSIDE = re.compile(r"(?<=[A-Za-z])[!|+](?=[A-Za-z@$\d])|[013457@$8]")
_WORD = re.compile(r"[^\s]+")
_ADDRESS = re.compile(r"https?://|www\.|@[\w-]+\.[a-z]|^@(?!ss)\w|\.(?:com|org|net|io)\b", re.IGNORECASE)
_PLAIN_NUMBER = re.compile(
    r"^[^\w]*(?:[$€£]?\d[\d.,:/-]*(?:st|nd|rd|th|s|k|m|x|am|pm|km|kg|mm|cm|gb|mb|d|h|min)?|[A-Z]+\d+[A-Z]*|[A-Za-z]+-?\d+)[^\w]*$"
)
_DIGITS = re.compile(r"\d{3}")
_APART = re.compile(
    r"(?<![A-Za-z'’])(?![A-Z](?:\. ?[A-Z])+(?![a-z]))[A-Za-z](?:([ .\-_*/]{1,2})[A-Za-z](?![A-Za-z'’]))"
    r"(?:\1[A-Za-z](?![A-Za-z'’])){2,}"
)
_REPEATED = re.compile(r"(?!I{3})([A-Za-z])\1{2,}")
_MASKED = re.compile(r"(?<![\w*])[A-Za-z]+[*#%&@$_-]+[A-Za-z*#%&@$_-]*(?![\w*])")


def _words(text: str) -> list[str]:
    return text.split()


_HIDDEN_WORDS = _words("""
    fuck fucks fucked fucker fuckers fucking motherfucker shit shits shitty bullshit bitch bitches ass
    asses asshole assholes cunt cunts dick dicks cock pussy whore whores slut sluts bastard bastards damn
    crap piss nigger niggers nigga niggas faggot faggots fag fags retard retarded retards kike spic chink
    tranny dyke twat wanker idiot idiots stupid moron hell kill rape die hate
""")


@dataclass(frozen=True, slots=True)
class Plain:
    """The text as it reads; character `i` of it stands for character `origins[i]` of the one it was made from."""

    text: str
    origins: Sequence[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where characters `start:end` stand in the original."""
        return self.origins[start], self.origins[end - 1] + 1


def plain(text: str) -> Plain | None:
    """The text as it reads, or None where that is how it is written. Linear in its length."""
    if not _SUSPICIOUS.search(text):
        return None
    found = Plain(text, range(len(text)))
    for _ in range(_PASSES):
        before = found.text
        for step in (_visible, _latin, _together, _letters, _unmasked, _once):
            found = step(found)
        if found.text == before:
            break
    return None if _folded(found.text) == _folded(text) else found


def _folded(text: str) -> str:
    """As an uncased model reads it: without case and accents; a curly quote hides nothing."""
    text = text.translate(_QUOTES)
    apart = unicodedata.normalize("NFD", text.lower()) if not text.isascii() else text.lower()
    return (
        "".join(char for char in apart if unicodedata.category(char) != "Mn")
        if not apart.isascii()
        else apart
    )


def _visible(found: Plain) -> Plain:
    """Compatibility forms folded, invisible characters and marks upon marks dropped, curly quotes straight."""
    if found.text.isascii():
        return found
    chars: list[str] = []
    origins: list[int] = []
    for char, origin in zip(found.text, found.origins, strict=True):
        for one in unicodedata.normalize("NFKC", char):
            if unicodedata.category(one) in ("Cf", "Mn", "Me"):
                continue
            chars.append(one.translate(_QUOTES))
            origins.append(origin)
    return Plain("".join(chars), origins)


def _latin(found: Plain) -> Plain:
    """Lookalikes as Latin letters, in words that have Latin letters too, or in texts that are Latin otherwise."""
    if found.text.isascii():
        return found
    letters = [char for char in found.text if char.isalpha()]
    mostly = sum(char.isascii() for char in letters) * 2 > len(letters)

    def read(word: str) -> str:
        own = [char for char in word if char.isalpha()]
        other = [char for char in own if not char.isascii()]
        alike = bool(other) and all(char in _LOOKALIKE for char in other)
        return (
            "".join(_LOOKALIKE.get(c, c) for c in word)
            if alike and (mostly or len(other) < len(own))
            else word
        )

    return _replaced(found, _WORD, read)


def _letters(found: Plain) -> Plain:
    """Digits and signs between letters as the letters they look like."""

    def read(word: str) -> str:
        core = word.rstrip("!?.,;:)\"'")
        signs = len(_INSIDE.findall(core))
        letters = sum(char.isalpha() for char in core)
        if not signs or not letters or _PLAIN_NUMBER.match(word) or _ADDRESS.search(word):
            return word
        as_letters = _INSIDE.sub(lambda there: _LEET[there.group()], core)
        # More signs than letters is a part number sooner than a word, unless it reads as a known one.
        if (letters < 2 or signs > letters) and as_letters.lower() not in _HIDDEN_WORDS:
            return word
        return as_letters + word[len(core) :]

    return _replaced(found, _WORD, read)


def _together(found: Plain) -> Plain:
    """Single letters set apart by the same sign, as one word."""
    return _kept(
        found, _APART, lambda start, end: [at for at in range(start, end) if found.text[at].isalpha()]
    )


def _once(found: Plain) -> Plain:
    """A letter that is repeated three times or more, once."""
    return _kept(found, _REPEATED, lambda start, _: [start])


def _unmasked(found: Plain) -> Plain:
    """Masked letters of the commonest insults."""

    def read(word: str) -> str:
        if len(word) > 14:
            return word
        pattern = "".join("[a-z]" if not char.isalpha() else char for char in word.lower())
        return next(
            (one for one in _HIDDEN_WORDS if len(one) == len(word) and re.fullmatch(pattern, one)), word
        )

    return _replaced(found, _MASKED, read)


def _kept(found: Plain, pattern: "re.Pattern[str]", chosen: Callable[[int, int], list[int]]) -> Plain:
    """Of every match the chosen places alone."""
    places: list[int] = []
    done = 0
    for there in pattern.finditer(found.text):
        places += [*range(done, there.start()), *chosen(*there.span())]
        done = there.end()
    places += range(done, len(found.text))
    return Plain("".join(found.text[at] for at in places), [found.origins[at] for at in places])


def _replaced(found: Plain, pattern: "re.Pattern[str]", read: Callable[[str], str]) -> Plain:
    """Every match read anew; the result of a match has as many characters as it had."""
    text = pattern.sub(lambda there: read(there.group()), found.text)
    return Plain(text, found.origins)
