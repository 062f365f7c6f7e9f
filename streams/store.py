"""What outlives a worker, in Redis: used ids, journalled drafts, released answers. An accelerator, not a need."""

import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import redis.asyncio as redis
import structlog
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from agents.ports import Admission
from schemas.codec import DecodeError, decode, encode
from schemas.draft import Draft
from schemas.response import GenerationResponse
from streams.metrics import Metrics
from streams.settings import Settings

log = structlog.get_logger(__name__)

T = TypeVar("T")
_PAUSE_S = 1.0


class RedisStore:
    """Implements `agents.ports.RequestStore`; swallows outages, counts each, and pauses after one.

    After a failed command Redis is left alone for a second, so that an outage costs a request nothing.
    """

    def __init__(
        self,
        client: "redis.Redis",
        settings: Settings,
        metrics: Metrics,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = client
        self._metrics = metrics
        self._monotonic = monotonic
        self._prefix = f"sluicegate:{settings.topic_prefix}"
        self._cache_ttl_s = settings.cache_ttl_s
        self._epoch = settings.cache_epoch
        self._journal_ttl_s = settings.journal_ttl_s
        self._duplicate_ttl_s = settings.duplicate_ttl_s
        self._away_until = 0.0

    async def admit(self, tenant: str, request_id: str, position: str, cache_key: str | None) -> Admission:
        """In one round trip: claim the id for the record at `position`, and look in the cache."""
        looked_up = cache_key is not None and self._cache_ttl_s > 0

        async def command() -> list[bytes | None]:
            pipe = self._redis.pipeline(transaction=False)
            claim = self._key("id", tenant, request_id)
            pipe.set(claim, position, nx=True, get=True, ex=self._duplicate_ttl_s)
            if looked_up and cache_key:
                pipe.get(self._cache_key(cache_key))
            return list(await pipe.execute())

        found = await self._guarded("admit", command)
        if found is None:
            if looked_up:
                self._metrics.cache_lookups_total.labels(result="error").inc()
            return Admission()
        first = found[0].decode() if found[0] else None
        cached = self._read(GenerationResponse, found[1]) if looked_up else None
        if looked_up:
            self._metrics.cache_lookups_total.labels(result="hit" if cached else "miss").inc()
        return Admission(first_seen_at=first, cached=cached)

    async def journalled(self, tenant: str, request_id: str) -> Draft | None:
        """The draft that was bought for this request before, if any."""
        value = await self._guarded(
            "journalled", lambda: self._redis.get(self._key("draft", tenant, request_id))
        )
        return self._read(Draft, value)

    async def journal(self, draft: Draft) -> None:
        """Keep what was bought before it is published, so that a redelivery does not buy it again."""
        request = draft.context.request
        key = self._key("draft", request.tenant, request.id or "")
        await self._guarded("journal", lambda: self._redis.set(key, encode(draft), ex=self._journal_ttl_s))

    async def remember(self, cache_key: str, response: GenerationResponse) -> None:
        """Put a released answer into the cache; the life is spread by 10 % so that a burst does not end at once."""
        if not self._cache_ttl_s:
            return
        ttl_s = max(1, int(self._cache_ttl_s * random.uniform(0.9, 1.0)))  # noqa: S311  # not a secret
        await self._guarded(
            "remember", lambda: self._redis.set(self._cache_key(cache_key), encode(response), ex=ttl_s)
        )

    async def ping(self) -> bool:
        """Whether Redis answers now."""
        try:
            return bool(await self._redis.ping())
        except (RedisError, OSError, TimeoutError):
            return False

    async def aclose(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _guarded(self, operation: str, command: Callable[[], Awaitable[T]]) -> T | None:
        if self._monotonic() < self._away_until:
            self._metrics.redis_errors_total.labels(operation=operation).inc()
            return None
        try:
            return await command()
        except (RedisError, OSError, TimeoutError) as error:
            self._metrics.redis_errors_total.labels(operation=operation).inc()
            self._away_until = self._monotonic() + _PAUSE_S
            log.warning("redis.away", operation=operation, error=repr(error))
            return None

    def _read(self, kind: type[T], value: object) -> T | None:
        if not isinstance(value, bytes):
            return None
        try:
            return decode(kind, value)  # type: ignore[type-var]
        except DecodeError:
            return None  # written by an older release: as good as absent

    def _key(self, kind: str, tenant: str, request_id: str) -> str:
        return f"{self._prefix}:{kind}:{tenant}:{request_id}"

    def _cache_key(self, key: str) -> str:
        return f"{self._prefix}:answer:{self._epoch}:{key}"


def new_redis(settings: Settings) -> "redis.Redis":
    """A client whose every command is bounded in time and never retried behind our back."""
    pool = redis.BlockingConnectionPool.from_url(
        settings.redis_url,
        max_connections=32,
        timeout=settings.redis_timeout_s,
        socket_timeout=settings.redis_timeout_s,
        socket_connect_timeout=settings.redis_timeout_s,
        retry=Retry(NoBackoff(), 0),
    )
    return redis.Redis(connection_pool=pool)
