"""What a run found, as JSON."""

import json
from dataclasses import asdict
from pathlib import Path

from benchmarks.run import Options, Results


def keep(results: Results, options: Options, folder: Path) -> None:
    """Write what there is."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"measured": [asdict(one) for one in results.measured]}, indent=1)
    (folder / "latest.json").write_text(text)
