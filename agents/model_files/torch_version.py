"""The version of a model that torch has loaded."""

import hashlib
import re
from typing import Any


def torch_version(name: str, model: Any, *settings: object) -> str:
    """`name@hash` over every weight of a torch module, by name, and over settings that shape the results."""
    digest = hashlib.sha256(repr(settings).encode())
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(tensor.cpu().numpy().tobytes())
    readable = re.sub(r"[^\w.-]", "-", name)
    return f"{readable}@{digest.hexdigest()[:12]}"
