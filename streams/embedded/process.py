"""A server as a child process: on loopback, watched while it starts, stopped by its own process id."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from agents.errors import ConfigurationError


class ServerFailed(ConfigurationError):
    """A server that we started ended, or did not answer in time; the message ends with its log's tail."""


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def port_or_free(wanted: int) -> int:
    """That port where nobody listens on it, else a free one."""
    return free_port() if answers(wanted) else wanted


def answers(port: int) -> bool:
    """Whether something listens on that port of loopback."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


# Run in the child before the server takes its place: the kernel then ends it when we die, even by SIGKILL.
# Not as `preexec_fn`, which forks this process with all its threads and libraries.
_END_WITH_PARENT = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 15); os.execvp(sys.argv[1], sys.argv[1:])"
)


def _ending_with_us(command: Sequence[str]) -> list[str]:
    """The command, tied to our life; elsewhere than on Linux, as it is."""
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-S", "-E", "-c", _END_WITH_PARENT, *command]


class ServerProcess:
    """One server; a context manager. Its output goes to `NAME.log` in its directory."""

    name = "server"
    start_timeout_s = 30.0
    stop_timeout_s = 10.0

    def __init__(self, directory: Path, port: int | None = None) -> None:
        self.directory = directory
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        """What to run; called at every start."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """Variables of the child, besides ours."""
        return {}

    def folder(self) -> Path:
        """Where it runs."""
        return self.directory

    def ready(self) -> bool:
        """Whether it answers."""
        return answers(self.port)

    @property
    def log(self) -> Path:
        """Where its output is."""
        return self.directory / f"{self.name}.log"

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> Self:
        """Start it and wait until it answers.

        Raises:
            ServerFailed: it ended or did not answer within `start_timeout_s`.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(  # noqa: S603  # the command is ours
                _ending_with_us(self.command()),
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self.folder(),
                env={**os.environ, **self.environment()},
                start_new_session=True,  # Ctrl-C is for us: we stop our servers in order
            )
        try:
            self._await(self.ready)
        except BaseException:
            self.kill()
            raise
        return self

    def _await(self, ready: Callable[[], bool]) -> None:
        end = time.monotonic() + self.start_timeout_s
        while not ready():
            if self._process is None or self._process.poll() is not None:
                raise ServerFailed(f"{self.name} ended while starting\n{self.tail()}")
            if time.monotonic() > end:
                raise ServerFailed(
                    f"{self.name} did not answer in {self.start_timeout_s:.0f} s\n{self.tail()}"
                )
            time.sleep(0.05)

    def tail(self, lines: int = 15) -> str:
        """The last lines of its log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        """Ask it to end, and end it where it does not."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(self.stop_timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
