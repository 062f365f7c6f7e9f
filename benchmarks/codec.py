"""What reading and writing an event costs: msgspec, as used here, against the same models in pydantic.

    python benchmarks/codec.py [--rounds 15]

Every figure is the median of several rounds, the variants taking turns within each, so that a busy machine slows
all of them alike. `checked` is our own `decode` and `encode`: the depth check, and the proof that what is written
reads back as the same event.
"""

import argparse
import platform
import statistics
from collections.abc import Callable
from decimal import Decimal
from time import perf_counter
from typing import Annotated, Any, Literal

import msgspec
import pydantic
from msgspec.structs import replace
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from schemas.codec import decode, encode
from schemas.common import Event, Message
from schemas.examples import FULL
from schemas.request import GenerationRequest
from schemas.response import GenerationResponse

Id = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00-\x20\x7f]+$")]
RequestId = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x20\x7f]+$")]
Tenant = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")]
Count = Annotated[int, Field(ge=0)]
Score01 = Annotated[float, Field(ge=0, le=1)]
Version = Annotated[int, Field(ge=1, le=1)]
Risk = Literal["low", "medium", "high"]
Finish = Literal["stop", "length", "content_filter", "quoted"]


class Model(BaseModel):
    """As our events: immutable, tolerant of unknown fields, strict about types."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class PText(Model):
    """A text part."""

    type: Literal["text"]
    text: str


class PImage(Model):
    """An image part."""

    type: Literal["image_url"]
    image_url: dict[str, str]


class PAudio(Model):
    """An audio part."""

    type: Literal["input_audio"]
    input_audio: dict[str, str]


class PVideo(Model):
    """A video part."""

    type: Literal["video_url"]
    video_url: dict[str, str]


class PMessage(Model):
    """A chat message."""

    role: Literal["system", "user", "assistant"]
    content: str | list[Annotated[PText | PImage | PAudio | PVideo, Field(discriminator="type")]]


class PPrompt(Model):
    """A prompt reference."""

    name: Name
    version: str = "latest"
    variables: dict[str, str] = {}


class PRetrieval(Model):
    """What to search."""

    index: Name
    top_k: Annotated[int, Field(ge=1, le=50)] = 5
    filters: dict[str, str] = {}


class PRequest(Model):
    """A request."""

    messages: Annotated[list[PMessage], Field(min_length=1, max_length=500)]
    version: Version = 1
    id: RequestId | None = None
    tenant: Tenant = "default"
    conversation_id: RequestId | None = None
    route: Name | None = None
    model: str | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    seed: int | None = None
    stop: Annotated[list[str], Field(max_length=8)] | None = None
    prompt: PPrompt | None = None
    retrieval: PRetrieval | None = None
    deadline: AwareDatetime | None = None
    risk: Risk = "low"
    metadata: dict[str, Any] = {}


class PCitation(Model):
    """A citation."""

    number: Annotated[int, Field(ge=1)]
    passage_id: str
    source: str
    text: str
    start: Count
    end: Count
    headings: tuple[str, ...] = ()


class PUsage(Model):
    """Tokens."""

    input_tokens: Count = 0
    output_tokens: Count = 0
    cached_input_tokens: Count = 0
    reasoning_tokens: Count = 0


class PLineage(Model):
    """What made the answer."""

    prompt: str | None = None
    system_prompt: str | None = None
    index: str | None = None
    policy: str | None = None
    route: str | None = None
    model: str | None = None
    scorers: dict[str, str] = {}


class PTimings(Model):
    """Milliseconds."""

    retrieval_ms: float | None = None
    generation_ms: float | None = None
    scoring_ms: float | None = None
    review_ms: float | None = None
    total_ms: float | None = None


class PProblem(Model):
    """An error."""

    code: str
    reason: str
    field: str | None = None
    expected: str | None = None


class PEvidence(Model):
    """A judged sentence."""

    text: str
    start: Count
    end: Count
    supported: bool
    score: Score01
    passage: int | None = None
    passage_start: int | None = None
    passage_end: int | None = None
    reason: str | None = None


class PScore(Model):
    """A score."""

    name: str
    version: str
    status: Literal["ok", "failed", "skipped"]
    value: Score01 | None = None
    labels: dict[str, float] = {}
    evidence: tuple[PEvidence, ...] = ()
    reason: str | None = None
    latency_ms: float = 0.0


class PDecision(Model):
    """A decision."""

    action: Literal["allow", "flag", "redact", "review", "block"]
    policy: str
    rules: tuple[str, ...] = ()
    redacted: dict[str, int] = {}


class PCost(Model):
    """A cost."""

    id: Id
    request_id: RequestId
    tenant: Tenant
    kind: Literal["chat", "embedding", "judge", "cache_hit"]
    provider: str
    model: str
    requested_model: str | None
    usage: PUsage
    status: Literal["priced", "estimated", "unpriced"]
    amount: Decimal | None
    currency: str
    price_version: str
    created: AwareDatetime
    version: Version = 1
    avoided: Decimal | None = None


class PChoice(Model):
    """An answer."""

    message: PMessage
    finish_reason: Finish
    index: int = 0


class PResponse(Model):
    """A response."""

    id: Id
    request_id: RequestId
    tenant: Tenant
    status: Literal["completed", "blocked", "refused", "expired", "failed", "pending_review"]
    created: AwareDatetime
    version: Version = 1
    conversation_id: RequestId | None = None
    choices: tuple[PChoice, ...] = ()
    citations: tuple[PCitation, ...] = ()
    usage: PUsage | None = None
    scores: tuple[PScore, ...] = ()
    decision: PDecision | None = None
    error: PProblem | None = None
    cost: PCost | None = None
    lineage: PLineage = PLineage()
    timings: PTimings = PTimings()
    cached: bool = False
    metadata: dict[str, Any] = {}


SENTENCE = "A parcel that was opened may be returned as long as its seal is whole and the bill is at hand. "


def a_request(size: int) -> GenerationRequest:
    """A conversation of about `size` bytes."""
    full = FULL[GenerationRequest]
    assert isinstance(full, GenerationRequest)
    turns = list(full.messages)
    while len(encode(replace(full, messages=turns))) < size:
        turns.insert(1, Message(role=("user", "assistant")[len(turns) % 2], content=SENTENCE * 2))
    return replace(full, messages=turns)


def a_response(size: int) -> GenerationResponse:
    """An answer of about `size` bytes, with a citation and evidence for every other sentence."""
    full = FULL[GenerationResponse]
    assert isinstance(full, GenerationResponse)
    grounded = full.scores[1]
    event, sentences = full, 0
    while len(encode(event)) < size:
        sentences += 1
        message = Message(role="assistant", content=SENTENCE * sentences)
        event = replace(
            full,
            choices=(replace(full.choices[0], message=message),),
            citations=full.citations * (sentences // 2 + 1),
            scores=(full.scores[0], replace(grounded, evidence=grounded.evidence * sentences)),
        )
    return event


def variants(
    event: Event, model: type[BaseModel]
) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """How to read and how to write `event`, by variant; each checked once to do so rightly."""
    value = encode(event)
    kind = type(event)
    decoder, encoder = msgspec.json.Decoder(kind), msgspec.json.Encoder(decimal_format="string")
    twin = model.model_validate_json(value)
    assert decode(kind, twin.model_dump_json().encode()) == event
    assert model.model_validate_json(encoder.encode(event)) == twin
    return {
        "msgspec": (lambda: decoder.decode(value), lambda: encoder.encode(event)),
        "checked": (lambda: decode(kind, value), lambda: encode(event)),
        "pydantic": (lambda: model.model_validate_json(value), lambda: twin.model_dump_json().encode()),
    }


def microseconds(call: Callable[[], object], times: int) -> float:
    """The mean of `times` calls."""
    started = perf_counter()
    for _ in range(times):
        call()
    return (perf_counter() - started) / times * 1e6


def measure(
    calls: dict[str, tuple[Callable[[], object], Callable[[], object]]], rounds: int, times: int
) -> dict[str, tuple[float, float]]:
    """Median microseconds of reading and of writing, by variant."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, (read, write) in calls.items():
            found[name].append((microseconds(read, times), microseconds(write, times)))
    return {
        name: (statistics.median(r for r, _ in pairs), statistics.median(w for _, w in pairs))
        for name, pairs in found.items()
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="msgspec against pydantic")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--times", type=int, default=1000)
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, msgspec {msgspec.__version__}, pydantic {pydantic.VERSION}")  # noqa: T201
    print("| event | variant | read, us | write, us | both, us | to msgspec |\n|---|---|--:|--:|--:|--:|")  # noqa: T201
    for event, model in ((a_request(2048), PRequest), (a_response(8192), PResponse)):
        label = f"{type(event).__name__}, {len(encode(event))} bytes"
        results = measure(variants(event, model), options.rounds, options.times)
        base = sum(results["msgspec"])
        for name, (read, write) in results.items():
            both = read + write
            print(f"| {label} | {name} | {read:.1f} | {write:.1f} | {both:.1f} | {both / base:.1f} |")  # noqa: T201


if __name__ == "__main__":
    main()
