"""A worker as a child process, and an independent look at the topics through confluent-kafka."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from streams import provision
from streams.settings import load_settings

ROOT = Path(__file__).parents[2]
PARTITIONS = 4


@dataclass
class Installation:
    """Topics, groups and data of one test, on a shared broker and Redis."""

    bootstrap: str
    redis_url: str
    data_dir: Path
    extra: dict[str, str] = field(default_factory=dict)
    prefix: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:8]}.")

    def env(self) -> dict[str, str]:
        """The variables of every `sluicegate` command of this installation."""
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith(("SLUICEGATE_", "OPENAI_"))},
            "SLUICEGATE_BROKER": self.bootstrap,
            "SLUICEGATE_REDIS_URL": self.redis_url,
            "SLUICEGATE_DATA_DIR": str(self.data_dir),
            "SLUICEGATE_TOPIC_PREFIX": self.prefix,
            "SLUICEGATE_GROUP_PREFIX": f"{self.prefix}sluicegate",
            "SLUICEGATE_SESSION_TIMEOUT_S": "6",
            "SLUICEGATE_PARTITIONS": str(PARTITIONS),
            "SLUICEGATE_IDEMPOTENCE": "false",
            "SLUICEGATE_WEB_PORT": "0",
            "SLUICEGATE_LOG_FORMAT": "json",
            **self.extra,
        }

    def topic(self, name: str) -> str:
        return f"{self.prefix}{name}"

    def create_topics(self) -> None:
        """What `sluicegate topics create` does, without starting it: for tests that only need topics."""
        provision.create_topics(
            load_settings(broker=self.bootstrap, topic_prefix=self.prefix, partitions=PARTITIONS)
        )

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """One `sluicegate` command, waited for."""
        return subprocess.run(
            [str(Path(sys.executable).with_name("sluicegate")), *arguments],
            env=self.env(),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=check,
            timeout=120,
        )


@dataclass
class WorkerProcess:
    """A running worker and where its log is."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def web(self) -> str:
        """`http://127.0.0.1:PORT`, read from the log's first lines."""
        for line in self.log.read_text().splitlines():
            if '"worker.web"' in line:
                return str(json.loads(line)["url"]).removesuffix("/metrics")
        return ""

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self.web + path, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def worker(at: Installation, *arguments: str) -> Iterator[WorkerProcess]:
    """A worker that has joined its groups; stopped cleanly, or the test fails with its log."""
    log = at.data_dir / f"worker-{uuid.uuid4().hex[:6]}.log"
    command = [str(Path(sys.executable).with_name("sluicegate")), "worker", *arguments]
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=at.env(), cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
    running = WorkerProcess(process, log)
    try:
        wait_until(lambda: ready(running), 60, f"worker not ready; log:\n{log}")
        yield running
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                running.kill()
                raise AssertionError(f"the worker did not stop:\n{log.read_text()[-4000:]}") from None


def ready(running: WorkerProcess) -> bool:
    if running.process.poll() is not None:
        raise AssertionError(
            f"the worker ended with {running.process.returncode}:\n{running.log.read_text()}"
        )
    return bool(running.web) and running.get("/readyz")[0] == 200


def wait_until(condition: Callable[[], bool], timeout_s: float, message: str) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout_s} s: {message}")
        time.sleep(0.1)


def producer(at: Installation) -> Producer:
    return Producer({"bootstrap.servers": at.bootstrap, "message.max.bytes": 16_000_000})


@dataclass
class Seen:
    """One record as the verifier read it."""

    key: bytes | None
    value: bytes | None
    headers: dict[str, str]
    offset: int
    partition: int

    @property
    def json(self) -> Any:
        return json.loads(self.value or b"null")


@contextmanager
def _reading(at: Installation, name: str) -> Iterator[Consumer]:
    """A consumer of a whole topic, in no group that commits."""
    consumer = Consumer(
        {"bootstrap.servers": at.bootstrap, "group.id": uuid.uuid4().hex, "enable.auto.commit": False}
    )
    topic = at.topic(name)
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        yield consumer
    finally:
        consumer.close()


def read(
    at: Installation, name: str, until: Callable[[list[Seen]], bool], timeout_s: float = 60
) -> list[Seen]:
    """Records of a topic from its beginning, until there are enough of them."""
    seen: list[Seen] = []
    end = time.monotonic() + timeout_s
    with _reading(at, name) as consumer:
        while not until(seen):
            if time.monotonic() > end:
                raise AssertionError(f"{name}: only {len(seen)} records after {timeout_s} s")
            for message in consumer.consume(500, 0.5):
                if message.error():
                    raise AssertionError(str(message.error()))
                headers = {k: (v or b"").decode("utf-8", "replace") for k, v in message.headers() or []}
                seen.append(
                    Seen(message.key(), message.value(), headers, message.offset(), message.partition())
                )
    return seen


def count(at: Installation, name: str) -> int:
    """How many records a topic holds now, by reading it until it is silent for a second.

    Not by its end offsets: the embedded broker names the start of the last batch as the end.
    """
    found = 0
    with _reading(at, name) as consumer:
        while consumer.poll(1.0) is not None:
            found += 1
    return found
