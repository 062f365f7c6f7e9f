"""Values that several events share: identifiers, messages, passages, usage, lineage."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

SCHEMA_VERSION = 1
"""Major version of every event here. A reader refuses a higher one; added optional fields do not raise it."""

Version = Annotated[int, Meta(ge=1, le=SCHEMA_VERSION)]
RequestId = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^\x00-\x20\x7f]+$(?!\n)")]
"""Chosen by producers; shorter than `Id`, because the ids of our events are made from it."""
Id = Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[^\x00-\x20\x7f]+$(?!\n)")]
Tenant = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$(?!\n)")]
Name = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$(?!\n)")]
Instant = Annotated[datetime, Meta(tz=True)]
Score01 = Annotated[float, Meta(ge=0.0, le=1.0)]
Count = Annotated[int, Meta(ge=0)]
Risk = Literal["low", "medium", "high"]
Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "content_filter", "quoted"]
"""Why a model stopped; `quoted` marks an extractive answer."""


class Event(Struct, frozen=True, kw_only=True, gc=False):
    """Base of every event: immutable, keyword-only; readers ignore fields they do not know.

    `gc=False`: what cannot change after it was made is in no cycle, and the collector need not walk over it.
    """


class TextPart(Event, frozen=True, kw_only=True, tag_field="type", tag="text"):
    """A piece of plain text."""

    text: str


class ImagePart(Event, frozen=True, kw_only=True, tag_field="type", tag="image_url"):
    """An image, by URL or data URL."""

    image_url: dict[str, str]


class AudioPart(Event, frozen=True, kw_only=True, tag_field="type", tag="input_audio"):
    """Audio, base64 `data` and `format`."""

    input_audio: dict[str, str]


class VideoPart(Event, frozen=True, kw_only=True, tag_field="type", tag="video_url"):
    """A video, by URL or data URL."""

    video_url: dict[str, str]


ContentPart = TextPart | ImagePart | AudioPart | VideoPart


class Message(Event, frozen=True, kw_only=True):
    """One chat message; `content` is text or a list of typed parts."""

    role: Role
    content: str | list[ContentPart]

    def text(self) -> str:
        """The textual content, text parts joined by a line break; other parts are left out."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content if isinstance(part, TextPart))

    def media_types(self) -> set[str]:
        """Which parts other than text it holds: `image_url`, `input_audio`, `video_url`."""
        if isinstance(self.content, str):
            return set()
        return {str(part.__struct_config__.tag) for part in self.content if not isinstance(part, TextPart)}


class Passage(Event, frozen=True, kw_only=True):
    """A retrieved piece of a document and where it stands: `text == document[start:end]`, in characters."""

    id: str
    text: str
    source: str
    start: Count
    end: Count
    headings: tuple[str, ...] = ()
    score: float = 0.0
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    fenced: bool = False
    """Shown to the model between marks, as data whose instructions do not count."""


class Citation(Event, frozen=True, kw_only=True):
    """A `[number]` in the answer, resolved to the passage it points at (numbers start at 1)."""

    number: Annotated[int, Meta(ge=1)]
    passage_id: str
    source: str
    text: str
    start: Count
    end: Count
    headings: tuple[str, ...] = ()


class Usage(Event, frozen=True, kw_only=True):
    """Tokens of one call; cached and reasoning tokens are parts of the input and output counts."""

    input_tokens: Count = 0
    output_tokens: Count = 0
    cached_input_tokens: Count = 0
    reasoning_tokens: Count = 0


class Lineage(Event, frozen=True, kw_only=True):
    """What shaped an answer, each a readable `name@hash`; all of it enters the cache key."""

    prompt: str | None = None
    system_prompt: str | None = None
    index: str | None = None
    policy: str | None = None
    route: str | None = None
    model: str | None = None
    scorers: dict[str, str] = msgspec.field(default_factory=dict)


class Timings(Event, frozen=True, kw_only=True):
    """Milliseconds spent in each stage; None for a stage that did not run."""

    retrieval_ms: float | None = None
    generation_ms: float | None = None
    scoring_ms: float | None = None
    review_ms: float | None = None
    total_ms: float | None = None


class Problem(Event, frozen=True, kw_only=True):
    """A clear error for the producer: what is wrong, in which field, and what was expected."""

    code: str
    reason: str
    field: str | None = None
    expected: str | None = None


Metadata = dict[str, Any]


def event_id(tenant: str, request_id: str, kind: str) -> str:
    """The deterministic id of an event about a request: a redelivery writes it again under the same id."""
    return f"{tenant}:{request_id}:{kind}"
