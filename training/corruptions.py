"""Makes claims out of a passage's sentence.

Some that it still supports, some that it no longer does, and where.

Each way of spoiling a sentence is one function; it returns the new sentence and the characters that are
wrong, or None where the sentence offers nothing to spoil. What is put in never stands in the passage where it
would be right as well.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise


def _words(text: str) -> list[str]:
    return text.split()


_NUMBER = re.compile(r"(?<![\w.,-])\d{1,3}(?:,\d{3})+(?!\w)|(?<![\w.,-])\d+(?:\.\d+)?(?![\w,-]|\.\d)")
_NAME = re.compile(r"(?<!^)(?<![.!?] )\b[A-Z][a-z]+(?:(?: (?:of|de|van|the) | )[A-Z][a-z]+)*\b")
_YEAR = re.compile(r"^(?:1[0-9]|20)\d\d$")
_MONTHS = _words("""
    January February March April May June July August September October November December
""")
_UNIT = re.compile(
    r"\b(seconds?|minutes?|hours?|days?|weeks?|months?|years?|decades?|kilomet(?:re|er)s?|km|miles?|met(?:re|er)s?"
    r"|feet|inches|kilograms?|kg|pounds?|tons?|lit(?:re|er)s?|gallons?|hundred|thousand|million|billion|trillion"
    r"|percent|dollars?|euros?)\b"
)
_UNITS = (
    ("second", "minute", "hour", "day", "week", "month", "year", "decade"),
    ("kilometre", "kilometer", "km", "mile", "metre", "meter", "feet", "inches"),
    ("kilogram", "kg", "pound", "ton"),
    ("litre", "liter", "gallon"),
    ("hundred", "thousand", "million", "billion", "trillion"),
    ("dollar", "euro", "pound"),
)
_BE = re.compile(r"\b(is|are|was|were|has|have|had|can|could|will|would|should)\b(?! not|n't| never)")
_NOT = re.compile(r"\b(is|are|was|were|has|have|had|can|could|will|would|should|did|does|do)( not|n't)\b")
_OPPOSITES = [
    pair.split("/")
    for pair in _words("""
    first/last before/after more/less most/least increased/decreased increase/decrease rose/fell won/lost
    win/lose largest/smallest larger/smaller highest/lowest higher/lower oldest/youngest older/younger
    longest/shortest early/late began/ended started/stopped opened/closed north/south northern/southern
    east/west eastern/western father/mother son/daughter brother/sister husband/wife male/female man/woman
    men/women born/died married/divorced accepted/rejected approved/refused supported/opposed
    success/failure successful/unsuccessful major/minor public/private domestic/foreign ancient/modern
    above/below inside/outside upper/lower left/right north/west hot/cold summer/winter day/night
    rich/poor strong/weak easy/difficult common/rare professional/amateur always/never all/none many/few
    majority/minority often/rarely many/no both/neither guitarist/drummer actor/director singer/dancer
    novel/film book/song American/British English/French football/basketball single/album
    school/university city/village king/queen army/navy
""")
]
_SWAP = {word: other for one, two in _OPPOSITES for word, other in ((one, two), (two, one))}
_SAME = dict(
    pair.split("/")
    for pair in _words("""
    began/started started/began located/situated known/famous large/big film/movie movie/film created/made
    built/constructed received/got over/more~than about/around famous/well-known released/published
    obtained/got child/kid children/kids purchased/bought assisted/helped attended/went~to currently/now
    approximately/about portrayed/played previously/earlier primarily/mainly mainly/mostly
    often/frequently physician/doctor attorney/lawyer automobile/car city/town also/additionally
    died/passed~away
""")
)
_CLAUSE = re.compile(r", (?:which|who|where|including|such as|also known as)[^,.;]*(?:,|(?=\.$))")
_BRACKET = re.compile(r"\s*\([^()]*\)")
_LEAD = re.compile(r"^(?:In|On|At|After|During|Since|By) [^,]{3,40}, (?=\w)")
_ADDED = re.compile(r",? (?:which|where|after|before|with|because|while|and) [a-z][^,.;()]{15,70}(?=[,.])")
_BASELESS = (
    ", which surprised many critics at the time", ", after a dispute with the local authorities",
    " and later sold it for three million dollars", ", although the plan was abandoned within a year",
    " with the help of a wealthy family friend", ", a decision that was reversed in court",
    ", and it won an international award", " before moving to Canada", ", against the advice of experts",
    " as part of a secret agreement", ", which made it the most expensive of its kind", " because of poor health",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence made from another, and of an unsupported one the characters that are wrong."""

    text: str
    kind: str
    spans: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Context:
    """Where a sentence stands: the whole text around it, and texts of other subjects."""

    passage: str
    others: Sequence[str]


Spoil = Callable[[str, Context, random.Random], Claim | None]


def _put(text: str, start: int, end: int, new: str, kind: str) -> Claim:
    return Claim(text[:start] + new + text[end:], kind, ((start, start + len(new)),))


def number(text: str, context: Context, rng: random.Random) -> Claim | None:
    """Another number of the same make: near misses, swapped digits, another of the passage's own."""
    found = list(_NUMBER.finditer(text))
    rng.shuffle(found)
    for one in found:
        new = _other_number(one.group(), context, rng)
        if new and new != one.group() and not re.search(rf"(?<![\d.,]){re.escape(new)}(?![\d])", text):
            return _put(text, *one.span(), new, "number")
    return None


def _other_number(old: str, context: Context, rng: random.Random) -> str | None:
    plain = old.replace(",", "")
    if "." in plain:
        digits = len(plain.split(".")[1])
        return f"{float(plain) * rng.choice((0.5, 0.8, 1.3, 2, 10)):.{digits}f}"
    value = int(plain)
    if _YEAR.match(plain):
        return str(value + rng.choice((-40, -11, -10, -3, -2, -1, 1, 2, 3, 10, 11, 20)))
    others = [
        n for n in _NUMBER.findall(context.passage) if "," not in n and "." not in n and not _YEAR.match(n)
    ]
    if others and rng.random() < 0.3:
        return rng.choice(others)
    new = (
        max(1, value + rng.choice((-3, -2, -1, 1, 2, 3)))
        if value < 40
        else int(value * rng.choice((0.5, 0.9, 1.1, 1.5, 2, 10)))
    )
    return f"{new:,}" if "," in old else str(new)


def unit(text: str, context: Context, rng: random.Random) -> Claim | None:
    """Another unit or scale of the same dimension, where a number stands beside it."""
    for one in _UNIT.finditer(text):
        if not re.search(
            r"\d[\d.,]*[ -]$|\b(?:one|two|three|four|five|six|seven|eight|nine|ten)[ -]$", text[: one.start()]
        ):
            continue
        word = one.group()
        stem = word if word in ("feet", "inches", "km", "kg") else word.removesuffix("s")
        family = next((family for family in _UNITS if stem in family), None)
        if family is None:
            continue
        new = rng.choice([other for other in family if other != stem and other[:5] != stem[:5]])
        plural = word.endswith("s") and new not in ("feet", "inches", "km", "kg")
        return _put(text, *one.span(), new + "s" * plural, "unit")
    return None


def date(text: str, context: Context, rng: random.Random) -> Claim | None:
    """Another month."""
    found = list(re.finditer(r"\b(?:" + "|".join(_MONTHS) + r")\b", text))
    if not found:
        return None
    one = rng.choice(found)
    new = rng.choice([month for month in _MONTHS if month not in text])
    return _put(text, *one.span(), new, "date")


def name(text: str, context: Context, rng: random.Random) -> Claim | None:
    """Another name: of the same passage, which is harder to see, or of another."""
    found = [m for m in _NAME.finditer(text) if m.group() not in _MONTHS]
    if not found:
        return None
    one = rng.choice(found)
    near = {n for n in _NAME.findall(context.passage) if n not in text and n not in _MONTHS}
    far = {
        n for n in _NAME.findall(rng.choice(context.others)) if n not in context.passage and n not in _MONTHS
    }
    size = len(one.group().split())
    for pool, kind in (
        ((near, "name of the passage"), (far, "name")) if rng.random() < 0.5 else ((far, "name"),)
    ):
        fitting = sorted(n for n in pool if abs(len(n.split()) - size) <= 1 and n not in one.group())
        if fitting:
            return _put(text, *one.span(), rng.choice(fitting), kind)
    return None


def negation(text: str, context: Context, rng: random.Random) -> Claim | None:
    """A negation put in, or taken out."""
    if there := _NOT.search(text):
        return Claim(text[: there.end(1)] + text[there.end() :], "negation", (there.span(1),))
    if there := _BE.search(text):
        new = there.group() + rng.choice((" not", " not", " never"))
        return _put(text, *there.span(), new, "negation")
    return None


def opposite(text: str, context: Context, rng: random.Random) -> Claim | None:
    """A word turned into its opposite, or another of its kind."""
    found = [m for m in re.finditer(r"[A-Za-z]+", text) if m.group() in _SWAP]
    if not found:
        return None
    one = rng.choice(found)
    return _put(text, *one.span(), _SWAP[one.group()], "opposite")


def roles(text: str, context: Context, rng: random.Random) -> Claim | None:
    """Two names around a verb, swapped: the words are the same, the statement is not."""
    found = list(re.finditer(r"\b[A-Z][a-z]+(?: [A-Z][a-z]+)*\b", text))
    for one, two in pairwise(found):
        between = text[one.end() : two.start()].split()
        verbs = [
            word
            for word in between
            if word.endswith("ed") or word in ("beat", "won", "wrote", "gave", "led", "met")
        ]
        if verbs and "and" not in between and one.group() != two.group() and "born" not in between:
            swapped = (
                text[: one.start()]
                + two.group()
                + text[one.end() : two.start()]
                + one.group()
                + text[two.end() :]
            )
            first = (one.start(), one.start() + len(two.group()))
            second = (two.start() - len(one.group()) + len(two.group()), two.end())
            return Claim(swapped, "roles", (first, second))
    return None


def baseless_clause(text: str, context: Context, rng: random.Random) -> Claim | None:
    """Something added that nobody said."""
    foreign = [
        clause for clause in _ADDED.findall(rng.choice(context.others)) if clause not in context.passage
    ]
    added = rng.choice(foreign or _BASELESS)
    body = text.rstrip(".!? ")
    return Claim(body + added + ".", "baseless clause", ((len(body), len(body) + len(added)),))


def baseless(text: str, context: Context, rng: random.Random) -> Claim | None:
    """A sentence of another subject, with this one's name in it where there is one."""
    foreign = rng.choice(sentences(rng.choice(context.others)) or [""])
    if len(foreign) < 20:
        return None
    own, alien = _NAME.findall(text), _NAME.findall(foreign)
    if own and alien and rng.random() < 0.7:
        foreign = foreign.replace(rng.choice(alien), rng.choice(own))
    return Claim(foreign, "baseless", ((0, len(foreign)),))


SPOILS: tuple[tuple[Spoil, float], ...] = (
    (number, 3.0), (unit, 2.0), (date, 1.0), (name, 3.0), (negation, 1.5), (opposite, 2.0), (roles, 1.5),
    (baseless_clause, 1.0), (baseless, 1.5),
)  # fmt: skip


def corrupt(text: str, context: Context, rng: random.Random) -> Claim | None:
    """The sentence spoilt in one way, drawn by weight from those it offers."""
    ways = list(SPOILS)
    while ways:
        chosen = rng.choices(range(len(ways)), [weight for _, weight in ways])[0]
        spoil, _ = ways.pop(chosen)
        # Half of them on top of another wording: a changed word must not be what gives it away.
        base = paraphrase(text, rng) if rng.random() < 0.5 else text
        made = spoil(base, context, rng)
        if made is not None and made.text != base:
            return made
    return None


def paraphrase(text: str, rng: random.Random) -> str:
    """The sentence in other words, or with less in it; what it says is still said by the original."""
    for change in rng.sample(_CHANGES, rng.choice((0, 1, 2, 2))):
        text = change(text, rng)
    return text


def _other_words(text: str, rng: random.Random) -> str:
    def put(found: "re.Match[str]") -> str:
        word = found.group()
        return _SAME[word].replace("~", " ") if word in _SAME and rng.random() < 0.8 else word

    return re.sub(r"[a-z]+", put, text)


def _less(text: str, rng: random.Random) -> str:
    shorter = _BRACKET.sub("", _CLAUSE.sub("", text, count=1))
    return shorter if len(shorter) > 25 else text


def _without_lead(text: str, rng: random.Random) -> str:
    shorter = _LEAD.sub("", text)
    return shorter[:1].upper() + shorter[1:] if len(shorter) > 25 else text


def _led_in(text: str, rng: random.Random) -> str:
    lead = rng.choice(("According to the text, ", "Yes, ", "It is said that ", "Well, "))
    return lead + text


def _moved(text: str, rng: random.Random) -> str:
    """A leading phrase to the end."""
    found = _LEAD.match(text)
    if not found:
        return text
    lead, body = found.group().rstrip(", "), text[found.end() :].rstrip(".")
    return body[:1].upper() + body[1:] + " " + lead[:1].lower() + lead[1:] + "."


def _lower(text: str, rng: random.Random) -> str:
    """As chat models of the data sets write."""
    return text.lower()


def _head(text: str, rng: random.Random) -> str:
    """The part before a conjunction, where it stands alone."""
    found = re.search(r"(?:, and|;|, but) (?=\w+ \w+)", text)
    return text[: found.start()] + "." if found and found.start() > 30 else text


_CHANGES = (_other_words, _less, _without_lead, _led_in, _moved, _lower, _head)


def sentences(text: str) -> list[str]:
    """Sentences of 25 to 350 characters."""
    from agents.scorers.sentences import split  # noqa: PLC0415

    found = (text[span.start : span.end].strip() for span in split(text))
    return [one for one in found if 25 <= len(one) <= 350]
