"""When an index is built again, and when it is left as it is."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from agents.embedders import load_embedder
from agents.retrievers.chunking import chunk
from agents.retrievers.collecting import collect
from agents.retrievers.embedded import EmbeddedRetriever
from streams.indexing import ensure_index, store_of
from streams.settings import load_settings


class Former:
    """An embedder that is no longer used."""

    version = "former@0123456789ab"
    dimensions = 384

    def embed(self, texts):
        return np.full((len(texts), 384), 384**-0.5, dtype=np.float32)


@pytest.fixture
def settings(model_files, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "models").symlink_to(model_files.minilm().parent)
    return load_settings(data_dir=tmp_path / "data")


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "ferry.md"
    path.write_text("# Ferry\n\nThe ferry leaves at 9:30 from pier 4.\n")
    return path


def test_an_index_is_built_once(settings, page):
    assert ensure_index(settings, "ports", [page]).passages == 1
    assert ensure_index(settings, "ports", [page]) is None


async def test_an_index_of_another_embedder_is_built_again_and_found_in(settings, page, model_files):
    passages = [passage for document in collect([page]).documents for passage in chunk(document)]
    former = store_of(settings).build("ports", passages, Former())
    built = ensure_index(settings, "ports", [page]).version
    embedder = load_embedder("minilm", model_files)
    assert (former.embedder, built.embedder) == (Former.version, embedder.version)
    with ThreadPoolExecutor(1) as pool:
        found = await EmbeddedRetriever(store_of(settings), embedder, pool).search("ports", "ferry", 1, {})
    assert "pier 4" in found[0].text
