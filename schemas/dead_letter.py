"""`genai.dead-letters`: what could not be read, key and value bytes untouched, the reason in headers."""

from typing import Literal

from msgspec import Struct

DeadLetterReason = Literal[
    "null_value",
    "not_utf8",
    "not_json",
    "invalid",
    "too_large",
    "unsupported_version",
    "duplicate_id",
    "unknown_review",
    "already_decided",
    "handler_error",
    "model_timeout",
    "model_rate_limited",
    "model_unavailable",
    "model_bad_output",
    "model_rejected",
]

HEADER_PREFIX = "__connect.errors."
OWN_PREFIXES = (HEADER_PREFIX, "sluicegate.")
"""Of headers that say why a record is a dead letter; a record that becomes one again gets new ones."""


class DeadLetter(Struct, frozen=True, kw_only=True):
    """Why a record was set aside. `field` is a JSON path (`$.max_tokens`); `attempts` goes with failed models."""

    topic: str
    partition: int
    offset: int
    stage: str
    reason: DeadLetterReason
    message: str
    field: str | None = None
    expected: str | None = None
    request_id: str | None = None
    tenant: str | None = None
    attempts: int | None = None

    def headers(self) -> list[tuple[str, bytes]]:
        """Kafka Connect's own error headers, which existing tools read, and ours with the typed reason."""
        named = {
            f"{HEADER_PREFIX}topic": self.topic,
            f"{HEADER_PREFIX}partition": str(self.partition),
            f"{HEADER_PREFIX}offset": str(self.offset),
            f"{HEADER_PREFIX}stage": self.stage,
            f"{HEADER_PREFIX}exception.class.name": f"sluicegate.{self.reason}",
            f"{HEADER_PREFIX}exception.message": self.message,
            "sluicegate.reason": self.reason,
            "sluicegate.field": self.field,
            "sluicegate.expected": self.expected,
            "sluicegate.request_id": self.request_id,
            "sluicegate.tenant": self.tenant,
            "sluicegate.attempts": None if self.attempts is None else str(self.attempts),
        }
        return [(name, value.encode()) for name, value in named.items() if value is not None]

    @classmethod
    def from_headers(cls, headers: list[tuple[str, bytes]] | list[tuple[str, bytes | None]]) -> "DeadLetter":
        """Read them back.

        Raises:
            KeyError: a header that every dead letter of ours has is missing.
            ValueError: partition, offset or attempts is no number.
        """
        found = {name: value.decode("utf-8", "replace") for name, value in headers if value is not None}
        return cls(
            topic=found[f"{HEADER_PREFIX}topic"],
            partition=int(found[f"{HEADER_PREFIX}partition"]),
            offset=int(found[f"{HEADER_PREFIX}offset"]),
            stage=found[f"{HEADER_PREFIX}stage"],
            reason=found["sluicegate.reason"],  # type: ignore[arg-type]  # as written by us; unknown ones only print
            message=found[f"{HEADER_PREFIX}exception.message"],
            field=found.get("sluicegate.field"),
            expected=found.get("sluicegate.expected"),
            request_id=found.get("sluicegate.request_id"),
            tenant=found.get("sluicegate.tenant"),
            attempts=int(found["sluicegate.attempts"]) if "sluicegate.attempts" in found else None,
        )
