"""Lets a scorer's thread ask a chat model through a route: for judges of groundedness."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence

from agents.errors import ModelError
from agents.ports import ModelCall, Provider
from agents.routes import Routes
from schemas.common import Message
from streams.metrics import Metrics

_LONGEST = 200
"""Tokens of an answer: JSON of two fields is far shorter."""


class RouteAsker:
    """Asks the first target of a route, in the event loop it was started in.

    What is asked is counted, with its tokens.
    """

    def __init__(
        self, routes: Routes, providers: Mapping[str, Provider], timeout_s: float, metrics: Metrics
    ) -> None:
        self._routes, self._providers = routes, providers
        self._timeout_s, self._metrics = timeout_s, metrics
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """From the running event loop."""
        self._loop = asyncio.get_running_loop()

    def __call__(self, route: str, messages: Sequence[Message]) -> str:
        """The answer; blocks, so never call it from the event loop itself.

        Raises:
            ModelError: the model does not answer.
            UnknownPart: there is no such route.
        """
        if self._loop is None:
            raise RuntimeError("asked before the worker was started")
        asked = asyncio.run_coroutine_threadsafe(self._ask(route, messages), self._loop)
        return asked.result()

    async def _ask(self, route: str, messages: Sequence[Message]) -> str:
        target = self._routes.resolve(route)[1].targets[0]
        provider = self._providers[target.provider]
        said = "\n".join(message.text() for message in messages)
        call = ModelCall(
            messages=messages,
            question=messages[-1].text(),
            passages=(),
            idempotency_key=f"judge:{hashlib.sha256(said.encode()).hexdigest()[:32]}",
            timeout_s=self._timeout_s,
            model=target.model or provider.default_model,
            temperature=0.0,
            max_tokens=_LONGEST,
        )
        try:
            found = await provider.complete(call)
        except ModelError:
            self._metrics.model_calls_total.labels(provider=provider.name, outcome="error").inc()
            raise
        self._metrics.model_calls_total.labels(provider=provider.name, outcome="ok").inc()
        who = {"provider": provider.name, "model": found.model}
        self._metrics.tokens_total.labels(**who, direction="input").inc(found.usage.input_tokens)
        self._metrics.tokens_total.labels(**who, direction="output").inc(found.usage.output_tokens)
        return found.text
