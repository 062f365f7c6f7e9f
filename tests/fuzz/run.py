"""A run: inputs by number, so that any of them can be made again, on one process or several."""

import multiprocessing
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.judge import TARGETS, Target, judge_in_time

CHUNK = 5_000


@dataclass(frozen=True, slots=True)
class Failure:
    """An input for which a rule does not hold."""

    target: str
    seed: int
    number: int
    given: str
    error: str

    def write(self, folder: Path) -> Path:
        """Keep it in a file of that folder."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.target}-{self.seed}-{self.number}.txt"
        path.write_text(f"{self}\n", encoding="utf-8")
        return path

    def __str__(self) -> str:
        return f"seed {self.seed}, input {self.number}, event {self.target}\n{self.error}\n{self.given}"


@dataclass(frozen=True, slots=True)
class Part:
    """What became of some inputs; a part ends at its first failure."""

    inputs: int
    outcomes: Counter[tuple[str, str]]
    failure: Failure | None = None


def made(targets: Sequence[str], seed: int, number: int) -> tuple[Target, Any]:
    """The input of that number."""
    target = TARGETS[targets[number % len(targets)]]
    return target, target.make(Random(seed * 2**40 + number))


def examine(targets: Sequence[str], seed: int, numbers: range) -> Part:
    """Judge those inputs."""
    outcomes: Counter[tuple[str, str]] = Counter()
    for number in numbers:
        target, given = made(targets, seed, number)
        try:
            outcomes[target.name, judge_in_time(target, given)] += 1
        except Exception as error:
            failure = Failure(target.name, seed, number, repr(given), f"{type(error).__name__}: {error}")
            return Part(number - numbers.start, outcomes, failure)
    return Part(len(numbers), outcomes)


def parts(targets: Sequence[str], seed: int, inputs: int, processes: int = 1) -> Iterator[Part]:
    """Judge them all, part by part; ends after a failure."""
    ranges = [range(start, min(inputs, start + CHUNK)) for start in range(0, inputs, CHUNK)]
    work = partial(examine, tuple(targets), seed)
    if processes == 1:
        yield from _until_a_failure(map(work, ranges))
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from _until_a_failure(pool.imap(work, ranges))


def _until_a_failure(found: Iterator[Part]) -> Iterator[Part]:
    for part in found:
        yield part
        if part.failure is not None:
            return


def table(outcomes: Counter[tuple[str, str]]) -> str:
    """Inputs, values and errors by reason, an event a line."""
    rows = []
    for name in TARGETS:
        of_this = Counter({result: count for (target, result), count in outcomes.items() if target == name})
        if of_this:
            errors = ", ".join(f"{reason} {n}" for reason, n in of_this.most_common() if reason != "value")
            rows.append(f"{name:16}{of_this.total():>10}{of_this['value']:>10}  {errors or '-'}")
    return "\n".join([f"{'event':16}{'inputs':>10}{'values':>10}  errors", *rows])
