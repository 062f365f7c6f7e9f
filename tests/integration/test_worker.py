"""A worker as its operators see it: metrics, health, Redis away, stages apart, the cache, its errors."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

from streams.embedded import EmbeddedBroker, EmbeddedRedis
from tests.integration.harness import ROOT, Installation, producer, read, worker

pytestmark = pytest.mark.integration


def send(at: Installation, *values: object) -> None:
    client = producer(at)
    for value in values:
        client.produce(at.topic("genai.requests"), json.dumps(value).encode())
    assert client.flush(30) == 0


def question(name: str, **fields: object) -> dict[str, object]:
    return {"id": name, "messages": [{"role": "user", "content": "What is a counter?"}], **fields}


@pytest.fixture
def embedded(embedded_kafka, redis_url, built_models, tmp_path) -> Installation:
    """As `installation`, on the embedded broker alone."""
    (tmp_path / "models").symlink_to(built_models / "models")
    routes = tmp_path / "routes.yaml"
    routes.write_text("default:\n  targets: [{provider: extractive}]\n")
    return Installation(embedded_kafka.bootstrap, redis_url, tmp_path, {"SLUICEGATE_ROUTES": str(routes)})


def test_an_equal_request_is_answered_from_the_cache_and_counted(embedded: Installation) -> None:
    embedded.create_topics()
    with worker(embedded) as running:
        send(embedded, question("first"))
        read(embedded, "genai.responses", lambda seen: len(seen) >= 1)
        send(embedded, question("second"))
        responses = read(embedded, "genai.responses", lambda seen: len(seen) >= 2)
        costs = read(embedded, "genai.costs", lambda seen: len(seen) >= 2)
        metrics = running.get("/metrics")[1]
    by_id = {record.json["request_id"]: record.json for record in responses}
    assert (by_id["first"]["cached"], by_id["second"]["cached"]) == (False, True)
    assert by_id["first"]["choices"] == by_id["second"]["choices"]
    assert sorted(record.json["kind"] for record in costs) == ["cache_hit", "chat"]
    assert 'sluicegate_cache_lookups_total{result="hit"} 1.0' in metrics
    assert 'sluicegate_requests_total{outcome="completed"} 2.0' in metrics


def test_promtool_finds_nothing_wrong_with_a_workers_metrics(embedded: Installation) -> None:
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("promtool is missing: apt-get install prometheus")
    embedded.create_topics()
    with worker(embedded) as running:
        send(embedded, question("one"))
        read(embedded, "genai.responses", lambda seen: len(seen) >= 1)
        plain = urllib.request.Request(running.web + "/metrics", headers={"Accept": "text/plain"})
        with urllib.request.urlopen(plain, timeout=5) as answer:
            exposition = answer.read()
    done = subprocess.run([promtool, "check", "metrics"], input=exposition, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_requests_are_answered_while_redis_is_away(embedded: Installation, tmp_path) -> None:
    with EmbeddedRedis(tmp_path / "redis") as redis:
        embedded.redis_url = redis.url
        embedded.create_topics()
        with worker(embedded) as running:
            send(embedded, question("before"))
            read(embedded, "genai.responses", lambda seen: len(seen) >= 1)
            redis.kill()
            send(embedded, question("after"))
            responses = read(embedded, "genai.responses", lambda seen: len(seen) >= 2)
            metrics = running.get("/metrics")[1]
            assert running.get("/healthz")[0] == 200
    assert {record.json["status"] for record in responses} == {"completed"}
    assert 'sluicegate_redis_errors_total{operation="admit"}' in metrics
    assert 'sluicegate_cache_lookups_total{result="error"} 1.0' in metrics


def test_each_stage_can_run_in_a_worker_of_its_own(embedded: Installation) -> None:
    embedded.create_topics()
    send(embedded, question("spread"))
    with worker(embedded, "--stages", "retrieval"):
        read(embedded, "genai.contexts", lambda seen: len(seen) >= 1)
    with worker(embedded, "--stages", "generation"):
        read(embedded, "genai.drafts", lambda seen: len(seen) >= 1)
    with worker(embedded, "--stages", "scoring"):
        (answer,) = read(embedded, "genai.responses", lambda seen: len(seen) >= 1)
    assert answer.json["status"] == "completed"
    assert answer.headers["ce_type"] == "sluicegate.response.v1"
    assert answer.headers["ce_id"] == answer.json["id"]


def test_a_worker_without_its_topics_says_what_to_do(embedded: Installation) -> None:
    done = embedded.run("worker", check=False)
    assert done.returncode == 2
    assert "sluicegate topics create" in done.stderr


def test_a_clean_stop_repeats_nothing(embedded: Installation) -> None:
    embedded.create_topics()
    send(embedded, *(question(f"r{number}") for number in range(60)))
    with worker(embedded):
        read(embedded, "genai.responses", lambda seen: len(seen) >= 60)
    with worker(embedded):
        time.sleep(3)
    responses = read(embedded, "genai.responses", lambda seen: len(seen) >= 60)
    assert len(responses) == 60


def test_a_stop_while_the_broker_is_away_ends_in_time(redis_url, built_models, tmp_path) -> None:
    (tmp_path / "models").symlink_to(built_models / "models")
    with EmbeddedBroker(tmp_path / "broker") as broker:
        at = Installation(broker.bootstrap, redis_url, tmp_path, {"SLUICEGATE_DRAIN_TIMEOUT_S": "2"})
        at.create_topics()
        with worker(at) as running:
            assert broker.pid
            os.kill(broker.pid, signal.SIGSTOP)
            running.process.send_signal(signal.SIGTERM)
            try:
                assert running.process.wait(28) == 0
            finally:
                os.kill(broker.pid, signal.SIGCONT)
    assert '"worker.stopped"' in running.log.read_text()


def test_what_wrong_settings_say(embedded: Installation) -> None:
    embedded.extra |= {"SLUICEGATE_IN_FLIGHT": "none", "SLUICEGATE_WEB_PORT": "70000", "SLUICEGATE_TYPO": "1"}
    done = embedded.run("worker", check=False)
    assert done.returncode == 2
    for name in ("SLUICEGATE_IN_FLIGHT", "SLUICEGATE_WEB_PORT", "SLUICEGATE_TYPO"):
        assert name in done.stderr


def test_the_demo_answers_holds_blocks_and_ends_everything(tmp_path, built_models) -> None:
    at = Installation("", "", tmp_path)
    (tmp_path / "models").symlink_to(built_models / "models")
    env = {k: v for k, v in at.env().items() if not k.startswith("SLUICEGATE_")}
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", "demo"],
        env={**env, "SLUICEGATE_DATA_DIR": str(tmp_path), "SLUICEGATE_WEB_PORT": "0", "COLUMNS": "160"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "9 of 9 ended" in done.stdout
    assert "held for review by" in done.stdout
    assert "completed, cached" in done.stdout


def test_up_keeps_running_until_it_is_stopped(tmp_path, built_models, built_index) -> None:
    (tmp_path / "models").symlink_to(built_models / "models")
    (tmp_path / "indexes").symlink_to(built_index)
    env = {k: v for k, v in Installation("", "", tmp_path).env().items() if not k.startswith("SLUICEGATE_")}
    up = subprocess.Popen(
        [sys.executable, "-m", "streams.cli", "up"],
        env={**env, "SLUICEGATE_DATA_DIR": str(tmp_path), "SLUICEGATE_WEB_PORT": "0"},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert up.stdout
    said = ""
    for line in up.stdout:
        said += line
        if "Ctrl-C stops everything" in line:
            break
    exports = dict(
        line.removeprefix("export ").split("=", 1) for line in said.splitlines() if "export " in line
    )
    asked = subprocess.run(
        [
            sys.executable,
            "-m",
            "streams.cli",
            "ask",
            "What is a counter?",
            "--index",
            "examples",
            "--route",
            "quotes",
        ],
        env={**env, **exports, "PATH": env["PATH"]},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    up.send_signal(signal.SIGINT)
    assert up.wait(60) == 0
    assert "stopped" in up.stdout.read()
    up.stdout.close()
    assert asked.returncode == 0, asked.stderr
    assert "decision: " in asked.stdout


CRASHING = """
from streams.delivery import Delivery

def fail(*_):
    raise ValueError("as a mistake of ours would")

Delivery.progress = fail

from streams.cli import main
main()
"""


def test_a_worker_whose_consumer_crashes_says_so_and_ends_with_an_error(embedded: Installation) -> None:
    """It would live on without that stage, and nobody would start it again."""
    embedded.create_topics()
    command = [sys.executable, "-c", CRASHING, "worker", "--stages", "retrieval"]
    done = subprocess.run(
        command, env=embedded.env(), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert '"event": "worker.crashed"' in done.stdout + done.stderr
