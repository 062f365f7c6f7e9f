"""Text to sentences with character offsets, and which of them claim anything."""

import re
from dataclasses import dataclass

_CITATION = re.compile(r"\[\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*\]")
_TRAILING_CITATIONS = re.compile(r"(?:[ \t]*\[\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*\])+")
_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’»)\]]*+(?=\s|\[\d|$)|[。！？]+[”’」』）]*|\n+")
_LINE_MARK = re.compile(r"\s*(?:(?:[-*•–]|#{1,6}|\d{1,3}[.)]|>)\s+)*")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[\"“])(?:[A-Za-z]|(?:[A-Za-z]\.)+[A-Za-z]|mrs?|ms|dr|prof|st|jr|sr|vs|etc|cf|al|nos?|vol|fig|pp"
    r"|inc|ltd|co|corp|gen|col|sgt|capt|lt|rev|hon|approx|ca|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)$",
    re.IGNORECASE,
)
_LETTER = re.compile(r"[^\W_]")
_SOURCES = (
    r"(?:the|these|your|any of the|none of the) (?:given |provided |retrieved )?"
    r"(?:passages?|context|sources?|documents?|texts?|information)(?: (?:given|provided))?"
)
_NOT = r"(?: not|n['’]t)"
_NO_CLAIM = re.compile(
    r"\W*(?:unfortunately,? |sorry,? )?(?:"
    # greetings and manners, nothing after them
    r"(?:hi|hello|hey|thanks|thank you|you['’]re welcome|welcome|sure|certainly|of course|ok(?:ay)?|sorry"
    r"|yes|no|good (?:morning|afternoon|evening|question)|great question|have a (?:\w+ )?day)"
    r"(?:[,!. ]+(?:there|again|everyone|i can help(?: you)?(?: with that)?|for (?:asking|your question)"
    r"|have a (?:\w+ )?day))*\W*$"
    r"|(?:i|we) hope (?:this|that|it)\b|(?:please )?(?:let me know|feel free)\b"
    # refusals
    r"|(?:i|we)(?: am|['’]m| are|['’]re) (?:sorry|afraid|unable|not (?:sure|able))\b"
    rf"|(?:i|we) (?:do|did|ca|can|could){_NOT} (?:know|find|see|answer|tell|have (?:any |enough |that )?"
    r"(?:information|details))\b"
    r"|(?:i|we) cannot (?:know|find|see|answer|tell)\b"
    r"|(?:there is )?no (?:\w+ )?(?:information|mention|answer)\b"
    rf"|(?:this|that|it) is(?:{_NOT}) (?:mentioned|stated|covered|said)\b"
    rf"|{_SOURCES} (?:do(?:es)?{_NOT}|says? nothing|gives? no|contains? no)\b"
    # an introduction to what follows
    rf"|(?:based on|according to) {_SOURCES}\W*$"
    r")",
    re.IGNORECASE,
)
_TURN = re.compile(r"\b(?:but|however|although|though|yet|except)\b|;|:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start:end` of a text."""

    start: int
    end: int


def without_citations(text: str) -> str:
    """The text with its citation markers (`[1]`, `[2, 3]`) blanked out, so that offsets stay."""
    return _CITATION.sub(lambda found: " " * len(found.group()), text)


def split(text: str) -> list[Span]:
    """Sentences and list items, without list marks and surrounding space; citations stay with theirs.

    Rules, no model: a sentence that ends in an abbreviation may be joined to the next one.
    """
    spans, start = [], 0
    for end in _ends(text):
        first = _LINE_MARK.match(text, start, end)
        begin = first.end() if first else start
        stop = begin + len(text[begin:end].rstrip())
        if _LETTER.search(text, begin, stop):
            spans.append(Span(begin, stop))
        start = end
    return spans


def _ends(text: str) -> list[int]:
    ends = []
    after = 0
    capitals = not text.islower()
    for found in _END.finditer(text):
        if found.start() < after:
            continue
        if found.group()[0] in ".…" and _continues(text, found, capitals):
            continue
        trailing = _TRAILING_CITATIONS.match(text, found.end())
        after = trailing.end() if trailing else found.end()
        ends.append(after)
    return ends if ends and ends[-1] == len(text) else [*ends, len(text)]


def _continues(text: str, stop: "re.Match[str]", capitals: bool) -> bool:  # noqa: FBT001  # private
    """Whether this full stop ends an abbreviation, an initial or a list number, or a small letter follows.

    The last counts only in a text that writes `capitals` at all.
    """
    dot, end = stop.span()
    before = text[max(0, dot - 12) : dot].rpartition("\n")  # a bounded look: the text may be hostile
    following = text[end : end + 2].strip()[:1]
    if following.islower():
        return capitals
    if stop.group() == "." and _ABBREVIATION.search(before[2]):
        return bool(following)
    return before[2].strip(" \t").isdigit() and (before[1] == "\n" or dot <= 12)


def claims(sentence: str) -> bool:
    """Whether a sentence states something that passages could support: no greeting, question or refusal."""
    plain = without_citations(sentence).strip()
    if not _LETTER.search(plain) or plain.rstrip("\"'”’»)] ").endswith(("?", "？")):
        return False
    found = _NO_CLAIM.match(plain)
    return found is None or bool(_TURN.search(plain, found.end()))
