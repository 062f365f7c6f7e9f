"""What a run needs around the program it measures: broker, Redis, the stub, topics, virtual environments."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic
from redis import Redis

from benchmarks.peers import Peer
from benchmarks.processes import tree
from schemas import channels
from streams.embedded import ApacheKafka, EmbeddedBroker, EmbeddedRedis
from streams.embedded.process import ServerProcess
from streams.topics import TOPICS

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "bench"
LIBS = ROOT / "build" / "apache-kafka" / "libs"
_TOPICS_S = 30
_FETCH_WAIT_MS = 500


class ProgramFailed(Exception):
    """A measured program ended or answered nothing: told in the report, the run goes on."""


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one run of one program, under a prefix that no other has."""

    prefix: str

    def of(self, channel: str) -> str:
        """The broker's name of it."""
        return f"{self.prefix}{channel}"

    @property
    def requests(self) -> str:
        """Where requests go."""
        return self.of(channels.REQUESTS)

    @property
    def responses(self) -> str:
        """Where answers come."""
        return self.of(channels.RESPONSES)

    def environment(self) -> dict[str, str]:
        """As programs are told."""
        return {
            "BENCH_IN": self.requests,
            "BENCH_OUT": self.responses,
            "BENCH_MODERATION": self.of(channels.MODERATION),
            "BENCH_COSTS": self.of(channels.COSTS),
            "BENCH_HOP1": self.of(channels.CONTEXTS),
            "BENCH_HOP2": self.of(channels.DRAFTS),
            "BENCH_GROUP": f"{self.prefix}group",
        }


class StubServer(ServerProcess):
    """The model, in a process of its own."""

    name = "stub"

    def command(self) -> Sequence[str]:
        """As the module says."""
        return [sys.executable, "-m", "benchmarks.stub", "--port", str(self.port)]

    def folder(self) -> Path:
        """Where `benchmarks` is found."""
        return ROOT

    def behave(self, **behaviour: object) -> None:
        """What calls get from now on; counts begin anew."""
        body = json.dumps({"forget": True, **behaviour}).encode()
        with urllib.request.urlopen(self._url("behave"), body, timeout=10) as answer:  # noqa: S310  # ours
            answer.read()

    def calls(self) -> dict[str, int]:
        """`calls` and `most_at_once`."""
        with urllib.request.urlopen(self._url("calls"), timeout=10) as answer:  # noqa: S310  # ours
            found: dict[str, int] = json.load(answer)
        return found

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"


class Program(ServerProcess):
    """A measured program; its standard output and error are its log."""

    stop_timeout_s = 6.0

    def __init__(self, directory: Path, name: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        super().__init__(directory)
        self.name = name
        self._command, self._env = command, env

    def command(self) -> Sequence[str]:
        """The interpreter and its arguments."""
        return self._command

    def environment(self) -> Mapping[str, str]:
        """`BENCH_*`, and where our modules are: peers run in environments of their own."""
        return {**self._env, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}

    def folder(self) -> Path:
        """Here, so that `benchmarks` is found."""
        return ROOT

    def ready(self) -> bool:
        """At once: readiness is the first answer."""
        return True

    def check(self) -> None:
        """Raise ProgramFailed when it is not running any more."""
        if self.pid is None:
            raise ProgramFailed(f"{self.name} ended by itself\n{self.tail(8)}")

    def stop(self) -> None:
        """SIGTERM, then SIGKILL, and the same for what it left behind."""
        family = tree(self.pid) if self.pid is not None else []
        super().stop()
        for pid in family[1:]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@dataclass
class Rig:
    """Broker, Redis and stub of a whole run; blocks while they start and stop."""

    folder: Path
    broker_kind: str
    broker: ApacheKafka | EmbeddedBroker = field(init=False)
    redis: EmbeddedRedis = field(init=False)
    stub: StubServer = field(init=False)
    _number: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.redis = EmbeddedRedis(self.folder / "redis")
        self.stub = StubServer(self.folder / "stub")
        self.broker = self._new_broker()

    def _new_broker(self) -> ApacheKafka | EmbeddedBroker:
        if self.apache:
            return ApacheKafka(self.folder / "broker", LIBS)
        return EmbeddedBroker(self.folder / "broker")

    @property
    def apache(self) -> bool:
        """Whether it is Apache Kafka."""
        return self.broker_kind == "apache"

    def start(self) -> None:
        """Start all three."""
        LIBS.parent.mkdir(parents=True, exist_ok=True)
        for server in (self.broker, self.redis, self.stub):
            server.start()

    def stop(self) -> None:
        """Stop what runs."""
        for server in (self.stub, self.redis, self.broker):
            server.stop()

    @contextmanager
    def topics(self, partitions: int) -> Iterator[Topics]:
        """Fresh topics, an empty Redis, and on the embedded broker, which keeps all in memory, a fresh broker."""
        if not self.apache:
            self.broker.stop()
            self.broker.start()
        with Redis.from_url(self.redis.url) as redis:
            redis.flushall()
        self._number += 1
        topics = Topics(f"b{os.getpid()}-{self._number}.")
        admin = AdminClient({"bootstrap.servers": self.broker.bootstrap, "log_level": 0})
        self._create(admin, topics, partitions)
        try:
            yield topics
        finally:
            if self.apache:
                _wait(admin.delete_topics([topics.of(topic.name) for topic in TOPICS]))

    def _create(self, admin: AdminClient, topics: Topics, partitions: int) -> None:
        # Stamped by the broker's clock alone, whatever a program's producer would write.
        stamped = {"message.timestamp.type": "LogAppendTime"} if self.apache else {}
        wanted = [
            NewTopic(topics.of(topic.name), partitions, 1, config={**topic.config(), **stamped})
            for topic in TOPICS
        ]
        for made in admin.create_topics(wanted, operation_timeout=_TOPICS_S).values():
            made.result(_TOPICS_S)

    def environment(self, topics: Topics, workload: str, inflight: int) -> dict[str, str]:
        """What a program is told."""
        return {
            "BENCH_KAFKA": self.broker.bootstrap,
            "BENCH_BROKER": self.broker_kind,
            "BENCH_REDIS": self.redis.url,
            "BENCH_MODEL": f"http://127.0.0.1:{self.stub.port}/v1",
            "BENCH_WORKLOAD": workload,
            "BENCH_INFLIGHT": str(inflight),
            "BENCH_FETCH_WAIT_MS": str(_FETCH_WAIT_MS if self.apache else EmbeddedBroker.fetch_wait_ms),
            **topics.environment(),
        }


def _wait(asked: Mapping[str, object]) -> None:
    for one in asked.values():
        with suppress(KafkaException):
            one.result(_TOPICS_S)  # type: ignore[attr-defined]  # a Future


def interpreter(peer: Peer) -> str:
    """The Python that runs a peer; its environment is made on first use.

    Raises:
        ProgramFailed: it could not be made.
    """
    if not peer.environment:
        return sys.executable
    folder = BUILD / "envs" / peer.environment
    python = folder / "bin" / "python"
    done = folder / "complete"
    if not done.exists():
        _make_environment(folder, ROOT / "benchmarks" / "requirements" / f"{peer.environment}.txt")
        done.touch()
    return str(python)


def _make_environment(folder: Path, requirements: Path) -> None:
    found = Path(sys.executable).with_name("uv")
    uv = str(found) if found.exists() else shutil.which("uv")
    if uv is None:
        raise ProgramFailed("uv is missing: make setup-dev")
    print(f"making {folder} from {requirements.name} (once; minutes)", flush=True)  # noqa: T201  # progress
    began = time.monotonic()
    python = str(folder / "bin" / "python")
    _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
    install = [uv, "pip", "install", "--compile-bytecode", "--require-hashes"]
    _run([*install, "--python", python, "-r", str(requirements)])
    print(f"made in {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201


def _run(command: list[str]) -> None:
    # Its progress goes to our own terminal.
    done = subprocess.run(command, check=False)  # noqa: S603  # the command is ours
    if done.returncode:
        raise ProgramFailed(f"{command[0]} {command[1]} failed with {done.returncode}")
