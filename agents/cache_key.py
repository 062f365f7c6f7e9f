"""The key under which an answer may be reused: everything that shaped it, hashed over canonical JSON."""

import hashlib
import unicodedata

import msgspec

from schemas.common import Lineage
from schemas.request import GenerationRequest


def cache_key(request: GenerationRequest, lineage: Lineage) -> str:
    """`tenant:sha256` over messages, parameters, retrieval, prompt variables, risk and every version in `lineage`.

    Text is compared after NFC normalisation. The tenant stands outside the hash too, so that one tenant's
    entries can be found and dropped.
    """
    shaping = {
        "tenant": request.tenant,
        "messages": msgspec.to_builtins(request.messages),
        "model": request.model,
        "route": request.route,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "max_tokens": request.max_tokens,
        "seed": request.seed,
        "stop": request.stop,
        "risk": request.risk,
        "prompt": msgspec.to_builtins(request.prompt),
        "retrieval": msgspec.to_builtins(request.retrieval),
        "lineage": msgspec.to_builtins(lineage),
    }
    text = msgspec.json.encode(shaping, order="deterministic").decode()
    digest = hashlib.sha256(unicodedata.normalize("NFC", text).encode()).hexdigest()
    return f"{request.tenant}:{digest}"
