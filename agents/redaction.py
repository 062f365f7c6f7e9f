"""Takes personal data out of texts that leave, and puts it back for who may see it."""

import hmac
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from agents.privacy.checksums import luhn
from agents.privacy.detectors import Detector, Find, merge

Check = Literal["luhn"]
Style = Literal["plain", "numbered", "hashed"]
"""`[REDACTED:email]`, `[REDACTED:email:1]` or `[REDACTED:email:kdoaplhcnbfm]`."""

_CHECKS = {"luhn": luhn}
_HASH_BYTES = 6
_LETTERS = "abcdefghijklmnop"  # no digits: a hash must not look like a number that is to be redacted


@dataclass(frozen=True, slots=True)
class Redaction:
    """One entry of a policy: what is looked for, and whether the vault may keep what is found."""

    name: str
    detectors: tuple[Detector, ...]
    keep: bool = True

    @classmethod
    def of_pattern(
        cls, name: str, pattern: str, check: Check | None = None, *, keep: bool = True
    ) -> "Redaction":
        """An operator's own pattern; `check` is a checksum that a match must also pass."""
        checked = _CHECKS[check] if check else None
        return cls(name, (Detector(name, re.compile(pattern), checked, looks_inside=False),), keep)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where something is found, as characters `start:end`."""
        return [span for detector in self.detectors for span in detector.spans(text)]


@dataclass(frozen=True, slots=True)
class Redacted:
    """Texts as they may leave, how often each name was replaced, and what stood there, by placeholder."""

    texts: tuple[str, ...]
    counts: dict[str, int]
    values: dict[str, str] = field(repr=False, default_factory=dict)

    @property
    def text(self) -> str:
        """The first text."""
        return self.texts[0]


@dataclass(frozen=True, slots=True)
class Redactor:
    """Carries out a policy's redactions. The same texts give the same placeholders, whenever they are read."""

    redactions: Mapping[str, Redaction]
    style: Style = "plain"
    key: bytes = field(default=b"", repr=False)

    def redact(self, texts: Sequence[str], scope: str = "", before: Sequence[str] = ()) -> Redacted:
        """Replace every find; within the texts the same value has the same placeholder.

        Numbers go on after the highest that the texts or those `before` hold, so that none means two values.
        Hashed placeholders are the same in all texts of a `scope`, a conversation say, and differ between scopes.
        """
        made = _Placeholders(self, scope, self._numbers([*texts, *before]))
        changed = tuple(self._replace(text, made) for text in texts)
        return Redacted(changed, made.counts, made.values)

    def _replace(self, text: str, made: "_Placeholders") -> str:
        # Looked at until nothing is found: what is replaced may have hidden what stood beside it.
        while finds := self._finds(text):
            pieces, done = [], 0
            for one in finds:
                pieces += [text[done : one.start], made.of(one.kind, text[one.start : one.end])]
                done = one.end
            text = "".join([*pieces, text[done:]])
        return text

    def _finds(self, text: str) -> list[Find]:
        """All patterns see the whole text; what lies within a placeholder is none of theirs."""
        found = [Find(*span, name) for name, r in self.redactions.items() for span in r.spans(text)]
        if not found:
            return []
        ends = {m.start(): m.end() for m in self._pattern().finditer(text)}
        starts = [-1, *ends]
        return [f for f in merge(found) if ends.get(starts[bisect_right(starts, f.start) - 1], -1) < f.end]

    def _numbers(self, texts: Sequence[str]) -> dict[str, int]:
        """The highest number in use for each name."""
        highest: dict[str, int] = {}
        if self.style == "numbered":
            for text in texts:
                for match in self._pattern().finditer(text):
                    highest[match[1]] = max(highest.get(match[1], 0), int(match[2] or 0))
        return highest

    def _pattern(self) -> re.Pattern[str]:
        names = "|".join(map(re.escape, self.redactions)) or "(?!)"
        return re.compile(rf"\[REDACTED:({names})(?::(?:([0-9]{{1,6}})|[a-p]{{{2 * _HASH_BYTES}}}))?\]")


@dataclass(slots=True)
class _Placeholders:
    redactor: Redactor
    scope: str
    numbers: dict[str, int]
    counts: dict[str, int] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    _made: dict[tuple[str, str], str] = field(default_factory=dict)

    def of(self, name: str, value: str) -> str:
        self.counts[name] = self.counts.get(name, 0) + 1
        if (name, value) not in self._made:
            placeholder = self._made[name, value] = self._new(name, value)
            if self.redactor.style != "plain" and self.redactor.redactions[name].keep:
                self.values[placeholder] = value
        return self._made[name, value]

    def _new(self, name: str, value: str) -> str:
        if self.redactor.style == "numbered":
            self.numbers[name] = self.numbers.get(name, 0) + 1
            return f"[REDACTED:{name}:{self.numbers[name]}]"
        if self.redactor.style == "hashed":
            told = "\0".join((self.scope, name, value)).encode("utf-8", "surrogatepass")
            digest = hmac.digest(self.redactor.key, told, "sha256")[:_HASH_BYTES]
            return f"[REDACTED:{name}:{''.join(_LETTERS[int(c, 16)] for c in digest.hex())}]"
        return f"[REDACTED:{name}]"


def restore(text: str, values: Mapping[str, str]) -> str:
    """The text with each placeholder replaced by its value; what is not among the values stays."""
    if not values:
        return text
    known = re.compile("|".join(map(re.escape, values)))
    for _ in values:  # a value may itself hold placeholders that were made before it
        restored = known.sub(lambda match: values[match[0]], text)
        if restored == text:
            break
        text = restored
    return text
