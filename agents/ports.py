"""The seams: what the stages need from the outside, as protocols. `streams/services.py` fills them in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from schemas.common import FinishReason, Message, Passage, Usage
from schemas.draft import Draft
from schemas.response import GenerationResponse
from schemas.score import Score

Vectors = NDArray[np.float32]
Clock = Callable[[], datetime]
"""The current time, with a time zone."""


class Embedder(Protocol):
    """Texts to unit vectors. Blocking and thread-safe: callers run it off the event loop."""

    @property
    def version(self) -> str:
        """`name@hash` of the model; part of an index's version."""
        ...

    @property
    def dimensions(self) -> int:
        """Length of each vector."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Shape (len(texts), dimensions), float32, each row of length 1."""
        ...


class Retriever(Protocol):
    """Finds passages in versioned indexes."""

    def version(self, index: str) -> str:
        """The live version of an index as `name@hash`.

        Raises:
            UnknownPart: there is no such index.
        """
        ...

    async def search(self, index: str, query: str, top_k: int, filters: Mapping[str, str]) -> list[Passage]:
        """The best passages, best first, at most `top_k`; every filter must equal the passage's metadata.

        `index` is a name or a version as `version` gives it.

        Raises:
            UnknownPart: there is no such index.
        """
        ...


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One call of a model, rendered and ready. `idempotency_key` stays the same over its attempts."""

    messages: Sequence[Message]
    question: str
    passages: Sequence[Passage]
    idempotency_key: str
    timeout_s: float
    model: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model answered. `usage_estimated` when the provider did not report usage."""

    text: str
    finish_reason: FinishReason
    model: str
    provider: str
    usage: Usage
    usage_estimated: bool = False


class Provider(Protocol):
    """A model behind some API. No retries of its own: the one retry loop is in `agents/generation.py`."""

    @property
    def name(self) -> str:
        """As metrics and costs name it."""
        ...

    @property
    def default_model(self) -> str:
        """Asked for when neither the request nor its route names one."""
        ...

    @property
    def media_types(self) -> frozenset[str]:
        """Content parts it takes besides text (`image_url`, ...)."""
        ...

    async def complete(self, call: ModelCall) -> Completion:
        """Ask the model once.

        Raises:
            ModelError: one of its kinds; library errors never pass.
        """
        ...

    async def aclose(self) -> None:
        """Release connections."""
        ...


@dataclass(frozen=True, slots=True)
class ScoreInput:
    """What is judged: a text, and for groundedness the passages it should rest on."""

    text: str
    passages: Sequence[Passage] = ()
    question: str = ""


class Scorer(Protocol):
    """Judges texts. Blocking and thread-safe: the engine batches calls and runs them off the event loop."""

    @property
    def name(self) -> str:
        """The score's name: `toxicity`, `groundedness`, ..."""
        ...

    @property
    def version(self) -> str:
        """`name@hash` of model and settings."""
        ...

    def score(self, batch: Sequence[ScoreInput]) -> list[Score]:
        """One score an input, in order. May raise anything: the engine turns it into failed scores."""
        ...


@dataclass(frozen=True, slots=True)
class Admission:
    """What the store knew of a request. `first_seen_at` differs from ours when another record used the id."""

    first_seen_at: str | None = None
    cached: GenerationResponse | None = None


class RequestStore(Protocol):
    """What outlives a worker, kept in Redis. No method raises when the store is away: it answers empty."""

    async def admit(self, tenant: str, request_id: str, position: str, cache_key: str | None) -> Admission:
        """In one round trip: claim the id for the record at `position`, and look in the cache."""
        ...

    async def journalled(self, tenant: str, request_id: str) -> Draft | None:
        """The draft that was bought for this request before, if any."""
        ...

    async def journal(self, draft: Draft) -> None:
        """Keep what was bought before it is published, so that a redelivery does not buy it again."""
        ...

    async def remember(self, cache_key: str, response: GenerationResponse) -> None:
        """Put a released answer into the cache."""
        ...


class Judge(Protocol):
    """Runs several scorers side by side; the scoring engine is the one implementation."""

    @property
    def versions(self) -> dict[str, str]:
        """Scorer name to `name@hash`, for the lineage."""
        ...

    async def judge(self, item: ScoreInput, names: Sequence[str] | None = None) -> tuple[Score, ...]:
        """A score of each named scorer (all by default), in their order; never raises, never late."""
        ...
