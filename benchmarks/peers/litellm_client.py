"""LiteLLM's proxy, one process, its cache on, and an asyncio client that keeps so many requests in flight.

    python -m benchmarks.peers.litellm_client

No Kafka: requests are made here, answers are dropped, nothing is scored and no events are published. It is less work
than the others do, and what a gateway is for. The proxy is started and stopped here; its settings are those that its
page on production asks for. Once a second a line of JSON goes to stdout:

    {"done": 1200, "seconds": 3.0, "failed": 0, "p50_ms": 262.1, "p99_ms": 301.9}

`seconds` run from the moment the proxy has answered a first request. `BENCH_SEED` chooses the requests; without it no
two runs share any, so that nothing is answered from the cache.
"""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import sys
import tempfile
import time
from collections import deque
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from benchmarks import requests

_UP_S = 120.0
_BLOCK = 1000
_LATEST = 5000
_PRODUCTION = {"LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}

# Run before the proxy takes its place: the kernel then ends it when we die, even by SIGKILL.
_END_WITH_US = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 15); os.execv(sys.argv[1], sys.argv[1:])"


class ProxyFailed(Exception):
    """The proxy ended, or did not come up."""


def config(model: str, redis: str, inflight: int) -> dict[str, Any]:
    """The proxy's configuration; JSON is YAML, too."""
    where = urlsplit(redis)
    cache = {"type": "redis", "host": where.hostname, "port": where.port, "max_connections": inflight}
    parameters = {"model": "openai/stub", "api_base": model, "api_key": "none"}
    return {
        "model_list": [{"model_name": "stub", "litellm_params": parameters}],
        "litellm_settings": {
            "cache": True,
            "cache_params": cache,
            "set_verbose": False,
            "request_timeout": 600,
            "telemetry": False,
        },
    }


def _inflight() -> int:
    return int(os.environ.get("BENCH_INFLIGHT", "256"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Proxy:
    """The proxy's process."""

    def __init__(self) -> None:
        self.url = f"http://127.0.0.1:{_free_port()}"
        self.key = f"sk-{secrets.token_hex(16)}"  # without one it does not start
        self._process: asyncio.subprocess.Process

    async def start(self, folder: Path) -> None:
        """Start it; it is not up yet."""
        path = folder / "config.yaml"
        path.write_text(json.dumps(config(os.environ["BENCH_MODEL"], os.environ["BENCH_REDIS"], _inflight())))
        where = ("--host", "127.0.0.1", "--port", str(urlsplit(self.url).port), "--num_workers", "1")
        self._process = await asyncio.create_subprocess_exec(
            *((sys.executable, "-S", "-c", _END_WITH_US) if sys.platform == "linux" else ()),
            Path(sys.executable).with_name("litellm"),
            *("--config", path, *where),
            env={**os.environ, **_PRODUCTION, "LITELLM_MASTER_KEY": self.key},
            cwd=folder,
            stdout=sys.stderr,
        )

    async def up(self, session: aiohttp.ClientSession) -> None:
        """Wait until it answers.

        Raises:
            ProxyFailed: it ended, or took too long.
        """
        due = time.monotonic() + _UP_S
        while time.monotonic() < due and self._process.returncode is None:
            with contextlib.suppress(aiohttp.ClientError, OSError):
                async with session.get(f"{self.url}/health/liveliness") as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(0.2)
        raise ProxyFailed(f"the proxy is not up (exit status {self._process.returncode})")

    async def stop(self) -> None:
        """Ask it to end, and end it where it does not."""
        if self._process.returncode is None:
            self._process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), 10)
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


class Load:
    """So many requests in flight, the next one as soon as one is answered."""

    def __init__(self, session: aiohttp.ClientSession, url: str, seed: int) -> None:
        self._session = session
        self._url = f"{url}/v1/chat/completions"
        self._seed = seed
        self._blocks = count(0, _BLOCK)
        self._waiting: list[bytes] = []
        self._took_s: deque[float] = deque(maxlen=_LATEST)
        self._began = time.perf_counter()
        self.done = self.failed = 0

    def _next(self) -> bytes:
        if not self._waiting:
            made = requests.make(_BLOCK, seed=self._seed, first=next(self._blocks))
            self._waiting = [_asked(request) for request in reversed(made)]
        return self._waiting.pop()

    async def ask(self) -> None:
        """One request, to the end of its answer."""
        began = time.perf_counter()
        try:
            async with self._session.post(self._url, data=self._next()) as response:
                completion = await response.json()
                answered = response.status == 200 and bool(completion["choices"][0]["message"]["content"])
        except (aiohttp.ClientError, OSError, ValueError, KeyError, IndexError):
            answered = False
        self.done += answered
        self.failed += not answered
        self._took_s.append(time.perf_counter() - began)

    async def run(self, inflight: int) -> None:
        """Until cancelled."""
        self.done = self.failed = 0
        self._began = time.perf_counter()

        async def asking() -> None:
            while True:
                await self.ask()

        async with asyncio.TaskGroup() as group:
            for _ in range(inflight):
                group.create_task(asking())
            group.create_task(self._tell())

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            took = sorted(self._took_s)
            line = {
                "done": self.done,
                "seconds": round(time.perf_counter() - self._began, 3),
                "failed": self.failed,
                "p50_ms": round(took[len(took) // 2] * 1000, 1) if took else None,
                "p99_ms": round(took[len(took) * 99 // 100] * 1000, 1) if took else None,
            }
            print(json.dumps(line), flush=True)  # noqa: T201


def _asked(request: bytes) -> bytes:
    """The request as a chat completion: what only a stream needs is left out."""
    body = json.loads(request)
    return json.dumps({name: body[name] for name in ("model", "messages", "max_tokens")}).encode()


async def _run() -> None:
    seed = int(os.environ.get("BENCH_SEED", time.time_ns() // 1_000_000))
    proxy = Proxy()
    connector, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=None)
    headers = {"authorization": f"Bearer {proxy.key}", "content-type": "application/json"}
    with tempfile.TemporaryDirectory() as folder:
        await proxy.start(Path(folder))
        try:
            async with aiohttp.ClientSession(
                connector=connector, timeout=timeout, headers=headers
            ) as session:
                await proxy.up(session)
                await _drive(Load(session, proxy.url, seed))
        finally:
            await proxy.stop()


async def _drive(load: Load) -> None:
    await load.ask()
    if load.failed:
        raise ProxyFailed("the proxy did not answer its first request")
    await load.run(_inflight())


async def _until_stopped() -> None:
    running = asyncio.create_task(_run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running


def main() -> None:
    """The command line."""
    asyncio.run(_until_stopped())


if __name__ == "__main__":
    main()
