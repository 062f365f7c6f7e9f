"""all-MiniLM-L6-v2 as an ONNX graph, made from its weights alone: no torch, no tracing.

The network is BERT with six layers; the sentence vector is the mean over the tokens, scaled to length 1 (Reimers and
Gurevych, 2019). Both are inside the graph, so a caller only tokenizes, and gives texts of one length at a time.
"""

import shutil
from pathlib import Path

import msgspec
import numpy as np
import onnx
from onnx import numpy_helper

from agents.model_files.bert import WIDTH, Weights, encoder, read_weights
from agents.model_files.graph import Graph
from agents.model_files.int8 import Int8Graph, Ranges
from agents.model_files.progress import Progress

LAYERS = 6
RANGES = Path(__file__).with_name("minilm_ranges.json")
"""What goes into each linear layer, as `python -m training.ranges` found it."""


def build(source: Path, target: Path, progress: Progress) -> None:
    """Write `model.onnx` (int8, 24 MB) and `tokenizer.json` from the package's folder."""
    progress("reading the weights of MiniLM", 0, 2)
    weights = read_weights(source / "model.safetensors")
    progress("writing MiniLM as a graph of 8 bits", 1, 2)
    ranges = msgspec.json.decode(RANGES.read_bytes(), type=Ranges)
    onnx.save(minilm_graph(Int8Graph("all-MiniLM-L6-v2", ranges), weights), target / "model.onnx")
    shutil.copyfile(source / "tokenizer.json", target / "tokenizer.json")
    progress("MiniLM is ready", 2, 2)


def minilm_graph(graph: Graph, weights: Weights) -> onnx.ModelProto:
    """The model on an empty graph: `input_ids` (batch, sequence) int64, no padding, to `embedding` (batch, 384)."""
    ids = graph.input_ids("input_ids", ("batch", "sequence"))
    hidden = encoder(graph, ids, None, None, weights, LAYERS)
    return graph.model({_pool(graph, ids, hidden): ("batch", WIDTH)})


def _pool(graph: Graph, ids: str, hidden: str) -> str:
    """The sum over the tokens, scaled to length 1, which is the mean, scaled to length 1.

    A product with ones, because ReduceSum adds in another order when there are more rows.
    """
    one = numpy_helper.from_array(np.ones(1, dtype=np.float32))
    ones = graph.add("ConstantOfShape", graph.add("Shape", ids, start=1), value=one)
    total = graph.add("MatMul", graph.add("Unsqueeze", ones, graph.ints(0)), hidden)
    return graph.add(
        "LpNormalization", graph.add("Squeeze", total, graph.ints(1)), name="embedding", axis=-1, p=2
    )
