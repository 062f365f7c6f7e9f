"""The stub speaks to the clients that the measured programs use, and costs next to nothing itself."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import httpx
import openai
import pytest
import urllib3

from agents.ports import ModelCall
from agents.providers.openai import OpenAIProvider
from benchmarks import requests
from benchmarks.stub import PROMPT_TOKENS, Model, answer, completion, serve
from schemas.codec import decode
from schemas.common import Message
from schemas.request import GenerationRequest

QUESTION = {"model": "stub", "messages": [{"role": "user", "content": "How long may I return it?"}]}


@asynccontextmanager
async def running(model: Model) -> AsyncIterator[str]:
    server = await serve(model, 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_the_openai_client_reads_its_answer_and_usage():
    async with (
        running(Model(tokens=7)) as url,
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="x") as client,
    ):
        said = await client.chat.completions.create(**QUESTION)
    assert said.choices[0].message.content == answer(7)
    assert said.choices[0].finish_reason == "stop"
    assert (said.usage.prompt_tokens, said.usage.completion_tokens) == (PROMPT_TOKENS, 7)


async def test_our_provider_reads_it():
    async with running(Model(tokens=7)) as url:
        provider = OpenAIProvider("stub", f"{url}/v1", default_model="stub")
        question = Message(role="user", content="?")
        said = await provider.complete(ModelCall((question,), "?", (), "k", timeout_s=5))
        await provider.aclose()
    assert said.text == answer(7)
    assert said.usage.output_tokens == 7
    assert not said.usage_estimated


async def _aiohttp(url: str) -> list[object]:
    async with aiohttp.ClientSession() as session:
        return [await (await session.post(url, json=QUESTION)).json() for _ in range(3)]


async def _httpx(url: str) -> list[object]:
    async with httpx.AsyncClient() as client:
        return [(await client.post(url, json=QUESTION)).json() for _ in range(3)]


async def _urllib3(url: str) -> list[object]:
    with urllib3.PoolManager() as pool:
        return [(await asyncio.to_thread(pool.request, "POST", url, json=QUESTION)).json() for _ in range(3)]


@pytest.mark.parametrize("ask", [_aiohttp, _httpx, _urllib3])
async def test_every_client_asks_again_on_a_kept_connection(ask: Callable):
    model = Model(tokens=3)
    async with running(model) as url:
        assert await ask(f"{url}/v1/chat/completions") == [completion(3)] * 3
    assert model.calls == 3


async def test_it_answers_after_the_latency_however_many_ask_at_once():
    async with running(Model(latency_s=0.2)) as url, aiohttp.ClientSession() as session:
        began = time.monotonic()
        asked = [session.post(f"{url}/v1/chat/completions", json=QUESTION) for _ in range(50)]
        answers = await asyncio.gather(*asked)
        took_s = time.monotonic() - began
        told = await (await session.get(f"{url}/calls")).json()
    assert {response.status for response in answers} == {200}
    assert told == {"calls": 50, "most_at_once": 50}
    assert 0.2 <= took_s < 2.0


async def test_its_behaviour_can_be_changed_and_its_counts_begun_anew():
    async with running(Model(latency_s=60)) as url, aiohttp.ClientSession() as session:
        await session.post(f"{url}/behave", json={"latency_s": 0, "tokens": 2})
        said = await (await session.post(f"{url}/v1/chat/completions", json=QUESTION)).json()
        assert said["choices"][0]["message"]["content"] == answer(2)
        await session.post(f"{url}/behave", json={"forget": True})
        assert await (await session.get(f"{url}/calls")).json() == {"calls": 0, "most_at_once": 0}


async def test_a_request_may_come_in_pieces_and_two_in_one():
    body = json.dumps(QUESTION).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    model = Model(tokens=1)
    async with running(model) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]))
        for piece in (head[:20], head[20:] + body[:5], body[5:] + head + body):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)
        first = await reader.readuntil(b"}}")
        second = await reader.readuntil(b"}}")
        writer.close()
        await writer.wait_closed()
    assert first == second
    assert model.calls == 2


async def test_what_it_cannot_serve_is_said():
    async def chunks():
        yield b"{}"

    async with running(Model()) as url, aiohttp.ClientSession() as session:
        assert (await session.get(f"{url}/nowhere")).status == 404
        assert (await session.post(f"{url}/v1/chat/completions", data=chunks())).status == 411
        assert (await session.get(f"{url}/v1/models")).status == 200
        assert (await session.get(f"{url}/health")).status == 200


async def test_a_client_that_left_is_no_trouble():
    model = Model(latency_s=0.05)
    async with running(model) as url, aiohttp.ClientSession() as session:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await session.post(f"{url}/v1/chat/completions", json=QUESTION)
        await asyncio.sleep(0.1)
    assert model.at_once == 0


def test_requests_are_the_same_for_the_same_seed_and_as_our_schemas_have_them():
    made = requests.make(100)
    assert made == requests.make(100)
    assert made[50:] == requests.make(50, first=50)
    assert [decode(GenerationRequest, value).id for value in made] == [f"r{n}" for n in range(100)]
    assert 350 < sum(map(len, made)) / len(made) < 450


def test_distinct_requests_share_no_prompt_and_others_few():
    def prompts(values: list[bytes]) -> set[str]:
        return {decode(GenerationRequest, value).question() for value in values}

    assert len(prompts(requests.make(500) + requests.make(500, seed=2))) == 1000
    assert len(prompts(requests.make(500, distinct=False))) == requests.REPEATED
