"""What a replay sends: the record as a worker is to read it again. Plain functions."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import msgspec
from msgspec.structs import replace

from agents.admission import usable_id
from agents.errors import SluicegateError
from schemas import channels
from schemas.codec import DecodeError, decode
from schemas.common import Event
from schemas.context import RetrievedContext
from schemas.dead_letter import HEADER_PREFIX, OWN_PREFIXES
from schemas.draft import Draft
from schemas.headers import read_headers
from schemas.identity import id_of, request_of
from schemas.request import GenerationRequest, PromptRef
from schemas.retry import Retry
from streams.dead_letters.choose import Wanted
from streams.dead_letters.letters import Headers, Place, Stored
from streams.topics import logical, physical

MAX_REPLAYS = 999


class CannotReplay(SluicegateError):
    """A letter that cannot go back, or not with that change; the others can."""

    def __init__(self, place: Place, reason: str, field: str, expected: str) -> None:
        self.place, self.reason, self.field, self.expected = place, reason, field, expected
        super().__init__(f"{place}: {field}: {reason} (expected {expected})")


@dataclass(frozen=True, slots=True)
class Change:
    """What a request is to be asked with instead; empty: as it was."""

    prompt: PromptRef | None = None
    model: str | None = None

    def __bool__(self) -> bool:
        return self.prompt is not None or self.model is not None

    @classmethod
    def of(cls, prompt: str | None, model: str | None) -> Self:
        """NAME or NAME@VERSION, and a model's name.

        Raises:
            SluicegateError: one cannot be a name.
        """
        if model is not None and not model.strip():
            raise SluicegateError("--model is empty; expected a model's name")
        return cls(_prompt(prompt) if prompt is not None else None, model)


def _prompt(text: str) -> PromptRef:
    name, _, version = text.partition("@")
    try:
        return msgspec.convert({"name": name, "version": version or "latest"}, PromptRef)
    except msgspec.ValidationError:
        raise SluicegateError(f"--prompt {text!r} is no prompt; expected NAME or NAME@VERSION") from None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record as it will be sent: `topic` as the broker names it, `said` for people.

    It goes to the partition it came from: a producer may place keys otherwise than we do, and a conversation's
    records are to stay together. Without one, the key decides.
    """

    place: Place
    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers
    said: str


def replayed(found: Stored, change: Change, prefix: str) -> Outgoing:
    """The record of a letter as a worker is to read it again.

    A request that can be read gets the next `replay`, so that its id does not count as used; what cannot be read
    goes back byte for byte. Fields we do not know stay as they are.

    Raises:
        CannotReplay: it does not say where it came from, or cannot take the change.
    """
    source, headers = _origin(found, prefix), own_headers(found.headers)
    held = _held(found, source)
    if isinstance(held, CannotReplay):
        if change:
            raise held
        return Outgoing(found.place, *_from(found), found.key, found.value, headers, "as it came")
    event, request = held
    if request.replay >= MAX_REPLAYS:
        field = ".".join(("$", *_PATHS[type(event)], "replay"))
        raise CannotReplay(found.place, "it was replayed too often", field, f"at most {MAX_REPLAYS} replays")
    again = _identified(replace(request, replay=request.replay + 1), found)
    kind, value = _edited(event, found.value or b"", _Edit(again, change))
    _check(found, kind, value)
    if kind is not GenerationRequest:
        named = {"ce_id": id_of(again, _KINDS[kind]), "ce_type": channels.BY_EVENT[kind].ce_type}
        headers = [(name, named[name].encode() if name in named else old) for name, old in headers]
    topic, partition = _from(found)
    if kind is not type(event):
        topic, partition = physical(channels.BY_EVENT[kind].topic, prefix), None
    return Outgoing(found.place, topic, partition, found.key, value, headers, _said(again, change))


def _held(found: Stored, source: str) -> tuple[Event, GenerationRequest] | CannotReplay:
    """The event and the request in it; for a record that holds none, why it takes no change."""
    try:
        event: Event = decode(channels.BY_TOPIC[source].event, found.value)
    except DecodeError as error:
        field, expected = error.field or "$", error.expected or "a request"
        return CannotReplay(found.place, f"it cannot be read: {error}", field, expected)
    request = request_of(event)
    if request is None or type(event) not in _PATHS:
        return CannotReplay(found.place, f"a record of {source} is not asked again", "$", "a request")
    return event, request


def _from(found: Stored) -> tuple[str, int | None]:
    assert found.letter is not None, "a letter without an origin is refused"
    return found.letter.topic, found.letter.partition


def own_headers(headers: Headers) -> Headers:
    """The headers that the record had before it was set aside."""
    return [(name, value) for name, value in headers if not name.startswith(OWN_PREFIXES)]


def _origin(found: Stored, prefix: str) -> str:
    field = f"{HEADER_PREFIX}topic"
    if found.letter is None:
        said = "it does not say where it came from: not set aside by us"
        raise CannotReplay(found.place, said, field, "the topic it came from")
    source = logical(found.letter.topic, prefix)
    if source not in channels.BY_TOPIC or physical(source, prefix) != found.letter.topic:
        said = f"it came from {found.letter.topic}, which is no topic of this installation"
        raise CannotReplay(found.place, said, field, f"a topic of ours, as {prefix}{channels.REQUESTS}")
    return source


_PATHS: Mapping[type[Event], tuple[str, ...]] = {
    GenerationRequest: (),
    RetrievedContext: ("request",),
    Retry: ("context", "request"),
    Draft: ("context", "request"),
}
"""Where an event holds its request."""

_KINDS: Mapping[type[Event], str] = {RetrievedContext: "context", Retry: "retry", Draft: "draft"}
"""What the ids of events are made of, besides the request."""

_SPENT = ("attempts", "give_up")
"""A context's record of earlier attempts: a replay starts anew."""


def _identified(request: GenerationRequest, found: Stored) -> GenerationRequest:
    """With the id it had: a request without one was named after its record, and would get another name there."""
    if request.id is not None or found.letter is None:
        return request
    header = read_headers([(name, value) for name, value in found.headers if value is not None]).id
    letter = found.letter
    position = f"{letter.topic}-{letter.partition}-{letter.offset}"
    return replace(request, id=usable_id(header) or position)


Fields = dict[str, msgspec.Raw]
"""An object's fields by name, each with the very bytes it holds."""


@dataclass(frozen=True, slots=True)
class _Edit:
    """The edit of one record, from the request outwards: each method changes the fields of one object."""

    again: GenerationRequest
    change: Change

    def of_request(self, fields: Fields) -> None:
        _set(fields, id=self.again.id, replay=self.again.replay)
        if self.change.model is not None:
            _set(fields, model=self.change.model)
        if self.change.prompt is not None:
            _put(fields, "prompt", self.of_prompt)

    def of_prompt(self, fields: Fields) -> None:
        assert self.change.prompt is not None
        _set(fields, name=self.change.prompt.name, version=self.change.prompt.version)

    def of_context(self, fields: Fields) -> None:
        _put(fields, "request", self.of_request)
        _set(fields, id=id_of(self.again, "context"))
        for spent in _SPENT:
            fields.pop(spent, None)
        if self.change:
            # Under this key the answer would be found by those who ask with the old prompt and model.
            fields.pop("cache_key", None)

    def of_retry(self, fields: Fields) -> None:
        _put(fields, "context", self.of_context)
        _set(fields, id=id_of(self.again, "retry"))

    def of_draft(self, fields: Fields) -> None:
        _put(fields, "context", self.of_context)
        _set(fields, id=id_of(self.again, "draft"))


def _edited(event: Event, value: bytes, edit: _Edit) -> tuple[type[Event], bytes]:
    """The record with its request changed, and its type: a draft becomes its context when it must be made again."""
    match event:
        case RetrievedContext():
            return RetrievedContext, _json(value, edit.of_context)
        case Retry():
            return Retry, _json(value, edit.of_retry)
        case Draft() if edit.change:
            context = bytes(msgspec.json.decode(value, type=Fields)["context"])
            return RetrievedContext, _json(context, edit.of_context)
        case Draft():
            return Draft, _json(value, edit.of_draft)
    return GenerationRequest, _json(value, edit.of_request)


def _json(value: bytes, edit: Callable[[Fields], None]) -> bytes:
    """An object with some of its fields changed; the others keep their very bytes, whatever they hold."""
    fields = msgspec.json.decode(value, type=Fields)
    edit(fields)
    return msgspec.json.encode(fields)


def _put(fields: Fields, name: str, edit: Callable[[Fields], None]) -> None:
    """Change the object that a field holds; a new one where there is none."""
    held = bytes(fields.get(name, b"null"))
    fields[name] = msgspec.Raw(_json(b"{}" if held == b"null" else held, edit))


def _set(fields: Fields, **values: object) -> None:
    fields.update({name: msgspec.Raw(msgspec.json.encode(value)) for name, value in values.items()})


def _check(found: Stored, kind: type[Event], value: bytes) -> None:
    try:
        decode(kind, value)
    except DecodeError as error:
        where, expected = error.field or "$", error.expected or "another value"
        raise CannotReplay(found.place, f"it could not be read again: {error}", where, expected) from None


def _said(again: GenerationRequest, change: Change) -> str:
    said = [f"{again.tenant}/{again.id}", f"replay {again.replay}"]
    if change.prompt is not None:
        said.append(f"prompt {change.prompt.name}@{change.prompt.version}")
    if change.model is not None:
        said.append(f"model {change.model}")
    return ", ".join(said)


def plan(
    letters: Iterable[Stored], wanted: Wanted, change: Change, prefix: str
) -> tuple[list[Outgoing], list[CannotReplay]]:
    """What a replay sends, and what it leaves out with why.

    Raises:
        SluicegateError: a letter that was named is not there or cannot go: then nothing does.
    """
    sent: list[Outgoing] = []
    left: list[CannotReplay] = []
    for found in sorted((one for one in letters if one in wanted), key=lambda one: one.timestamp_ms):
        try:
            sent.append(replayed(found, change, prefix))
        except CannotReplay as error:
            left.append(error)
    wanted.check_found({one.place for one in sent} | {error.place for error in left})
    if wanted.places and left:
        raise SluicegateError("\n".join(["nothing was sent:", *(str(error) for error in left)]))
    return sent, left
