"""`python -m tests.chaos`: break everything that can break, and see whether the promise holds."""

import argparse
import asyncio
import os
import shutil
import sys
import time
from pathlib import Path

from rich.console import Console

from tests.chaos import report
from tests.chaos.run import HarnessFailed, Options, Run
from tests.chaos.schedule import BY_NAME, DEFAULT, KINDS, Planned, counts_for, plan
from tests.chaos.servers import ROOT

_NEEDS_A_LOG = frozenset({"broker"})
_KEPT = 8

_FAULTS = "\n".join(f"  {kind.name:14} {kind.about}" for kind in KINDS)
_EPILOG = f"""\
faults (all but `freeze` unless --faults names some; each comes alone first, then they are mixed):
{_FAULTS}

examples:
  python -m tests.chaos                                       three minutes, everything
  python -m tests.chaos --faults kill --duration 60           only kills
  python -m tests.chaos --requests 50000 --kills 30 --broker-restarts 5
  python -m tests.chaos --faults none --requests 5000 --rate 5000   how fast it is without faults
  python -m tests.chaos --baseline --duration 60              a plain Faust app under kills, for comparison

exit status: 0 the promise was kept, 1 it is broken (ids are printed), 2 the run could not be made
"""


def arguments() -> argparse.ArgumentParser:
    """What the command takes."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description="Runs workers under load, breaks things by a seeded plan, and judges from the topics and\n"
        "the model server's log whether anything was lost, answered twice or paid for twice.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--duration", type=float, metavar="S", help="seconds of load and faults (180, or requests / rate)")
    add("--requests", type=int, metavar="N", help="how many records to send (duration x rate)")
    add("--rate", type=float, default=60.0, help="records a second (60)")
    add("--seed", type=int, default=7, help="decides faults and requests (7)")
    add("--workers", type=int, default=2, help="worker processes (2)")
    add("--faults", default=",".join(DEFAULT), metavar="A,B", help="which kinds, or `none`; see below")
    add("--kills", type=int, metavar="N", help="SIGKILLs of workers (one every 20 s)")
    add("--broker-restarts", type=int, metavar="N", help="SIGKILLs of the broker (one every 90 s)")
    add("--rebalances", type=int, metavar="N", help="workers that come and go (one every 60 s)")
    add("--broker", choices=("apache", "embedded"), default="apache", help="which broker (apache)")
    add("--latency", type=float, default=0.1, metavar="S", help="of a call of the model, +-50 %% (0.1)")
    add("--stragglers", type=float, default=0.01, help="share of calls that take 20 times as long (0.01)")
    add("--baseline", action="store_true", help="a plain Faust app in place of Sluicegate, under kills only")
    add("--out", type=Path, default=ROOT / "build" / "chaos.json", help="the report (build/chaos.json)")
    return parser


def faults(options: argparse.Namespace, duration_s: float) -> list[Planned]:
    """The plan that the command line asks for.

    Raises:
        ValueError: it names a fault that is not there, or one that this broker cannot take.
    """
    asked_for = "kill" if options.baseline else options.faults
    names = [name for name in asked_for.split(",") if name not in ("", "none")]
    if unknown := sorted(set(names) - set(BY_NAME)):
        raise ValueError(f"no such fault: {', '.join(unknown)}; there are {', '.join(BY_NAME)}")
    if options.broker == "embedded":
        # It keeps everything in memory: a restart of it loses what it held, and that proves nothing about us.
        names = [name for name in names if name not in _NEEDS_A_LOG]
    counts = counts_for(duration_s, names)
    asked = {"kill": options.kills, "broker": options.broker_restarts, "rebalance": options.rebalances}
    counts |= {name: number for name, number in asked.items() if number is not None and name in counts}
    return plan(options.seed, duration_s, counts)


def new_folder(parent: Path) -> Path:
    """A folder for this run; those of the last few runs are kept, topics and logs."""
    for old in sorted(parent.glob("run-*"))[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    folder = parent / f"run-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    folder.mkdir(parents=True)
    return folder


def main() -> int:
    """Run once; see the exit status in `--help`."""
    parser = arguments()
    options = parser.parse_args()
    duration_s = options.duration or (options.requests / options.rate if options.requests else 180.0)
    try:
        planned = faults(options, duration_s)
    except ValueError as error:
        parser.error(str(error))
    for name in [n for n in os.environ if n.startswith(("SLUICEGATE_", "OPENAI_"))]:
        del os.environ[name]  # a shell's own settings must not reach the workers
    console = Console()
    folder = new_folder(ROOT / "build" / "chaos")
    total = options.requests or int(duration_s * options.rate)
    console.print(f"{total} records in {total / options.rate:.0f} s, {len(planned)} faults; logs in {folder}")
    chosen = Options(
        seed=options.seed,
        rate=options.rate,
        total=total,
        workers=options.workers,
        faults=planned,
        folder=folder,
        broker=options.broker,
        latency_s=options.latency,
        stragglers=options.stragglers,
        baseline=options.baseline,
    )
    try:
        outcome = asyncio.run(Run(chosen).execute())
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print(f"stopped; logs in {folder}")
        return 2
    except (HarnessFailed, OSError, RuntimeError, ExceptionGroup) as error:
        told = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
        console.print(f"the run could not be made: {told}\nlogs in {folder}", markup=False)
        return 2
    told = report.as_dict(chosen, outcome)
    report.write(options.out, told)
    report.show(told, console)
    console.print(f"report: {options.out}; logs: {folder}")
    return 1 if told["offending"] else 0


if __name__ == "__main__":
    sys.exit(main())
