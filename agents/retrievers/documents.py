"""A document as the readers give it: its text, and the blocks in it with their place and headings."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from agents.errors import SluicegateError

Fault = Literal["missing", "unknown_suffix", "not_utf8", "damaged", "encrypted", "empty", "duplicate_source"]


_PARAGRAPH = re.compile(r"\S(?:.*\S)?(?:[ \t]*\n[ \t]*\S(?:.*\S)?)*")


class UnreadableDocument(SluicegateError):
    """One file cannot be indexed; its owner must act, and the others go on. `fault` says what is wrong."""

    def __init__(self, path: Path, fault: Fault, message: str) -> None:
        self.path, self.fault, self.reason = path, fault, message
        super().__init__(f"{path}: {message}")


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, list, table or piece of code: `document.text[start:end]`, below `headings`."""

    start: int
    end: int
    headings: tuple[str, ...] = ()
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says.

    `text` is the file itself for text and Markdown, and what was taken out of it for HTML and PDF; every
    offset counts characters in it. `metadata` goes onto each passage, where filters can ask for it.
    """

    source: str
    text: str
    blocks: tuple[Block, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """Of the text, in hexadecimal."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()


class HeadingPath:
    """The headings that are open at a place: a heading closes those of its own and of deeper levels."""

    def __init__(self) -> None:
        self._open: list[tuple[int, str]] = []

    def enter(self, level: int, text: str) -> None:
        """A heading of `level` (1 is the highest) begins here."""
        self._open = [(above, title) for above, title in self._open if above < level]
        if text:
            self._open.append((level, text))

    def now(self) -> tuple[str, ...]:
        """Outermost first."""
        return tuple(title for _, title in self._open)


def paragraphs(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each run of lines without an empty line between them."""
    for match in _PARAGRAPH.finditer(text):
        yield match.start(), match.end()
