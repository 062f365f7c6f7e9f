"""What every embedder must keep to: subclass `EmbedderContract` and give it an `embedder` fixture."""

import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from agents.ports import Embedder

TEXTS = (
    "The ferry leaves at 9:30 from pier 4.",
    "When does the boat depart in the morning?",
    "Photosynthesis turns light into sugar.",
    "",
    " \n\t ",
    "Ça coûte 12 € — vraiment\u200b? 🚢 渡轮几点开？",
    "\x00\x07 ... ?!?!",
    "The ferry never leaves from pier 4 at all. " * 400,
    "x" * 20_000,
    "The ferry leaves at 9:30 from pier 4.",
)


def cosines(ones, others):
    """Row by row; rows have length 1."""
    return (ones * others).sum(axis=1)


class EmbedderContract:
    """The shared suite. `tolerance`: how much two vectors of one text may differ."""

    tolerance = 1e-4

    @pytest.fixture
    def embedder(self) -> Embedder:
        raise NotImplementedError("a subclass gives the embedder under test")

    def test_its_version_is_a_name_and_a_hash(self, embedder):
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{8,64}", embedder.version)
        assert embedder.version == embedder.version

    def test_every_text_gets_one_float32_row_of_length_one(self, embedder):
        vectors = embedder.embed(TEXTS)
        assert vectors.shape == (len(TEXTS), embedder.dimensions)
        assert vectors.dtype == np.float32
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)

    def test_no_texts_give_no_rows(self, embedder):
        vectors = embedder.embed([])
        assert vectors.shape == (0, embedder.dimensions)
        assert vectors.dtype == np.float32

    def test_a_vector_does_not_depend_on_its_neighbours(self, embedder):
        alone = np.concatenate([embedder.embed([text]) for text in TEXTS])
        assert embedder.embed(TEXTS) == pytest.approx(alone, abs=self.tolerance)

    def test_rows_keep_the_order_of_the_texts(self, embedder):
        forward, backward = embedder.embed(TEXTS), embedder.embed(TEXTS[::-1])
        assert backward[::-1] == pytest.approx(forward, abs=self.tolerance)

    def test_what_means_the_same_is_nearer_than_what_does_not(self, embedder):
        ferry, boat, leaf = embedder.embed(TEXTS[:3])
        assert ferry @ boat > ferry @ leaf + 0.2

    def test_different_texts_have_different_vectors(self, embedder):
        one, other = embedder.embed(["Refunds take 3 days.", "Refunds take 3 weeks."])
        assert one @ other < 0.999

    def test_several_threads_may_use_it_at_once(self, embedder):
        expected = embedder.embed(TEXTS)
        with ThreadPoolExecutor(4) as pool:
            for vectors in pool.map(embedder.embed, [TEXTS] * 4):
                assert vectors == pytest.approx(expected, abs=self.tolerance)
