"""`genai.requests`: what a producer asks for."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.common import (
    SCHEMA_VERSION,
    Event,
    Instant,
    Message,
    Metadata,
    Name,
    RequestId,
    Risk,
    Tenant,
    Version,
)


class PromptRef(Event, frozen=True, kw_only=True):
    """Which prompt to render: its name, a version or alias (`latest` by default), and its variables."""

    name: Name
    version: str = "latest"
    variables: dict[str, str] = msgspec.field(default_factory=dict)


class RetrievalSpec(Event, frozen=True, kw_only=True):
    """Which index to search and how; without it, nothing is retrieved."""

    index: Name
    top_k: Annotated[int, Meta(ge=1, le=50)] = 5
    filters: dict[str, str] = msgspec.field(default_factory=dict)


class GenerationRequest(Event, frozen=True, kw_only=True):
    """A chat completion request plus what a stream needs: id, tenant, prompt, retrieval, deadline.

    `id` may be left out: the `ce_id` header or the record's position then names the request. With `ordering: key`
    the requests of a conversation are answered in the order of their topic. `replay` is raised by
    `sluicegate dlq replay`: an id counts as used once for each.
    """

    messages: Annotated[list[Message], Meta(min_length=1, max_length=500)]
    version: Version = SCHEMA_VERSION
    id: RequestId | None = None
    tenant: Tenant = "default"
    conversation_id: RequestId | None = None
    route: Name | None = None
    model: str | None = None
    temperature: Annotated[float, Meta(ge=0.0, le=2.0)] | None = None
    top_p: Annotated[float, Meta(gt=0.0, le=1.0)] | None = None
    max_tokens: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    seed: int | None = None
    stop: Annotated[list[str], Meta(max_length=8)] | None = None
    prompt: PromptRef | None = None
    retrieval: RetrievalSpec | None = None
    deadline: Instant | None = None
    risk: Risk = "low"
    ordering: Literal["none", "key"] = "none"
    replay: Annotated[int, Meta(ge=0, le=999)] = 0
    metadata: Metadata = msgspec.field(default_factory=dict)

    @property
    def key(self) -> str:
        """The Kafka key of everything about this request: the conversation's id, else its own."""
        return self.conversation_id or self.id or ""

    def time_left_s(self, now: datetime) -> float | None:
        """Seconds until the deadline, negative once it is over; None without one."""
        return None if self.deadline is None else (self.deadline - now).total_seconds()

    def question(self) -> str:
        """The text of the last user message, which is what retrieval searches for."""
        for message in reversed(self.messages):
            if message.role == "user":
                return message.text()
        return ""
