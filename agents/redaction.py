"""Finds declared patterns in a text and replaces what they match."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Check = Literal["luhn"]


@dataclass(frozen=True, slots=True)
class Redaction:
    """One declared pattern; `check` is a checksum that a match must also pass."""

    name: str
    pattern: re.Pattern[str]
    check: Check | None = None

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where it matches, as characters `start:end`."""
        return [m.span() for m in self.pattern.finditer(text) if m[0] and self._passes(m[0])]

    def _passes(self, found: str) -> bool:
        return self.check is None or luhn(found)


def redact(text: str, redactions: Mapping[str, Redaction]) -> tuple[str, dict[str, int]]:
    """The text with every match replaced by `[REDACTED:name]`, and how often each name matched.

    All patterns see the original text, so what one replaced cannot hide a match of another; overlapping
    matches become one, under the name of the first.
    """
    found = sorted(
        (
            (start, -end, order, name)
            for order, (name, r) in enumerate(redactions.items())
            for start, end in r.spans(text)
        )
    )
    pieces: list[str] = []
    counts: dict[str, int] = {}
    done = 0
    for start, minus_end, _, name in found:
        end = -minus_end
        if start >= done:
            pieces += [text[done:start], f"[REDACTED:{name}]"]
            counts[name] = counts.get(name, 0) + 1
        done = max(done, end)
    return "".join([*pieces, text[done:]]), counts


def luhn(text: str) -> bool:
    """Whether the digits pass the check that payment card numbers carry (ISO/IEC 7812-1, annex B)."""
    digits = [int(c) for c in text if c.isdecimal()]
    doubled = [d * 2 - 9 if d > 4 else d * 2 for d in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
