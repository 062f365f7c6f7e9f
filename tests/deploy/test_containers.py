"""The image and the compose file, judged by the tools that read them; no container is started."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from streams.settings import STAGES

ROOT = Path(__file__).parents[2]
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
WORKERS = {name: s for name, s in SERVICES.items() if s.get("command", [""])[0] == "worker"}


def _run(*command):
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_compose_accepts_the_file():
    package = importlib.util.find_spec("compose").submodule_search_locations[0]
    _run(Path(package) / "docker-compose", "-f", "docker-compose.yml", "config", "-q")


def test_hadolint_accepts_the_dockerfile():
    _run(Path(sys.executable).parent / "hadolint", "Dockerfile")


def test_each_stage_has_a_worker_that_prometheus_scrapes():
    assert {s["command"][2] for s in WORKERS.values()} == set(STAGES)
    assert all(s["command"][:2] == ["worker", "--stages"] for s in WORKERS.values())
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    targets = config["scrape_configs"][0]["static_configs"][0]["targets"]
    assert set(targets) == {f"{name}:8080" for name in WORKERS}


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_open_to_this_machine_only(name):
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned(name):
    tag = SERVICES[name]["image"].partition(":")[2]
    assert tag
    assert tag != "latest"
