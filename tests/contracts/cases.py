"""Every event with its examples and golden files, for the tests in this folder."""

from pathlib import Path

import pytest

from schemas.channels import CHANNELS
from schemas.examples import FULL, MINIMAL
from schemas.export import short_name

GOLDEN = Path(__file__).parent / "golden"
EXAMPLES = [
    pytest.param(
        channel,
        examples[channel.event],
        GOLDEN / f"{short_name(channel)}.{size}.json",
        id=f"{short_name(channel)}-{size}",
    )
    for channel in CHANNELS
    for size, examples in (("minimal", MINIMAL), ("full", FULL))
]
