"""Held, decided, released: on real brokers, with a worker in between that is restarted."""

import asyncio
import json
from collections.abc import Callable

import pytest

from schemas.review import Review
from streams.reviews import KafkaReviewBook
from tests.integration.harness import Installation, count, producer, read, worker

pytestmark = pytest.mark.integration


def test_a_high_risk_answer_waits_for_a_person_and_survives_a_restart(
    kafka, installation: Installation
) -> None:
    installation.create_topics()
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


# The end leaves room for a slow machine to escalate and list before it.
HURRIED = """
name: hurried
output:
  rules:
    - {id: high-risk, when: {risk: [high]}, action: review}
review: {escalate_after_s: 1, expire_after_s: 20}
"""


async def book_until(at: Installation, until: Callable[[Review], bool]) -> Review:
    """The only review, as soon as it is as wanted."""
    async with KafkaReviewBook(at.bootstrap, at.prefix) as book, asyncio.timeout(60):
        while not ((found := await book.find("default", "forgotten")) and until(found)):
            await asyncio.sleep(0.1)
        return found


def test_an_answer_that_nobody_decides_on_escalates_and_expires_across_a_restart(
    kafka, installation: Installation
) -> None:
    path = installation.data_dir / "hurried.yaml"
    path.write_text(HURRIED)
    installation.extra["SLUICEGATE_POLICY"] = str(path)
    installation.create_topics()
    installation.run("send", "Is it safe?", "--risk", "high", "--id", "forgotten")
    with worker(installation):
        escalated = asyncio.run(book_until(installation, lambda r: r.escalated is not None))
        assert escalated.state == "pending"
        (listed,) = json.loads(installation.run("review", "list", "--json").stdout)
        assert (listed["request_id"], bool(listed["escalated"])) == ("forgotten", True)
        assert listed["expires"] > listed["since"]
    with worker(installation, "--stages", "release"):
        expired = asyncio.run(book_until(installation, lambda r: r.state != "pending"))
        assert (expired.state, expired.escalated) == ("expired", escalated.escalated)
        responses = read(installation, "genai.responses", lambda seen: len(seen) >= 2)
        judged = read(installation, "genai.moderation", lambda seen: len(seen) >= 4)
    ends = {r.json["id"]: r.json for r in responses if r.json["status"] != "pending_review"}
    (end,) = ends.values()
    assert (end["status"], end["error"]["code"], end["choices"]) == ("blocked", "review_expired", [])
    said = [record.json["id"] for record in judged if record.json["decided_by"] == "sluicegate"]
    assert set(said) == {
        "default:forgotten:moderation:review-escalated",
        "default:forgotten:moderation:review",
    }
    assert count(installation, "genai.dead-letters") == 0
