"""The model that every measured program calls: fixed latency, fixed answer, calls counted, as little CPU as can be.

    python -m benchmarks.stub --port 0 --latency 0.25 --tokens 32

It prints `listening on http://127.0.0.1:PORT` and speaks the OpenAI chat completion API at `/v1`:

    POST /v1/chat/completions   the answer, after the latency
    GET  /v1/models             the one model
    GET  /health                {"status": "ok"}
    GET  /calls                 {"calls": N, "most_at_once": M}
    POST /behave                {"latency_s": 0, "tokens": 8}: what calls get from now on; with "forget": true the
                                counts begin anew

It shares the machine with what it is to measure, so it is a bare protocol: the answer is made once, the request's
body is not looked at, and a request costs one search for the end of its head. Requests must say `Content-Length`,
as those of httpx, aiohttp, requests and the openai client do; any other gets 411.
"""

import argparse
import asyncio
import json
import re
import signal
from dataclasses import dataclass, field
from typing import Any

HOST = "127.0.0.1"
MODEL = "stub"
PROMPT_TOKENS = 96
_SENTENCE = (
    "the parcel may be returned within thirty days if its seal is whole and no stupid mistake was made"
)
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)")
_REASONS = {200: "OK", 404: "Not Found", 411: "Length Required"}
_LARGEST_HEAD = 64 * 1024


def answer(tokens: int) -> str:
    """The text of that many words that every call is answered with."""
    words = _SENTENCE.split()
    return " ".join(words[number % len(words)] for number in range(tokens))


def completion(tokens: int) -> dict[str, Any]:
    """The body of every answer."""
    usage = {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": tokens,
        "total_tokens": PROMPT_TOKENS + tokens,
    }
    message = {"role": "assistant", "content": answer(tokens)}
    return {
        "id": "chatcmpl-stub",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage,
    }


def _reply(body: object, status: int = 200) -> bytes:
    value = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-type: application/json\r\ncontent-length: {len(value)}"
    return head.encode() + b"\r\n\r\n" + value


_HEALTHY = _reply({"status": "ok"})
_MODELS = _reply(
    {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 1, "owned_by": "stub"}]}
)
_UNKNOWN = _reply({"error": {"message": "no such path", "type": "not_found", "code": "missing"}}, 404)
_NO_LENGTH = _reply(
    {"error": {"message": "say content-length", "type": "bad_request", "code": "length"}}, 411
)


@dataclass(slots=True)
class Model:
    """What calls get, and how many there were; one for all connections."""

    latency_s: float = 0.0
    tokens: int = 32
    calls: int = 0
    at_once: int = 0
    most_at_once: int = 0
    reply: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.reply = _reply(completion(self.tokens))

    def behave(self, wanted: dict[str, Any]) -> None:
        """Change what calls get from now on."""
        self.latency_s = float(wanted.get("latency_s", self.latency_s))
        self.tokens = int(wanted.get("tokens", self.tokens))
        self.reply = _reply(completion(self.tokens))
        if wanted.get("forget"):
            self.calls, self.most_at_once = 0, self.at_once

    def told(self) -> bytes:
        """The counts, as a reply."""
        return _reply({"calls": self.calls, "most_at_once": self.most_at_once})


class Connection(asyncio.Protocol):
    """One client's connection, kept open between its requests."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._loop = asyncio.get_running_loop()
        self._unread = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's: a client is there."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Asyncio's: take every request that is whole."""
        data = self._unread + data if self._unread else data
        while data:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                break
            head = data[:end].lower()
            length = _LENGTH.search(head)
            if length is None and b"\r\ntransfer-encoding:" in head:
                self._transport.write(_NO_LENGTH)
                self._transport.close()
                return
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(data) < whole:
                break
            self._take(head, data[end + 4 : whole])
            data = data[whole:]
        self._unread = data
        if len(data) > _LARGEST_HEAD and b"\r\n\r\n" not in data:
            self._transport.abort()

    def _take(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"post /v1/chat/completions "):
            self._complete()
        elif head.startswith(b"get /calls "):
            self._transport.write(self._model.told())
        elif head.startswith(b"post /behave "):
            self._model.behave(json.loads(body))
            self._transport.write(_HEALTHY)
        elif head.startswith(b"get /v1/models "):
            self._transport.write(_MODELS)
        else:
            self._transport.write(_HEALTHY if head.startswith(b"get /health ") else _UNKNOWN)

    def _complete(self) -> None:
        model = self._model
        model.calls += 1
        model.at_once += 1
        model.most_at_once = max(model.most_at_once, model.at_once)
        if model.latency_s > 0:
            self._loop.call_later(model.latency_s, self._answer)
        else:
            self._answer()

    def _answer(self) -> None:
        self._model.at_once -= 1
        if not self._transport.is_closing():
            self._transport.write(self._model.reply)


async def serve(model: Model, port: int) -> asyncio.Server:
    """Listen on loopback; the server is the caller's to close."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: Connection(model), HOST, port, backlog=4096)


async def _run(model: Model, port: int) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    server = await serve(model, port)
    print(f"listening on http://{HOST}:{server.sockets[0].getsockname()[1]}", flush=True)  # noqa: T201
    await stopping.wait()
    server.close()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stub", description="the model of the benchmarks"
    )
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds from a request to its answer")
    parser.add_argument("--tokens", type=int, default=32, help="words in the answer")
    options = parser.parse_args()
    asyncio.run(_run(Model(options.latency, options.tokens), options.port))


if __name__ == "__main__":
    main()
