"""Delivery on Apache Kafka under what operations bring: scaling, slow models, stops, parked requests, bad topics."""

import json
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from schemas.codec import encode
from schemas.retry import Retry
from tests.agents.stage_fakes import draft
from tests.agents.test_retries import BUSY
from tests.integration.harness import Installation, count, producer, read, wait_until, worker
from tests.model_server import RunningStub, running_model_server

pytestmark = pytest.mark.integration

SESSION_S = 10


@pytest.fixture
def stub() -> Iterator[RunningStub]:
    with running_model_server() as running:
        yield running


@pytest.fixture
def paid(apache_kafka, redis_url, built_models, tmp_path, stub) -> Installation:
    """An installation on Apache Kafka whose default route asks the stub."""
    (tmp_path / "models").symlink_to(built_models / "models")
    routes = tmp_path / "routes.yaml"
    routes.write_text("default:\n  attempts: 4\n  park_from_s: 0.05\n  targets: [{provider: openai}]\n")
    extra = {
        "SLUICEGATE_ROUTES": str(routes),
        "OPENAI_BASE_URL": stub.base_url,
        "SLUICEGATE_SESSION_TIMEOUT_S": str(SESSION_S),
        "SLUICEGATE_IDEMPOTENCE": "true",
        "SLUICEGATE_CACHE_TTL_S": "0",
    }
    at = Installation(apache_kafka.bootstrap, redis_url, tmp_path, extra)
    at.create_topics()
    return at


def ask(number: int, **fields: object) -> bytes:
    messages = [{"role": "user", "content": f"What is {number}?"}]
    return json.dumps({"id": f"r{number}", "messages": messages, **fields}).encode()


def send(at: Installation, *values: bytes) -> None:
    client = producer(at)
    for value in values:
        key = json.loads(value).get("conversation_id") if value.startswith(b"{") else None
        client.produce(at.topic("genai.requests"), value, key)
    assert client.flush(30) == 0


def send_steadily(at: Installation, total: int, seconds: float) -> threading.Thread:
    def run() -> None:
        client = producer(at)
        for number in range(total):
            client.produce(at.topic("genai.requests"), ask(number))
            client.poll(0)
            time.sleep(seconds / total)
        client.flush(30)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def ids(seen) -> list[str]:
    return [record.json["request_id"] for record in seen]


def test_scaling_from_one_to_four_workers_and_back_loses_nothing_and_pays_once(paid, stub) -> None:
    stub.stub.latency_s = 0.2
    total = 800
    with worker(paid):
        sending = send_steadily(paid, total, 25.0)
        with ExitStack() as more:
            for _ in range(3):
                more.enter_context(worker(paid))
        # The three have drained, committed and left, one after the other, while requests went on coming.
        sending.join()
        responses = read(paid, "genai.responses", lambda seen: len(set(ids(seen))) >= total, 60)
    assert len({record.json["id"] for record in responses}) == total
    assert max(stub.stub.calls.values()) == 1
    assert stub.stub.calls.total() == total
    answered = sorted(datetime.fromisoformat(record.json["created"]) for record in responses)
    longest = max(later - sooner for sooner, later in pairwise(answered))
    assert longest < timedelta(seconds=SESSION_S)


def test_requests_that_keep_their_order_keep_it_through_every_stage(paid, stub) -> None:
    """Slow and quick calls are mixed, so that without lanes the quick ones would overtake."""
    stub.stub.latency_s = 0.0
    values = []
    for number in range(160):
        model = "fail-N-times:2" if number % 7 == 0 else "stub"
        values.append(
            ask(number, conversation_id=f"c{number % 8}", ordering="key", model=model, metadata={"n": number})
        )
    send(paid, *values)
    with worker(paid):
        responses = read(paid, "genai.responses", lambda seen: len(seen) >= 160, 90)
    lanes: dict[str, list[int]] = defaultdict(list)
    for record in responses:
        lanes[record.json["conversation_id"]].append(record.json["metadata"]["n"])
    assert {len(lane) for lane in lanes.values()} == {20}
    assert all(lane == sorted(lane) for lane in lanes.values())
    assert count(paid, "genai.retries") == 0, "what keeps its order is not parked"


def test_a_slow_model_fills_the_window_and_no_more_and_the_rest_follows_at_once(paid, stub) -> None:
    paid.extra |= {"SLUICEGATE_IN_FLIGHT": "20", "SLUICEGATE_CHUNK_SIZE": "10"}
    stub.stub.latency_s = 3.0
    send(paid, *(ask(number) for number in range(1_500)))
    with worker(paid) as running:
        wait_until(lambda: stub.stub.calls.total() >= 20, 30, "the window to fill")
        time.sleep(1.5)
        metrics = running.get("/metrics")[1]
        memory = rss_mb(running.process.pid)
        assert 'sluicegate_in_flight{stage="generation"} 20.0' in metrics
        stub.stub.latency_s = 0.0
        read(paid, "genai.responses", lambda seen: len(seen) >= 1_500, 60)
        assert rss_mb(running.process.pid) < memory + 100
    assert max(stub.stub.calls.values()) == 1


def rss_mb(pid: int) -> float:
    with Path(f"/proc/{pid}/status").open() as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def test_a_clean_stop_under_load_repeats_nothing(paid, stub) -> None:
    """Not a response, not a call: what was done is committed record by record, the rest left unread."""
    paid.extra |= {"SLUICEGATE_IN_FLIGHT": "30"}
    stub.stub.latency_s = 0.3
    send(paid, *(ask(number) for number in range(600)))
    with worker(paid):
        read(paid, "genai.responses", lambda seen: len(seen) >= 60)
    before = count(paid, "genai.responses")
    assert 60 <= before < 600
    stub.stub.latency_s = 0.0
    with worker(paid):
        read(paid, "genai.responses", lambda seen: len(set(ids(seen))) >= 600)
    repeats = [name for name, times in Counter(ids(read_all(paid, "genai.responses"))).items() if times > 1]
    assert repeats == []
    assert set(stub.stub.calls.values()) == {1}
    for topic in ("genai.contexts", "genai.drafts", "genai.costs"):
        assert count(paid, topic) == 600


def read_all(at: Installation, topic: str):
    held = count(at, topic)
    return read(at, topic, lambda seen: len(seen) >= held)


def test_a_second_signal_stops_at_once(paid) -> None:
    with worker(paid) as running:
        send(paid, ask(1, model="hang"))
        wait_until(lambda: 'in_flight{stage="generation"} 1.0' in running.get("/metrics")[1], 20, "a call")
        running.process.send_signal(signal.SIGTERM)
        time.sleep(1.0)
        assert running.process.poll() is None, "the first signal waits for what is in flight"
        running.process.send_signal(signal.SIGTERM)
        running.process.wait(3)


def test_a_long_wait_goes_through_the_retries_topic_and_still_ends_well(paid, stub) -> None:
    with worker(paid):
        send(paid, *(ask(number, model="fail-N-times:2") for number in range(40)))
        responses = read(paid, "genai.responses", lambda seen: len(seen) >= 40, 60)
    assert {record.json["status"] for record in responses} == {"completed"}
    assert set(stub.stub.calls.values()) == {3}
    assert count(paid, "genai.retries") >= 40


def test_a_restart_does_not_forget_what_waits(paid) -> None:
    waits = Retry(
        id="default:r1:retry:1",
        context=draft().context,
        not_before=datetime.now(UTC) + timedelta(seconds=14),
        problem=BUSY,
    )
    client = producer(paid)
    client.produce(paid.topic("genai.retries"), encode(waits))
    client.flush(30)
    with worker(paid, "--stages", "retries") as running:
        wait_until(lambda: 'in_flight{stage="retries"} 1.0' in running.get("/metrics")[1], 20, "the wait")
    assert count(paid, "genai.contexts") == 0
    with worker(paid, "--stages", "retries"):
        (context,) = read(paid, "genai.contexts", lambda seen: len(seen) >= 1, 40)
    assert context.json["request"]["id"] == "r1"
    assert datetime.now(UTC) >= waits.not_before


def test_what_no_model_answered_is_a_failed_response_and_a_dead_letter(paid) -> None:
    with worker(paid):
        send(paid, ask(1, model="fail-500"))
        (response,) = read(paid, "genai.responses", lambda seen: len(seen) >= 1, 60)
        (letter,) = read(paid, "genai.dead-letters", lambda seen: len(seen) >= 1, 20)
    assert (response.json["status"], response.json["attempts"]) == ("failed", 4)
    assert letter.headers["sluicegate.reason"] == "model_unavailable"
    assert letter.headers["sluicegate.attempts"] == "4"
    assert letter.json["request"]["id"] == "r1"


def test_a_topic_that_is_bad_as_a_whole_stops_the_stage_loudly(paid) -> None:
    paid.extra |= {"SLUICEGATE_IN_FLIGHT": "10", "SLUICEGATE_INVALID_RUN": "50"}
    with worker(paid) as running:
        send(paid, *(b"not json" for _ in range(2_000)))
        wait_until(lambda: running.get("/readyz")[0] == 503, 30, "the stage to stop")
        said = json.loads(running.get("/readyz")[1])
        metrics = running.get("/metrics")[1]
        assert running.get("/healthz")[0] == 200, "a restart would not help"
        assert count(paid, "genai.dead-letters") < 100
    assert "in a row could not be processed" in said["checks"]["retrieval"]
    assert 'sluicegate_stopped{stage="retrieval"} 1.0' in metrics
    assert "dlq list" in running.log.read_text()
