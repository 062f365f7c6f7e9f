"""One soak: servers, one worker, a steady load, and a look at the worker every few seconds."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from redis import Redis

from agents.model_files import ModelFiles
from streams.embedded import ApacheKafka, EmbeddedRedis
from streams.indexing import build_index
from streams.settings import load_settings
from tests.chaos.follower import Follower
from tests.chaos.servers import LIBS, StubServer
from tests.integration.harness import ROOT, Installation, WorkerProcess, worker
from tests.soak import sample
from tests.soak.load import Load

_ROUTES = "default:\n  targets: [{provider: stub}]\n  attempt_timeout_s: 10\n  timeout_s: 60\n"
_POLICY = "name: soak\ndescription: Lets everything pass, so that the whole path is walked.\n"
_LIFE_S = 60
"""Of what is remembered in Redis: short, so that it stops growing early in the run."""
_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Options:
    """A soak, as the command line describes it."""

    minutes: float
    rate: float
    seed: int
    data: Path
    every_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What a soak found."""

    samples: list[dict[str, float]]
    sent: int
    ended: int
    refused: list[str]


def soak(options: Options) -> Measured:
    """Run it, with a line for each minute; everything that it starts is stopped."""
    prepare(options.data)
    with _servers(options) as (at, redis), worker(at) as running, ExitStack() as stack:
        follower = Follower(at.bootstrap, at.topic("genai.responses"), at.topic("genai.dead-letters"))
        load = Load(
            at.bootstrap, at.topic("genai.requests"), options.seed, options.rate, options.minutes * 60
        )
        stack.callback(follower.stop)
        stack.callback(load.stop)
        follower.start()
        load.start()
        samples = list(_watch(running, redis, follower, load, options.every_s))
        _wait_for_the_rest(follower, load)
        return Measured(samples, load.taken, len(follower.ended), load.refused)


def prepare(data: Path) -> None:
    """Models and an index; they stay for the next run."""
    data.mkdir(parents=True, exist_ok=True)
    (data / "routes.yaml").write_text(_ROUTES)
    (data / "policy.yaml").write_text(_POLICY)
    files = ModelFiles(data / "models")
    files.minilm()
    files.toxicity()
    if not (data / "indexes" / "examples").exists():
        build_index(load_settings(data_dir=data), "examples", [ROOT / "examples" / "corpus"])


@contextmanager
def _servers(options: Options) -> Iterator[tuple[Installation, Redis]]:
    LIBS.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="soak-")))
        broker = stack.enter_context(ApacheKafka(folder / "broker", LIBS))
        redis = stack.enter_context(EmbeddedRedis(folder / "redis"))
        model = stack.enter_context(
            StubServer(folder / "model", options.seed, latency_s=0.05, stragglers=0.0)
        )
        at = Installation(broker.bootstrap, redis.url, options.data, _settings(options.data, model))
        at.run("topics", "create")
        yield at, stack.enter_context(Redis.from_url(redis.url))


def _settings(data: Path, model: StubServer) -> dict[str, str]:
    stub = {"kind": "openai", "base_url": model.base_url("soak"), "api_key": "none", "model": "stub"}
    return {
        "SLUICEGATE_IDEMPOTENCE": "true",
        "SLUICEGATE_ROUTES": str(data / "routes.yaml"),
        "SLUICEGATE_POLICY": str(data / "policy.yaml"),
        "SLUICEGATE_PROVIDERS": json.dumps({"stub": stub}),
        "SLUICEGATE_JOURNAL_TTL_S": str(_LIFE_S),
        "SLUICEGATE_CACHE_TTL_S": str(_LIFE_S),
    }


def _watch(
    running: WorkerProcess, redis: Redis, follower: Follower, load: Load, every_s: float
) -> Iterator[dict[str, float]]:
    """Samples while the load lasts."""
    began = time.monotonic()
    before_s, before, number = 0.0, 0, 0
    while load.is_alive():
        number += 1
        load.join(max(0.0, began + number * every_s - time.monotonic()))
        if not load.is_alive():
            return
        now_s, ended = time.monotonic() - began, len(follower.ended)
        taken = _sample(running, redis)
        rate = (ended - before) / (now_s - before_s)
        before_s, before = now_s, ended
        yield {"t_s": round(now_s, 2), **taken, "ended": ended, "ended_rate": round(rate, 2)}
        if number % max(1, round(60 / every_s)) == 0:
            seen = ", ".join(f"{name} {value:,.0f}" for name, value in taken.items())
            print(f"{now_s / 60:5.1f} min  ended {ended:,}, {seen}", flush=True)


def _sample(running: WorkerProcess, redis: Redis) -> Mapping[str, float]:
    status, text = running.get("/metrics")
    if status != 200:
        raise RuntimeError(f"/metrics answered {status}")
    return {
        **sample.of_process(running.process.pid),
        **sample.of_metrics(text),
        **sample.of_redis(redis),
    }


def _wait_for_the_rest(follower: Follower, load: Load) -> None:
    due_at = time.monotonic() + _PATIENCE_S
    while len(follower.ended) < load.taken and time.monotonic() < due_at:
        time.sleep(0.2)
