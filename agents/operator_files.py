"""YAML files that operators write: read strictly, every mistake told at once, versioned by their content."""

import hashlib
import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from agents.errors import ConfigurationError

M = TypeVar("M", bound=BaseModel)


class FileModel(BaseModel):
    """Base of what such a file holds: frozen, and a field nobody declared is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Mistakes:
    """Collects what is wrong, so that the operator hears everything in one go."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, file: Path | str, field: str, reason: str, expected: str | None = None) -> None:
        """Note one mistake; `field` is a path from `$`."""
        self._lines.append(f"{file}: {field}: {reason}" + (f"; expected {expected}" if expected else ""))

    def extend(self, others: "Mistakes") -> None:
        """Take over what another one collected."""
        self._lines += others._lines

    def __bool__(self) -> bool:
        return bool(self._lines)

    def raise_if_any(self, what: str) -> None:
        """Stop here if something is wrong.

        Raises:
            ConfigurationError: one line a mistake.
        """
        if self._lines:
            raise ConfigurationError("\n".join([f"{what} cannot be used:", *self._lines]))


def read_document(path: Path, mistakes: Mistakes) -> Any | None:
    """The parsed YAML, or None after noting why it cannot be read."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _UniqueKeys)  # noqa: S506  # a SafeLoader
    except OSError as error:
        mistakes.add(path, "$", error.strerror or str(error), "a readable file")
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        mistakes.add(path, "$", " ".join(str(error).split()), "YAML in UTF-8")
    return None


def parse(path: Path, document: object, model: type[M], mistakes: Mistakes, at: str = "$") -> M | None:
    """The document as `model`, or None after noting every field that is wrong."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        for item in error.errors(include_url=False, include_context=False):
            field = at + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in item["loc"])
            mistakes.add(path, field, f"{item['msg']} (got {_short(item['input'])})")
        return None


def content_hash(document: object) -> str:
    """Twelve hex digits over the content: comments and layout do not change a version, order does."""
    text = json.dumps(document, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


class _UniqueKeys(yaml.SafeLoader):
    """YAML lets a repeated key silently win; in a policy that would drop rules."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002  # its signature is PyYAML's
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice", key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)
