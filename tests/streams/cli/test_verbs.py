"""The tool: every help teaches, every mistake is told in words."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from agents.errors import SluicegateError, UnknownPart
from streams.cli import app
from streams.cli.send import make, read_requests
from streams.cli.tail import as_line, full_name
from streams.cli.worker import chosen_stages

ROOT = Path(__file__).parents[3]
runner = CliRunner()


def commands(group: Any, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for name, command in group.commands.items():
        inner = getattr(command, "commands", None)
        found += commands(command, (*above, name)) if inner else [(*above, name)]
    return found


VERBS = commands(typer.main.get_command(app))


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_help_ends_with_an_example(verb: tuple[str, ...]) -> None:
    done = runner.invoke(app, [*verb, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert done.exit_code == 0
    assert f"sluicegate {' '.join(verb)}" in done.output
    assert "Example:" in done.output


def test_the_tools_help_imports_no_heavy_library() -> None:
    code = (
        "import sys, streams.cli;"
        "heavy = {'faust', 'onnxruntime', 'lancedb', 'openai', 'kafka', 'aiokafka', 'torch'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streams.cli", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": "/usr/bin", **env},
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["worker", "--stages", "retrieval,cooking"], "unknown stage 'cooking'"),
        (["tail", "nothing"], "unknown topic 'nothing'"),
        (["send"], "give a question, or --file"),
        (["ask", "hi", "--risk", "huge"], "$.risk"),
        (["prompts", "show", "nothing"], "unknown prompt 'nothing'"),
        (["policy", "check", "README.md"], "README.md"),
        (["review", "edit", "r1"], "--text or --file"),
        (["topics", "create", "--broker", "127.0.0.1:1"], "no Kafka broker answers"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_told_in_words(arguments: list[str], said: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_of_requests_is_sent_whole_or_not_at_all() -> None:
    good = b'{"messages":[{"role":"user","content":"hi"}]}'
    assert len(read_requests([good, b"", good])) == 2
    with pytest.raises(SluicegateError) as caught:
        read_requests([good, b"{}", b"nope"])
    assert "line 2: $.messages" in str(caught.value)
    assert "line 3: $" in str(caught.value)


def test_options_become_a_request() -> None:
    request = make("hi", "docs", 3, "acme", "chat:v1", ["style=short"], "quotes", None, "high", "r1")
    assert (request.id, request.tenant, request.risk, request.route) == ("r1", "acme", "high", "quotes")
    assert (request.retrieval.index, request.retrieval.top_k) == ("docs", 3)
    assert (request.prompt.name, request.prompt.version, request.prompt.variables) == (
        "chat",
        "v1",
        {"style": "short"},
    )


def test_topics_have_short_names() -> None:
    assert full_name("dead-letters") == full_name("genai.dead-letters") == "genai.dead-letters"
    with pytest.raises(UnknownPart):
        full_name("dead")


def test_stages_run_in_the_order_of_the_flow() -> None:
    assert chosen_stages("scoring, retrieval") == ["retrieval", "scoring"]
    assert chosen_stages("all") == ["retrieval", "generation", "retries", "scoring", "release"]


class FakeRecord:
    partition, offset, key, headers = 3, 7, None, ()

    def __init__(self, value: bytes | None) -> None:
        self.value = value


def test_any_record_has_a_line() -> None:
    assert as_line("genai.responses", FakeRecord(b'{"request_id":"r","status":"completed"}')) == (
        "3:7 request_id=r status=completed"
    )
    assert as_line("genai.responses", FakeRecord(b"\xff")) == r"3:7 '\\xff'"
    assert as_line("genai.reviews", FakeRecord(None)) == "3:7 None"


def test_json_is_for_programs() -> None:
    done = run("topics", "list", "--json")
    assert {row["topic"] for row in json.loads(done.stdout)} >= {"genai.requests", "genai.responses"}


def test_schemas_are_written_where_they_are_asked_for(tmp_path) -> None:
    done = run("schemas", "export", str(tmp_path / "new"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "new" / "asyncapi.yaml").exists()
