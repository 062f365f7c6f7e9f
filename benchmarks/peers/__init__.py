"""What Sluicegate is measured against: each a program of its own, written as its project's documentation has it.

Every program reads requests from Kafka, looks in Redis, calls the model, scores, and publishes the response, the
moderation event and the cost event (`full`); or reads a request and writes it back as a response (`hop`); or does
what `full` does in three agents with topics between (`hops`, naive Faust only). `gives_up` was read in each library's
source, in the versions of `benchmarks/requirements`; the comment above it says where.
"""

from dataclasses import dataclass
from typing import Literal

Form = Literal["plain", "concurrent", "proxy"]
PACKAGE = "benchmarks.peers"


@dataclass(frozen=True)
class Peer:
    """A program to measure."""

    name: str
    form: Form
    about: str
    gives_up: str
    """What a crash or the form costs its user; "" for nothing."""
    command: tuple[str, ...]
    """Arguments after the interpreter."""
    environment: str = ""
    """The virtual environment under `build/bench/envs/` it runs in; "" for ours."""
    workloads: frozenset[str] = frozenset({"full", "hop"})


# `Stream._c_aiter` (faust/streams.py) acks a record in a `finally`: also where the agent's body raised. And an event
# that could not be produced does not stop the commit of what it was made from: `Consumer._commit_offsets`
# (faust/transport/consumer.py) waits for `app.producer.flush()`, which tells of no error, and nobody looks at the
# future that `Topic.send` returned.
_FAUST = "a record whose agent raised is lost, and so is an event that the broker refused: Faust commits all the same"

# A record is acked when its actor asks for the next one, in whatever order actors end. `Consumer._new_offset`
# (faust/transport/consumer.py) holds back at a gap, but compares `min(acked) - committed > 1`, so that a run starting
# one past the committed offset counts as unbroken, and with nothing committed yet (`None` or 0) any run does.
_FAUST_CONCURRENT = (
    "a record in flight is lost in a crash where later ones ended before it: Faust may commit past it; "
    + _FAUST
)

# faststream/kafka/subscriber/factory.py, `create_subscriber`: `max_workers` with `ACK_FIRST` is a pool,
# `ConcurrentDefaultSubscriber`; with any other policy, a consumer for each partition, one record at a time each.
# `KafkaSubscriberConfig.__post_init__` (config.py beside it) turns `ACK_FIRST` into `enable_auto_commit`, and
# aiokafka commits the position up to which records were handed over (aiokafka/consumer/group_coordinator.py,
# `_maybe_do_autocommit`, `all_consumed_offsets`), not what was worked on.
_ACKS_FIRST_AIOKAFKA = (
    "acks before work: all that is in flight may be lost in a crash (the position is committed every 5 s)"
)

# faststream/confluent/subscriber/factory.py, `_validate_input_for_misconfigure`: "Max workers not work with manual
# commit mode". So `enable.auto.commit` is on (helpers/client.py, `AsyncConfluentConsumer`), and librdkafka stores an
# offset when `poll` hands the record over.
_ACKS_FIRST_CONFLUENT = _ACKS_FIRST_AIOKAFKA

# What keeps the promise, and where. Quix Streams: quixstreams/checkpointing/checkpoint.py, `Checkpoint.commit`,
# flushes the producer, raises where an event was not delivered, then commits the offsets of what was processed.
# FastStream with `NACK_ON_ERROR`: faststream/middlewares/acknowledgement/middleware.py acks after the handler and
# seeks back where it raised; on confluent-kafka each commit is asynchronous (confluent/helpers/client.py, `commit`),
# so that with short work thousands queue, and stopping takes as long as they do.

_WAITS = "a batch waits for its slowest call; nothing new is begun until then"

PEERS: tuple[Peer, ...] = (
    Peer(
        "faust",
        "plain",
        "naive Faust: one agent, one record at a time",
        _FAUST,
        ("-m", f"{PACKAGE}.faust_agent", "plain"),
    ),
    Peer(
        "faust",
        "concurrent",
        "naive Faust: the same agent with concurrency=",
        _FAUST_CONCURRENT,
        ("-m", f"{PACKAGE}.faust_agent", "concurrent"),
    ),
    Peer(
        "faust-hops",
        "plain",
        "naive Faust: three agents over requests, contexts, drafts, responses",
        _FAUST,
        ("-m", f"{PACKAGE}.faust_hops"),
        workloads=frozenset({"hops"}),
    ),
    Peer(
        "quixstreams",
        "plain",
        "Quix Streams: StreamingDataFrame, apply and to_topic; it has no asyncio and no pool",
        "",
        ("-m", f"{PACKAGE}.quix"),
        "peers",
    ),
    Peer(
        "faststream-aiokafka",
        "plain",
        "FastStream on aiokafka: a subscriber with AckPolicy.NACK_ON_ERROR",
        "",
        ("-m", f"{PACKAGE}.faststream_app", "aiokafka", "plain"),
        "peers",
    ),
    Peer(
        "faststream-aiokafka",
        "concurrent",
        "FastStream on aiokafka: its worker pool, max_workers=",
        _ACKS_FIRST_AIOKAFKA,
        ("-m", f"{PACKAGE}.faststream_app", "aiokafka", "concurrent"),
        "peers",
    ),
    Peer(
        "faststream-confluent",
        "plain",
        "FastStream on confluent-kafka: a subscriber with AckPolicy.NACK_ON_ERROR",
        "",
        ("-m", f"{PACKAGE}.faststream_app", "confluent", "plain"),
        "peers",
    ),
    Peer(
        "faststream-confluent",
        "concurrent",
        "FastStream on confluent-kafka: its worker pool, max_workers=",
        _ACKS_FIRST_CONFLUENT,
        ("-m", f"{PACKAGE}.faststream_app", "confluent", "concurrent"),
        "peers",
    ),
    Peer(
        "aiokafka",
        "plain",
        "a hand-written aiokafka loop: one record at a time, a commit every 100",
        "",
        ("-m", f"{PACKAGE}.aiokafka_loop", "plain"),
    ),
    Peer(
        "aiokafka",
        "concurrent",
        "a hand-written aiokafka loop: getmany, gather, commit",
        _WAITS,
        ("-m", f"{PACKAGE}.aiokafka_loop", "concurrent"),
    ),
    Peer(
        "confluent-kafka",
        "plain",
        "a hand-written confluent-kafka loop: one record at a time, a commit every 100",
        "",
        ("-m", f"{PACKAGE}.confluent_loop", "plain"),
    ),
    Peer(
        "confluent-kafka",
        "concurrent",
        "a hand-written confluent-kafka loop: consume, a pool of threads, commit",
        _WAITS,
        ("-m", f"{PACKAGE}.confluent_loop", "concurrent"),
    ),
    Peer(
        "litellm",
        "proxy",
        "LiteLLM's proxy over HTTP, one process, cache on, driven by an aiohttp client; no Kafka",
        "no Kafka, no scoring, no events: less work; what its caller does not keep is lost in a crash",
        ("-m", f"{PACKAGE}.litellm_client"),
        "litellm",
        frozenset({"full"}),
    ),
)
