"""JSON Schema and AsyncAPI for other teams, made from the event types: `sluicegate schemas export` writes them."""

import json
from datetime import UTC, datetime
from inspect import cleandoc
from pathlib import Path
from typing import Any, get_args

import msgspec
import yaml

from schemas import channels
from schemas.channels import CHANNELS, Channel
from schemas.codec import encode
from schemas.dead_letter import DeadLetterReason
from schemas.examples import DEAD_LETTER, FULL, MINIMAL
from schemas.headers import ce_headers

Json = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ASYNCAPI_FILE = "asyncapi.yaml"
KEYS = {
    channels.REQUESTS: "conversation id, else request id",
    channels.CONTEXTS: "conversation id, else request id",
    channels.RETRIES: "conversation id, else request id",
    channels.DRAFTS: "conversation id, else request id",
    channels.RESPONSES: "conversation id, else request id",
    channels.REVIEWS: "tenant:request id",
    channels.REVIEW_DECISIONS: "request id",
    channels.MODERATION: "request id",
    channels.COSTS: "request id",
    channels.DEAD_LETTERS: "as it came",
}
"""What a record's key holds, in words."""

_INTERNAL = {channels.CONTEXTS, channels.RETRIES, channels.DRAFTS}
_RECEIVED = {channels.REQUESTS, channels.REVIEW_DECISIONS}
_TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def short_name(channel: Channel) -> str:
    """`request`, `review-decision`, ...: names files and messages."""
    return channel.ce_type.split(".")[1]


def json_schemas() -> dict[str, Json]:
    """A self-contained JSON Schema (2020-12) for every event, by its CloudEvents type.

    They allow fields they do not name, as readers must.
    """
    return {channel.ce_type: _json_schema(channel) for channel in CHANNELS}


def _json_schema(channel: Channel) -> Json:
    _, components = _components(channel, "#/$defs/{name}")
    body = components.pop(channel.event.__name__)
    head = {"$schema": DIALECT, "$id": f"urn:{channel.ce_type.replace('.', ':', 1)}"}
    schema = {**head, **body}
    return {**schema, "$defs": dict(sorted(components.items()))} if components else schema


def _components(channel: Channel, template: str) -> tuple[Json, dict[str, Json]]:
    (root,), components = msgspec.json.schema_components([channel.event], ref_template=template)
    return root, _tidied(components)


def _tidied(value: Any) -> Any:
    """Docstrings without their indentation, and no `discriminator`: OpenAPI's word, unknown to both dialects."""
    if isinstance(value, list | tuple):
        return [_tidied(item) for item in value]
    if not isinstance(value, dict):
        return value
    tidy = {name: _tidied(item) for name, item in value.items() if not _is_discriminator(name, item)}
    if isinstance(tidy.get("description"), str):
        tidy["description"] = cleandoc(tidy["description"])
    return tidy


def _is_discriminator(name: str, item: Any) -> bool:
    return name == "discriminator" and isinstance(item, dict) and "propertyName" in item


def asyncapi() -> Json:
    """The AsyncAPI 3.0 document of all topics, from Sluicegate's point of view: it receives requests."""
    messages = {short_name(channel): _message(channel) for channel in CHANNELS}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Sluicegate",
            "version": "1.0.0",
            "description": "Requests for generations in; answered, judged and accounted-for responses out.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "localhost:9092",
                "protocol": "kafka",
                "description": "A placeholder: your broker. An installation may put a prefix before topic names.",
            }
        },
        "channels": {**{short_name(c): _channel(c) for c in CHANNELS}, "dead-letter": _dead_letter_channel()},
        "operations": _operations(),
        "components": {
            "messages": {**messages, "dead-letter": _dead_letter_message()},
            "schemas": _all_components(),
        },
    }


def _all_components() -> dict[str, Json]:
    found: dict[str, Json] = {}
    for channel in CHANNELS:
        found.update(_components(channel, "#/components/schemas/{name}")[1])
    return dict(sorted(found.items()))


def _channel(channel: Channel) -> Json:
    name = short_name(channel)
    internal = {"x-internal": True} if channel.topic in _INTERNAL else {}
    return {
        "address": channel.topic,
        "title": channel.topic,
        "description": channel.description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        **internal,
    }


def _dead_letter_channel() -> Json:
    return {
        "address": channels.DEAD_LETTERS,
        "title": channels.DEAD_LETTERS,
        "description": "Records that could not be read, key and value bytes untouched, the reason in headers.",
        "messages": {"dead-letter": {"$ref": "#/components/messages/dead-letter"}},
    }


def _operations() -> dict[str, Json]:
    """Stages also read what other stages write; only what crosses the border is an operation of a public topic."""
    operations = {}
    for channel in CHANNELS:
        name = short_name(channel)
        verbs = (
            ("send", "receive")
            if channel.topic in _INTERNAL
            else ("receive",)
            if channel.topic in _RECEIVED
            else ("send",)
        )
        for verb in verbs:
            operations[f"{verb}-{name}"] = _operation(verb, name, channel.description)
    operations["send-dead-letter"] = _operation("send", "dead-letter", "What could not be read is set aside.")
    for channel in CHANNELS:
        if channel.topic in _INTERNAL:
            for verb in ("send", "receive"):
                operations[f"{verb}-{short_name(channel)}"]["tags"] = [{"name": "internal"}]
    return operations


def _operation(verb: str, name: str, summary: str) -> Json:
    return {
        "action": verb,
        "summary": summary,
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
    }


def _message(channel: Channel) -> Json:
    return {
        "name": channel.ce_type,
        "title": channel.event.__name__,
        "summary": channel.description,
        "contentType": "application/json",
        "headers": _headers_schema(channel),
        "payload": {"$ref": f"#/components/schemas/{channel.event.__name__}"},
        "bindings": _key_binding(channel.topic, {"type": "string"}),
        "examples": [_example(channel, "minimal"), _example(channel, "full")],
    }


def _key_binding(topic: str, key: Json) -> Json:
    return {"kafka": {"key": {**key, "description": KEYS[topic]}, "bindingVersion": "0.5.0"}}


def _headers_schema(channel: Channel) -> Json:
    """CloudEvents headers; a plain producer may leave out all of them."""
    texts = {
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_id": {"type": "string", "description": "The event's id; equal ids are repeats."},
        "ce_type": {"type": "string", "const": channel.ce_type},
        "ce_source": {"type": "string", "description": "Who wrote it, as a URI reference."},
        "ce_time": {"type": "string", "format": "date-time"},
        "content-type": {"type": "string", "const": "application/json"},
        "traceparent": {"type": "string", "description": "W3C trace context; carried on to what follows."},
    }
    required = [] if channel.topic in _RECEIVED else [name for name in texts if name != "traceparent"]
    return {"type": "object", "properties": texts, **({"required": required} if required else {})}


def _example(channel: Channel, size: str) -> Json:
    event = (MINIMAL if size == "minimal" else FULL)[channel.event]
    payload = json.loads(encode(event))
    source = "/example-producer" if channel.topic in _RECEIVED else "/sluicegate"
    event_id = payload.get("id") or "req-0001"
    headers = ce_headers(event, event_id, source, _TIME, _TRACEPARENT)
    return {
        "name": size,
        "headers": {name: value.decode() for name, value in headers},
        "payload": payload,
    }


def _dead_letter_message() -> Json:
    headers = {name: value.decode() for name, value in DEAD_LETTER.headers()}
    sometimes = [f"sluicegate.{name}" for name in ("field", "expected", "request_id", "tenant")]
    texts: dict[str, Json] = {name: {"type": "string"} for name in [*headers, *sometimes]}
    always = [name for name in headers if name not in sometimes]
    texts["sluicegate.reason"]["enum"] = list(get_args(DeadLetterReason))
    texts["sluicegate.field"]["description"] = "JSON path of what is wrong."
    texts["sluicegate.expected"]["description"] = "What should have been there."
    return {
        "name": "dead-letter",
        "title": "DeadLetter",
        "summary": "The record as it came, its own headers kept, these added.",
        "contentType": "application/octet-stream",
        "headers": {"type": "object", "properties": texts, "required": always},
        "payload": {"description": "The value's bytes as they came, or none."},
        "bindings": _key_binding(channels.DEAD_LETTERS, {}),
        "examples": [{"name": "invalid", "headers": headers, "payload": '{"max_tokens":"a"}'}],
    }


def write(directory: Path) -> list[Path]:
    """Write `jsonschema/NAME.json` and `asyncapi.yaml` under `directory`; returns the paths.

    The same types give the same bytes.
    """
    texts = {
        directory / "jsonschema" / f"{short_name(channel)}.json": _as_json(schema)
        for channel, schema in zip(CHANNELS, json_schemas().values(), strict=True)
    }
    texts[directory / ASYNCAPI_FILE] = as_yaml(asyncapi())
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(texts)


def _as_json(document: Json) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def as_yaml(document: Json) -> str:
    """Without anchors, which readers of the file find confusing."""
    dumper = type("PlainDumper", (yaml.SafeDumper,), {"ignore_aliases": lambda _self, _data: True})
    return yaml.dump(document, Dumper=dumper, sort_keys=False, allow_unicode=True, width=110)
