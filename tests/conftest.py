"""Fixtures that many tests share, and what is left out where a part is not installed."""

from importlib.util import find_spec

import pytest

from agents.model_files import ModelFiles


def pytest_runtest_setup(item):
    if item.get_closest_marker("torch") and find_spec("torch") is None:
        pytest.skip("needs the torch extra: make setup-torch")


@pytest.fixture(scope="session")
def model_files(tmp_path_factory) -> ModelFiles:
    """Models built once a session (3 s) from the packages that ship them."""
    return ModelFiles(tmp_path_factory.mktemp("models"))
