"""Models that ship inside packages, made ready for ONNX Runtime: no torch, no TensorFlow, no download."""

from agents.model_files.manifest import Manifest, read_manifest
from agents.model_files.progress import Progress
from agents.model_files.store import ModelFiles

__all__ = ["Manifest", "ModelFiles", "Progress", "read_manifest"]
