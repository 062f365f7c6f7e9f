"""Quix Streams: a `StreamingDataFrame`, its `apply` and its `to_topic`, as its tutorials have it.

    python -m benchmarks.peers.quix

It works on one record after another and knows no asyncio; more at once means more processes. Its checkpoint flushes
the producer and commits, every 5 s unless told otherwise.
"""

import tempfile

from quixstreams import Application
from quixstreams.models import Topic

from benchmarks.peers import common
from benchmarks.peers.asking_threads import Asking

_SESSION_MS = 6_000


def _new_app(settings: common.Settings, state_dir: str) -> Application:
    app = Application(
        broker_address=settings.kafka,
        consumer_group=settings.group,
        auto_offset_reset="earliest",
        auto_create_topics=False,
        consumer_extra_config={
            "session.timeout.ms": _SESSION_MS,
            "fetch.wait.max.ms": settings.fetch_wait_ms,
        },
        producer_extra_config={"acks": "all"},
        state_dir=state_dir,
        loglevel="WARNING",
    )

    def topic(name: str) -> Topic:
        return app.topic(name, value_serializer="bytes", value_deserializer="bytes")

    frame = app.dataframe(topic(settings.requests))
    if settings.hop:
        frame.apply(lambda value: common.echoed(common.read(value))).to_topic(topic(settings.responses))
        return app
    asking = Asking(settings)
    finished = frame.apply(asking.finished)
    finished.apply(lambda events: events.response).to_topic(topic(settings.responses))
    finished.apply(lambda events: events.moderation).to_topic(topic(settings.moderation))
    finished.apply(lambda events: events.cost).to_topic(topic(settings.costs))
    return app


def main() -> None:
    """The command line."""
    with tempfile.TemporaryDirectory() as state_dir:
        _new_app(common.settings(), state_dir).run()


if __name__ == "__main__":
    main()
