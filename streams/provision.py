"""Creates and describes topics through kafka-python's admin client."""

from collections.abc import Iterator
from contextlib import contextmanager

from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from agents.errors import ConfigurationError
from streams.settings import Settings
from streams.topics import TOPICS, Topic, physical


@contextmanager
def admin(settings: Settings, patience_s: float = 10.0) -> Iterator[KafkaAdminClient]:
    """A connected admin client; a broker may take so long to answer.

    Raises:
        ConfigurationError: no broker answers.
    """
    try:
        client = KafkaAdminClient(
            bootstrap_servers=settings.broker.split(","),
            bootstrap_timeout_ms=int(patience_s * 1e3),
            request_timeout_ms=15_000,
        )
    except KafkaError as error:
        raise ConfigurationError(
            f"no Kafka broker answers at {settings.broker} ({type(error).__name__}); "
            "start one with `sluicegate up`, or set SLUICEGATE_BROKER"
        ) from None
    try:
        yield client
    finally:
        client.close()


def create_topics(settings: Settings) -> dict[str, bool]:
    """Create what is missing; name to whether it was created now.

    Raises:
        ConfigurationError: the broker is away or refuses.
    """
    with admin(settings) as client:
        there = set(client.list_topics())
        created = {}
        for topic in TOPICS:
            name = physical(topic.name, settings.topic_prefix)
            created[name] = name not in there and _create(client, topic, name, settings)
        return created


def _create(client: KafkaAdminClient, topic: Topic, name: str, settings: Settings) -> bool:
    wanted = NewTopic(
        name,
        num_partitions=settings.partitions,
        replication_factor=settings.replication,
        topic_configs=topic.config(),
    )
    try:
        client.create_topics([wanted])
    except TopicAlreadyExistsError:
        return False  # another worker was faster
    except KafkaError as error:
        raise ConfigurationError(f"the broker refused to create {name}: {error}") from None
    return True


def missing_topics(settings: Settings) -> list[str]:
    """Topics of the table that the broker does not have.

    Raises:
        ConfigurationError: the broker is away.
    """
    with admin(settings, patience_s=30.0) as client:  # a worker's start outlasts a broker's
        there = set(client.list_topics())
    names = [physical(topic.name, settings.topic_prefix) for topic in TOPICS]
    return [name for name in names if name not in there]
