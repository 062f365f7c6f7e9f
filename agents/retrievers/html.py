"""HTML to a document: the text a reader of the page sees, in its order, with the headings above it."""

import re
from collections.abc import Iterator

from bs4 import BeautifulSoup, Tag
from bs4.element import NavigableString, PreformattedString

from agents.retrievers.documents import Block, Document, HeadingPath

_HIDDEN = frozenset({"head", "script", "style", "noscript", "template", "nav", "footer", "svg", "form"})
_BLOCKS = frozenset(
    "address article aside blockquote body dd details div dl dt fieldset figcaption figure h1 h2 h3 h4 h5 h6 "  # noqa: SIM905
    "header hr html li main ol p pre section summary table tbody td tfoot th thead tr ul".split()
)
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_WHOLE = frozenset({"pre", "tr"})
"""Taken as one block: code keeps its line breaks, a table's row its cells."""


def read_html(markup: str, source: str) -> Document:
    """The visible text of a page, blocks separated by an empty line; offsets count in this text.

    `title` is in the metadata where the page has one. A page without any text has no blocks.
    """
    soup = BeautifulSoup(markup, "html.parser")
    metadata = {"format": "html"}
    if soup.title and (title := _squeezed(soup.title.get_text())):
        metadata["title"] = title
    pieces, blocks, at, path = [], [], 0, HeadingPath()
    for name, text in _pieces(soup):
        if name in _HEADINGS:
            path.enter(int(name[1]), text)
        else:
            blocks.append(Block(at, at + len(text), path.now()))
        pieces.append(text)
        at += len(text) + 2
    return Document(source, "\n\n".join(pieces), tuple(blocks), metadata)


def _pieces(element: Tag) -> Iterator[tuple[str, str]]:
    """Tag name and text of each block that holds no other block; loose text between blocks counts as one."""
    loose: list[str] = []
    for child in element.children:
        if isinstance(child, PreformattedString):  # comments, doctypes
            continue
        if isinstance(child, NavigableString):
            loose.append(str(child))
        elif isinstance(child, Tag) and child.name in _HIDDEN:
            continue
        elif isinstance(child, Tag) and _holds_block(child):
            yield from _flush(element.name, loose)
            whole = child.name in _WHOLE or child.name in _HEADINGS
            yield from (
                _whole(child.name, child.get_text(" " if child.name == "tr" else ""))
                if whole
                else _pieces(child)
            )
        elif isinstance(child, Tag):
            loose.append("\n" if child.name == "br" else child.get_text())
    yield from _flush(element.name, loose)


def _holds_block(tag: Tag) -> bool:
    return tag.name in _BLOCKS or tag.find(list(_BLOCKS)) is not None


def _whole(name: str, text: str) -> Iterator[tuple[str, str]]:
    text = text.strip("\n").rstrip() if name == "pre" else _squeezed(text)
    if text.strip():
        yield name, text


def _flush(name: str, loose: list[str]) -> Iterator[tuple[str, str]]:
    text = _squeezed("".join(loose))
    loose.clear()
    if text:
        yield name, text


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
