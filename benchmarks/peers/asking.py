"""Redis and the model, as the asyncio peers use them: one client of each, shared by all that is in flight."""

import aiohttp
import redis.asyncio

from benchmarks.peers import common


class Asking:
    """Made inside the running loop; `aclose` when done."""

    def __init__(self, settings: common.Settings) -> None:
        # The default of 100 connections is refused beyond, not waited for.
        self._redis = redis.asyncio.Redis.from_url(settings.redis, max_connections=settings.inflight + 1)
        # aiohttp's own limit is 100 connections, which would be what is measured.
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self._url = f"{settings.model}/chat/completions"

    async def kept(self, request: common.Request) -> common.Answer | None:
        """What the same prompt was answered with before."""
        kept = await self._redis.get(common.cache_key(request))
        return common.from_cache(kept) if kept else None

    async def asked(self, request: common.Request) -> common.Answer:
        """The model's answer, which is kept from now on."""
        async with self._http.post(self._url, json=common.question(request)) as response:
            response.raise_for_status()
            answer, keep = common.from_model(await response.read())
        await self._redis.set(common.cache_key(request), keep)
        return answer

    async def answer(self, request: common.Request) -> common.Answer:
        """The kept answer, else the model's."""
        return await self.kept(request) or await self.asked(request)

    async def finished(self, value: bytes) -> common.Events:
        """All that is done with a request, from the record's value to the events about it."""
        request = common.read(value)
        return common.finished(request, await self.answer(request))

    async def aclose(self) -> None:
        """Release connections."""
        await self._http.close()
        await self._redis.aclose()
