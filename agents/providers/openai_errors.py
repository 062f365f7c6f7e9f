"""Every error of the openai client as one of ours. Messages say the kind and status, never the body."""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import openai

from agents.errors import (
    ModelBadOutput,
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


def mapped(error: openai.OpenAIError, now: datetime) -> ModelError:
    """The same failure as our kind; the nearest class in `MAPPING` decides."""
    kinds = (MAPPING[kind] for kind in type(error).__mro__ if kind in MAPPING)
    return next(kinds, _bad_output)(error, now)


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


def _timeout(error: openai.OpenAIError, _: datetime) -> ModelError:
    return ModelTimeout(f"no answer in time ({type(error).__name__})")


def _unavailable(error: openai.OpenAIError, _: datetime) -> ModelError:
    return ModelUnavailable(f"the provider cannot be reached ({type(error.__cause__ or error).__name__})")


def _bad_output(error: openai.OpenAIError, _: datetime) -> ModelError:
    return ModelBadOutput(f"the provider's answer could not be read ({type(error).__name__})")


def _refused(_: openai.OpenAIError, __: datetime) -> ModelError:
    return ModelRefused("the provider declined the content")


def _rejected(error: openai.OpenAIError, _: datetime) -> ModelError:
    return ModelRejected(f"the provider rejected the call ({type(error).__name__})")


def _status(error: openai.OpenAIError, now: datetime) -> ModelError:
    assert isinstance(error, openai.APIStatusError)
    status, code = error.status_code, error.code
    told = f"HTTP {status}" + (f" {code}" if code and code.isidentifier() else "")
    if code in _CONTENT_CODES:
        return ModelRefused("the provider declined the content")
    if status == 429 and code not in _QUOTA_CODES:
        return ModelRateLimited(told, retry_after_s(error.response.headers.get("retry-after"), now))
    if status in _TRANSIENT:
        return _TRANSIENT[status](told)
    return ModelUnavailable(told) if status >= 500 else ModelRejected(told)


MAPPING: dict[type[openai.OpenAIError], Callable[[openai.OpenAIError, datetime], ModelError]] = {
    openai.APITimeoutError: _timeout,
    openai.APIConnectionError: _unavailable,
    openai.APIResponseValidationError: _bad_output,
    openai.APIStatusError: _status,
    openai.BadRequestError: _status,
    openai.AuthenticationError: _status,
    openai.OAuthError: _rejected,
    openai.PermissionDeniedError: _status,
    openai.NotFoundError: _status,
    openai.ConflictError: _status,
    openai.UnprocessableEntityError: _status,
    openai.RateLimitError: _status,
    openai.InternalServerError: _status,
    openai.APIError: _unavailable,
    openai.LengthFinishReasonError: _bad_output,
    openai.ContentFilterFinishReasonError: _refused,
    openai.WebSocketConnectionClosedError: _unavailable,
    openai.WebSocketQueueFullError: _unavailable,
    openai.OpenAIError: _rejected,
}
"""One entry for every error class the library exports; a test finds those that a new release adds."""
