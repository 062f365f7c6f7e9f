"""Which resource runs out at the lowest rate: of a process, of a machine, of an installation."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.plan.costs import Assumptions, Costs
from benchmarks.plan.stages import Stages

PROCESS, MACHINE, ALL = "one process", "one machine", "the installation"
EMBEDDED_REDIS_MB = 256
"""As `streams/embedded/redis.py` starts it."""
_PARTITIONS, _BROKERS = "more partitions", "more brokers"


@dataclass(frozen=True)
class Limit:
    """A resource: what one of it has, and what one request a second takes of it."""

    of: str
    resource: str
    has: float
    takes: float
    then: str
    """What helps."""
    target: float = 1.0
    """The share of it that is to be used when it is counted how many are needed."""

    @property
    def runs_out(self) -> float:
        """The rate at which one is used up."""
        return self.has / self.takes if self.takes > 0 else math.inf

    def needed(self, rate: float) -> int:
        """How many that rate needs."""
        return max(1, math.ceil(round(rate / (self.runs_out * self.target), 9)))


def limits(one: Costs, stages: Stages, assume: Assumptions) -> list[Limit]:
    """Everything that can run out, what runs out at the lowest rate first."""
    found = [*_workers(one, stages, assume), *_redis(one, assume), *_broker(one, assume)]
    return sorted(found, key=lambda limit: limit.runs_out)


def broken(found: Sequence[Limit], rate: float, of: str) -> list[Limit]:
    """What has run out before that rate, in order."""
    return [limit for limit in found if limit.of == of and limit.runs_out < rate]


def _workers(one: Costs, stages: Stages, assume: Assumptions) -> Iterator[Limit]:
    use, cores, parts, window = (
        assume.utilisation, assume.machine_cores, assume.partitions, assume.in_flight,
    )  # fmt: skip
    # By Little's law a request has its place in a window, and a connection, while the model answers.
    waits_s = (1 - assume.hits) * assume.model_s
    files = assume.open_files - min(it["open files"] for it in stages.connections.values())
    everything_us, busiest_us = one.together_us + one.broker_us + one.redis_us, max(one.stage_us.values())
    wider = "more processes, or a wider `in_flight`"
    yield Limit(PROCESS, "its core, all stages", 1e6, one.together_us, "more processes", use)
    yield Limit(PROCESS, f"its window of {window} calls", window, waits_s, wider)
    yield Limit(PROCESS, f"{assume.open_files:,} open files, one a call", files, waits_s, "`ulimit -n`")
    yield Limit(MACHINE, f"{cores} cores for everything", cores * 1e6, everything_us, "another machine", use)
    yield Limit(
        ALL, f"{parts} partitions: cores of the busiest stage", parts * 1e6, busiest_us, _PARTITIONS, use
    )
    yield Limit(ALL, f"{parts} partitions: a window each", parts * window, waits_s, _PARTITIONS)


def _redis(one: Costs, assume: Assumptions) -> Iterator[Limit]:
    held, own = one.redis_byte_s, "a Redis of one's own"
    size = assume.redis_gib
    yield Limit(ALL, "Redis: its one thread", 1e6, one.redis_us, "another installation", assume.utilisation)
    yield Limit(ALL, f"Redis: {EMBEDDED_REDIS_MB} MB, embedded", EMBEDDED_REDIS_MB * 2**20, held, own)
    yield Limit(ALL, f"Redis: {size:g} GiB", size * 2**30, held, "a shorter `journal_ttl_s`")


def _broker(one: Costs, assume: Assumptions) -> Iterator[Limit]:
    use, cores, copies = assume.utilisation, assume.machine_cores, assume.replication
    # Copies are fetched by other brokers.
    out = one.bytes_out + one.bytes_in * (copies - 1)
    network, disk = assume.network_gbit * 1e9 / 8, assume.disk_tb * 1e12
    kept = one.disk_byte_s * copies
    yield Limit(ALL, f"a broker of {cores} cores", cores * 1e6, one.broker_us, _BROKERS, use)
    yield Limit(ALL, f"a broker's network, {assume.network_gbit:g} Gbit/s", network, out, _BROKERS, use)
    yield Limit(ALL, f"a broker's disk, {assume.disk_tb:g} TB", disk, kept, "a shorter retention")
