"""A running Prometheus scrapes a running worker, and our alert is raised."""

import shutil

import pytest

from tests.deploy.prometheus import eventually, watching
from tests.integration.harness import Installation, producer, read, worker

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        shutil.which("prometheus") is None, reason="no Prometheus: apt-get install prometheus"
    ),
]


def test_a_dead_letter_of_a_worker_makes_its_alert_pending(
    kafka, installation: Installation, tmp_path
) -> None:
    if kafka.name != "apache":
        pytest.skip("one broker is enough here: the alert looks at the worker")
    installation.create_topics()
    folder = tmp_path / "prometheus"
    folder.mkdir()
    with worker(installation) as running, watching(running.web.removeprefix("http://"), folder) as prometheus:
        client = producer(installation)
        client.produce(installation.topic("genai.requests"), b"not a request")
        client.flush(10)
        read(installation, "genai.dead-letters", lambda seen: len(seen) >= 1)
        state = eventually(lambda: prometheus.alerts().get("SluicegateDeadLetters"))
        others = set(prometheus.alerts()) - {"SluicegateDeadLetters"}
    assert state == "pending"
    assert others == set()
