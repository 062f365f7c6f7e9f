"""Held, decided, released: on real brokers, with a worker in between that is restarted."""

import json

import pytest

from tests.integration.harness import Installation, producer, read, worker

pytestmark = pytest.mark.integration


def test_a_high_risk_answer_waits_for_a_person_and_survives_a_restart(
    kafka, installation: Installation
) -> None:
    installation.run("topics", "create")
    client = producer(installation)

    def send(topic: str, value: object) -> None:
        client.produce(installation.topic(topic), json.dumps(value).encode())
        assert client.flush(30) == 0

    ask = {"messages": [{"role": "user", "content": "Is it safe?"}], "risk": "high"}
    with worker(installation):
        send("genai.requests", {**ask, "id": "approved"})
        send("genai.requests", {**ask, "id": "rejected"})
        pending = read(installation, "genai.responses", lambda seen: len(seen) >= 2)
    assert {record.json["status"] for record in pending} == {"pending_review"}
    assert all(record.json["choices"] == [] for record in pending)
    with worker(installation, "--stages", "release"):
        for name, action in (("approved", "approve"), ("rejected", "reject"), ("unheard-of", "approve")):
            send("genai.review-decisions", {"request_id": name, "action": action, "reviewer": "ann"})
        responses = read(installation, "genai.responses", lambda seen: len(seen) >= 4)
        (letter,) = read(installation, "genai.dead-letters", lambda seen: len(seen) >= 1)
    ended = {r.json["request_id"]: r.json for r in responses if r.json["status"] != "pending_review"}
    assert {name: response["status"] for name, response in ended.items()} == {
        "approved": "completed",
        "rejected": "blocked",
    }
    assert ended["approved"]["choices"]
    assert letter.headers["sluicegate.reason"] == "unknown_review"
    assert letter.headers["sluicegate.request_id"] == "unheard-of"
    judged = read(installation, "genai.moderation", lambda seen: len(seen) >= 6)
    who = {record.json["decided_by"] for record in judged if record.json["stage"] == "review"}
    assert who == {"reviewer:ann"}
