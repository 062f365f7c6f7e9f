"""`sluicegate tail`: follow a topic."""

import json as json_
from typing import Annotated, Any

import typer

from agents.errors import UnknownPart
from streams.cli import common

_SHOWN = (
    "request_id",
    "id",
    "tenant",
    "status",
    "stage",
    "state",
    "kind",
    "action",
    "reviewer",
    "decided_by",
    "decision",
    "amount",
    "currency",
    "error",
    "cached",
    "choices",
    "answer",
)


def tail(
    topic: Annotated[
        str, typer.Argument(help="responses, costs, moderation, dead-letters, ... or the whole name.")
    ],
    start: Annotated[str, typer.Option("--from", help="beginning or latest.")] = "latest",
    limit: Annotated[int | None, typer.Option(help="Stop after so many.")] = None,
    idle: Annotated[float | None, typer.Option(help="Stop when nothing came for so many seconds.")] = None,
    json: common.JsonOption = False,
    broker: common.BrokerOption = None,
) -> None:
    """Print the events of a topic as they come, a line each.

    Example: `sluicegate tail responses --from beginning --limit 10`
    """
    from streams.client import Client

    if start not in ("beginning", "latest"):
        raise UnknownPart("start", start, ["beginning", "latest"])
    name = full_name(topic)
    with Client(common.settings(broker=broker)) as client:
        records = client.records(name, from_beginning=start == "beginning", idle_s=idle)
        for number, record in enumerate(records, start=1):
            typer.echo(as_json(record) if json else as_line(name, record))
            if number == limit:
                break


def full_name(topic: str) -> str:
    """`responses` to `genai.responses`.

    Raises:
        UnknownPart: it is none of our topics.
    """
    from streams.topics import TOPICS

    names = [known.name for known in TOPICS]
    for name in names:
        if topic in (name, name.removeprefix("genai.")):
            return name
    raise UnknownPart("topic", topic, names)


def as_json(record: Any) -> str:
    """A record with its place and headers; a value that is no JSON is shown as text."""
    return json_.dumps(
        {
            "partition": record.partition,
            "offset": record.offset,
            "key": _text(record.key),
            "headers": {name: _text(value) for name, value in record.headers},
            "value": _value(record.value),
        }
    )


def as_line(topic: str, record: Any) -> str:
    """What matters of an event, in one line."""
    place = f"{record.partition}:{record.offset}"
    if topic == "genai.dead-letters":
        headers = {name: _text(value) for name, value in record.headers}
        said = " ".join(
            str(headers.get(f"sluicegate.{name}", "-")) for name in ("reason", "field", "expected")
        )
        return f"{place} {said}  {(record.value or b'')[:60]!r}"
    body = _value(record.value)
    if not isinstance(body, dict):
        return f"{place} {body!r}"
    shown = {key: body[key] for key in _SHOWN if body.get(key) not in (None, [], {})}
    return f"{place} " + " ".join(f"{key}={_short(value)}" for key, value in shown.items())


def _short(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("action") or value.get("code") or value
    if isinstance(value, list) and value and "message" in value[0]:
        value = value[0]["message"]["content"]
    text = str(value).replace("\n", " ")
    return text if len(text) <= 80 else f"{text[:77]}..."


def _value(value: bytes | None) -> Any:
    try:
        return json_.loads(value) if value is not None else None
    except ValueError:
        return _text(value)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "backslashreplace")
