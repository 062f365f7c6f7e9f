"""A worker as a child process: the very command that a deployment runs."""

import sys
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from streams.embedded.process import ServerProcess


class WorkerProcess(ServerProcess):
    """All stages, with settings from `environment` over those of this process."""

    name = "worker"
    start_timeout_s = 90.0
    stop_timeout_s = 40.0

    def __init__(self, directory: Path, environment: Mapping[str, str], port: int | None = None) -> None:
        super().__init__(directory, port)
        self._environment = environment

    def command(self) -> Sequence[str]:
        """`sluicegate worker`, in this interpreter."""
        return [sys.executable, "-m", "streams.cli", "worker", "--web-port", str(self.port)]

    def environment(self) -> Mapping[str, str]:
        """Where the servers are."""
        return self._environment

    def folder(self) -> Path:
        """Here: prompts, policies and `sluicegate.toml` are found as for any other command."""
        return Path.cwd()

    def ready(self) -> bool:
        """Whether every stage has its partitions."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
