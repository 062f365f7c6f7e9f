"""The vault on a real Redis, and on Valkey: the contract, what is stored, rotation of keys, outages, the tool."""

import json
import uuid
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from agents.errors import ConfigurationError, VaultUnavailable
from agents.ports import Kept
from schemas.codec import decode, encode
from schemas.response import GenerationResponse
from streams.cli import app
from streams.metrics import Metrics
from streams.redis_link import RedisLink, new_redis
from streams.settings import Settings
from streams.vault import RedisVault, new_key, reading_vault
from tests.agents.stage_fakes import NOW, draft, request
from tests.conformance.vault import ONE, OTHER, VaultContract
from tests.integration.harness import Installation, producer, read, worker

pytest.importorskip("cryptography", reason="not installed: the extra vault")
pytestmark = pytest.mark.integration

NEW, OLD = new_key(), new_key()


def settings(url: str, key: str = NEW, prefix: str | None = None) -> Settings:
    return Settings(redis_url=url, vault_key=key, topic_prefix=prefix or uuid.uuid4().hex)


def new_vault(at: Settings, life_s: int = 60) -> RedisVault:
    metrics = Metrics(CollectorRegistry())
    return RedisVault(RedisLink(new_redis(at), at, metrics), at, metrics, life_s)


def written(vault: RedisVault, result: str) -> float:
    return vault._metrics.vault_writes_total.labels(result=result)._value.get()


class TestRedisVault(VaultContract):
    @pytest.fixture
    async def vault(self, each_redis) -> AsyncIterator[RedisVault]:
        vault = new_vault(settings(each_redis.url))
        yield vault
        await vault._link.aclose()


async def test_redis_holds_nothing_readable_and_only_for_the_time_given(redis_url) -> None:
    vault = new_vault(settings(redis_url), life_s=60)
    await vault.keep(request(), ONE)
    name = vault._keys.vault("default", "r1", 0)
    stored = b"".join(await vault._link.client.hvals(name))
    assert b"ann" not in stored
    assert b"REDACTED" not in stored
    assert 0 < await vault._link.client.ttl(name) <= 60
    assert written(vault, "kept") == 1
    await vault._link.aclose()


async def test_an_older_key_still_opens_and_a_strange_one_does_not(redis_url) -> None:
    before = new_vault(settings(redis_url, OLD, "rotated"))
    await before.keep(request(), ONE)
    rotated = new_vault(settings(redis_url, f"{NEW},{OLD}", "rotated"))
    assert await rotated.recall("default", "r1") == [Kept(ONE.text, ONE.values)]
    strange = new_vault(settings(redis_url, NEW, "rotated"))
    with pytest.raises(ConfigurationError, match="no key of SLUICEGATE_VAULT_KEY"):
        await strange.recall("default", "r1")
    for vault in (before, rotated, strange):
        await vault._link.aclose()


async def test_values_that_were_moved_to_another_tenant_are_refused(redis_url) -> None:
    vault = new_vault(settings(redis_url))
    await vault.keep(request(), ONE)
    await vault._link.client.copy(vault._keys.vault("default", "r1", 0), vault._keys.vault("evil", "r1", 0))
    with pytest.raises(ConfigurationError, match="another request"):
        await vault.recall("evil", "r1")
    await vault._link.aclose()


async def test_while_redis_is_away_nothing_is_kept_and_it_is_counted() -> None:
    vault = new_vault(settings("redis://127.0.0.1:1/0"))
    assert not await vault.keep(request(), ONE)
    assert (written(vault, "kept"), written(vault, "lost")) == (0, 1)
    with pytest.raises(VaultUnavailable):
        await vault.recall("default", "r1")
    with pytest.raises(VaultUnavailable):
        await vault.forget("default", "r1")
    await vault._link.aclose()


async def test_a_tool_reads_without_a_policy(redis_url) -> None:
    at = settings(redis_url)
    vault = new_vault(at)
    await vault.keep(request(), ONE)
    async with reading_vault(at) as reading:
        assert await reading.recall("default", "r1") == [Kept(ONE.text, ONE.values)]
    await vault._link.aclose()


@pytest.fixture
async def at_tool(redis_url, monkeypatch) -> AsyncIterator[RedisVault]:
    """A vault, and the tool's variables set to it."""
    at = settings(redis_url)
    monkeypatch.setenv("SLUICEGATE_REDIS_URL", redis_url)
    monkeypatch.setenv("SLUICEGATE_VAULT_KEY", NEW)
    monkeypatch.setenv("SLUICEGATE_TOPIC_PREFIX", at.topic_prefix)
    vault = new_vault(at)
    yield vault
    await vault._link.aclose()


async def invoke(*arguments: str, stdin: bytes | None = None):
    """In a thread: the tool starts an event loop of its own."""
    import asyncio

    return await asyncio.to_thread(CliRunner().invoke, app, ["vault", *arguments], input=stdin)


async def test_the_tool_restores_by_request_and_forgets(at_tool) -> None:
    await at_tool.keep(request(), ONE)
    assert (await invoke("restore", "--request", "r1")).stdout == "Ask ann@example.org.\n"
    assert (await invoke("forget", "--request", "r1")).stdout == "forgotten\n"
    assert (await invoke("forget", "--request", "r1")).stdout == "nothing was kept\n"
    assert "nothing is kept" in str((await invoke("restore", "--request", "r1")).exception)


async def test_the_tool_restores_the_response_that_it_is_given(at_tool) -> None:
    """Of two texts that were redacted for a request it takes the values of the one that left."""
    from agents.outcomes import answered
    from schemas.common import Timings
    from schemas.score import Decision

    await at_tool.keep(request(), OTHER)
    await at_tool.keep(request(), ONE)
    decision = Decision(action="redact", policy="test@1")
    response = answered(draft(), "completed", ONE.text, decision, (), Timings(), NOW)
    done = await invoke("restore", stdin=encode(response))
    restored = decode(GenerationResponse, done.stdout.encode())
    assert restored.text() == "Ask ann@example.org."
    assert (restored.id, restored.cost) == (response.id, response.cost)
    assert "several answers" in str((await invoke("restore", "--request", "r1")).exception)
    strange = answered(draft(), "completed", "Another text.", decision, (), Timings(), NOW)
    assert "nothing is kept for this answer" in str(
        (await invoke("restore", stdin=encode(strange))).exception
    )
    assert "no response on standard input" in str((await invoke("restore", stdin=b"{}")).exception)


def test_a_workers_answer_leaves_redacted_and_is_restored_by_the_tool(
    embedded_kafka, redis_url, built_models, tmp_path
) -> None:
    """What the extractive provider says without passages, with one of its words redacted."""
    (tmp_path / "models").symlink_to(built_models / "models")
    (tmp_path / "routes.yaml").write_text("default:\n  targets: [{provider: extractive}]\n")
    (tmp_path / "policy.yaml").write_text(
        "name: p\nplaceholders: numbered\nvault: {keep_for_s: 3600}\n"
        "redactions: {word: {pattern: passages}}\n"
        "output: {rules: [{id: word, when: {matches: word}, action: redact}]}\n"
    )
    at = Installation(
        embedded_kafka.bootstrap,
        redis_url,
        tmp_path,
        {
            "SLUICEGATE_ROUTES": str(tmp_path / "routes.yaml"),
            "SLUICEGATE_POLICY": str(tmp_path / "policy.yaml"),
            "SLUICEGATE_SCORERS": '["personal-data"]',
            "SLUICEGATE_VAULT_KEY": NEW,
        },
    )
    at.create_topics()
    with worker(at) as running:
        client = producer(at)
        asked = {"id": "r1", "tenant": "acme", "messages": [{"role": "user", "content": "Hello?"}]}
        client.produce(at.topic("genai.requests"), json.dumps(asked).encode())
        assert client.flush(30) == 0
        (response,) = read(at, "genai.responses", lambda seen: len(seen) >= 1)
        metrics = running.get("/metrics")[1]
    assert response.json["choices"][0]["message"]["content"] == "The [REDACTED:word:1] do not answer this."
    assert 'sluicegate_vault_writes_total{result="kept"} 1.0' in metrics
    restored = at.run("vault", "restore", "--tenant", "acme", "--request", "r1").stdout
    assert restored == "The passages do not answer this.\n"
