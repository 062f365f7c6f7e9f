"""The verbs against a running worker."""

import json

import pytest

from tests.integration.harness import Installation, producer, read, wait_until, worker

pytestmark = pytest.mark.integration


def test_a_request_is_asked_held_approved_tailed_and_a_broken_one_looked_at(
    kafka, installation: Installation
) -> None:
    tool = installation.run
    assert "created" in tool("topics", "create").stdout
    assert "was there" in tool("topics", "create").stdout
    with worker(installation):
        asked = json.loads(tool("ask", "What is a counter?", "--id", "asked", "--json").stdout)
        assert (asked["request_id"], asked["status"]) == ("asked", "completed")
        assert tool("send", "Is it safe?", "--risk", "high", "--id", "held").stdout.strip() == "held"
        wait_until(lambda: "held" in tool("review", "list", "--json").stdout, 30, "the review")
        shown = tool("review", "show", "held").stdout
        assert "Is it safe?" in shown
        assert "high-risk" in shown
        tool("review", "approve", "held", "--reviewer", "ann", "--comment", "fine")
        read(installation, "genai.responses", lambda seen: len(seen) >= 3)
        again = tool("review", "reject", "held", check=False)
        assert (again.returncode, "approved by ann already" in again.stderr) == (2, True)
        client = producer(installation)
        client.produce(installation.topic("genai.requests"), b"not json")
        client.flush(10)
        read(installation, "genai.dead-letters", lambda seen: len(seen) >= 1)
    (letter,) = json.loads(tool("dlq", "list", "--json").stdout)
    assert (letter["reason"], letter["field"]) == ("not_json", "$")
    assert "not json" in tool("dlq", "show", letter["at"]).stdout
    assert json.loads(tool("dlq", "list", "--reason", "invalid", "--json").stdout) == []
    lines = tool("tail", "responses", "--from", "beginning", "--idle", "2").stdout.splitlines()
    assert sum("request_id=held" in line for line in lines) == 2
    assert tool("review", "list").stdout.strip() == "nothing waits for review"


def test_an_index_is_built_extended_and_rolled_back(built_models, tmp_path) -> None:
    (tmp_path / "models").symlink_to(built_models / "models")
    at = Installation("127.0.0.1:1", "redis://127.0.0.1:1", tmp_path)
    first, second = tmp_path / "first.md", tmp_path / "second.md"
    first.write_text("# Gates\n\nA sluice gate holds the water back until it is opened.\n")
    second.write_text("# Rivers\n\nA river runs to the sea.\n")
    (tmp_path / "broken.pdf").write_bytes(b"no pdf at all")
    built = at.run("index", "build", "notes", str(first), str(tmp_path / "broken.pdf"))
    assert "1 documents" in built.stdout
    assert "broken.pdf" in built.stderr
    at.run("index", "add", "notes", str(second))
    versions = json.loads(at.run("index", "list", "--json").stdout)
    assert [version["live"] for version in versions] == [False, True]
    at.run("index", "rollback", "notes")
    versions = json.loads(at.run("index", "list", "--json").stdout)
    assert [version["live"] for version in versions] == [True, False]


def test_the_doctor_says_what_to_do(installation: Installation) -> None:
    before = installation.run("doctor", "--json", check=False)
    found = {finding["name"]: finding for finding in json.loads(before.stdout)}
    assert before.returncode == 1
    assert (found["topics"]["level"], found["topics"]["do"]) == ("fail", "sluicegate topics create")
    installation.run("topics", "create")
    after = installation.run("doctor", "--json")
    levels = {finding["name"]: finding["level"] for finding in json.loads(after.stdout)}
    assert levels == {
        "broker": "ok",
        "topics": "ok",
        "redis": "ok",
        "models": "ok",
        "prompts": "ok",
        "policy": "ok",
        "routes": "ok",
        "indexes": "warn",
    }
