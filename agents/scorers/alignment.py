"""What two pieces of text share: words, word pairs, quantities with units, names, negation. No model."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

_TOKEN = re.compile(
    r"(?P<clock>\d{1,2}:\d{2})"
    r"|(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
    r"|(?P<word>[^\W\d_][\w'’]*)"
    r"|(?P<sign>[%$€£¥])"
    r"|(?P<stop>[.,;:!?()\n])"
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


STOP_WORDS = _words("""
    a about above after again all also am an and any are as at be because been before being below
    between both but by can could did do does doing down during each few for from further had has have
    having he her here hers herself him himself his how i if in into is it its itself just me more most
    my myself of off on once only or other our ours out over own same she should so some such than that
    the their theirs them themselves then there these they this those through to too under until up us
    very was we were what when where which while who whom why will with would you your yours s t re ve
    ll d m st nd rd th one may might must shall well yes really actually according passage passages
    based i'm i've i'd i'll we're you're they're
""")
NEGATIONS = _words("not no never none nor neither without cannot n't nobody nothing nowhere unable hardly")
_FIRST_PERSON = _words("i me my mine we us our ours i'm i've i'd i'll we're we've im ive")
_NUMBERS = """
    2 two; 3 three; 4 four; 5 five; 6 six; 7 seven; 8 eight; 9 nine; 10 ten; 11 eleven; 12 twelve;
    13 thirteen; 14 fourteen; 15 fifteen; 16 sixteen; 17 seventeen; 18 eighteen; 19 nineteen; 20 twenty;
    30 thirty; 40 forty; 50 fifty; 60 sixty; 70 seventy; 80 eighty; 90 ninety
"""
_NUMBER_WORDS = {word: float(number) for number, word in (pair.split() for pair in _NUMBERS.split(";"))}
_SCALES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_SAME_UNIT = """
    second sec secs; minute min mins; hour hr hrs; day; week; month; year yr yrs; decade;
    century centuries; % percent pct; $ dollar usd; € euro eur; £ pound gbp; ¥ yen; cent;
    kilometre kilometer km kms; mile; metre meter; centimetre centimeter cm; foot feet ft; inch inches;
    kilogram kg kgs; gram; tonne ton; litre liter; degree; byte; kb; mb; gb; tb
"""
_UNITS = {alias: names.split()[0] for names in _SAME_UNIT.split(";") for alias in names.split()}
_FAR = 99
_SCOPE = 3
"""Content words that a negation reaches, within its clause."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number in one notation (`1,000` and `1000` are equal) with its unit, where it is a known one."""

    value: str
    unit: str | None

    def agrees(self, other: "Quantity") -> bool:
        """Equal numbers whose units do not contradict each other."""
        return self.value == other.value and (
            self.unit is None or other.unit is None or self.unit == other.unit
        )


@dataclass(frozen=True, slots=True)
class Words:
    """What is compared of a piece of text. `plain` are stems that stand outside every negation."""

    stems: frozenset[str]
    pairs: frozenset[tuple[str, str]]
    quantities: frozenset[Quantity]
    names: frozenset[str]
    negated: frozenset[str]
    plain: frozenset[str]
    order: tuple[str, ...] = ()
    """The stems as they follow each other."""
    phrases: frozenset[tuple[str, str]] = frozenset()
    """Neighbouring words as written, small ones included."""
    first_person: bool = False

    def __or__(self, other: "Words") -> "Words":
        return union((self, other))


def union(parts: Iterable[Words]) -> Words:
    """All the words of several pieces."""
    found = list(parts)
    return Words(
        frozenset().union(*(one.stems for one in found)),
        frozenset().union(*(one.pairs for one in found)),
        frozenset().union(*(one.quantities for one in found)),
        frozenset().union(*(one.names for one in found)),
        frozenset().union(*(one.negated for one in found)),
        frozenset().union(*(one.plain for one in found)),
        tuple(stem for one in found for stem in one.order),
        frozenset().union(*(one.phrases for one in found)),
        any(one.first_person for one in found),
    )


NOTHING = union(())


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """A light stem of a lower-case English word: plural, -ing, -ed, -ly and possessive endings fall."""
    for ending in ("'s", "’s", "'", "’"):
        word = word.removesuffix(ending)
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    for ending, least in (("ing", 6), ("edly", 7), ("ed", 5), ("ly", 6), ("es", 5), ("s", 4)):
        if len(word) >= least and word.endswith(ending) and not word.endswith("ss"):
            word = word.removesuffix(ending)
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "sl":
        return word[:-1]
    return word.removesuffix("e") if len(word) > 3 else word


def analyse(text: str) -> Words:
    """The words of one sentence."""
    reader = _Reader()
    for found in _TOKEN.finditer(text):
        reader.read(found)
    return reader.words()


class _Reader:
    """Goes through a sentence once, token by token."""

    def __init__(self) -> None:
        self._content: list[str] = []
        self._quantities: list[list[str | float | None]] = []  # value, unit
        self._names: set[str] = set()
        self._negated: set[str] = set()
        self._plain: set[str] = set()
        self._reach = 0  # content words that the last negation still covers
        self._since_number = _FAR
        self._sign: str | None = None
        self._begun = False
        self._all: list[str] = []

    def read(self, found: "re.Match[str]") -> None:
        kind, text = found.lastgroup, found.group()
        if kind == "word":
            self._word(text)
        elif kind == "stop":
            self._reach = 0
            if text != ",":
                self._since_number = _FAR
        elif kind == "sign":
            self._mark(text)
        elif kind == "clock":
            self._quantity(text.removeprefix("0"))
        else:
            self._quantity(float(text.replace(",", "")))

    def _mark(self, sign: str) -> None:
        if sign == "%" or self._since_number == 0:
            self._unit(sign)
        else:
            self._sign = sign

    def _quantity(self, value: str | float) -> None:
        self._quantities.append([value, self._sign])
        self._all.append(_written(value))
        self._sign = None
        self._since_number = 0
        self._begun = True
        self._add(_written(value))

    def _unit(self, unit: str) -> None:
        if self._since_number <= 2 and self._quantities and self._quantities[-1][1] is None:
            self._quantities[-1][1] = unit
            self._since_number = _FAR

    def _word(self, token: str) -> None:
        lower = token.lower().replace("’", "'")
        self._all.append(lower)
        self._since_number += 1
        if lower in NEGATIONS or lower.endswith("n't"):
            self._reach = _SCOPE
        elif lower in _NUMBER_WORDS:
            self._quantity(_NUMBER_WORDS[lower])
        elif lower in _SCALES and self._since_number == 1:
            self._scale(_SCALES[lower])
        elif lower.removesuffix("'s") not in STOP_WORDS:
            self._content_word(token, lower)
        self._begun = True

    def _scale(self, factor: float) -> None:
        last = self._quantities[-1]
        if isinstance(last[0], float):
            last[0] *= factor
        self._since_number = 0

    def _content_word(self, token: str, lower: str) -> None:
        root = stem(lower)
        unit = _UNITS.get(lower) or _UNITS.get(root) or _UNITS.get(lower.removesuffix("s"))
        if unit == "day" and self._content and self._content[-1] in ("busines", "business", "work"):
            unit = "working day"
        if unit:
            self._unit(unit)
        if token[0].isupper() and self._begun:
            self._names.add(root)
        self._add(root)

    def _add(self, root: str) -> None:
        self._content.append(root)
        if self._reach:
            self._reach -= 1
            self._negated.add(root)
        else:
            self._plain.add(root)

    def words(self) -> Words:
        return Words(
            frozenset(self._content),
            frozenset(zip(self._content, self._content[1:], strict=False)),
            frozenset(
                Quantity(_written(value), str(unit) if unit else None)
                for value, unit in self._quantities
                if value is not None
            ),
            frozenset(self._names),
            frozenset(self._negated),
            frozenset(self._plain),
            tuple(self._content),
            frozenset(pairwise(self._all)),
            not _FIRST_PERSON.isdisjoint(self._all),
        )


def _written(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.12g}"


def recall(wanted: frozenset[object], there: frozenset[object]) -> float:
    """Share of `wanted` that is `there`; 1 when nothing is wanted."""
    return len(wanted & there) / len(wanted) if wanted else 1.0


def longest_run(sentence: Words, there: Words) -> int:
    """How many of the sentence's stems in a row stand next to each other in `there` as well."""
    longest = run = 0
    for pair in pairwise(sentence.order):
        run = run + 1 if pair in there.pairs else 0
        longest = max(longest, run)
    return longest + 1 if longest else int(not sentence.stems.isdisjoint(there.stems))


def disorder(sentence: Words, there: Words) -> float:
    """Share of the sentence's stems, of those both have once, that stand in another order in `there`; 0 to 1."""
    places = {stem: place for place, stem in enumerate(there.order)}
    shared = [places[stem] for stem in sentence.order if stem in places]
    steps = len(shared) - 1
    return sum(one > two for one, two in pairwise(shared)) / steps if steps > 0 else 0.0


def wrong_places(text: str, missing: frozenset[str]) -> list[tuple[int, int]]:
    """Where quantities and names of these stems stand in a sentence, as characters."""
    return [found.span() for found in _TOKEN.finditer(text) if _root(found) in missing]


def _root(found: "re.Match[str]") -> str:
    token = found.group()
    if found.lastgroup == "number":
        return _written(float(token.replace(",", "")))
    if found.lastgroup == "clock":
        return token.removeprefix("0")
    lower = token.lower()
    return _written(_NUMBER_WORDS[lower]) if lower in _NUMBER_WORDS else stem(lower)


def missing_quantities(sentence: Words, there: Words) -> list[Quantity]:
    """The quantities of the sentence that have no equal, unit included, in `there`."""
    return [one for one in sentence.quantities if not any(one.agrees(other) for other in there.quantities)]


def negation_differs(sentence: Words, window: Words) -> bool:
    """Whether a word that both have is negated in one and never in the other."""
    denied = (sentence.negated - sentence.plain) & (window.plain - window.negated)
    asserted = (sentence.plain - sentence.negated) & (window.negated - window.plain)
    return bool(denied or asserted)
