"""BERT (Devlin et al., 2019) as an ONNX graph, from named weights: no torch, no tracing."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.quant_utils import add_pre_process_metadata
from safetensors.numpy import load_file

from agents.model_files.graph import Graph

HEADS = 12
WIDTH = 384
EPSILON = 1e-12
SHARPNESS = np.float32(1 / math.sqrt(WIDTH // HEADS))
"""What a query is multiplied by before it meets the keys; here its weights are."""
MASKED = -1e4
"""Added to the attention of padding; beyond what softmax can tell from minus infinity."""

Weights = Mapping[str, NDArray[np.float32]]


def read_weights(path: Path) -> dict[str, NDArray[np.float32]]:
    """The tensors of a safetensors file, by name."""
    return dict(load_file(path))


def write_int8(model: onnx.ModelProto, path: Path) -> None:
    """Quantise the weights to int8, a scale for each output channel, and write the model.

    Weights use seven of the eight bits: processors without VNNI add two products in 16 bits, which full-range
    weights overflow, and results must not depend on the machine that made them.
    """
    add_pre_process_metadata(model)  # says that there is nothing to fuse or fold first, so it does not warn
    quantize_dynamic(model, path, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8)


def encoder(
    graph: Graph, ids: str, present: str | None, segments: str | None, weights: Weights, layers: int
) -> str:
    """The last hidden states (batch, sequence, 384) of `ids`; `present` is 1.0 for tokens and 0.0 for padding.

    Without `present` nothing is padding; without `segments` every token is of the first one.
    """
    bias = None if present is None else _attention_bias(graph, present)
    hidden = _embeddings(graph, ids, segments, weights)
    for layer in range(layers):
        prefix = f"encoder.layer.{layer}"
        hidden = _attention(graph, hidden, bias, prefix, weights)
        hidden = _feed_forward(graph, hidden, prefix, weights)
    return hidden


def _attention_bias(graph: Graph, present: str) -> str:
    """0 for tokens and `MASKED` for padding, as (batch, 1, 1, sequence)."""
    absent = graph.add("Sub", graph.scalar(1.0), present)
    penalty = graph.add("Mul", absent, graph.scalar(MASKED))
    return graph.add("Unsqueeze", penalty, graph.ints(1, 2))


def _embeddings(graph: Graph, ids: str, segments: str | None, weights: Weights) -> str:
    """Word, position and segment vectors, normalised. Where there is one segment it is added to the positions."""
    places = weights["embeddings.position_embeddings.weight"]
    kinds = weights["embeddings.token_type_embeddings.weight"]
    length = graph.add("Slice", graph.add("Shape", ids), graph.ints(1), graph.ints(2))
    table = graph.constant("places", places + kinds[0])
    here = graph.add("Slice", table, graph.ints(0), length, graph.ints(0))
    words = graph.rows(ids, "word_embeddings", weights["embeddings.word_embeddings.weight"])
    summed = graph.add("Add", words, here)
    if segments is not None:
        # The difference to the first kind, which is in the places already.
        other = graph.add("Gather", graph.constant("kinds", kinds - kinds[0]), segments)
        summed = graph.add("Add", summed, other)
    return _normalised(graph, summed, "embeddings.LayerNorm", weights)


def _attention(graph: Graph, hidden: str, bias: str | None, prefix: str, weights: Weights) -> str:
    """Self-attention with its residual. Query, key and value are one product: the input is quantised once."""
    parts = [f"{prefix}.attention.self.{part}" for part in ("query", "key", "value")]
    weight = np.concatenate([weights[f"{part}.weight"].T for part in parts], axis=1)
    offset = np.concatenate([weights[f"{part}.bias"] for part in parts])
    weight[:, :WIDTH] *= SHARPNESS
    offset[:WIDTH] *= SHARPNESS
    joined = graph.linear(hidden, f"{prefix}.attention.self", weight, offset)
    query, key, value = graph.split("Split", joined, outputs=3, axis=-1)
    scores = graph.add("MatMul", _heads(graph, query, (0, 2, 1, 3)), _heads(graph, key, (0, 2, 3, 1)))
    if bias is not None:
        scores = graph.add("Add", scores, bias)
    chances = graph.add("Softmax", scores, axis=-1)
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
