"""all-MiniLM-L6-v2 as ONNX graphs, made from its weights alone: no torch, no tracing.

The network is BERT (Devlin et al., 2019) with six layers; the sentence vector is the mean over the tokens,
scaled to length 1 (Reimers and Gurevych, 2019). Both are inside the graph, so a caller only tokenizes.
"""

import math
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.quant_utils import add_pre_process_metadata
from safetensors.numpy import load_file

from agents.model_files.graph import Graph
from agents.model_files.progress import Progress

LAYERS = 6
HEADS = 12
WIDTH = 384
EPSILON = 1e-12
MASKED = -1e4
"""Added to the attention of padding; beyond what softmax can tell from minus infinity."""

Weights = Mapping[str, NDArray[np.float32]]


def build(source: Path, target: Path, progress: Progress) -> None:
    """Write `model.onnx` (int8) and `tokenizer.json` from the package's folder."""
    progress("reading the weights of MiniLM", 0, 3)
    weights = read_weights(source / "model.safetensors")
    progress("writing MiniLM as a graph", 1, 3)
    graph = minilm_graph(weights)
    progress("quantising MiniLM to 8 bits", 2, 3)
    write_int8(graph, target / "model.onnx")
    shutil.copyfile(source / "tokenizer.json", target / "tokenizer.json")
    progress("MiniLM is ready", 3, 3)


def read_weights(path: Path) -> dict[str, NDArray[np.float32]]:
    """The tensors of a safetensors file, by name."""
    return dict(load_file(path))


def minilm_graph(weights: Weights) -> onnx.ModelProto:
    """The fp32 model: `input_ids`, `attention_mask` (batch, sequence) int64 to `embedding` (batch, 384)."""
    graph = Graph("all-MiniLM-L6-v2")
    ids = graph.input_ids("input_ids", ("batch", "sequence"))
    mask = graph.input_ids("attention_mask", ("batch", "sequence"))
    present = graph.add("Cast", mask, to=onnx.TensorProto.FLOAT)
    bias = _attention_bias(graph, present)
    hidden = _embeddings(graph, ids, weights)
    for layer in range(LAYERS):
        prefix = f"encoder.layer.{layer}"
        hidden = _attention(graph, hidden, bias, prefix, weights)
        hidden = _feed_forward(graph, hidden, prefix, weights)
    return graph.model(_pool(graph, hidden, present), ("batch", WIDTH))


def write_int8(model: onnx.ModelProto, path: Path) -> None:
    """Quantise the weights to int8, a scale for each output channel, and write the model (23 MB).

    Weights use seven of the eight bits: processors without VNNI add two products in 16 bits, which full-range
    weights overflow, and vectors must not depend on the machine that made them.
    """
    add_pre_process_metadata(model)  # says that there is nothing to fuse or fold first, so it does not warn
    quantize_dynamic(model, path, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8)


def _attention_bias(graph: Graph, present: str) -> str:
    """0 for tokens and `MASKED` for padding, as (batch, 1, 1, sequence)."""
    absent = graph.add("Sub", graph.scalar(1.0), present)
    penalty = graph.add("Mul", absent, graph.scalar(MASKED))
    return graph.add("Unsqueeze", penalty, graph.ints(1, 2))


def _embeddings(graph: Graph, ids: str, weights: Weights) -> str:
    """Word, position and segment vectors, normalised. The one segment is added to the positions."""
    words = graph.constant("word_embeddings", weights["embeddings.word_embeddings.weight"])
    places = (
        weights["embeddings.position_embeddings.weight"]
        + weights["embeddings.token_type_embeddings.weight"][0]
    )
    length = graph.add("Slice", graph.add("Shape", ids), graph.ints(1), graph.ints(2))
    here = graph.add("Slice", graph.constant("places", places), graph.ints(0), length, graph.ints(0))
    summed = graph.add("Add", graph.add("Gather", words, ids), here)
    return _normalised(graph, summed, "embeddings.LayerNorm", weights)


def _attention(graph: Graph, hidden: str, bias: str, prefix: str, weights: Weights) -> str:
    """Self-attention with its residual. Query, key and value are one product: the input is quantised once."""
    parts = [f"{prefix}.attention.self.{part}" for part in ("query", "key", "value")]
    weight = np.concatenate([weights[f"{part}.weight"].T for part in parts], axis=1)
    offset = np.concatenate([weights[f"{part}.bias"] for part in parts])
    joined = graph.linear(hidden, f"{prefix}.attention.self", weight, offset)
    query, key, value = graph.split("Split", joined, outputs=3, axis=-1)
    query = graph.add("Mul", query, graph.scalar(1 / math.sqrt(WIDTH // HEADS)))
    scores = graph.add("MatMul", _heads(graph, query, (0, 2, 1, 3)), _heads(graph, key, (0, 2, 3, 1)))
    chances = graph.add("Softmax", graph.add("Add", scores, bias), axis=-1)
    mixed = graph.add("MatMul", chances, _heads(graph, value, (0, 2, 1, 3)))
    merged = graph.add("Reshape", graph.add("Transpose", mixed, perm=[0, 2, 1, 3]), graph.ints(0, 0, WIDTH))
    return _projected(graph, merged, hidden, f"{prefix}.attention.output", weights)


def _heads(graph: Graph, value: str, order: tuple[int, ...]) -> str:
    """(batch, sequence, 384) apart into heads (batch, sequence, 12, 32), in `order`."""
    apart = graph.add("Reshape", value, graph.ints(0, 0, HEADS, WIDTH // HEADS))
    return graph.add("Transpose", apart, perm=list(order))


def _feed_forward(graph: Graph, hidden: str, prefix: str, weights: Weights) -> str:
    """The wide layer with the exact GELU (through erf, not tanh), with its residual."""
    name = f"{prefix}.intermediate.dense"
    wide = graph.linear(hidden, name, weights[f"{name}.weight"].T, weights[f"{name}.bias"])
    error = graph.add("Erf", graph.add("Div", wide, graph.scalar(math.sqrt(2))))
    twice = graph.add("Mul", wide, graph.add("Add", error, graph.scalar(1.0)))
    active = graph.add("Mul", twice, graph.scalar(0.5))
    return _projected(graph, active, hidden, f"{prefix}.output", weights)


def _projected(graph: Graph, value: str, residual: str, name: str, weights: Weights) -> str:
    dense = graph.linear(
        value, f"{name}.dense", weights[f"{name}.dense.weight"].T, weights[f"{name}.dense.bias"]
    )
    return _normalised(graph, graph.add("Add", dense, residual), f"{name}.LayerNorm", weights)


def _normalised(graph: Graph, value: str, name: str, weights: Weights) -> str:
    scale = graph.constant(f"{name}.weight", weights[f"{name}.weight"])
    shift = graph.constant(f"{name}.bias", weights[f"{name}.bias"])
    return graph.add("LayerNormalization", value, scale, shift, axis=-1, epsilon=EPSILON)


def _pool(graph: Graph, hidden: str, present: str) -> str:
    """The mean over the tokens that are there, scaled to length 1."""
    weight = graph.add("Unsqueeze", present, graph.ints(2))
    total = graph.add("ReduceSum", graph.add("Mul", hidden, weight), graph.ints(1), keepdims=0)
    count = graph.add("Max", graph.add("ReduceSum", weight, graph.ints(1), keepdims=0), graph.scalar(1.0))
    return graph.add("LpNormalization", graph.add("Div", total, count), name="embedding", axis=-1, p=2)
