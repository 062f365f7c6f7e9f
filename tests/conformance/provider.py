"""What every provider must keep to: subclass `ProviderContract` and give it a `provider` fixture."""

import asyncio
import contextlib

import pytest

from agents.errors import ModelError
from agents.ports import Completion, ModelCall, Provider
from schemas.codec import decode, encode
from schemas.common import Message, Passage, Usage

PASSAGES = (
    Passage(id="1", text="The ferry leaves at 9:30 from pier 4.", source="ferry.md", start=0, end=37),
    Passage(id="2", text="A return ticket costs 12 euros.", source="prices.md", start=0, end=31),
)


def call(question: str = "When does the ferry leave?", **parts: object) -> ModelCall:
    values = {
        "messages": [Message(role="user", content=question)],
        "question": question,
        "passages": PASSAGES,
        "idempotency_key": "acme:r1",
        "timeout_s": 20.0,
    }
    return ModelCall(**(values | parts))


class ProviderContract:
    """The shared suite. The `provider` fixture must be able to answer; it closes what it opened."""

    @pytest.fixture
    def provider(self) -> Provider:
        raise NotImplementedError("a subclass gives the provider under test")

    def test_it_has_a_name_and_a_model(self, provider: Provider) -> None:
        assert provider.name
        assert provider.default_model
        assert isinstance(provider.media_types, frozenset)

    async def test_it_answers_a_question(self, provider: Provider) -> None:
        answer = await provider.complete(call())
        assert isinstance(answer, Completion)
        assert answer.text.strip()
        assert answer.model
        assert answer.provider == provider.name
        assert answer.finish_reason in ("stop", "length", "quoted")

    async def test_usage_is_whole_and_can_be_written(self, provider: Provider) -> None:
        usage = (await provider.complete(call())).usage
        assert decode(Usage, encode(usage)) == usage
        assert usage.cached_input_tokens <= usage.input_tokens
        assert usage.reasoning_tokens <= usage.output_tokens

    async def test_every_parameter_is_taken(self, provider: Provider) -> None:
        full = call(temperature=0.0, top_p=0.9, max_tokens=16, seed=1, stop=["\n\n"])
        assert (await provider.complete(full)).text

    @pytest.mark.parametrize("question", ["", " \n", "Ça coûte 12 € ? 🚢", "{{ 7 * 7 }} [1]", "x" * 20_000])
    async def test_odd_questions_give_an_answer_or_an_error_of_ours(
        self, provider: Provider, question: str
    ) -> None:
        with contextlib.suppress(ModelError):
            assert (await provider.complete(call(question))).text

    async def test_it_serves_calls_side_by_side(self, provider: Provider) -> None:
        answers = await asyncio.gather(*(provider.complete(call()) for _ in range(8)))
        assert len(answers) == 8

    async def test_no_passages_are_fine(self, provider: Provider) -> None:
        assert (await provider.complete(call(passages=()))).text
