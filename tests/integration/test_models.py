"""A worker and a model behind an OpenAI-compatible API, over real HTTP: paid, failing, hanging, killed."""

import json
from collections.abc import Iterator
from decimal import Decimal

import pytest

from tests.integration.harness import Installation, WorkerProcess, producer, read, wait_until, worker
from tests.model_server import RunningStub, running_model_server

pytestmark = pytest.mark.integration


@pytest.fixture
def stub() -> Iterator[RunningStub]:
    with running_model_server() as running:
        yield running


@pytest.fixture
def paid(embedded_kafka, redis_url, built_models, tmp_path, stub) -> Installation:
    """An installation whose default route asks the stub, under the variables that everybody knows."""
    (tmp_path / "models").symlink_to(built_models / "models")
    routes = tmp_path / "routes.yaml"
    routes.write_text("default:\n  attempts: 2\n  targets: [{provider: openai}]\n")
    extra = {
        "SLUICEGATE_ROUTES": str(routes),
        "OPENAI_API_KEY": "sesame",
        "OPENAI_BASE_URL": stub.base_url,
        "SLUICEGATE_STALL_AFTER_S": "3",
    }
    return Installation(embedded_kafka.bootstrap, redis_url, tmp_path, extra)


def send(at: Installation, *requests: dict[str, object]) -> None:
    client = producer(at)
    for request in requests:
        body = {"messages": [{"role": "user", "content": "What do they say?"}], **request}
        client.produce(at.topic("genai.requests"), json.dumps(body).encode())
    assert client.flush(30) == 0


def test_a_paid_answer_is_priced_counted_and_bought_once(paid: Installation, stub: RunningStub) -> None:
    paid.create_topics()
    with worker(paid) as running:
        send(paid, {"id": "one"})
        (answer,) = read(paid, "genai.responses", lambda seen: len(seen) >= 1)
        (cost,) = read(paid, "genai.costs", lambda seen: len(seen) >= 1)
        metrics = running.get("/metrics")[1]
    assert answer.json["status"] == "completed"
    assert (cost.json["status"], cost.json["currency"], cost.json["model"]) == (
        "priced",
        "USD",
        "gpt-4o-mini",
    )
    assert Decimal(cost.json["amount"]) > 0
    assert cost.json["usage"]["cached_input_tokens"] == 20
    assert 'sluicegate_tokens_total{direction="input",model="gpt-4o-mini",provider="openai"} 120.0' in metrics
    assert 'sluicegate_model_calls_total{outcome="ok",provider="openai"} 1.0' in metrics
    assert list(stub.stub.calls.values()) == [1]
    assert next(iter(stub.stub.calls)).startswith("default:one")


def test_a_model_that_fails_ends_the_request_and_is_counted(paid: Installation) -> None:
    paid.create_topics()
    with worker(paid) as running:
        send(
            paid,
            {"id": "broken", "model": "fail-500"},
            {"id": "declined", "model": "refusal"},
            {"id": "fine"},
        )
        responses = read(paid, "genai.responses", lambda seen: len(seen) >= 3)
        metrics = running.get("/metrics")[1]
    ended = {
        seen.json["request_id"]: (seen.json["status"], (seen.json["error"] or {}).get("code"))
        for seen in responses
    }
    assert ended == {
        "broken": ("failed", "model_unavailable"),
        "declined": ("blocked", "model_refused"),
        "fine": ("completed", None),
    }
    assert 'sluicegate_model_errors_total{code="model_unavailable",provider="openai"} 2.0' in metrics


def test_a_slow_request_delays_no_other_and_health_fails_when_offsets_stand_still(paid: Installation) -> None:
    paid.create_topics()
    with worker(paid) as running:
        assert running.get("/healthz")[0] == 200
        send(paid, {"id": "stuck", "model": "hang", "conversation_id": "same"})
        # One after the other: the embedded broker counts no lag inside a topic's last batch.
        for number in range(8):
            asked = [{"role": "user", "content": f"What do they say of {number}?"}]  # none from the cache
            send(paid, {"id": f"quick{number}", "conversation_id": "same", "messages": asked})
            read(paid, "genai.responses", lambda seen, n=number: len(seen) > n)
        responses = read(paid, "genai.responses", lambda seen: len(seen) >= 8)
        assert {seen.json["request_id"] for seen in responses} == {f"quick{n}" for n in range(8)}
        wait_until(lambda: stands_still(running, "generation"), 20, "health to fail")
        # A busy machine can hold the others up for a moment, too.
        wait_until(lambda: not stands_still(running, "retrieval"), 20, "the other stage to be well")
        assert stands_still(running, "generation")
        running.kill()  # it would wait for the model, as it should


def stands_still(running: WorkerProcess, stage: str) -> bool:
    status, body = running.get("/healthz")
    said = json.loads(body)["checks"][stage]
    assert said == "ok" or status == 503
    return "offsets stand still" in said


def test_an_answer_that_arrived_is_not_bought_again_after_a_kill(
    paid: Installation, stub: RunningStub
) -> None:
    """The stuck request holds its partition back, so a second worker reads the answered ones again."""
    paid.create_topics()
    with worker(paid) as running:
        send(paid, {"id": "stuck", "model": "hang", "conversation_id": "same"})
        send(paid, *({"id": f"quick{n}", "conversation_id": "same"} for n in range(20)))
        read(paid, "genai.responses", lambda seen: len(seen) >= 8)
        running.kill()
    with worker(paid) as running:
        wait_until(lambda: stub.stub.calls["default:stuck"] > 1, 30, "the stuck request to be read again")
        repeats = read(paid, "genai.responses", lambda seen: len(seen) >= 21, 30)
        running.kill()
    assert len({seen.json["id"] for seen in repeats}) == 20, "a repeat carries the id of the first"
    bought = {key: calls for key, calls in stub.stub.calls.items() if "quick" in key}
    assert len(bought) == 20
    assert set(bought.values()) == {1}
