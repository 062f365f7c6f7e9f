"""What outlives a worker, in Redis: used ids, claims, outcomes, verdicts, released answers.

An accelerator, not a need: while it is away requests are answered, and what is given up is counted.
"""

import asyncio
import contextlib
import itertools
import random
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import structlog
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
from streams.keys import Keys
from streams.metrics import Metrics
from streams.rebuild import Rebuild, Recall, nothing
from streams.redis_link import RedisLink
from streams.settings import Settings

log = structlog.get_logger(__name__)

T = TypeVar("T")
_LONGEST_LOOK_S = 1.0
_UNGUARDED = Claim(0)
_LATELY = 4
"""How many windows of outcomes a worker can tell an emptied Redis again."""


class RedisStore:
    """Implements `agents.ports.RequestStore`; `recall` is what the topics say to a Redis that was emptied."""

    def __init__(
        self, link: RedisLink, settings: Settings, metrics: Metrics, recall: Recall = nothing
    ) -> None:
        self._link = link
        self._metrics = metrics
        self._keys = Keys(settings.topic_prefix, settings.cache_epoch)
        self._cache_ttl_s = settings.cache_ttl_s
        self._life_s = settings.journal_ttl_s
        self._lease_ms = int(settings.claim_lease_s * 1e3)
        self._me = uuid.uuid4().hex
        self._claims = itertools.count()
        self._held: dict[str, int] = {}
        self._settled_lately: deque[tuple[str, bytes]] = deque(maxlen=_LATELY * settings.in_flight)
        self._renewing: asyncio.Task[None] | None = None
        self._memory = Rebuild(link, self._keys, recall, self._life_s, self._me)

    async def admit(self, request: GenerationRequest, position: str, cache_key: str | None) -> Admission:
        """In one round trip: note the id for the record at `position`, find its outcome, look in the cache."""
        looked_up = cache_key is not None and self._cache_ttl_s > 0
        name = self._keys.of(request)

        answer = self._keys.answer(cache_key) if looked_up and cache_key else ""
        arguments = (position, self._life_s)
        found = await self._link.once("admit", lambda: self._eval(scripts.ADMIT, name, answer, *arguments))
        if found is None:
            if looked_up:
                self._metrics.cache_lookups_total.labels(result="error").inc()
            return Admission()
        is_first, first, outcome, kept = found
        cached = self._answer(kept)
        if looked_up:
            self._metrics.cache_lookups_total.labels(result="hit" if cached else "miss").inc()
        return Admission(
            first_seen_at=None if is_first else first.decode(),
            outcome=_response_events(outcome) or None,
            cached=cached,
        )

    async def claim(self, context: RetrievedContext) -> Claim | Held | Settled:
        """Claim the right to pay for the request, with a lease that is renewed until it is settled or released."""
        name = self._keys.of(context.request)
        owner = f"{self._me}:{next(self._claims)}"
        arguments = (self._lease_ms, self._life_s, owner)
        found = await self._patiently(
            "claim", lambda memory: self._eval(scripts.CLAIM, name, memory, *arguments)
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
        name = self._keys.of(context.request)
        is_answer = any(isinstance(event, Draft) for event in events)
        packed = pack(events)
        found = await self._settled(name, packed, claim, fenced=not is_answer)
        self._held.pop(name, None)
        self._settled_lately.append((name, packed))
        if isinstance(found, bytes) and found != packed:
            self._metrics.claims_total.labels(result="lost").inc()
            return Settled(unpack(found, context) or events)
        return None if found == scripts.FENCED else Settled(events)

    async def release(self, context: RetrievedContext, claim: Claim) -> None:
        """Give a claim up without an outcome."""
        name = self._keys.of(context.request)
        self._held.pop(name, None)
        if claim.token:
            await self._link.once("release", lambda: self._eval(scripts.RELEASE, name, "", claim.token))

    async def end(self, request: GenerationRequest, events: Sequence[Event]) -> Sequence[Event]:
        """Write the outcome of a request that nobody needs to pay for; returns what is to be published."""
        packed = pack(events)
        found = await self._settled(self._keys.of(request), packed, _UNGUARDED, fenced=True)
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
        name, packed = self._keys.of(request), pack(events)
        kept: tuple[str, bytes] = "", b""
        if cache_key is not None and self._cache_ttl_s:
            response = next(event for event in events if isinstance(event, GenerationResponse))
            kept = self._keys.answer(cache_key), encode(response)

        async def command(memory: str) -> bytes | int:
            arguments = (step, packed, self._life_s, kept[1], self._cache_life_s())
            found: bytes | int = await self._link.run(scripts.CONCLUDE, 3, name, memory, kept[0], *arguments)
            return found

        earlier = await self._patiently("conclude", command)
        held = unpack(earlier) if isinstance(earlier, bytes) else None
        return events if held is None else _whole(held, events)

    async def start(self) -> None:
        """Begin to renew the leases of claims that are held, and see that Redis remembers."""
        self._renewing = asyncio.create_task(self._renew())
        self._memory.begin()

    async def ping(self) -> bool:
        """Whether Redis answers now."""
        try:
            return bool(await self._link.client.ping())
        except (RedisError, OSError, TimeoutError):
            return False

    async def aclose(self) -> None:
        """Close the connections."""
        if self._renewing:
            self._renewing.cancel()
        self._memory.cancel()
        await self._link.aclose()

    async def _settled(self, name: str, packed: bytes, claim: Claim, *, fenced: bool) -> bytes | int | None:
        arguments = (claim.token, packed, self._life_s, int(fenced))

        def command(memory: str) -> Awaitable[Any]:
            return self._eval(scripts.SETTLE, name, memory, *arguments)

        if claim.token:
            # Nothing that Redis forgot since the claim is about this request: no need to wait for its memory.
            found: bytes | int | None = await self._link.patiently("settle", lambda: command(""))
            return found
        return await self._patiently("settle", command)

    async def _renew(self) -> None:
        """All leases in one command, three times a lease: a stutter of one or two loses none."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._link.back.wait(), self._lease_ms / 3e3)
            if self._link.back.is_set():
                self._link.back.clear()
                await self._link.once("remind", self._remind)
            if self._held:
                await self._link.once("renew", self._renew_all)

    async def _renew_all(self) -> None:
        held = dict(self._held)
        await self._link.client.eval(scripts.RENEW, len(held), *held, self._lease_ms, *held.values())

    async def _remind(self) -> None:
        """Tell a Redis that was away, and perhaps emptied, what we settled lately: it may be on no topic yet."""
        if await self._link.client.exists(self._keys.memory):
            return
        pipe = self._link.client.pipeline(transaction=False)
        for name, packed in self._settled_lately:
            pipe.eval(scripts.REMIND, 1, name, "outcome", packed, self._life_s)
        await pipe.execute()

    async def _eval(self, script: str, name: str, other: str, *arguments: str | int | bytes) -> Any:
        return await self._link.run(script, 2, name, other, *arguments)

    async def _patiently(self, operation: str, command: Callable[[str], Awaitable[T]]) -> T | None:
        """Run a command on a Redis that remembers; when that takes too long, on one that does not."""
        found = await self._link.patiently(operation, lambda: command(self._keys.memory), self._remembers)
        if found is not None or self._link.away:
            return found
        return await self._link.once(operation, lambda: command(""))

    def _remembers(self, found: object) -> bool:
        if found == scripts.FORGOTTEN:
            self._memory.begin()
        return found != scripts.FORGOTTEN

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


def _whole(held: Sequence[Event], ours: Sequence[Event]) -> Sequence[Event]:
    """What holds, with what ours has beside the response when it was read back from a topic as the response alone."""
    if len(held) > 1:
        return held
    beside = [e for e in ours if isinstance(e, ModerationEvent) or (isinstance(e, Review) and e.resolved)]
    return [*held, *beside]


def _response_events(outcome: bytes | None) -> list[Event]:
    """An outcome without an answer; nothing for a draft, which is for its own stage to publish."""
    return (unpack(outcome) if outcome else None) or []
