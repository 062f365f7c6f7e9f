"""Files to documents: text, Markdown, HTML and PDF, each read by a library that knows the format."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from markdown_it import MarkdownIt

from agents.retrievers.documents import Block, Document, HeadingPath, UnreadableDocument, paragraphs
from agents.retrievers.html import read_html
from agents.retrievers.pdf import read_pdf

Reader = Callable[[Path, str], Document]


def read_document(path: Path, source: str | None = None) -> Document:
    """Read a file; its suffix says how. `source` is the name that citations show, the file's name by default.

    Raises:
        UnreadableDocument: no such file, a suffix not in `SUFFIXES`, not UTF-8, damaged, or without text.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(sorted(SUFFIXES))
        raise UnreadableDocument(path, "unknown_suffix", f"the suffix {path.suffix!r} is not one of {known}")
    if not path.is_file():
        raise UnreadableDocument(path, "missing", "there is no such file")
    document = reader(path, source or path.name)
    if not document.blocks:
        raise UnreadableDocument(path, "empty", "there is no text in it")
    return document


def read_utf8(path: Path) -> str:
    """The text of a file, without a byte order mark, lines ending in a plain line feed.

    Raises:
        UnreadableDocument: it is not UTF-8, or cannot be opened.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableDocument(path, "not_utf8", f"byte {error.start} is not UTF-8 text") from None
    except OSError as error:
        raise UnreadableDocument(path, "missing", f"it cannot be opened: {error.strerror}") from None
    return _plain_lines(text)


def _plain_lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _text(path: Path, source: str) -> Document:
    text = read_utf8(path)
    blocks = tuple(Block(start, end) for start, end in paragraphs(text))
    return Document(source, text, blocks, {"format": "text"})


def markdown_document(text: str, source: str) -> Document:
    """Blocks are those of CommonMark with tables; a list or a quotation is one block with all it holds."""
    text = _plain_lines(text)
    return Document(source, text, tuple(_markdown_blocks(text)), {"format": "markdown"})


def _markdown_blocks(text: str) -> Iterator[Block]:
    lines = [0]
    for line in text.split("\n"):
        lines.append(lines[-1] + len(line) + 1)
    path = HeadingPath()
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    for token, content in zip(tokens, [*tokens[1:], None], strict=False):
        if token.level or token.map is None:
            continue
        if token.type == "heading_open" and content is not None:
            path.enter(int(token.tag[1]), _plain(content.content))
        elif token.type not in {"hr", "html_block"}:
            span = _trimmed(text, lines[token.map[0]], min(lines[token.map[1]], len(text)))
            if span:
                yield Block(*span, path.now())


def _plain(heading: str) -> str:
    """A heading without its marks: emphasis, code and link targets."""
    return re.sub(r"[*`]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip()


def _trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    body = text[start:end]
    if not body.strip():
        return None
    return start + len(body) - len(body.lstrip("\n")), start + len(body.rstrip())


def _markdown(path: Path, source: str) -> Document:
    return markdown_document(read_utf8(path), source)


def _html(path: Path, source: str) -> Document:
    return read_html(read_utf8(path), source)


_READERS: dict[str, Reader] = {
    ".txt": _text,
    ".md": _markdown,
    ".markdown": _markdown,
    ".html": _html,
    ".htm": _html,
    ".pdf": read_pdf,
}
SUFFIXES = frozenset(_READERS)
"""What `read_document` can read."""
