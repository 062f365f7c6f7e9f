"""What a folder of built model files holds and what it was built from."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from agents.errors import ConfigurationError

MANIFEST = "manifest.json"


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`sources` and `outputs` are SHA-256 by file name; `version` is `name@hash` over the outputs."""

    name: str
    version: str
    package: str
    licence: str
    sources: dict[str, str]
    outputs: dict[str, str]


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder that `ModelFiles` built.

    Raises:
        ConfigurationError: there is none, or it cannot be read.
    """
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigurationError(
            f"{folder} holds no built model: {error}; build it with ModelFiles"
        ) from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Put the manifest beside the files it describes."""
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")


def is_whole(folder: Path) -> bool:
    """Whether every file of the folder's manifest is there, unchanged."""
    try:
        manifest = read_manifest(folder)
        return digests(folder, manifest.outputs) == manifest.outputs
    except (ConfigurationError, OSError):
        return False


def digests(folder: Path, names: Mapping[str, str] | tuple[str, ...]) -> dict[str, str]:
    """SHA-256 of each named file of a folder, sorted by name."""
    found = {}
    for name in sorted(names):
        with (folder / name).open("rb") as file:
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def short_hash(*parts: str) -> str:
    """Twelve hexadecimal digits over the parts, in order."""
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:12]
