"""The embedded retriever: indexes of an `IndexStore` in memory, following whatever version is live.

A build or a rollback in another process replaces the catalog file. `version` sees that by a look at the
file's times, reads the new version in a thread, and answers with the old one until the new one is ready.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TypeVar

from agents.errors import ConfigurationError
from agents.ports import Embedder, Vectors
from agents.retrievers.lance import IndexStore
from agents.retrievers.snapshot import Snapshot
from schemas.common import Passage

T = TypeVar("T")
_log = logging.getLogger(__name__)

KEPT_VERSIONS = 4
"""Versions kept in memory beside the live ones, for requests that were admitted before a switch."""
KEPT_QUERIES = 1024

Stamp = tuple[int, int, int]
"""Time, file number and size of a catalog: different after every switch."""


@dataclass(slots=True)
class _Live:
    """The live snapshot of one index, as of `stamp`; `loading` is the next one, on its way."""

    stamp: Stamp | None = None
    snapshot: Snapshot | None = None
    loading: "Future[Snapshot] | None" = None


class EmbeddedRetriever:
    """A `Retriever`. Embedding, searching and loading run in `executor`, whose owner shuts it down.

    `search` takes a version (`name@hash`, as `version` gives it) as well as a name, so that what was found
    and what the lineage says agree while the live version changes.
    """

    def __init__(self, store: IndexStore, embedder: Embedder, executor: Executor) -> None:
        self._store = store
        self._embedder = embedder
        self._executor = executor
        self._lock = Lock()
        self._live: dict[str, _Live] = {}
        self._recent: OrderedDict[str, Snapshot] = OrderedDict()
        self._queries: OrderedDict[str, Vectors] = OrderedDict()

    def load_all(self) -> None:
        """Begin to read every index, so that the first search need not wait for all of it."""
        for catalog in self._store.list():
            self.version(catalog.name)

    def version(self, index: str) -> str:
        """The version that a search finds now; until it is in memory, the one the catalog names.

        Raises:
            UnknownPart: there is no such index.
        """
        live = self._follow(index)
        if live.snapshot is not None:
            return live.snapshot.version
        self._loading(index, live)
        return self._store.catalog(index).live

    async def search(self, index: str, query: str, top_k: int, filters: Mapping[str, str]) -> list[Passage]:
        """The best passages, best first. A filter may name any metadata of a passage, and `source`.

        Raises:
            UnknownPart: there is no such index or version.
            ConfigurationError: the index was built with another embedder, or its data is gone.
        """
        snapshot = await self._snapshot(index)
        if not query.strip() or top_k < 1:
            return []
        return await self._off_loop(lambda: snapshot.search(query, self._vector(query), top_k, filters))

    async def _snapshot(self, index: str) -> Snapshot:
        name, _, digest = index.partition("@")
        live = self._follow(name)
        snapshot = live.snapshot
        if snapshot is None:
            # shielded, because all who wait share it: one who gives up must not cancel it for the others
            snapshot = await asyncio.shield(asyncio.wrap_future(self._loading(name, live)))
        if not digest or snapshot.version == index:
            return snapshot
        return await self._off_loop(lambda: self._read(name, index))

    def _follow(self, name: str) -> _Live:
        """The state of an index, after starting to load what its catalog now names, if that is new."""
        stamp = _stamp(self._store.catalog_file(name))
        with self._lock:
            live = self._live.get(name)
            if stamp is not None and live is not None and live.stamp == stamp:
                return live
        if stamp is None:
            self._store.catalog(name)  # says which indexes there are
        with self._lock:
            live = self._live.setdefault(name, _Live())
            if live.stamp != stamp and live.loading is None and live.snapshot is not None:
                live.loading = self._executor.submit(self._switch, name, stamp)
            return live

    def _loading(self, name: str, live: _Live) -> "Future[Snapshot]":
        """The first load of an index, shared by all who wait for it."""
        with self._lock:
            if live.loading is None:
                stamp = _stamp(self._store.catalog_file(name))
                live.loading = self._executor.submit(self._switch, name, stamp)
            return live.loading

    def _switch(self, name: str, stamp: Stamp | None) -> Snapshot:
        """Load the live version and put it in the old one's place; on failure the old one stays."""
        live = self._live[name]
        try:
            snapshot = self._read(name, self._store.catalog(name).live)
        except Exception as error:
            with self._lock:  # the old one serves on; the next change of the catalog is another chance
                live.loading = None
                live.stamp = stamp if live.snapshot else None
            if live.snapshot is not None:
                _log.error("index %s stays at %s: %s", name, live.snapshot.version, error)
            raise
        with self._lock:
            live.snapshot, live.stamp, live.loading = snapshot, stamp, None
        return snapshot

    def _read(self, name: str, version: str) -> Snapshot:
        with self._lock:
            if version in self._recent:
                self._recent.move_to_end(version)
                return self._recent[version]
        stored = self._store.load(name, version)
        if stored.record.embedder != self._embedder.version:
            raise ConfigurationError(
                f"{version} was built with {stored.record.embedder}, and the embedder here is "
                f"{self._embedder.version}: build the index again"
            )
        snapshot = Snapshot(stored)
        with self._lock:
            _keep(self._recent, version, snapshot, KEPT_VERSIONS)
        return snapshot

    def _vector(self, query: str) -> Vectors:
        with self._lock:
            known = self._queries.get(query)
            if known is not None:
                self._queries.move_to_end(query)
                return known
        vector: Vectors = self._embedder.embed([query])[0]
        with self._lock:
            _keep(self._queries, query, vector, KEPT_QUERIES)
        return vector

    async def _off_loop(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


def _stamp(file: Path) -> Stamp | None:
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def _keep(cache: OrderedDict[str, T], key: str, value: T, limit: int) -> None:
    """Add the newest and drop the oldest beyond the limit."""
    cache[key] = value
    cache.move_to_end(key)
    while len(cache) > limit:
        cache.popitem(last=False)
