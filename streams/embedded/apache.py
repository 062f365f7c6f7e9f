"""Apache Kafka itself, for `up --broker apache` and for tests: its published jars, through Maven, in KRaft mode."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from agents.errors import ConfigurationError
from streams.embedded.process import ServerFailed, ServerProcess, free_port
from streams.topics import MAX_RECORD_BYTES

log = structlog.get_logger(__name__)

POM = Path(__file__).parents[2] / "deploy" / "apache-kafka" / "pom.xml"
_LARGEST = MAX_RECORD_BYTES + 1024 * 1024

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={logs}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=2
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
message.max.bytes={largest}
replica.fetch.max.bytes={largest}
socket.request.max.bytes=104857600
"""

_LOGGING = """\
<Configuration><Appenders><Console name="out"><PatternLayout pattern="%d %p %c{1}: %m%n"/></Console></Appenders>
<Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers></Configuration>
"""


class ApacheKafka(ServerProcess):
    """One node, broker and controller; its log survives `kill` and a new `start`."""

    name = "apache-kafka"
    start_timeout_s = 60.0
    stop_timeout_s = 30.0

    def __init__(self, directory: Path, libs: Path, port: int | None = None) -> None:
        super().__init__(directory, port)
        self._libs = libs
        self._controller = free_port()

    @staticmethod
    def missing() -> str | None:
        """What this machine lacks and how to get it; None when nothing."""
        lacking = [name for name in ("java", "mvn") if shutil.which(name) is None]
        if not lacking:
            return None
        return f"Apache Kafka needs {' and '.join(lacking)}: apt-get install default-jre-headless maven"

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def _config(self) -> Path:
        return self.directory / "server.properties"

    def command(self) -> Sequence[str]:
        """The broker's main class over the resolved jars."""
        if problem := self.missing():
            raise ConfigurationError(problem)
        resolve_jars(self._libs)
        self._configure()
        if not (self.directory / "logs" / "meta.properties").exists():
            self._format()
        return [*self._java(), "kafka.Kafka", str(self._config)]

    def environment(self) -> Mapping[str, str]:
        """None of the variables that Kafka's scripts read: we start it without them."""
        return {"KAFKA_OPTS": ""}

    def ready(self) -> bool:
        """Whether it knows its own cluster: listening comes before that."""
        from kafka.admin import KafkaAdminClient
        from kafka.errors import KafkaError

        if not super().ready():
            return False
        try:
            admin = KafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=5_000)
        except (KafkaError, OSError, ValueError):
            return False
        try:
            return bool(admin.describe_cluster())
        except KafkaError:
            return False
        finally:
            admin.close()

    def _java(self) -> list[str]:
        classpath = os.pathsep.join(str(jar) for jar in sorted(self._libs.resolve().glob("*.jar")))
        logging = self.directory / "log4j2.xml"
        heap = ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC")
        return ["java", *heap, f"-Dlog4j2.configurationFile={logging}", "-cp", classpath]

    def _configure(self) -> None:
        """Written at every start: ports may differ from the last one's."""
        (self.directory / "log4j2.xml").write_text(_LOGGING)
        self._config.write_text(
            _PROPERTIES.format(
                port=self.port,
                controller=self._controller,
                logs=(self.directory / "logs").resolve(),
                largest=_LARGEST,
            )
        )

    def _format(self) -> None:
        cluster = uuid.uuid4().hex[:22]
        tool = [*self._java(), "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._config)]
        done = subprocess.run(tool, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise ServerFailed(f"Kafka's storage could not be formatted\n{done.stdout}{done.stderr}")


def resolve_jars(libs: Path) -> None:
    """Have Maven copy Kafka's published jars into `libs`, once.

    Raises:
        ServerFailed: Maven could not.
    """
    if libs.exists():
        return
    log.info("apache-kafka.resolving", pom=str(POM))
    draft = libs.with_name(f"{libs.name}.{uuid.uuid4().hex[:6]}")
    copy = ("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={draft.resolve()}")
    done = subprocess.run(  # noqa: S603
        ["mvn", "-q", "-B", "-f", str(POM), *copy],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        shutil.rmtree(draft, ignore_errors=True)
        raise ServerFailed(
            f"Maven could not resolve Apache Kafka\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    try:
        draft.rename(libs)
    except OSError:  # another process was faster
        shutil.rmtree(draft, ignore_errors=True)
