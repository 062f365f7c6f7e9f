"""Looks at a worker from outside: the kernel's view of the process, its metrics, its Redis."""

from collections.abc import Mapping
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

_MIB = 1024 * 1024
_METRICS = {
    "sluicegate_tasks": "tasks",
    "sluicegate_in_flight": "in_flight",
    "sluicegate_consumer_lag": "lag",
}


def of_process(pid: int, proc: Path = Path("/proc")) -> Mapping[str, float]:
    """Memory, threads and descriptors of a process."""
    lines = (proc / str(pid) / "status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines if ":" in line)
    return {
        "rss": int(status["VmRSS"].split()[0]) / 1024,
        "threads": int(status["Threads"]),
        "descriptors": len(list((proc / str(pid) / "fd").iterdir())),
    }


def of_metrics(text: str) -> Mapping[str, float]:
    """Sums over the labels of the gauges we follow; a gauge that is not there gives nothing."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        if (name := _METRICS.get(family.name)) is not None and family.samples:
            found[name] = sum(sample.value for sample in family.samples)
    return found


def of_redis(client: Redis) -> Mapping[str, float]:
    """How much it holds."""
    return {"redis_keys": client.dbsize(), "redis_memory": client.info("memory")["used_memory"] / _MIB}
