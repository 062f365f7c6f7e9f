"""ONNX Runtime sessions, on the CPU or on a GPU: the one place that knows how they are set up."""

from pathlib import Path
from typing import Any

import onnxruntime

from agents.errors import ConfigurationError

CUDA = "CUDAExecutionProvider"
_SLOW_ON_CPU = ["SkipLayerNormFusion"]
"""An addition and a normalisation apart take a fifth of what ONNX Runtime's kernel for both takes on a CPU."""


def providers(device: str) -> list[str]:
    """What is to run a model on `device` (`cpu` or `cuda`), best first.

    Raises:
        ConfigurationError: no such device, or the installed ONNX Runtime cannot use it; says what to install.
    """
    if device not in ("cpu", "cuda"):
        raise ConfigurationError(f"device is {device!r}, expected cpu or cuda")
    if device == "cpu":
        return ["CPUExecutionProvider"]
    if CUDA not in onnxruntime.get_available_providers():
        raise ConfigurationError(
            "the scoring device is cuda, but the installed onnxruntime is built without it: replace it by the GPU "
            "build (pip uninstall onnxruntime; pip install onnxruntime-gpu) or set SLUICEGATE_SCORING_DEVICE=cpu"
        )
    return [CUDA, "CPUExecutionProvider"]


def open_session(model: Path, device: str = "cpu") -> Any:  # onnxruntime has no types
    """A session of one thread an input: the caller runs as many at once as it has threads.

    Raises:
        ConfigurationError: the model cannot be read, or the device cannot be used.
    """
    wanted = providers(device)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(
            model, options, providers=wanted, disabled_optimizers=_SLOW_ON_CPU if device == "cpu" else None
        )
    except Exception as error:  # onnxruntime raises bare classes of its own
        raise ConfigurationError(f"the model {model} cannot be read: {error}") from error
    if session.get_providers()[0] != wanted[0]:  # it only warns, and runs on the CPU
        raise ConfigurationError(
            "the scoring device is cuda, but CUDA did not start: its driver, CUDA and cuDNN must fit onnxruntime-gpu"
        )
    return session
