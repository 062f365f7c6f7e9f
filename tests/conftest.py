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


def pytest_collection_modifyitems(items):
    """Files that wait for servers first: of two processes none is left alone with the longest at the end."""
    items.sort(key=lambda item: "integration" not in item.path.parts)


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
