"""The waiting stage: back when it is due, and never long in one place."""

from datetime import datetime, timedelta

from agents.retries import HOP_S, RetryStage
from schemas.common import Problem
from schemas.context import RetrievedContext
from schemas.retry import Retry
from tests.agents.stage_fakes import NOW, draft

BUSY = Problem(code="model_rate_limited", reason="slow down")


class Time:
    """Moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = NOW
        self.slept: list[float] = []

    def clock(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)


def retry(after_s: float) -> Retry:
    context = draft().context
    return Retry(id="x", context=context, not_before=NOW + timedelta(seconds=after_s), problem=BUSY)


async def test_a_request_goes_back_when_it_is_due() -> None:
    time = Time()
    (back,) = await RetryStage(time.clock, time.sleep).handle(retry(8.0))
    assert isinstance(back, RetrievedContext)
    assert (back.request, time.slept) == (retry(8.0).context.request, [8.0])


async def test_what_was_due_before_a_restart_goes_back_at_once() -> None:
    time = Time()
    (back,) = await RetryStage(time.clock, time.sleep).handle(retry(-60.0))
    assert (isinstance(back, RetrievedContext), time.slept) == (True, [])


async def test_a_long_wait_is_made_of_hops() -> None:
    time = Time()
    stage = RetryStage(time.clock, time.sleep)
    (event,) = await stage.handle(retry(45.0))
    while isinstance(event, Retry):
        (event,) = await stage.handle(event)
    assert time.slept == [HOP_S, HOP_S, 5.0]
