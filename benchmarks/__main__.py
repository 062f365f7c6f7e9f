"""`python -m benchmarks`: the command line."""

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from agents.errors import SluicegateError
from benchmarks.report import Earlier, earlier, keep
from benchmarks.run import Options, execute
from benchmarks.servers import BUILD
from benchmarks.workloads import QUICK, WORKLOADS, Pace, chosen_peers

RESULTS = Path(__file__).parent / "results"
"""Of full runs; those of others lie where nobody takes them for such."""
_QUICK_PEERS = ("faust (plain)", "faust-hops", "aiokafka (concurrent)")
_DESCRIPTION = """\
Measures Sluicegate beside other ways to do the same work: programs run in turn, in one run, on the same broker with
the same requests and the same stub of a model. Figures to quote are the ratios.

workloads:
"""
_EPILOG = """\
examples:
  python -m benchmarks                                   everything, five rounds: an hour
  python -m benchmarks --quick                           one short round against a few peers: under five minutes
  python -m benchmarks --workloads slow,hop --peers none --rounds 1
                                                         Sluicegate alone, while you change it
  python -m benchmarks --workloads hop --peers "faust,aiokafka (concurrent)"
  python -m benchmarks --workloads scaling,memory --add  measured anew; latest.json keeps the other workloads
  SLUICEGATE_CHUNK_SIZE=64 python -m benchmarks --workloads hop --peers none
                                                         with another setting

It writes latest.json (every workload, peer, round and ratio), latest.md and plots. Run it on a machine that does
nothing else. Peers from environments of their own are installed on first use, under build/bench/envs.
"""


def _options() -> argparse.Namespace:
    told = "\n".join(f"  {one.name:9} {one.title}" for one in WORKLOADS.values())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=_DESCRIPTION + told,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--workloads", help="comma separated; all of them unless given")
    parser.add_argument("--peers", help="comma separated names, or `name (form)`; `all` or `none`")
    parser.add_argument("--rounds", type=int, help="how often each program has its turn (5; quick: 1)")
    parser.add_argument("--quick", action="store_true", help="shorter loads, fewer peers, one round")
    parser.add_argument(
        "--add", action="store_true", help="keep what latest.json has of other workloads (each is of one run)"
    )
    parser.add_argument("--broker", choices=("apache", "embedded"), default="apache")
    parser.add_argument(
        "--out",
        type=Path,
        help="folder of the results (benchmarks/results; with the embedded broker its folder `embedded`; quick: "
        "build/bench/quick)",
    )
    return parser.parse_args()


def _chosen(given: argparse.Namespace) -> Options:
    names = given.workloads.split(",") if given.workloads else list(WORKLOADS)
    for name in names:
        if name not in WORKLOADS:
            raise ValueError(f"no workload {name!r}; there are: {', '.join(WORKLOADS)}")
    peers = given.peers.split(",") if given.peers else _QUICK_PEERS if given.quick else ["all"]
    return Options(
        workloads=[WORKLOADS[name] for name in names],
        peers=chosen_peers([name.strip() for name in peers]),
        rounds=given.rounds or (1 if given.quick else 5),
        pace=QUICK if given.quick else Pace(),
        broker=given.broker,
    )


def _folder(given: argparse.Namespace) -> Path:
    if given.out:
        return Path(given.out)
    if given.quick:
        return BUILD / "quick"
    return RESULTS if given.broker == "apache" else RESULTS / "embedded"


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _tell(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # a report


def main() -> int:
    """Run what was asked for; 2 when it could not be."""
    given = _options()
    signal.signal(signal.SIGTERM, _interrupted)
    folder = _folder(given)
    try:
        options = _chosen(given)
        before = earlier(folder, options) if given.add else Earlier()
        results = execute(options, _tell, lambda so_far: keep(so_far, options, folder, before))
    except KeyboardInterrupt:
        _tell("interrupted: everything is stopped; what was measured before is kept")
        return 130
    except (SluicegateError, ValueError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    _tell(f"{results.took_s:.0f} s; written to {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
