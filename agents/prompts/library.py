"""The folder of prompts: `NAME/vN.yaml`, with `NAME/aliases.yaml` beside them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, RootModel

from agents.errors import UnknownPart
from agents.operator_files import Mistakes, content_hash, parse, read_document
from agents.prompts.prompt import Prompt, PromptFile, compiled

WITH_PASSAGES = "answer-from-passages"
WITHOUT_PASSAGES = "chat"
_NUMBERED = re.compile(r"v([1-9][0-9]*)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HASH = re.compile(r"[0-9a-f]{6,12}")
_Alias = Annotated[str, Field(pattern=r"^v[1-9][0-9]*$")]


class PromptLibrary:
    """All prompts, loaded and checked. Later changes of the files are not seen."""

    def __init__(
        self,
        prompts: Mapping[str, Mapping[int, Prompt]],
        aliases: Mapping[str, Mapping[str, int]],
        with_passages: str = WITH_PASSAGES,
        without_passages: str = WITHOUT_PASSAGES,
    ) -> None:
        self._prompts, self._aliases = prompts, aliases
        self._defaults = {True: with_passages, False: without_passages}

    @classmethod
    def load(
        cls, directory: Path, with_passages: str = WITH_PASSAGES, without_passages: str = WITHOUT_PASSAGES
    ) -> "PromptLibrary":
        """Read every prompt. The two names are those used when a request names none.

        Raises:
            ConfigurationError: every mistake in all files: file, field and reason.
        """
        mistakes = Mistakes()
        folders = sorted(path for path in directory.glob("*") if path.is_dir())
        prompts = {folder.name: _versions(folder, mistakes) for folder in folders}
        aliases = {folder.name: _aliases(folder, prompts[folder.name], mistakes) for folder in folders}
        if not mistakes:  # a prompt that could not be read is not also missing
            for name in sorted({with_passages, without_passages} - prompts.keys()):
                mistakes.add(directory, "$", f"there is no prompt {name!r}", f"{name}/v1.yaml")
        mistakes.raise_if_any("the prompts")
        return cls(prompts, aliases, with_passages, without_passages)

    def names(self) -> list[str]:
        """Every prompt's name."""
        return sorted(self._prompts)

    def versions(self, name: str) -> list[Prompt]:
        """All versions of a prompt, oldest first.

        Raises:
            UnknownPart: there is no such prompt.
        """
        found = self._named(name)
        return [found[number] for number in sorted(found)]

    def aliases(self, name: str) -> dict[str, str]:
        """Alias to `vN`."""
        return {alias: f"v{number}" for alias, number in self._aliases.get(name, {}).items()}

    def resolve(self, name: str, version: str = "latest") -> Prompt:
        """The prompt of that name; `version` is `latest`, `vN`, an alias, or six or more digits of its hash.

        Raises:
            UnknownPart: of kind `prompt` or `prompt version`.
        """
        found, aliases = self._named(name), self._aliases.get(name, {})
        if version == "latest":
            return found[max(found)]
        if version in aliases:
            return found[aliases[version]]
        numbered = _NUMBERED.fullmatch(version)
        if numbered and int(numbered[1]) in found:
            return found[int(numbered[1])]
        if _HASH.fullmatch(version):
            matching = [number for number, prompt in found.items() if prompt.hash.startswith(version)]
            if matching:
                return found[max(matching)]
        raise UnknownPart("prompt version", version, ["latest", *aliases, *(f"v{n}" for n in found)])

    def default(self, *, has_passages: bool) -> Prompt:
        """The prompt of requests that name none."""
        return self.resolve(self._defaults[has_passages])

    def _named(self, name: str) -> Mapping[int, Prompt]:
        if name not in self._prompts:
            raise UnknownPart("prompt", name, self.names())
        return self._prompts[name]


class _Aliases(RootModel[dict[str, _Alias]]):
    pass


def _versions(folder: Path, mistakes: Mistakes) -> dict[int, Prompt]:
    found: dict[int, Prompt] = {}
    if not _NAME.fullmatch(folder.name):
        mistakes.add(folder, "$", "is no name for a prompt", "letters, digits, dots, dashes, underscores")
    for path in sorted(folder.glob("*.yaml")):
        numbered = _NUMBERED.fullmatch(path.stem)
        if numbered:
            prompt = _read(folder.name, int(numbered[1]), path, mistakes)
            if prompt is not None:
                found[int(numbered[1])] = prompt
        elif path.name != "aliases.yaml":
            mistakes.add(path, "$", "is no version of a prompt", "vN.yaml or aliases.yaml")
    if not found and not mistakes:
        mistakes.add(folder, "$", "holds no version", "v1.yaml")
    return found


def _read(name: str, number: int, path: Path, mistakes: Mistakes) -> Prompt | None:
    broken = Mistakes()
    document = read_document(path, broken)
    file = None if broken else parse(path, document, PromptFile, broken)
    mistakes.extend(broken)
    return None if file is None else compiled(name, number, file, content_hash(document), path, mistakes)


def _aliases(folder: Path, versions: Mapping[int, Prompt], mistakes: Mistakes) -> dict[str, int]:
    path = folder / "aliases.yaml"
    if not path.exists():
        return {}
    broken = Mistakes()
    document = read_document(path, broken)
    parsed = None if broken else parse(path, document, _Aliases, broken)
    mistakes.extend(broken)
    found: dict[str, int] = {}
    for alias, target in (parsed.root if parsed else {}).items():
        number = int(target[1:])
        if alias == "latest" or _NUMBERED.fullmatch(alias) or _HASH.fullmatch(alias):
            mistakes.add(path, f"$.{alias}", "is taken by versions themselves", "another name")
        if number not in versions:
            known = ", ".join(f"v{n}" for n in sorted(versions)) or "none"
            mistakes.add(path, f"$.{alias}", f"there is no {target}", f"one of {known}")
        found[alias] = number
    return found
