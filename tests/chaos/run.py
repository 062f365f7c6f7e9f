"""One run: servers, workers, load and faults, then quiet until everything has ended, then the verdict."""

import asyncio
import contextlib
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos import baseline
from tests.chaos.faults import FAULTS, Target
from tests.chaos.follower import Follower
from tests.chaos.load import Load
from tests.chaos.records import read_calls, read_topic
from tests.chaos.schedule import BY_NAME, ONE_AT_A_TIME, Planned
from tests.chaos.servers import Servers
from tests.chaos.verifier import Evidence, Record, Verdict, judge
from tests.chaos.workers import Workers

_READY_S = 120.0
_LONGEST_QUIET_S = 900.0
_PROGRESS_S = 10.0
_BETWEEN_S = 2.0
_THREADS = 16


class HarnessFailed(Exception):
    """The run could not be made; nothing was found out about the promise."""


@dataclass(frozen=True, slots=True)
class Options:
    """A run, as the command line describes it."""

    seed: int
    rate: float
    total: int
    workers: int
    faults: Sequence[Planned]
    folder: Path
    broker: str = "apache"
    latency_s: float = 0.1
    stragglers: float = 0.01
    baseline: bool = False
    patience_s: float = 60.0
    """How long nothing may end before the rest counts as lost."""


@dataclass
class Outcome:
    """What a run showed."""

    verdict: Verdict
    happened: list[dict[str, object]]
    exits: list[str]
    unclean: list[str]
    took_s: float
    loaded_s: float
    counts: Counter[str] = field(default_factory=Counter)
    group_rebalances: int = 0


class Run:
    """Holds what is running; `execute` runs it and always stops what it started."""

    def __init__(self, options: Options) -> None:
        self.options = options
        pace = (options.seed, options.latency_s, options.stragglers)
        self.servers = Servers(options.folder, options.broker, *pace)
        folder = options.folder / "workers"
        if options.baseline:
            plain = baseline.environment(self.servers)
            self.workers = Workers(folder, options.workers, plain, baseline.COMMAND)
        else:
            self.workers = Workers(folder, options.workers, self.servers.environment)
        self.happened: list[dict[str, object]] = []
        self._began = 0.0
        self._resources: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def execute(self) -> Outcome:
        """Raises HarnessFailed when the servers or the first workers do not start, or a fault cannot be made."""
        began = time.monotonic()
        loop, running = asyncio.get_running_loop(), asyncio.current_task()
        assert running is not None
        loop.add_signal_handler(signal.SIGTERM, running.cancel)
        # Servers end with the thread that started them: these threads live as long as the loop.
        loop.set_default_executor(ThreadPoolExecutor(_THREADS))
        try:
            await asyncio.to_thread(self.servers.start)
            verdict, loaded_s = await self._under_load()
        finally:
            await asyncio.shield(asyncio.to_thread(self._stop))
        took_s = time.monotonic() - began
        counts = Counter(str(fault["kind"]) for fault in self.happened)
        return Outcome(
            verdict,
            self.happened,
            self.workers.exits,
            self.workers.unclean,
            took_s,
            loaded_s,
            counts,
            self.workers.group_rebalances(),
        )

    async def _under_load(self) -> tuple[Verdict, float]:
        supervising = asyncio.create_task(self._supervise())
        try:
            await self._ready()
            topics = [self.servers.topic(name) for name in ("genai.responses", "genai.dead-letters")]
            follower = Follower(self.servers.bootstrap, *topics)
            load = self._load()
            follower.start()
            load.start()
            self._began = time.time()
            try:
                loaded_s = await self._with_faults(load, follower)
            finally:
                load.stop()
                follower.stop()
        finally:
            supervising.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await supervising
        await asyncio.gather(*(asyncio.to_thread(self.workers.stop, slot) for slot in self.workers.slots))
        return await asyncio.to_thread(self._judge, load), loaded_s

    def _load(self) -> Load:
        options, servers = self.options, self.servers
        topic = servers.topic("genai.requests")
        return Load(
            servers.bootstrap, topic, options.seed, options.rate, options.total, idempotence=servers.apache
        )

    async def _ready(self) -> None:
        due_at = time.monotonic() + _READY_S
        while not self.workers.all_started():
            if time.monotonic() > due_at or len(self.workers.exits) > 3 * self.options.workers:
                raise HarnessFailed(
                    f"the workers do not start: {'; '.join(self.workers.exits[-1:]) or 'silent'}"
                )
            await asyncio.sleep(0.2)

    async def _supervise(self) -> None:
        while True:
            self.workers.supervise()
            await asyncio.sleep(0.2)

    async def _with_faults(self, load: Load, follower: Follower) -> float:
        async with asyncio.TaskGroup() as faults:
            progress = faults.create_task(self._tell(load, follower))
            making = [faults.create_task(self._one_by_one())]
            making += [
                faults.create_task(self._make(fault)) for fault in self.options.faults if not fault.alone
            ]
            while load.is_alive():
                await asyncio.sleep(0.1)
            loaded_s = time.time() - self._began
            await asyncio.wait(making)
            await self._quiet(load, follower)
            progress.cancel()
        return loaded_s

    async def _one_by_one(self) -> None:
        """Restarts take longer than planned on a busy machine: the next fault waits for them."""
        for fault in self.options.faults:
            if fault.alone:
                await self._make(fault)
                await asyncio.sleep(_BETWEEN_S)

    async def _make(self, planned: Planned) -> None:
        await asyncio.sleep(max(0.0, self._began + planned.at_s - time.time()))
        resource = BY_NAME[planned.kind].resource
        async with self._resources[resource] if resource in ONE_AT_A_TIME else contextlib.nullcontext():
            at_s = time.time() - self._began
            told = await FAULTS[planned.kind](Target(self.servers, self.workers), planned)
        took_s = time.time() - self._began - at_s
        self.happened.append(
            {"at_s": round(at_s, 2), "kind": planned.kind, "took_s": round(took_s, 2), "what": told}
        )

    async def _quiet(self, load: Load, follower: Follower) -> None:
        """Until all that was sent has ended, or nothing ends any more."""
        missing = await asyncio.to_thread(load.settle, 120.0)
        if missing or load.refused:
            raise HarnessFailed(
                f"{missing} records unconfirmed, {len(load.refused)} refused: {load.refused[:3]}"
            )
        quiet_since = time.monotonic()
        while load.confirmed - follower.ended:
            now = time.monotonic()
            silent_s = now - max(follower.heard_at, quiet_since)
            if silent_s > self.options.patience_s or now - quiet_since > _LONGEST_QUIET_S:
                return
            await asyncio.sleep(0.5)

    async def _tell(self, load: Load, follower: Follower) -> None:
        while True:
            await asyncio.sleep(_PROGRESS_S)
            elapsed_s = time.time() - self._began
            made = f"{len(self.happened):3} of {len(self.options.faults)} faults"
            last = f", last {self.happened[-1]['kind']}" if self.happened else ""
            ended = len(follower.ended)
            print(f"{elapsed_s:5.0f} s  sent {load.sent:6}  ended {ended:6}  {made}{last}", flush=True)

    def _judge(self, load: Load) -> Verdict:
        def topic(name: str) -> list[Record]:
            return read_topic(self.servers.bootstrap, self.servers.topic(name))

        return judge(
            Evidence(
                requests=topic("genai.requests"),
                responses=topic("genai.responses"),
                dead_letters=topic("genai.dead-letters"),
                calls=read_calls(self.servers.model.calls),
                confirmed=load.confirmed,
                kills=self.workers.kills,
                redis_outages=self.servers.redis_outages,
                began_s=self._began,
            )
        )

    def _stop(self) -> None:
        self.workers.kill_all()
        self.servers.stop()
