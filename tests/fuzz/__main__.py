"""`python -m tests.fuzz`: hostile inputs without end for everything that reads what others wrote."""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from tests.fuzz.judge import TARGETS
from tests.fuzz.run import parts, table

_FOLDER = Path(__file__).parents[2] / "build" / "fuzz"
_PROGRESS_S = 5.0


def _count(text: str) -> int:
    number = int(text.replace("_", ""))
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def arguments() -> argparse.ArgumentParser:
    """What the command takes."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description="Gives hostile inputs to the codec and the readers of headers. Each must become a value that\n"
        "can be written and read again, or the documented error; exit status 1 if one does not.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--inputs", type=_count, default=1_000_000, metavar="N", help="how many (1000000)")
    add("--seed", type=int, default=1, help="decides every input (1)")
    add("--event", choices=TARGETS, help="only this one")
    add("--processes", type=int, choices=(1, 2), default=1, help="how many share the work (1)")
    return parser


def main() -> int:
    """Run, show, and say by the exit status whether all was well."""
    options = arguments().parse_args()
    targets = [options.event] if options.event else list(TARGETS)
    outcomes: Counter[tuple[str, str]] = Counter()
    done, began, told = 0, time.monotonic(), time.monotonic()
    failure = None
    for part in parts(targets, options.seed, options.inputs, options.processes):
        done, failure = done + part.inputs, part.failure
        outcomes.update(part.outcomes)
        if time.monotonic() - told > _PROGRESS_S:
            told = time.monotonic()
            print(f"{done:>12,} inputs  {done / (told - began):>9,.0f} a second", flush=True)
    took_s = time.monotonic() - began
    print(table(outcomes))
    print(f"{done:,} inputs in {took_s:.0f} s, {done / took_s:,.0f} a second, seed {options.seed}")
    if failure is None:
        return 0
    print(f"\nBROKEN: {failure}\n(kept in {failure.write(_FOLDER)})", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
