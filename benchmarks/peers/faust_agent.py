"""Naive Faust: one agent in one file, as its user guide has it.

    python -m benchmarks.peers.faust_agent plain|concurrent

`concurrent` is the same agent with `concurrency=`.
"""

import contextlib
import sys
import tempfile
from typing import Any

import faust

from benchmarks.peers import common
from benchmarks.peers.asking import Asking

_SESSION_S = 6


def new_app(settings: common.Settings, datadir: str) -> Any:
    """An app of that group, without the web server and the leader's topic that it does not need."""
    return faust.App(
        settings.group,
        broker=f"kafka://{settings.kafka}",
        store="memory://",
        datadir=datadir,
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
        producer_acks=-1,
        broker_session_timeout=_SESSION_S,
        broker_heartbeat_interval=_SESSION_S / 5,
    )


def raw_topic(app: Any, name: str) -> Any:
    """A topic whose values are bytes: they are decoded and encoded as in every other peer."""
    return app.topic(name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")


def connected(app: Any, settings: common.Settings) -> list[Asking]:
    """What agents ask, first in the list as soon as the app has started: it needs the app's loop."""
    asking: list[Asking] = []

    @app.task  # type: ignore[untyped-decorator]  # faust is untyped
    async def connect() -> None:
        asking.append(Asking(settings))

    @app.on_before_shutdown.connect  # type: ignore[untyped-decorator]
    async def close(*_: object, **__: object) -> None:
        await asking[0].aclose()

    return asking


def main_of(app: Any) -> None:
    """A worker of the app, until it is stopped."""
    sys.argv = ["bench", "--quiet", "worker", "-l", "warn", "--without-web"]
    with contextlib.redirect_stdout(sys.stderr):  # its spinner turns even when told to be quiet
        app.main()


def _new_app(settings: common.Settings, datadir: str, concurrency: int) -> Any:
    app = new_app(settings, datadir)
    requests = raw_topic(app, settings.requests)
    responses, moderation, costs = (
        raw_topic(app, name) for name in (settings.responses, settings.moderation, settings.costs)
    )
    asking = connected(app, settings)

    async def finish(stream: Any) -> None:
        async for value in stream:
            events = await asking[0].finished(value)
            await responses.send(key=events.key, value=events.response)
            await moderation.send(key=events.key, value=events.moderation)
            await costs.send(key=events.key, value=events.cost)

    async def echo(stream: Any) -> None:
        async for value in stream:
            request = common.read(value)
            await responses.send(key=request["id"].encode(), value=common.echoed(request))

    app.agent(requests, concurrency=concurrency)(echo if settings.hop else finish)
    return app


def main() -> None:
    """The command line."""
    settings = common.settings()
    with tempfile.TemporaryDirectory() as datadir:
        main_of(_new_app(settings, datadir, settings.inflight if sys.argv[1] == "concurrent" else 1))


if __name__ == "__main__":
    main()
