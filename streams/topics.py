"""One table of topics: partitions, retention, clean-up. Created by `sluicegate topics create`, never by accident."""

from dataclasses import dataclass
from typing import Literal

from schemas import channels

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MAX_RECORD_BYTES = 16 * 1024 * 1024
"""What every topic takes, so that a record too large for us still reaches the dead letters untouched."""


@dataclass(frozen=True, slots=True)
class Topic:
    """How one topic is created. `purpose` is shown by `sluicegate topics list`."""

    name: str
    purpose: str
    key: str
    retention_ms: int
    cleanup: Literal["delete", "compact"] = "delete"

    def config(self) -> dict[str, str]:
        """Topic settings as Kafka names them."""
        return {
            "cleanup.policy": self.cleanup,
            "retention.ms": str(self.retention_ms),
            "max.message.bytes": str(MAX_RECORD_BYTES + 64 * 1024),
        }


def _of_channel(name: str, key: str, days: int, cleanup: Literal["delete", "compact"] = "delete") -> Topic:
    return Topic(name, channels.BY_TOPIC[name].description, key, days * DAY_MS, cleanup)


TOPICS: tuple[Topic, ...] = (
    _of_channel(channels.REQUESTS, "conversation id, else request id", 7),
    _of_channel(channels.CONTEXTS, "conversation id, else request id", 7),
    _of_channel(channels.RETRIES, "conversation id, else request id", 7),
    _of_channel(channels.DRAFTS, "conversation id, else request id", 7),
    _of_channel(channels.RESPONSES, "conversation id, else request id", 7),
    _of_channel(channels.REVIEWS, "tenant:request id", 30, "compact"),
    _of_channel(channels.REVIEW_DECISIONS, "request id", 30),
    _of_channel(channels.MODERATION, "request id", 90),
    _of_channel(channels.COSTS, "request id", 90),
    Topic(
        channels.DEAD_LETTERS, "Records that could not be read, bytes untouched.", "as it came", 30 * DAY_MS
    ),
)


def physical(name: str, prefix: str) -> str:
    """The broker's name of a topic: a prefix lets several installations share one broker."""
    return f"{prefix}{name}"


def logical(name: str, prefix: str) -> str:
    """The name our tables use for a broker's topic."""
    return name.removeprefix(prefix)
