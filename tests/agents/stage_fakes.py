"""Small stand-ins for what the stages are given, and builders of the events they read."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from agents.errors import UnknownPart
from agents.policy import Policy
from agents.ports import Admission, Claim, Held, ScoreInput, Settled, Step
from schemas.common import Event, Lineage, Message, Passage, Timings, Usage
from schemas.context import RetrievedContext
from schemas.cost import CostEvent
from schemas.draft import Draft
from schemas.request import GenerationRequest, RetrievalSpec
from schemas.response import GenerationResponse
from schemas.review import Review
from schemas.score import Score

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class FakeClock:
    """Moves by 10 ms at every look."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=10)
        return self.now


@dataclass
class _Remembered:
    position: str | None = None
    token: int = 0
    until: float = 0.0
    outcome: list[Event] | None = None
    concluded: dict[str, list[Event]] = field(default_factory=dict)


@dataclass
class FakeStore:
    """A RequestStore in memory; held to the same contract as the one on Redis (`tests/conformance/store.py`)."""

    lease_s: float = 10.0
    now: Callable[[], float] = time.monotonic
    cache: dict[str, GenerationResponse] = field(default_factory=dict)
    known: dict[tuple[str, str, int], _Remembered] = field(default_factory=dict)

    async def admit(self, request: GenerationRequest, position: str, cache_key: str | None) -> Admission:
        known = self._of(request)
        first, known.position = known.position, known.position or position
        return Admission(first, _ending(known.outcome), self.cache.get(cache_key or ""))

    async def claim(self, context: RetrievedContext) -> Claim | Held | Settled:
        known = self._of(context.request)
        if known.outcome is not None:
            return Settled(known.outcome)
        if known.until > self.now():
            return Held(min(known.until - self.now(), 1.0))
        known.token, known.until = known.token + 1, self.now() + self.lease_s
        return Claim(known.token)

    async def settle(
        self, context: RetrievedContext, events: Sequence[Event], claim: Claim
    ) -> Settled | None:
        known = self._of(context.request)
        is_answer = any(isinstance(event, Draft) for event in events)
        if known.outcome is None:
            if not is_answer and known.until > self.now() and known.token != claim.token:
                return None
            known.outcome, known.until = list(events), 0.0
        return Settled(known.outcome)

    async def release(self, context: RetrievedContext, claim: Claim) -> None:
        known = self._of(context.request)
        if known.token == claim.token:
            known.until = 0.0

    async def end(self, request: GenerationRequest, events: Sequence[Event]) -> Sequence[Event]:
        known = self._of(request)
        if known.outcome is not None:
            return _ending(known.outcome) or []
        if known.until > self.now():
            return []
        known.outcome = list(events)
        return events

    async def conclude(
        self,
        request: GenerationRequest,
        events: Sequence[Event],
        cache_key: str | None = None,
        step: Step = "verdict",
    ) -> Sequence[Event]:
        known = self._of(request).concluded
        known.setdefault(step, list(events))
        if cache_key is not None:
            self.cache[cache_key] = next(e for e in events if isinstance(e, GenerationResponse))
        return known[step]

    def _of(self, request: GenerationRequest) -> _Remembered:
        return self.known.setdefault((request.tenant, request.id or "", request.replay), _Remembered())


def _ending(outcome: list[Event] | None) -> list[Event] | None:
    return None if outcome is None or any(isinstance(event, Draft) for event in outcome) else outcome


@dataclass
class FakeRetriever:
    """One index, `docs`, that finds the same passage always."""

    async def search(self, index: str, query: str, top_k: int, filters: Mapping[str, str]) -> list[Passage]:
        assert index == "docs@1"
        return [PASSAGE]

    def version(self, index: str) -> str:
        if index != "docs":
            raise UnknownPart("index", index, ["docs"])
        return "docs@1"


@dataclass
class FakeJudge:
    """Gives every text the scores it was made with; notes what it judged."""

    toxicity: float | None = 0.01
    groundedness: float | None = 0.9
    judged: list[ScoreInput] = field(default_factory=list)
    timeouts: list[float | None] = field(default_factory=list)

    @property
    def versions(self) -> dict[str, str]:
        return {"toxicity": "toxicity@1", "groundedness": "groundedness@1"}

    async def judge(
        self, item: ScoreInput, names: Sequence[str] | None = None, timeout_s: float | None = None
    ) -> tuple[Score, ...]:
        self.judged.append(item)
        self.timeouts.append(timeout_s)
        values = {"toxicity": self.toxicity, "groundedness": self.groundedness}
        return tuple(score(name, value) for name, value in values.items() if names is None or name in names)


def score(name: str, value: float | None) -> Score:
    status = "failed" if value is None else "ok"
    return Score(name=name, version=f"{name}@1", status=status, value=value)


class FakeBook(dict[tuple[str, str], Review]):
    """Reviews by tenant and request id."""

    async def find(self, tenant: str, request_id: str) -> Review | None:
        return self.get((tenant, request_id))


PASSAGE = Passage(id="p1", text="Water boils at 100 degrees.", source="facts.md", start=0, end=27)

POLICY = """
name: test
redactions:
  email: {pattern: '[a-z]+@[a-z]+\\.[a-z]+'}
input:
  rules:
    - {id: toxic-input, when: {score: toxicity, at_least: 0.9}, action: block}
output:
  rules:
    - {id: toxic, when: {score: toxicity, at_least: 0.8}, action: block}
    - {id: unscored, when: {score: toxicity, missing: true}, action: review}
    - {id: ungrounded, when: {score: groundedness, below: 0.5}, action: review}
    - {id: email, when: {matches: email}, action: redact}
"""


def policy(folder: Path) -> Policy:
    path = folder / "test.yaml"
    path.write_text(POLICY)
    return Policy.load(path)


def request(**fields: object) -> GenerationRequest:
    wanted = {
        "id": "r1",
        "messages": [Message(role="user", content="When does water boil?")],
        "retrieval": RetrievalSpec(index="docs"),
        **fields,
    }
    return GenerationRequest(**wanted)  # type: ignore[arg-type]


def draft(answer: str = "At 100 degrees [1].", **fields: object) -> Draft:
    asked = fields.pop("request", request())
    lineage = Lineage(model="openai/m", policy="test@1")
    context = RetrievedContext(
        id="default:r1:context",
        request=asked,  # type: ignore[arg-type]
        passages=(PASSAGE,),
        received=NOW,
        lineage=lineage,
        timings=Timings(retrieval_ms=1.0),
        cache_key="k1",
    )
    cost = CostEvent(
        id="default:r1:cost:chat",
        request_id="r1",
        tenant="default",
        kind="chat",
        provider="openai",
        model="m",
        requested_model="m",
        usage=Usage(input_tokens=10, output_tokens=5),
        status="priced",
        amount=Decimal("0.001"),
        currency="USD",
        price_version="test",
        created=NOW,
    )
    wanted = {
        "id": "default:r1:draft",
        "context": context,
        "answer": answer,
        "finish_reason": "stop",
        "provider": "openai",
        "model": "m",
        "usage": cost.usage,
        "citations": (),
        "cost": cost,
        "lineage": lineage,
        "timings": Timings(retrieval_ms=1.0, generation_ms=2.0),
        **fields,
    }
    return Draft(**wanted)  # type: ignore[arg-type]
