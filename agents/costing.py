"""What calls cost: published prices from genai-prices, own prices over them; unknown stays unknown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated

from msgspec.structs import replace
from pydantic import Field

from agents.operator_files import FileModel, Mistakes, content_hash, parse, read_document
from agents.ports import Completion
from schemas.common import Usage
from schemas.cost import CostEvent, CostKind, CostStatus
from schemas.identity import id_of
from schemas.request import GenerationRequest

_MILLION = Decimal(1_000_000)
_PerMillion = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]


class OwnPrice(FileModel):
    """A price of your own for the models that `provider` and `model` (globs) name, per million tokens."""

    provider: str = "*"
    model: str = "*"
    input_per_mtok: _PerMillion
    output_per_mtok: _PerMillion
    cached_input_per_mtok: _PerMillion | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "USD"

    def amount(self, usage: Usage) -> Decimal:
        """What `usage` costs; cached input costs what other input does where no price of its own is given."""
        cached = min(usage.cached_input_tokens, usage.input_tokens)
        cached_price = (
            self.input_per_mtok if self.cached_input_per_mtok is None else self.cached_input_per_mtok
        )
        total = (
            (usage.input_tokens - cached) * self.input_per_mtok
            + cached * cached_price
            + usage.output_tokens * self.output_per_mtok
        )
        return total / _MILLION


class PriceFile(FileModel):
    """The file as written; the first entry that names a model holds."""

    prices: tuple[OwnPrice, ...] = ()


EXTRACTIVE = OwnPrice(provider="extractive", input_per_mtok=Decimal(0), output_per_mtok=Decimal(0))
"""Quoting passages calls no model: it is known to cost nothing."""


@dataclass(frozen=True, slots=True)
class Paid:
    """An amount in major units of its currency."""

    amount: Decimal
    currency: str


class Prices:
    """The price table. Uses the prices inside the installed genai-prices package and never the network.

    `version` names that package's version and the hash of the own prices: with it a cost can be recomputed.
    """

    def __init__(self, own: Sequence[OwnPrice] = (), own_hash: str | None = None) -> None:
        self._own = (*own, EXTRACTIVE)
        suffix = f"+own@{own_hash}" if own_hash else ""
        self.version = f"genai-prices {installed_version('genai-prices')}{suffix}"

    @classmethod
    def load(cls, path: Path | None) -> "Prices":
        """With the own prices in a YAML file, if there is one.

        Raises:
            ConfigurationError: every mistake in the file.
        """
        if path is None:
            return cls()
        mistakes = Mistakes()
        document = read_document(path, mistakes)
        file = None if mistakes else parse(path, document, PriceFile, mistakes)
        mistakes.raise_if_any("the price file")
        assert file is not None
        return cls(file.prices, content_hash(document))

    def price(self, provider: str, model: str, usage: Usage, at: datetime) -> Paid | None:
        """What `usage` cost at that time, or None when nobody knows.

        Published prices count only where our provider bears the vendor's name (`openai`, `anthropic`, ...):
        a model of the same name on a server of your own costs something else.
        """
        for own in self._own:
            if fnmatchcase(provider, own.provider) and fnmatchcase(model, own.model):
                return Paid(own.amount(usage), own.currency)
        return _published(provider, model, usage, at)


def _published(provider: str, model: str, usage: Usage, at: datetime) -> Paid | None:
    from genai_prices import Usage as Counted  # its table takes a while to load
    from genai_prices import calc_price

    counted = Counted(
        input_tokens=usage.input_tokens,
        cache_read_tokens=min(usage.cached_input_tokens, usage.input_tokens),
        output_tokens=usage.output_tokens,
    )
    try:
        found = calc_price(counted, model, provider_id=provider, genai_request_timestamp=at)
    except (LookupError, ValueError):  # no such provider or model, or a kind of token without a price
        return None
    return Paid(found.total_price, "USD")


def cost_event(
    prices: Prices,
    request: GenerationRequest,
    kind: CostKind,
    bought: Completion,
    requested_model: str | None,
    now: datetime,
) -> CostEvent:
    """The line for one paid call, priced by the model that served it."""
    paid = prices.price(bought.provider, bought.model, bought.usage, now)
    status: CostStatus = "unpriced" if paid is None else "estimated" if bought.usage_estimated else "priced"
    return CostEvent(
        id=id_of(request, f"cost:{kind}"),
        request_id=request.id or "",
        tenant=request.tenant,
        kind=kind,
        provider=bought.provider,
        model=bought.model,
        requested_model=requested_model,
        usage=bought.usage,
        status=status,
        amount=paid.amount if paid else None,
        currency=paid.currency if paid else "USD",
        price_version=prices.version,
        created=now,
    )


def cache_hit_cost(original: CostEvent, request: GenerationRequest, now: datetime) -> CostEvent:
    """The line for an answer that was reused: it cost nothing and avoided the original's amount."""
    return replace(
        original,
        id=id_of(request, "cost:cache_hit"),
        request_id=request.id or "",
        tenant=request.tenant,
        kind="cache_hit",
        usage=Usage(),
        status="priced",
        amount=Decimal(0),
        avoided=original.amount,
        created=now,
    )
