"""Personal data and secrets in an answer, by the built-in patterns and their checksums."""

import hashlib
from collections.abc import Sequence

from agents.errors import ConfigurationError
from agents.ports import ScoreInput
from agents.privacy.detectors import DETECTORS, NAMES, Find, find, named
from schemas.score import Score, Span


class PersonalData:
    """1 where anything is found, else 0; a label of 1 for each kind found, and a span for each find.

    A pattern with its checksum either holds or not, so there is nothing between 0 and 1.
    """

    name = "personal-data"

    def __init__(self, kinds: Sequence[str] = ()) -> None:
        """Look for these detectors or groups of them; for all by default.

        Raises:
            ConfigurationError: one of the names is neither.
        """
        try:
            self._detectors = named(kinds or DETECTORS)
        except KeyError as error:
            raise ConfigurationError(
                f"{self.name}: {error.args[0]!r} is no kind of personal data; known: {', '.join(sorted(NAMES))}"
            ) from None
        told = "\n".join(f"{d.name} {d.pattern.pattern}" for d in self._detectors)
        self._version = f"personal-data@{hashlib.sha256(told.encode()).hexdigest()[:12]}"

    @property
    def version(self) -> str:
        """`personal-data@hash` over the patterns that are looked for."""
        return self._version

    def score(self, batch: Sequence[ScoreInput]) -> list[Score]:
        """One score an input, in order, of `text` alone."""
        return [self._score(find(item.text, self._detectors)) for item in batch]

    def _score(self, finds: Sequence[Find]) -> Score:
        return Score(
            name=self.name,
            version=self._version,
            status="ok",
            value=1.0 if finds else 0.0,
            labels={one.kind: 1.0 for one in finds},
            spans=tuple(Span(start=f.start, end=f.end, label=f.kind, score=1.0) for f in finds),
        )
