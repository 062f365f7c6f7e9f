"""MiniLM through ONNX Runtime, against the shared suite and against what sentence-transformers says."""

import shutil

import numpy as np
import pytest

from agents.embedders import load_embedder
from agents.embedders.onnx import OnnxEmbedder
from agents.errors import ConfigurationError, UnknownPart
from tests.agents.embedders.sentences import REFERENCE, SENTENCES
from tests.conformance.embedder import TEXTS, EmbedderContract, cosines


@pytest.fixture(scope="module")
def folder(model_files):
    return model_files.minilm()


@pytest.fixture(scope="module")
def on_one_thread(folder):
    return OnnxEmbedder(folder)


@pytest.fixture(scope="module")
def on_two_threads(folder):
    return OnnxEmbedder(folder, threads=2)


class TestOnOneThread(EmbedderContract):
    @pytest.fixture
    def embedder(self, on_one_thread):
        return on_one_thread


class TestOnTwoThreads(EmbedderContract):
    @pytest.fixture
    def embedder(self, on_two_threads):
        return on_two_threads


def test_equal_texts_have_equal_vectors_whatever_is_beside_them(on_one_thread, on_two_threads):
    """Not nearly equal: an index that is built again must be the same index.

    Many of them have as many tokens as others, so that they share batches.
    """
    texts = [
        *TEXTS,
        *SENTENCES,
        *(f"{word} {more}" for word in ("red", "green", "blue") for more in SENTENCES),
    ]
    alone = np.concatenate([on_one_thread.embed([text]) for text in texts])
    assert (on_one_thread.embed(texts) == alone).all()
    assert (on_two_threads.embed(texts[::-1]) == alone[::-1]).all()


def test_eight_bits_stay_close_to_sentence_transformers(on_one_thread):
    assert cosines(on_one_thread.embed(SENTENCES), np.load(REFERENCE)).min() >= 0.98


def test_a_text_is_read_to_256_tokens(on_one_thread):
    start = "word " * 254  # two more are added at the ends
    whole, longer, shorter = on_one_thread.embed(
        [start, start + "ferry " * 50, "word " * 200 + "ferry " * 54]
    )
    assert (whole == longer).all()
    assert whole @ shorter < 0.99


def test_the_version_is_that_of_the_files(on_one_thread, on_two_threads):
    assert on_one_thread.version.startswith("minilm-l6-int8@")
    assert on_one_thread.version == on_two_threads.version


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="no built model"):
        OnnxEmbedder(tmp_path)


def test_a_damaged_model_is_refused(folder, tmp_path):
    damaged = shutil.copytree(folder, tmp_path / "damaged")
    (damaged / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        OnnxEmbedder(damaged)


def test_the_table_loads_it_by_name(model_files):
    embedder = load_embedder("minilm", model_files, {"threads": "2"})
    assert embedder.embed(["hello"]).shape == (1, 384)


def test_an_unknown_name_lists_the_known_ones(model_files):
    with pytest.raises(UnknownPart, match="minilm, sentence-transformers"):
        load_embedder("word2vec", model_files)
