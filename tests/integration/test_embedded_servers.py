"""Servers as child processes: they answer, they stop, they end with their parent, and they say why they failed."""

import signal
import subprocess
import sys
import time

import pytest
import redis
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from streams.embedded import ApacheKafka, EmbeddedBroker, EmbeddedRedis, ServerFailed, ServerProcess
from streams.embedded.process import answers
from tests.integration.conftest import LIBS

pytestmark = pytest.mark.integration


def test_a_record_comes_back_from_each_broker_with_its_headers(kafka) -> None:
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    admin.create_topics([NewTopic("embedded.servers", num_partitions=1, replication_factor=1)])
    admin.close()
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap, max_request_size=12_000_000)
    producer.send("embedded.servers", key=b"k", value=b"v", headers=[("h", b"1")]).get(10)
    producer.send("embedded.servers", key=b"empty", value=None).get(10)
    producer.close()
    consumer = KafkaConsumer(
        bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=5_000
    )
    consumer.assign([TopicPartition("embedded.servers", 0)])
    first, second = next(consumer), next(consumer)
    consumer.close()
    assert (first.key, first.value, list(first.headers)) == (b"k", b"v", [("h", b"1")])
    assert second.value is None


def test_each_redis_answers(each_redis) -> None:
    client = redis.Redis.from_url(each_redis.url)
    assert client.set("k", "v", nx=True, get=True) is None
    assert client.set("k", "w", nx=True, get=True) == b"v"
    client.close()


def test_a_stopped_server_is_gone(tmp_path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        assert server.pid
        assert answers(server.port)
    assert server.pid is None
    assert not answers(server.port)


def test_a_server_that_cannot_start_says_why(tmp_path) -> None:
    class Broken(ServerProcess):
        name = "broken"

        def command(self) -> list[str]:
            return [sys.executable, "-c", "print('no such disk'); raise SystemExit(3)"]

    with pytest.raises(ServerFailed, match="no such disk"):
        Broken(tmp_path).start()


def test_a_server_that_never_answers_is_given_up_and_ended(tmp_path) -> None:
    class Silent(ServerProcess):
        name = "silent"
        start_timeout_s = 0.3

        def command(self) -> list[str]:
            return [sys.executable, "-c", "import time; time.sleep(60)"]

    server = Silent(tmp_path)
    with pytest.raises(ServerFailed, match="did not answer"):
        server.start()
    assert server.pid is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_a_server_ends_when_its_parent_is_killed(tmp_path) -> None:
    code = (
        "import sys, time, pathlib; from streams.embedded import EmbeddedRedis;"
        "s = EmbeddedRedis(pathlib.Path(sys.argv[1])).start(); print(s.port, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    port = int(parent.stdout.readline())
    assert answers(port)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    end = time.monotonic() + 5
    while answers(port) and time.monotonic() < end:
        time.sleep(0.05)
    assert not answers(port)


def test_apache_kafka_keeps_its_log_over_a_kill(tmp_path, apache_kafka) -> None:
    with ApacheKafka(tmp_path, LIBS) as broker:
        admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
        admin.create_topics([NewTopic("kept", num_partitions=1, replication_factor=1)])
        admin.close()
        broker.kill()
        broker.start()
        admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
        assert "kept" in admin.list_topics()
        admin.close()


def test_the_embedded_model_answers_as_openai_does(embedded_model) -> None:
    import openai

    with openai.OpenAI(base_url=embedded_model.base_url, api_key="none", max_retries=0) as client:
        answer = client.chat.completions.create(
            model="smollm2-135m-instruct",
            messages=[{"role": "user", "content": "Paris is the capital of France. Say its name."}],
            max_tokens=30,
            temperature=0,
        )
    assert "Paris" in (answer.choices[0].message.content or "")
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 0


def test_the_embedded_broker_listens_on_loopback_alone(tmp_path) -> None:
    with EmbeddedBroker(tmp_path) as broker:
        listening = subprocess.run(
            ["cat", "/proc/net/tcp"], capture_output=True, text=True, check=True
        ).stdout
        port = f":{broker.port:04X} "
        addresses = [
            line.split()[1] for line in listening.splitlines()[1:] if port in line and " 0A " in line
        ]
    assert addresses
    assert all(address.startswith("0100007F") for address in addresses)
