"""Every way a chat completion endpoint fails as one of our errors. Messages say kind and status, never the body."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import msgspec

from agents.errors import (
    ModelError,
    ModelRateLimited,
    ModelRefused,
    ModelRejected,
    ModelTimeout,
    ModelUnavailable,
)

_CONTENT_CODES = frozenset({"content_policy_violation", "content_filter", "ResponsibleAIPolicyViolation"})
_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_TRANSIENT: dict[int, type[ModelError]] = {408: ModelTimeout, 409: ModelUnavailable, 425: ModelUnavailable}


class _Said(msgspec.Struct):
    """The code of an error's body, wherever servers put it."""

    error: Any = None
    code: Any = None


_decoder = msgspec.json.Decoder(_Said)


def of_transport(error: aiohttp.ClientError | OSError) -> ModelError:
    """The failure of a call that brought no whole answer."""
    kind = type(error).__name__
    if isinstance(error, TimeoutError):
        return ModelTimeout(f"no answer in time ({kind})")
    if isinstance(error, aiohttp.InvalidURL | aiohttp.TooManyRedirects):
        return ModelRejected(f"the provider's address does not lead to an endpoint ({kind})")
    return ModelUnavailable(f"the provider cannot be reached ({kind})")


def of_status(status: int, body: bytes, retry_after: str | None, now: datetime) -> ModelError:
    """The failure that an answer with that status and body stands for."""
    code = _code(body)
    told = f"HTTP {status}" + (f" {code}" if code and code.isidentifier() and len(code) <= 64 else "")
    if code in _CONTENT_CODES:
        return ModelRefused("the provider declined the content")
    if status == 429 and code not in _QUOTA_CODES:
        return ModelRateLimited(told, retry_after_s(retry_after, now))
    if status in _TRANSIENT:
        return _TRANSIENT[status](told)
    return ModelUnavailable(told) if status >= 500 else ModelRejected(told)


def _code(body: bytes) -> str | None:
    try:
        said = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    code = said.error.get("code") if isinstance(said.error, dict) else said.code
    return code if isinstance(code, str) else None


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Seconds a `Retry-After` asks for: a number or an HTTP date (RFC 9110, 10.2.3); None if it is neither."""
    if value is None:
        return None
    try:
        return max(0.0, float(int(value)))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - now).total_seconds())
