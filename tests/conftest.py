"""Fixtures that many tests share, and what is left out where a part is not installed."""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from agents.model_files import ModelFiles
from streams.embedded import ApacheKafka


def pytest_report_header() -> list[str]:
    """Which real servers the integration tests find; what is missing is skipped, and said again at the end."""
    apache = ApacheKafka.missing() or "found"
    tools = {
        name: shutil.which(name) or "missing"
        for name in ("redis-server", "kcat", "promtool", "prometheus", "npm")
    }
    return [
        f"brokers: embedded: found; Apache Kafka: {apache}",
        ", ".join(f"{name}: {where}" for name, where in tools.items()),
    ]


# Minutes each; the other files take less than one.
LONGEST = ["worker", "dead_letters", "delivery", "main_job", "review_flow", "verbs"]


def pytest_collection_modifyitems(items):
    """Files that wait for servers first, the longest before all: no process is left alone with one at the end."""
    order = {f"test_{name}.py": rank for rank, name in enumerate(LONGEST)}

    def rank(item) -> int:
        if "integration" not in item.path.parts:
            return len(LONGEST) + 1
        return order.get(item.path.name, len(LONGEST))

    items.sort(key=rank)


def pytest_runtest_setup(item):
    if item.get_closest_marker("torch") and find_spec("torch") is None:
        pytest.skip("needs the torch extra: make setup-torch")


@pytest.fixture(scope="session")
def shared_data(tmp_path_factory) -> Path:
    """A data directory for all processes of a run: what one builds in it, the others only wait for."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared-data"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def model_files(shared_data) -> ModelFiles:
    """Models built once a run (3 s) from the packages that ship them."""
    return ModelFiles(shared_data / "models")
