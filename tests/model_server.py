"""A stub of an OpenAI-compatible server, over real HTTP. It misbehaves on request.

The model's name, or the header `x-stub-mode` where the caller can set one, chooses what happens:

    ok (and any other name)   the answer, citing [1]
    fail-500, fail-503        that status
    fail-N-times:K            500 for the first K calls of an Idempotency-Key, then the answer
    rate-limited              429 with `Retry-After: 1`
    rate-limited-date         429 with a date in `Retry-After`
    quota                     429 with the code `insufficient_quota`
    unauthorized, bad-request, context-length, missing
                              401, 400, 400 with that code, 404
    content-policy            400 with the code `content_policy_violation`
    refusal, content-filter   200 with a refusal; with the finish reason `content_filter`
    garbage, garbage-html     200 with a body that is not JSON; that says it is HTML
    not-a-completion, no-choices, no-content, empty
                              200 with JSON that holds no answer
    no-usage                  the answer without its usage
    odd-details, odd-finish, null-choice
                              200 with parts of other types than the API has
    length                    the answer with the finish reason `length`
    cut                       half an answer, then the connection is closed
    hang, dribble             no answer; a header and then a byte now and then, for a minute
    echo                      what was asked, as the answer

`GET /calls` tells how often each Idempotency-Key was called, and in total. A caller that uses `/w/NAME/v1` as its
base is named in the log of calls (`--log FILE`, a line of JSON for each call that ended):

    {"key": ..., "worker": NAME, "start": ..., "end": ..., "outcome": ...}      times in seconds of the wall clock
    answered    a good answer was written whole
    failed      the stub misbehaved on purpose
    cut         the caller's connection went away before the answer was written

`POST /behave {"mode": "fail-500", "share": 0.5, "latency_s": 2.0}` changes that share of all calls, and how long
every call takes, until the next one; `{}` is good behaviour again.
`python -m tests.model_server --port 0` prints `listening on http://127.0.0.1:PORT`.
"""

import argparse
import asyncio
import contextlib
import json
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import IO, Any

from aiohttp import web

ANSWER = "The passages say so [1]."
USAGE = {
    "prompt_tokens": 120,
    "completion_tokens": 8,
    "total_tokens": 128,
    "prompt_tokens_details": {"cached_tokens": 20},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
_ERRORS: dict[str, tuple[int, str]] = {
    "fail-500": (500, "server_error"),
    "fail-503": (503, "overloaded"),
    "rate-limited": (429, "rate_limit_exceeded"),
    "rate-limited-date": (429, "rate_limit_exceeded"),
    "quota": (429, "insufficient_quota"),
    "unauthorized": (401, "invalid_api_key"),
    "bad-request": (400, "invalid_value"),
    "context-length": (400, "context_length_exceeded"),
    "content-policy": (400, "content_policy_violation"),
    "missing": (404, "model_not_found"),
}
_BODIES: dict[str, tuple[str, str]] = {
    "garbage": ('{"choices": [{"mess', "application/json"),
    "garbage-html": ("<html>Bad gateway</html>", "text/html"),
    "not-a-completion": ('["surprise"]', "application/json"),
}
_BROKEN = ("cut", "dribble", "hang")
_STRAGGLE = 20


@dataclass(frozen=True)
class Behaviour:
    """What calls get until it is changed: a share of them this mode, all of them this latency."""

    mode: str = "ok"
    share: float = 1.0
    latency_s: float | None = None


@dataclass
class StubModel:
    """The server's state: what it answers, how slowly, and what it was asked.

    `jitter` spreads the latency by that part of it, and a share of `stragglers` takes 20 times as long, as models do;
    `distinct` numbers the answers, so that two calls for one request can be told apart by their text.
    """

    answer: str = ANSWER
    latency_s: float = 0.0
    jitter: float = 0.0
    stragglers: float = 0.0
    distinct: bool = False
    dice: random.Random = field(default_factory=random.Random)
    log: IO[str] | None = None
    behaviour: Behaviour = field(default_factory=Behaviour)
    calls: Counter[str] = field(default_factory=Counter)
    bodies: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=1000))
    headers: deque[Mapping[str, str]] = field(default_factory=lambda: deque(maxlen=1000))
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def application(self) -> web.Application:
        """The routes."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self.complete)
        app.router.add_post("/w/{worker}/v1/chat/completions", self.complete)
        app.router.add_post("/v1/moderations", self.moderate)
        app.router.add_post("/behave", self.behave)
        app.router.add_get("/v1/models", self.models)
        app.router.add_get("/health", self.health)
        app.router.add_get("/calls", self.tell)
        return app

    async def health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "stub", "object": "model"}]})

    async def tell(self, _: web.Request) -> web.Response:
        return web.json_response({"total": self.calls.total(), "by_key": dict(self.calls)})

    async def behave(self, request: web.Request) -> web.Response:
        self.behaviour = Behaviour(**await request.json())
        return web.json_response({"status": "ok"})

    async def moderate(self, request: web.Request) -> web.Response:
        """Texts with `idiot` are harassment; the model's name misbehaves as it does for completions."""
        body = await request.json()
        self.bodies.append(body)
        self.headers.append(request.headers)
        if body["model"] in _ERRORS:
            return _error(body["model"])
        values = [0.97 if "idiot" in text else 0.01 for text in body["input"]]
        scores = {"no-scores": {}, "out-of-range": {"harassment": 7.0}}
        results = [
            {
                "flagged": value > 0.5,
                "categories": {"harassment": value > 0.5},
                "category_scores": scores.get(
                    body["model"], {"harassment": value, "harassment/threatening": value / 2}
                ),
            }
            for value in values
        ]
        kept = results[1:] if body["model"] == "too-few" else results
        return web.json_response({"id": "modr-stub", "model": body["model"], "results": kept})

    async def complete(self, request: web.Request) -> web.StreamResponse:
        started = time.time()
        body = await request.json()
        key = request.headers.get("Idempotency-Key", "")
        self.calls[key] += 1
        self.bodies.append(body)
        self.headers.append(request.headers)
        mode = self._mode(request, body, key)
        outcome = "cut"
        try:
            await self._wait()
            response = await self._respond(request, mode, body)
            with contextlib.suppress(ConnectionError):
                # Written here, not after we return, so that what the log says has happened.
                await response.prepare(request)
                await response.write_eof()
                outcome = "answered"
        finally:
            failed = mode in _ERRORS or mode in _BODIES or mode in _BROKEN
            self._note(request, key, started, "failed" if failed else outcome)
        return response

    def _mode(self, request: web.Request, body: dict[str, Any], key: str) -> str:
        mode: str = request.headers.get("x-stub-mode", body["model"])
        if mode.startswith("fail-N-times:") and self.calls[key] <= int(mode.split(":")[1]):
            return "fail-500"
        if self.behaviour.mode != "ok" and self.dice.random() < self.behaviour.share:
            return self.behaviour.mode
        return mode

    async def _wait(self) -> None:
        latency_s = self.behaviour.latency_s
        if latency_s is None:
            straggles = self.stragglers > 0 and self.dice.random() < self.stragglers
            latency_s = self.latency_s * (_STRAGGLE if straggles else 1)
        if latency_s:
            await asyncio.sleep(latency_s * self.dice.uniform(1 - self.jitter, 1 + self.jitter))

    async def _respond(self, request: web.Request, mode: str, body: dict[str, Any]) -> web.StreamResponse:
        if mode in _ERRORS:
            return _error(mode)
        if mode in _BODIES:
            text, kind = _BODIES[mode]
            return web.Response(text=text, content_type=kind)
        if mode in _BROKEN:
            return await self._broken(request, mode)
        return web.json_response(self._completion(mode, body))

    def _note(self, request: web.Request, key: str, started: float, outcome: str) -> None:
        if self.log is None:
            return
        worker = request.match_info.get("worker", "")
        line = {"key": key, "worker": worker, "start": started, "end": time.time(), "outcome": outcome}
        self.log.write(json.dumps(line) + "\n")
        self.log.flush()

    def _completion(self, mode: str, body: dict[str, Any]) -> dict[str, Any]:
        text = body["messages"][-1]["content"] if mode == "echo" else self.answer
        if self.distinct:
            text = f"{text} This is answer {self.calls.total()}."
        message: dict[str, Any] = {"role": "assistant", "content": "" if mode == "empty" else text}
        if mode == "no-content":
            message["content"] = None
        if mode == "refusal":
            message |= {"content": None, "refusal": "I cannot help with that."}
        finish = {"length": "length", "content-filter": "content_filter"}.get(mode, "stop")
        choice = {"index": 0, "message": message, "finish_reason": ["x"] if mode == "odd-finish" else finish}
        usage = USAGE | ({"prompt_tokens_details": {"cached_tokens": "x"}} if mode == "odd-details" else {})
        choices = {"no-choices": [], "null-choice": [None]}.get(mode, [choice])
        return {
            "id": "chatcmpl-stub",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": choices,
            **({} if mode == "no-usage" else {"usage": usage}),
        }

    async def _broken(self, request: web.Request, mode: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "4096"})
        if mode != "hang":
            await response.prepare(request)
            await response.write(json.dumps(self._completion("ok", {"model": mode})).encode()[:60])
        if mode == "cut":
            assert request.transport is not None
            request.transport.abort()
            return response
        for _ in range(600):
            if mode == "dribble":
                await response.write(b" ")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.released.wait(), 0.1)
                break
        return response if mode == "dribble" else web.Response(status=503)


def _error(mode: str) -> web.Response:
    status, code = _ERRORS[mode]
    headers = {}
    if mode == "rate-limited":
        headers["Retry-After"] = "1"
    if mode == "rate-limited-date":
        headers["Retry-After"] = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    error = {"message": f"stub: {mode}", "type": code, "code": code, "param": None}
    return web.json_response({"error": error}, status=status, headers=headers)


async def _started(stub: StubModel, port: int) -> tuple[web.AppRunner, int]:
    runner = web.AppRunner(
        stub.application(), access_log=None, shutdown_timeout=1.0, handler_cancellation=True
    )
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    return runner, runner.addresses[0][1]


@dataclass
class RunningStub:
    """A started stub; `base_url` is what a provider is given."""

    stub: StubModel
    port: int

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


@contextlib.contextmanager
def running_model_server(answer: str = ANSWER, latency_s: float = 0.0) -> Iterator[RunningStub]:
    """A stub in a thread with an event loop of its own, stopped at the end."""
    stub = StubModel(answer, latency_s)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="model-server", daemon=True)
    thread.start()
    runner, port = asyncio.run_coroutine_threadsafe(_started(stub, 0), loop).result(10)
    try:
        yield RunningStub(stub, port)
    finally:
        loop.call_soon_threadsafe(stub.released.set)
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _serve(stub: StubModel, port: int) -> None:
    _, port = await _started(stub, port)
    print(f"listening on http://127.0.0.1:{port}", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="a stub of an OpenAI-compatible server")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--jitter", type=float, default=0.0, help="spreads the latency by this part of it")
    parser.add_argument(
        "--stragglers", type=float, default=0.0, help="share of calls that take 20 times as long"
    )
    parser.add_argument("--seed", type=int, default=0, help="of jitter and misbehaviour")
    parser.add_argument("--log", type=Path, help="a file that gets a line for each call")
    parser.add_argument("--answer", default=ANSWER)
    parser.add_argument("--distinct", action="store_true", help="number the answers")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(options.log.open("a")) if options.log else None
        stub = StubModel(
            answer=options.answer,
            latency_s=options.latency,
            jitter=options.jitter,
            stragglers=options.stragglers,
            distinct=options.distinct,
            dice=random.Random(options.seed),
            log=log,
        )
        stack.enter_context(contextlib.suppress(KeyboardInterrupt))
        asyncio.run(_serve(stub, options.port))


if __name__ == "__main__":
    main()
