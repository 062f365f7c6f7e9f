"""A loop over aiokafka, written by hand.

    python -m benchmarks.peers.aiokafka_loop plain|concurrent

`plain` takes one record at a time and commits now and then, as aiokafka's page on commits has it; `concurrent` works
on all that one `getmany` returned at once, waits for the slowest of it and for the broker, and commits.
"""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from benchmarks.peers import common
from benchmarks.peers.asking import Asking

_COMMIT_EVERY = 100
_HOP_BATCH = 2000
_SESSION_MS = 6_000
_WAIT_MS = 1_000

Handle = Callable[[bytes], Awaitable[None]]
HandleAll = Callable[[Sequence[bytes]], Awaitable[None]]


class Work:
    """What is done with records; each method returns when the broker has confirmed what came of them."""

    def __init__(self, settings: common.Settings, producer: Any) -> None:
        self._settings = settings
        self._producer = producer
        self._asking = Asking(settings)

    async def finish(self, value: bytes) -> None:
        """All of a request."""
        events = await self._asking.finished(value)
        topics = self._settings
        await asyncio.gather(
            self._producer.send_and_wait(topics.responses, events.response, events.key),
            self._producer.send_and_wait(topics.moderation, events.moderation, events.key),
            self._producer.send_and_wait(topics.costs, events.cost, events.key),
        )

    async def finish_all(self, values: Sequence[bytes]) -> None:
        """All of these requests at once."""
        await asyncio.gather(*(self.finish(value) for value in values))

    async def echo(self, value: bytes) -> None:
        """One hop of a request."""
        await (await self._echo(value))

    async def echo_all(self, values: Sequence[bytes]) -> None:
        """One hop of these requests, confirmed together."""
        await asyncio.gather(*[await self._echo(value) for value in values])

    async def _echo(self, value: bytes) -> Awaitable[object]:
        request = common.read(value)
        sent: Awaitable[object] = await self._producer.send(
            self._settings.responses, common.echoed(request), request["id"].encode()
        )
        return sent

    async def aclose(self) -> None:
        """Release connections."""
        await self._asking.aclose()


async def _one_by_one(consumer: Any, handle: Handle) -> None:
    while True:
        found = await consumer.getmany(timeout_ms=_WAIT_MS, max_records=_COMMIT_EVERY)
        for records in found.values():
            for record in records:
                await handle(record.value)
        if found:
            await consumer.commit()


async def _batches(consumer: Any, handle: HandleAll, size: int) -> None:
    while True:
        found = await consumer.getmany(timeout_ms=_WAIT_MS, max_records=size)
        if found:
            await handle([record.value for records in found.values() for record in records])
            await consumer.commit()


async def _run(settings: common.Settings, *, concurrent: bool) -> None:
    consumer = AIOKafkaConsumer(
        settings.requests,
        bootstrap_servers=settings.kafka,
        group_id=settings.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=_SESSION_MS,
        heartbeat_interval_ms=_SESSION_MS // 5,
        fetch_max_wait_ms=settings.fetch_wait_ms,
    )
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all")
    await producer.start()
    await consumer.start()
    work = Work(settings, producer)
    try:
        if not concurrent:
            await _one_by_one(consumer, work.echo if settings.hop else work.finish)
        elif settings.hop:
            await _batches(consumer, work.echo_all, _HOP_BATCH)
        else:
            await _batches(consumer, work.finish_all, settings.inflight)
    finally:
        await work.aclose()
        await consumer.stop()
        await producer.stop()


async def _until_stopped() -> None:
    running = asyncio.create_task(_run(common.settings(), concurrent=sys.argv[1] == "concurrent"))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        return


def main() -> None:
    """The command line."""
    asyncio.run(_until_stopped())


if __name__ == "__main__":
    main()
