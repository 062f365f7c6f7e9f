"""What outlives a worker, in Redis: used ids, claims, outcomes, verdicts, released answers.

An accelerator, not a need: while it is away requests are answered, and what is given up is counted.
"""

import asyncio
import contextlib
import itertools
import random
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar

import redis.asyncio as redis
import structlog
from aiokafka.errors import KafkaError
from redis.asyncio.lock import Lock
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from agents.ports import Admission, Claim, Held, Settled, Step
from schemas.codec import DecodeError, decode, encode
from schemas.common import Event
from schemas.context import RetrievedContext
from schemas.draft import Draft
from schemas.moderation import ModerationEvent
from schemas.request import GenerationRequest
from schemas.response import GenerationResponse
from schemas.review import Review
from streams import scripts
from streams.journal import pack, unpack
from streams.metrics import Metrics
from streams.settings import Settings

log = structlog.get_logger(__name__)

T = TypeVar("T")
_PAUSE_S = 1.0
_LOOK_AGAIN_S = 0.2
_REBUILD_S = 30.0
_CONNECTIONS = 32
_BATCH = 500
_LONGEST_LOOK_S = 1.0
_UNGUARDED = Claim(0)


async def _nothing() -> AsyncIterator[Event]:
    none: tuple[Event, ...] = ()
    for event in none:
        yield event


@contextlib.asynccontextmanager
async def _released(lock: Lock) -> AsyncIterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(RedisError, OSError, TimeoutError):  # it ends by itself then
            await lock.release()


class RedisStore:
    """Implements `agents.ports.RequestStore`; swallows outages, counts each, and pauses after one.

    After a failed command Redis is left alone for a second, so that an outage costs a request nothing. Only what
    keeps an answer from being paid for twice is worth waiting for: those commands are tried again until the outage
    has lasted for `redis_patience_s`, because a worker that was short of time sees outages that are none.
    """

    def __init__(
        self,
        client: "redis.Redis",
        settings: Settings,
        metrics: Metrics,
        recall: Callable[[], AsyncIterator[Event]] = _nothing,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = client
        self._metrics = metrics
        self._monotonic = monotonic
        self._prefix = f"sluicegate:{settings.topic_prefix}"
        self._recall = recall
        self._memory = f"{self._prefix}:memory"
        self._rebuilding: asyncio.Task[None] | None = None
        self._forgot_since: float | None = None
        self._cache_ttl_s = settings.cache_ttl_s
        self._epoch = settings.cache_epoch
        self._journal_ttl_s = settings.journal_ttl_s
        self._lease_ms = int(settings.claim_lease_s * 1e3)
        self._patience_s = settings.redis_patience_s
        self._away_since: float | None = None
        self._away_until = 0.0
        self._me = uuid.uuid4().hex
        self._claims = itertools.count()
        self._connections = asyncio.Semaphore(_CONNECTIONS)
        self._held: dict[str, int] = {}
        self._renewing: asyncio.Task[None] | None = None
        self._back = asyncio.Event()

    async def admit(self, request: GenerationRequest, position: str, cache_key: str | None) -> Admission:
        """In one round trip: note the id for the record at `position`, find its outcome, look in the cache."""
        looked_up = cache_key is not None and self._cache_ttl_s > 0
        name = self._name(request)

        async def command() -> list[Any]:
            pipe = self._redis.pipeline(transaction=False)
            pipe.hsetnx(name, "position", position)
            pipe.hmget(name, "position", "outcome")
            pipe.expire(name, self._journal_ttl_s)
            if looked_up and cache_key:
                pipe.get(self._cache_name(cache_key))
            return list(await pipe.execute())

        found = await self._guarded("admit", command)
        if found is None:
            if looked_up:
                self._metrics.cache_lookups_total.labels(result="error").inc()
            return Admission()
        is_first, (first, outcome) = found[0], found[1]
        cached = self._answer(found[3]) if looked_up else None
        if looked_up:
            self._metrics.cache_lookups_total.labels(result="hit" if cached else "miss").inc()
        return Admission(
            first_seen_at=None if is_first else first.decode(),
            outcome=_response_events(outcome) or None,
            cached=cached,
        )

    async def claim(self, context: RetrievedContext) -> Claim | Held | Settled:
        """Claim the right to pay for the request, with a lease that is renewed until it is settled or released."""
        name = self._name(context.request)
        owner = f"{self._me}:{next(self._claims)}"
        found = await self._patiently(
            "claim", lambda: self._eval(scripts.CLAIM, name, self._lease_ms, self._journal_ttl_s, owner)
        )
        if found is None:
            self._metrics.claims_total.labels(result="unguarded").inc()
            return _UNGUARDED
        kind, value = found[0], found[1]
        if kind == scripts.SETTLED and (events := unpack(value, context)) is not None:
            self._metrics.claims_total.labels(result="settled").inc()
            return Settled(events)
        if kind == scripts.HELD:
            self._metrics.claims_total.labels(result="held").inc()
            return Held(min(value / 1e3, _LONGEST_LOOK_S))
        if kind == scripts.SETTLED:  # by a release whose journal we cannot read: nobody can publish it again
            log.warning("journal.unreadable", request=name)
            return _UNGUARDED
        self._metrics.claims_total.labels(result="retaken" if found[2] else "claimed").inc()
        self._held[name] = value
        return Claim(value)

    async def settle(
        self, context: RetrievedContext, events: Sequence[Event], claim: Claim
    ) -> Settled | None:
        """Write the outcome, unless there is one; None when an end without an answer lost its claim to another."""
        name = self._name(context.request)
        is_answer = any(isinstance(event, Draft) for event in events)
        packed = pack(events)
        found = await self._settled(name, packed, claim, fenced=not is_answer)
        self._held.pop(name, None)
        if isinstance(found, bytes) and found != packed:
            self._metrics.claims_total.labels(result="lost").inc()
            return Settled(unpack(found, context) or events)
        return None if found == scripts.FENCED else Settled(events)

    async def release(self, context: RetrievedContext, claim: Claim) -> None:
        """Give a claim up without an outcome."""
        name = self._name(context.request)
        self._held.pop(name, None)
        if claim.token:
            await self._guarded("release", lambda: self._eval(scripts.RELEASE, name, claim.token))

    async def end(self, request: GenerationRequest, events: Sequence[Event]) -> Sequence[Event]:
        """Write the outcome of a request that nobody needs to pay for; returns what is to be published."""
        packed = pack(events)
        found = await self._settled(self._name(request), packed, _UNGUARDED, fenced=True)
        if isinstance(found, bytes) and found != packed:
            return _response_events(found)
        return [] if found == scripts.FENCED else events

    async def conclude(
        self,
        request: GenerationRequest,
        events: Sequence[Event],
        cache_key: str | None = None,
        step: Step = "verdict",
    ) -> Sequence[Event]:
        """Write the verdict on a draft, or the resolution of its review, unless there is one; returns what holds."""
        name, packed = self._name(request), pack(events)

        async def command() -> bytes | int:
            pipe = self._redis.pipeline(transaction=False)
            pipe.eval(scripts.CONCLUDE, 2, name, self._memory, step, packed, self._journal_ttl_s)
            if cache_key is not None and self._cache_ttl_s:
                response = next(event for event in events if isinstance(event, GenerationResponse))
                pipe.set(self._cache_name(cache_key), encode(response), ex=self._cache_life_s())
            found: list[bytes | int] = await pipe.execute()
            return found[0]

        earlier = await self._patiently("conclude", command)
        held = unpack(earlier) if isinstance(earlier, bytes) else None
        return events if held is None else _whole(held, events)

    async def start(self) -> None:
        """Begin to renew the leases of claims that are held, and see that Redis remembers."""
        self._renewing = asyncio.create_task(self._renew())
        self._rebuilding = asyncio.create_task(self._rebuild())

    async def ping(self) -> bool:
        """Whether Redis answers now."""
        try:
            return bool(await self._redis.ping())
        except (RedisError, OSError, TimeoutError):
            return False

    async def aclose(self) -> None:
        """Close the connections."""
        for task in (self._renewing, self._rebuilding):
            if task:
                task.cancel()
        await self._redis.aclose()

    async def _settled(self, name: str, packed: bytes, claim: Claim, *, fenced: bool) -> bytes | int | None:
        return await self._patiently(
            "settle",
            lambda: self._eval(scripts.SETTLE, name, claim.token, packed, self._journal_ttl_s, int(fenced)),
        )

    async def _renew(self) -> None:
        """All leases in one command, three times a lease: a stutter of one or two loses none."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._back.wait(), self._lease_ms / 3e3)
            self._back.clear()
            if self._held:
                await self._guarded("renew", self._renew_all)

    async def _renew_all(self) -> None:
        held = dict(self._held)
        await self._redis.eval(scripts.RENEW, len(held), *held, self._lease_ms, *held.values())

    async def _eval(self, script: str, name: str, *arguments: str | int | bytes) -> Any:
        # By text, not by hash: a Redis that was restarted knows no hash, and asking twice costs more than the text.
        return await self._redis.eval(script, 2, name, self._memory, *arguments)

    async def _rebuild(self) -> None:
        """Give an emptied Redis its memory back, before anybody claims what was paid for already.

        One worker does it, after a moment in which all others renew the claims that they hold.
        """
        while True:
            try:
                if await self._redis.exists(self._memory):
                    return
                lock = self._redis.lock(f"{self._memory}:rebuilding", timeout=_REBUILD_S, blocking=False)
                if await lock.acquire():
                    async with _released(lock):
                        await asyncio.sleep(_PAUSE_S + _LOOK_AGAIN_S)
                        count = await self._remind()
                        await self._redis.set(self._memory, self._me)
                    log.info("redis.remembers", events=count)
            except (RedisError, KafkaError, OSError, TimeoutError) as error:
                log.warning("redis.forgot", error=repr(error))
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _remind(self) -> int:
        """Write what the topics say into the journal, where it says nothing."""
        count, pipe = 0, self._redis.pipeline(transaction=False)
        async for event in self._recall():
            for name, field, packed in self._reminders(event):
                pipe.eval(scripts.REMIND, 1, name, field, packed, self._journal_ttl_s)
            count += 1
            if len(pipe) >= _BATCH:
                await pipe.execute()
        await pipe.execute()
        return count

    def _reminders(self, event: Event) -> Iterator[tuple[str, str, bytes]]:
        match event:
            case Draft():
                yield self._name(event.context.request), "outcome", pack([event, event.cost])
            case GenerationResponse() if event.terminal:
                # Of a draft, the verdict; else the outcome, which stays unwritten where the draft is.
                name = self._named(event.tenant, event.request_id, event.replay)
                packed = pack([event])
                yield from ((name, step, packed) for step in ("outcome", "verdict", "resolution"))

    async def _patiently(self, operation: str, command: Callable[[], Awaitable[T]]) -> T | None:
        while True:
            found = await self._guarded(operation, command)
            if found == scripts.FORGOTTEN:
                found, since = None, self._forgotten()
            elif found is not None:
                self._forgot_since = None
                return found
            else:
                since = self._away_since or self._monotonic()
            if self._monotonic() - since > self._patience_s:
                return None
            await asyncio.sleep(_LOOK_AGAIN_S)

    def _forgotten(self) -> float:
        """See that Redis is told again; returns since when it knows nothing."""
        if self._rebuilding is None or self._rebuilding.done():
            self._rebuilding = asyncio.create_task(self._rebuild())
        if self._forgot_since is None:
            self._forgot_since = self._monotonic()
        return self._forgot_since

    async def _guarded(self, operation: str, command: Callable[[], Awaitable[T]]) -> T | None:
        # The queue for a connection is ours: in the pool's a burst of work would look like an outage.
        async with self._connections:
            return await self._tried(operation, command)

    async def _tried(self, operation: str, command: Callable[[], Awaitable[T]]) -> T | None:
        if self._monotonic() < self._away_until:
            self._metrics.redis_errors_total.labels(operation=operation).inc()
            return None
        try:
            done = await command()
        except (RedisError, OSError, TimeoutError) as error:
            self._metrics.redis_errors_total.labels(operation=operation).inc()
            self._away_since = self._away_since or self._monotonic()
            self._away_until = self._monotonic() + _PAUSE_S
            log.warning("redis.away", operation=operation, error=repr(error))
            return None
        if self._away_since is not None:
            self._away_since, self._away_until = None, 0.0
            self._back.set()  # it may have lost our claims: they are renewed at once
        return done

    def _answer(self, value: object) -> GenerationResponse | None:
        if not isinstance(value, bytes):
            return None
        try:
            return decode(GenerationResponse, value)
        except DecodeError:
            return None  # written by an older release: as good as absent

    def _cache_life_s(self) -> int:
        """Spread by 10 %, so that answers of one burst do not end at once."""
        return max(1, int(self._cache_ttl_s * random.uniform(0.9, 1.0)))  # noqa: S311  # not a secret

    def _name(self, request: GenerationRequest) -> str:
        return self._named(request.tenant, request.id or "", request.replay)

    def _named(self, tenant: str, request_id: str, replay: int) -> str:
        replayed = f"~{replay}:" if replay else ""  # no tenant's name begins so
        return f"{self._prefix}:request:{replayed}{tenant}:{request_id}"

    def _cache_name(self, key: str) -> str:
        return f"{self._prefix}:answer:{self._epoch}:{key}"


def _whole(held: Sequence[Event], ours: Sequence[Event]) -> Sequence[Event]:
    """What holds, with what ours has beside the response when it was read back from a topic as the response alone."""
    if len(held) > 1:
        return held
    beside = [e for e in ours if isinstance(e, ModerationEvent) or (isinstance(e, Review) and e.resolved)]
    return [*held, *beside]


def _response_events(outcome: bytes | None) -> list[Event]:
    """An outcome without an answer; nothing for a draft, which is for its own stage to publish."""
    return (unpack(outcome) if outcome else None) or []


def new_redis(settings: Settings) -> "redis.Redis":
    """A client whose every command is bounded in time and never retried behind our back."""
    pool = redis.ConnectionPool.from_url(
        settings.redis_url,
        max_connections=2 * _CONNECTIONS,
        socket_timeout=settings.redis_timeout_s,
        socket_connect_timeout=settings.redis_timeout_s,
        retry=Retry(NoBackoff(), 0),
    )
    return redis.Redis.from_pool(pool)  # closes the pool with itself
