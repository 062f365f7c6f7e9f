"""Every error of ours that crosses a module, in one tree.

SluicegateError
├── ConfigurationError      the operator must act; no retry helps
│   ├── UnknownPart         a prompt, index, route, scorer, ... of that name does not exist
│   └── MissingExtra        an optional dependency is not installed
├── VaultUnavailable        what was redacted cannot be read back now; a later try may help
├── RequestRefused          the producer must act; becomes a `refused` response
└── ModelError              a model call failed
    ├── ModelTimeout        retry may help
    ├── ModelRateLimited    retry after `retry_after_s`
    ├── ModelUnavailable    retry may help (connection refused, 5xx)
    ├── ModelRefused        the provider declined the content; a policy outcome, no retry
    ├── ModelBadOutput      the answer could not be read; retry may help
    └── ModelRejected       the call itself is wrong (4xx, authentication, quota); the operator must act
"""

from schemas.common import Problem
from schemas.dead_letter import DeadLetterReason


class SluicegateError(Exception):
    """Base of all errors raised on purpose."""


class ConfigurationError(SluicegateError):
    """The installation is wrong: the operator must act, a retry cannot help."""


class UnknownPart(ConfigurationError):
    """A prompt, index, route or scorer of that name does not exist."""

    def __init__(self, kind: str, name: str, known: list[str]) -> None:
        self.kind, self.name, self.known = kind, name, known
        super().__init__(f"unknown {kind} {name!r}; known: {', '.join(sorted(known)) or 'none'}")


class MissingExtra(ConfigurationError):
    """A library that an enabled part needs is not installed."""

    def __init__(self, part: str, extra: str) -> None:
        super().__init__(f"{part} needs the extra {extra!r}: pip install 'sluicegate[{extra}]'")


class VaultUnavailable(SluicegateError):
    """The vault of redacted values cannot be reached; a later try may help."""


class RequestRefused(SluicegateError):
    """The request was read but cannot be served as asked; the producer must change it."""

    def __init__(self, code: str, reason: str, field: str | None = None, expected: str | None = None) -> None:
        super().__init__(reason)
        self.problem = Problem(code=code, reason=reason, field=field, expected=expected)


class Unprocessable(SluicegateError):
    """Why a readable record goes to the dead letters: raised, instead of events; returned by a stage, beside them."""

    def __init__(
        self,
        reason: DeadLetterReason,
        message: str,
        field: str | None = None,
        expected: str | None = None,
        attempts: int | None = None,
    ) -> None:
        super().__init__(message)
        self.reason: DeadLetterReason = reason
        self.field = field
        self.expected = expected
        self.attempts = attempts


class ModelError(SluicegateError):
    """A model call failed. `retryable` says whether the same call may succeed later."""

    code = "model_error"
    retryable = False


class ModelTimeout(ModelError):
    """No complete answer in time; a retry may help."""

    code = "model_timeout"
    retryable = True


class ModelRateLimited(ModelError):
    """The provider asks to slow down; retry after `retry_after_s` seconds where it says so."""

    code = "model_rate_limited"
    retryable = True

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ModelUnavailable(ModelError):
    """The provider cannot be reached or fails on its side (5xx); a retry may help."""

    code = "model_unavailable"
    retryable = True


class ModelRefused(ModelError):
    """The provider declined the content; a policy outcome, never a reason to ask elsewhere."""

    code = "model_refused"


class ModelBadOutput(ModelError):
    """The provider's answer could not be read; a retry may help."""

    code = "model_bad_output"
    retryable = True


class ModelRejected(ModelError):
    """The call itself is wrong: 4xx, authentication or quota. The operator must act."""

    code = "model_rejected"


MODEL_ERRORS: dict[str, DeadLetterReason] = {
    "model_timeout": "model_timeout",
    "model_rate_limited": "model_rate_limited",
    "model_unavailable": "model_unavailable",
    "model_bad_output": "model_bad_output",
    "model_rejected": "model_rejected",
}
"""Codes of failures after which a request is also a dead letter; what a model declined is no failure."""
