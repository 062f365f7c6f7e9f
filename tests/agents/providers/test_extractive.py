"""The extractive provider quotes, cites, and says so when it has nothing."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.citations import find_citations
from agents.providers.extractive import MODEL, NO_ANSWER, ExtractiveProvider
from schemas.common import Passage, Usage
from tests.conformance.provider import PASSAGES, ProviderContract, call


class TestExtractive(ProviderContract):
    @pytest.fixture
    def provider(self) -> ExtractiveProvider:
        return ExtractiveProvider()


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("When does the ferry leave?", '"The ferry leaves at 9:30 from pier 4." [1]'),
        ("What does a return ticket cost?", '"A return ticket costs 12 euros." [2]'),
        ("Who founded the city of Rome?", NO_ANSWER),
        ("What is it?", NO_ANSWER),
    ],
)
async def test_it_quotes_what_matches_or_says_that_nothing_does(question: str, answer: str) -> None:
    completion = await ExtractiveProvider().complete(call(question))
    assert completion.text == answer
    assert (completion.finish_reason, completion.model, completion.usage) == ("quoted", MODEL, Usage())


async def test_a_sentence_broken_over_lines_is_quoted_whole() -> None:
    passage = Passage(
        id="1", text="The ferry leaves\nat 9:30 every day.\nBring cash.", source="a", start=0, end=9
    )
    completion = await ExtractiveProvider().complete(call(passages=[passage]))
    assert completion.text == '"The ferry leaves at 9:30 every day." [1]'


async def test_the_same_sentence_in_two_passages_is_quoted_once() -> None:
    completion = await ExtractiveProvider().complete(call(passages=[PASSAGES[0], PASSAGES[0]]))
    assert completion.text.count("9:30") == 1


_TEXT = st.text(alphabet=st.sampled_from(list('ferry pier. \n?[]1é"')), max_size=60)


@given(question=_TEXT, texts=st.lists(_TEXT, max_size=4))
async def test_whatever_it_quotes_stands_in_a_passage_it_cites(question: str, texts: list[str]) -> None:
    passages = [Passage(id=str(n), text=t, source="s", start=0, end=len(t)) for n, t in enumerate(texts)]
    text = (await ExtractiveProvider().complete(call(question, passages=passages))).text
    flat = [re.sub(r"\s", " ", passage.text) for passage in passages]
    if text != NO_ANSWER:
        known, _ = find_citations(text, passages)
        assert known
        assert any(re.sub(r"\s", " ", text[1:].rsplit('" [', 1)[0].split('" [')[0]) in one for one in flat)
