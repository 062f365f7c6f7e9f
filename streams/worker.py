"""A worker: the chosen stages, their Faust apps, the web server and the watchdogs, started and stopped in order."""

import asyncio
import contextlib
import ctypes
import gc
import signal
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from schemas import channels
from streams.app import StageApp, new_app
from streams.delivery import Delivery
from streams.expiry import Expiry
from streams.lag import LagMonitor
from streams.ledger import StopLimit
from streams.offsets import GroupOffsets
from streams.services import Services
from streams.settings import Settings
from streams.stages import new_stage
from streams.topics import physical
from streams.web import WebServer
from streams.wiring import bind

log = structlog.get_logger(__name__)

_WAITING = 16
"""How many windows of records a stage may hold that does nothing but wait."""
_LEAVE_S = 5.0
"""What leaving a group or closing connections may take, when the broker is away."""
_LOOK_S = 1.0
_GRACE_S = 1.0
"""What such a stage is given at a stop, to finish what it is publishing."""
_M_MMAP_THRESHOLD = -3
"""As `malloc.h` names it."""


@dataclass(slots=True)
class _Running:
    """One stage at work."""

    app: StageApp
    delivery: Delivery[Any]
    offsets: GroupOffsets
    lag: LagMonitor
    watching: "asyncio.Task[None]"


@dataclass(slots=True)
class Worker:
    """Runs stages until it is asked to stop.

    A clean stop takes no new records, lets those in flight finish, commits, and leaves the consumer groups.
    """

    settings: Settings
    stages: Sequence[str]
    services: Services
    web: WebServer = field(init=False)
    _running: list[_Running] = field(init=False, default_factory=list)
    _expiring: "asyncio.Task[None] | None" = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.web = WebServer(
            self.services.metrics.registry,
            self.health,
            self.readiness,
            self.settings.web_host,
            self.settings.web_port,
        )

    async def start(self) -> None:
        """Start every stage; returns when all have joined their groups."""
        give_large_blocks_back()
        await self.services.start(self.stages)
        loop = asyncio.get_running_loop()
        self.services.metrics.tasks.set_function(lambda: len(asyncio.all_tasks(loop)))
        await self.web.start()
        log.info("worker.web", url=f"http://{self.settings.web_host}:{self.web.port}/metrics")
        # Side by side: each group's first join waits for the broker's initial rebalance delay.
        self._running.extend(await asyncio.gather(*(self._start_stage(name) for name in self.stages)))
        self._expiring = self._expire_reviews()
        spare_the_collector()
        log.info("worker.started", stages=list(self.stages))

    def _expire_reviews(self) -> "asyncio.Task[None] | None":
        """Have one worker of the release stage look after undecided reviews: the one with the first partition."""
        release = next((r for r in self._running if r.delivery.stage.name == "release"), None)
        if release is None:
            return None
        first = (physical(channels.REVIEW_DECISIONS, self.settings.topic_prefix), 0)
        services, metrics = self.services, self.services.metrics
        expiry = Expiry(
            services.review_book,
            services.publisher,
            services.policy,
            services.clock,
            assigned=lambda: first in release.app.consumer.assignment(),
            on_due=lambda action: metrics.reviews_overdue_total.labels(action=action).inc(),
            on_pending=metrics.reviews_pending.set,
        )
        return asyncio.create_task(expiry.run())

    async def _start_stage(self, name: str) -> _Running:
        settings, services = self.settings, self.services
        app = new_app(name, settings)
        group = f"{settings.group_prefix}.{name}"
        offsets = GroupOffsets(settings.broker, group)
        await offsets.start()
        stage = new_stage(name, services)
        window = settings.in_flight * (_WAITING if stage.waits else 1)
        limit = StopLimit(settings.invalid_run, settings.invalid_share)
        delivery = Delivery(stage, services.publisher, services.metrics, window, limit, offsets.finished)
        bind(app, delivery, settings)
        app.finalize()
        await app.start()
        lag = LagMonitor(
            settings.broker,
            group,
            offsets,
            settings.topic_prefix,
            lambda: {(tp.topic, tp.partition) for tp in app.consumer.assignment()},
            services.metrics,
            settings.stall_after_s,
        )
        return _Running(app, delivery, offsets, lag, asyncio.create_task(lag.run()))

    async def run(self) -> list[str]:
        """Start, work until SIGINT or SIGTERM, stop. A second signal stops at once.

        Returns the stages whose consumer crashed, which ends the work too: a restart is what helps then.
        """
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopping.set)
        try:
            await self.start()
        except BaseException:
            await self.services.aclose()
            raise
        while not stopping.is_set() and not self._crashed():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _LOOK_S)
        crashed = self._crashed()
        if crashed:
            log.critical(
                "worker.crashed", stages=crashed, do="restart it; the log above says what went wrong"
            )
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        log.info("worker.stopping")
        await self.stop()
        return crashed

    def _crashed(self) -> list[str]:
        return [running.delivery.stage.name for running in self._running if running.app.crashed]

    async def stop(self) -> None:
        """Finish what is in flight within the limit, commit, leave the groups."""
        if self._expiring:
            self._expiring.cancel()
            await asyncio.wait([self._expiring])
        await asyncio.gather(*(self._stop_stage(running) for running in self._running))
        self._running.clear()
        await self.web.aclose()
        await _within(_LEAVE_S, self.services.aclose(), "closing connections")
        log.info("worker.stopped")

    async def _stop_stage(self, running: _Running) -> None:
        running.watching.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await running.watching
        limit_s = self.settings.drain_timeout_s
        running.app.consumer.pause_partitions(running.app.consumer.assignment())
        waits = running.delivery.stage.waits
        late = await running.delivery.drain(min(_GRACE_S, limit_s) if waits else limit_s)
        if late and not waits:
            log.warning("worker.cut_off", stage=running.delivery.stage.name, records=late)
        await _within(_LEAVE_S, running.app.stop(), f"leaving the group of {running.delivery.stage.name}")
        await _within(_LEAVE_S, running.offsets.aclose(), "closing a connection")

    async def health(self) -> dict[str, str | None]:
        """Fails when a stage's offsets stand still under lag, or its watchdog died."""
        now_s = asyncio.get_running_loop().time()
        found: dict[str, str | None] = {}
        for running in self._running:
            stalled_s = running.lag.watchdog.stalled_s(now_s)
            dead = (running.app.crashed and "its consumer crashed") or (
                running.watching.done() and "its lag watch ended"
            )
            stuck = not running.lag.watchdog.healthy(now_s) and f"offsets stand still for {stalled_s:.0f} s"
            # A stage that stopped on purpose stands still, too; a restart would only have it go on.
            found[running.delivery.stage.name] = dead or (not running.delivery.stopped and stuck) or None
        if self._expiring and self._expiring.done():
            found["reviews"] = "nobody looks after undecided reviews any more"
        return found

    async def readiness(self) -> dict[str, str | None]:
        """Ready when every stage has joined its group and none has stopped at too many bad records.

        A worker beyond the number of partitions has none, and stands by.
        """
        found: dict[str, str | None] = dict.fromkeys(self.stages, "has not joined its group yet")
        for running in self._running:
            if running.app.consumer.joined:
                found[running.delivery.stage.name] = running.delivery.stopped
        return found


def give_large_blocks_back() -> None:
    """Have freed memory of 128 KiB and more go back to the system, where the C library is glibc.

    It takes larger and larger blocks from its arenas, of which each of librdkafka's threads has one, as such blocks
    are freed: what was fetched then stays there in pieces (`docs/performance.md`).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 128 * 1024)


def spare_the_collector() -> None:
    """Keep full garbage collections rare, and what is loaded by now out of them.

    Each walks over all that is cached, such as analysed passages, and stops the event loop for it: 150 to 370 ms with
    1,200 passages (`docs/scoring.md`). Little here is cyclic; what is not is freed at once all the same.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(25_000, 20, 100)


async def _within(limit_s: float, step: Awaitable[object], name: str) -> None:
    """Take a step of the end, but not for ever: the broker notices by itself that we are gone."""
    try:
        await asyncio.wait_for(step, limit_s)
    except TimeoutError:
        log.warning("worker.left_undone", step=name, after_s=limit_s)
