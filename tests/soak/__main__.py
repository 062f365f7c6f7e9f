"""`python -m tests.soak`: a worker under a steady load for a long time, and whether anything in it grows."""

import argparse
import json
import sys
from pathlib import Path

from tests.integration.harness import ROOT
from tests.soak import report
from tests.soak.run import Options, soak
from tests.soak.series import judge_all


def arguments() -> argparse.ArgumentParser:
    """What the command takes."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak",
        description="Runs one worker on Apache Kafka, Redis and a stub of a model at a steady rate, and fits a line\n"
        "through its memory, descriptors, threads, tasks, keys in Redis and lag. Exit status 1 when one of\n"
        "them grows, or a request did not end.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--minutes", type=float, default=30.0, metavar="M", help="how long (30)")
    add("--rate", type=float, default=20.0, metavar="N", help="requests a second (20)")
    add("--seed", type=int, default=1, help="decides the requests (1)")
    add("--out", type=Path, default=ROOT / "build" / "soak.json", help="all samples (build/soak.json)")
    add("--plot", type=Path, help="an SVG with a panel for each series")
    return parser


def main() -> int:
    """Run, write, and say by the exit status whether all was flat."""
    parser = arguments()
    asked = parser.parse_args()
    if asked.minutes < 1 or asked.rate <= 0:
        parser.error("a verdict needs a minute at least, and requests")
    options = Options(asked.minutes, asked.rate, asked.seed, ROOT / "build" / "soak")
    measured = soak(options)
    trends = judge_all(measured.samples)
    _write(asked.out, json.dumps(report.as_json(options, measured, trends), indent=1) + "\n")
    if asked.plot is not None:
        _write(asked.plot, report.as_plot(options, measured.samples, trends))
    print(report.as_table(measured.samples, trends))
    print(
        f"sent {measured.sent:,}, ended {measured.ended:,}, refused by the broker {len(measured.refused):,}"
    )
    whole = measured.ended == measured.sent and not measured.refused
    return 0 if whole and all(trend.flat for trend in trends) else 1


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
