"""The paid stage: render the prompt, call a model along its route, and keep the answer before it is published."""

import random as randomness
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from agents.citations import find_citations
from agents.costing import Prices, cost_event
from agents.errors import (
    MODEL_ERRORS,
    ModelError,
    ModelRateLimited,
    ModelRefused,
    ModelTimeout,
    RequestRefused,
    UnknownPart,
    Unprocessable,
)
from agents.outcomes import ended
from agents.ports import Claim, Clock, Completion, Held, ModelCall, Provider, RequestStore, Settled
from agents.prompts import Prompt, PromptLibrary
from agents.routes import Route, Routes
from schemas.common import Event, Lineage, Message, Problem
from schemas.context import RetrievedContext
from schemas.cost import CostEvent
from schemas.draft import Draft
from schemas.identity import id_of
from schemas.request import GenerationRequest
from schemas.response import GenerationResponse, Status
from schemas.retry import Retry

FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 20.0


class _Asked(Struct, frozen=True, gc=False):
    """One target of a route with the model that will be asked for."""

    provider: Provider
    model: str
    number: int

    @property
    def label(self) -> str:
        return f"{self.provider.name}/{self.model}"


class _Plan(Struct, frozen=True, gc=False):
    """What would serve a request."""

    prompt: Prompt
    route: Route
    targets: Sequence[_Asked]
    lineage: Lineage


class _Round(Struct, gc=False):
    """One context's attempts, from its being read to its outcome or its being parked."""

    context: RetrievedContext
    plan: _Plan
    messages: Sequence[Message]
    started: datetime
    give_up: datetime
    calls: int = 0


class _Later(Exception):  # not an error: the next attempt is far away
    """The next attempt is far away."""

    def __init__(self, attempts: int, pause_s: float, error: ModelError) -> None:
        super().__init__(attempts, pause_s)
        self.attempts, self.pause_s, self.error = attempts, pause_s, error


class GenerationStage:
    """`genai.contexts` in; a draft and its cost, a retry, or the end of the request, out.

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
        # Prompts, routes and providers stay what they are while a worker runs.
        self._planned = lru_cache(maxsize=1024)(self._new_plan)

    def describe(self, request: GenerationRequest, *, has_passages: bool) -> Lineage:
        """Prompt, system prompt, route and model that would serve the request.

        Raises:
            RequestRefused: it names a prompt or route that is not there, gives variables that are not declared,
                or holds content that no target of its route takes.
        """
        plan = self._plan(request, has_passages)
        plan.prompt.check_variables(request.prompt.variables if request.prompt else {})
        return plan.lineage

    async def handle(self, context: RetrievedContext, store: RequestStore) -> Sequence[Event | Unprocessable]:
        """Answer one context. What was bought for it before is published again, not bought again.

        Of a request that no model answered, an Unprocessable says so beside its response. A request whose next
        attempt is far away leaves as a Retry.
        """
        assert context.request.id is not None, "admission gives every request an id"
        while True:
            found = await store.claim(context)
            if isinstance(found, Held):
                await self._sleep(found.wait_s)
                continue
            if isinstance(found, Settled):
                return _with_letter(found.events)
            events = await self._under_claim(context, store, found)
            if events is not None:
                return _with_letter(events)

    async def _under_claim(
        self, context: RetrievedContext, store: RequestStore, claim: Claim
    ) -> Sequence[Event] | None:
        """The request's outcome, ours or an earlier one; None when another claim is at work on it."""
        try:
            events = await self._outcome(context)
        except Exception:
            await store.release(context, claim)
            raise
        if any(isinstance(event, Retry) for event in events):
            await store.release(context, claim)
            return events
        settled = await store.settle(context, events, claim)
        return None if settled is None else _with_waste(settled.events, events, claim)

    async def _outcome(self, context: RetrievedContext) -> Sequence[Event]:
        now, deadline = self._clock(), context.request.deadline
        if deadline is not None and deadline <= now:
            return [self._expired(context)]
        try:
            plan = self._plan(context.request, context.request.retrieval is not None)
            messages = plan.prompt.render(context.request, context.passages)
        except RequestRefused as error:
            return [self._ended(context, "refused", error.problem)]
        round_ = _Round(context, plan, messages, now, self._give_up(context, plan.route, now))
        try:
            asked, completion = await self._along_route(round_)
        except _Later as later:
            return [self._parked(round_, later)]
        except ModelError as error:
            return [self._not_answered(round_, error)]
        draft = self._draft(round_, asked, completion)
        return [draft, draft.cost]

    def _parked(self, round_: "_Round", later: "_Later") -> Retry:
        context = replace(round_.context, attempts=later.attempts, give_up=round_.give_up)
        return Retry(
            id=id_of(context.request, f"retry:{later.attempts}"),
            context=context,
            not_before=self._clock() + timedelta(seconds=later.pause_s),
            problem=Problem(code=later.error.code, reason=str(later.error)),
        )

    def _not_answered(self, round_: "_Round", error: ModelError) -> GenerationResponse:
        context, deadline = round_.context, round_.context.request.deadline
        if isinstance(error, ModelRefused):
            problem = Problem(code=error.code, reason="the model declined to answer this request")
            return self._ended(context, "blocked", problem)
        if deadline is not None and deadline <= self._clock():
            return self._expired(context)
        problem = Problem(code=error.code, reason=str(error))
        return self._ended(context, "failed", problem, attempts=context.attempts + round_.calls)

    def _plan(self, request: GenerationRequest, has_passages: bool) -> _Plan:  # noqa: FBT001  # named by its callers
        wanted = request.prompt
        needed: frozenset[str] = frozenset()
        for message in request.messages:
            needed |= message.media_types()
        try:
            plan = self._planned(
                wanted and (wanted.name, wanted.version), has_passages, request.route, request.model, needed
            )
        except UnknownPart as error:
            raise _unknown(error) from None
        if not plan.targets:
            raise self._unsupported(request, plan.route)
        return plan

    def _new_plan(
        self,
        wanted: tuple[str, str] | None,
        has_passages: bool,  # noqa: FBT001  # as above
        route: str | None,
        model: str | None,
        needed: frozenset[str],
    ) -> _Plan:
        """What serves all requests that want the same; no targets where none takes all content parts."""
        prompt = (
            self._prompts.resolve(*wanted) if wanted else self._prompts.default(has_passages=has_passages)
        )
        name, found = self._routes.resolve(route)
        targets = [
            _Asked(provider, model or target.model or provider.default_model, number)
            for number, target in enumerate(found.targets)
            if needed <= (provider := self._providers[target.provider]).media_types
        ]
        lineage = Lineage(
            prompt=prompt.label,
            system_prompt=prompt.system_label,
            route=f"{name}/{self._routes.version}",
            model=targets[0].label if targets else None,
        )
        return _Plan(prompt, found, targets, lineage)

    def _unsupported(self, request: GenerationRequest, route: Route) -> RequestRefused:
        """Why no target of the route takes every content part of the request."""
        accepted: set[str] = set().union(
            *(self._providers[target.provider].media_types for target in route.targets)
        )
        for number, message in enumerate(request.messages):
            if strange := message.media_types() - accepted:
                return RequestRefused(
                    "unsupported_content",
                    f"no model of this route takes {', '.join(sorted(strange))}",
                    f"$.messages[{number}].content",
                    f"one of {', '.join(['text', *sorted(accepted)])}",
                )
        return RequestRefused("unsupported_content", "no model of this route takes all of it", "$.messages")

    async def _along_route(self, round_: "_Round") -> tuple[_Asked, Completion]:
        """The first target that answers. Content that one declined is offered to no other."""
        last: ModelError = ModelTimeout("no time was left for a call")
        soonest: _Later | None = None
        for asked in round_.plan.targets:
            try:
                return asked, await self._with_retries(round_, asked)
            except ModelRefused:
                raise
            except _Later as later:
                soonest = later if soonest is None or later.pause_s < soonest.pause_s else soonest
            except ModelError as error:
                last = error
        raise soonest or last

    async def _with_retries(self, round_: "_Round", asked: _Asked) -> Completion:
        last: ModelError | None = None
        route, before = round_.plan.route, round_.context.attempts
        for attempt in range(before, max(route.attempts, before + 1)):
            if last is not None:
                await self._pause(round_, attempt, last)
            left_s = self._left_s(round_)
            if left_s <= 0:
                raise last or ModelTimeout("no time was left for a call")
            round_.calls += 1
            try:
                return await asked.provider.complete(
                    _call(round_, asked, min(left_s, route.attempt_timeout_s))
                )
            except ModelError as error:
                self._on_error(asked.provider.name, error)
                if not error.retryable:
                    raise
                last = error
        assert last is not None
        raise last

    async def _pause(self, round_: "_Round", attempt: int, last: ModelError) -> None:
        """Wait before the next attempt, here or elsewhere.

        Raises:
            ModelError: the last one, when the pause would outlast the request.
            _Later: the pause is long, and order does not forbid that others overtake.
        """
        pause_s = self._pause_s(attempt, last)
        if pause_s >= self._left_s(round_):
            raise last
        if pause_s >= round_.plan.route.park_from_s and round_.context.request.ordering != "key":
            raise _Later(attempt, pause_s, last)
        await self._sleep(pause_s)

    def _give_up(self, context: RetrievedContext, route: Route, now: datetime) -> datetime:
        """When nobody waits for the answer any more: of the first round, however often the request was parked."""
        end = context.give_up or now + timedelta(seconds=route.timeout_s)
        return end if context.request.deadline is None else min(end, context.request.deadline)

    def _left_s(self, round_: "_Round") -> float:
        return (round_.give_up - self._clock()).total_seconds()

    def _pause_s(self, attempt: int, error: ModelError) -> float:
        """Exponential back-off with full jitter (Brooker, 2015), never less than the provider asks for."""
        ceiling = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** (attempt - 1))
        jittered: float = self._random.random() * ceiling
        wanted = error.retry_after_s if isinstance(error, ModelRateLimited) else None
        return jittered if wanted is None else wanted + jittered

    def _draft(self, round_: "_Round", asked: _Asked, bought: Completion) -> Draft:
        context, now = round_.context, self._clock()
        request = context.request
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
            lineage=_stamped(context.lineage, round_.plan.lineage, asked.label),
            timings=replace(context.timings, generation_ms=(now - round_.started).total_seconds() * 1e3),
        )

    def _expired(self, context: RetrievedContext) -> GenerationResponse:
        reason = f"the deadline {context.request.deadline} passed before there was an answer"
        return self._ended(
            context, "expired", Problem(code="deadline_passed", reason=reason, field="$.deadline")
        )

    def _ended(
        self, context: RetrievedContext, status: Status, problem: Problem, attempts: int | None = None
    ) -> GenerationResponse:
        now = self._clock()
        total_ms = (now - context.received).total_seconds() * 1e3
        timings = replace(context.timings, total_ms=total_ms)
        response = ended(context.request, status, now, problem, lineage=context.lineage, timings=timings)
        return replace(response, attempts=attempts)


def _with_letter(events: Sequence[Event]) -> Sequence[Event | Unprocessable]:
    """And the dead letter of a request that no model answered; made from its response, so a repeat has it too."""
    for event in events:
        if isinstance(event, GenerationResponse) and event.error and event.error.code in MODEL_ERRORS:
            reason = MODEL_ERRORS[event.error.code]
            return [*events, Unprocessable(reason, event.error.reason, attempts=event.attempts)]
    return events


def _with_waste(held: Sequence[Event], ours: Sequence[Event], claim: Claim) -> Sequence[Event]:
    """The outcome that holds, and what ours cost if it was bought for nothing: that was paid for, too."""
    if held == ours:
        return held
    costs = [event for event in ours if isinstance(event, CostEvent)]
    return [*held, *(replace(cost, id=f"{cost.id}:claim-{claim.token}") for cost in costs)]


def _call(round_: "_Round", asked: _Asked, timeout_s: float) -> ModelCall:
    request, defaults = round_.context.request, round_.plan.prompt.parameters
    replayed = f":replay-{request.replay}" if request.replay else ""
    fallback = f":{asked.number}" if asked.number else ""
    return ModelCall(
        messages=round_.messages,
        question=request.question(),
        passages=round_.context.passages,
        idempotency_key=f"{request.tenant}:{request.id}{replayed}{fallback}",
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
