"""Every peer does the work it is measured by: a request gets one response and its events, as `schemas` reads them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks import requests
from benchmarks.peers import PEERS, Peer
from schemas.codec import decode
from schemas.cost import CostEvent
from schemas.moderation import ModerationEvent
from schemas.response import GenerationResponse
from streams.embedded import EmbeddedBroker, EmbeddedRedis, ServerProcess

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / "build" / "bench" / "envs"
REQUESTS = 40
PARTITIONS = 2
TIMEOUT_S = 60
TOPICS = ("IN", "OUT", "MODERATION", "COSTS", "HOP1", "HOP2")


@dataclass
class Case:
    """A peer, what it is to do, and the topics it does it on."""

    peer: Peer
    workload: str
    prefix: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    @property
    def name(self) -> str:
        return f"{self.peer.name}-{self.peer.form}-{self.workload}"

    def topic(self, which: str) -> str:
        return f"{self.prefix}.{which.lower()}"

    @property
    def interpreter(self) -> Path:
        if not self.peer.environment:
            return Path(sys.executable)
        return ENVIRONMENTS / self.peer.environment / "bin" / "python"


CASES = [Case(peer, workload) for peer in PEERS for workload in sorted(peer.workloads)]
ON_KAFKA = [case for case in CASES if case.peer.form != "proxy"]


class Stub(ServerProcess):
    name = "stub"

    def command(self):
        return [sys.executable, "-m", "benchmarks.stub", "--port", str(self.port), "--latency", "0.02"]

    def folder(self) -> Path:
        return ROOT


@dataclass(frozen=True)
class Servers:
    kafka: str
    redis: str
    model: str
    logs: Path

    def environment(self, case: Case) -> dict[str, str]:
        return {
            **os.environ,
            **{f"BENCH_{which}": case.topic(which) for which in TOPICS},
            "BENCH_KAFKA": self.kafka,
            "BENCH_REDIS": self.redis,
            "BENCH_MODEL": self.model,
            "BENCH_GROUP": f"{case.prefix}.group",
            "BENCH_WORKLOAD": case.workload,
            "BENCH_INFLIGHT": "16",
        }

    def log(self, case: Case) -> Path:
        return self.logs / f"{case.name}.log"

    def out(self, case: Case) -> Path:
        return self.logs / f"{case.name}.out"


@pytest.fixture(scope="module")
def servers(tmp_path_factory) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("servers")
    with (
        EmbeddedBroker(folder / "broker") as broker,
        EmbeddedRedis(folder / "redis") as redis,
        Stub(folder / "stub") as stub,
    ):
        yield Servers(broker.bootstrap, redis.url, f"http://127.0.0.1:{stub.port}/v1", folder)


def publish(servers: Servers, case: Case, seed: int) -> None:
    admin = AdminClient({"bootstrap.servers": servers.kafka})
    made = admin.create_topics([NewTopic(case.topic(which), PARTITIONS, 1) for which in TOPICS])
    for future in made.values():
        future.result(20)
    producer = Producer({"bootstrap.servers": servers.kafka, "enable.idempotence": False})
    for value in requests.make(REQUESTS, seed=seed):
        producer.produce(case.topic("IN"), value, requests.key_of(value))
    assert producer.flush(20) == 0


def start(servers: Servers, case: Case) -> "subprocess.Popen[bytes]":
    with servers.log(case).open("wb") as log, servers.out(case).open("wb") as out:
        return subprocess.Popen(
            [case.interpreter, *case.peer.command],
            env=servers.environment(case),
            cwd=ROOT,
            stdout=out,
            stderr=log,
        )


def stop(process: "subprocess.Popen[bytes]") -> int:
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def read(servers: Servers, topics: Sequence[str], number: int, timeout_s: float) -> dict[str, list[bytes]]:
    """That many values of each topic, and what else is there by then."""
    # Assigned, not subscribed: the embedded broker holds a first join for seconds.
    consumer = Consumer({"bootstrap.servers": servers.kafka, "group.id": "look", "enable.auto.commit": False})
    consumer.assign(
        [TopicPartition(topic, p, OFFSET_BEGINNING) for topic in topics for p in range(PARTITIONS)]
    )
    found: dict[str, list[bytes]] = {topic: [] for topic in topics}
    due = time.monotonic() + timeout_s
    while time.monotonic() < due and min(map(len, found.values())) < number:
        for message in consumer.consume(1000, 0.1):
            found[message.topic()].append(message.value())
    for message in consumer.consume(1000, 0.2):
        found[message.topic()].append(message.value())
    consumer.close()
    return found


@pytest.fixture(scope="module")
def running(servers: Servers) -> Iterator[dict[str, "subprocess.Popen[bytes]"]]:
    """All peers that can run here, side by side: each has its own topics, and most of their time is start-up."""
    processes = {}
    try:
        for seed, case in enumerate(ON_KAFKA):
            if case.interpreter.exists():
                publish(servers, case, seed)
                processes[case.name] = start(servers, case)
        yield processes
    finally:
        for process in processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in processes.values():
            stop(process)


@pytest.mark.parametrize("case", ON_KAFKA, ids=lambda case: case.name)
def test_a_peer_answers_every_request_once_as_our_schemas_have_it(case: Case, servers, running):
    if not case.interpreter.exists():
        pytest.skip(f"no environment {case.interpreter.parents[1]}")
    kinds = {"OUT": GenerationResponse}
    if case.workload != "hop":
        kinds |= {"MODERATION": ModerationEvent, "COSTS": CostEvent}
    values = read(servers, [case.topic(which) for which in kinds], REQUESTS, TIMEOUT_S)
    told = servers.log(case).read_text(errors="replace")[-2000:]
    assert running[case.name].poll() is None, told
    for which, kind in kinds.items():
        events = [decode(kind, value) for value in values[case.topic(which)]]
        assert sorted(event.request_id for event in events) == sorted(f"r{n}" for n in range(REQUESTS)), told
    responses = [decode(GenerationResponse, value) for value in values[case.topic("OUT")]]
    assert all(response.status == "completed" and response.text() for response in responses)
    if case.workload != "hop":
        assert {response.usage.output_tokens for response in responses} == {32}


def test_peers_end_when_they_are_told_to_and_say_nothing_on_stdout(servers, running):
    if not running:
        pytest.skip("none runs here")
    for process in running.values():
        process.send_signal(signal.SIGTERM)
    told = {name: process.wait(30) for name, process in running.items()}
    assert told == dict.fromkeys(running, 0)
    assert [case.name for case in ON_KAFKA if case.name in running and servers.out(case).read_bytes()] == []


def test_the_proxy_answers_what_its_client_asks(servers):
    (case,) = (case for case in CASES if case.peer.form == "proxy")
    if not case.interpreter.exists():
        pytest.skip(f"no environment {case.interpreter.parents[1]}")
    process = start(servers, case)
    due = time.monotonic() + TIMEOUT_S
    while process.poll() is None and time.monotonic() < due:
        time.sleep(0.2)
        lines = servers.out(case).read_text().splitlines()
        if len(lines) > 1:
            break
    stop(process)
    assert len(lines) > 1, servers.log(case).read_text(errors="replace")[-2000:]
    lines = [json.loads(line) for line in lines]
    assert lines[-1]["done"] > lines[0]["done"] > 0
    assert lines[-1]["failed"] == 0


def test_every_peer_is_named_once_in_each_form():
    names = [(peer.name, peer.form) for peer in PEERS]
    assert len(set(names)) == len(names)


def test_a_concurrent_form_says_what_it_gives_up():
    assert all(peer.gives_up for peer in PEERS if peer.form != "plain")
