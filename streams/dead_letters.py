"""Dead letters for those who tend them: choose some, put them back where they came from, remove them.

Choosing and the edit of a replayed record are plain functions; below them is what talks to the broker. Records are
written through aiokafka, because kafka-python sends no header without a value, and a letter's bytes are to stay.
"""

import asyncio
import dataclasses
import re
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Any, Self, TypeVar, get_args

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError as WriteError
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError
from msgspec.structs import replace

from agents.errors import ConfigurationError, SluicegateError, UnknownPart
from schemas import channels
from schemas.codec import DecodeError, decode
from schemas.common import Event
from schemas.context import RetrievedContext
from schemas.dead_letter import HEADER_PREFIX, DeadLetter, DeadLetterReason
from schemas.draft import Draft
from schemas.headers import read_headers
from schemas.identity import id_of, request_of
from schemas.request import GenerationRequest, PromptRef
from schemas.retry import Retry
from streams.provision import missing_topics
from streams.publisher import new_producer
from streams.settings import Settings
from streams.topics import MAX_RECORD_BYTES, logical, physical

Headers = Sequence[tuple[str, bytes | None]]

MAX_REPLAYS = 999
_HEAD_BYTES = 40
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"(\d{1,5})([smhdw])")
_PLACE = re.compile(r"(\d{1,9}):(\d{1,18})")


# Letters, and which of them are meant.


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a letter is in `genai.dead-letters`."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"

    @classmethod
    def of(cls, text: str) -> Self:
        """`3:17` as `dlq list` shows it.

        Raises:
            SluicegateError: it is no place.
        """
        match = _PLACE.fullmatch(text)
        if match is None:
            raise SluicegateError(f"{text!r} is no place; expected PARTITION:OFFSET, as `dlq list` shows it")
        return cls(int(match[1]), int(match[2]))


@dataclass(frozen=True, slots=True)
class Stored:
    """One record of `genai.dead-letters`; `letter` is None where somebody else wrote it."""

    place: Place
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    letter: DeadLetter | None

    @property
    def time(self) -> datetime:
        """When it was set aside."""
        return datetime.fromtimestamp(max(self.timestamp_ms, 0) / 1_000, UTC)


def stored(record: Any) -> Stored:
    """A record as kafka-python shapes it."""
    headers = [(name, value) for name, value in record.headers]
    return Stored(
        place=Place(record.partition, record.offset),
        timestamp_ms=record.timestamp,
        key=record.key,
        value=record.value,
        headers=headers,
        letter=_letter(headers),
    )


def head(found: Stored) -> Stored:
    """The letter with the first bytes of its value only, for lists: there may be many, and large ones."""
    return dataclasses.replace(found, value=found.value and found.value[:_HEAD_BYTES])


def _letter(headers: Headers) -> DeadLetter | None:
    try:
        return DeadLetter.from_headers([(name, value) for name, value in headers if value is not None])
    except (KeyError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters are meant: those that every given condition holds for; without any, all."""

    reasons: Collection[str] = ()
    tenant: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    topic: str | None = None
    """The source topic as the broker names it."""
    places: Collection[Place] = ()

    def __bool__(self) -> bool:
        return bool(self.reasons or self.tenant or self.since or self.until or self.topic or self.places)

    def __contains__(self, found: Stored) -> bool:
        letter = found.letter
        return (
            (not self.places or found.place in self.places)
            and (not self.reasons or (letter is not None and letter.reason in self.reasons))
            and (self.tenant is None or (letter is not None and letter.tenant == self.tenant))
            and (self.topic is None or (letter is not None and letter.topic == self.topic))
            and (self.since is None or found.time >= self.since)
            and (self.until is None or found.time < self.until)
        )

    def check_found(self, found: Collection[Place]) -> None:
        """Every place that was named must be among those found.

        Raises:
            SluicegateError: some are not.
        """
        if absent := sorted(place for place in self.places if place not in found):
            names = ", ".join(str(place) for place in absent)
            raise SluicegateError(f"no such dead letter: {names}; see: sluicegate dlq list")


def wanted(
    prefix: str,
    now: datetime,
    *,
    reasons: Iterable[str] = (),
    tenant: str | None = None,
    since: str | None = None,
    until: str | None = None,
    topic: str | None = None,
    places: Iterable[str] = (),
) -> Wanted:
    """The conditions as they were typed.

    Raises:
        SluicegateError: one of them is not what it should be.
    """
    known = get_args(DeadLetterReason)
    for reason in (reasons := tuple(reasons)):
        if reason not in known:
            raise UnknownPart("reason", reason, list(known))
    return Wanted(
        reasons=reasons,
        tenant=tenant,
        since=instant(since, now) if since else None,
        until=instant(until, now) if until else None,
        topic=_source(topic, prefix) if topic else None,
        places=frozenset(map(Place.of, places)),
    )


def instant(text: str, now: datetime) -> datetime:
    """`2026-01-02T03:04:05Z` (UTC where it names no zone), or `30m`, `2h`, `3d` before now.

    Raises:
        SluicegateError: it is neither.
    """
    if span := _SPAN.fullmatch(text):
        return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        expected = "expected 2026-01-02T03:04:05Z, or 30m, 2h, 3d for so long ago"
        raise SluicegateError(f"{text!r} is no time; {expected}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _source(text: str, prefix: str) -> str:
    """`requests`, `genai.requests` or the broker's name of it, as the broker's name."""
    for name in channels.BY_TOPIC:
        if text in (name, name.removeprefix("genai."), physical(name, prefix)):
            return physical(name, prefix)
    raise UnknownPart("topic", text, list(channels.BY_TOPIC))


# What a replay sends.


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


R = TypeVar("R", Stored, Outgoing)


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
    return [(name, value) for name, value in headers if not name.startswith((HEADER_PREFIX, "sluicegate."))]


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
    named = header if _usable(header) else f"{letter.topic}-{letter.partition}-{letter.offset}"
    return replace(request, id=named)


def _usable(header: str | None) -> bool:
    """Whether admission takes this `ce_id` for the id of a request."""
    return bool(header and len(header) <= 128 and header.isprintable() and " " not in header)


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


# The broker.

_POLL_MS = 300
_TAIL_S = 2.0
_PATIENCE_S = 20.0
_CHUNK_RECORDS, _CHUNK_BYTES = 1_000, 2 * MAX_RECORD_BYTES


def read(settings: Settings) -> Iterator[Stored]:
    """The letters that are there now, those of a partition in order, and perhaps some that come meanwhile.

    Raises:
        ConfigurationError: no broker answers, or it has no such topic.
    """
    try:
        with closing(_consumer(settings)) as consumer:
            yield from _until_end(consumer)
    except KafkaError as error:
        raise _no_broker(settings, error) from None


def _until_end(consumer: Any) -> Iterator[Stored]:
    ends = consumer.end_offsets(consumer.assignment())
    last, reached = time.monotonic(), None
    while True:
        batches = consumer.poll(timeout_ms=_POLL_MS)
        for records in batches.values():
            yield from map(stored, records)
        now = time.monotonic()
        last = now if batches else last
        if reached is None and all(consumer.position(place) >= end for place, end in ends.items()):
            reached = now
        # The embedded broker names the start of the last batch as the end: only a silence tells that it was read.
        if reached is not None and (not batches or now - reached > _TAIL_S):
            return
        if now - last > _PATIENCE_S:
            raise ConfigurationError(
                f"the broker sent nothing for {_PATIENCE_S:.0f} s before the topic's end"
            )


def _consumer(settings: Settings) -> Any:
    name = physical(channels.DEAD_LETTERS, settings.topic_prefix)
    consumer = KafkaConsumer(
        bootstrap_servers=settings.broker.split(","),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_bytes=MAX_RECORD_BYTES,
        allow_auto_create_topics=False,
        bootstrap_timeout_ms=10_000,
    )
    numbers = consumer.partitions_for_topic(name)
    if not numbers:
        consumer.close()
        where = f"{settings.broker} has no topic {name}"
        raise ConfigurationError(f"{where}; run: sluicegate topics create")
    partitions = [TopicPartition(name, number) for number in sorted(numbers)]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    return consumer


def _no_broker(settings: Settings, error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"the broker at {settings.broker} does not serve us ({type(error).__name__}); "
        "start one with `sluicegate up`, or set SLUICEGATE_BROKER"
    )


def send(settings: Settings, records: Sequence[Outgoing]) -> None:
    """Publish replayed records; returns once the broker has confirmed all of them.

    Raises:
        ConfigurationError: the broker is away, refuses, or lacks a topic. Some may have been sent: a worker sets
            aside what comes twice.
    """
    if absent := sorted({record.topic for record in records} & set(missing_topics(settings))):
        where = f"{settings.broker} has no topic {', '.join(absent)}"
        raise ConfigurationError(f"{where}; run: sluicegate topics create")
    for chunk in _chunks(records):
        _with_producer(settings, partial(_send, records=chunk))


async def _send(producer: AIOKafkaProducer, records: Sequence[Outgoing]) -> None:
    confirmed = []
    for one in records:
        # aiokafka sends no record without both key and value: an empty key stands for the missing one.
        key = b"" if one.key is None and one.value is None else one.key
        there = one.partition in await producer.partitions_for(one.topic)
        partition = one.partition if there else None
        confirmed.append(await producer.send(one.topic, one.value, key, partition, headers=one.headers))
    await asyncio.gather(*confirmed)


@dataclass(frozen=True, slots=True)
class Purge:
    """What a purge is about to do: the letters it removes, and where it deletes."""

    removed: Sequence[Stored]
    begins: Mapping[int, int]
    """The first offset of each partition that it deletes from."""
    ends: Mapping[int, int]
    """The offset after its last letter to be removed: everything before goes, what stays being written again."""


def purge_of(letters: Iterable[Stored], wanted: Wanted) -> Purge:
    """Look at every letter, and note which are meant.

    Raises:
        SluicegateError: one that was named is not there.
    """
    removed: list[Stored] = []
    begins: dict[int, int] = {}
    ends: dict[int, int] = {}
    for found in letters:
        partition, offset = found.place.partition, found.place.offset
        begins.setdefault(partition, offset)
        if found in wanted:
            removed.append(head(found))
            ends[partition] = offset + 1
    wanted.check_found({found.place for found in removed})
    return Purge(removed, {partition: begins[partition] for partition in ends}, ends)


def purge(settings: Settings, planned: Purge) -> int:
    """Remove letters; returns how many others had to move for it, and so have another place now.

    Kafka deletes only from the beginning of a partition. What is to stay is therefore written again to its end, with
    the same bytes, key, headers and timestamp, and confirmed, before anything is deleted. A crash between the two
    leaves letters twice and loses none.

    Raises:
        ConfigurationError: the broker is away or cannot delete; the message says whether letters are there twice.
    """
    _delete(settings, planned.begins, "nothing was changed")  # deletes nothing: asks whether the broker can
    moved, left = 0, dict(planned.ends)
    meant = {found.place for found in planned.removed}
    for chunk in _chunks(_up_to(read(settings), left)):
        kept = [found for found in chunk if found.place not in meant]
        _rewrite(settings, kept)
        moved += len(kept)
    if left:
        raise ConfigurationError(
            "the letters changed while they were purged, and none was removed; those that stay may be there twice; "
            "look with: sluicegate dlq list"
        )
    _delete(settings, planned.ends, "letters that stay are there twice, none is lost")
    return moved


def _up_to(letters: Iterable[Stored], ends: dict[int, int]) -> Iterator[Stored]:
    """Letters before the ends; a partition is taken out of `ends` once its last one was there."""
    for found in letters:
        end = ends.get(found.place.partition, 0)
        if found.place.offset < end:
            yield found
        if found.place.offset == end - 1:
            del ends[found.place.partition]
        if not ends:
            return


def _chunks(records: Iterable[R]) -> Iterator[list[R]]:
    """Some records at a time: many small ones, or a few large ones."""
    chunk: list[R] = []
    held = 0
    for one in records:
        chunk.append(one)
        held += len(one.value or b"")
        if len(chunk) >= _CHUNK_RECORDS or held >= _CHUNK_BYTES:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


def _delete(settings: Settings, before: Mapping[int, int], otherwise: str) -> None:
    """Delete what stands before an offset in each partition."""
    name = physical(channels.DEAD_LETTERS, settings.topic_prefix)
    try:
        with closing(KafkaAdminClient(bootstrap_servers=settings.broker.split(","))) as admin:
            admin.delete_records({TopicPartition(name, number): offset for number, offset in before.items()})
    except KafkaError as error:
        raise ConfigurationError(
            f"the broker at {settings.broker} does not delete records ({type(error).__name__}); {otherwise}. "
            "Apache Kafka can (DeleteRecords, with the right to delete on the topic); the embedded broker cannot: "
            f"it forgets its letters when it stops. Elsewhere let the retention of {name} remove them"
        ) from None


def _rewrite(settings: Settings, kept: Sequence[Stored]) -> None:
    name = physical(channels.DEAD_LETTERS, settings.topic_prefix)
    _with_producer(settings, partial(_append, name=name, kept=kept))


async def _append(producer: AIOKafkaProducer, name: str, kept: Sequence[Stored]) -> None:
    by_partition = sorted(kept, key=lambda found: found.place)
    for partition, letters in groupby(by_partition, key=lambda found: found.place.partition):
        waiting = list(letters)
        while waiting:
            batch = producer.create_batch()
            taken = _fill(batch, waiting)
            # One batch after the other, so that they keep their order.
            await (await producer.send_batch(batch, name, partition=partition))
            waiting = waiting[taken:]


def _fill(batch: Any, letters: Sequence[Stored]) -> int:
    """How many letters the batch took; it takes the first one whatever its size."""
    for number, found in enumerate(letters):
        headers = list(found.headers)
        if (
            batch.append(timestamp=found.timestamp_ms, key=found.key, value=found.value, headers=headers)
            is None
        ):
            return number
    return len(letters)


def _with_producer(settings: Settings, use: Callable[[AIOKafkaProducer], Awaitable[None]]) -> None:
    async def connected() -> None:
        producer = new_producer(settings)
        try:
            await producer.start()
            await use(producer)
        finally:
            await producer.stop()

    try:
        asyncio.run(connected())
    except WriteError as error:
        raise _no_broker(settings, error) from None
