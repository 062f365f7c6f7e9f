"""The retry state machine under any order of deliveries, answers, failures, kills and time: paid once, ended once."""

import asyncio
import tempfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import yaml
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from agents.costing import Prices
from agents.errors import (
    ModelBadOutput,
    ModelError,
    ModelRateLimited,
    ModelRefused,
    ModelRejected,
    ModelTimeout,
    ModelUnavailable,
)
from agents.generation import GenerationStage
from agents.ports import Claim, Completion, Held, ModelCall, Settled
from agents.prompts import PromptLibrary
from agents.routes import Routes
from schemas.common import Usage
from schemas.context import RetrievedContext
from schemas.draft import Draft
from schemas.response import GenerationResponse
from schemas.retry import Retry
from tests.agents.stage_fakes import NOW, FakeStore, draft, request

PROMPTS = PromptLibrary.load(Path(__file__).parents[2] / "prompts")
LEASE_S = 10.0
ATTEMPTS = 3
FAILURES: list[ModelError] = [
    ModelUnavailable("503"),
    ModelTimeout("slow"),
    ModelBadOutput("?"),
    ModelRateLimited("429", 1.0),
    ModelRateLimited("429", 30.0),
    ModelRefused("no"),
    ModelRejected("401"),
]
REQUESTS = [
    request(id="plain", retrieval=None),
    request(id="hurried", retrieval=None, deadline=NOW + timedelta(seconds=40)),
    request(id="ordered", retrieval=None, ordering="key", conversation_id="c1"),
]


@dataclass
class Time:
    """Stands still until it is moved; then whoever slept long enough goes on."""

    now: datetime = NOW
    sleepers: list[tuple[datetime, asyncio.Future[None]]] = field(default_factory=list)

    def clock(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        waiting = asyncio.get_running_loop().create_future()
        self.sleepers.append((self.now + timedelta(seconds=seconds), waiting))
        await waiting

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        for until, waiting in self.sleepers:
            if until <= self.now and not waiting.done():
                waiting.set_result(None)
        self.sleepers = [(until, one) for until, one in self.sleepers if not one.done()]


class Model:
    """Answers nobody before it is told to."""

    name, default_model, media_types = "model", "m", frozenset[str]()

    def __init__(self) -> None:
        self.calls: list[tuple[str, asyncio.Future[Completion]]] = []
        self.bought: list[str] = []

    async def complete(self, call: ModelCall) -> Completion:
        answer = asyncio.get_running_loop().create_future()
        self.calls.append((call.idempotency_key, answer))
        return await answer

    async def aclose(self) -> None:
        pass


class WatchedStore(FakeStore):
    """Knows who holds each claim, so that the claims of the living are renewed as time passes."""

    def __init__(self, time: Time) -> None:
        super().__init__(lease_s=LEASE_S, now=lambda: time.now.timestamp())  # noqa: PLW0108  # `now` is replaced
        self.holders: dict[str, asyncio.Task] = {}

    async def claim(self, context: RetrievedContext) -> Claim | Held | Settled:
        found = await super().claim(context)
        if isinstance(found, Claim):
            holder = asyncio.current_task()
            assert holder
            self.holders[context.request.id or ""] = holder
        return found

    def renew(self) -> None:
        for (_, name, _), known in self.known.items():
            holder = self.holders.get(name)
            if known.until and holder and not holder.done():
                known.until = self.now() + self.lease_s


class Generations(RuleBasedStateMachine):
    """Contexts are delivered at least once, to workers that may die at any moment."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.time, self.model = Time(), Model()
        self.store = WatchedStore(self.time)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "routes.yaml"
            route = {"targets": [{"provider": "model"}], "attempts": ATTEMPTS, "timeout_s": 90}
            path.write_text(yaml.safe_dump({"default": route}))
            routes = Routes.load(path)
        self.stage = GenerationStage(
            PROMPTS, {"model": self.model}, routes, Prices(), self.time.clock, self.time.sleep, Random(3)
        )
        template = draft().context
        self.contexts = [replace(template, request=one, passages=()) for one in REQUESTS]
        self.parked: list[Retry] = []
        self.working: list[asyncio.Task] = []
        self.ended: dict[str, set[tuple[str, str]]] = {one.id or "": set() for one in REQUESTS}
        self.letters = 0

    def go_on(self) -> None:
        """Let everybody do what can be done without time, answers or kills."""

        async def idle() -> None:
            for _ in range(30):
                await asyncio.sleep(0)

        self.loop.run_until_complete(idle())
        for task in [task for task in self.working if task.done()]:
            self.working.remove(task)
            if not task.cancelled():
                for event in task.result():
                    self.publish(event)

    def publish(self, event: object) -> None:
        match event:
            case Draft():
                self.ended[event.context.request.id or ""].add(("draft", event.answer))
            case GenerationResponse():
                self.ended[event.request_id].add((event.status, event.id))
            case Retry():
                assert event.context.request.ordering == "none"
                assert 0 < event.context.attempts < ATTEMPTS
                self.parked.append(event)

    def deliver(self, context: RetrievedContext) -> None:
        self.working.append(self.loop.create_task(self.stage.handle(context, self.store)))
        self.go_on()

    @rule(number=st.integers(0, len(REQUESTS) - 1))
    def a_context_is_delivered_once_more(self, number: int) -> None:
        self.deliver(self.contexts[number])

    @precondition(lambda self: self.parked)
    @rule(data=st.data(), again=st.booleans())
    def a_parked_request_comes_back(self, data: st.DataObject, again: bool) -> None:
        parked = data.draw(st.sampled_from(self.parked))
        if not again:
            self.parked.remove(parked)
        self.deliver(parked.context)

    def asked(self) -> list[tuple[str, asyncio.Future[Completion]]]:
        self.model.calls = [call for call in self.model.calls if not call[1].done()]
        return self.model.calls

    @precondition(lambda self: self.asked())
    @rule(data=st.data(), words=st.sampled_from(["One answer.", "Another answer."]))
    def the_model_answers(self, data: st.DataObject, words: str) -> None:
        key, call = data.draw(st.sampled_from(self.asked()))
        self.model.bought.append(key)
        call.set_result(Completion(words, "stop", "m", "model", Usage(input_tokens=1, output_tokens=1)))
        self.go_on()

    @precondition(lambda self: self.asked())
    @rule(data=st.data(), error=st.sampled_from(FAILURES))
    def the_model_fails(self, data: st.DataObject, error: ModelError) -> None:
        data.draw(st.sampled_from(self.asked()))[1].set_exception(error)
        self.go_on()

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def a_worker_is_killed(self, data: st.DataObject) -> None:
        """What it had not published is lost, its claim stays until the lease ends."""
        data.draw(st.sampled_from(self.working)).cancel()
        self.go_on()

    @rule(seconds=st.floats(0.1, 45.0))
    def time_passes(self, seconds: float) -> None:
        while seconds > 0:  # in steps shorter than a lease, as renewals come
            step = min(seconds, LEASE_S / 3)
            self.time.move(step)
            self.store.renew()
            self.go_on()
            seconds -= step

    @invariant()
    def nothing_is_bought_twice(self) -> None:
        assert len(self.model.bought) == len(set(self.model.bought))

    @invariant()
    def nothing_ends_in_two_ways(self) -> None:
        assert all(len(ends) <= 1 for ends in self.ended.values()), self.ended

    def teardown(self) -> None:
        """With time and a model that answers, every request ends."""
        try:
            self.end_everything()
        finally:
            for task in self.working:
                task.cancel()
            if self.working:
                self.loop.run_until_complete(asyncio.wait(self.working))
            self.loop.close()

    def end_everything(self) -> None:
        for context in self.contexts:
            self.deliver(context)
        for _ in range(200):
            for key, call in self.asked():
                self.model.bought.append(key)
                answer = Completion("At last.", "stop", "m", "model", Usage(input_tokens=1, output_tokens=1))
                call.set_result(answer)
            self.time_passes(1.0)
            if all(self.ended.values()) and not self.working:
                break
        self.nothing_is_bought_twice()
        self.nothing_ends_in_two_ways()
        assert all(self.ended.values()), self.ended


TestGenerations = Generations.TestCase
TestGenerations.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
