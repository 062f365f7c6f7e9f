"""Paths to documents: folders are walked, and a bad file is reported while the others go on."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agents.retrievers.documents import Document, UnreadableDocument
from agents.retrievers.readers import SUFFIXES, read_document


@dataclass(frozen=True, slots=True)
class Collection:
    """What was read, and what could not be."""

    documents: Sequence[Document]
    problems: Sequence[UnreadableDocument]


def collect(paths: Iterable[Path]) -> Collection:
    """Read files, and in folders every file of a known suffix; never raises for a bad file.

    A document's source is its path below the folder that was given, or the file's name; the folder part is
    its metadata `folder`. A second file of the same source is a problem, because citations could not tell
    them apart.
    """
    documents: dict[str, Document] = {}
    problems: list[UnreadableDocument] = []
    for path, source in _files(paths):
        try:
            if source in documents:
                message = f"another document is already called {source!r}"
                raise UnreadableDocument(path, "duplicate_source", message)  # noqa: TRY301  # reported below
            document = read_document(path, source)
        except UnreadableDocument as problem:
            problems.append(problem)
        else:
            folder = source.rpartition("/")[0]
            extra = {"folder": folder} if folder else {}
            documents[source] = replace(document, metadata={**document.metadata, **extra})
    return Collection(tuple(documents.values()), tuple(problems))


def _files(paths: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    for path in paths:
        if not path.is_dir():
            yield path, path.name
            continue
        for file in sorted(path.rglob("*")):
            inside = file.relative_to(path)
            if file.is_file() and file.suffix.lower() in SUFFIXES and not _hidden(inside):
                yield file, inside.as_posix()


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
