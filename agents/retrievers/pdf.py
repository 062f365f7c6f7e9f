"""PDF to a document: the text of its pages, with the page's number on each block."""

from pathlib import Path

from pypdf import PdfReader
from pypdf.errors import FileNotDecryptedError

from agents.retrievers.documents import Block, Document, UnreadableDocument, paragraphs


def read_pdf(path: Path, source: str) -> Document:
    """The text of all pages, an empty line between them; offsets count in this text, pages from 1.

    Raises:
        UnreadableDocument: it is damaged, or locked by a password.
    """
    pages, title = _pages(path)
    blocks, at = [], 0
    for number, page in enumerate(pages, start=1):
        blocks += [Block(at + start, at + end, page=number) for start, end in paragraphs(page)]
        at += len(page) + 2
    metadata = {"format": "pdf"} | ({"title": title} if title else {})
    return Document(source, "\n\n".join(pages), tuple(blocks), metadata)


def _pages(path: Path) -> tuple[list[str], str]:
    try:
        reader = PdfReader(path)
        pages = [_clean(page.extract_text()) for page in reader.pages]
        title = reader.metadata.title if reader.metadata else None
    except FileNotDecryptedError:
        raise UnreadableDocument(path, "encrypted", "the PDF is locked by a password") from None
    except Exception as error:  # the library raises a dozen kinds for a damaged file, some of them builtin
        reason = str(error) or type(error).__name__
        raise UnreadableDocument(path, "damaged", f"the PDF cannot be read: {reason}") from error
    return pages, str(title or "").strip()


def _clean(text: str) -> str:
    """Without the characters that no text holds: lone surrogates and null, left by broken font tables."""
    return "".join(c for c in text if c != "\x00" and not "\ud800" <= c <= "\udfff")
