"""The servers of a run: a broker, Redis, the stub of a model; each a process that can be killed or frozen."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from streams.embedded import ApacheKafka, EmbeddedBroker, EmbeddedRedis
from streams.embedded.process import ServerProcess

ROOT = Path(__file__).parents[2]
LIBS = ROOT / "build" / "apache-kafka" / "libs"

_ROUTES = """\
default:
  targets: [{provider: stub}]
  attempts: 5
  attempt_timeout_s: 5
  timeout_s: 120
"""
_POLICY = "name: chaos\ndescription: Lets everything pass, so that the whole path is walked.\n"


class StubServer(ServerProcess):
    """The stub of `tests/model_server.py` as a process of its own, with its log of calls."""

    name = "model"

    def __init__(self, directory: Path, seed: int, latency_s: float, stragglers: float) -> None:
        super().__init__(directory)
        self.calls = directory / "calls.jsonl"
        pace = ("--latency", str(latency_s), "--jitter", "0.5", "--stragglers", str(stragglers))
        self._options = (*pace, "--seed", str(seed), "--distinct")

    def command(self) -> Sequence[str]:
        module = [sys.executable, "-m", "tests.model_server"]
        return [*module, "--port", str(self.port), "--log", str(self.calls), *self._options]

    def folder(self) -> Path:
        return ROOT

    def base_url(self, worker: str) -> str:
        """Where a worker of that name finds it: it is named in the log of calls."""
        return f"http://127.0.0.1:{self.port}/w/{worker}/v1"

    def behave(self, **behaviour: object) -> None:
        """Misbehave until the next call of this."""
        body = json.dumps(behaviour).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/behave", body)
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()


def freeze(server: ServerProcess) -> None:
    """SIGSTOP, if it runs."""
    _signal(server, signal.SIGSTOP)


def thaw(server: ServerProcess) -> None:
    """SIGCONT, if it runs."""
    _signal(server, signal.SIGCONT)


def _signal(server: ServerProcess, number: signal.Signals) -> None:
    if (pid := server.pid) is not None:
        os.kill(pid, number)


class Servers:
    """Broker, Redis and model of one run, in a folder of its own; `start` and `stop` block."""

    def __init__(self, folder: Path, broker: str, seed: int, latency_s: float, stragglers: float) -> None:
        self.folder = folder
        self.prefix = f"c{uuid.uuid4().hex[:6]}."
        self.apache = broker == "apache"
        self.broker = (
            ApacheKafka(folder / "broker", LIBS) if self.apache else EmbeddedBroker(folder / "broker")
        )
        self.redis = EmbeddedRedis(folder / "redis")
        self.model = StubServer(folder / "model", seed, latency_s, stragglers)
        self.redis_outages: list[tuple[float, float]] = []
        """From its start until Redis answers again."""

    @property
    def bootstrap(self) -> str:
        """The broker's `host:port`."""
        return f"127.0.0.1:{self.broker.port}"

    def topic(self, name: str) -> str:
        """The broker's name of a topic."""
        return f"{self.prefix}{name}"

    def start(self) -> None:
        """Start all and create the topics."""
        (self.folder / "routes.yaml").write_text(_ROUTES)
        (self.folder / "policy.yaml").write_text(_POLICY)
        LIBS.parent.mkdir(parents=True, exist_ok=True)
        for server in (self.broker, self.redis, self.model):
            server.start()
        command = [sys.executable, "-m", "streams.cli", "topics", "create"]
        environment = {**os.environ, **self.environment("setup")}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode:
            raise RuntimeError(f"the topics could not be created:\n{done.stdout}{done.stderr}")

    def environment(self, worker: str) -> Mapping[str, str]:
        """The settings of one worker."""
        provider = {
            "kind": "openai",
            "base_url": self.model.base_url(worker),
            "api_key": "none",
            "model": "stub",
        }
        return {
            "SLUICEGATE_BROKER": self.bootstrap,
            "SLUICEGATE_REDIS_URL": self.redis.url,
            "SLUICEGATE_IDEMPOTENCE": str(self.apache).lower(),
            "SLUICEGATE_TOPIC_PREFIX": self.prefix,
            "SLUICEGATE_GROUP_PREFIX": f"{self.prefix}sluicegate",
            "SLUICEGATE_PARTITIONS": "8",
            "SLUICEGATE_SESSION_TIMEOUT_S": "6",
            "SLUICEGATE_CACHE_TTL_S": "0",
            "SLUICEGATE_JOURNAL_TTL_S": "1800",
            "SLUICEGATE_SCORERS": '["groundedness"]',
            "SLUICEGATE_ROUTES": str(self.folder / "routes.yaml"),
            "SLUICEGATE_POLICY": str(self.folder / "policy.yaml"),
            "SLUICEGATE_DATA_DIR": str(self.folder.parent / "data"),
            "SLUICEGATE_PROVIDERS": json.dumps({"stub": provider}),
            "SLUICEGATE_WEB_PORT": "0",
            "SLUICEGATE_LOG_FORMAT": "json",
        }

    def restart_redis(self, down_s: float) -> None:
        """SIGKILL, and after a while an empty one on the same port."""
        began = time.time()
        self.redis.kill()
        time.sleep(down_s)
        self.redis.start()
        self.redis_outages.append((began, time.time()))

    def freeze_redis(self, for_s: float) -> None:
        """SIGSTOP for a while."""
        began = time.time()
        freeze(self.redis)
        time.sleep(for_s)
        thaw(self.redis)
        self.redis_outages.append((began, time.time()))

    def stop(self) -> None:
        """End all of them."""
        for server in (self.model, self.redis, self.broker):
            thaw(server)
            server.kill()
