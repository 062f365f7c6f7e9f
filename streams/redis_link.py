"""One way to Redis: every command bounded in time, outages noticed, counted, and waited for only where it pays."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, TypeVar

import hiredis
import redis.asyncio as redis
import structlog
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from streams.metrics import Metrics
from streams.settings import Settings

log = structlog.get_logger(__name__)

T = TypeVar("T")
PAUSE_S = 1.0
"""Redis is left alone for so long after an error, so that an outage costs a request nothing."""
LOOK_AGAIN_S = 0.2
_FLIGHTS = 8
"""Round trips at once; what comes while all are under way shares the next one."""
_CONNECTIONS = 32

Command = tuple[str | bytes | int, ...]
_Asked = tuple[tuple[Command, ...], "asyncio.Future[list[Any]]"]


class RedisLink:
    """Runs commands; None is the answer of a Redis that is away.

    Only what keeps an answer from being paid for twice is worth waiting for: `patiently` tries again until the outage
    has lasted for `redis_patience_s`, because a worker that was short of time sees outages that are none.
    """

    def __init__(
        self,
        client: "redis.Redis",
        settings: Settings,
        metrics: Metrics,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = client
        self.back = asyncio.Event()
        """Set when Redis answers again after it was away."""
        self._timeout_s = settings.redis_timeout_s
        self._metrics, self._monotonic = metrics, monotonic
        self._patience_s = settings.redis_patience_s
        self._since: float | None = None
        self._pause_until = 0.0
        self._waiting: list[_Asked] = []
        self._flights: set[asyncio.Task[None]] = set()

    @property
    def away(self) -> bool:
        """Whether the last command failed."""
        return self._since is not None

    async def once(self, operation: str, command: Callable[[], Awaitable[T]]) -> T | None:
        """Run a command; None when Redis is away."""
        if self._monotonic() < self._pause_until:
            self._metrics.redis_errors_total.labels(operation=operation).inc()
            return None
        try:
            found = await command()
        except (RedisError, OSError, TimeoutError) as error:
            self._lost(operation, error)
            return None
        if self._since is not None:
            self._since, self._pause_until = None, 0.0
            self.back.set()
        return found

    async def patiently(
        self, operation: str, command: Callable[[], Awaitable[T]], ready: Callable[[T], bool] = lambda _: True
    ) -> T | None:
        """Run a command again until Redis answers, and is `ready`; None when that takes too long."""
        waiting_since: float | None = None
        while True:
            found = await self.once(operation, command)
            if found is not None and ready(found):
                return found
            if waiting_since is None:
                waiting_since = self._since or self._monotonic()
            if self._monotonic() - waiting_since > self._patience_s:
                return None
            await asyncio.sleep(LOOK_AGAIN_S)

    async def send(self, *commands: Command) -> list[Any]:
        """Run commands in order; what others ask for at the same time goes in the same round trip.

        Raises:
            RedisError, OSError, TimeoutError: Redis is away, or refused one of them; others may have been run.
        """
        found: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        if not self._waiting:
            found.get_loop().call_soon(self._take_off)
        self._waiting.append((commands, found))
        return await found

    async def run(self, script: str, *arguments: str | bytes | int) -> Any:
        """Run a script by its hash, and by its text where Redis does not know it, as after a restart.

        `arguments` begin with the number of keys.

        Raises:
            RedisError, OSError, TimeoutError: as `send`.
        """
        try:
            (found,) = await self.send(("EVALSHA", _hash(script), *arguments))
        except NoScriptError:
            (found,) = await self.send(("EVAL", script, *arguments))
        return found

    def _take_off(self) -> None:
        if not self._waiting or len(self._flights) >= _FLIGHTS:
            return
        asked, self._waiting = self._waiting, []
        flight = asyncio.create_task(self._fly(asked))
        self._flights.add(flight)
        flight.add_done_callback(self._landed)

    def _landed(self, flight: "asyncio.Task[None]") -> None:
        self._flights.discard(flight)
        self._take_off()

    async def _fly(self, asked: list[_Asked]) -> None:
        """One round trip. The client's own pipeline costs twice the processor time."""
        pool = self.client.connection_pool
        packed = [_packed(command) for commands, _ in asked for command in commands]
        try:
            async with asyncio.timeout(self._timeout_s):
                connection = await pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py's
                limit_s, connection.socket_timeout = connection.socket_timeout, None  # the limit is ours
                try:
                    await connection.send_packed_command(b"".join(packed), check_health=False)
                    replies = [await _reply(connection) for _ in packed]
                finally:
                    connection.socket_timeout = limit_s
                    await pool.release(connection)
        except BaseException as error:
            for _, found in asked:
                if not found.done():
                    found.set_exception(error) if isinstance(error, Exception) else found.cancel()
            if not isinstance(error, Exception):
                raise
            return
        at = 0
        for commands, found in asked:
            _tell(found, replies[at : at + len(commands)])
            at += len(commands)

    async def aclose(self) -> None:
        """Close the connections."""
        await self.client.aclose()

    def _lost(self, operation: str, error: Exception) -> None:
        self._metrics.redis_errors_total.labels(operation=operation).inc()
        if self._since is None:
            log.warning("redis.away", operation=operation, error=repr(error))
        self._since = self._since or self._monotonic()
        self._pause_until = self._monotonic() + PAUSE_S


def _tell(found: "asyncio.Future[list[Any]]", replies: list[Any]) -> None:
    if found.done():  # who asked has gone
        return
    refused = next((reply for reply in replies if isinstance(reply, Exception)), None)
    if refused is not None:
        found.set_exception(refused)
    else:
        found.set_result(replies)


def _packed(command: Command) -> bytes:
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]  # its stub knows tuples of one
    return packed


@cache
def _hash(script: str) -> str:
    """As Redis names a script."""
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()


async def _reply(connection: AbstractConnection) -> Any:
    """The next reply; an error that Redis replied is one too."""
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


def new_redis(settings: Settings) -> "redis.Redis":
    """A client whose every command is bounded in time and never retried behind our back."""
    pool = redis.ConnectionPool.from_url(
        settings.redis_url,
        max_connections=_CONNECTIONS,
        socket_timeout=settings.redis_timeout_s,
        socket_connect_timeout=settings.redis_timeout_s,
        retry=Retry(NoBackoff(), 0),
    )
    return redis.Redis.from_pool(pool)  # closes the pool with itself
