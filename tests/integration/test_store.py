"""The store on a real Redis, and on Valkey: the contract, leases by its clock, and what an outage costs."""

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from agents.outcomes import internal_error
from agents.ports import Admission, Claim, Held, Settled
from schemas.common import Event
from streams.embedded import EmbeddedRedis
from streams.metrics import Metrics
from streams.redis_link import RedisLink, new_redis
from streams.settings import Settings
from streams.store import RedisStore
from tests.agents.stage_fakes import NOW, draft, request
from tests.conformance.store import LEASE_S, RequestStoreContract

pytestmark = pytest.mark.integration


def settings(url: str, **more: object) -> Settings:
    return Settings(redis_url=url, topic_prefix=uuid.uuid4().hex, claim_lease_s=LEASE_S, **more)


async def new_store(at: Settings) -> RedisStore:
    """One whose Redis remembers, as after its first start."""
    store = forgetful_store(at)
    await store._link.client.set(store._keys.memory, "test")
    return store


def forgetful_store(at: Settings, *known: Event) -> RedisStore:
    async def recall() -> AsyncIterator[Event]:
        for event in known:
            yield event

    metrics = Metrics(CollectorRegistry())
    return RedisStore(RedisLink(new_redis(at), at, metrics), at, metrics, recall)


class TestRedisStore(RequestStoreContract):
    @pytest.fixture
    async def store(self, each_redis: EmbeddedRedis) -> AsyncIterator[RedisStore]:
        store = await new_store(settings(each_redis.url))
        yield store
        await store.aclose()


async def test_a_lease_ends_by_itself_and_says_that_a_call_may_be_made_again(each_redis) -> None:
    at = settings(each_redis.url)
    dead, alive = await new_store(at), await new_store(at)
    first = await dead.claim(draft().context)
    await asyncio.sleep(LEASE_S + 0.1)
    second = await alive.claim(draft().context)
    assert isinstance(first, Claim)
    assert isinstance(second, Claim)
    assert second.token == first.token + 1
    assert alive._metrics.registry.get_sample_value("sluicegate_claims_total", {"result": "retaken"}) == 1
    await asyncio.gather(dead.aclose(), alive.aclose())


async def test_a_living_worker_keeps_its_claim_for_as_long_as_the_model_takes(each_redis) -> None:
    at = settings(each_redis.url)
    slow, other = await new_store(at), await new_store(at)
    await slow.start()
    await slow.claim(draft().context)
    await asyncio.sleep(2.5 * LEASE_S)
    assert isinstance(await other.claim(draft().context), Held)
    await asyncio.gather(slow.aclose(), other.aclose())


async def test_a_redis_that_was_emptied_is_told_of_the_claims_that_are_held(tmp_path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        at = settings(server.url)
        store, other = await new_store(at), await new_store(at)
        await store.start()
        claim = await store.claim(draft().context)
        server.kill()
        assert await store.admit(request(id="r9"), "t-0-1", None) == Admission()
        server.start()
        assert isinstance(await other.claim(draft().context), Held)
        bought = [draft(), draft().cost]
        assert isinstance(claim, Claim)
        assert await store.settle(draft().context, bought, claim) == Settled(bought)
        assert await other.claim(draft().context) == Settled(bought)
        await asyncio.gather(store.aclose(), other.aclose())


async def test_a_redis_that_was_emptied_is_told_what_the_topics_say(tmp_path) -> None:
    """Bought drafts, ends and verdicts: before anybody may claim, and once for all workers."""
    answer = draft()
    refused = internal_error(request(id="r2"), "retrieval", NOW)
    released = internal_error(answer.context.request, "scoring", NOW)
    topics = [answer, refused, released]
    with EmbeddedRedis(tmp_path) as server:
        at = settings(server.url)
        store, other = forgetful_store(at, *topics), forgetful_store(at, *topics)
        claims = await asyncio.gather(
            *(one.claim(answer.context) for one in (store, other) for _ in range(5))
        )
        assert claims == [Settled([answer, answer.cost])] * 10
        assert await store.end(request(id="r2"), [internal_error(request(id="r2"), "x", NOW)]) == [refused]
        other_verdict = internal_error(answer.context.request, "later", NOW)
        assert await store.conclude(answer.context.request, [other_verdict]) == [released]
        await asyncio.gather(store.aclose(), other.aclose())


async def test_when_the_topics_cannot_be_read_claims_hold_among_those_that_live(each_redis) -> None:
    """A broker that is away must not keep two workers from telling each other who pays."""

    async def never() -> AsyncIterator[Event]:
        await asyncio.sleep(60)
        yield draft()

    at = settings(each_redis.url, redis_patience_s=0.5)
    store, other = forgetful_store(at), forgetful_store(at)
    store._memory._recall = other._memory._recall = never
    first = await store.claim(draft().context)
    assert isinstance(first, Claim)
    assert first.token == 1
    assert isinstance(await other.claim(draft().context), Held)
    bought = [draft(), draft().cost]
    assert await store.settle(draft().context, bought, first) == Settled(bought)
    assert await other.claim(draft().context) == Settled(bought)
    await asyncio.gather(store.aclose(), other.aclose())


async def test_what_a_living_worker_settled_is_told_again_when_redis_forgot_it(tmp_path) -> None:
    """It may be on no topic yet: the broker can be away at the same time."""
    with EmbeddedRedis(tmp_path) as server:
        at = settings(server.url)
        store = await new_store(at)
        await store.start()
        claim = await store.claim(draft().context)
        assert isinstance(claim, Claim)
        bought = [draft(), draft().cost]
        await store.settle(draft().context, bought, claim)
        server.kill()
        await store.admit(request(id="r9"), "t-0-1", None)
        server.start()
        assert await store.claim(draft().context) == Settled(bought)
        await store.aclose()


async def test_an_answer_is_journalled_at_once_by_an_emptied_redis(tmp_path) -> None:
    """Its claim was made while Redis remembered: a kill in the next seconds must not cost the answer."""

    async def never() -> AsyncIterator[Event]:
        await asyncio.sleep(60)
        yield draft()

    with EmbeddedRedis(tmp_path) as server:
        store = await new_store(settings(server.url))
        store._memory._recall = never
        claim = await store.claim(draft().context)
        assert isinstance(claim, Claim)
        server.kill()
        server.start()
        bought = [draft(), draft().cost]
        async with asyncio.timeout(3):
            assert await store.settle(draft().context, bought, claim) == Settled(bought)
        assert await store._link.client.hexists(store._keys.of(request()), "outcome")
        await store.aclose()


async def test_without_redis_everything_goes_on_unguarded_and_is_counted(tmp_path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        at = settings(server.url)
        store = await new_store(at.model_copy(update={"redis_patience_s": 0.0}))
        server.kill()
        events = [draft(), draft().cost]
        assert await store.claim(draft().context) == Claim(0)
        assert await store.settle(draft().context, events, Claim(0)) == Settled(events)
        assert await store.conclude(request(), events) == events
        assert await store.end(request(), events) == events
        value = store._metrics.registry.get_sample_value
        assert value("sluicegate_claims_total", {"result": "unguarded"}) == 1
        assert value("sluicegate_redis_errors_total", {"operation": "claim"}) == 1
        await store.aclose()


async def test_a_moment_without_redis_is_waited_for_before_anything_is_paid(tmp_path) -> None:
    """Also when Redis had done what it was asked, and only its reply came too late."""
    with EmbeddedRedis(tmp_path) as server:
        at = settings(server.url, redis_timeout_s=0.3)
        store, other = await new_store(at.model_copy(update={"claim_lease_s": 10.0})), await new_store(at)
        assert await store.ping()
        assert server.pid
        os.kill(server.pid, signal.SIGSTOP)
        claiming = asyncio.create_task(store.claim(draft().context))
        await asyncio.sleep(0.6)
        os.kill(server.pid, signal.SIGCONT)
        claim = await asyncio.wait_for(claiming, 3)
        assert isinstance(claim, Claim)
        assert claim.token == 1
        assert isinstance(await other.claim(draft().context), Held)
        await asyncio.gather(store.aclose(), other.aclose())


async def test_without_patience_left_nothing_waits_any_more(tmp_path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        store = await new_store(settings(server.url, redis_patience_s=1.0))
        server.kill()
        now = asyncio.get_running_loop().time
        started = now()
        assert await store.claim(draft().context) == Claim(0)
        assert 1.0 <= now() - started < 3.0
        started = now()
        for _ in range(20):
            assert await store.claim(draft().context) == Claim(0)
        assert now() - started < 1.0
        await store.aclose()


async def test_a_redis_that_hangs_costs_a_request_half_a_second_at_most(tmp_path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        store = await new_store(settings(server.url, redis_timeout_s=0.3))
        await store.claim(draft().context)
        assert server.pid
        os.kill(server.pid, signal.SIGSTOP)
        started = asyncio.get_running_loop().time()
        for number in range(20):
            await store.admit(request(id=f"h{number}"), "t-0-1", None)
        assert asyncio.get_running_loop().time() - started < 1.0
        os.kill(server.pid, signal.SIGCONT)
        await store.aclose()


async def test_a_draft_is_kept_without_its_context_and_small(each_redis) -> None:
    at = settings(each_redis.url)
    store = await new_store(at)
    claim = await store.claim(draft().context)
    assert isinstance(claim, Claim)
    await store.settle(draft().context, [draft("word " * 400)], claim)
    client = new_redis(at)
    kept = await client.hget(store._keys.of(request()), "outcome")
    assert len(kept) < 1_000
    await asyncio.gather(store.aclose(), client.aclose())
