"""Everything on this machine: what `sluicegate up` and `demo` start, and in which order it ends."""

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from agents.errors import ConfigurationError, UnknownPart
from agents.model_files import ModelFiles
from streams.embedded import ApacheKafka, EmbeddedBroker, EmbeddedModelServer, EmbeddedRedis
from streams.embedded.models import MODEL
from streams.embedded.process import port_or_free
from streams.embedded.worker import WorkerProcess
from streams.indexing import ensure_index, store_of
from streams.provision import create_topics
from streams.settings import Settings, load_settings

INDEX = "examples"
CORPUS = Path("examples/corpus")
_LOCAL_FILES = {"routes": Path("examples/local/routes.yaml"), "prices": Path("examples/local/prices.yaml")}

Say = Callable[[str], None]
Progress = Callable[[str, int, int], None]


class Runtime:
    """A context manager around broker, Redis, model, index and worker.

    Args:
        broker: `embedded`, `apache`, or the `host:port` of one that runs already.
        say: hears of each step.
        progress: hears (step, done, total) of long ones.
    """

    def __init__(self, broker: str, say: Say, progress: Progress | None = None) -> None:
        self._broker, self._say, self._progress = broker, say, progress
        self._servers = ExitStack()
        self._base = load_settings()
        self._logs = self._base.data_dir.resolve() / "servers"
        self.environment: dict[str, str] = {}
        self.settings: Settings = self._base
        self.worker: WorkerProcess | None = None

    def __enter__(self) -> Self:
        if not CORPUS.is_dir():
            raise ConfigurationError(f"{CORPUS} is not here: run this in the folder of the project")
        try:
            self._start()
        except BaseException:
            self._servers.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._servers.close()

    def _start(self) -> None:
        bootstrap, idempotence = self._start_broker()
        redis = self._servers.enter_context(EmbeddedRedis(self._logs, port_or_free(6379)))
        self._say(f"Redis (Valkey) on {redis.url}")
        files = ModelFiles(self._base.data_dir / "models", self._progress)
        model = self._servers.enter_context(EmbeddedModelServer(self._logs, files.chat_model()))
        self._say(f"model {MODEL} on {model.base_url}")
        self._configure(bootstrap, idempotence, redis.url, model.base_url)
        create_topics(self.settings)
        self._say(f"topics created: genai.*, {self.settings.partitions} partitions each")
        self._ensure_index()
        files.toxicity()
        self.worker = WorkerProcess(self._logs, self.environment, port_or_free(self._base.web_port))
        self._servers.enter_context(self.worker)
        self._say(f"worker with all stages; metrics on http://127.0.0.1:{self.worker.port}/metrics")

    def _start_broker(self) -> tuple[str, bool]:
        if self._broker == "embedded":
            embedded = self._servers.enter_context(EmbeddedBroker(self._logs, port_or_free(9092)))
            self._say(f"embedded broker (Kafka protocol, in memory) on {embedded.bootstrap}")
            return embedded.bootstrap, False
        if self._broker == "apache":
            folder = self._base.data_dir.resolve() / "apache-kafka"
            folder.mkdir(parents=True, exist_ok=True)
            self._say("Apache Kafka: resolving its jars with Maven where they are missing, then starting")
            apache = self._servers.enter_context(
                ApacheKafka(folder / "node", folder / "libs", port_or_free(9092))
            )
            self._say(f"Apache Kafka on {apache.bootstrap}")
            return apache.bootstrap, True
        if ":" not in self._broker:
            raise UnknownPart("broker", self._broker, ["embedded", "apache", "HOST:PORT"])
        return self._broker, self._base.idempotence

    def _fetch_wait_ms(self) -> int:
        embedded = self._broker == "embedded"
        return EmbeddedBroker.fetch_wait_ms if embedded else self._base.fetch_wait_ms

    def _configure(self, bootstrap: str, idempotence: bool, redis_url: str, model_url: str) -> None:  # noqa: FBT001
        local = {"kind": "openai", "base_url": model_url, "api_key": "none", "model": MODEL}
        self.environment = {
            "SLUICEGATE_BROKER": bootstrap,
            "SLUICEGATE_IDEMPOTENCE": str(idempotence).lower(),
            "SLUICEGATE_FETCH_WAIT_MS": str(self._fetch_wait_ms()),
            "SLUICEGATE_REDIS_URL": redis_url,
            "SLUICEGATE_SESSION_TIMEOUT_S": "6",
            "SLUICEGATE_PROVIDERS": json.dumps({"embedded": local}),
            **{f"SLUICEGATE_{name.upper()}": str(path) for name, path in _LOCAL_FILES.items()},
        }
        self.settings = load_settings(
            broker=bootstrap,
            idempotence=idempotence,
            redis_url=redis_url,
            session_timeout_s=6.0,
            providers={"embedded": local},
            **_LOCAL_FILES,
        )

    def _ensure_index(self) -> None:
        built = ensure_index(self.settings, INDEX, [CORPUS], self._progress)
        if built is None:
            self._say(f"index {store_of(self.settings).catalog(INDEX).live}, built before")
            return
        self._say(f"index {built.version.version}: {built.passages} passages of {built.documents} documents")


def shell_exports(environment: Mapping[str, str]) -> str:
    """Lines that another shell can run, so that every command finds these servers."""
    wanted = tuple(f"SLUICEGATE_{name}" for name in ("BROKER", "REDIS_URL", "IDEMPOTENCE", "FETCH_WAIT_MS"))
    tool = f"export PATH={Path(sys.executable).parent}:$PATH"
    return "\n".join([tool, *(f"export {name}={environment[name]}" for name in wanted)])
