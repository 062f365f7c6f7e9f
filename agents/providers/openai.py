"""Any endpoint that speaks the OpenAI chat completion API: OpenAI, vLLM, llama.cpp, KServe, gateways."""

import asyncio
import json
import math
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import openai
from openai.types.chat import ChatCompletion
from openai.types.chat.chat_completion import Choice

from agents.errors import ModelBadOutput, ModelRefused, ModelTimeout
from agents.ports import Completion, ModelCall
from agents.providers.openai_errors import mapped
from schemas.common import Usage

OPENAI_URL = "https://api.openai.com/v1"
_CHARACTERS_PER_TOKEN = 4
_NO_KEY = "none"


class OpenAIProvider:
    """One endpoint. A call is made once: the client's own retries are off."""

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
        self._connect_timeout_s = connect_timeout_s
        # A local server needs no key, but the client insists on one.
        self._client = openai.AsyncOpenAI(
            base_url=base_url or OPENAI_URL,
            api_key=api_key or _NO_KEY,
            max_retries=0,
            default_headers=headers,
        )

    async def complete(self, call: ModelCall) -> Completion:
        """Ask once; never longer than `call.timeout_s`.

        Raises:
            ModelError: one of its kinds.
        """
        try:
            # The client's timeouts are between bytes; ours is for the whole answer.
            async with asyncio.timeout(call.timeout_s):
                answer = await self._client.chat.completions.create(**self._arguments(call))
        except TimeoutError:
            raise ModelTimeout(f"no complete answer within {call.timeout_s:.1f} s") from None
        except openai.OpenAIError as error:
            raise mapped(error, datetime.now(UTC)) from error
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ModelBadOutput("the provider's answer is not JSON") from error
        return self._read(answer, call)

    async def aclose(self) -> None:
        """Release connections."""
        await self._client.close()

    def _arguments(self, call: ModelCall) -> dict[str, Any]:
        optional = {
            "temperature": call.temperature,
            "top_p": call.top_p,
            "max_tokens": call.max_tokens,
            "seed": call.seed,
            "stop": list(call.stop) if call.stop else None,
        }
        return {
            "model": call.model or self.default_model,
            "messages": msgspec.to_builtins(list(call.messages)),
            "extra_headers": {"Idempotency-Key": call.idempotency_key},
            "timeout": openai.Timeout(call.timeout_s, connect=min(self._connect_timeout_s, call.timeout_s)),
            **{name: value for name, value in optional.items() if value is not None},
        }

    def _read(self, answer: object, call: ModelCall) -> Completion:
        choice = _first_choice(answer)
        assert isinstance(answer, ChatCompletion)
        message = choice.message
        if choice.finish_reason == "content_filter" or getattr(message, "refusal", None):
            raise ModelRefused("the provider declined the content")
        text = message.content
        if not isinstance(text, str) or not text.strip():
            raise ModelBadOutput(f"the answer holds no text (finish reason {choice.finish_reason})")
        usage = _usage(answer)
        return Completion(
            text=text,
            finish_reason="length" if choice.finish_reason == "length" else "stop",
            model=answer.model if isinstance(answer.model, str) else call.model or self.default_model,
            provider=self.name,
            usage=usage or _estimated(call, text),
            usage_estimated=usage is None,
        )


def _first_choice(answer: object) -> Choice:
    # The client builds its objects without checking them: any part may be missing or of another type.
    choices = getattr(answer, "choices", None)
    if not isinstance(answer, ChatCompletion) or not isinstance(choices, list) or not choices:
        raise ModelBadOutput("the answer holds no choices")
    first = choices[0]
    if not isinstance(first, Choice) or not hasattr(first.message, "content"):
        raise ModelBadOutput("the answer's choice holds no message")
    return first


def _usage(answer: ChatCompletion) -> Usage | None:
    usage = answer.usage
    read, written = getattr(usage, "prompt_tokens", None), getattr(usage, "completion_tokens", None)
    if not isinstance(read, int) or not isinstance(written, int) or read < 0 or written < 0:
        return None
    return Usage(
        input_tokens=read,
        output_tokens=written,
        cached_input_tokens=min(_part(usage, "prompt_tokens_details", "cached_tokens"), read),
        reasoning_tokens=min(_part(usage, "completion_tokens_details", "reasoning_tokens"), written),
    )


def _part(usage: object, details: str, name: str) -> int:
    value = getattr(getattr(usage, details, None), name, None)
    return max(0, value) if isinstance(value, int) else 0


def _estimated(call: ModelCall, text: str) -> Usage:
    """A guess by length, for servers that do not count."""
    asked = sum(len(message.text()) for message in call.messages)
    return Usage(
        input_tokens=math.ceil(asked / _CHARACTERS_PER_TOKEN),
        output_tokens=math.ceil(len(text) / _CHARACTERS_PER_TOKEN),
    )
