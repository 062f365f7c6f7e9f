"""The built-in detectors: one table of names, patterns and checks.

Every pattern is bounded or possessive and begins where a word does, so the time is linear in the text.
Of two finds that overlap the longer names both; of two that are as long, the one further up in the table.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from agents.privacy import checksums

Span = tuple[int, int]
Check = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Find:
    """Characters `start:end` of a text, and what kind of thing they are."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Detector:
    """One kind: its pattern, and the check that a match must pass.

    Where the pattern has a group `value`, that is what was found. `group` is a name for several kinds.
    """

    name: str
    pattern: re.Pattern[str]
    check: Check | None = None
    group: str = "personal"
    looks_inside: bool = True
    """Whether what failed the check is searched again: with a pattern that has no bound that takes too long."""

    def spans(self, text: str) -> Iterator[Span]:
        """Where it is found; what fails the check does not hide a find that begins inside it."""
        at = 0
        while match := self.pattern.search(text, at):
            start, end = _value(match)
            if start == end:
                at = match.end() + 1
            elif self.check is None or self.check(text[start:end]):
                yield start, end
                at = end
            else:
                at = match.start() + 1 if self.looks_inside else match.end()


def find(text: str, detectors: Iterable[Detector]) -> list[Find]:
    """What these detectors find, in the order of the text and without overlaps."""
    found = [Find(*span, detector.name) for detector in detectors for span in detector.spans(text)]
    return merge(found)


def merge(finds: Sequence[Find]) -> list[Find]:
    """Overlapping finds become one, under the kind of the longest; of equals, of the first given."""
    merged: list[Find] = []
    longest = 0
    for one in sorted(finds, key=lambda f: f.start):  # stable: equals keep their order
        length = one.end - one.start
        if not merged or one.start >= merged[-1].end:
            merged.append(one)
            longest = length
            continue
        last = merged[-1]
        kind = one.kind if length > longest else last.kind
        merged[-1] = Find(last.start, max(last.end, one.end), kind)
        longest = max(longest, length)
    return merged


def named(names: Iterable[str]) -> list[Detector]:
    """The detectors of these names or groups, in the order of the table.

    Raises:
        KeyError: with the first name that is neither.
    """
    wanted = set(names)
    for name in sorted(wanted - NAMES):
        raise KeyError(name)
    return [d for d in DETECTORS.values() if {d.name, d.group} & wanted]


def _value(match: re.Match[str]) -> Span:
    named_group = "value" in match.re.groupindex and match["value"] is not None
    return match.span("value") if named_group else match.span()


_IBAN_LENGTHS = {
    15: "NO",
    16: "BE",
    18: "DK FI FO GL NL",
    19: "MK SI",
    20: "AT BA EE KZ LT LU XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HU LB LV PL",
    29: "BR EG PS QA UA",
    30: "JO KW MU",
    31: "MT SC",
    32: "LC",
}
"""Countries by the length of their account numbers, characters."""
_IBAN = "|".join(
    rf"(?:{codes.replace(' ', '|')})\d\d(?: ?[A-Z0-9]){{{length - 4}}}(?![A-Z0-9])"
    for length, codes in _IBAN_LENGTHS.items()
)
_KEYWORDS = (
    "password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|auth[_-]?key"
)
_KEY_BODY = r"(?:(?:\s|\\r|\\n){1,4}+[A-Za-z0-9+/=]{20,}+)*+"
_KEY_END = r"(?:(?:\s|\\r|\\n){0,4}+[A-Za-z0-9+/=]{0,76}+(?:\s|\\r|\\n){0,4}+-----END[A-Z0-9 ]{1,40}-----)?"

_TABLE: tuple[tuple[str, str, str, Check | None], ...] = (
    # Secrets first: a token that also looks like an address is a token.
    (
        "private-key",
        "secrets",
        r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
        rf"(?:(?:\s|\\n){{1,4}}[A-Z][A-Za-z-]{{1,20}}: [^\n\\]{{0,80}}){{0,4}}{_KEY_BODY}{_KEY_END}",
        None,
    ),
    ("aws-access-key", "secrets", r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Za-z0-9])", None),
    (
        "github-token",
        "secrets",
        r"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{36,251}|github_pat_[A-Za-z0-9_]{22,251})",
        None,
    ),
    (
        "slack-token",
        "secrets",
        r"(?<![A-Za-z0-9])(?:xox[abeoprs]-(?:\d-)?[A-Za-z0-9-]{10,250}|xapp-\d-[A-Za-z0-9-]{10,250})"
        r"|https://hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/]{20,100}",
        None,
    ),
    ("google-api-key", "secrets", r"(?<![A-Za-z0-9])AIza[0-9A-Za-z_-]{35}(?![0-9A-Za-z_-])", None),
    (
        "stripe-key",
        "secrets",
        r"(?<![A-Za-z0-9])(?:(?:sk|rk)_(?:live|test)_|whsec_)[0-9A-Za-z]{16,247}",
        None,
    ),
    ("openai-key", "secrets", r"(?<![A-Za-z0-9_-])sk-[A-Za-z0-9_-]{20,250}", checksums.random_looking),
    (
        "jwt",
        "secrets",
        r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,4000}+\.[A-Za-z0-9_-]{2,8000}+\.[A-Za-z0-9_-]{0,4000}+",
        checksums.jwt,
    ),
    (
        "url-password",
        "secrets",
        r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{1,30}://[^\s/:@\"'<>\[\]{}]{0,256}+:"
        r"[^\s/@\"'<>\[\]{}]{1,256}+@[A-Za-z0-9_.-]{1,253}",
        None,
    ),
    (
        "password",
        "secrets",
        rf"(?i)(?<![A-Za-z0-9_.-])[A-Za-z0-9_.-]{{0,40}}?(?:{_KEYWORDS})[A-Za-z0-9_-]{{0,20}}+"
        r"[\"']?\s{0,3}(?::=|=>|[:=])\s{0,3}[\"'`]?(?P<value>[^\s\"'`,;<>\[\](){}]{8,200}+)",
        checksums.guarded_value,
    ),
    ("iban", "personal", rf"(?ai)(?<![A-Z0-9])(?=[A-Z]{{2}}\d\d)(?:{_IBAN})", checksums.iban),
    (
        "card",
        "personal",
        r"(?<![\w-])(?:\d{4}([ -])\d{4}\1\d{4}\1\d{4}|\d{4}([ -])\d{6}\2\d{5}|(?:\d[ -]?){12,18}\d)(?![\w-])",
        checksums.card,
    ),
    (
        "crypto-address",
        "personal",
        r"(?<!\w)(?:[13][1-9A-HJ-NP-Za-km-z]{25,34}|(?ai:bc1[ac-hj-np-z02-9]{11,87}))(?!\w)",
        checksums.bitcoin,
    ),
    (
        "us-ssn",
        "national-ids",
        r"(?<![\w-])(?!000|666|9)\d{3}([ -])(?!00)\d{2}\1(?!0000)\d{4}(?![\w-])",
        None,
    ),
    (
        "uk-nhs",
        "national-ids",
        r"(?<![\w.-])\d{3} \d{3} \d{4}(?![\w-])"
        r"|(?<!\w)NHS(?: [Nn]umber| [Nn]o\.?)?[:#]?(?: is)? {0,2}(?P<value>\d{10})(?!\w)",
        checksums.nhs,
    ),
    (
        "uk-nino",
        "national-ids",
        r"(?<!\w)(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D](?!\w)",
        None,
    ),
    (
        "german-tax-id",
        "national-ids",
        r"(?<![\w.-])[1-9]\d ?\d{3} ?\d{3} ?\d{3}(?![\w-])",
        checksums.german_tax_id,
    ),
    ("email", "personal", r"(?<![\w.+-])[\w.+-]{1,128}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}", None),
    (
        "ipv4",
        "personal",
        r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\d)",
        checksums.ip_address,
    ),
    (
        "ipv6",
        "personal",
        r"(?<![\w:.])[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:(?<=:)(?:\d{1,3}\.){3}\d{1,3})?(?![\w:])",
        checksums.ip_address,
    ),
    (
        "mac",
        "personal",
        r"(?<![\w:-])(?:[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}"
        r"|(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4})(?![\w:-])",
        checksums.hardware_address,
    ),
    (
        "phone",
        "personal",
        r"(?<![\w.,/+-])(?:\+[1-9](?:[ .()/\u00a0-]{0,3}\d){6,14}"
        r"|(?:1[ .-])?(?:\(\d{3}\)[ .-]?|\d{3}[ .-])\d{3}[ .-]\d{4}"
        r"|(?<!\d )(?:(?:0[1-9]\d{0,3}[ /-]|\(0[1-9]\d{0,3}\) ?)\d{2,8}(?:[ -]\d{2,6}){0,4}|0[1-9]\d{9}))"
        r"(?![\w:]|[.,]\d)",
        checksums.phone,
    ),
)

DETECTORS: dict[str, Detector] = {
    name: Detector(name, re.compile(pattern), check, group) for name, group, pattern, check in _TABLE
}
NAMES: frozenset[str] = frozenset(DETECTORS) | {detector.group for detector in DETECTORS.values()}
"""What a policy or an option may name: detectors, and groups of them."""
