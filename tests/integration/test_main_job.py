"""The main job on real servers: every request that could be read is answered once, every other is set aside."""

import json
import shutil
import subprocess
from collections import Counter

import pytest

from tests.integration.harness import Installation, count, producer, read, wait_until, worker

pytestmark = pytest.mark.integration

BROKEN = [
    b"not json",
    b"\xff\xfe\x00",
    b"[]",
    b"{}",
    b'{"messages": []}',
    b'{"messages": "hi"}',
    b'{"messages": [{"role": "user", "content": [{"type": "smell", "smell": "x"}]}]}',
    b'{"messages": [{"role": "robot", "content": "hi"}]}',
    b'{"messages": [{"role": "user", "content": "hi"}], "max_tokens": "many"}',
    b'{"messages": [{"role": "user", "content": "hi"}], "version": 99}',
]


def request(number: int) -> bytes:
    return json.dumps(
        {"id": f"r{number}", "messages": [{"role": "user", "content": f"How do metrics work? ({number})"}]}
    ).encode()


def thousand() -> list[bytes]:
    """950 requests with 50 broken records spread among them."""
    records = [request(number) for number in range(950)]
    for number in range(50):
        records.insert(number * 20, BROKEN[number % len(BROKEN)])
    return records


def publish_with_kcat(at: Installation, records: list[bytes]) -> None:
    kcat = shutil.which("kcat")
    if not kcat:
        pytest.skip("kcat is missing: apt-get install kcat")
    command = [kcat, "-P", "-b", at.bootstrap, "-t", at.topic("genai.requests")]
    subprocess.run(command, input=b"\n".join(records) + b"\n", check=True, timeout=60)


def publish_with_confluent(at: Installation, records: list[bytes]) -> None:
    client = producer(at)
    for record in records:
        client.produce(at.topic("genai.requests"), record)
    assert client.flush(30) == 0


def test_a_thousand_requests_end_once_each_and_fifty_broken_ones_are_set_aside(
    kafka, installation: Installation
) -> None:
    """kcat publishes to Apache Kafka; Debian's kcat cannot speak to the embedded broker, so confluent-kafka does."""
    publish = publish_with_kcat if kafka.name == "apache" else publish_with_confluent
    installation.create_topics()
    with worker(installation):
        publish(installation, thousand())
        responses = read(installation, "genai.responses", lambda seen: len(seen) >= 950, 150)
        letters = read(installation, "genai.dead-letters", lambda seen: len(seen) >= 50, 30)
    assert count(installation, "genai.responses") == 950
    assert count(installation, "genai.dead-letters") == 50
    ids = Counter(seen.json["request_id"] for seen in responses)
    assert ids == {f"r{number}": 1 for number in range(950)}
    assert {seen.json["status"] for seen in responses} == {"completed"}
    assert Counter(letter.value for letter in letters) == Counter(
        BROKEN[number % len(BROKEN)] for number in range(50)
    )
    assert all(
        letter.headers["sluicegate.reason"] and letter.headers["sluicegate.field"] for letter in letters
    )


def test_every_kind_of_bad_input_has_its_end_and_the_worker_goes_on(
    kafka, installation: Installation
) -> None:
    installation.create_topics()
    client, topic = producer(installation), installation.topic("genai.requests")
    good = {"messages": [{"role": "user", "content": "hello"}]}

    def send(value: object) -> None:
        client.produce(
            topic, value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
        )

    with worker(installation) as running:
        send(b"not json")
        send(None)
        send(b"\xff\xfe")
        send(b"{}")
        send({**good, "temperature": "hot"})
        send({"messages": [{"role": "user", "content": [{"type": "smell"}]}]})
        send({**good, "messages": [{"role": "user", "content": "x" * 2_000_000}]})
        send(b'{"messages":[{"role":"user","content":"' + b"p" * 10_000_000 + b'"}]}')
        send({**good, "id": "late", "deadline": "2020-01-01T00:00:00Z"})
        send({**good, "id": "prompt", "prompt": {"name": "no-such-prompt"}})
        send({**good, "id": "index", "retrieval": {"index": "no-such-index"}})
        send({**good, "id": "route", "route": "no-such-route"})
        send({**good, "id": "picture", "messages": [picture()]})
        client.flush(30)
        wait_until(lambda: count(installation, "genai.responses") == 5, 60, "the refusals")
        send({**good, "id": "twice"})
        client.flush(30)
        wait_until(lambda: count(installation, "genai.responses") == 6, 60, "the first of the two")
        send({**good, "id": "twice"})
        client.flush(30)
        letters = read(installation, "genai.dead-letters", lambda seen: len(seen) >= 9, 20)
        responses = read(installation, "genai.responses", lambda seen: len(seen) >= 6)
        assert running.get("/healthz")[0] == 200
    assert Counter(letter.headers["sluicegate.reason"] for letter in letters) == {
        "not_json": 1,
        "null_value": 1,
        "not_utf8": 1,
        "invalid": 3,
        "too_large": 2,
        "duplicate_id": 1,
    }
    assert max(len(letter.value or b"") for letter in letters) > 10_000_000
    by_id = {seen.json["request_id"]: seen.json for seen in responses}
    assert {name: (r["status"], (r["error"] or {}).get("field")) for name, r in by_id.items()} == {
        "late": ("expired", "$.deadline"),
        "prompt": ("refused", "$.prompt.name"),
        "index": ("refused", "$.retrieval.index"),
        "route": ("refused", "$.route"),
        "picture": ("refused", "$.messages[0].content"),
        "twice": ("completed", None),
    }


def picture() -> dict[str, object]:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    return {"role": "user", "content": [part]}


def test_a_thousand_broken_records_in_a_row_do_not_stop_the_next_request(
    kafka, installation: Installation
) -> None:
    installation.extra |= {"SLUICEGATE_INVALID_RUN": "0", "SLUICEGATE_INVALID_SHARE": "0"}
    installation.create_topics()
    client = producer(installation)
    for number in range(1_000):
        client.produce(installation.topic("genai.requests"), BROKEN[number % len(BROKEN)])
    client.produce(installation.topic("genai.requests"), request(1))
    client.flush(30)
    with worker(installation):
        (answer,) = read(installation, "genai.responses", lambda seen: len(seen) >= 1)
        wait_until(lambda: count(installation, "genai.dead-letters") == 1_000, 60, "the dead letters")
    assert answer.json["status"] == "completed"


def test_a_killed_worker_loses_nothing(kafka, installation: Installation) -> None:
    installation.create_topics()
    client = producer(installation)
    for number in range(400):
        client.produce(installation.topic("genai.requests"), request(number))
    client.flush(30)
    with worker(installation) as first:
        wait_until(lambda: count(installation, "genai.responses") >= 20, 60, "a start")
        first.kill()
    with worker(installation):
        wanted = {f"r{number}" for number in range(400)}
        responses = read(
            installation,
            "genai.responses",
            lambda seen: {record.json["request_id"] for record in seen} >= wanted,
            120,
        )
    answers = {(record.json["request_id"], record.json["id"]) for record in responses}
    assert len(answers) == 400, "a repeat carries the id of the first"
    assert count(installation, "genai.dead-letters") == 0
