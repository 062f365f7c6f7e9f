"""`genai.contexts`: an admitted request with the passages found for it."""

from schemas.common import SCHEMA_VERSION, Count, Event, Id, Instant, Lineage, Passage, Timings, Version
from schemas.request import GenerationRequest
from schemas.score import Score


class RetrievedContext(Event, frozen=True, kw_only=True):
    """Recorded so that it can be replayed against another prompt or model.

    `attempts` and `give_up` are those of a request that waited on `genai.retries`: how often each model of its route
    was asked, and when to stop asking.
    """

    id: Id
    request: GenerationRequest
    passages: tuple[Passage, ...]
    received: Instant
    lineage: Lineage
    timings: Timings
    version: Version = SCHEMA_VERSION
    cache_key: str | None = None
    input_scores: tuple[Score, ...] = ()
    attempts: Count = 0
    give_up: Instant | None = None
