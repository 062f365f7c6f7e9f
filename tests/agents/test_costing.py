"""Costs: golden figures for published prices, own prices over them, and unknown that stays unknown."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from agents.costing import Prices, cache_hit_cost, cost_event
from agents.errors import ConfigurationError
from agents.ports import Completion
from schemas.codec import decode, encode
from schemas.common import Message, Usage
from schemas.cost import CostEvent
from schemas.request import GenerationRequest

NOW = datetime(2026, 1, 2, tzinfo=UTC)
REQUEST = GenerationRequest(id="r1", tenant="acme", messages=[Message(role="user", content="Hi")])
USAGE = Usage(input_tokens=1000, cached_input_tokens=200, output_tokens=500, reasoning_tokens=100)


def cost(prices: Prices, provider: str, model: str, *, estimated: bool = False) -> CostEvent:
    bought = Completion("text", "stop", model, provider, USAGE, estimated)
    return cost_event(prices, REQUEST, "chat", bought, model, NOW)


@pytest.mark.parametrize(
    ("provider", "model", "amount"),
    [
        # 800 x 0.15 + 200 x 0.075 + 500 x 0.60 dollars a million
        ("openai", "gpt-4o-mini", "0.000435"),
        # 800 x 2.50 + 200 x 1.25 + 500 x 10
        ("openai", "gpt-4o", "0.00725"),
        ("openai", "gpt-4o-mini-2024-07-18", "0.000435"),
        # 800 x 3 + 200 x 0.30 + 500 x 15
        ("anthropic", "claude-sonnet-4-0", "0.00996"),
    ],
)
def test_published_prices_count_cached_tokens_apart(provider: str, model: str, amount: str) -> None:
    event = cost(Prices(), provider, model)
    assert (event.status, event.amount, event.currency) == ("priced", Decimal(amount), "USD")
    assert event.price_version == "genai-prices 0.2.3"


@pytest.mark.parametrize(
    ("provider", "model"), [("openai", "no-such-model"), ("my-server", "gpt-4o"), ("my-server", "llama")]
)
def test_what_nobody_knows_is_unpriced_and_not_zero(provider: str, model: str) -> None:
    event = cost(Prices(), provider, model, estimated=True)
    assert (event.status, event.amount) == ("unpriced", None)


def test_guessed_usage_is_marked_as_an_estimate() -> None:
    assert cost(Prices(), "openai", "gpt-4o", estimated=True).status == "estimated"


def test_quoting_passages_is_known_to_cost_nothing() -> None:
    assert cost(Prices(), "extractive", "extractive-v1").amount == 0


def test_own_prices_come_first_and_change_the_version(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(
        "prices:\n"
        "  - {provider: openai, model: 'gpt-4o*', input_per_mtok: 0.1, output_per_mtok: 1, currency: EUR}\n"
        "  - {provider: 'gpu-*', input_per_mtok: 1, cached_input_per_mtok: 0.5, output_per_mtok: 2}\n"
    )
    prices = Prices.load(path)
    assert prices.version.startswith("genai-prices 0.2.3+own@")
    event = cost(prices, "openai", "gpt-4o-mini")
    assert (event.amount, event.currency) == (Decimal("0.0006"), "EUR")
    assert cost(prices, "gpu-1", "anything").amount == Decimal("0.0019")
    assert cost(prices, "openai", "gpt-4.1").currency == "USD"


def test_the_price_file_that_is_shipped_can_be_read() -> None:
    prices = Prices.load(Path(__file__).parents[2] / "examples" / "local" / "prices.yaml")
    assert cost(prices, "embedded", "smollm2").amount == 0


def test_every_mistake_in_a_price_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("prices:\n  - {input_per_mtok: -1, output_per_mtok: .nan}\n  - {currency: euro}\n")
    with pytest.raises(ConfigurationError) as caught:
        Prices.load(path)
    for field in ("prices[0].input_per_mtok", "prices[0].output_per_mtok", "prices[1].currency"):
        assert field in str(caught.value)


def test_a_cache_hit_costs_nothing_and_says_what_it_avoided() -> None:
    original = cost(Prices(), "openai", "gpt-4o")
    later = GenerationRequest(id="r2", tenant="acme", messages=REQUEST.messages)
    hit = cache_hit_cost(original, later, NOW)
    assert (hit.amount, hit.avoided, hit.kind, hit.usage) == (0, original.amount, "cache_hit", Usage())
    assert (hit.id, hit.request_id) == ("acme:r2:cost:cache_hit", "r2")


def test_what_a_hit_avoided_is_unknown_where_the_original_was() -> None:
    assert cache_hit_cost(cost(Prices(), "x", "y"), REQUEST, NOW).avoided is None


def test_amounts_survive_the_wire_exactly() -> None:
    event = cost(Prices(), "openai", "gpt-4o-mini")
    assert decode(CostEvent, encode(event)) == event
