"""Real servers as child processes, for `sluicegate demo` and `up`, and for the tests."""

from streams.embedded.apache import ApacheKafka
from streams.embedded.broker import EmbeddedBroker
from streams.embedded.models import EmbeddedModelServer
from streams.embedded.process import ServerFailed, ServerProcess
from streams.embedded.redis import EmbeddedRedis

__all__ = [
    "ApacheKafka",
    "EmbeddedBroker",
    "EmbeddedModelServer",
    "EmbeddedRedis",
    "ServerFailed",
    "ServerProcess",
]
