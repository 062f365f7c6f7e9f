"""The one way to Redis: what is asked at the same time shares a round trip, and each asker gets its own answer."""

import asyncio

import pytest
import redis.asyncio as redis
from prometheus_client import CollectorRegistry
from redis.exceptions import ResponseError

from streams.metrics import Metrics
from streams.redis_link import RedisLink, new_redis
from streams.settings import load_settings

pytestmark = pytest.mark.integration


@pytest.fixture
async def link(redis_url):
    settings = load_settings(redis_url=redis_url, redis_timeout_s=1.0)
    made = RedisLink(new_redis(settings), settings, Metrics(CollectorRegistry()))
    yield made
    await made.aclose()


async def test_each_asker_gets_the_replies_of_its_own_commands(link) -> None:
    async def count(name: str, times: int) -> list[int]:
        return await link.send(*[("INCR", name)] * times)

    found = await asyncio.gather(*(count(f"link:{n}", n % 5 + 1) for n in range(200)))
    assert found == [list(range(1, n % 5 + 2)) for n in range(200)]


async def test_what_is_asked_at_the_same_time_shares_a_round_trip(link, redis_url) -> None:
    other = redis.Redis.from_url(redis_url)
    before = (await other.info("stats"))["total_reads_processed"]
    await asyncio.gather(*(link.send(("SET", f"link:{n}", "x" * 20)) for n in range(500)))
    reads = (await other.info("stats"))["total_reads_processed"] - before
    assert reads < 100
    await other.aclose()


async def test_a_command_that_is_refused_fails_for_its_asker_alone(link) -> None:
    await link.send(("SET", "link:text", "x"))
    refused, fine = await asyncio.gather(
        link.send(("HGET", "link:text", "field")), link.send(("GET", "link:text")), return_exceptions=True
    )
    assert isinstance(refused, ResponseError)
    assert fine == [b"x"]


async def test_an_asker_that_goes_away_takes_no_other_with_it(link) -> None:
    gone, stays = (asyncio.create_task(link.send(("SET", f"link:{n}", "x"))) for n in "ab")
    await asyncio.sleep(0)
    gone.cancel()
    assert (await stays)[0]
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_when_redis_is_away_every_asker_is_told() -> None:
    settings = load_settings(redis_url="redis://127.0.0.1:9/0", redis_timeout_s=0.5)
    link = RedisLink(new_redis(settings), settings, Metrics(CollectorRegistry()))
    found = await asyncio.gather(*(link.send(("GET", "x")) for _ in range(50)), return_exceptions=True)
    assert all(isinstance(one, redis.ConnectionError) for one in found)
    assert await link.once("get", lambda: link.send(("GET", "x"))) is None
    assert link.away
    await link.aclose()
