"""The paid stage: render the prompt, call a model along its route, and keep the answer before it is published."""

import random as randomness
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from agents.citations import find_citations
from agents.costing import Prices, cost_event
from agents.errors import (
    ModelError,
    ModelRateLimited,
    ModelRefused,
    ModelTimeout,
    RequestRefused,
    UnknownPart,
)
from agents.outcomes import ended
from agents.ports import Clock, Completion, ModelCall, Provider, RequestStore
from agents.prompts import Prompt, PromptLibrary
from agents.routes import Route, Routes
from schemas.common import Event, Lineage, Message, Problem
from schemas.context import RetrievedContext
from schemas.draft import Draft
from schemas.identity import id_of
from schemas.request import GenerationRequest
from schemas.response import GenerationResponse, Status

FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 20.0


@dataclass(frozen=True, slots=True)
class _Asked:
    """One target of a route with the model that will be asked for."""

    provider: Provider
    model: str
    number: int

    @property
    def label(self) -> str:
        return f"{self.provider.name}/{self.model}"


@dataclass(frozen=True, slots=True)
class _Plan:
    """What would serve a request."""

    prompt: Prompt
    route: Route
    targets: Sequence[_Asked]
    lineage: Lineage


class GenerationStage:
    """`genai.contexts` in; a draft and its cost, or the end of the request, out.

    Raises:
        ConfigurationError: at construction, when a route names a provider that is not there.
    """

    def __init__(
        self,
        prompts: PromptLibrary,
        providers: Mapping[str, Provider],
        routes: Routes,
        prices: Prices,
        clock: Clock,
        sleep: Callable[[float], Awaitable[object]],
        random: randomness.Random,
        on_error: Callable[[str, ModelError], None] = lambda _provider, _error: None,
    ) -> None:
        routes.check_providers(set(providers))
        self._prompts, self._providers, self._routes = prompts, providers, routes
        self._prices = prices
        self._clock, self._sleep, self._random = clock, sleep, random
        self._on_error = on_error

    def describe(self, request: GenerationRequest, *, has_passages: bool) -> Lineage:
        """Prompt, system prompt, route and model that would serve the request.

        Raises:
            RequestRefused: it names a prompt or route that is not there, gives variables that are not declared,
                or holds content that no target of its route takes.
        """
        plan = self._plan(request, has_passages)
        plan.prompt.check_variables(request.prompt.variables if request.prompt else {})
        return plan.lineage

    async def handle(self, context: RetrievedContext, store: RequestStore) -> Sequence[Event]:
        """Answer one context. What was bought for it before is published again, not bought again."""
        request = context.request
        assert request.id is not None, "admission gives every request an id"
        bought = await store.journalled(request.tenant, request.id)
        if bought is not None:
            return [bought, bought.cost]
        started = self._clock()
        if request.deadline is not None and request.deadline <= started:
            return [self._expired(context)]
        try:
            draft = await self._bought(context, started)
        except RequestRefused as error:
            return [self._ended(context, "refused", error.problem)]
        except ModelError as error:
            return [self._not_answered(context, error)]
        await store.journal(draft)
        return [draft, draft.cost]

    async def _bought(self, context: RetrievedContext, started: datetime) -> Draft:
        plan = self._plan(context.request, context.request.retrieval is not None)
        messages = plan.prompt.render(context.request, context.passages)
        asked, completion = await self._along_route(context, plan, messages, started)
        return self._draft(context, plan, asked, completion, started)

    def _not_answered(self, context: RetrievedContext, error: ModelError) -> GenerationResponse:
        deadline = context.request.deadline
        if isinstance(error, ModelRefused):
            problem = Problem(code=error.code, reason="the model declined to answer this request")
            return self._ended(context, "blocked", problem)
        if deadline is not None and deadline <= self._clock():
            return self._expired(context)
        return self._ended(context, "failed", Problem(code=error.code, reason=str(error)))

    def _plan(self, request: GenerationRequest, has_passages: bool) -> _Plan:  # noqa: FBT001  # named by its callers
        try:
            prompt = self._prompts.for_request(request, has_passages=has_passages)
            name, route = self._routes.resolve(request.route)
        except UnknownPart as error:
            raise _unknown(error) from None
        targets = self._able(request, route)
        lineage = Lineage(
            prompt=prompt.label,
            system_prompt=prompt.system_label,
            route=f"{name}/{self._routes.version}",
            model=targets[0].label,
        )
        return _Plan(prompt, route, targets, lineage)

    def _able(self, request: GenerationRequest, route: Route) -> list[_Asked]:
        """The targets that take every content part of the request."""
        providers = [self._providers[target.provider] for target in route.targets]
        accepted: set[str] = set().union(*(provider.media_types for provider in providers))
        needed: set[str] = set()
        for number, message in enumerate(request.messages):
            needed |= message.media_types()
            if strange := message.media_types() - accepted:
                raise RequestRefused(
                    "unsupported_content",
                    f"no model of this route takes {', '.join(sorted(strange))}",
                    f"$.messages[{number}].content",
                    f"one of {', '.join(['text', *sorted(accepted)])}",
                )
        targets = [
            _Asked(provider, request.model or target.model or provider.default_model, number)
            for number, (target, provider) in enumerate(zip(route.targets, providers, strict=True))
            if needed <= provider.media_types
        ]
        if not targets:
            raise RequestRefused(
                "unsupported_content", "no model of this route takes all of it", "$.messages"
            )
        return targets

    async def _along_route(
        self, context: RetrievedContext, plan: _Plan, messages: Sequence[Message], started: datetime
    ) -> tuple[_Asked, Completion]:
        """The first target that answers. Content that one declined is offered to no other."""
        last: ModelError = ModelTimeout("no time was left for a call")
        for asked in plan.targets:
            try:
                return asked, await self._with_retries(context, plan, messages, asked, started)
            except ModelRefused:
                raise
            except ModelError as error:
                last = error
        raise last

    async def _with_retries(
        self,
        context: RetrievedContext,
        plan: _Plan,
        messages: Sequence[Message],
        asked: _Asked,
        started: datetime,
    ) -> Completion:
        last: ModelError | None = None
        for attempt in range(plan.route.attempts):
            left_s = self._left_s(context.request, plan.route, started)
            if last is not None:
                pause_s = self._pause_s(attempt, last)
                if pause_s >= left_s:
                    raise last
                await self._sleep(pause_s)
                left_s = self._left_s(context.request, plan.route, started)
            if left_s <= 0:
                raise last or ModelTimeout("no time was left for a call")
            timeout_s = min(left_s, plan.route.attempt_timeout_s)
            try:
                return await asked.provider.complete(_call(context, plan.prompt, messages, asked, timeout_s))
            except ModelError as error:
                self._on_error(asked.provider.name, error)
                if not error.retryable:
                    raise
                last = error
        assert last is not None
        raise last

    def _left_s(self, request: GenerationRequest, route: Route, started: datetime) -> float:
        now = self._clock()
        of_route: float = route.timeout_s - (now - started).total_seconds()
        return (
            of_route if request.deadline is None else min(of_route, (request.deadline - now).total_seconds())
        )

    def _pause_s(self, attempt: int, error: ModelError) -> float:
        """Exponential back-off with full jitter (Brooker, 2015), never less than the provider asks for."""
        ceiling = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** (attempt - 1))
        jittered: float = self._random.random() * ceiling
        wanted = error.retry_after_s if isinstance(error, ModelRateLimited) else None
        return jittered if wanted is None else wanted + jittered

    def _draft(
        self, context: RetrievedContext, plan: _Plan, asked: _Asked, bought: Completion, started: datetime
    ) -> Draft:
        request, now = context.request, self._clock()
        citations, unknown = find_citations(bought.text, context.passages)
        return Draft(
            id=id_of(request, "draft"),
            context=context,
            answer=bought.text,
            finish_reason=bought.finish_reason,
            provider=bought.provider,
            model=bought.model,
            usage=bought.usage,
            citations=citations,
            # Without retrieval a `[1]` is the model's own way of writing, not a claim about a passage.
            unknown_citations=unknown if request.retrieval is not None else (),
            cost=cost_event(self._prices, request, "chat", bought, asked.model, now),
            lineage=_stamped(context.lineage, plan.lineage, asked.label),
            timings=replace(context.timings, generation_ms=(now - started).total_seconds() * 1e3),
        )

    def _expired(self, context: RetrievedContext) -> GenerationResponse:
        reason = f"the deadline {context.request.deadline} passed before there was an answer"
        return self._ended(
            context, "expired", Problem(code="deadline_passed", reason=reason, field="$.deadline")
        )

    def _ended(self, context: RetrievedContext, status: Status, problem: Problem) -> GenerationResponse:
        now = self._clock()
        total_ms = (now - context.received).total_seconds() * 1e3
        timings = replace(context.timings, total_ms=total_ms)
        return ended(context.request, status, now, problem, lineage=context.lineage, timings=timings)


def _call(
    context: RetrievedContext, prompt: Prompt, messages: Sequence[Message], asked: _Asked, timeout_s: float
) -> ModelCall:
    request, defaults = context.request, prompt.parameters
    fallback = f":{asked.number}" if asked.number else ""
    return ModelCall(
        messages=messages,
        question=request.question(),
        passages=context.passages,
        idempotency_key=f"{request.tenant}:{request.id}{fallback}",
        timeout_s=timeout_s,
        model=asked.model,
        temperature=defaults.temperature if request.temperature is None else request.temperature,
        top_p=defaults.top_p if request.top_p is None else request.top_p,
        max_tokens=defaults.max_tokens if request.max_tokens is None else request.max_tokens,
        seed=request.seed,
        stop=request.stop,
    )


def _stamped(admitted: Lineage, served: Lineage, model: str) -> Lineage:
    """What truly shaped the answer: prompts and routes may have changed since admission."""
    return replace(
        admitted, prompt=served.prompt, system_prompt=served.system_prompt, route=served.route, model=model
    )


_FIELDS = {"prompt": "$.prompt.name", "prompt version": "$.prompt.version", "route": "$.route"}


def _unknown(error: UnknownPart) -> RequestRefused:
    expected = f"one of {', '.join(sorted(error.known)) or 'none'}"
    code = f"unknown_{error.kind.replace(' ', '_')}"
    return RequestRefused(code, str(error), _FIELDS[error.kind], expected)
