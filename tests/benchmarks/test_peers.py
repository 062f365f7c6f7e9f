"""Every peer does the work it is measured by: a request gets one response and its events, as `schemas` reads them."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks import requests
from benchmarks.peers import PEERS, Peer, asking_threads, common
from benchmarks.peers.asking import Asking
from schemas.codec import decode
from schemas.common import Event
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


def wanted(case: Case) -> dict[str, type[Event]]:
    """The topics a peer writes to in that workload, and what stands on them."""
    kinds: dict[str, type[Event]] = {case.topic("OUT"): GenerationResponse}
    if case.workload != "hop":
        kinds |= {case.topic("MODERATION"): ModerationEvent, case.topic("COSTS"): CostEvent}
    return kinds


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


@pytest.fixture(scope="module")
def published(servers: Servers, running) -> dict[str, list[bytes]]:
    """What all of them wrote, by topic: read until each has answered all its requests, and a little longer."""
    topics = [topic for case in ON_KAFKA if case.name in running for topic in wanted(case)]
    # Assigned, not subscribed: the embedded broker holds a first join for seconds.
    consumer = Consumer({"bootstrap.servers": servers.kafka, "group.id": "look", "enable.auto.commit": False})
    consumer.assign(
        [TopicPartition(topic, p, OFFSET_BEGINNING) for topic in topics for p in range(PARTITIONS)]
    )
    found: dict[str, list[bytes]] = {topic: [] for topic in topics}
    due = time.monotonic() + TIMEOUT_S
    while time.monotonic() < due and any(len(values) < REQUESTS for values in found.values()):
        for message in consumer.consume(1000, 0.2):
            found[message.topic()].append(message.value())
    for message in consumer.consume(1000, 1.0):
        found[message.topic()].append(message.value())
    consumer.close()
    return found


@pytest.mark.parametrize("case", ON_KAFKA, ids=lambda case: case.name)
def test_a_peer_answers_every_request_once_as_our_schemas_have_it(case: Case, servers, running, published):
    if not case.interpreter.exists():
        pytest.skip(f"no environment {case.interpreter.parents[1]}")
    told = servers.log(case).read_text(errors="replace")[-2000:]
    assert running[case.name].poll() is None, told
    for topic, kind in wanted(case).items():
        events = [decode(kind, value) for value in published[topic]]
        assert sorted(event.request_id for event in events) == sorted(f"r{n}" for n in range(REQUESTS)), told
    responses = [decode(GenerationResponse, value) for value in published[case.topic("OUT")]]
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


async def test_the_same_prompt_is_paid_for_once_and_the_hit_says_so(servers, monkeypatch):
    for name, value in servers.environment(CASES[0]).items():
        monkeypatch.setenv(name, value)
    asking = Asking(common.settings())
    first, second = requests.make(2, seed=900)[0], requests.make(17, seed=900, distinct=False)[16]
    paid, kept = [await asking.finished(value) for value in (first, second)]
    await asking.aclose()
    threads = asking_threads.Asking(common.settings())
    again = await asyncio.to_thread(threads.finished, second)
    threads.close()
    assert [decode(GenerationResponse, events.response).cached for events in (paid, kept, again)] == [0, 1, 1]
    assert [decode(CostEvent, events.cost).kind for events in (paid, kept)] == ["chat", "cache_hit"]
    assert (
        decode(GenerationResponse, kept.response).text() == decode(GenerationResponse, paid.response).text()
    )


def test_the_scorer_is_the_share_of_harsh_words():
    assert common.score("you Stupid idiot you") == 0.5
    assert common.score("") == 0.0


def test_every_peer_is_named_once_in_each_form():
    names = [(peer.name, peer.form) for peer in PEERS]
    assert len(set(names)) == len(names)


def test_a_concurrent_form_says_what_it_gives_up():
    assert all(peer.gives_up for peer in PEERS if peer.form != "plain")
