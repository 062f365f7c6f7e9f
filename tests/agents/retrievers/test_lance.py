"""Indexes have versions: a build makes one live in one step, and none is ever lost."""

import json
import subprocess
import sys
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest

from agents.errors import ConfigurationError, UnknownPart
from agents.retrievers.lance import IndexStore
from tests.conformance.retriever import PASSAGES
from tests.fakes import FakeEmbedder

FERRY, PRICES = PASSAGES[:2], PASSAGES[2:4]
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path) -> IndexStore:
    return IndexStore(tmp_path / "indexes", clock=lambda: NOW)


def live(store: IndexStore, name: str = "docs") -> str:
    return store.catalog(name).live


def test_what_was_built_can_be_read_back(store):
    embedder = FakeEmbedder()
    version = store.build("docs", PASSAGES, embedder)
    stored = store.load("docs")
    assert stored.record == version
    assert {p.id: p for p in stored.passages} == {p.id: p for p in PASSAGES}
    texts = [f"Guide\n{passage.text}" for passage in stored.passages]
    np.testing.assert_array_equal(stored.vectors, embedder.embed(texts))


def test_a_version_records_what_it_was_made_of(store):
    document = [msgspec.structs.replace(p, metadata={"sha256": "abc"}) for p in FERRY]
    version = store.build("docs", document, FakeEmbedder())
    assert (version.passages, version.embedder, version.built_at) == (2, "fake-words@00000001", NOW)
    assert [(d.source, d.sha256, d.passages) for d in version.documents] == [("ferry.md", "abc", 2)]


def test_the_version_depends_on_the_content_and_the_embedder_only(store, tmp_path):
    first = store.build("docs", PASSAGES, FakeEmbedder()).version
    elsewhere = IndexStore(tmp_path / "other").build("docs", PASSAGES[::-1], FakeEmbedder()).version
    assert first == elsewhere
    tagged = [msgspec.structs.replace(PASSAGES[0], metadata={"tag": "new"}), *PASSAGES[1:]]
    others = {
        store.build("docs", PASSAGES[1:], FakeEmbedder()).version,
        store.build("docs", PASSAGES, FakeEmbedder(version="fake-words@2")).version,
        store.build("docs", tagged, FakeEmbedder()).version,
    }
    assert len(others | {first}) == 4


def test_building_the_same_again_embeds_nothing(store):
    store.build("docs", PASSAGES, FakeEmbedder())
    embedder = FakeEmbedder()
    store.build("docs", PASSAGES, embedder)
    assert embedder.embedded == []
    assert len(store.catalog("docs").versions) == 1


def test_only_new_passages_are_embedded(store):
    store.build("docs", PASSAGES[:4], FakeEmbedder())
    embedder = FakeEmbedder()
    store.build("docs", PASSAGES, embedder)
    assert len(embedder.embedded) == 2
    everything = store.load("docs")
    expected = FakeEmbedder().embed([f"Guide\n{passage.text}" for passage in everything.passages])
    np.testing.assert_array_equal(everything.vectors, expected)


def test_another_embedder_embeds_everything_again(store):
    store.build("docs", PASSAGES, FakeEmbedder())
    embedder = FakeEmbedder(version="fake-words@2", dimensions=32)
    store.build("docs", PASSAGES, embedder)
    assert len(embedder.embedded) == len(PASSAGES)
    assert store.load("docs").vectors.shape == (len(PASSAGES), 32)


def test_add_keeps_the_rest_and_replaces_a_source(store):
    store.build("docs", FERRY, FakeEmbedder())
    store.add("docs", PRICES, FakeEmbedder())
    assert {p.id for p in store.load("docs").passages} == {p.id for p in (*FERRY, *PRICES)}
    store.add("docs", FERRY[:1], FakeEmbedder())
    assert {p.id for p in store.load("docs").passages} == {p.id for p in (*FERRY[:1], *PRICES)}


def test_rollback_goes_to_the_build_before_and_back_again_by_name(store):
    first, second = (store.build("docs", some, FakeEmbedder()).version for some in (FERRY, PASSAGES))
    assert store.rollback("docs").version == live(store) == first
    assert {p.id for p in store.load("docs").passages} == {p.id for p in FERRY}
    with pytest.raises(UnknownPart, match="before"):
        store.rollback("docs")
    assert store.rollback("docs", second).version == live(store) == second
    assert store.rollback("docs", first.partition("@")[2][:6]).version == live(store) == first


def test_a_build_after_a_rollback_can_itself_be_rolled_back(store):
    first = store.build("docs", FERRY, FakeEmbedder()).version
    store.build("docs", PRICES, FakeEmbedder())
    store.rollback("docs")
    store.build("docs", PASSAGES, FakeEmbedder())
    store.build("docs", FERRY, FakeEmbedder())  # old content, now the newest build
    assert live(store) == first
    assert store.rollback("docs").passages == len(PASSAGES)


def test_every_version_stays_readable(store):
    built = [store.build("docs", PASSAGES[:count], FakeEmbedder()) for count in (1, 3, 6)]
    assert [len(store.load("docs", version.version).passages) for version in built] == [1, 3, 6]


def test_progress_ends_at_the_total(store):
    seen = []
    many = [msgspec.structs.replace(PASSAGES[0], id=str(n), start=n, end=n + 1) for n in range(40)]
    store.build("docs", many, FakeEmbedder(), lambda *step: seen.append(step))
    assert [step for step in seen if step[2] == "embedding"] == [
        (0, 40, "embedding"),
        (16, 40, "embedding"),
        (32, 40, "embedding"),
        (40, 40, "embedding"),
    ]
    assert seen[-1] == (1, 1, "writing")


def test_indexes_are_listed_by_name_whatever_is_in_it(store):
    for name in ("team/docs", "team", "A.b_c-d"):
        store.build(name, FERRY, FakeEmbedder())
    assert [catalog.name for catalog in store.list()] == ["A.b_c-d", "team", "team/docs"]


def test_a_store_without_a_directory_is_empty(store):
    assert store.list() == ()


@pytest.mark.parametrize("name", ["", "../up", ".hidden", "a b", "a@b", "x" * 101, "a\n"])
def test_a_name_that_no_request_can_carry_is_refused(store, name):
    with pytest.raises(ConfigurationError, match="cannot name an index"):
        store.build(name, FERRY, FakeEmbedder())


def test_nothing_cannot_be_built(store):
    with pytest.raises(ConfigurationError, match="nothing to put"):
        store.build("docs", [], FakeEmbedder())
    assert store.list() == ()


@pytest.mark.parametrize("call", ["load", "rollback", "catalog"])
def test_an_unknown_index_is_told_with_those_that_exist(store, call):
    store.build("docs", FERRY, FakeEmbedder())
    with pytest.raises(UnknownPart, match="known: docs"):
        getattr(store, call)("dogs")
    with pytest.raises(UnknownPart, match="known: docs"):
        store.add("dogs", FERRY, FakeEmbedder())
    with pytest.raises(UnknownPart, match="index version"):
        store.load("docs", "docs@ffffffffffff")


class FailingEmbedder(FakeEmbedder):
    """Breaks in the middle of a build."""

    def embed(self, texts):
        if len(self.embedded) >= 16:
            raise RuntimeError("out of memory")
        return super().embed(texts)


def test_a_build_that_fails_leaves_the_live_version_as_it_was(store):
    before = store.build("docs", FERRY, FakeEmbedder())
    many = [msgspec.structs.replace(PASSAGES[0], id=str(n), start=n, end=n + 1) for n in range(40)]
    with pytest.raises(RuntimeError):
        store.build("docs", many, FailingEmbedder())
    assert store.load("docs").record == before
    assert store.build("docs", many, FakeEmbedder()).passages == 40


CRASH = """
import os, sys
from pathlib import Path
from agents.retrievers import lance
from tests.conformance.retriever import PASSAGES
from tests.fakes import FakeEmbedder
lance.write_catalog = lambda *args: os._exit(9)  # dies after the table is written
lance.IndexStore(Path(sys.argv[1])).build("docs", PASSAGES, FakeEmbedder())
"""


@pytest.mark.parametrize("built_before", [True, False])
def test_a_crash_after_the_table_is_written_changes_nothing(tmp_path, built_before):
    store = IndexStore(tmp_path)
    before = store.build("docs", FERRY, FakeEmbedder()) if built_before else None
    crashed = subprocess.run([sys.executable, "-c", CRASH, str(tmp_path)], check=False, timeout=60)
    assert crashed.returncode == 9
    if before:
        assert store.load("docs").record == before
    else:
        assert store.list() == ()
    after = store.build("docs", PASSAGES, FakeEmbedder())
    assert len(store.load("docs").passages) == after.passages == len(PASSAGES)


def test_debris_of_a_first_build_is_no_obstacle(store, tmp_path):
    debris = tmp_path / "indexes" / "docs" / "lance" / "passages.lance" / "data"
    debris.mkdir(parents=True)
    (debris / "half.lance").write_bytes(b"half")
    assert store.build("docs", FERRY, FakeEmbedder()).passages == 2


def test_two_builds_of_an_index_at_once_are_refused(store):
    class Reentrant(FakeEmbedder):
        def embed(self, texts):
            with pytest.raises(ConfigurationError, match="another process"):
                store.build("docs", PRICES, FakeEmbedder())
            return super().embed(texts)

    store.build("docs", FERRY, Reentrant())
    assert store.catalog("docs").current().passages == 2


def test_a_damaged_catalog_is_named(store, tmp_path):
    store.build("docs", FERRY, FakeEmbedder())
    store.catalog_file("docs").write_text(json.dumps({"name": "docs"}))
    with pytest.raises(ConfigurationError, match=r"catalog.*build the index again"):
        store.load("docs")


def test_missing_data_is_named(store):
    store.build("docs", FERRY, FakeEmbedder())
    for file in (store.catalog_file("docs").parent / "lance").rglob("*.lance"):
        if file.is_file():
            file.unlink()
    with pytest.raises(ConfigurationError, match=r"docs@.*cannot be read"):
        store.load("docs")
