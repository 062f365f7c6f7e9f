"""What the scoring engine does for short texts while long ones flow, and whether threads or processes serve better.

    python benchmarks/engine.py [--seconds 4]

`mixed`: answers of 200 characters arrive at a steady rate beside ones of 20,000, at a scorer that waits without the
GIL for as long as an encoder would compute. `groundedness`: the pure-Python scorer under full load, in threads and
in processes, with the longest time for which the event loop was not served.
"""

import argparse
import asyncio
import os
import platform
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from random import Random

from agents.ports import ScoreInput
from agents.scorers import WEIGHTS
from agents.scorers.engine import ScoringEngine
from agents.scorers.groundedness import Groundedness
from agents.scorers.lane import Limits
from agents.scorers.waiting import BATCH_CHARS, BOUNDS
from schemas.common import Passage
from schemas.score import Score

SHORT, LONG = 200, 20_000
S_PER_CHAR, S_PER_BATCH, WINDOW = 5e-6, 2e-3, 1500
"""A small int8 encoder on one core: 1 ms for 200 characters, 100 ms for 20,000 in windows, and a batch's own 2 ms."""
STEADY = 60
"""Answers a second that a worker on two cores passes under load (docs/delivery.md)."""
TEXT = "the ferry leaves pier four at nine and a return ticket costs twelve euros on every day of summer"


class Paced:
    """Takes as long as an encoder that pads a batch to its longest window, without holding the GIL."""

    name, version = "paced", "paced@00000000"

    def score(self, batch: Sequence[ScoreInput]) -> list[Score]:
        """Waits."""
        padded = min(WINDOW, max(len(item.text) for item in batch))
        time.sleep(S_PER_BATCH + S_PER_CHAR * sum(max(padded, len(item.text)) for item in batch))
        return [Score(name=self.name, version=self.version, status="ok", value=0.5) for _ in batch]


async def mixed(limits: Limits, seconds: float) -> str:
    """Short and long texts arrive for `seconds`, at four fifths of what two threads can do without padding."""
    engine = ScoringEngine([Paced()], timeout_s=10.0, limits=limits)
    await engine.start()
    random = Random(0)  # noqa: S311  # a fixed load
    took: dict[int, list[float]] = {SHORT: [], LONG: []}

    async def one(size: int) -> None:
        started = time.perf_counter()
        (score,) = await engine.judge(ScoreInput("x" * size))
        took[size].append(time.perf_counter() - started if score.status == "ok" else float("inf"))

    tasks, ends = [], time.perf_counter() + seconds
    while time.perf_counter() < ends:
        size = LONG if random.random() < 0.05 else SHORT
        tasks.append(asyncio.create_task(one(size)))
        await asyncio.sleep(random.expovariate(240.0))
    await asyncio.gather(*tasks)
    await engine.aclose()
    texts_s = len(tasks) / (time.perf_counter() - ends + seconds)
    return f"{texts_s:6.0f} texts/s; short {_spread(took[SHORT])}; long {_spread(took[LONG])}"


def _spread(took: Sequence[float]) -> str:
    cuts = statistics.quantiles(took, n=100)
    return f"p50 {cuts[49] * 1e3:5.0f}, p99 {cuts[98] * 1e3:5.0f} ms"


def answers(number: int) -> list[ScoreInput]:
    """Answers of three sentences over five passages of six; the passages are new for each."""
    random, words = Random(1), TEXT.split()  # noqa: S311  # a fixed load

    def sentences(count: int) -> str:
        return " ".join(" ".join(random.sample(words, 14)).capitalize() + "." for _ in range(count))

    def passage(position: int) -> Passage:
        text = sentences(6)
        return Passage(id=str(position), text=text, source="s", start=0, end=len(text))

    return [ScoreInput(sentences(3), tuple(map(passage, range(5)))) for _ in range(number)]


async def under_load(items: Sequence[ScoreInput], judge: Callable[[ScoreInput], Awaitable[object]]) -> str:
    """Half of the items as fast as it goes, 64 in flight; the others at a steady rate, which is how work arrives."""
    gate, half = asyncio.Semaphore(64), len(items) // 2

    async def one(item: ScoreInput) -> None:
        async with gate:
            await judge(item)

    started = time.perf_counter()
    await asyncio.gather(*map(one, items[:half]))
    per_s = half / (time.perf_counter() - started)
    late: list[float] = []
    ticking = asyncio.create_task(_tick(late))
    tasks = []
    for item in items[half:]:
        tasks.append(asyncio.create_task(one(item)))
        await asyncio.sleep(1 / STEADY)
    await asyncio.gather(*tasks)
    ticking.cancel()
    p99 = statistics.quantiles(late, n=100)[98]
    told = f"p99 {p99 * 1e3:.0f}, at most {max(late) * 1e3:.0f} ms"
    return f"at most {per_s:4.0f} answers/s; at {STEADY}/s the event loop is late by {told}"


async def _tick(late: list[float]) -> None:
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        late.append(time.perf_counter() - before - 0.001)


async def in_threads(items: Sequence[ScoreInput], threads: int) -> str:
    """The engine as it is."""
    engine = ScoringEngine([_groundedness()], timeout_s=60.0, limits=Limits(threads=threads))
    await engine.start()
    told = await under_load(items, engine.judge)
    await engine.aclose()
    return told


def _groundedness() -> Groundedness:
    """Without its encoder: what Python computes alone, which is what threads cannot share."""
    return Groundedness(WEIGHTS / "groundedness", encoder=False)


_in_process = _groundedness()


def _score(item: ScoreInput) -> list[Score]:
    return _in_process.score([item])


async def in_processes(items: Sequence[ScoreInput], processes: int) -> str:
    """The scorer in processes of its own; inputs and scores are pickled."""
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(processes) as pool:
        await asyncio.gather(*(loop.run_in_executor(pool, _score, item) for item in items[:8]))
        return await under_load(items, lambda item: loop.run_in_executor(pool, _score, item))


def _tell(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # a report


async def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=4.0)
    given = parser.parse_args()
    _tell(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for name, bounds, chars in (("one queue", (), 10**9), ("by length", BOUNDS, BATCH_CHARS)):
        limits = Limits(bounds=bounds, batch_chars=chars)
        _tell(f"mixed, {name}: {await mixed(limits, given.seconds)}")
    items = answers(int(given.seconds * STEADY * 2))
    for count in (1, 2):
        _tell(f"groundedness, {count} threads:   {await in_threads(items, count)}")
        _tell(f"groundedness, {count} processes: {await in_processes(items, count)}")


if __name__ == "__main__":
    asyncio.run(main())
