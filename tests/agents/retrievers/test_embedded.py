"""The embedded retriever: the shared suite, and indexes that change under a running worker."""

import asyncio
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from agents.embedders.onnx import OnnxEmbedder
from agents.errors import ConfigurationError, UnknownPart
from agents.retrievers.embedded import EmbeddedRetriever
from agents.retrievers.lance import IndexStore
from schemas.common import Passage
from tests.conformance.retriever import INDEX, PASSAGES, RetrieverContract
from tests.fakes import FakeEmbedder

FERRY, PRICES = PASSAGES[:2], PASSAGES[2:4]


@pytest.fixture
def executor():
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
def store(tmp_path) -> IndexStore:
    return IndexStore(tmp_path)


@pytest.fixture
def retriever(store, executor) -> EmbeddedRetriever:
    return EmbeddedRetriever(store, FakeEmbedder(), executor)


class TestWithMiniLM(RetrieverContract):
    @pytest.fixture
    def retriever(self, store, executor, model_files):
        embedder = OnnxEmbedder(model_files.minilm())
        store.build(INDEX, PASSAGES, embedder)
        return EmbeddedRetriever(store, embedder, executor)


class TestWithHashedWords(RetrieverContract):
    @pytest.fixture
    def retriever(self, store, retriever):
        store.build(INDEX, PASSAGES, FakeEmbedder())
        return retriever


async def eventually(retriever: EmbeddedRetriever, version: str) -> None:
    async with asyncio.timeout(10):
        while retriever.version("docs") != version:
            await asyncio.sleep(0.005)


async def sources(retriever: EmbeddedRetriever, index: str = "docs") -> set[str]:
    return {passage.source for passage in await retriever.search(index, "ferry ticket", 6, {})}


async def test_a_build_goes_live_without_a_restart(store, retriever):
    old = store.build("docs", FERRY, FakeEmbedder()).version
    assert await sources(retriever) == {"ferry.md"}
    assert retriever.version("docs") == old
    new = store.build("docs", PRICES, FakeEmbedder()).version
    await eventually(retriever, new)
    assert await sources(retriever) == {"prices.md"}


async def test_a_rollback_goes_live_without_a_restart(store, retriever):
    old = store.build("docs", FERRY, FakeEmbedder()).version
    store.build("docs", PRICES, FakeEmbedder())
    assert await sources(retriever) == {"prices.md"}
    store.rollback("docs")
    await eventually(retriever, old)
    assert await sources(retriever) == {"ferry.md"}


async def test_a_version_that_was_asked_for_is_searched_whatever_is_live(store, retriever):
    """What was found and what the lineage says must agree while the live version changes."""
    old, new = (store.build("docs", some, FakeEmbedder()).version for some in (FERRY, PRICES))
    assert await sources(retriever, old) == {"ferry.md"}
    assert await sources(retriever, new) == {"prices.md"}
    with pytest.raises(UnknownPart, match="index version"):
        await sources(retriever, "docs@ffffffffffff")


class SlowStore(IndexStore):
    """Reads only when it is let."""

    def __init__(self, directory):
        super().__init__(directory)
        self.open = threading.Event()
        self.open.set()
        self.loads = 0

    def load(self, name, version=None):
        self.loads += 1
        assert self.open.wait(10)
        return super().load(name, version)


async def test_the_old_version_serves_while_the_new_one_loads(tmp_path, executor):
    store = SlowStore(tmp_path)
    retriever = EmbeddedRetriever(store, FakeEmbedder(), executor)
    old = store.build("docs", FERRY, FakeEmbedder()).version
    assert await sources(retriever) == {"ferry.md"}
    new = store.build("docs", PRICES, FakeEmbedder()).version
    store.open.clear()
    try:
        assert retriever.version("docs") == old
        assert await sources(retriever) == {"ferry.md"}
    finally:
        store.open.set()
    await eventually(retriever, new)


async def test_the_first_searches_share_one_load(tmp_path, executor):
    store = SlowStore(tmp_path)
    store.build("docs", FERRY, FakeEmbedder())
    store.loads = 0
    retriever = EmbeddedRetriever(store, FakeEmbedder(), executor)
    version = retriever.version("docs")
    await asyncio.gather(*(sources(retriever, index) for index in ("docs", version) * 8))
    assert store.loads == 1


async def test_a_first_search_that_is_given_up_harms_no_other(store):
    store.build("docs", FERRY, FakeEmbedder())
    busy = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        executor.submit(busy.wait, 10)  # the load stands in line, where it could be cancelled
        retriever = EmbeddedRetriever(store, FakeEmbedder(), executor)
        given_up, other = (asyncio.create_task(sources(retriever)) for _ in range(2))
        await asyncio.sleep(0.05)
        given_up.cancel()
        await asyncio.sleep(0.05)
        busy.set()
        assert await other == {"ferry.md"}


async def test_a_new_version_that_cannot_be_loaded_leaves_the_old_one_serving(store, retriever, caplog):
    old = store.build("docs", FERRY, FakeEmbedder()).version
    assert await sources(retriever) == {"ferry.md"}
    store.build("docs", FERRY, FakeEmbedder(version="another@2"))
    for _ in range(20):
        assert retriever.version("docs") == old
        await asyncio.sleep(0.005)
    assert await sources(retriever) == {"ferry.md"}
    assert f"index docs stays at {old}" in caplog.text
    new = store.build("docs", PRICES, FakeEmbedder()).version
    await eventually(retriever, new)


async def test_an_index_of_another_embedder_is_refused(store, retriever):
    store.build("docs", FERRY, FakeEmbedder(version="another@2"))
    with pytest.raises(ConfigurationError, match=r"another@2.*build the index again"):
        await retriever.search("docs", "ferry", 3, {})


async def test_an_index_that_is_built_later_is_found(store, retriever):
    with pytest.raises(UnknownPart, match="known: none"):
        retriever.version("docs")
    built = store.build("docs", FERRY, FakeEmbedder()).version
    assert retriever.version("docs") == built


async def test_a_query_is_embedded_once(store, executor):
    embedder = FakeEmbedder()
    store.build("docs", FERRY, FakeEmbedder())
    retriever = EmbeddedRetriever(store, embedder, executor)
    for _ in range(3):
        await retriever.search("docs", "when does it leave", 1, {})
    assert embedder.embedded == ["when does it leave"]


async def test_the_event_loop_runs_on_while_a_query_is_embedded(store, executor):
    store.build("docs", FERRY, FakeEmbedder())
    loop_ran = threading.Event()

    class Waiting(FakeEmbedder):
        def embed(self, texts):
            assert loop_ran.wait(10), "the event loop stood still"
            return super().embed(texts)

    searching = asyncio.create_task(EmbeddedRetriever(store, Waiting(), executor).search("docs", "q", 1, {}))
    await asyncio.sleep(0.05)
    loop_ran.set()
    assert len(await searching) == 1


class BlindEmbedder(FakeEmbedder):
    """Sees no difference between texts, so that only words can tell them apart."""

    def embed(self, texts):
        return super().embed(["same"] * len(texts))


async def test_words_find_what_vectors_cannot_tell_apart(store, executor):
    names = ("start_http_server", "push_to_gateway", "write_to_textfile")
    passages = [
        Passage(id=name, text=f"Call {name}(...) for it.", source="a", start=n, end=n + 1)
        for n, name in enumerate(names)
    ]
    store.build("docs", passages, BlindEmbedder())
    retriever = EmbeddedRetriever(store, BlindEmbedder(), executor)
    for query in ("what does write_to_textfile do", "TEXTFILE"):
        assert (await retriever.search("docs", query, 1, {}))[0].id == "write_to_textfile"


async def test_a_passage_first_in_both_rankings_scores_one(store, retriever):
    store.build("docs", PASSAGES, FakeEmbedder())
    best, *others = await retriever.search("docs", PRICES[0].text, 6, {})
    assert (best.id, best.score) == (PRICES[0].id, 1.0)
    assert all(0 < other.score < 1 for other in others)


async def test_the_source_can_be_filtered(store, retriever):
    store.build("docs", PASSAGES, FakeEmbedder())
    found = await retriever.search("docs", "office", 6, {"source": "prices.md"})
    assert {passage.source for passage in found} == {"prices.md"}


async def test_indexes_that_were_loaded_at_the_start_are_searched_without_the_disk(store, tmp_path) -> None:
    store.build("docs", PASSAGES, FakeEmbedder())
    with ThreadPoolExecutor(1) as pool:
        retriever = EmbeddedRetriever(store, FakeEmbedder(), pool)
        retriever.load_all()
        pool.submit(lambda: None).result()  # one thread: it comes after the load
        shutil.rmtree(tmp_path / "docs" / "lance")
        assert "ferry.md" in await sources(retriever)
