"""The README's own snippets, run as they stand; only the broker's address is another."""

import os
import re
import subprocess
import sys

import pytest

from tests.integration.harness import ROOT, Installation, worker

pytestmark = pytest.mark.integration

SNIPPET = re.compile(r"<!-- snippet: (\w+) -->\n```python\n(.*?)```", re.DOTALL)


def snippets() -> dict[str, str]:
    return dict(SNIPPET.findall((ROOT / "README.md").read_text()))


@pytest.fixture
def plain(installation: Installation, built_index) -> Installation:
    """As a newcomer has it: topics without a prefix, the index `examples`."""
    installation.prefix = ""
    (installation.data_dir / "indexes").symlink_to(built_index)
    return installation


def test_the_producer_and_the_consumer_of_the_readme_work(plain: Installation) -> None:
    producer, consumer = (
        snippets()[name].replace("127.0.0.1:9092", plain.bootstrap) for name in ("producer", "consumer")
    )
    plain.run("topics", "create")
    with worker(plain):
        run(producer)
        said = run(consumer)
    assert "readme-1 completed" in said
    assert re.search(r"\[1\] \S+:\d+-\d+", said), "a citation points at its place"


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=90, env=os.environ, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
