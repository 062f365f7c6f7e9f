"""The store of record of every index: LanceDB keeps each version's passages and vectors.

An index is a folder with a LanceDB table, of which each build is a version, and a catalog that says which
version is live. A build writes the table first and the catalog last, so a crash leaves the live version as
it was. Nothing is deleted; a rollback only changes the catalog.
"""

import fcntl
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from agents.errors import ConfigurationError, UnknownPart
from agents.ports import Clock, Embedder, Vectors
from agents.retrievers.chunking import embedding_text
from agents.retrievers.versions import (
    CATALOG,
    Catalog,
    IndexVersion,
    check_name,
    documents_of,
    index_folder,
    index_names,
    read_catalog,
    version_of,
    write_catalog,
)
from schemas.common import Passage

TABLE = "passages"
BATCH = 16
"""Texts embedded between two reports of progress."""

Progress = Callable[[int, int, str], None]
"""Called with what is done, the total, and the stage: `embedding` or `writing`."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A version with its content: `vectors[i]` belongs to `passages[i]`."""

    record: IndexVersion
    passages: tuple[Passage, ...]
    vectors: Vectors


class IndexStore:
    """All indexes below one directory. Blocking; any number may read, one process at a time builds an index."""

    def __init__(self, directory: Path, clock: Clock = lambda: datetime.now(UTC)) -> None:
        self._directory = directory
        self._clock = clock

    def list(self) -> tuple[Catalog, ...]:
        """Every index with its versions, by name."""
        catalogs = (read_catalog(self.catalog_file(name)) for name in index_names(self._directory))
        return tuple(catalog for catalog in catalogs if catalog is not None)

    def catalog(self, name: str) -> Catalog:
        """One index with its versions.

        Raises:
            UnknownPart: there is no such index.
        """
        catalog = read_catalog(self.catalog_file(name))
        if catalog is None:
            raise UnknownPart("index", name, index_names(self._directory))
        return catalog

    def catalog_file(self, name: str) -> Path:
        """The file that changes whenever the live version does."""
        return index_folder(self._directory, name) / CATALOG

    def build(
        self, name: str, passages: Sequence[Passage], embedder: Embedder, progress: Progress | None = None
    ) -> IndexVersion:
        """Make these passages the live version; what is embedded already is not embedded again.

        Content that was built before gets its old version back. The order of the passages does not matter.

        Raises:
            ConfigurationError: no passages, a bad name, or another process is building this index.
        """
        check_name(name)
        with self._locked(name):
            return self._build(name, passages, embedder, progress or _silent)

    def add(
        self, name: str, passages: Sequence[Passage], embedder: Embedder, progress: Progress | None = None
    ) -> IndexVersion:
        """Build a version with these passages and those of the live one; a source that is in both is replaced.

        Raises:
            UnknownPart: there is no such index.
            ConfigurationError: as `build`.
        """
        self.catalog(name)
        replaced = {passage.source for passage in passages}
        with self._locked(name):
            kept = [passage for passage in self.load(name).passages if passage.source not in replaced]
            return self._build(name, [*kept, *passages], embedder, progress or _silent)

    def rollback(self, name: str, to: str | None = None) -> IndexVersion:
        """Make an older version live: `to` (`name@hash` or the start of the hash), or the one built before.

        Raises:
            UnknownPart: no such index, no such version, or none was built before the live one.
        """
        self.catalog(name)
        with self._locked(name):
            catalog = self.catalog(name)
            target = _find(catalog, to) if to else _before(catalog)
            write_catalog(self.catalog_file(name), msgspec.structs.replace(catalog, live=target.version))
            return target

    def load(self, name: str, version: str | None = None) -> Stored:
        """Read a version, the live one by default.

        Raises:
            UnknownPart: there is no such index or version.
            ConfigurationError: its data is gone.
        """
        catalog = self.catalog(name)
        record = _find(catalog, version) if version else catalog.current()
        try:
            table = self._database(name).open_table(TABLE)
            table.checkout(record.lance_version)
            rows = table.to_arrow()
        except (ValueError, OSError, RuntimeError) as error:
            message = f"the data of {record.version} cannot be read: {error}; build the index again"
            raise ConfigurationError(message) from error
        return Stored(record, tuple(_passages(rows)), _vectors(rows))

    def _build(
        self, name: str, passages: Iterable[Passage], embedder: Embedder, progress: Progress
    ) -> IndexVersion:
        ordered = sorted({p.id: p for p in passages}.values(), key=lambda p: (p.source, p.start, p.end, p.id))
        if not ordered:
            raise ConfigurationError(f"there is nothing to put into the index {name!r}")
        file = self.catalog_file(name)
        old = read_catalog(file)
        versions = old.versions if old else ()
        version = version_of(name, ordered, embedder.version)
        record = next((known for known in versions if known.version == version), None)
        if record is None:
            vectors = self._embedded(name, ordered, embedder, progress)
            record = IndexVersion(
                version=version,
                lance_version=self._write(name, ordered, vectors),
                built_at=self._clock(),
                embedder=embedder.version,
                passages=len(ordered),
                documents=documents_of(ordered),
            )
        record = msgspec.structs.replace(record, built_at=self._clock())
        others = tuple(known for known in versions if known.version != version)
        write_catalog(file, Catalog(name=name, live=version, versions=(*others, record)))
        progress(1, 1, "writing")
        return record

    def _embedded(
        self, name: str, passages: Sequence[Passage], embedder: Embedder, progress: Progress
    ) -> Vectors:
        """A vector for each passage; those of the live version serve again where embedder and passage agree."""
        known = self._known(name, embedder.version)
        vectors = np.empty((len(passages), embedder.dimensions), dtype=np.float32)
        missing = []
        for position, passage in enumerate(passages):
            if passage.id in known:
                vectors[position] = known[passage.id]
            else:
                missing.append(position)
        done = len(passages) - len(missing)
        progress(done, len(passages), "embedding")
        for first in range(0, len(missing), BATCH):
            batch = missing[first : first + BATCH]
            vectors[batch] = embedder.embed([embedding_text(passages[position]) for position in batch])
            done += len(batch)
            progress(done, len(passages), "embedding")
        return vectors

    def _known(self, name: str, embedder: str) -> dict[str, Vectors]:
        if read_catalog(self.catalog_file(name)) is None:
            return {}
        try:
            live = self.load(name)
        except ConfigurationError:  # damaged: everything is embedded anew
            return {}
        if live.record.embedder != embedder:
            return {}
        return {passage.id: vector for passage, vector in zip(live.passages, live.vectors, strict=True)}

    def _write(self, name: str, passages: Sequence[Passage], vectors: Vectors) -> int:
        """Write a new version of the table and give its number; readers of older ones are not disturbed."""
        database = self._database(name)
        rows = _rows(passages, vectors)
        try:
            table = database.open_table(TABLE)
        except ValueError:  # none yet, or what a crash left of the first one
            table = database.create_table(TABLE, rows)
        else:
            table.add(rows, mode="overwrite")
        return int(table.version)

    def _database(self, name: str) -> Any:
        import lancedb  # two seconds, which a worker without an index need not spend

        return lancedb.connect(index_folder(self._directory, name) / "lance")

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        folder = index_folder(self._directory, name)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ConfigurationError(f"another process is building the index {name!r}") from None
            yield


def _silent(done: int, total: int, stage: str) -> None:
    del done, total, stage


def _find(catalog: Catalog, version: str) -> IndexVersion:
    digest = version.removeprefix(f"{catalog.name}@")
    found = [known for known in catalog.versions if known.version.partition("@")[2].startswith(digest)]
    if len(found) != 1:
        raise UnknownPart("index version", version, [known.version for known in catalog.versions])
    return found[0]


def _before(catalog: Catalog) -> IndexVersion:
    at = catalog.versions.index(catalog.current())
    if at == 0:
        raise UnknownPart("index version", f"before {catalog.live}", [v.version for v in catalog.versions])
    return catalog.versions[at - 1]


def _rows(passages: Sequence[Passage], vectors: Vectors) -> Any:
    flat = pa.array(np.ascontiguousarray(vectors).reshape(-1), pa.float32())
    return pa.table(
        {
            "id": pa.array([p.id for p in passages], pa.string()),
            "source": pa.array([p.source for p in passages], pa.string()),
            "start": pa.array([p.start for p in passages], pa.int64()),
            "end": pa.array([p.end for p in passages], pa.int64()),
            "text": pa.array([p.text for p in passages], pa.string()),
            "headings": pa.array([list(p.headings) for p in passages], pa.list_(pa.string())),
            "metadata": pa.array([json.dumps(p.metadata) for p in passages], pa.string()),
            "vector": pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]),
        }
    )


def _passages(rows: Any) -> Iterator[Passage]:
    for row in rows.drop_columns(["vector"]).to_pylist():
        metadata = json.loads(row.pop("metadata"))
        yield Passage(**row | {"headings": tuple(row["headings"]), "metadata": metadata})


def _vectors(rows: Any) -> Vectors:
    column = rows["vector"].combine_chunks()
    return np.asarray(column.flatten(), dtype=np.float32).reshape(len(rows), -1)
