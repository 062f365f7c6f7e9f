"""FastStream, over aiokafka and over confluent-kafka.

    python -m benchmarks.peers.faststream_app aiokafka|confluent plain|concurrent

`plain` is a subscriber that acknowledges a record when its handler has ended well (`AckPolicy.NACK_ON_ERROR`), which
keeps the promise that all are to keep; FastStream's own default is `ACK_FIRST`. `concurrent` is its worker pool,
`max_workers`: with it there is `ACK_FIRST` only (or, on aiokafka, one worker for a partition, which is no more than
that).
"""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from faststream import AckPolicy, FastStream

from benchmarks.peers import common
from benchmarks.peers.asking import Asking

_SESSION_MS = 6_000


def _new_broker(settings: common.Settings, driver: str) -> Any:
    # Its logger tells of every record at INFO; that is said to nobody here.
    logger = logging.getLogger("faststream")
    logger.setLevel(logging.WARNING)
    if driver == "aiokafka":
        from faststream.kafka import KafkaBroker  # noqa: PLC0415  # one of two

        return KafkaBroker(settings.kafka, acks="all", logger=logger)
    from faststream.confluent import KafkaBroker as ConfluentBroker  # noqa: PLC0415

    return ConfluentBroker(settings.kafka, acks="all", logger=logger)


def _new_app(settings: common.Settings, driver: str, *, concurrent: bool) -> FastStream:
    broker = _new_broker(settings, driver)
    asking: list[Asking] = []
    form = {"max_workers": settings.inflight} if concurrent else {"ack_policy": AckPolicy.NACK_ON_ERROR}
    reading: dict[str, Any] = {"group_id": settings.group, "auto_offset_reset": "earliest", **form}
    reading |= {"session_timeout_ms": _SESSION_MS, "heartbeat_interval_ms": _SESSION_MS // 5}
    reading["fetch_max_wait_ms"] = settings.fetch_wait_ms

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        asking.append(Asking(settings))
        yield
        await asking[0].aclose()

    async def finish(request: common.Request) -> None:
        events = common.finished(request, await asking[0].answer(request))
        await broker.publish(events.response, topic=settings.responses, key=events.key)
        await broker.publish(events.moderation, topic=settings.moderation, key=events.key)
        await broker.publish(events.cost, topic=settings.costs, key=events.key)

    async def echo(request: common.Request) -> None:
        await broker.publish(common.echoed(request), topic=settings.responses, key=request["id"].encode())

    broker.subscriber(settings.requests, **reading)(echo if settings.hop else finish)
    return FastStream(broker, lifespan=lifespan, logger=logging.getLogger("faststream"))


def main() -> None:
    """The command line."""
    driver, form = sys.argv[1:]
    asyncio.run(_new_app(common.settings(), driver, concurrent=form == "concurrent").run())


if __name__ == "__main__":
    main()
