"""A real Prometheus with our rules, watching one address."""

import json
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy" / "prometheus"


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def eventually(question, seconds=45):
    """The first true answer; an answerer that is not up yet counts as no answer."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if answer := question():
                return answer
        except (URLError, ConnectionError):
            pass
        time.sleep(0.3)
    raise AssertionError(f"no answer in {seconds} s")


class Prometheus:
    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"

    def alerts(self):
        """Name to state of the alerts that are pending or firing."""
        with urlopen(f"{self.url}/api/v1/alerts", timeout=5) as answer:
            found = json.load(answer)["data"]["alerts"]
        return {alert["labels"]["alertname"]: alert["state"] for alert in found}


@contextmanager
def watching(target, folder):
    """Scrapes `target` (host:port) each second, by the committed configuration otherwise."""
    config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
    rules = (DEPLOY / "rules" / "sluicegate.yml").read_text().replace("interval: 30s", "interval: 1s")
    (folder / "rules").mkdir()
    (folder / "rules" / "sluicegate.yml").write_text(rules)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [shutil.which("prometheus"), f"--config.file={folder / 'prometheus.yml'}"]
    command += [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield Prometheus(port)
    finally:
        process.terminate()
        process.wait(20)
