"""The generation stage: one call bought once, retries inside the deadline, fallbacks, and clear endings."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
import yaml

from agents.costing import Prices
from agents.errors import (
    ConfigurationError,
    ModelBadOutput,
    ModelError,
    ModelRateLimited,
    ModelRefused,
    ModelRejected,
    ModelTimeout,
    ModelUnavailable,
    RequestRefused,
)
from agents.generation import GenerationStage
from agents.ports import Claim, Completion, ModelCall
from agents.prompts import PromptLibrary
from agents.providers.openai import OpenAIProvider
from agents.routes import Routes
from schemas.codec import decode, encode
from schemas.common import ImagePart, Lineage, Message, Passage, Timings, Usage
from schemas.context import RetrievedContext
from schemas.draft import Draft
from schemas.request import GenerationRequest, PromptRef, RetrievalSpec
from schemas.response import GenerationResponse
from schemas.retry import Retry
from tests.agents.stage_fakes import FakeStore
from tests.model_server import running_model_server

NOW = datetime(2026, 1, 2, tzinfo=UTC)
PASSAGE = Passage(id="p1", text="The ferry leaves at 9:30.", source="ferry.md", start=0, end=25)
PROMPTS = PromptLibrary.load(Path(__file__).parents[2] / "prompts")


class FakeTime:
    """A clock that moves only when someone sleeps or calls a slow model."""

    def __init__(self) -> None:
        self.now = NOW
        self.slept: list[float] = []

    def clock(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)
        await asyncio.sleep(0)


class FakeProvider:
    """Fails as told, call by call, then answers."""

    def __init__(
        self,
        name: str,
        errors: Sequence[ModelError] = (),
        *,
        time: FakeTime | None = None,
        takes_s: float = 0.0,
        media_types: frozenset[str] = frozenset(),
        text: str = "At 9:30 [1].",
    ) -> None:
        self.name, self.default_model, self.media_types = name, f"{name}-model", media_types
        self.errors, self.calls, self.text = list(errors), [], text
        self._time, self._takes_s = time, takes_s

    async def complete(self, call: ModelCall) -> Completion:
        self.calls.append(call)
        if self._time:
            self._time.now += timedelta(seconds=min(self._takes_s, call.timeout_s))
        if self.errors:
            raise self.errors.pop(0)
        return Completion(self.text, "stop", call.model, self.name, Usage(input_tokens=10, output_tokens=5))

    async def aclose(self) -> None:
        pass


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def stage(tmp_path: Path, time: FakeTime):
    def build(*providers: FakeProvider, errors: list | None = None, **route: object) -> GenerationStage:
        targets = [{"provider": provider.name} for provider in providers]
        path = tmp_path / "routes.yaml"
        path.write_text(yaml.safe_dump({"default": {"targets": targets, **route}}))
        return GenerationStage(
            PROMPTS,
            {provider.name: provider for provider in providers},
            Routes.load(path),
            Prices(),
            time.clock,
            time.sleep,
            Random(7),
            (lambda name, error: errors.append((name, error.code)))
            if errors is not None
            else lambda *_: None,
        )

    return build


def context(passages: Sequence[Passage] = (PASSAGE,), **parts: object) -> RetrievedContext:
    values = {
        "id": "r1",
        "tenant": "acme",
        "messages": [Message(role="user", content="When does the ferry leave?")],
        "retrieval": RetrievalSpec(index="docs"),
    }
    request = GenerationRequest(**(values | parts))
    return RetrievedContext(
        id="acme:r1:context",
        request=request,
        passages=tuple(passages),
        received=NOW,
        lineage=Lineage(index="docs@1", policy="p@1", scorers={"toxicity": "t@1"}),
        timings=Timings(retrieval_ms=3.0),
    )


async def test_a_context_becomes_a_draft_and_its_cost(stage, store) -> None:
    provider = FakeProvider("openai")
    draft, cost = await stage(provider).handle(context(), store)
    assert (draft.id, cost.id) == ("acme:r1:draft", "acme:r1:cost:chat")
    assert draft.answer == "At 9:30 [1]."
    assert [c.passage_id for c in draft.citations] == ["p1"]
    assert draft.lineage.prompt.startswith("answer-from-passages/v1@")
    assert draft.lineage.system_prompt.startswith("answer-from-passages/system@")
    assert draft.lineage.route.startswith("default/routes@")
    assert (draft.lineage.model, draft.lineage.index) == ("openai/openai-model", "docs@1")
    assert draft.cost == cost
    assert draft.timings.retrieval_ms == 3.0
    assert decode(Draft, encode(draft)) == draft
    assert provider.calls[0].idempotency_key == "acme:r1"
    assert (provider.calls[0].temperature, provider.calls[0].max_tokens) == (0.0, 300)


async def test_a_redelivered_context_is_not_bought_again(stage, store) -> None:
    provider = FakeProvider("openai")
    agent = stage(provider)
    first = await agent.handle(context(), store)
    again = await agent.handle(context(), store)
    assert again == first
    assert len(provider.calls) == 1


async def test_a_failure_is_settled_too_so_that_a_redelivery_cannot_end_otherwise(stage, store) -> None:
    provider = FakeProvider("a", [ModelRejected("HTTP 401")])
    agent = stage(provider)
    first = await agent.handle(context(), store)
    again = await agent.handle(context(), store)
    assert again[0] == first[0]
    assert again[1].reason == "model_rejected"
    assert len(provider.calls) == 1


async def test_of_two_workers_with_the_same_request_one_pays(stage, store, time) -> None:
    """The second looks again until the first has settled, and publishes what that one bought."""
    provider = FakeProvider("openai")
    agent = stage(provider)
    claim = await store.claim(context())
    waiting = asyncio.create_task(agent.handle(context(), store))
    while len(time.slept) < 3:
        await asyncio.sleep(0)
    bought = await stage(FakeProvider("openai")).handle(context(), FakeStore())
    await store.settle(context(), bought, claim)
    assert await waiting == bought
    assert provider.calls == []


async def test_a_claim_whose_worker_is_gone_is_taken_over_when_its_lease_ends(stage, time) -> None:
    store = FakeStore(lease_s=10.0, now=lambda: time.now.timestamp())  # noqa: PLW0108  # `now` is replaced as time passes
    await store.claim(context())
    draft, _ = await stage(FakeProvider("openai")).handle(context(), store)
    assert isinstance(draft, Draft)
    assert 10.0 <= sum(time.slept) < 11.5


async def test_the_first_answer_counts_and_the_second_is_a_cost_of_its_own(stage, time) -> None:
    """A lease that ran out under a living worker: both paid, one answer leaves, both costs are told."""
    store = FakeStore()
    first, _ = await stage(FakeProvider("openai", text="First.")).handle(context(), FakeStore())

    class Overtaken(FakeProvider):
        async def complete(self, call: ModelCall) -> Completion:
            await store.settle(context(), [first, first.cost], Claim(7))
            return await super().complete(call)

    draft, cost, wasted = await stage(Overtaken("openai", text="Second.")).handle(context(), store)
    assert (draft.answer, cost.id) == ("First.", "acme:r1:cost:chat")
    assert wasted.id == "acme:r1:cost:chat:claim-1"


async def test_an_end_without_an_answer_gives_way_to_another_worker_at_work(stage, time) -> None:
    now = 0.0
    store = FakeStore(lease_s=10.0, now=lambda: now)
    bought = await stage(FakeProvider("openai")).handle(context(), FakeStore())
    other: list[Claim] = []

    class Overtaken(FakeProvider):
        async def complete(self, call: ModelCall) -> Completion:
            nonlocal now
            now += 11.0  # our lease is over, and another worker has the request
            found = await store.claim(context())
            assert isinstance(found, Claim)
            other.append(found)
            raise ModelRejected("HTTP 401")

    agent = stage(Overtaken("a"))
    waiting = asyncio.create_task(agent.handle(context(), store))
    while not time.slept:
        await asyncio.sleep(0)
    await store.settle(context(), bought, other[0])
    assert await waiting == bought


async def test_a_stage_that_breaks_gives_its_claim_up(stage, store) -> None:
    class Broken(FakeProvider):
        async def complete(self, call: ModelCall) -> Completion:
            raise RuntimeError("a mistake of ours")

    with pytest.raises(RuntimeError):
        await stage(Broken("a")).handle(context(), store)
    assert isinstance(await store.claim(context()), Claim)


async def test_a_long_wait_is_spent_on_the_retries_topic(stage, store, time) -> None:
    provider = FakeProvider("a", [ModelRateLimited("429", 30.0)])
    (parked,) = await stage(provider).handle(context(), store)
    assert isinstance(parked, Retry)
    assert (parked.context.attempts, parked.problem.code) == (1, "model_rate_limited")
    assert timedelta(seconds=30) <= parked.not_before - NOW <= timedelta(seconds=30.5)
    assert parked.context.give_up == NOW + timedelta(seconds=120)
    assert time.slept == []
    assert isinstance(await store.claim(context()), Claim)
    assert decode(Retry, encode(parked)) == parked


async def test_what_comes_back_from_a_long_wait_has_its_attempts_and_its_time_behind_it(
    stage, store, time
) -> None:
    provider = FakeProvider("a", [ModelRateLimited("429", 30.0)] * 9)
    agent = stage(provider)
    (parked,) = await agent.handle(context(), store)
    time.now = parked.not_before
    (again,) = await agent.handle(parked.context, store)
    assert (again.context.attempts, again.context.give_up) == (2, parked.context.give_up)
    time.now = again.not_before
    response, letter = await agent.handle(again.context, store)
    assert (response.status, response.attempts, letter.attempts) == ("failed", 3, 3)
    assert len(provider.calls) == 3


async def test_a_request_that_keeps_its_order_waits_in_its_lane(stage, store, time) -> None:
    provider = FakeProvider("a", [ModelRateLimited("429", 30.0)])
    asked = context(ordering="key", conversation_id="c1")
    draft, _ = await stage(provider).handle(asked, store)
    assert isinstance(draft, Draft)
    assert time.slept[0] >= 30.0


async def test_before_a_long_wait_the_other_targets_are_asked(stage, store, time) -> None:
    first, second = FakeProvider("a", [ModelRateLimited("429", 30.0)]), FakeProvider("b")
    draft, _ = await stage(first, second).handle(context(), store)
    assert (draft.provider, time.slept) == ("b", [])


async def test_a_replay_is_bought_anew_under_keys_and_ids_of_its_own(stage, store) -> None:
    provider = FakeProvider("a")
    agent = stage(provider)
    first, _ = await agent.handle(context(), store)
    second, cost = await agent.handle(context(replay=1), store)
    assert [call.idempotency_key for call in provider.calls] == ["acme:r1", "acme:r1:replay-1"]
    assert (first.id, second.id, cost.id) == (
        "acme:r1:draft",
        "acme:r1:draft:replay-1",
        "acme:r1:cost:chat:replay-1",
    )


async def test_a_redelivery_after_the_deadline_still_gets_what_was_paid_for(stage, store, time) -> None:
    agent, late = stage(FakeProvider("openai")), context(deadline=NOW + timedelta(seconds=5))
    first = await agent.handle(late, store)
    time.now += timedelta(seconds=60)
    assert await agent.handle(late, store) == first


async def test_what_failed_for_a_moment_is_tried_again(stage, store, time) -> None:
    told: list = []
    provider = FakeProvider("openai", [ModelUnavailable("503"), ModelBadOutput("?")])
    draft, _ = await stage(provider, errors=told).handle(context(), store)
    assert isinstance(draft, Draft)
    assert [call.idempotency_key for call in provider.calls] == ["acme:r1"] * 3
    assert told == [("openai", "model_unavailable"), ("openai", "model_bad_output")]
    assert len(time.slept) == 2
    assert all(pause <= ceiling for pause, ceiling in zip(time.slept, [0.5, 1.0], strict=True))


async def test_a_provider_that_asks_to_wait_is_given_the_time(stage, store, time) -> None:
    provider = FakeProvider("openai", [ModelRateLimited("429", 3.0)])
    await stage(provider).handle(context(), store)
    assert 3.0 <= time.slept[0] <= 3.5


async def test_a_wait_beyond_the_deadline_goes_to_the_next_target_at_once(stage, store, time) -> None:
    first, second = FakeProvider("a", [ModelRateLimited("429", 60.0)]), FakeProvider("b")
    draft, _ = await stage(first, second).handle(context(deadline=NOW + timedelta(seconds=30)), store)
    assert draft.provider == "b"
    assert time.slept == []
    assert second.calls[0].idempotency_key == "acme:r1:1"
    assert draft.lineage.model == "b/b-model"


async def test_retries_are_counted_and_then_the_next_target_is_asked(stage, store) -> None:
    first, second = FakeProvider("a", [ModelUnavailable("x")] * 9), FakeProvider("b")
    draft, _ = await stage(first, second, attempts=2).handle(context(), store)
    assert (len(first.calls), draft.provider) == (2, "b")


async def test_what_cannot_succeed_is_not_tried_again(stage, store) -> None:
    provider = FakeProvider("a", [ModelRejected("HTTP 401")])
    response, letter = await stage(provider).handle(context(), store)
    assert (response.status, response.error.code, len(provider.calls)) == ("failed", "model_rejected", 1)
    assert (letter.reason, letter.attempts) == ("model_rejected", 1)


async def test_content_that_one_model_declined_is_offered_to_no_other(stage, store) -> None:
    first, second = FakeProvider("a", [ModelRefused("no")]), FakeProvider("b")
    (response,) = await stage(first, second).handle(context(), store)
    assert (response.status, response.error.code) == ("blocked", "model_refused")
    assert (len(first.calls), second.calls) == (1, [])


async def test_when_every_target_fails_the_request_ends_as_failed(stage, store) -> None:
    agent = stage(FakeProvider("a", [ModelUnavailable("x")] * 9), FakeProvider("b", [ModelTimeout("y")] * 9))
    response, letter = await agent.handle(context(), store)
    assert (response.status, response.error.code) == ("failed", "model_timeout")
    assert (response.id, response.terminal, response.attempts) == ("acme:r1:response", True, 6)
    assert (letter.reason, letter.attempts) == ("model_timeout", 6)
    assert decode(GenerationResponse, encode(response)) == response


async def test_a_deadline_in_the_past_costs_nothing(stage, store) -> None:
    provider = FakeProvider("a")
    (response,) = await stage(provider).handle(context(deadline=NOW), store)
    assert (response.status, provider.calls) == ("expired", [])


async def test_a_deadline_that_passes_between_attempts_ends_as_expired(stage, store, time) -> None:
    provider = FakeProvider("a", [ModelTimeout("slow")] * 9, time=time, takes_s=60.0)
    (response,) = await stage(provider).handle(context(deadline=NOW + timedelta(seconds=5)), store)
    assert (response.status, len(provider.calls)) == ("expired", 1)
    assert provider.calls[0].timeout_s == 5.0


async def test_no_route_takes_longer_than_its_time(stage, store, time) -> None:
    provider = FakeProvider("a", [ModelTimeout("slow")] * 9, time=time, takes_s=60.0)
    response, _ = await stage(provider, timeout_s=25, attempt_timeout_s=10, attempts=9).handle(
        context(), store
    )
    assert response.status == "failed"
    assert (time.now - NOW).total_seconds() <= 25
    assert [call.timeout_s for call in provider.calls[:2]] == [10.0, 10.0]


async def test_the_requests_own_model_and_parameters_come_first(stage, store) -> None:
    provider = FakeProvider("a")
    asked = context(model="special", temperature=0.7, max_tokens=9)
    draft, cost = await stage(provider).handle(asked, store)
    call = provider.calls[0]
    assert (call.model, call.temperature, call.max_tokens) == ("special", 0.7, 9)
    assert (draft.lineage.model, cost.requested_model) == ("a/special", "special")


async def test_citations_of_no_passage_are_kept_apart(stage, store) -> None:
    draft, _ = await stage(FakeProvider("a", text="So [1] and [4].")).handle(context(), store)
    assert draft.unknown_citations == (4,)
    plain = context(passages=(), retrieval=None, id="r2")
    draft, _ = await stage(FakeProvider("a", text="So [4].")).handle(plain, store)
    assert (draft.unknown_citations, draft.citations) == ((), ())


PICTURE = [Message(role="user", content=[ImagePart(image_url={"url": "data:,"})])]


@pytest.mark.parametrize(
    ("parts", "code", "field"),
    [
        ({"prompt": PromptRef(name="none")}, "unknown_prompt", "$.prompt.name"),
        ({"prompt": PromptRef(name="chat", version="v9")}, "unknown_prompt_version", "$.prompt.version"),
        (
            {"prompt": PromptRef(name="chat", variables={"x": "1"})},
            "prompt_variables",
            "$.prompt.variables.x",
        ),
        ({"route": "none"}, "unknown_route", "$.route"),
        ({"messages": PICTURE}, "unsupported_content", "$.messages[0].content"),
    ],
)
async def test_what_cannot_be_served_is_refused_with_its_field(stage, store, parts, code, field) -> None:
    """Both before anything is retrieved and, for a replayed context, here."""
    agent = stage(FakeProvider("a"))
    with pytest.raises(RequestRefused) as caught:
        agent.describe(context(**parts).request, has_passages=True)
    assert (caught.value.problem.code, caught.value.problem.field) == (code, field)
    (response,) = await agent.handle(context(**parts), store)
    assert (response.status, response.error) == ("refused", caught.value.problem)


async def test_what_is_described_is_what_serves(stage, store) -> None:
    agent = stage(FakeProvider("a"))
    described = agent.describe(context().request, has_passages=True)
    draft, _ = await agent.handle(context(), store)
    served = draft.lineage
    assert (described.prompt, described.system_prompt, described.route, described.model) == (
        (served.prompt, served.system_prompt, served.route, served.model)
    )


async def test_a_picture_goes_to_the_target_that_takes_it(stage, store) -> None:
    blind, seeing = FakeProvider("a"), FakeProvider("b", media_types=frozenset({"image_url"}))
    draft, _ = await stage(blind, seeing).handle(context(messages=PICTURE), store)
    assert (draft.provider, blind.calls) == ("b", [])


def test_a_route_to_a_provider_that_is_not_there_is_told_at_once(stage, time) -> None:
    with pytest.raises(ConfigurationError, match="is not a provider"):
        GenerationStage(
            PROMPTS,
            {},
            Routes.load(Path(__file__).parents[2] / "routes.yaml"),
            Prices(),
            time.clock,
            time.sleep,
            Random(1),
        )


async def test_against_a_real_server_that_fails_twice(stage, store) -> None:
    with running_model_server() as running:
        provider = OpenAIProvider("stub", running.base_url, default_model="fail-N-times:2")
        draft, _ = await stage(provider).handle(context(), store)
        await provider.aclose()
    assert draft.answer == "The passages say so [1]."
    assert running.stub.calls == {"acme:r1": 3}
