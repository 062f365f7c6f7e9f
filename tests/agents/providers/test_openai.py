"""The OpenAI-compatible provider against a real HTTP server: answers, and every way to fail."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import aiohttp
import pytest

from agents.errors import (
    ModelBadOutput,
    ModelError,
    ModelRateLimited,
    ModelRefused,
    ModelRejected,
    ModelTimeout,
    ModelUnavailable,
)
from agents.providers.openai import OpenAIProvider
from agents.providers.openai_errors import of_status, of_transport, retry_after_s
from schemas.common import ImagePart, Message, TextPart, Usage
from tests.conformance.provider import ProviderContract, call
from tests.model_server import ANSWER, RunningStub, running_model_server

NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[RunningStub]:
    with running_model_server() as running:
        yield running


@pytest.fixture
async def provider(server: RunningStub) -> AsyncIterator[OpenAIProvider]:
    made = OpenAIProvider("stub", server.base_url, "key-1", "stub-model", media_types=("image_url",))
    yield made
    await made.aclose()


class TestOpenAI(ProviderContract):
    @pytest.fixture
    async def provider(self, server: RunningStub) -> AsyncIterator[OpenAIProvider]:
        made = OpenAIProvider("stub", server.base_url, None, "stub-model")
        yield made
        await made.aclose()


async def test_usage_counts_cached_and_reasoning_tokens(provider: OpenAIProvider) -> None:
    answer = await provider.complete(call())
    assert answer.text == ANSWER
    assert answer.usage == Usage(
        input_tokens=120, output_tokens=8, cached_input_tokens=20, reasoning_tokens=3
    )
    assert not answer.usage_estimated


async def test_parameters_key_and_parts_reach_the_server(
    provider: OpenAIProvider, server: RunningStub
) -> None:
    picture = ImagePart(image_url={"url": "data:image/png;base64,AA=="})
    messages = [Message(role="user", content=[TextPart(text="what?"), picture])]
    await provider.complete(
        call(
            messages=messages,
            idempotency_key="k-7",
            model="m",
            temperature=0.5,
            max_tokens=9,
            stop=["x"],
            seed=3,
        )
    )
    body, headers = server.stub.bodies[-1], server.stub.headers[-1]
    assert body == {
        "model": "m",
        "temperature": 0.5,
        "max_tokens": 9,
        "stop": ["x"],
        "seed": 3,
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "what?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
                ],
            }
        ],
    }
    assert headers["Idempotency-Key"] == "k-7"
    assert headers["Authorization"] == "Bearer key-1"


async def test_missing_usage_is_estimated_and_flagged(provider: OpenAIProvider) -> None:
    answer = await provider.complete(call("x" * 41, model="no-usage"))
    assert answer.usage_estimated
    assert answer.usage == Usage(input_tokens=11, output_tokens=6)


@pytest.mark.parametrize("mode", ["odd-details", "odd-finish"])
async def test_odd_parts_that_do_not_matter_leave_the_answer_whole(
    provider: OpenAIProvider, mode: str
) -> None:
    answer = await provider.complete(call(model=mode))
    assert (answer.text, answer.finish_reason, answer.usage.input_tokens) == (ANSWER, "stop", 120)


async def test_an_answer_cut_by_its_length_says_so(provider: OpenAIProvider) -> None:
    assert (await provider.complete(call(model="length"))).finish_reason == "length"


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("fail-500", ModelUnavailable),
        ("fail-503", ModelUnavailable),
        ("rate-limited", ModelRateLimited),
        ("quota", ModelRejected),
        ("unauthorized", ModelRejected),
        ("bad-request", ModelRejected),
        ("context-length", ModelRejected),
        ("missing", ModelRejected),
        ("content-policy", ModelRefused),
        ("refusal", ModelRefused),
        ("content-filter", ModelRefused),
        ("garbage", ModelBadOutput),
        ("garbage-html", ModelBadOutput),
        ("not-a-completion", ModelBadOutput),
        ("no-choices", ModelBadOutput),
        ("null-choice", ModelBadOutput),
        ("no-content", ModelBadOutput),
        ("empty", ModelBadOutput),
        ("cut", ModelUnavailable),
    ],
)
async def test_each_failure_becomes_one_of_our_kinds_after_a_single_call(
    provider: OpenAIProvider, server: RunningStub, mode: str, kind: type[ModelError]
) -> None:
    key = f"once-{mode}"
    with pytest.raises(ModelError) as caught:
        await provider.complete(call(model=mode, idempotency_key=key))
    assert type(caught.value) is kind
    assert server.stub.calls[key] == 1


async def test_retry_after_is_read_as_seconds_and_as_a_date(provider: OpenAIProvider) -> None:
    with pytest.raises(ModelRateLimited) as caught:
        await provider.complete(call(model="rate-limited"))
    assert caught.value.retry_after_s == 1.0
    with pytest.raises(ModelRateLimited) as caught:
        await provider.complete(call(model="rate-limited-date"))
    assert 25 < (caught.value.retry_after_s or 0) <= 30


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("-3", 0.0),
        ("Fri, 02 Jan 2026 12:00:30 GMT", 30.0),
        ("Fri, 02 Jan 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_values(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, NOW) == seconds


@pytest.mark.parametrize("mode", ["hang", "dribble"])
async def test_no_call_takes_longer_than_its_timeout(provider: OpenAIProvider, mode: str) -> None:
    """A server that sends a byte now and then must not keep a call alive either."""
    began = time.monotonic()
    with pytest.raises(ModelTimeout):
        await provider.complete(call(model=mode, timeout_s=0.5))
    assert time.monotonic() - began < 3


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    nowhere = OpenAIProvider("nowhere", "http://127.0.0.1:9/v1")
    with pytest.raises(ModelUnavailable, match="reached"):
        await nowhere.complete(call())
    await nowhere.aclose()


async def test_a_cancelled_call_stays_cancelled(provider: OpenAIProvider) -> None:
    task = asyncio.create_task(provider.complete(call(model="hang")))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (aiohttp.ServerDisconnectedError("secret"), ModelUnavailable),
        (aiohttp.ClientPayloadError("secret"), ModelUnavailable),
        (aiohttp.ClientOSError(104, "secret"), ModelUnavailable),
        (ConnectionResetError("secret"), ModelUnavailable),
        (aiohttp.ConnectionTimeoutError("secret"), ModelTimeout),
        (aiohttp.SocketTimeoutError("secret"), ModelTimeout),
        (aiohttp.InvalidURL("secret"), ModelRejected),
    ],
)
def test_what_the_connection_does_becomes_one_of_our_kinds_and_quotes_nothing(
    error: Exception, kind: type[ModelError]
) -> None:
    found = of_transport(error)
    assert type(found) is kind
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (500, b"", ModelUnavailable, "HTTP 500"),
        (529, b"<html>the prompt was: secret</html>", ModelUnavailable, "HTTP 529"),
        (408, b"{}", ModelTimeout, "HTTP 408"),
        (409, b"[]", ModelUnavailable, "HTTP 409"),
        (404, b'{"error": {"code": "model_not_found"}}', ModelRejected, "HTTP 404 model_not_found"),
        (404, b'{"error": {"code": "the prompt was: secret"}}', ModelRejected, "HTTP 404"),
        (400, b'{"error": "secret", "code": "x_y"}', ModelRejected, "HTTP 400 x_y"),
        (400, b'{"code": 7}', ModelRejected, "HTTP 400"),
        (400, b'{"error": {"code": "content_filter"}}', ModelRefused, "the provider declined the content"),
        (429, b'{"error": {"code": "insufficient_quota"}}', ModelRejected, "HTTP 429 insufficient_quota"),
        (429, b"\xff", ModelRateLimited, "HTTP 429"),
        (429, b"[" * 10_000, ModelRateLimited, "HTTP 429"),
        (302, b"", ModelRejected, "HTTP 302"),
    ],
)
def test_every_status_becomes_one_of_our_kinds_and_quotes_nothing(
    status: int, body: bytes, kind: type[ModelError], said: str
) -> None:
    found = of_status(status, body, None, NOW)
    assert (type(found), str(found)) == (kind, said)


async def test_an_endpoint_is_found_with_and_without_a_slash_at_its_end(server: RunningStub) -> None:
    provider = OpenAIProvider("stub", f"{server.base_url}/", default_model="stub-model")
    assert (await provider.complete(call())).text == ANSWER
    await provider.aclose()


async def test_an_address_that_is_none_is_rejected_and_not_tried_again() -> None:
    provider = OpenAIProvider("stub", "not an address")
    with pytest.raises(ModelRejected, match="address"):
        await provider.complete(call())
    await provider.aclose()


async def test_the_environments_proxy_is_used_and_left_out_where_it_says_so(
    server: RunningStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stub stands in for the proxy: it is asked for the whole address."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
    monkeypatch.setenv("no_proxy", "elsewhere.invalid")
    there = OpenAIProvider("stub", "http://models.invalid/v1")
    assert (await there.complete(call())).text == ANSWER
    assert server.stub.headers[-1]["Host"] == "models.invalid"
    await there.aclose()
    monkeypatch.setenv("no_proxy", "models.invalid")
    past = OpenAIProvider("stub", "http://models.invalid/v1")
    with pytest.raises(ModelUnavailable):
        await past.complete(call())
    await past.aclose()


async def test_a_key_from_a_file_may_end_in_a_newline(server: RunningStub) -> None:
    provider = OpenAIProvider("stub", server.base_url, "key-2\n")
    assert (await provider.complete(call())).text == ANSWER
    assert server.stub.headers[-1]["Authorization"] == "Bearer key-2"
    await provider.aclose()
