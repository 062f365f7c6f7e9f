"""Documents to passages that keep their headings and their exact place."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from itertools import groupby

from agents.retrievers.documents import Block, Document
from schemas.common import Passage

MAX_CHARS = 700
"""About 170 tokens of English: under the 256 that MiniLM was trained on, and five fit a small model's prompt."""

_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]]*(?=\s)|[。！？]|\n\s*\n")

Span = tuple[int, int]


def chunk(document: Document, max_chars: int = MAX_CHARS, overlap_chars: int = 0) -> list[Passage]:
    """Cut a document into passages of at most `max_chars` characters, in its order.

    Blocks are joined while they stand below the same headings, on the same page; one that is too long is cut
    after a sentence, else between words, else anywhere. With `overlap_chars`, a passage may begin with the
    last sentences of the one before it under the same headings, up to so many characters, within `max_chars`.
    Always `document.text[p.start:p.end] == p.text`; every passage holds more than white space.
    """
    if max_chars < 1 or not 0 <= overlap_chars < max_chars:
        raise ValueError("max_chars must be at least 1, and overlap_chars at least 0 and less than max_chars")
    passages: list[Passage] = []
    for (headings, page), blocks in groupby(document.blocks, key=lambda block: (block.headings, block.page)):
        spans = list(_packed(document.text, blocks, max_chars - overlap_chars))
        for before, (start, end) in zip([None, *spans], spans, strict=False):
            start = _overlapping(document.text, before, start, overlap_chars)  # noqa: PLW2901
            passages.append(_passage(document, start, end, headings, page))
    return passages


def _packed(text: str, blocks: Iterable[Block], limit: int) -> Iterator[Span]:
    """Whole blocks together up to the limit; pieces of a long block stand alone."""
    current: Span | None = None
    for block in blocks:
        for piece in _pieces(text, block.start, block.end, limit):
            if current and piece[1] - current[0] <= limit:
                current = current[0], piece[1]
                continue
            if current:
                yield current
            current = piece
    if current:
        yield current


def _pieces(text: str, start: int, end: int, limit: int) -> Iterator[Span]:
    while True:
        start, end = _solid(text, start, end)
        if end - start <= limit:
            break
        cut = _cut(text, start, start + limit)
        yield _solid(text, start, cut)
        start = cut
    if start < end:
        yield start, end


def _solid(text: str, start: int, end: int) -> Span:
    """The span without white space at its ends."""
    body = text[start:end]
    left = start + len(body) - len(body.lstrip())
    return left, max(left, start + len(body.rstrip()))


def _cut(text: str, start: int, limit: int) -> int:
    """Where to end a piece that begins at `start`: the last good place up to `limit`, in its second half."""
    window = text[start : limit + 1]
    half = len(window) // 2
    sentences = [m.end() for m in _SENTENCE_END.finditer(window) if half <= m.end() <= limit - start]
    if sentences:
        return start + sentences[-1]
    for mark in ("\n", " "):
        at = window.rfind(mark, half)
        if at > 0:
            return start + at
    return limit


def _overlapping(text: str, before: Span | None, start: int, overlap: int) -> int:
    """The start of the first whole sentence among the last `overlap` characters before `start`."""
    if before is None or not overlap:
        return start
    low = max(before[0], start - overlap)
    for match in _SENTENCE_END.finditer(text, low, start):
        at, _ = _solid(text, match.end(), start)
        if at < before[1]:
            return at
    return start


def _passage(
    document: Document, start: int, end: int, headings: tuple[str, ...], page: int | None
) -> Passage:
    text = document.text[start:end]
    metadata = {**document.metadata, "sha256": document.sha256}
    if page is not None:
        metadata["page"] = str(page)
    return Passage(
        id=_passage_id(document.source, start, headings, text),
        text=text,
        source=document.source,
        start=start,
        end=end,
        headings=headings,
        metadata=metadata,
    )


def _passage_id(source: str, start: int, headings: tuple[str, ...], text: str) -> str:
    """The same words in the same place have the same id, in every build and on every machine."""
    parts = "\x1f".join([source, str(start), *headings, text])
    return hashlib.sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()[:20]


def embedding_text(passage: Passage) -> str:
    """What is embedded and searched for words: the headings say what the passage is about."""
    return "\n".join([" > ".join(passage.headings), passage.text]) if passage.headings else passage.text
