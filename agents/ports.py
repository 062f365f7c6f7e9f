"""The seams: what the stages need from the outside, as protocols. `streams/services.py` fills them in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from agents.redaction import Redacted
from schemas.common import Event, FinishReason, Message, Passage, Usage
from schemas.context import RetrievedContext
from schemas.request import GenerationRequest
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


class ModelCall(Struct, frozen=True, gc=False):
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


class Completion(Struct, frozen=True, gc=False):
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


class ScoreInput(Struct, frozen=True, gc=False):
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


class KnowsLanguages(Protocol):
    """What a `Scorer` has besides when it does not know every language.

    For a text in a language that it does not name, the engine answers `unsupported` in its stead.
    """

    @property
    def languages(self) -> frozenset[str] | None:
        """ISO 639-1 codes; None, as for a scorer without this: any language."""
        ...


class Admission(Struct, frozen=True, gc=False):
    """What the store knew of a request: where its id was seen first, what it ended with, an answer to reuse."""

    first_seen_at: str | None = None
    outcome: Sequence[Event] | None = None
    cached: GenerationResponse | None = None


class Claim(Struct, frozen=True, gc=False):
    """The right to pay for a request's answer, for as long as its lease is renewed. 0: nobody could be asked."""

    token: int


class Held(Struct, frozen=True, gc=False):
    """Somebody else pays for it now; to be asked again after `wait_s` at the latest."""

    wait_s: float


class Settled(Struct, frozen=True, gc=False):
    """It was paid for, or ended, before: these events say how."""

    events: Sequence[Event]


Step = Literal["verdict", "resolution"]
"""What scoring concludes with, and what a review ends with."""


class RequestStore(Protocol):
    """What outlives a worker, kept in Redis. No method raises when the store is away: it answers as if empty.

    A request is known by tenant, id and replay. Its outcome and its verdict are written once: whoever comes second is
    given the first's events, and publishes those.
    """

    async def admit(self, request: GenerationRequest, position: str, cache_key: str | None) -> Admission:
        """In one round trip: note the id for the record at `position`, find its outcome, look in the cache."""
        ...

    async def claim(self, context: RetrievedContext) -> Claim | Held | Settled:
        """Claim the right to pay for the request, with a lease that is renewed until it is settled or released."""
        ...

    async def settle(
        self, context: RetrievedContext, events: Sequence[Event], claim: Claim
    ) -> Settled | None:
        """Write the outcome, unless there is one; returns the one that holds, and the claim is over.

        An answer that arrived settles even when its lease ran out: it was paid for. An end without an answer settles
        only under the latest claim: None says that another one is at work.
        """
        ...

    async def release(self, context: RetrievedContext, claim: Claim) -> None:
        """Give a claim up without an outcome."""
        ...

    async def end(self, request: GenerationRequest, events: Sequence[Event]) -> Sequence[Event]:
        """Write the outcome of a request that nobody needs to pay for; returns what is to be published.

        Nothing, where somebody holds a claim or an answer: its own stage publishes that.
        """
        ...

    async def conclude(
        self,
        request: GenerationRequest,
        events: Sequence[Event],
        cache_key: str | None = None,
        step: Step = "verdict",
    ) -> Sequence[Event]:
        """Write the verdict on a draft, or the resolution of its review, unless there is one; returns what holds.

        With a `cache_key` the response among the events goes into the cache, in the same round trip.
        """
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """What the vault has of one redacted text: the text as it left, and its values by placeholder."""

    text: str
    values: Mapping[str, str] = field(repr=False)


class Vault(Protocol):
    """Keeps what redaction took out, encrypted, under tenant and request, for as long as the policy says."""

    async def keep(self, request: GenerationRequest, redacted: Redacted) -> bool:
        """Keep the values of a redacted answer before it is published; False where the vault is away.

        Never raises: an answer leaves redacted whether its values were kept or not. The same text again changes
        nothing but the time until it is forgotten.
        """
        ...

    async def recall(self, tenant: str, request_id: str, replay: int = 0) -> list[Kept]:
        """What is kept for a request: one for each text that was redacted for it; nothing once it is forgotten.

        Raises:
            VaultUnavailable: the vault cannot be asked.
            ConfigurationError: none of the keys opens what it holds.
        """
        ...

    async def forget(self, tenant: str, request_id: str, replay: int = 0) -> bool:
        """Drop what is kept for a request, now; whether there was anything.

        Raises:
            VaultUnavailable: the vault cannot be asked.
        """
        ...


class Judge(Protocol):
    """Runs several scorers side by side; the scoring engine is the one implementation."""

    @property
    def versions(self) -> dict[str, str]:
        """Scorer name to `name@hash`, for the lineage."""
        ...

    async def judge(
        self, item: ScoreInput, names: Sequence[str] | None = None, timeout_s: float | None = None
    ) -> tuple[Score, ...]:
        """A score of each named scorer (all by default), in their order; never raises, never late.

        `timeout_s` is what remains of the request's time; it can only shorten the judge's own limit.
        """
        ...
