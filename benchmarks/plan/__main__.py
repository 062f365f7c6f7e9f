"""`python -m benchmarks.plan`: the command line."""

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import asdict, fields, replace
from pathlib import Path
from types import FrameType

from confluent_kafka import KafkaException

from agents.errors import SluicegateError
from benchmarks import machine
from benchmarks.plan import checked, page, stages
from benchmarks.plan.costs import RATES, Assumptions, costs, need
from benchmarks.plan.figures import Unmeasured, read_figures, read_stages
from benchmarks.plan.limits import limits
from benchmarks.servers import ROOT, ProgramFailed, Rig

RESULTS = ROOT / "benchmarks" / "results" / "latest.json"
DOCS = ROOT / "docs" / "performance.md"
_DESCRIPTION = """\
What a million requests cost, what 1k to 100k a second need and what runs out first, from what the benchmarks
measured; with a simulation held against it. Writes plan.md and plan.svg beside the results.
"""
_EPILOG = """\
examples:
  python -m benchmarks.plan --measure        the stages apart, into stages.json: under two minutes
  python -m benchmarks.plan --docs           the plan, and its tables into docs/performance.md
  python -m benchmarks.plan --hits 0.3 --model-s 2 --vcpu-hour-usd 0.04
"""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.plan",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="what `python -m benchmarks` wrote")
    parser.add_argument("--stages", type=Path, help="what --measure writes (stages.json beside the results)")
    parser.add_argument("--out", type=Path, help="folder of plan.md and plan.svg (that of the results)")
    parser.add_argument("--docs", action="store_true", help="put the tables into docs/performance.md as well")
    parser.add_argument("--measure", action="store_true", help="measure the stages, and nothing else")
    parser.add_argument("--requests", type=int, default=4_000, help="of --measure")
    parser.add_argument("--broker", choices=("apache", "embedded"), default="apache", help="of --measure")
    assumed = parser.add_argument_group("assumptions")
    for one in fields(Assumptions):
        shown = f"{one.metadata['meaning']} ({one.default:g})"
        assumed.add_argument(_option(one.name), type=type(one.default), default=one.default, help=shown)
    return parser.parse_args()


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _measure(to: Path, number: int, broker: str) -> None:
    began, about = time.time(), machine.about()
    folder = Path(tempfile.mkdtemp(prefix="sluicegate-plan-"))
    rig = Rig(folder, broker)
    try:
        _tell(f"starting {broker} broker, Redis and the stub of a model in {folder}")
        rig.start()
        found = stages.measure(rig, number, warm=min(200, number), tell=_tell)
    finally:
        rig.stop()
        shutil.rmtree(folder, ignore_errors=True)
    stamp = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(began))
    found.about = {"began": stamp, "took_s": round(time.time() - began), "broker": broker, **about}
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(json.dumps(asdict(found), indent=1) + "\n")
    _tell(f"{found.about['took_s']} s; written to {to}")


def planned(results: Path, measured: Path, assume: Assumptions) -> page.Plan:
    """All of it, from two files.

    Raises:
        Unmeasured: something the plan needs is in neither.
    """
    figures, apart = read_figures(results), read_stages(measured)
    one, price = costs(figures, apart, assume), checked.fit(figures, apart)
    return page.Plan(
        figures=figures,
        stages=apart,
        assume=assume,
        costs=one,
        hit=costs(figures, apart, replace(assume, hits=1.0)),
        needs=[need(rate, one, apart, figures, assume) for rate in RATES],
        limits=limits(one, apart, assume),
        checks=list(checked.checks(figures, price)),
        loaded=list(checked.loaded(figures, price)),
    )


def _write(plan: page.Plan, folder: Path, *, docs: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = "# The plan past one machine\n\n" + page.markdown(plan)
    (folder / "plan.md").write_text(text)
    if drawn := page.picture(plan.checks):
        (folder / page.PICTURE).write_text(drawn)
    _tell(text)
    _tell(f"written to {folder}")
    if docs:
        page.put(page.markdown(plan, "../benchmarks/results/", depth=3), DOCS)
        _tell(f"and into {DOCS}")


def _tell(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # a report


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Measure, or plan; 2 when it could not be done."""
    given = _options()
    signal.signal(signal.SIGTERM, _interrupted)
    apart = given.stages or given.results.parent / "stages.json"
    try:
        if given.measure:
            _measure(apart, given.requests, given.broker)
            return 0
        assume = Assumptions(**{one.name: getattr(given, one.name) for one in fields(Assumptions)})
        _write(planned(given.results, apart, assume), given.out or given.results.parent, docs=given.docs)
    except KeyboardInterrupt:
        _tell("interrupted: everything is stopped")
        return 130
    except (SluicegateError, ProgramFailed, KafkaException, Unmeasured, OSError, ValueError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
