"""Dead letters on real brokers: chosen, put back, removed."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from msgspec.structs import replace

from agents.errors import ConfigurationError
from schemas.codec import encode
from schemas.context import RetrievedContext
from schemas.dead_letter import DeadLetter, DeadLetterReason
from schemas.draft import Draft
from schemas.examples import FULL, MINIMAL
from schemas.headers import ce_headers
from streams.dead_letters import Wanted, purge, purge_of
from streams.dead_letters import read as read_letters
from streams.settings import load_settings
from tests.integration.harness import Installation, count, producer, read, worker

pytestmark = pytest.mark.integration

NOW = datetime.now(UTC).replace(microsecond=0)
REQUEST = b'{"id": "r-1", "tenant": "shop", "messages": [{"role": "user", "content": "hi"}], "later": 1.10}'


@dataclass(frozen=True)
class Letter:
    """A dead letter to be written by hand, or as it was read."""

    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp_ms: int
    partition: int = 0
    key: bytes | None = b"r-1"


def letter(
    at: Installation,
    value: bytes | None,
    topic: str = "genai.requests",
    reason: DeadLetterReason = "handler_error",
    *,
    tenant: str | None = None,
    age: timedelta = timedelta(minutes=1),
    attempts: int | None = None,
    came_from: int = 2,
    own: tuple[tuple[str, bytes | None], ...] = (),
    **rest: Any,
) -> Letter:
    why = DeadLetter(
        topic=at.topic(topic),
        partition=came_from,
        offset=17,
        stage="any",
        reason=reason,
        message="it failed",
        tenant=tenant,
        attempts=attempts,
    )
    stamp = int((NOW - age).timestamp() * 1_000)
    return Letter(value, (*own, *why.headers()), stamp, **rest)


def write(at: Installation, *letters: Letter) -> None:
    client = producer(at)
    for one in letters:
        client.produce(
            at.topic("genai.dead-letters"),
            one.value,
            one.key,
            one.partition,
            timestamp=one.timestamp_ms,
            headers=list(one.headers),
        )
        client.flush(10)  # one by one: a batch of one record each, so that offsets and ends are plain


def letters(at: Installation) -> list[Letter]:
    """What is in the dead letters now, read until silent, in the order of each partition."""
    found = []
    consumer = Consumer(
        {"bootstrap.servers": at.bootstrap, "group.id": "verifier", "auto.offset.reset": "earliest"}
    )
    topic = at.topic("genai.dead-letters")
    try:
        numbers = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in numbers])
        while (message := consumer.poll(2.0)) is not None:
            assert message.error() is None
            found.append(
                Letter(
                    message.value(),
                    tuple(message.headers() or ()),
                    message.timestamp()[1],
                    message.partition(),
                    message.key(),
                )
            )
    finally:
        consumer.close()
    return sorted(found, key=lambda one: one.partition)


@pytest.fixture
def at(installation: Installation) -> Installation:
    installation.create_topics()
    return installation


def test_letters_are_listed_by_every_condition(at: Installation) -> None:
    write(
        at,
        letter(at, b"not json", reason="not_json", age=timedelta(hours=5)),
        letter(at, REQUEST, reason="invalid", tenant="shop", age=timedelta(hours=3), partition=1),
        letter(
            at, b"{}", "genai.contexts", "model_timeout", tenant="bank", age=timedelta(hours=1), attempts=4
        ),
        Letter(b"whose", (("note", None),), int(NOW.timestamp() * 1_000), partition=3),
    )

    def places(*arguments: str) -> list[str]:
        return [row["at"] for row in json.loads(at.run("dlq", "list", "--json", *arguments).stdout)]

    assert places() == ["0:0", "1:0", "0:1", "3:0"]
    assert places("--reason", "invalid", "--reason", "model_timeout") == ["1:0", "0:1"]
    assert places("--tenant", "bank") == ["0:1"]
    assert places("--since", "4h", "--until", "2h") == ["1:0"]
    assert places("--topic", "contexts") == ["0:1"]
    assert places("3:0", "0:0") == ["0:0", "3:0"]
    assert places("--limit", "2") == ["0:1", "3:0"]
    (row,) = json.loads(at.run("dlq", "list", "--json", "0:1").stdout)
    assert (row["attempts"], row["reason"]) == (4, "model_timeout")
    assert row["time"] == (NOW - timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    said = at.run("dlq", "list", "--limit", "3").stdout
    assert "4 dead letters: " in said
    assert "not_json 1" in said
    assert "the last 3 shown" in said
    assert f"time: {row['time']}" in at.run("dlq", "show", "0:1").stdout
    absent = at.run("dlq", "list", "3:9", check=False)
    assert (absent.returncode, "no such dead letter: 3:9" in absent.stderr) == (2, True)


def test_letters_go_back_to_where_they_came_from(at: Installation) -> None:
    own = (("trace", b"\x00\xff"), ("note", None))
    write(
        at,
        letter(at, REQUEST, own=own),
        letter(at, b"not json", reason="not_json", key=None),
        letter(at, encode(FULL[Draft]), "genai.drafts", came_from=7),  # a partition that is no more
        Letter(b"whose", (), int(NOW.timestamp() * 1_000)),
    )
    before = letters(at)
    refused = at.run("dlq", "replay", check=False)
    assert (refused.returncode, "or --all" in refused.stderr) == (2, True)
    shown = at.run("dlq", "replay", "--all", "--dry-run").stdout
    assert f"0:0 -> {at.topic('genai.requests')}: shop/r-1, replay 1" in shown
    assert f"would replay: {at.topic('genai.drafts')} 1, {at.topic('genai.requests')} 2; left: 1" in shown
    done = at.run("dlq", "replay", "--all").stdout
    assert "left: 0:3: __connect.errors.topic: it does not say where it came from" in done
    requests = read(at, "genai.requests", lambda seen: len(seen) >= 2)
    (again,) = [one for one in requests if one.key == b"r-1"]
    assert again.json == {**json.loads(REQUEST), "replay": 1}
    assert b"1.10" in (again.value or b"")
    assert again.headers == {"trace": "\x00�", "note": ""}
    (as_it_came,) = [one for one in requests if one.key is None]
    assert (as_it_came.value, as_it_came.headers) == (b"not json", {})
    assert again.partition == as_it_came.partition == 2
    (draft,) = read(at, "genai.drafts", lambda seen: len(seen) >= 1)
    first = FULL[Draft]
    assert isinstance(first, Draft)
    assert draft.json["context"]["request"]["replay"] == first.context.request.replay + 1
    assert draft.json["answer"] == first.answer
    assert letters(at) == before


def test_letters_go_back_with_another_prompt_and_model(at: Installation) -> None:
    context, draft = FULL[RetrievedContext], FULL[Draft]
    assert isinstance(context, RetrievedContext)
    own = tuple(ce_headers(draft, "some-id", "/test", NOW))
    write(
        at,
        letter(at, encode(context), "genai.contexts", "model_timeout", attempts=4),
        letter(at, encode(draft), "genai.drafts", own=own),
        letter(at, b"not json", reason="not_json"),
    )
    change = ("--prompt", "answer@v2", "--model", "large-chat")
    refused = at.run("dlq", "replay", "0:0", "0:2", *change, check=False)
    assert refused.returncode == 2
    assert "nothing was sent:\n0:2: $: it cannot be read" in refused.stderr
    assert "(expected a JSON object)" in refused.stderr
    done = at.run("dlq", "replay", "--all", *change).stdout
    assert f"replayed: {at.topic('genai.contexts')} 2; left: 1" in done
    both = read(at, "genai.contexts", lambda seen: len(seen) >= 2)
    assert len(both) == 2
    for one in both:
        request = one.json["request"]
        assert (request["prompt"]["name"], request["prompt"]["version"]) == ("answer", "v2")
        assert request["model"] == "large-chat"
        assert len(one.json["passages"]) == len(context.passages)
    assert [one.headers["ce_type"] for one in both if one.headers] == ["sluicegate.context.v1"]


def test_a_purge_keeps_the_others_byte_for_byte(kafka, at: Installation) -> None:
    at.extra["SLUICEGATE_IDEMPOTENCE"] = str(kafka.name == "apache").lower()
    kept = [
        letter(at, b"\x00 first", tenant="shop", own=(("trace", b"\xff"), ("note", None))),
        letter(at, None, tenant="shop", key=None, age=timedelta(days=2)),
        letter(at, b"x" * 700_000, tenant="shop", key=b""),
        letter(at, b"", tenant="shop"),
        letter(at, b"elsewhere", tenant="shop", partition=2),
        Letter(b"whose", (), int(NOW.timestamp() * 1_000)),
    ]
    gone = [letter(at, b"gone", tenant="bank", partition=number) for number in (0, 0, 1)]
    after = letter(at, b"after the last that goes", tenant="shop")
    write(at, gone[0], *kept, gone[1], gone[2], after)
    before = letters(at)
    assert "purged" not in at.run("dlq", "purge", "--tenant", "nobody").stdout
    shown = at.run("dlq", "purge", "--tenant", "bank", "--dry-run").stdout
    assert "would purge 3 dead letters: handler_error 3" in shown
    assert letters(at) == before
    done = at.run("dlq", "purge", "--tenant", "bank", check=False)
    if kafka.name == "embedded":
        assert done.returncode == 2
        assert "does not delete records" in done.stderr
        assert "nothing was changed" in done.stderr
        assert letters(at) == before
        return
    assert "purged 3 dead letters: handler_error 3; 5 that stay have another place now" in done.stdout
    of = {number: [one for one in letters(at) if one.partition == number] for number in range(4)}
    stayed = [one for one in kept if one.partition == 0]
    assert of == {0: [after, *stayed], 1: [], 2: [kept[4]], 3: []}
    at.run("dlq", "purge", "--all")
    assert letters(at) == []
    assert at.run("dlq", "list").stdout.strip() == "no dead letters"


def test_a_purge_that_was_overtaken_loses_nothing(apache_kafka, redis_url, tmp_path) -> None:
    at = Installation(apache_kafka.bootstrap, redis_url, tmp_path)
    at.create_topics()
    write(at, letter(at, b"kept", tenant="shop"), letter(at, b"gone", tenant="bank"))
    settings = load_settings(broker=at.bootstrap, topic_prefix=at.prefix, idempotence=False)
    planned = purge_of(read_letters(settings), Wanted(tenant="bank"))
    at.run("dlq", "purge", "--tenant", "bank")
    write(at, letter(at, b"new", tenant="bank"))
    with pytest.raises(ConfigurationError, match="the letters changed while they were purged"):
        purge(settings, planned)
    assert [one.value for one in letters(at)] == [b"kept", b"new"]


def test_a_request_whose_id_was_used_is_answered_when_replayed_and_only_once(at: Installation) -> None:
    def answers(wanted: int) -> list[tuple[str, str]]:
        seen = read(at, "genai.responses", lambda found: len(found) >= wanted)
        return sorted((one.json["id"], one.json["status"]) for one in seen)

    def set_aside(wanted: int) -> list[tuple[str, str]]:
        seen = read(at, "genai.dead-letters", lambda found: len(found) >= wanted)
        return [(one.headers["sluicegate.reason"], one.headers["sluicegate.request_id"]) for one in seen]

    with worker(at):
        client = producer(at)
        for _ in range(2):
            client.produce(at.topic("genai.requests"), REQUEST, b"r-1", 1)
        client.flush(10)
        assert set_aside(1) == [("duplicate_id", "r-1")]
        (place,) = [row["at"] for row in json.loads(at.run("dlq", "list", "--json").stdout)]
        at.run("dlq", "replay", place)
        both = [("shop:r-1:response", "completed"), ("shop:r-1:response:replay-1", "completed")]
        assert answers(2) == both
        at.run("dlq", "replay", place)
        assert set_aside(2) == [("duplicate_id", "r-1")] * 2
        assert count(at, "genai.responses") == 2
    assert answers(2) == both


def test_a_context_that_no_model_answered_is_answered_when_replayed(at: Installation) -> None:
    context = MINIMAL[RetrievedContext]
    assert isinstance(context, RetrievedContext)
    spent = replace(context, attempts=8, give_up=NOW - timedelta(hours=1))
    write(at, letter(at, encode(spent), "genai.contexts", "model_unavailable", attempts=8))
    with worker(at):
        at.run("dlq", "replay", "--reason", "model_unavailable")
        (answer,) = read(at, "genai.responses", lambda seen: len(seen) >= 1)
    assert (answer.json["id"], answer.json["status"]) == ("default:req-0001:response:replay-1", "completed")


def test_a_record_that_was_set_aside_by_a_worker_comes_back_and_is_set_aside_again(at: Installation) -> None:
    with worker(at):
        client = producer(at)
        client.produce(at.topic("genai.requests"), b"not json", b"k", headers=[("own", b"1")])
        client.flush(10)
        read(at, "genai.dead-letters", lambda seen: len(seen) >= 1)
        at.run("dlq", "replay", "--reason", "not_json")
        first, second = read(at, "genai.dead-letters", lambda seen: len(seen) >= 2)
    assert first.value == second.value == b"not json"
    assert first.key == second.key == b"k"
    assert first.headers["__connect.errors.offset"] != second.headers["__connect.errors.offset"]
    assert second.headers["own"] == "1"
