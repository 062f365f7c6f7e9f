"""Golden bytes: a change of what goes over the wire shows up here, as a changed file."""

import json

import pytest
from msgspec.structs import fields

from schemas.channels import CHANNELS
from schemas.codec import decode, encode
from tests.contracts.cases import EXAMPLES, GOLDEN

GREEDY = ("headings", "metadata", "labels", "variables", "filters", "image_url", "redacted", "scorers")
"""Maps whose keys are data: one more is no unknown field."""


@pytest.mark.parametrize(("channel", "example", "path"), EXAMPLES)
def test_an_event_is_written_as_its_golden_bytes(channel, example, path) -> None:
    assert encode(example) == path.read_bytes()


@pytest.mark.parametrize(("channel", "example", "path"), EXAMPLES)
def test_golden_bytes_are_read_as_the_event(channel, example, path) -> None:
    assert decode(channel.event, path.read_bytes()) == example


@pytest.mark.parametrize(("channel", "example", "path"), EXAMPLES)
def test_fields_of_a_later_minor_version_are_ignored_at_every_level(channel, example, path) -> None:
    later = json.dumps(_with_unknown_fields(json.loads(path.read_bytes()))).encode()
    assert later.count(b"added_later") >= 1
    assert decode(channel.event, later) == example


@pytest.mark.parametrize(("channel", "example", "path"), EXAMPLES)
def test_a_field_with_a_default_may_be_left_out_by_older_writers(channel, example, path) -> None:
    defaults = {name for name in channel.event.__struct_fields__ if name not in _required(channel.event)}
    value = {name: item for name, item in json.loads(path.read_bytes()).items() if name not in defaults}
    assert decode(channel.event, json.dumps(value).encode()).version == 1


def test_every_golden_file_belongs_to_an_event() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {case.values[2].name for case in EXAMPLES}


def test_a_full_example_says_something_in_every_field_that_may_be_left_out() -> None:
    """`error` excludes an answer; the others differ between kinds of response and score."""
    unsaid = {"GenerationResponse.error", "GenerationResponse.cached", "GenerationResponse.version"}
    for channel in CHANNELS:
        full = next(c.values[1] for c in EXAMPLES if c.values[0] is channel and c.id.endswith("-full"))
        silent = {f for f in full.__struct_fields__ if getattr(full, f) in (None, (), {}, "", [])}
        assert {f"{channel.event.__name__}.{f}" for f in silent} <= unsaid


def _required(event) -> set[str]:
    return {field.name for field in fields(event) if field.required}


def _with_unknown_fields(value):
    if isinstance(value, list):
        return [_with_unknown_fields(item) for item in value]
    if not isinstance(value, dict):
        return value
    known = {k: v if k in GREEDY else _with_unknown_fields(v) for k, v in value.items()}
    return {"added_later": {"deep": [1, None, "x"]}, **known}
