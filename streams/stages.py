"""From an agent to what the delivery rule runs: each stage's event, its handler, and its terminal error."""

from collections.abc import Callable, Sequence
from typing import Any

from agents.admission import RetrievalStage
from agents.outcomes import internal_error
from agents.review import ReleaseStage
from agents.scoring import ScoringStage
from schemas.common import Event
from schemas.context import RetrievedContext
from schemas.draft import Draft
from schemas.request import GenerationRequest
from schemas.review import ReviewDecision
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
        input_scorers=services.input_scorers,
        policy=services.policy,
        describe=services.generation.describe,
        clock=services.clock,
    )

    async def handle(request: GenerationRequest, origin: Origin) -> Sequence[Event]:
        return await agent.handle(request, origin.position, origin.event_id)

    def on_error(request: GenerationRequest, origin: Origin) -> Sequence[Event]:
        known = agent.identified(request, origin.position, origin.event_id)
        return [internal_error(known, "retrieval", services.clock())]

    return Stage("retrieval", GenerationRequest, handle, on_error, services.settings.max_request_bytes)


def _generation(services: Services) -> Stage[RetrievedContext]:
    async def handle(context: RetrievedContext, _: Origin) -> Sequence[Event]:
        return await services.generation.handle(context, services.store)

    def on_error(context: RetrievedContext, _: Origin) -> Sequence[Event]:
        return [internal_error(context.request, "generation", services.clock())]

    return Stage("generation", RetrievedContext, handle, on_error)


def _scoring(services: Services) -> Stage[Draft]:
    agent = ScoringStage(services.judge, services.policy, services.store, services.clock)

    async def handle(draft: Draft, _: Origin) -> Sequence[Event]:
        return await agent.handle(draft)

    def on_error(draft: Draft, _: Origin) -> Sequence[Event]:
        return [internal_error(draft.context.request, "scoring", services.clock())]

    return Stage("scoring", Draft, handle, on_error)


def _release(services: Services) -> Stage[ReviewDecision]:
    agent = ReleaseStage(services.review_book, services.judge, services.policy, services.clock)

    async def handle(decision: ReviewDecision, _: Origin) -> Sequence[Event]:
        return await agent.handle(decision)

    def on_error(_: ReviewDecision, __: Origin) -> Sequence[Event]:
        return []  # the decision is in the dead letters and its review still waits: a person decides again

    return Stage("release", ReviewDecision, handle, on_error, services.settings.max_request_bytes)


_STAGES: dict[str, Callable[[Services], Stage[Any]]] = {
    "retrieval": _retrieval,
    "generation": _generation,
    "scoring": _scoring,
    "release": _release,
}
