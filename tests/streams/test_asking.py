"""A scorer's thread asks a model through a route: the answer comes back, is counted, and errors pass."""

import asyncio
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from agents.errors import ModelUnavailable, UnknownPart
from agents.ports import Completion
from agents.routes import Routes
from schemas.common import Message, Usage
from streams.asking import RouteAsker
from streams.metrics import Metrics

ASKED = [Message(role="user", content="Is it so?")]


class Provider:
    name, default_model, media_types = "stub", "small", frozenset()

    def __init__(self, error: Exception | None = None) -> None:
        self.calls, self.error = [], error

    async def complete(self, call):
        self.calls.append(call)
        if self.error:
            raise self.error
        return Completion("yes", "stop", call.model, self.name, Usage(input_tokens=7, output_tokens=1))


def asker(tmp_path: Path, provider: Provider) -> tuple[RouteAsker, Metrics]:
    path = tmp_path / "routes.yaml"
    path.write_text(
        "default:\n  targets: [{provider: stub}]\ncheap:\n  targets: [{provider: stub, model: tiny}]\n"
    )
    metrics = Metrics(CollectorRegistry())
    return RouteAsker(Routes.load(path), {"stub": provider}, 5.0, metrics), metrics


async def test_the_first_target_of_the_route_answers_and_its_tokens_count(tmp_path) -> None:
    provider = Provider()
    ask, metrics = asker(tmp_path, provider)
    ask.start()
    assert await asyncio.to_thread(ask, "cheap", ASKED) == "yes"
    (call,) = provider.calls
    assert (call.model, call.temperature, call.timeout_s) == ("tiny", 0.0, 5.0)
    value = metrics.registry.get_sample_value
    labels = {"provider": "stub", "model": "tiny", "direction": "input"}
    assert value("sluicegate_tokens_total", labels) == 7
    assert value("sluicegate_model_calls_total", {"provider": "stub", "outcome": "ok"}) == 1


async def test_errors_pass_to_the_scorer(tmp_path) -> None:
    ask, metrics = asker(tmp_path, Provider(ModelUnavailable("away")))
    with pytest.raises(RuntimeError, match="before the worker was started"):
        ask("cheap", ASKED)
    ask.start()
    with pytest.raises(ModelUnavailable):
        await asyncio.to_thread(ask, "cheap", ASKED)
    with pytest.raises(UnknownPart):
        await asyncio.to_thread(ask, "none", ASKED)
    errors = metrics.registry.get_sample_value(
        "sluicegate_model_calls_total", {"provider": "stub", "outcome": "error"}
    )
    assert errors == 1
