"""`genai.drafts`: a model's answer, durable before anything else happens to it, because it cost money."""

from schemas.common import SCHEMA_VERSION, Citation, Event, FinishReason, Id, Lineage, Timings, Usage, Version
from schemas.context import RetrievedContext
from schemas.cost import CostEvent


class Draft(Event, frozen=True, kw_only=True):
    """The answer to `context`, not yet judged."""

    id: Id
    context: RetrievedContext
    answer: str
    finish_reason: FinishReason
    provider: str
    model: str
    usage: Usage
    citations: tuple[Citation, ...]
    cost: CostEvent
    lineage: Lineage
    timings: Timings
    version: Version = SCHEMA_VERSION
    unknown_citations: tuple[int, ...] = ()
    """Numbers the answer cited that name no passage."""
