"""Where and with what a run was made: machine, versions, commit; taken when it begins."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.servers import BUILD, ROOT

PACKAGES = (
    "faust-streaming", "aiokafka", "confluent-kafka", "redis", "aiohttp", "openai", "msgspec", "onnxruntime", "torch",
    "sentence-transformers", "detoxify", "quixstreams", "faststream", "litellm",
)  # fmt: skip


def about() -> dict[str, Any]:
    """All of it, as JSON takes it."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "changed_since": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "kernel": platform.release(),
            "load_before": round(os.getloadavg()[0], 2),
        },
        "versions": {"python": platform.python_version(), **versions()},
    }


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # git, of ours
    return done.stdout.strip()


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Its name, as the kernel knows it."""
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def versions() -> dict[str, str]:
    """Of what is installed here, else in one of the peers' environments."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            there = [*(BUILD / "envs").glob(f"*/lib/*/site-packages/{name.replace('-', '_')}-*.dist-info")]
            if there:
                found[name] = there[0].name.removesuffix(".dist-info").rpartition("-")[2]
    return found
