"""From an agent to what the delivery rule runs: each stage's event, its handler, and its terminal error."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from agents.admission import RetrievalStage
from agents.errors import Unprocessable
from agents.outcomes import internal_error
from agents.passages import PassageGuard
from agents.retries import RetryStage
from agents.review import ReleaseStage
from agents.scoring import ScoringStage
from schemas.common import Event
from schemas.context import RetrievedContext
from schemas.draft import Draft
from schemas.request import GenerationRequest
from schemas.retry import Retry
from schemas.review import Review, ReviewDecision
from streams.delivery import Stage
from streams.records import Origin
from streams.services import Services


def new_stage(name: str, services: Services) -> Stage[Any]:
    """The stage of that name, its agent built from the services."""
    return _STAGES[name](services)


def _retrieval(services: Services) -> Stage[GenerationRequest]:
    agent = RetrievalStage(
        retriever=services.retriever,
        store=services.store,
        judge=services.judge,
        input_scorers=services.scorers_of("input"),
        policy=services.policy,
        describe=services.generation.describe,
        clock=services.clock,
        guard=PassageGuard(services.judge, services.policy, services.scorers_of("passages")),
    )

    async def handle(request: GenerationRequest, origin: Origin) -> Sequence[Event]:
        return await agent.handle(request, origin.position, origin.event_id)

    async def on_error(request: GenerationRequest, origin: Origin) -> Sequence[Event]:
        known = agent.identified(request, origin.position, origin.event_id)
        return await services.store.end(known, [internal_error(known, "retrieval", services.clock())])

    return Stage("retrieval", GenerationRequest, handle, on_error, services.settings.max_request_bytes)


def _generation(services: Services) -> Stage[RetrievedContext]:
    async def handle(context: RetrievedContext, _: Origin) -> Sequence[Event | Unprocessable]:
        return await services.generation.handle(context, services.store)

    async def on_error(context: RetrievedContext, _: Origin) -> Sequence[Event]:
        request = context.request
        return await services.store.end(request, [internal_error(request, "generation", services.clock())])

    return Stage("generation", RetrievedContext, handle, on_error)


def _retries(services: Services) -> Stage[Retry]:
    agent = RetryStage(services.clock, asyncio.sleep)

    async def handle(retry: Retry, _: Origin) -> Sequence[Event]:
        return await agent.handle(retry)

    async def on_error(retry: Retry, _: Origin) -> Sequence[Event]:
        request = retry.context.request
        return await services.store.end(request, [internal_error(request, "retries", services.clock())])

    return Stage("retries", Retry, handle, on_error, waits=True)


def _scoring(services: Services) -> Stage[Draft]:
    agent = ScoringStage(
        services.judge,
        services.policy,
        services.store,
        services.clock,
        services.scorers_of("output"),
        services.vault,
    )

    async def handle(draft: Draft, _: Origin) -> Sequence[Event]:
        return await agent.handle(draft)

    async def on_error(draft: Draft, _: Origin) -> Sequence[Event]:
        request = draft.context.request
        return await services.store.conclude(request, [internal_error(request, "scoring", services.clock())])

    return Stage("scoring", Draft, handle, on_error)


def _release(services: Services) -> Stage[ReviewDecision]:
    agent = ReleaseStage(
        services.review_book, services.judge, services.policy, services.clock, services.vault
    )

    async def handle(decision: ReviewDecision, _: Origin) -> Sequence[Event]:
        events = await agent.handle(decision)
        resolved = next((event for event in events if isinstance(event, Review) and event.resolved), None)
        if resolved is None:
            return events
        # A person and the clock can decide at once, in two workers where their records lie in two partitions.
        return await services.store.conclude(resolved.draft.context.request, events, step="resolution")

    async def on_error(_: ReviewDecision, __: Origin) -> Sequence[Event]:
        return []  # the decision is in the dead letters and its review still waits: a person decides again

    return Stage("release", ReviewDecision, handle, on_error, services.settings.max_request_bytes)


_STAGES: dict[str, Callable[[Services], Stage[Any]]] = {
    "retrieval": _retrieval,
    "generation": _generation,
    "retries": _retries,
    "scoring": _scoring,
    "release": _release,
}
