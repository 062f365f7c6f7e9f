"""The arithmetic: what a request costs, and what a rate needs.

Pure functions of what was measured and of assumptions, which are parameters and are named as such wherever they
are written.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.plan.figures import SERVING, Figures
from benchmarks.plan.stages import Stages
from schemas import channels
from streams.settings import Settings
from streams.topics import TOPICS

RATES = (1_000, 10_000, 100_000)
_READ = frozenset({channels.REQUESTS, channels.CONTEXTS, channels.DRAFTS, channels.RESPONSES})
"""Read once: by the next stage, the answers by who asked. Moderation and costs are archives that nobody reads."""


def _setting(name: str, meaning: str) -> Any:
    """A setting's own default."""
    return field(default=Settings.model_fields[name].default, metadata={"meaning": meaning})


def _assumed(value: float, meaning: str) -> Any:
    return field(default=value, metadata={"meaning": meaning})


@dataclass(frozen=True)
class Assumptions:
    """What nobody measured. Each is an option of the command; none is any provider's figure."""

    model_s: float = _assumed(0.25, "seconds the model takes to answer")
    utilisation: float = _assumed(0.6, "share of a core, or of the network, that is to be used")
    vcpu_hour_usd: float = _assumed(
        0.05, "US$ for an hour of a vCPU that does what a core did here: assumed, nobody's price"
    )
    hits: float = _assumed(0.0, "share of requests that the cache answers")
    machine_cores: int = _assumed(16, "cores of a machine")
    replication: int = _assumed(3, "copies of each record")
    redis_gib: float = _assumed(64.0, "memory of a Redis, GiB")
    network_gbit: float = _assumed(10.0, "network of a broker, Gbit/s each way")
    disk_tb: float = _assumed(4.0, "disk of a broker, TB")
    open_files: int = _assumed(1024, "files a process may have open")
    in_flight: int = _setting("in_flight", "records a stage works on at once (setting)")
    partitions: int = _setting("partitions", "partitions of a topic (setting)")
    journal_ttl_s: float = _setting("journal_ttl_s", "seconds a request is remembered (setting)")
    cache_ttl_s: float = _setting("cache_ttl_s", "seconds an answer is reused (setting)")


@dataclass(frozen=True)
class Costs:
    """Of one request: core time in microseconds by part, bytes, Redis commands."""

    stage_us: Mapping[str, float]
    """Each stage in a process of its own."""
    together_us: float
    """All stages in one process."""
    broker_us: float
    redis_us: float
    redis_commands: float
    redis_byte_s: float
    """Bytes in Redis times the seconds they stay: by the rate, that is what it holds."""
    bytes_in: float
    bytes_out: float
    disk_byte_s: float
    """Bytes on disk times the seconds of retention, one copy."""

    @property
    def parts(self) -> dict[str, float]:
        """Core time by part, in the order of a request's life."""
        return {**self.stage_us, "broker": self.broker_us, "Redis": self.redis_us}


def costs(figures: Figures, stages: Stages, assume: Assumptions) -> Costs:
    """What a request costs, hits and misses mixed.

    Stages were measured apart, and all together in the same minutes and in the benchmarks' rounds: so
    they are scaled to the latter. What waiting for the model costs is generation's.
    """
    scale = figures.whole_us / stages.whole_us
    miss = {name: stages.stage_us[name] * scale for name in SERVING}
    miss["generation"] += max(figures.slow_us - figures.whole_us, 0.0)
    hits, misses = assume.hits, 1 - assume.hits
    stage_us = {name: misses * value for name, value in miss.items()}
    # Hits end in the first stage; the benchmarks have several rounds of them.
    hit_us = figures.hit_us or stages.hit_us * scale
    stage_us["retrieval"] += hits * hit_us
    published = _mixed(stages.topic_bytes, stages.hit_topic_bytes, hits)
    framing = stages.log_bytes / sum(stages.topic_bytes.values()) if stages.log_bytes else 1.0
    retention_s = {topic.name: topic.retention_ms / 1000 for topic in TOPICS}
    kept = stages.kept_bytes
    # A hit is a request as well, with a hash of its own; its answer is there already.
    held = (
        kept.get("request", 0.0) * assume.journal_ttl_s
        + misses * kept.get("answer", 0.0) * assume.cache_ttl_s
    )
    records = sum(published.values()) / sum(stages.topic_bytes.values())
    return Costs(
        stage_us=stage_us,
        together_us=misses * max(figures.slow_us, figures.whole_us) + hits * hit_us,
        broker_us=figures.broker_us * records,
        redis_us=misses * stages.redis.cpu_us + hits * stages.hit_redis.cpu_us,
        redis_commands=misses * stages.redis.commands + hits * stages.hit_redis.commands,
        redis_byte_s=held,
        bytes_in=framing * sum(published.values()),
        bytes_out=framing * sum(size for name, size in published.items() if name in _READ),
        disk_byte_s=framing * sum(size * retention_s[name] for name, size in published.items()),
    )


def _mixed(miss: Mapping[str, float], hit: Mapping[str, float], hits: float) -> dict[str, float]:
    return {
        name: (1 - hits) * miss.get(name, 0.0) + hits * hit.get(name, 0.0)
        for name in dict.fromkeys([*miss, *hit])
    }


@dataclass(frozen=True)
class Bill:
    """A part's share of a million requests."""

    part: str
    core_s: float
    usd: float


def bill_of(part: str, us: float, assume: Assumptions) -> Bill:
    """A million of them; a microsecond each is a second. Cores are paid whole and used to the target."""
    return Bill(part, us, us / 3600 * assume.vcpu_hour_usd / assume.utilisation)


def bills(each_us: Mapping[str, float], assume: Assumptions) -> list[Bill]:
    """A million requests by part."""
    return [bill_of(part, us, assume) for part, us in each_us.items()]


def by_cpu(rate: float, us: float, utilisation: float) -> int:
    """Processes with one core each: Python's interpreter lock gives them no more."""
    return max(1, math.ceil(round(rate * us / 1e6 / utilisation, 9)))


def by_window(rate: float, seconds: float, in_flight: int) -> int:
    """Little's law: as many requests are at the model as come while it answers one."""
    return max(1, math.ceil(round(rate * seconds / in_flight, 9)))


@dataclass(frozen=True)
class Need:
    """What a rate needs. Workers are processes."""

    rate: float
    workers: Mapping[str, int]
    generation_by_cpu: int
    generation_by_window: int
    at_the_model: float
    """Calls at once."""
    broker_cores: float
    redis_cores: float
    redis_commands: float
    redis_gb: float
    broker_in_mb_s: float
    broker_out_mb_s: float
    disk_tb: float
    connections: int
    memory_gb: float | None

    @property
    def partitions(self) -> int:
        """At least one for every worker of the busiest stage: one more worker than partitions idles."""
        return max(self.workers.values())

    @property
    def processes(self) -> int:
        """All workers."""
        return sum(self.workers.values())


def need(rate: float, one: Costs, stages: Stages, figures: Figures, assume: Assumptions) -> Need:
    """What so many requests a second need."""
    misses = 1 - assume.hits
    waiting = by_window(rate * misses, assume.model_s, assume.in_flight)
    workers = {name: by_cpu(rate, us, assume.utilisation) for name, us in one.stage_us.items()}
    busy = workers["generation"]
    workers["generation"] = max(busy, waiting)
    copies = assume.replication
    memory = figures.peak_rss_mib
    return Need(
        rate=rate,
        workers=workers,
        generation_by_cpu=busy,
        generation_by_window=waiting,
        at_the_model=rate * misses * assume.model_s,
        broker_cores=rate * one.broker_us / 1e6 / assume.utilisation,
        redis_cores=rate * one.redis_us / 1e6,
        redis_commands=rate * one.redis_commands,
        redis_gb=rate * one.redis_byte_s / 1e9,
        broker_in_mb_s=rate * one.bytes_in * copies / 1e6,
        broker_out_mb_s=rate * (one.bytes_out + one.bytes_in * (copies - 1)) / 1e6,
        disk_tb=rate * one.disk_byte_s * copies / 1e12,
        connections=sum(count * stages.connections[name]["broker"] for name, count in workers.items()),
        memory_gb=sum(workers.values()) * memory * 2**20 / 1e9 if memory else None,
    )
