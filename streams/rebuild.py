"""Gives a Redis that was emptied its memory back, before anybody claims what was paid for already."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator

import structlog
from aiokafka.errors import KafkaError
from redis.asyncio.lock import Lock
from redis.exceptions import LockError, RedisError

from schemas.common import Event
from schemas.draft import Draft
from schemas.response import GenerationResponse
from streams import scripts
from streams.journal import pack
from streams.keys import Keys
from streams.redis_link import LOOK_AGAIN_S, PAUSE_S, RedisLink

log = structlog.get_logger(__name__)

Recall = Callable[[], AsyncIterator[Event]]
_LOCK_S = 5.0
"""How long the others wait for a worker that died over it."""
_BATCH = 500


async def nothing() -> AsyncIterator[Event]:
    """What an installation without topics remembers."""
    none: tuple[Event, ...] = ()
    for event in none:
        yield event


class Rebuild:
    """Runs in the background when it is asked to, one at a time; of several workers one does the work."""

    def __init__(self, link: RedisLink, keys: Keys, recall: Recall, life_s: int, me: str) -> None:
        self._link, self._keys, self._recall = link, keys, recall
        self._life_s, self._me = life_s, me
        self._running: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """See that Redis remembers; returns at once."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())

    def cancel(self) -> None:
        """Leave it to another worker."""
        if self._running:
            self._running.cancel()

    async def _run(self) -> None:
        redis = self._link.client
        while True:
            try:
                if await redis.exists(self._keys.memory):
                    return
                name = f"{self._keys.memory}:rebuilding"
                lock = redis.lock(name, timeout=_LOCK_S, blocking=False)
                if await lock.acquire():
                    async with _released(lock):
                        # Every other worker has renewed the claims that it holds by then.
                        await asyncio.sleep(PAUSE_S + LOOK_AGAIN_S)
                        count = await self._remind(lock)
                        await redis.set(self._keys.memory, self._me)
                    log.info("redis.remembers", events=count)
            except (RedisError, KafkaError, OSError, TimeoutError) as error:
                log.warning("redis.forgot", error=repr(error))
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _remind(self, lock: Lock) -> int:
        """Write what the topics say into the journal, where it says nothing."""
        count, pipe = 0, self._link.client.pipeline(transaction=False)
        async for event in self._recall():
            for name, field, packed in self._reminders(event):
                pipe.eval(scripts.REMIND, 1, name, field, packed, self._life_s)
            count += 1
            if len(pipe) >= _BATCH:
                await pipe.execute()
                with contextlib.suppress(LockError):  # another one began, too: it writes the same
                    await lock.extend(_LOCK_S, replace_ttl=True)
        await pipe.execute()
        return count

    def _reminders(self, event: Event) -> Iterator[tuple[str, str, bytes]]:
        match event:
            case Draft():
                yield self._keys.of(event.context.request), "outcome", pack([event, event.cost])
            case GenerationResponse() if event.terminal:
                # Of a draft, the verdict; else the outcome, which stays unwritten where the draft is.
                name = self._keys.request(event.tenant, event.request_id, event.replay)
                packed = pack([event])
                yield from ((name, step, packed) for step in ("outcome", "verdict", "resolution"))


@contextlib.asynccontextmanager
async def _released(lock: Lock) -> AsyncIterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(RedisError, OSError, TimeoutError):  # it ends by itself then
            await lock.release()
