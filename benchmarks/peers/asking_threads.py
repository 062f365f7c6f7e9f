"""Redis and the model, as the peers without asyncio use them: one client of each, shared by all threads."""

import redis
import urllib3

from benchmarks.peers import common


class Asking:
    """For up to `threads` threads at once."""

    def __init__(self, settings: common.Settings, threads: int = 1) -> None:
        # The default of 100 connections is refused beyond, not waited for.
        self._redis = redis.Redis.from_url(settings.redis, max_connections=threads + 1)
        self._http = urllib3.PoolManager(maxsize=threads)
        self._url = f"{settings.model}/chat/completions"

    def kept(self, request: common.Request) -> common.Answer | None:
        """What the same prompt was answered with before."""
        kept = self._redis.get(common.cache_key(request))
        return common.from_cache(kept) if isinstance(kept, bytes) else None

    def asked(self, request: common.Request) -> common.Answer:
        """The model's answer, which is kept from now on."""
        response = self._http.request("POST", self._url, json=common.question(request))
        if response.status != 200:
            raise RuntimeError(f"the model answered with {response.status}")
        answer, keep = common.from_model(response.data)
        self._redis.set(common.cache_key(request), keep)
        return answer

    def answer(self, request: common.Request) -> common.Answer:
        """The kept answer, else the model's."""
        return self.kept(request) or self.asked(request)

    def finished(self, value: bytes) -> common.Events:
        """All that is done with a request, from the record's value to the events about it."""
        request = common.read(value)
        return common.finished(request, self.answer(request))

    def close(self) -> None:
        """Release connections."""
        self._http.clear()
        self._redis.close()
