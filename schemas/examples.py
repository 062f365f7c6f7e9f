"""One small and one full example of every event: the golden files and the published documents are made of them."""

from datetime import UTC, datetime
from decimal import Decimal

from schemas.common import (
    Citation,
    Event,
    ImagePart,
    Lineage,
    Message,
    Passage,
    Problem,
    TextPart,
    Timings,
    Usage,
)
from schemas.context import RetrievedContext
from schemas.cost import CostEvent
from schemas.dead_letter import DeadLetter
from schemas.draft import Draft
from schemas.moderation import JudgedPassage, ModerationEvent
from schemas.request import GenerationRequest, PromptRef, RetrievalSpec
from schemas.response import Choice, GenerationResponse
from schemas.retry import Retry
from schemas.review import Review, ReviewDecision
from schemas.score import Decision, Evidence, Score

_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_LATER = datetime(2026, 1, 2, 3, 4, 7, 250_000, tzinfo=UTC)
_ANSWER = "Parcels may be returned within 30 days [1]."
_SOURCE_TEXT = "Parcels may be returned within 30 days of delivery."

_LINEAGE = Lineage(
    prompt="answer@1f0c2a9b",
    system_prompt="careful@77aa01c4",
    index="handbook@5c1d90e2",
    policy="default@e3b0c442",
    route="default@9a8b7c6d",
    model="small-chat",
    scorers={"groundedness": "overlap@2", "toxicity": "onnx@4d5e6f70"},
)
_USAGE = Usage(input_tokens=412, output_tokens=38, cached_input_tokens=128, reasoning_tokens=0)
_TIMINGS = Timings(retrieval_ms=12.5, generation_ms=1480.25, scoring_ms=31.0, total_ms=1530.0)
_TOXICITY = Score(name="toxicity", version="onnx@4d5e6f70", status="ok", value=0.01, latency_ms=8.5)
_GROUNDEDNESS = Score(
    name="groundedness",
    version="overlap@2",
    status="ok",
    value=1.0,
    labels={"supported": 1.0},
    evidence=(
        Evidence(
            text=_ANSWER,
            start=0,
            end=len(_ANSWER),
            supported=True,
            score=0.97,
            passage=1,
            passage_start=0,
            passage_end=len(_SOURCE_TEXT),
        ),
    ),
    latency_ms=3.25,
)
_FAILED = Score(
    name="groundedness", version="overlap@2", status="failed", reason="timeout", latency_ms=2000.0
)

_ASK = GenerationRequest(messages=[Message(role="user", content="How long may a parcel be returned?")])
_ASK_FULL = GenerationRequest(
    id="req-0001",
    tenant="shop",
    conversation_id="conv-42",
    messages=[
        Message(role="system", content="Answer from the handbook."),
        Message(
            role="user",
            content=[
                TextPart(text="How long may a parcel be returned?"),
                ImagePart(image_url={"url": "data:image/png;base64,iVBORw0KGgo="}),
            ],
        ),
    ],
    route="default",
    model="small-chat",
    temperature=0.2,
    top_p=0.9,
    max_tokens=256,
    seed=7,
    stop=["\n\n"],
    prompt=PromptRef(name="answer", version="latest", variables={"tone": "plain"}),
    retrieval=RetrievalSpec(index="handbook", top_k=3, filters={"language": "en"}),
    deadline=datetime(2026, 1, 2, 3, 5, 5, tzinfo=UTC),
    risk="medium",
    ordering="key",
    replay=1,
    metadata={"channel": "web", "order": 48213},
)
_NAMED = GenerationRequest(id="req-0001", messages=_ASK.messages)

_COST = CostEvent(
    id="default:req-0001:cost:chat",
    request_id="req-0001",
    tenant="default",
    kind="chat",
    provider="own",
    model="small-chat",
    requested_model=None,
    usage=Usage(),
    status="unpriced",
    amount=None,
    currency="USD",
    price_version="genai-prices 0.2.3",
    created=_LATER,
)
_COST_FULL = CostEvent(
    id="shop:req-0001:cost:cache_hit",
    request_id="req-0001",
    tenant="shop",
    kind="cache_hit",
    provider="own",
    model="small-chat",
    requested_model="small-chat",
    usage=Usage(),
    status="priced",
    amount=Decimal(0),
    currency="USD",
    price_version="genai-prices 0.2.3+own@0badcafe",
    created=_LATER,
    avoided=Decimal("0.000184"),
)
_COST_PAID = CostEvent(
    id="shop:req-0001:cost:chat",
    request_id="req-0001",
    tenant="shop",
    kind="chat",
    provider="own",
    model="small-chat",
    requested_model="small-chat",
    usage=_USAGE,
    status="priced",
    amount=Decimal("0.000184"),
    currency="USD",
    price_version="genai-prices 0.2.3+own@0badcafe",
    created=_LATER,
)

_CONTEXT = RetrievedContext(
    id="default:req-0001:context",
    request=_NAMED,
    passages=(),
    received=_AT,
    lineage=Lineage(),
    timings=Timings(),
)
_CONTEXT_FULL = RetrievedContext(
    id="shop:req-0001:context",
    request=_ASK_FULL,
    passages=(
        Passage(
            id="handbook.md#0",
            text=_SOURCE_TEXT,
            source="handbook.md",
            start=120,
            end=120 + len(_SOURCE_TEXT),
            headings=("Returns", "Deadlines"),
            score=0.83,
            metadata={"language": "en"},
        ),
    ),
    received=_AT,
    lineage=_LINEAGE,
    timings=Timings(retrieval_ms=12.5),
    cache_key="6f1ed002ab5595859014ebf0951522d9",
    input_scores=(_TOXICITY,),
    attempts=2,
    give_up=_LATER,
)
_BUSY = Problem(code="model_rate_limited", reason="the provider asks to slow down")

_CITATION = Citation(
    number=1,
    passage_id="handbook.md#0",
    source="handbook.md",
    text=_SOURCE_TEXT,
    start=120,
    end=120 + len(_SOURCE_TEXT),
    headings=("Returns", "Deadlines"),
)
_DRAFT = Draft(
    id="default:req-0001:draft",
    context=_CONTEXT,
    answer=_ANSWER,
    finish_reason="stop",
    provider="own",
    model="small-chat",
    usage=Usage(),
    citations=(),
    cost=_COST,
    lineage=Lineage(),
    timings=Timings(),
)
_DRAFT_FULL = Draft(
    id="shop:req-0001:draft",
    context=_CONTEXT_FULL,
    answer=_ANSWER,
    finish_reason="stop",
    provider="own",
    model="small-chat",
    usage=_USAGE,
    citations=(_CITATION,),
    cost=_COST_PAID,
    lineage=_LINEAGE,
    timings=Timings(retrieval_ms=12.5, generation_ms=1480.25),
    unknown_citations=(4,),
)

_HELD = Decision(action="review", policy="default@e3b0c442", rules=("groundedness-missing",))
_DECIDED = ReviewDecision(request_id="req-0001", action="approve", reviewer="ana")
_DECIDED_FULL = ReviewDecision(
    request_id="req-0001",
    tenant="shop",
    action="edit",
    reviewer="ana",
    text="Parcels may be returned within 30 days of delivery [1].",
    comment="said when the 30 days begin",
)

MINIMAL: dict[type[Event], Event] = {
    GenerationRequest: _ASK,
    RetrievedContext: _CONTEXT,
    Retry: Retry(id="default:req-0001:retry", context=_CONTEXT, not_before=_LATER, problem=_BUSY),
    Draft: _DRAFT,
    GenerationResponse: GenerationResponse(
        id="default:req-0001:response",
        request_id="req-0001",
        tenant="default",
        status="completed",
        created=_LATER,
    ),
    Review: Review(
        id="default:req-0001:review",
        draft=_DRAFT,
        scores=(_FAILED,),
        decision=_HELD,
        state="pending",
        created=_LATER,
    ),
    ReviewDecision: _DECIDED,
    ModerationEvent: ModerationEvent(
        id="default:req-0001:moderation:input",
        request_id="req-0001",
        tenant="default",
        stage="input",
        decision=Decision(action="allow", policy="default@e3b0c442"),
        scores=(),
        decided_by="policy",
        risk="low",
        lineage=Lineage(),
        created=_AT,
    ),
    CostEvent: _COST,
}
"""What must be there and nothing else."""

FULL: dict[type[Event], Event] = {
    GenerationRequest: _ASK_FULL,
    RetrievedContext: _CONTEXT_FULL,
    Retry: Retry(id="shop:req-0001:retry:replay-1", context=_CONTEXT_FULL, not_before=_LATER, problem=_BUSY),
    Draft: _DRAFT_FULL,
    GenerationResponse: GenerationResponse(
        id="shop:req-0001:response",
        request_id="req-0001",
        tenant="shop",
        conversation_id="conv-42",
        status="completed",
        created=_LATER,
        choices=(Choice(message=Message(role="assistant", content=_ANSWER), finish_reason="stop"),),
        citations=(_CITATION,),
        usage=_USAGE,
        scores=(_TOXICITY, _GROUNDEDNESS),
        decision=Decision(action="allow", policy="default@e3b0c442"),
        cost=_COST_PAID,
        lineage=_LINEAGE,
        timings=_TIMINGS,
        attempts=1,
        replay=1,
        metadata={"channel": "web", "order": 48213},
    ),
    Review: Review(
        id="shop:req-0001:review",
        draft=_DRAFT_FULL,
        scores=(_TOXICITY, _FAILED),
        decision=_HELD,
        state="edited",
        created=_LATER,
        resolution=_DECIDED_FULL,
        resolved=datetime(2026, 1, 2, 3, 9, 0, tzinfo=UTC),
        escalated=datetime(2026, 1, 2, 3, 8, 0, tzinfo=UTC),
    ),
    ReviewDecision: _DECIDED_FULL,
    ModerationEvent: ModerationEvent(
        id="shop:req-0001:moderation:output",
        request_id="req-0001",
        tenant="shop",
        stage="output",
        decision=Decision(
            action="redact",
            policy="default@e3b0c442",
            rules=("personal-data",),
            redacted={"email": 1},
        ),
        scores=(_TOXICITY, _FAILED),
        decided_by="policy",
        passages=(
            JudgedPassage(
                passage_id="a1b2c3d4",
                source="handbook/returns.md",
                action="fence",
                rules=("injected-passage",),
                scores=(Score(name="injection", version="injection@1", status="ok", value=0.91),),
            ),
        ),
        risk="medium",
        lineage=_LINEAGE,
        created=_LATER,
    ),
    CostEvent: _COST_FULL,
}
"""With every field that goes together filled in."""

DEAD_LETTER = DeadLetter(
    topic="genai.requests",
    partition=0,
    offset=17,
    stage="retrieval",
    reason="invalid",
    message="Expected `int`, got `str`",
    field="$.max_tokens",
    expected="`int`",
)
