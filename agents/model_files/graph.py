"""A small builder for ONNX graphs: weights in, a model file's protocol buffer out."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17  # LayerNormalization came with it; every runtime of ours reads it
IR_VERSION = 9

Array = NDArray[np.generic]


class Graph:
    """Nodes in the order they are added. Every method returns the name of the value it made."""

    opsets: ClassVar[Mapping[str, int]] = {"": OPSET}

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []

    def input_ids(self, name: str, shape: Sequence[str | int]) -> str:
        """An int64 input; a dimension given by name is free."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.INT64, list(shape)))
        return name

    def constant(self, name: str, value: Array) -> str:
        """A stored tensor. Names must differ; they are what the quantiser reports."""
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def ints(self, *values: int) -> str:
        """A small int64 vector, for shapes and axes."""
        return self.constant(f"ints_{len(self._constants)}", np.array(values, dtype=np.int64))

    def scalar(self, value: float) -> str:
        """A float32 number."""
        return self.constant(f"scalar_{len(self._constants)}", np.array(value, dtype=np.float32))

    def add(self, op: str, *inputs: str, name: str | None = None, **attributes: object) -> str:
        """A node with one output."""
        return self.split(op, *inputs, outputs=1, name=name, **attributes)[0]

    def split(
        self, op: str, *inputs: str, outputs: int, name: str | None = None, **attributes: object
    ) -> list[str]:
        """A node with several outputs."""
        base = name or f"{op}_{len(self._nodes)}"
        names = [base] if outputs == 1 else [f"{base}_{index}" for index in range(outputs)]
        self._nodes.append(helper.make_node(op, list(inputs), names, name=f"node_{base}", **attributes))
        return names

    def rows(self, ids: str, name: str, table: Array) -> str:
        """The rows of a table that `ids` count from 0."""
        return self.add("Gather", self.constant(name, table), ids)

    def linear(self, value: str, name: str, weight: Array, bias: Array) -> str:
        """`value @ weight + bias`; `weight` is (inputs, outputs)."""
        product = self.add("MatMul", value, self.constant(f"{name}.weight", weight))
        return self.add("Add", product, self.constant(f"{name}.bias", bias))

    def model(self, outputs: Mapping[str, Sequence[str | int]]) -> onnx.ModelProto:
        """The checked model with its float32 outputs, each with its shape."""
        results = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
            for name, shape in outputs.items()
        ]
        graph = helper.make_graph(self._nodes, self._name, self._inputs, results, self._constants)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid(domain, version) for domain, version in self.opsets.items()],
            ir_version=IR_VERSION,
            producer_name="sluicegate",
        )
        onnx.checker.check_model(model)
        return model
