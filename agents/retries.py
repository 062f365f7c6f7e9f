"""The waiting stage: a request goes back to its models when its next attempt is due."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from agents.ports import Clock
from schemas.common import Event
from schemas.identity import id_of
from schemas.retry import Retry

HOP_S = 20.0
"""No record waits longer at once: it goes to the end of its topic again, so that short waits pass long ones and
committed offsets go on moving."""


@dataclass(slots=True)
class RetryStage:
    """`genai.retries` in; the context when it is due, else the same retry once more, out."""

    clock: Clock
    sleep: Callable[[float], Awaitable[object]]

    async def handle(self, retry: Retry) -> Sequence[Event]:
        """Wait for the retry's time, or a part of it."""
        left_s = (retry.not_before - self.clock()).total_seconds()
        if left_s > 0:
            await self.sleep(min(left_s, HOP_S))
        if left_s > HOP_S:
            return [retry]
        context = retry.context
        return [replace(context, id=id_of(context.request, f"context:{context.attempts}"))]
