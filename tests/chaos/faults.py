"""What each kind of fault does to a run; each returns a word on what it hit, and leaves everything as it was."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from tests.chaos.schedule import Planned
from tests.chaos.servers import Servers, freeze, thaw
from tests.chaos.workers import Workers, WorkerServer

_EXTRA = "x"
_JOINS_WITHIN_S = 45.0


@dataclass(frozen=True, slots=True)
class Target:
    """What faults have their hands on."""

    servers: Servers
    workers: Workers


Fault = Callable[[Target, Planned], Awaitable[str]]


async def kill(target: Target, fault: Planned) -> str:
    """A worker dies at once. One that is still starting is left to start, as long as another can be had."""
    workers = target.workers
    ready = [slot for slot in workers.slots if (worker := workers.at(slot)) and worker.started()]
    slots = ready or workers.slots
    return workers.kill(slots[int(fault.dice * len(slots))]) or "nobody: it was down already"


async def broker(target: Target, fault: Planned) -> str:
    """The broker dies and comes back with its log."""
    await asyncio.to_thread(target.servers.broker.kill)
    await asyncio.sleep(fault.lasts_s)
    await asyncio.to_thread(target.servers.broker.start)
    return "restarted"


async def broker_freeze(target: Target, fault: Planned) -> str:
    """The broker stands still."""
    freeze(target.servers.broker)
    try:
        await asyncio.sleep(fault.lasts_s)
    finally:
        thaw(target.servers.broker)
    return "resumed"


async def redis(target: Target, fault: Planned) -> str:
    """Redis dies and comes back empty."""
    await asyncio.to_thread(target.servers.restart_redis, fault.lasts_s)
    return "restarted empty"


async def redis_freeze(target: Target, fault: Planned) -> str:
    """Redis stands still."""
    await asyncio.to_thread(target.servers.freeze_redis, fault.lasts_s)
    return "resumed"


def model(mode: str, least: float, most: float) -> Fault:
    """The model misbehaves for a share of its calls between `least` and `most`."""

    async def misbehave(target: Target, fault: Planned) -> str:
        share = round(least + fault.dice * (most - least), 2)
        await _behave_for(target, fault, mode=mode, share=share)
        return f"{share:.0%} of the calls"

    return misbehave


async def slow_model(target: Target, fault: Planned) -> str:
    """Every call takes long, so that the workers' windows fill."""
    await _behave_for(target, fault, latency_s=2.0)
    return "2 s a call"


async def _behave_for(target: Target, fault: Planned, **behaviour: object) -> None:
    model = target.servers.model
    await asyncio.to_thread(lambda: model.behave(**behaviour))
    try:
        await asyncio.sleep(fault.lasts_s)
    finally:
        await asyncio.to_thread(model.behave)


async def rebalance(target: Target, fault: Planned) -> str:
    """One more worker comes, works for as long as the plan says, and goes, in good order."""
    slot = f"{_EXTRA}{int(fault.dice * 1e6)}"
    worker = target.workers.start(slot)
    try:
        joined = await _joined(worker)
        await asyncio.sleep(fault.lasts_s)
    except asyncio.CancelledError:
        target.workers.kill(slot)
        raise
    await asyncio.to_thread(target.workers.stop, slot)
    return f"{worker.name} {'joined and left' if joined else 'left before it had joined'}"


async def _joined(worker: WorkerServer) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_JOINS_WITHIN_S):
            while not worker.started() and worker.pid is not None:
                await asyncio.sleep(0.2)
    return worker.started()


async def worker_freeze(target: Target, fault: Planned) -> str:
    """A worker stands still and comes back to find its partitions gone."""
    slots = target.workers.slots
    worker = target.workers.at(slots[int(fault.dice * len(slots))])
    if worker is None:
        return "nobody: it was down already"
    freeze(worker)
    try:
        await asyncio.sleep(fault.lasts_s)
    finally:
        thaw(worker)
    return worker.name


async def slow_consumer(target: Target, fault: Planned) -> str:
    """A worker gets a fifth of the time, in pieces: too slow for its share, too quick to be taken for dead."""
    slots = target.workers.slots
    worker = target.workers.at(slots[int(fault.dice * len(slots))])
    ends_at = asyncio.get_running_loop().time() + fault.lasts_s
    while worker is not None and worker.pid is not None and asyncio.get_running_loop().time() < ends_at:
        freeze(worker)
        try:
            await asyncio.sleep(0.4)
        finally:
            thaw(worker)
        await asyncio.sleep(0.1)
    return worker.name if worker is not None else "nobody: it was down already"


FAULTS: Mapping[str, Fault] = {
    "kill": kill,
    "broker": broker,
    "broker-freeze": broker_freeze,
    "redis": redis,
    "redis-freeze": redis_freeze,
    "model-errors": model("fail-500", 0.3, 1.0),
    "model-limits": model("rate-limited", 0.3, 1.0),
    "model-garbage": model("garbage", 0.2, 0.7),
    "model-cut": model("cut", 0.2, 0.7),
    "model-hang": model("hang", 0.1, 0.3),
    "slow-model": slow_model,
    "rebalance": rebalance,
    "slow-consumer": slow_consumer,
    "freeze": worker_freeze,
}
