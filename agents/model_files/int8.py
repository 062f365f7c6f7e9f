"""A graph whose weights are int8, and whose activations are rounded to fixed steps."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from agents.model_files.graph import OPSET, Array, Graph

ONNX_RUNTIME = "com.microsoft"
Ranges = Mapping[str, tuple[float, float]]
"""By the name of a linear layer, the lowest and the highest number that goes into it."""

_WEIGHT_STEPS = 64
"""Each side of zero: processors without VNNI add two products in 16 bits, which eight full bits would overflow."""
_TABLE_STEPS = 127
_INPUT_STEPS = 255


class Int8Graph(Graph):
    """Linear layers in integers, with the ranges of their inputs known beforehand.

    With ranges taken from the batch at hand (dynamic quantisation) a row's result depends on the rows beside it. With
    fixed ones it does not, so that rows can share a batch; what is beyond a range is cut off at its end.
    """

    opsets: ClassVar[Mapping[str, int]] = {"": OPSET, ONNX_RUNTIME: 1}

    def __init__(self, name: str, ranges: Ranges) -> None:
        super().__init__(name)
        self._ranges = ranges

    def rows(self, ids: str, name: str, table: Array) -> str:
        """As in float32, from a quarter of the memory: each row has a scale of its own."""
        steps, scales = _rounded(np.asarray(table, dtype=np.float32), axis=1, steps=_TABLE_STEPS)
        found = super().rows(ids, f"{name}.int8", steps)
        scale = super().rows(ids, f"{name}.scale", scales)
        return self.add("Mul", self.add("Cast", found, to=1), scale)

    def linear(self, value: str, name: str, weight: Array, bias: Array) -> str:
        """`value @ weight + bias`, a scale for each output.

        Raises:
            KeyError: there is no range of that name.
        """
        lowest, highest = self._ranges[name]
        scale = np.float32((highest - lowest) / _INPUT_STEPS)
        zero = np.uint8(round(-lowest / scale))
        steps, scales = _rounded(np.asarray(weight, dtype=np.float32), axis=0, steps=_WEIGHT_STEPS)
        input_scale = self.constant(f"{name}.input_scale", np.array(scale))
        input_zero = self.constant(f"{name}.input_zero", np.array(zero))
        return self.add(
            "MatMulIntegerToFloat",
            self.add("QuantizeLinear", value, input_scale, input_zero),
            self.constant(f"{name}.weight", steps),
            input_scale,
            self.constant(f"{name}.weight_scale", scales[0]),
            input_zero,
            "",  # the weights' zero is zero
            self.constant(f"{name}.bias", bias),
            domain=ONNX_RUNTIME,
        )


def _rounded(
    values: NDArray[np.float32], axis: int, steps: int
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Whole numbers up to `steps` and what they are to be multiplied by, one scale along `axis`."""
    scale = np.maximum(np.abs(values).max(axis=axis, keepdims=True), np.finfo(np.float32).tiny) / steps
    return np.round(values / scale).astype(np.int8), scale.astype(np.float32)
