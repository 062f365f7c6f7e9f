"""The first stage: admit a request or end it at once, look in the cache, retrieve passages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from msgspec.structs import replace

from agents.cache_key import cache_key
from agents.costing import cache_hit_cost
from agents.errors import RequestRefused, UnknownPart, Unprocessable
from agents.outcomes import ended, moderated, without_evidence
from agents.passages import PassageGuard, told
from agents.policy import Policy
from agents.ports import Clock, Judge, RequestStore, Retriever, ScoreInput
from schemas.common import Event, Lineage, Passage, Problem, Timings
from schemas.context import RetrievedContext
from schemas.identity import id_of
from schemas.request import GenerationRequest
from schemas.response import GenerationResponse


class Describe(Protocol):
    """What would answer a request, as its lineage; the generation stage knows.

    Raises:
        RequestRefused: it names a prompt, route or content part that cannot be served.
    """

    def __call__(self, request: GenerationRequest, *, has_passages: bool) -> Lineage:
        """Prompt, system prompt, route and model of the request."""
        ...


@dataclass(slots=True)
class RetrievalStage:
    """`genai.requests` in; a context, or the end of the request, out."""

    retriever: Retriever
    store: RequestStore
    judge: Judge
    input_scorers: Sequence[str]
    policy: Policy
    describe: Describe
    clock: Clock
    guard: PassageGuard

    async def handle(
        self, request: GenerationRequest, position: str, header_id: str | None = None
    ) -> Sequence[Event]:
        """Admit the request read at `position` (`topic-partition-offset`).

        Raises:
            Unprocessable: its id was used by another record.
        """
        received = self.clock()
        request = self.identified(request, position, header_id)
        found = self._lineage_or_end(request, received)
        key = cache_key(request, found) if isinstance(found, Lineage) else None
        known = await self.store.admit(request, position, key)
        if known.first_seen_at not in (None, position):
            raise Unprocessable(
                "duplicate_id",
                f"tenant {request.tenant} used this id before, at {known.first_seen_at}",
                "$.id",
                "an id not used before",
            )
        if known.outcome is not None:
            return known.outcome
        if isinstance(found, GenerationResponse):
            return await self.store.end(request, [found])
        # A record read again is answered as it was the first time, not from a cache its own answer may have filled.
        if known.cached is not None and known.first_seen_at is None:
            return await self.store.end(request, self._from_cache(request, known.cached, received))
        return await self._admit(request, found, key, received)

    def _lineage_or_end(self, request: GenerationRequest, received: datetime) -> Lineage | GenerationResponse:
        if request.deadline is not None and request.deadline <= received:
            return _expired(request, received)
        try:
            _check_order(request)
            return self._lineage(request)
        except RequestRefused as error:
            return ended(request, "refused", received, error.problem)

    def identified(
        self, request: GenerationRequest, position: str, header_id: str | None = None
    ) -> GenerationRequest:
        """The request with an id: its own, else its `ce_id` header, else its record's position."""
        return replace(request, id=request.id or usable_id(header_id) or position)

    async def _admit(
        self, request: GenerationRequest, lineage: Lineage, key: str | None, received: datetime
    ) -> Sequence[Event]:
        item, left_s = ScoreInput(request.question()), request.time_left_s(self.clock())
        scores = await self.judge.judge(item, self.input_scorers, left_s)
        decision = self.policy.decide_input(scores, request)
        judged = moderated(request, "input", decision, scores, "policy", lineage, received)
        if decision.action in ("review", "block"):
            problem = Problem(code="blocked_input", reason="the request was blocked by policy")
            response = ended(
                request,
                "blocked",
                received,
                problem,
                lineage=lineage,
                decision=decision,
                scores=without_evidence(scores),
            )
            return await self.store.end(request, [response, judged])
        found = await self._passages(request, lineage)
        passages, refused = await self.guard.check(request, found, request.time_left_s(self.clock()))
        timings = Timings(retrieval_ms=(self.clock() - received).total_seconds() * 1e3)
        context = RetrievedContext(
            id=id_of(request, "context"),
            request=request,
            passages=tuple(passages),
            received=received,
            lineage=lineage,
            timings=timings,
            cache_key=key,
            input_scores=without_evidence(scores),
        )
        return [context, judged, *told(request, refused, self.policy.label, lineage, received)]

    def _lineage(self, request: GenerationRequest) -> Lineage:
        lineage = self.describe(request, has_passages=request.retrieval is not None)
        index = self._index_version(request)
        return replace(lineage, index=index, policy=self.policy.label, scorers=self.judge.versions)

    def _index_version(self, request: GenerationRequest) -> str | None:
        if request.retrieval is None:
            return None
        try:
            return self.retriever.version(request.retrieval.index)
        except UnknownPart as error:
            expected = f"one of {', '.join(error.known) or 'none'}"
            raise RequestRefused("unknown_index", str(error), "$.retrieval.index", expected) from None

    async def _passages(self, request: GenerationRequest, lineage: Lineage) -> list[Passage]:
        wanted = request.retrieval
        if wanted is None:
            return []
        # By version, so that lineage and passages agree while another version goes live.
        index = lineage.index or wanted.index
        return await self.retriever.search(index, request.question(), wanted.top_k, wanted.filters)

    def _from_cache(
        self, request: GenerationRequest, cached: GenerationResponse, received: datetime
    ) -> Sequence[Event]:
        cost = cached.cost and cache_hit_cost(cached.cost, request, received)
        total_ms = (self.clock() - received).total_seconds() * 1e3
        response = replace(
            cached,
            id=id_of(request, "response"),
            request_id=request.id or "",
            conversation_id=request.conversation_id,
            created=self.clock(),
            cost=cost,
            cached=True,
            timings=Timings(total_ms=total_ms),
            metadata=request.metadata,
            replay=request.replay,
        )
        return [response, *([cost] if cost else [])]


def usable_id(header_id: str | None) -> str | None:
    """A `ce_id` that can serve as a request id: others are left aside, the record is not refused for them."""
    fits = header_id and len(header_id) <= 128 and header_id.isprintable() and " " not in header_id
    return header_id if fits else None


def _check_order(request: GenerationRequest) -> None:
    if request.ordering == "key" and request.conversation_id is None:
        raise RequestRefused(
            "no_conversation",
            "order is kept among the requests of a conversation, and this one names none",
            "$.conversation_id",
            "a conversation id, or `ordering` left out",
        )


def _expired(request: GenerationRequest, now: datetime) -> GenerationResponse:
    problem = Problem(
        code="deadline_passed",
        reason=f"the deadline {request.deadline} had passed on arrival",
        field="$.deadline",
        expected=f"a time after {now.isoformat(timespec='seconds')}",
    )
    return ended(request, "expired", now, problem)
