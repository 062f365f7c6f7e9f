"""The published JSON Schemas: valid, up to date, and of one mind with the codec."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from schemas.channels import CHANNELS
from schemas.codec import DecodeError, decode
from schemas.export import KEYS, json_schemas, write
from streams.topics import TOPICS
from tests.contracts.cases import EXAMPLES

PUBLISHED = Path(__file__).parents[2] / "docs" / "schemas"


def test_the_published_files_are_what_the_types_say(tmp_path) -> None:
    """Mend with `sluicegate schemas export docs/schemas`."""
    fresh = {path.relative_to(tmp_path): path.read_bytes() for path in write(tmp_path)}
    kept = {p.relative_to(PUBLISHED): p.read_bytes() for p in PUBLISHED.rglob("*") if p.is_file()}
    assert fresh.keys() == kept.keys()
    assert [str(path) for path in fresh if fresh[path] != kept[path]] == []


def test_writing_twice_gives_the_same_bytes(tmp_path) -> None:
    first, second = write(tmp_path / "a"), write(tmp_path / "b")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@pytest.mark.parametrize("name", [channel.ce_type for channel in CHANNELS])
def test_a_schema_is_valid_and_stands_alone(name) -> None:
    schema = json_schemas()[name]
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == "urn:" + name.replace(".", ":", 1)
    assert schema["title"]
    assert schema["description"]
    assert '"additionalProperties": false' not in json.dumps(schema)
    references = set(_references(schema))
    assert {ref.removeprefix("#/$defs/") for ref in references} == set(schema.get("$defs", {}))


@pytest.mark.parametrize(("channel", "example", "path"), EXAMPLES)
def test_golden_events_are_valid(channel, example, path) -> None:
    Draft202012Validator(json_schemas()[channel.ce_type]).validate(json.loads(path.read_bytes()))


@pytest.mark.parametrize(("channel", "example", "path"), EXAMPLES)
def test_an_event_without_one_of_its_required_fields_is_refused_by_schema_and_codec(
    channel, example, path
) -> None:
    schema = json_schemas()[channel.ce_type]
    value = json.loads(path.read_bytes())
    assert schema["required"]
    for name in schema["required"]:
        broken = {k: v for k, v in value.items() if k != name}
        assert not Draft202012Validator(schema).is_valid(broken)
        with pytest.raises(DecodeError):
            decode(channel.event, json.dumps(broken).encode())


@pytest.mark.parametrize(
    ("name", "field", "bad"),
    [
        ("sluicegate.request.v1", "messages", []),
        ("sluicegate.request.v1", "max_tokens", 0),
        ("sluicegate.request.v1", "version", 2),
        ("sluicegate.request.v1", "tenant", "a/b"),
        ("sluicegate.response.v1", "status", "done"),
        ("sluicegate.response.v1", "id", ""),
        ("sluicegate.moderation.v1", "risk", "extreme"),
        ("sluicegate.cost.v1", "usage", {"input_tokens": -1}),
        ("sluicegate.review-decision.v1", "action", "maybe"),
        ("sluicegate.review.v1", "state", None),
        ("sluicegate.draft.v1", "answer", 5),
        ("sluicegate.context.v1", "passages", [{}]),
    ],
)
def test_a_bad_value_is_refused_by_schema_and_codec(name, field, bad) -> None:
    channel, _, path = next(c.values for c in EXAMPLES if c.values[0].ce_type == name)
    broken = {**json.loads(path.read_bytes()), field: bad}
    assert not Draft202012Validator(json_schemas()[name]).is_valid(broken)
    with pytest.raises(DecodeError):
        decode(channel.event, json.dumps(broken).encode())


def test_keys_are_described_as_the_table_of_topics_does() -> None:
    assert {topic.name: topic.key for topic in TOPICS} == KEYS


def _references(value):
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)
