"""Any endpoint that speaks the OpenAI chat completion API: OpenAI, vLLM, llama.cpp, KServe, gateways.

Not by the vendor's client, whose cost a call was the largest of all (`docs/performance.md`).
"""

import asyncio
import math
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

import aiohttp
import msgspec

from agents.errors import ModelBadOutput, ModelRefused, ModelTimeout
from agents.ports import Completion, ModelCall
from agents.providers.http import ConnectTimeout, poster
from agents.providers.openai_errors import of_status, of_transport
from schemas.common import Usage

OPENAI_URL = "https://api.openai.com/v1"
_CHARACTERS_PER_TOKEN = 4


class _Message(msgspec.Struct):
    content: Any = None
    refusal: Any = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: Any = None


class _Answer(msgspec.Struct):
    """What we read of an answer. What is not needed may be missing or of any type."""

    choices: list[_Choice]
    usage: Any = None
    model: Any = None


_decoder = msgspec.json.Decoder(_Answer)
_encoder = msgspec.json.Encoder()


class OpenAIProvider:
    """One endpoint. A call is made once: nothing is sent again here."""

    def __init__(
        self,
        name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        default_model: str = "gpt-4o-mini",
        media_types: Collection[str] = (),
        connect_timeout_s: float = 5.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.default_model = default_model
        self.media_types = frozenset(media_types)
        self._posting = poster(
            f"{(base_url or OPENAI_URL).rstrip('/')}/chat/completions",
            {
                "Content-Type": "application/json",
                "Accept": "application/json",
                # Keys come from files that end in a newline, which no header may hold.
                **({"Authorization": f"Bearer {api_key.strip()}"} if api_key else {}),
                **(headers or {}),
            },
            connect_timeout_s,
        )

    async def complete(self, call: ModelCall) -> Completion:
        """Ask once; never longer than `call.timeout_s`.

        Raises:
            ModelError: one of its kinds.
        """
        try:
            async with asyncio.timeout(call.timeout_s):
                answer = await self._posting.post(
                    _encoder.encode(self._body(call)), {"Idempotency-Key": call.idempotency_key}
                )
        except (aiohttp.ClientError, ConnectTimeout) as error:
            raise of_transport(error) from error
        except TimeoutError:
            raise ModelTimeout(f"no complete answer within {call.timeout_s:.1f} s") from None
        except OSError as error:
            raise of_transport(error) from error
        if not 200 <= answer.status < 300:
            raise of_status(answer.status, answer.body, answer.headers.get("retry-after"), datetime.now(UTC))
        return self._read(answer.body, call)

    async def aclose(self) -> None:
        """Release connections."""
        await self._posting.aclose()

    def _body(self, call: ModelCall) -> dict[str, Any]:
        optional = {
            "temperature": call.temperature,
            "top_p": call.top_p,
            "max_tokens": call.max_tokens,
            "seed": call.seed,
            "stop": list(call.stop) if call.stop else None,
        }
        return {
            "model": call.model or self.default_model,
            "messages": call.messages,
            **{name: value for name, value in optional.items() if value is not None},
        }

    def _read(self, value: bytes, call: ModelCall) -> Completion:
        try:
            answer = _decoder.decode(value)
            choice = answer.choices[0]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ModelBadOutput("the provider's answer is not a chat completion") from None
        except IndexError:
            raise ModelBadOutput("the answer holds no choices") from None
        if choice.finish_reason == "content_filter" or choice.message.refusal:
            raise ModelRefused("the provider declined the content")
        text = choice.message.content
        if not isinstance(text, str) or not text.strip():
            # Its own word for why it ended is left out where it may be anything.
            reason = choice.finish_reason if choice.finish_reason in _FINISH_REASONS else "unknown"
            raise ModelBadOutput(f"the answer holds no text (finish reason {reason})")
        usage = _usage(answer.usage)
        return Completion(
            text=text,
            finish_reason="length" if choice.finish_reason == "length" else "stop",
            model=answer.model if isinstance(answer.model, str) else call.model or self.default_model,
            provider=self.name,
            usage=usage or _estimated(call, text),
            usage_estimated=usage is None,
        )


_FINISH_REASONS = ("stop", "length", "tool_calls", "function_call", None)


def _usage(usage: Any) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not isinstance(read, int) or not isinstance(written, int) or read < 0 or written < 0:
        return None
    return Usage(
        input_tokens=read,
        output_tokens=written,
        cached_input_tokens=min(_part(usage, "prompt_tokens_details", "cached_tokens"), read),
        reasoning_tokens=min(_part(usage, "completion_tokens_details", "reasoning_tokens"), written),
    )


def _part(usage: dict[str, Any], details: str, name: str) -> int:
    said = usage.get(details)
    value = said.get(name) if isinstance(said, dict) else None
    return max(0, value) if isinstance(value, int) else 0


def _estimated(call: ModelCall, text: str) -> Usage:
    """A guess by length, for servers that do not count."""
    asked = sum(len(message.text()) for message in call.messages)
    return Usage(
        input_tokens=math.ceil(asked / _CHARACTERS_PER_TOKEN),
        output_tokens=math.ceil(len(text) / _CHARACTERS_PER_TOKEN),
    )
