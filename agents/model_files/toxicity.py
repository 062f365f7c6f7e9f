"""The network of `toxic-comment-classifier` as an ONNX graph, made from its weights alone: no TensorFlow.

Word vectors of 50, a bidirectional LSTM of 50 each way, the maximum over the places, a layer of 50 with ReLU,
six sigmoids. It was trained on the Jigsaw Toxic Comment Classification data.
"""

from pathlib import Path

import h5py
import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray

from agents.model_files.graph import Graph
from agents.model_files.keras_tokenizer import read_vocabulary
from agents.model_files.progress import Progress

LABELS = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")
LENGTH = 100
"""Words in one input. Shorter texts get zeros in front, which the network reads like words: no mask."""

HIDDEN = 50
_KERAS_GATES = {"i": 0, "f": 1, "c": 2, "o": 3}
_ONNX_GATES = ("i", "o", "f", "c")

Floats = NDArray[np.float32]
Cell = tuple[Floats, Floats, Floats]
"""Of one direction: input weights (50, 200), recurrent weights (50, 200), bias (200,); gates side by side."""


def build(source: Path, target: Path, progress: Progress) -> None:
    """Write `model.onnx` and `vocabulary.json` (words, filters, labels, length) from the package's folder."""
    progress("reading the vocabulary of the toxicity model", 0, 2)
    vocabulary = read_vocabulary(source / "tokenizer.pickle")
    settings = {"length": LENGTH, "labels": LABELS, "filters": vocabulary.filters, "words": vocabulary.words}
    (target / "vocabulary.json").write_bytes(msgspec.json.encode(settings))
    progress("writing the toxicity model as a graph", 1, 2)
    onnx.save(toxicity_graph(source / "model.weights.h5"), target / "model.onnx")
    progress("the toxicity model is ready", 2, 2)


def toxicity_graph(path: Path) -> onnx.ModelProto:
    """`words` (batch, 100) int64 to `labels` (batch, 6): the probability of each of `LABELS`.

    Raises:
        KeyError: the HDF5 file has not the expected layers.
    """
    with h5py.File(path) as file:
        layers = file["layers"]
        vectors = _array(layers["embedding/vars/0"])
        cells = [_cell(layers[f"bidirectional/{way}_layer/cell/vars"]) for way in ("forward", "backward")]
        dense = [_array(layers[f"{layer}/vars/{part}"]) for layer in ("dense", "dense_1") for part in "01"]
    graph = Graph("toxicity")
    words = graph.input_ids("words", ("batch", LENGTH))
    embedded = graph.add("Gather", graph.constant("vectors", vectors), words)
    best = _lstm_maximum(graph, graph.add("Transpose", embedded, perm=[1, 0, 2]), cells)
    narrow = graph.add("Relu", graph.linear(best, "narrow", dense[0], dense[1]))
    result = graph.add("Sigmoid", graph.linear(narrow, "labels", dense[2], dense[3]), name="labels")
    return graph.model({result: ("batch", len(LABELS))})


def _lstm_maximum(graph: Graph, places: str, cells: list[Cell]) -> str:
    """(100, batch, 50) through both directions, then the maximum over the places: (batch, 100)."""
    inputs = np.stack([_gates(kernel).T for kernel, _, _ in cells])
    recurrent = np.stack([_gates(kernel).T for _, kernel, _ in cells])
    bias = np.stack([np.concatenate([_gates(row), np.zeros_like(row)]) for _, _, row in cells])
    states = graph.add(
        "LSTM",
        places,
        graph.constant("lstm.input", inputs),
        graph.constant("lstm.recurrent", recurrent),
        graph.constant("lstm.bias", bias),
        direction="bidirectional",
        hidden_size=HIDDEN,
    )
    best = graph.add("ReduceMax", states, axes=[0], keepdims=0)  # (directions, batch, 50)
    return graph.add("Reshape", graph.add("Transpose", best, perm=[1, 0, 2]), graph.ints(0, 2 * HIDDEN))


def _gates(side_by_side: Floats) -> Floats:
    """Keras' order of gates (input, forget, cell, output) into that of ONNX (input, output, forget, cell)."""
    parts = np.split(side_by_side, len(_KERAS_GATES), axis=-1)
    return np.concatenate([parts[_KERAS_GATES[gate]] for gate in _ONNX_GATES], axis=-1)


def _cell(group: object) -> Cell:
    return tuple(_array(group[part]) for part in "012")  # type: ignore[index, return-value]


def _array(dataset: object) -> Floats:
    return np.asarray(dataset, dtype=np.float32)
