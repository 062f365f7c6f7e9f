"""What the benchmarks leave out: each stage's own CPU, the bytes and Redis commands of a request, connections.

Every stage runs in a worker process of its own, at a saturating load with the model that answers at once. A trial
before and one after it have all stages in one process, so that the two ways are compared on the same machine in the
same minutes.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from redis import Redis

from benchmarks import requests
from benchmarks.measure import Measured
from benchmarks.servers import ProgramFailed, Rig, Topics
from benchmarks.trial import LOADED, Setup, Trial, renamed
from benchmarks.workloads import AGAIN, SLUICEGATE
from streams.settings import STAGES
from streams.topics import TOPICS

Tell = Callable[[str], None]
_REPEATS = 3
"""How often every prompt is asked again: a cache hit is so cheap that once is over too soon to be measured."""
_LIMIT_S = 45.0
_SETTLE_S = 1.0
_IDLE_S = 5.0
_SAMPLE = 200
_SILENT_S = 2.0
_ESTABLISHED = "01"


@dataclass
class Redised:
    """What a request asks of Redis. Commands are counted in scripts as well; CPU is that of its one thread."""

    commands: float
    cpu_us: float
    by_command: dict[str, float] = field(default_factory=dict)


@dataclass
class Stages:
    """Everything per request; `hit` is a request that the cache answers."""

    requests: int
    stage_us: dict[str, float]
    hit_us: float
    idle_cores: dict[str, float]
    topic_bytes: dict[str, float]
    """Keys, values and headers, by topic."""
    hit_topic_bytes: dict[str, float]
    log_bytes: float | None
    """What the broker wrote, with its framing; None where it keeps everything in memory."""
    redis: Redised
    hit_redis: Redised
    kept_bytes: dict[str, float]
    """In Redis, by what the key is of: `request`, `answer`."""
    connections: dict[str, dict[str, int]]
    """By stage: open files, and connections to the broker and to Redis among them."""
    whole_us: float = 0.0
    """All stages in one process, in the same minutes."""
    about: dict[str, Any] = field(default_factory=dict)


def measure(rig: Rig, number: int, warm: int, tell: Tell) -> Stages:
    """Each stage in its own process, between two trials of all in one.

    Raises:
        ProgramFailed: a worker ended, or requests stayed without an answer.
    """
    made = requests.make(number)
    before_us = _whole(rig, made, warm, tell)
    with Trial(rig, SLUICEGATE, Setup(warm=warm, stages=STAGES)) as trial:
        found = _split(trial, made, tell)
    # Whatever else the machine does only adds to it.
    found.whole_us = min(before_us, _whole(rig, made, warm, tell))
    return found


def _whole(rig: Rig, made: Sequence[bytes], warm: int, tell: Tell) -> float:
    tell(f"all stages in one process, {len(made):,} requests")
    whole = Measured("whole", "sluicegate", 0)
    with Trial(rig, SLUICEGATE, Setup(warm=warm)) as trial:
        trial.start()
        trial.warm()
        began = trial.saturate(made, _LIMIT_S)
        answers = trial.answers()
        trial.fill(whole, trial.window(answers, began)[0], answers)
    if whole.cpu_us_a_request is None:
        raise ProgramFailed("the worker with all stages answered too few requests to measure it")
    tell(f"  {whole.cpu_us_a_request:,.0f} us of CPU each")
    return whole.cpu_us_a_request


def _split(trial: Trial, made: Sequence[bytes], tell: Tell) -> Stages:
    rig, number = trial.rig, len(made)
    tell(f"a process for each of {', '.join(STAGES)}")
    trial.start()
    trial.warm()
    time.sleep(_SETTLE_S)
    idle_from = time.time()
    time.sleep(_IDLE_S)
    idle_to = time.time()
    with Redis.from_url(rig.redis.url) as redis:
        marks = [_Mark.of(trial, redis)]
        tell(f"{number:,} requests")
        began = trial.saturate(made, _LIMIT_S)
        time.sleep(_SETTLE_S)
        marks.append(_Mark.of(trial, redis))
        connections = {name: _connections(pid, rig) for name, pid in trial.pids().items()}
        kept = _kept(redis)
        tell(f"the same prompts again, {_REPEATS} times")
        again = trial.saturate(
            [one for n in range(_REPEATS) for one in renamed(made, f"{AGAIN}{n}")], _LIMIT_S
        )
        time.sleep(_SETTLE_S)
        marks.append(_Mark.of(trial, redis))
    answers = trial.answers()
    missed, answered = trial.window(answers, began, LOADED)
    hit, hits = trial.window(answers, again, AGAIN)
    if missed is None or hit is None or answered < number or hits < _REPEATS * number:
        raise ProgramFailed(
            f"{answered} of {number} requests and {hits} of {_REPEATS * number} hits answered"
        )
    series = trial.sampler.series
    before, after, last = marks
    return Stages(
        requests=number,
        stage_us={
            name: (series[name].used(missed.began, missed.ended) or 0.0) / number * 1e6 for name in STAGES
        },
        hit_us=sum(series[name].used(hit.began, hit.ended) or 0.0 for name in STAGES) / hits * 1e6,
        idle_cores={name: (series[name].used(idle_from, idle_to) or 0.0) / _IDLE_S for name in STAGES},
        topic_bytes=_each(before.topics, after.topics, number),
        hit_topic_bytes=_each(after.topics, last.topics, hits),
        log_bytes=(after.log - before.log) / number if rig.apache else None,
        redis=_asked(before, after, number),
        hit_redis=_asked(after, last, hits),
        kept_bytes=kept,
        connections=connections,
    )


@dataclass(frozen=True)
class _Mark:
    """Counters at one moment; what a load cost is the difference of two."""

    topics: Mapping[str, float]
    log: int
    commands: Mapping[str, float]
    redis_cpu_s: float

    @classmethod
    def of(cls, trial: Trial, redis: "Redis") -> "_Mark":
        rig = trial.rig
        told: dict[str, Any] = redis.info("commandstats")
        cpu: dict[str, Any] = redis.info("cpu")
        return cls(
            topics=topic_bytes(rig.broker.bootstrap, trial.topics, trial.setup.partitions),
            log=_log_bytes(rig.broker.directory, trial.topics.prefix),
            commands={name.removeprefix("cmdstat_"): one["calls"] for name, one in told.items()},
            redis_cpu_s=cpu["used_cpu_user_main_thread"] + cpu["used_cpu_sys_main_thread"],
        )


_OUR_COMMANDS = frozenset(
    {"info", "scan", "memory|usage", "client|setinfo", "client|setname", "hello", "select"}
)


def _asked(before: _Mark, after: _Mark, number: int) -> Redised:
    each = _each(before.commands, after.commands, number)
    each = {name: value for name, value in each.items() if name not in _OUR_COMMANDS and value >= 0.01}
    return Redised(sum(each.values()), (after.redis_cpu_s - before.redis_cpu_s) / number * 1e6, each)


def _each(before: Mapping[str, float], after: Mapping[str, float], number: int) -> dict[str, float]:
    found = {name: (value - before.get(name, 0)) / number for name, value in after.items()}
    return {name: value for name, value in found.items() if value > 0}


def topic_bytes(bootstrap: str, topics: Topics, partitions: int) -> dict[str, float]:
    """Bytes of keys, values and headers in every topic, read from the beginning until nothing more comes."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": topics.prefix,
            "enable.auto.commit": False,
            "log_level": 0,
        }
    )
    consumer.assign(
        [TopicPartition(topics.of(topic.name), number, 0) for topic in TOPICS for number in range(partitions)]
    )
    found: Counter[str] = Counter()
    try:
        while messages := consumer.consume(1000, _SILENT_S):
            for message in messages:
                if message.error() is None:
                    name = message.topic().removeprefix(topics.prefix)
                    found[name] += _size(message.key(), message.value(), message.headers())
    finally:
        consumer.close()
    return dict(found)


def _size(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]] | None) -> int:
    return len(key or b"") + len(value or b"") + sum(len(name) + len(it or b"") for name, it in headers or ())


def _log_bytes(directory: Path, prefix: str) -> int:
    """What the broker's logs of these topics hold; it makes an index in advance, which is not counted."""
    return sum(file.stat().st_size for file in directory.glob(f"logs/{prefix}*/*.log"))


def _kept(redis: "Redis") -> dict[str, float]:
    """Mean memory of a key, by its kind, of a sample."""
    sizes: dict[str, list[int]] = {"request": [], "answer": []}
    for key in redis.scan_iter("sluicegate:*", count=1000):
        kind = key.decode().split(":")[2]
        if len(sizes.get(kind, [0] * _SAMPLE)) < _SAMPLE:
            sizes[kind].append(redis.memory_usage(key, samples=0) or 0)
    return {kind: sum(those) / len(those) for kind, those in sizes.items() if those}


def _connections(pid: int, rig: Rig) -> dict[str, int]:
    """Open files of a process, and its connections to the broker and to Redis."""
    files = list(_files(pid))
    sockets = {name[8:-1] for name in files if name.startswith("socket:[")}
    peers: Counter[int] = Counter()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, _, remote, state, *_, inode = line.split()[:10]
            if state == _ESTABLISHED and inode in sockets:
                peers[int(remote.rpartition(":")[2], 16)] += 1
    return {"open files": len(files), "broker": peers[rig.broker.port], "redis": peers[rig.redis.port]}


def _files(pid: int) -> Iterator[str]:
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            yield str(entry.readlink())
