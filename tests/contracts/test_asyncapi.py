"""The AsyncAPI document, read by the AsyncAPI project's own parser, which npm keeps under build/ between runs."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from schemas import channels
from schemas.dead_letter import HEADER_PREFIX
from schemas.export import as_yaml, asyncapi

HERE = Path(__file__).parent / "asyncapi"
CACHE = Path(__file__).parents[2] / "build" / "asyncapi"
ERROR = 0


@pytest.fixture(scope="session")
def parser() -> Path:
    """The folder in which the parser is installed, in exactly the version that package.json names."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("needs node and npm, for the AsyncAPI project's parser: apt-get install nodejs npm")
    wanted = (HERE / "package.json").read_bytes()
    folder = CACHE / os.environ.get("PYTEST_XDIST_WORKER", "main")
    if not _installed(folder, wanted):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_bytes(wanted)
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=170, check=False)
        assert done.returncode == 0, done.stderr
    return folder


def _installed(folder: Path, wanted: bytes) -> bool:
    package = folder / "node_modules" / "@asyncapi" / "parser" / "package.json"
    if not package.is_file() or (folder / "package.json").read_bytes() != wanted:
        return False
    version = json.loads(wanted)["dependencies"]["@asyncapi/parser"]
    return json.loads(package.read_text())["version"] == version


def _parse(parser: Path, text: str) -> dict:
    done = subprocess.run(
        ["node", str(HERE / "check.mjs")],
        cwd=parser,
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_parser_finds_every_topic_and_no_error(parser) -> None:
    found = _parse(parser, as_yaml(asyncapi()))
    errors = [d for d in found["diagnostics"] if d["severity"] == ERROR]
    assert errors == []
    assert found["version"] == "3.0.0"
    assert set(found["channels"]) == {*channels.BY_TOPIC, channels.DEAD_LETTERS}


def test_requests_and_decisions_come_in_and_the_rest_goes_out(parser) -> None:
    found = set(_parse(parser, as_yaml(asyncapi()))["operations"])
    incoming = {topic for topic in channels.BY_TOPIC if f"receive {topic}" in found}
    outgoing = {topic for topic in [*channels.BY_TOPIC, channels.DEAD_LETTERS] if f"send {topic}" in found}
    internal = {channels.CONTEXTS, channels.RETRIES, channels.DRAFTS}
    assert incoming == {channels.REQUESTS, channels.REVIEW_DECISIONS} | internal
    assert outgoing == {*channels.BY_TOPIC, channels.DEAD_LETTERS} - {
        channels.REQUESTS,
        channels.REVIEW_DECISIONS,
    }


def test_the_parser_refuses_a_document_with_a_loose_reference(parser) -> None:
    document = asyncapi()
    document["components"]["messages"]["cost"]["payload"] = {"$ref": "#/components/schemas/Nothing"}
    found = _parse(parser, as_yaml(document))
    assert any(d["severity"] == ERROR for d in found["diagnostics"])


@pytest.mark.parametrize("name", sorted(asyncapi()["components"]["messages"]))
def test_examples_hold_to_the_schemas_beside_them(name) -> None:
    """The parser does not look at the examples of a 3.0 document, so a JSON Schema validator does."""
    message = asyncapi()["components"]["messages"][name]
    assert message["examples"]
    for example in message["examples"]:
        _validator(message["payload"]).validate(example["payload"])
        _validator(message["headers"]).validate(example["headers"])


def _validator(schema: dict) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": asyncapi()["components"]})


def test_only_topics_between_stages_are_marked_internal() -> None:
    marked = {c["address"] for c in asyncapi()["channels"].values() if c.get("x-internal")}
    assert marked == {channels.CONTEXTS, channels.RETRIES, channels.DRAFTS}


def test_the_file_has_no_anchors_and_reads_back() -> None:
    text = as_yaml(asyncapi())
    assert "&id" not in text
    assert yaml.safe_load(text) == asyncapi()


def test_a_dead_letter_documents_the_headers_that_tools_read() -> None:
    message = asyncapi()["components"]["messages"]["dead-letter"]
    named = {"topic", "partition", "offset", "stage", "exception.class.name", "exception.message"}
    assert {HEADER_PREFIX + name for name in named} | {"sluicegate.reason"} == set(
        message["headers"]["required"]
    )
    assert {"sluicegate.request_id", "sluicegate.tenant"} <= message["headers"]["properties"].keys()
