"""The delivery rule where a partition changes hands, is read again, or all stops: nothing is lost or done twice."""

import asyncio
from collections.abc import Sequence

from schemas.common import Event
from schemas.request import GenerationRequest
from streams.records import Origin
from tests.streams.test_delivery import FakePublisher, Record, committed, delivery, echo


async def test_a_new_generation_starts_a_ledger_of_its_own() -> None:
    """Work of a lost assignment that ends late must not hold back, or release, the acks of the new one."""
    old = asyncio.Event()

    async def handle(request: GenerationRequest, origin: Origin) -> Sequence[Event]:
        if origin.offset == 0 and not old.is_set():
            await old.wait()
        return []

    rule = delivery(handle, FakePublisher())
    await rule.accept([Record(0)], 1)
    await asyncio.sleep(0.01)
    await rule.accept([Record(5)], 2)
    await asyncio.sleep(0.01)
    assert committed(rule, generation=2) == (6, [])
    assert rule.progress("genai.requests", 0, 1) is None
    old.set()
    await rule.drain(1)
    assert committed(rule, generation=2) == (6, [])


async def test_draining_cuts_off_at_the_limit_and_leaves_the_rest_undone() -> None:
    async def handle(request: GenerationRequest, origin: Origin) -> Sequence[Event]:
        await asyncio.sleep(60)
        return []

    rule = delivery(handle, FakePublisher())
    await rule.accept([Record(0)], 1)
    assert await rule.drain(0.01) == 1
    assert committed(rule) == (0, [])


async def test_a_record_read_again_while_it_is_at_work_is_finished_once_for_both() -> None:
    """A rebalance gives the partition back to the worker that has it in flight: no second call, and an ack."""
    go, handled = asyncio.Event(), []

    async def handle(request: GenerationRequest, origin: Origin) -> Sequence[Event]:
        handled.append(origin.offset)
        await go.wait()
        return []

    rule = delivery(handle, FakePublisher())
    await rule.accept([Record(5)], 1)
    await asyncio.sleep(0.01)
    await rule.accept([Record(5), Record(6)], 2)
    await asyncio.sleep(0.01)
    go.set()
    await rule.drain(1)
    await asyncio.sleep(0.01)
    assert handled == [5, 6]
    assert committed(rule, generation=2) == (7, [])


async def test_a_stop_in_the_middle_of_a_chunk_leaves_the_rest_of_it_to_others() -> None:
    go, handled = asyncio.Event(), []

    async def handle(request: GenerationRequest, origin: Origin) -> Sequence[Event]:
        handled.append(origin.offset)
        await go.wait()
        return []

    rule = delivery(handle, FakePublisher(), window=2)
    feeding = asyncio.create_task(rule.accept([Record(offset) for offset in range(5)], 1))
    await asyncio.sleep(0.01)
    draining = asyncio.create_task(rule.drain(1))
    await asyncio.sleep(0.01)
    go.set()
    assert await draining == 0
    await feeding
    assert (handled, committed(rule)) == ([0, 1], (2, []))


async def test_what_an_earlier_owner_finished_is_not_handled_again() -> None:
    handled: list[int] = []

    async def handle(request: GenerationRequest, origin: Origin) -> Sequence[Event]:
        handled.append(origin.offset)
        return []

    async def finished(topic: str, partition: int) -> list[int]:
        assert (topic, partition) == ("genai.requests", 0)
        return [6, 8]

    rule = delivery(handle, FakePublisher(), window=1)
    rule.finished = finished
    await rule.accept([Record(offset) for offset in range(5, 10)], 1)
    await rule.drain(1)
    assert handled == [5, 7, 9]
    assert committed(rule) == (10, [])


async def test_a_rebalance_waits_a_moment_for_what_is_at_work_and_begins_nothing() -> None:
    go, handled = asyncio.Event(), []

    async def handle(request: GenerationRequest, origin: Origin) -> Sequence[Event]:
        handled.append(origin.offset)
        await go.wait()
        return []

    rule = delivery(handle, FakePublisher(), window=2)
    feeding = asyncio.create_task(rule.accept([Record(offset) for offset in range(5)], 1))
    await asyncio.sleep(0.01)
    letting_go = asyncio.create_task(rule.let_go(5.0))
    await asyncio.sleep(0.01)
    go.set()
    await asyncio.wait_for(letting_go, 1)
    await feeding
    assert (handled, committed(rule)) == ([0, 1], (2, []))
    await rule.accept([Record(2)], 1)
    assert handled == [0, 1], "nothing begins before partitions are dealt out"
    rule.go_on()
    await rule.accept([Record(2)], 2)
    await rule.drain(1)
    assert handled == [0, 1, 2]


async def test_a_rebalance_does_not_wait_long_for_slow_work_which_goes_on() -> None:
    go = asyncio.Event()

    async def handle(request: GenerationRequest, origin: Origin) -> Sequence[Event]:
        await go.wait()
        return [request]

    publisher = FakePublisher()
    rule = delivery(handle, publisher)
    await rule.accept([Record(0)], 1)
    await asyncio.sleep(0.01)
    await asyncio.wait_for(rule.let_go(0.05), 1)
    assert committed(rule) == (0, [])
    rule.go_on()
    go.set()
    await rule.drain(1)
    assert len(publisher.published) == 1


async def test_a_stage_that_only_waits_drops_its_work_at_a_rebalance() -> None:
    async def handle(request: GenerationRequest, origin: Origin) -> Sequence[Event]:
        await asyncio.sleep(60)
        return [request]

    rule = delivery(handle, FakePublisher())
    rule.stage.waits = True
    await rule.accept([Record(0)], 1)
    await asyncio.sleep(0.01)
    await asyncio.wait_for(rule.let_go(5.0), 1)
    await asyncio.sleep(0.01)
    assert rule.in_flight == 0


async def test_nothing_is_committed_past_a_record_that_was_left_out() -> None:
    """Lost once, in 224 rebalances: a chunk came before its assignment was told, and the next one passed it."""
    rule = delivery(echo, FakePublisher())
    rule._letting_go = True
    assert await rule.accept([Record(0), Record(1)], 1)
    rule.go_on()
    assert not await rule.accept([Record(2)], 1, follows=2)
    assert rule.progress("genai.requests", 0, 1) is None
    assert await rule.accept([Record(0), Record(1)], 1), "read again"
    await rule.drain(1)
    assert committed(rule) == (2, [])


async def test_what_is_done_and_not_yet_committed_is_not_forgotten_when_it_is_read_again() -> None:
    """Repeated once: a partition read again at a stop began a new ledger, and what had been done was done again."""
    go, handled = asyncio.Event(), []

    async def handle(request: GenerationRequest, origin: Origin) -> Sequence[Event]:
        handled.append(origin.offset)
        if origin.offset == 1:
            await go.wait()
        return []

    rule = delivery(handle, FakePublisher())
    await rule.accept([Record(0), Record(1), Record(2)], 1)
    await asyncio.sleep(0.01)
    assert not await rule.accept([Record(4)], 1, follows=4), "3 was dropped"
    assert await rule.accept([Record(0), Record(1), Record(2), Record(3)], 1), "read again"
    await asyncio.sleep(0.01)
    assert (handled, committed(rule)) == ([0, 1, 2, 3], (1, [2, 3]))
    go.set()
    await asyncio.sleep(0.01)
    assert committed(rule) == (4, [])
    assert await rule.accept([Record(4)], 1, follows=4)
    await rule.drain(1)
    assert committed(rule) == (5, [])


async def test_what_arrives_during_a_stop_is_left_to_others_and_no_reason_to_read_again() -> None:
    rule = delivery(echo, FakePublisher())
    await rule.accept([Record(0)], 1)
    await rule.drain(1)
    assert await rule.accept([Record(1)], 1, follows=1)
    assert await rule.accept([Record(2)], 1, follows=2)
    assert await rule.accept([Record(0)], 1)
    assert committed(rule) == (1, [])


async def test_records_between_which_some_were_dropped_are_refused_until_they_are_read_again() -> None:
    """Lost once, in 214 rebalances: a new assignment's first chunk never arrived, and its second began the ledger."""
    publisher = FakePublisher()
    rule = delivery(echo, publisher)
    assert not await rule.accept([Record(2)], 1, follows=2), "nothing is known of what came before"
    assert await rule.accept([Record(0)], 1)
    assert not await rule.accept([Record(2)], 1, follows=2), "1 is missing"
    assert not await rule.accept([Record(1)], 2, follows=1), "another assignment"
    assert await rule.accept([Record(0), Record(1)], 1), "read again"
    assert await rule.accept([Record(5)], 1, follows=2), "3 and 4 never were: compaction leaves such gaps"
    await asyncio.sleep(0.01)
    assert committed(rule) == (6, [])
