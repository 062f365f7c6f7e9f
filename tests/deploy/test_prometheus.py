"""A running Prometheus reads our exposition and raises our alert."""

import shutil
import subprocess
import sys

import pytest

from tests.deploy.prometheus import eventually, free_port, watching

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed"),
]

EXPOSE = """
import sys, time
from prometheus_client import CollectorRegistry, start_http_server
from streams.metrics import Metrics
metrics = Metrics(CollectorRegistry())
metrics.dead_letters_total.labels(topic="genai.requests", reason="unreadable").inc()
start_http_server(int(sys.argv[1]), "127.0.0.1", metrics.registry)
time.sleep(170)
"""


@pytest.fixture
def exposition():
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", EXPOSE, str(port)])
    yield f"127.0.0.1:{port}"
    process.terminate()
    process.wait(10)


def test_the_first_dead_letter_makes_its_alert_pending(exposition, tmp_path):
    with watching(exposition, tmp_path) as prometheus:
        state = eventually(lambda: prometheus.alerts().get("SluicegateDeadLetters"))
        assert state == "pending"
        assert "SluicegateRedisAway" not in prometheus.alerts()
