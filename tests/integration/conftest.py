"""Real servers, started once a session: two brokers, Redis, the embedded model."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from streams.embedded import ApacheKafka, EmbeddedBroker, EmbeddedModelServer, EmbeddedRedis
from streams.embedded.apache import resolve_jars
from streams.indexing import build_index
from streams.settings import load_settings
from tests.integration.harness import ROOT, Installation

LIBS = ROOT / "build" / "apache-kafka" / "libs"


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Tests run in several processes: what they share is made by one while the others wait."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True)
class Broker:
    """A running broker and which one it is."""

    name: str
    bootstrap: str


@pytest.fixture(scope="session")
def embedded_kafka(tmp_path_factory) -> Iterator[Broker]:
    with EmbeddedBroker(tmp_path_factory.mktemp("embedded-broker")) as broker:
        yield Broker("embedded", broker.bootstrap)


@pytest.fixture(scope="session")
def apache_kafka(tmp_path_factory) -> Iterator[Broker]:
    if problem := ApacheKafka.missing():
        pytest.skip(problem)
    LIBS.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(LIBS.parent / "lock"):  # on a clean checkout each process would have Maven fetch them
        resolve_jars(LIBS)
    with ApacheKafka(tmp_path_factory.mktemp("apache-kafka"), LIBS) as broker:
        yield Broker("apache", broker.bootstrap)


@pytest.fixture(scope="session", params=["embedded", "apache"])
def kafka(request) -> Broker:
    """Both brokers in turn: a test that takes this one runs on each."""
    broker: Broker = request.getfixturevalue(f"{request.param}_kafka")
    return broker


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory) -> Iterator[str]:
    with EmbeddedRedis(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture(scope="session", params=["valkey", "redis"])
def each_redis(request, tmp_path_factory) -> Iterator[EmbeddedRedis]:
    """The packaged Valkey and Debian's Redis in turn."""
    executable = None
    if request.param == "redis":
        executable = shutil.which("redis-server")
        if executable is None:
            pytest.skip("redis-server is missing: apt-get install redis-server")
    with EmbeddedRedis(tmp_path_factory.mktemp(request.param), executable=executable) as server:
        yield server


@pytest.fixture(scope="session")
def embedded_model(tmp_path_factory, model_files) -> Iterator[EmbeddedModelServer]:
    with EmbeddedModelServer(tmp_path_factory.mktemp("model"), model_files.chat_model()) as server:
        yield server


@pytest.fixture(scope="session")
def built_models(shared_data: Path, model_files) -> Path:
    """A data directory whose models are built: shared, so that each test's worker starts at once."""
    model_files.minilm()
    model_files.toxicity()
    return shared_data


@pytest.fixture(scope="session")
def built_index(built_models: Path) -> Path:
    """The folder of indexes with `examples` in it, built over the example corpus by the first who asks."""
    indexes = built_models / "indexes"
    with one_at_a_time(built_models / "indexes.lock"):
        if not indexes.exists():
            build_index(load_settings(data_dir=built_models), "examples", [ROOT / "examples" / "corpus"])
    return indexes


@pytest.fixture
def installation(kafka: Broker, redis_url: str, built_models: Path, tmp_path: Path) -> Installation:
    """Topics and groups of this test alone, on the broker in turn; quotes passages instead of asking a model."""
    (tmp_path / "models").symlink_to(built_models / "models")
    routes = tmp_path / "routes.yaml"
    routes.write_text("default:\n  targets: [{provider: extractive}]\n")
    return Installation(kafka.bootstrap, redis_url, tmp_path, {"SLUICEGATE_ROUTES": str(routes)})
