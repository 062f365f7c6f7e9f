"""A judge as an ONNX graph.

BERT, pooled by mean and maximum, with probabilities for the text and for each token.
"""

import onnx

from agents.model_files.bert import Weights, encoder
from agents.model_files.graph import Graph

FAR = 1e4
"""Taken from what must not win a maximum."""


def judge_graph(weights: Weights, layers: int, *, pairs: bool) -> onnx.ModelProto:
    """From `input_ids` and `attention_mask` to `labels` (batch, outputs) and `tokens` (batch, sequence).

    With `pairs` there is a third input, `segments`: 0 for the text that is judged, 1 for the one it is held
    against; only the first is pooled. `weights` are BERT's, with `labels.weight` (outputs, 768),
    `labels.bias`, `tokens.weight` (1, 384), `tokens.bias`.
    """
    graph = Graph("judge")
    ids = graph.input_ids("input_ids", ("batch", "sequence"))
    mask = graph.input_ids("attention_mask", ("batch", "sequence"))
    segments = graph.input_ids("segments", ("batch", "sequence")) if pairs else None
    present = graph.add("Cast", mask, to=onnx.TensorProto.FLOAT)
    hidden = encoder(graph, ids, present, segments, weights, layers)
    pooled = _pool(graph, hidden, _scope(graph, present, segments))
    told = graph.linear(pooled, "labels", weights["labels.weight"].T, weights["labels.bias"])
    labels = graph.add("Sigmoid", told, name="labels")
    each = graph.linear(hidden, "tokens", weights["tokens.weight"].T, weights["tokens.bias"])
    tokens = graph.add("Squeeze", graph.add("Sigmoid", each), graph.ints(2), name="tokens")
    outputs = int(weights["labels.bias"].shape[0])
    return graph.model({labels: ("batch", outputs), tokens: ("batch", "sequence")})


def _scope(graph: Graph, present: str, segments: str | None) -> str:
    """1.0 for the tokens that are pooled."""
    if segments is None:
        return present
    held_against = graph.add("Cast", segments, to=onnx.TensorProto.FLOAT)
    return graph.add("Mul", present, graph.add("Sub", graph.scalar(1.0), held_against))


def _pool(graph: Graph, hidden: str, scope: str) -> str:
    """Mean and maximum over the tokens in scope, side by side: (batch, 768)."""
    weight = graph.add("Unsqueeze", scope, graph.ints(2))
    total = graph.add("ReduceSum", graph.add("Mul", hidden, weight), graph.ints(1), keepdims=0)
    count = graph.add("Max", graph.add("ReduceSum", weight, graph.ints(1), keepdims=0), graph.scalar(1.0))
    outside = graph.add("Mul", graph.add("Sub", weight, graph.scalar(1.0)), graph.scalar(FAR))
    highest = graph.add("ReduceMax", graph.add("Add", hidden, outside), axes=[1], keepdims=0)
    return graph.add("Concat", graph.add("Div", total, count), highest, axis=1)
