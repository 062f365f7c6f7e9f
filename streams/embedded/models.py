"""The embedded model: SmolLM2-135M behind llama.cpp's OpenAI-compatible server, in a process of its own."""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from agents.errors import MissingExtra
from streams.embedded.process import ServerProcess

MODEL = "smollm2-135m-instruct"


class EmbeddedModelServer(ServerProcess):
    """Four requests at once, 2,048 tokens each."""

    name = "model"
    start_timeout_s = 60.0

    def __init__(self, directory: Path, gguf: Path, port: int | None = None, threads: int = 2) -> None:
        super().__init__(directory, port)
        self._gguf = gguf
        self._threads = threads

    @property
    def base_url(self) -> str:
        """As OpenAI clients take it."""
        return f"http://127.0.0.1:{self.port}/v1"

    def command(self) -> Sequence[str]:
        """Our own runner, in this interpreter."""
        if find_spec("xllamacpp") is None:
            raise MissingExtra("the embedded model", "embedded")
        served = ("--model", str(self._gguf), "--alias", MODEL, "--port", str(self.port))
        return [
            sys.executable,
            "-m",
            "streams.embedded.llama_server",
            *served,
            "--threads",
            str(self._threads),
        ]

    def ready(self) -> bool:
        """Whether the model is loaded."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=2) as answer:
                return bool(json.load(answer).get("status") == "ok")
        except (OSError, ValueError, urllib.error.URLError):
            return False
