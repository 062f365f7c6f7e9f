"""The routes file: which provider and model serve a request, and which come next when they fail."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, RootModel

from agents.errors import UnknownPart
from agents.operator_files import FileModel, Mistakes, content_hash, parse, read_document

DEFAULT_ROUTE = "default"
_Seconds = Annotated[float, Field(gt=0.0, le=3600.0)]


class Target(FileModel):
    """One place to ask; `model` is the provider's default where none is named."""

    provider: Annotated[str, Field(min_length=1)]
    model: str | None = None


class Route(FileModel):
    """Targets in the order they are asked, `attempts` times each, all of it within `timeout_s`.

    `attempt_timeout_s` bounds a single call, so that a hanging target leaves time for the next. A pause between two
    attempts of `park_from_s` or more is spent on the retries topic instead of in a worker.
    """

    targets: Annotated[tuple[Target, ...], Field(min_length=1)]
    description: str = ""
    timeout_s: _Seconds = 120.0
    attempt_timeout_s: _Seconds = 60.0
    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    park_from_s: _Seconds = 5.0


class _RouteFile(RootModel[dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")], Route]]):
    pass


class Routes:
    """All routes; `version` is `routes@hash` of the whole table."""

    def __init__(self, routes: dict[str, Route], digest: str, path: Path) -> None:
        self._routes, self._path = routes, path
        self.version = f"routes@{digest}"

    @classmethod
    def load(cls, path: Path) -> "Routes":
        """Read a routes file.

        Raises:
            ConfigurationError: every mistake in it.
        """
        mistakes = Mistakes()
        document = read_document(path, mistakes)
        file = None if mistakes else parse(path, document, _RouteFile, mistakes)
        if file is not None and DEFAULT_ROUTE not in file.root:
            mistakes.add(path, "$", f"there is no route {DEFAULT_ROUTE!r}", "one for requests that name none")
        mistakes.raise_if_any("the routes")
        assert file is not None
        return cls(file.root, content_hash(document), path)

    def names(self) -> list[str]:
        """Every route's name."""
        return sorted(self._routes)

    def resolve(self, name: str | None) -> tuple[str, Route]:
        """The name and route asked for; the default for None.

        Raises:
            UnknownPart: there is no such route.
        """
        wanted = name or DEFAULT_ROUTE
        if wanted not in self._routes:
            raise UnknownPart("route", wanted, self.names())
        return wanted, self._routes[wanted]

    def check_providers(self, known: set[str]) -> None:
        """See that every target's provider exists.

        Raises:
            ConfigurationError: naming each that does not.
        """
        mistakes = Mistakes()
        for name, route in self._routes.items():
            for number, target in enumerate(route.targets):
                if target.provider not in known:
                    field = f"$.{name}.targets[{number}].provider"
                    expected = f"one of {', '.join(sorted(known)) or 'none'}"
                    mistakes.add(self._path, field, f"{target.provider!r} is not a provider", expected)
        mistakes.raise_if_any("the routes")
