"""`/metrics`, `/healthz` and `/readyz` of a worker."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

Check = Callable[[], Awaitable[dict[str, str | None]]]
"""Name of what was checked to what is wrong with it; None is well."""


@dataclass(slots=True)
class WebServer:
    """Serves until closed; `port` is the real one after `start`."""

    registry: CollectorRegistry
    health: Check
    readiness: Check
    host: str
    port: int
    _runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen."""
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", _answer(self.health))
        app.router.add_get("/readyz", _answer(self.readiness))
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def aclose(self) -> None:
        """Stop listening."""
        if self._runner:
            await self._runner.cleanup()

    async def _metrics(self, request: web.Request) -> web.Response:
        """OpenMetrics for those who ask for it, as Prometheus does; the plain format for people."""
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self.registry), headers={"Content-Type": content_type})


def _answer(check: Check) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(request: web.Request) -> web.Response:
        del request
        found = await check()
        well = all(problem is None for problem in found.values())
        body = {"ok": well, "checks": {name: problem or "ok" for name, problem in found.items()}}
        return web.json_response(body, status=200 if well else 503)

    return handler
