"""all-MiniLM-L6-v2 as an ONNX graph, made from its weights alone: no torch, no tracing.

The network is BERT with six layers; the sentence vector is the mean over the tokens, scaled to length 1 (Reimers and
Gurevych, 2019). Both are inside the graph, so a caller only tokenizes.
"""

import shutil
from pathlib import Path

import onnx

from agents.model_files.bert import WIDTH, Weights, encoder, read_weights, write_int8
from agents.model_files.graph import Graph
from agents.model_files.progress import Progress

LAYERS = 6


def build(source: Path, target: Path, progress: Progress) -> None:
    """Write `model.onnx` (int8, 23 MB) and `tokenizer.json` from the package's folder."""
    progress("reading the weights of MiniLM", 0, 3)
    weights = read_weights(source / "model.safetensors")
    progress("writing MiniLM as a graph", 1, 3)
    graph = minilm_graph(weights)
    progress("quantising MiniLM to 8 bits", 2, 3)
    write_int8(graph, target / "model.onnx")
    shutil.copyfile(source / "tokenizer.json", target / "tokenizer.json")
    progress("MiniLM is ready", 3, 3)


def minilm_graph(weights: Weights) -> onnx.ModelProto:
    """The fp32 model: `input_ids`, `attention_mask` (batch, sequence) int64 to `embedding` (batch, 384)."""
    graph = Graph("all-MiniLM-L6-v2")
    ids = graph.input_ids("input_ids", ("batch", "sequence"))
    mask = graph.input_ids("attention_mask", ("batch", "sequence"))
    present = graph.add("Cast", mask, to=onnx.TensorProto.FLOAT)
    hidden = encoder(graph, ids, present, None, weights, LAYERS)
    return graph.model({_pool(graph, hidden, present): ("batch", WIDTH)})


def _pool(graph: Graph, hidden: str, present: str) -> str:
    """The mean over the tokens that are there, scaled to length 1."""
    weight = graph.add("Unsqueeze", present, graph.ints(2))
    total = graph.add("ReduceSum", graph.add("Mul", hidden, weight), graph.ints(1), keepdims=0)
    count = graph.add("Max", graph.add("ReduceSum", weight, graph.ints(1), keepdims=0), graph.scalar(1.0))
    return graph.add("LpNormalization", graph.add("Div", total, count), name="embedding", axis=-1, p=2)
