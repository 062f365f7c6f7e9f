"""CPU time and memory of process trees, from the kernel's own files."""

import os
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_GONE = (FileNotFoundError, ProcessLookupError)
_EVERY_S = 0.4
PROC = Path("/proc")


def tree(pid: int, proc: Path = PROC) -> list[int]:
    """A process and all that descend from it."""
    return _descending(pid, _children(proc))


def _descending(pid: int, children: Mapping[int, Sequence[int]]) -> list[int]:
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def _children(proc: Path = PROC) -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for entry in proc.iterdir():
        if entry.name.isdigit():
            with suppress(*_GONE):
                children.setdefault(int(_fields(entry)[1]), []).append(int(entry.name))
    return children


def _fields(entry: Path) -> list[str]:
    """What follows the name, which may hold spaces and brackets, in `stat`."""
    return (entry / "stat").read_text().rpartition(")")[2].split()


def cpu_s(pids: Sequence[int], proc: Path = PROC) -> float:
    """What they have used so far, with what their ended children used."""
    ticks = 0
    for pid in pids:
        with suppress(*_GONE):
            ticks += sum(int(value) for value in _fields(proc / str(pid))[11:15])
    return ticks / _TICKS


def rss_mib(pids: Sequence[int], proc: Path = PROC) -> tuple[float, float]:
    """Resident memory now, and the sum of each one's peak."""
    now = peak = 0
    for pid in pids:
        with suppress(*_GONE):
            lines = (proc / str(pid) / "status").read_text().splitlines()
            status = dict(line.split(":", 1) for line in lines if line.startswith(("VmRSS", "VmHWM")))
            now += int(status.get("VmRSS", "0").split()[0])
            peak += int(status.get("VmHWM", "0").split()[0])
    return now / 1024, peak / 1024


@dataclass
class Series:
    """CPU time used so far at moments of the wall clock, and the highest memory seen."""

    at: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    peak_mib: float = 0.0
    last_mib: float = 0.0

    def used(self, began: float, ended: float) -> float | None:
        """CPU seconds between two moments; None where there are no samples for it."""
        if len(self.at) < 2 or ended <= began:
            return None
        return self._at(ended) - self._at(began)

    def _at(self, moment: float) -> float:
        index = min(max(bisect_left(self.at, moment), 1), len(self.at) - 1)
        left, right = self.at[index - 1], self.at[index]
        share = min(max((moment - left) / (right - left), 0.0), 1.0) if right > left else 1.0
        return self.cpu_s[index - 1] + share * (self.cpu_s[index] - self.cpu_s[index - 1])


class Sampler(threading.Thread):
    """Looks at groups of processes a few times a second until it is stopped."""

    def __init__(self, groups: Mapping[str, Callable[[], Sequence[int]]]) -> None:
        super().__init__(name="sampler", daemon=True)
        self._groups = groups
        self._ending = threading.Event()
        self.series: dict[str, Series] = {name: Series() for name in groups}

    def run(self) -> None:
        """Until `stop`."""
        while not self._ending.is_set():
            self._look()
            self._ending.wait(_EVERY_S)

    def _look(self) -> None:
        children = _children()
        for name, members in self._groups.items():
            pids = [one for root in members() for one in _descending(root, children)]
            if not pids:
                continue
            series = self.series[name]
            series.at.append(time.time())
            series.cpu_s.append(cpu_s(pids))
            series.last_mib, peaks = rss_mib(pids)
            # The sum of peaks is right for one process and above the truth for several.
            series.peak_mib = max(series.peak_mib, series.last_mib if len(pids) > 1 else peaks)

    def stop(self) -> None:
        """Take a last look."""
        self._ending.set()
        self.join(5)
        with suppress(*_GONE):
            self._look()
