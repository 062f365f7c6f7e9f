"""The workers of a run: started again after every end, each under a name of its own, their kills on record."""

import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from streams.embedded.process import ServerProcess
from tests.chaos.servers import ROOT

Environment = Callable[[str], Mapping[str, str]]
SLUICEGATE = ("-m", "streams.cli", "worker", "--web-port", "0")
_STARTED = ("worker.started", "baseline.started")


class WorkerServer(ServerProcess):
    """One life of a worker; its log is named after it."""

    stop_timeout_s = 40.0

    def __init__(
        self, directory: Path, name: str, arguments: Sequence[str], settings: Mapping[str, str]
    ) -> None:
        super().__init__(directory)
        self.name = name
        self._arguments, self._settings = arguments, settings
        self._started = False

    def command(self) -> Sequence[str]:
        return [sys.executable, *self._arguments]

    def environment(self) -> Mapping[str, str]:
        return self._settings

    def folder(self) -> Path:
        return ROOT

    def ready(self) -> bool:
        """At once: nobody waits for a worker while others work."""
        return True

    def started(self) -> bool:
        """Whether it has joined its groups, by its log."""
        if not self._started and self.log.exists():
            text = self.log.read_text(errors="replace")
            self._started = any(word in text for word in _STARTED)
        return self._started


class Workers:
    """Slots `w1`, `w2`, ... each with a worker in it; a life is called `w2-5`."""

    def __init__(
        self, folder: Path, count: int, environment: Environment, arguments: Sequence[str] = SLUICEGATE
    ) -> None:
        self._folder, self._environment, self._arguments = folder, environment, arguments
        self.slots = [f"w{number}" for number in range(1, count + 1)]
        self._lives: Counter[str] = Counter()
        self._running: dict[str, WorkerServer] = {}
        self._due: dict[str, float] = {}
        """When an empty slot is filled again."""
        self.kills: dict[str, float] = {}
        self.exits: list[str] = []
        """Workers that ended though nobody asked them to."""
        self.unclean: list[str] = []
        """Workers that had to be killed because they did not stop in time."""

    def start(self, slot: str) -> WorkerServer:
        """A new life in that slot."""
        self._lives[slot] += 1
        name = f"{slot}-{self._lives[slot]}"
        worker = WorkerServer(self._folder, name, self._arguments, self._environment(name))
        self._running[slot] = worker.start()
        return worker

    def start_all(self) -> None:
        """Fill every slot."""
        for slot in self.slots:
            self.start(slot)

    def at(self, slot: str) -> WorkerServer | None:
        """The worker in that slot, while it runs."""
        worker = self._running.get(slot)
        return worker if worker is not None and worker.pid is not None else None

    def all_started(self) -> bool:
        """Whether every slot has a worker that has joined its groups."""
        return all((worker := self.at(slot)) is not None and worker.started() for slot in self.slots)

    def kill(self, slot: str, again_after_s: float = 1.0) -> str | None:
        """SIGKILL what runs there; the slot is filled again a little later."""
        worker = self._running.get(slot)
        if worker is None or (pid := worker.pid) is None:
            return None
        os.kill(pid, signal.SIGKILL)
        self.kills[worker.name] = time.time()
        worker.kill()
        del self._running[slot]
        self._due[slot] = time.monotonic() + again_after_s
        return worker.name

    def kill_all(self) -> None:
        """SIGKILL whatever runs, extra workers too: the run is over."""
        for slot in list(self._running):
            self.kill(slot)

    def supervise(self) -> None:
        """Fill slots that are due, and those whose worker ended by itself; called every so often."""
        for slot in self.slots:
            worker = self._running.get(slot)
            if worker is not None and worker.pid is None:
                self.exits.append(f"{worker.name}: {worker.tail(1)[-300:]}")
                del self._running[slot]
                self._due[slot] = time.monotonic() + 1.0
            elif worker is None and time.monotonic() >= self._due.get(slot, 0.0):
                self.start(slot)

    def group_rebalances(self) -> int:
        """How often partitions were dealt out, by the generations that workers told of: the sum over all groups."""
        last: dict[str, int] = {}
        for log in self._folder.glob("*.log"):
            for line in log.read_text(errors="replace").splitlines():
                if '"group.dealt"' in line:
                    told = json.loads(line)
                    last[told["group"]] = max(told["generation"], last.get(told["group"], 0))
        return sum(last.values())

    def stop(self, slot: str) -> None:
        """SIGTERM, and SIGKILL where that does not help; blocks."""
        worker = self._running.pop(slot, None)
        if worker is None or (pid := worker.pid) is None:
            return
        os.kill(pid, signal.SIGCONT)
        began = time.monotonic()
        worker.stop()
        if time.monotonic() - began >= worker.stop_timeout_s:
            self.kills[worker.name] = time.time()
            self.unclean.append(worker.name)
