"""`genai.costs`: one line for every paid call."""

from decimal import Decimal
from typing import Literal

from schemas.common import SCHEMA_VERSION, Event, Id, Instant, RequestId, Tenant, Usage, Version

CostStatus = Literal["priced", "estimated", "unpriced"]
CostKind = Literal["chat", "embedding", "judge", "cache_hit"]


class CostEvent(Event, frozen=True, kw_only=True):
    """What a call cost. `amount` is None when `status` is `unpriced`: unknown is never 0.

    `amount` is in major units of `currency` (USD: dollars). A cache hit costs 0 and says in `avoided` what it
    saved.
    """

    id: Id
    request_id: RequestId
    tenant: Tenant
    kind: CostKind
    provider: str
    model: str
    requested_model: str | None
    usage: Usage
    status: CostStatus
    amount: Decimal | None
    currency: str
    price_version: str
    created: Instant
    version: Version = SCHEMA_VERSION
    avoided: Decimal | None = None

    def __post_init__(self) -> None:
        for name in ("amount", "avoided"):
            value = getattr(self, name)
            # No type says this: "Infinity" and "NaN" are decimals, and a signalling NaN cannot even be compared.
            if isinstance(value, Decimal) and not value.is_finite():
                raise ValueError(f"Expected a finite decimal in `{name}`, got {value}")
