"""What an index's catalog says: its versions, oldest build first, and which one is live.

The catalog is one small file, replaced in one step. A version exists from the moment it is in the catalog;
whatever a crash left elsewhere is never looked at.
"""

import hashlib
import os
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import quote, unquote

import msgspec
from msgspec import Struct

from agents.errors import ConfigurationError
from schemas.common import Passage

CATALOG = "catalog.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")


class DocumentRecord(Struct, frozen=True, kw_only=True):
    """A document of a version: its source, the hash of its text, and how many passages it gave."""

    source: str
    sha256: str
    passages: int


class IndexVersion(Struct, frozen=True, kw_only=True):
    """One build. `version` is `name@hash` of its passages and its embedder; `lance_version` is where it lies."""

    version: str
    lance_version: int
    built_at: datetime
    embedder: str
    passages: int
    documents: tuple[DocumentRecord, ...]


class Catalog(Struct, frozen=True, kw_only=True):
    """An index: its versions in the order they were built, and the live one."""

    name: str
    live: str
    versions: tuple[IndexVersion, ...]

    def current(self) -> IndexVersion:
        """The live version."""
        return next(version for version in self.versions if version.version == self.live)


def check_name(name: str) -> None:
    """Names are those that a request may carry.

    Raises:
        ConfigurationError: it is not such a name.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} cannot name an index: letters, digits and . _ / - after a letter or digit, at most 100"
        )


def index_folder(directory: Path, name: str) -> Path:
    """Where an index lies: one folder each, whatever is in its name."""
    return directory / quote(name, safe="")


def index_names(directory: Path) -> list[str]:
    """Every index that has a catalog."""
    return sorted(unquote(file.parent.name) for file in directory.glob(f"*/{CATALOG}"))


def version_of(name: str, passages: Sequence[Passage], embedder: str) -> str:
    """`name@hash` over everything that shapes what a search finds."""
    digest = hashlib.sha256(embedder.encode())
    for passage in passages:
        digest.update(msgspec.json.encode([passage.id, sorted(passage.metadata.items())]))
    return f"{name}@{digest.hexdigest()[:12]}"


def documents_of(passages: Sequence[Passage]) -> tuple[DocumentRecord, ...]:
    """The documents that passages were cut from, by source."""
    counts = Counter((passage.source, passage.metadata.get("sha256", "")) for passage in passages)
    return tuple(
        DocumentRecord(source=source, sha256=sha256, passages=count)
        for (source, sha256), count in sorted(counts.items())
    )


def read_catalog(file: Path) -> Catalog | None:
    """The catalog; None where there is none.

    Raises:
        ConfigurationError: the file is damaged.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=Catalog)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise ConfigurationError(
            f"the catalog {file} cannot be read: {error}; build the index again"
        ) from None


def write_catalog(file: Path, catalog: Catalog) -> None:
    """Replace the catalog in one step that survives a crash: readers see the old one or the new one."""
    content = msgspec.json.format(msgspec.json.encode(catalog))
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=".catalog-")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
