"""`genai.retries`: a request whose next attempt is too far away to wait for in a worker's window."""

from schemas.common import SCHEMA_VERSION, Event, Id, Instant, Problem, Version
from schemas.context import RetrievedContext


class Retry(Event, frozen=True, kw_only=True):
    """Goes back to `genai.contexts` at `not_before`. `problem` is what the last attempt ended with."""

    id: Id
    context: RetrievedContext
    not_before: Instant
    problem: Problem
    version: Version = SCHEMA_VERSION
