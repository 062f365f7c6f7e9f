"""Sessions of ONNX Runtime: on the CPU, on a GPU where there is one, and told where there is none."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from agents.errors import ConfigurationError
from agents.scorers.sessions import open_session, providers


@pytest.fixture
def doubling(tmp_path):
    """A model that doubles one number."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "doubling", [value], [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def test_a_session_runs_on_the_cpu_with_one_thread(doubling):
    session = open_session(doubling)
    assert session.run(None, {"x": np.array([2.0], dtype=np.float32)})[0] == [4.0]
    assert session.get_providers() == ["CPUExecutionProvider"]
    assert session.get_session_options().intra_op_num_threads == 1


def test_cuda_without_its_provider_says_what_to_install(monkeypatch, doubling):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ConfigurationError, match="pip install onnxruntime-gpu"):
        open_session(doubling, "cuda")


def test_cuda_with_its_provider_comes_before_the_cpu(monkeypatch):
    available = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)
    assert providers("cuda") == available


def test_cuda_that_does_not_start_is_not_taken_for_the_cpu(monkeypatch, doubling):
    """ONNX Runtime only warns, and would run on the CPU."""
    session = onnxruntime.InferenceSession(doubling, providers=["CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *given, **named: session)
    with pytest.raises(ConfigurationError, match="CUDA did not start"):
        open_session(doubling, "cuda")


def test_another_device_is_refused(doubling):
    with pytest.raises(ConfigurationError, match="'tpu', expected cpu or cuda"):
        open_session(doubling, "tpu")


def test_a_file_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        open_session(tmp_path / "model.onnx")
