"""What every retriever must keep to: subclass `RetrieverContract` and give it a `retriever` fixture.

The fixture's retriever serves an index called `INDEX` that holds exactly `PASSAGES`.
"""

import asyncio
import re

import msgspec
import pytest

from agents.errors import UnknownPart
from agents.ports import Retriever
from schemas.common import Passage

INDEX = "guide/harbour"
_TEXTS = {
    "ferry.md": ("The ferry leaves at 9:30 from pier 4.", "The ferry does not run on Sundays."),
    "prices.md": ("A return ticket costs 12 euros.", "Children under six travel free of charge."),
    "harbour.html": ("The harbour office opens at eight.", "Lost luggage waits in the harbour office."),
}
PASSAGES = tuple(
    Passage(
        id=f"{source}-{number}",
        text=text,
        source=source,
        start=number * 100,
        end=number * 100 + len(text),
        headings=("Guide",),
        metadata={"format": source.rpartition(".")[2], "number": str(number)},
    )
    for source, texts in _TEXTS.items()
    for number, text in enumerate(texts)
)
BY_ID = {passage.id: passage for passage in PASSAGES}


class RetrieverContract:
    """The shared suite; the index is tiny, so exact and approximate search must agree on it."""

    @pytest.fixture
    def retriever(self) -> Retriever:
        raise NotImplementedError("a subclass gives the retriever under test")

    async def test_the_version_is_the_name_and_a_hash(self, retriever):
        assert re.fullmatch(re.escape(INDEX) + r"@[0-9a-f]{12,64}", retriever.version(INDEX))
        assert retriever.version(INDEX) == retriever.version(INDEX)

    async def test_an_unknown_index_is_named_in_the_error(self, retriever):
        with pytest.raises(UnknownPart, match="no-such-index"):
            retriever.version("no-such-index")
        with pytest.raises(UnknownPart, match="no-such-index"):
            await retriever.search("no-such-index", "ferry", 3, {})

    async def test_the_best_passage_comes_first(self, retriever):
        found = await retriever.search(INDEX, "What does a return ticket cost?", 3, {})
        assert found[0].id == "prices.md-0"

    async def test_scores_fall(self, retriever):
        scores = [p.score for p in await retriever.search(INDEX, "ferry on Sundays", 6, {})]
        assert scores == sorted(scores, reverse=True)

    async def test_passages_come_back_as_they_were_put_in(self, retriever):
        for found in await retriever.search(INDEX, "harbour office", 6, {}):
            assert msgspec.structs.replace(found, score=0.0) == BY_ID[found.id]

    @pytest.mark.parametrize("top_k", [1, 2, 50])
    async def test_at_most_top_k_are_given_none_twice(self, retriever, top_k):
        found = await retriever.search(INDEX, "ferry ticket harbour", top_k, {})
        assert 1 <= len(found) <= top_k
        assert len({passage.id for passage in found}) == len(found)

    async def test_every_filter_must_hold(self, retriever):
        found = await retriever.search(INDEX, "ferry", 6, {"format": "html", "number": "1"})
        assert [passage.id for passage in found] == ["harbour.html-1"]

    @pytest.mark.parametrize("filters", [{"format": "pdf"}, {"nothing": "here"}])
    async def test_a_filter_that_nothing_meets_finds_nothing(self, retriever, filters):
        assert await retriever.search(INDEX, "ferry", 6, filters) == []

    @pytest.mark.parametrize(
        "query", ["", "  \n", "\x00\ufffd", "渡轮几点开？🚢", "the of and", "x" * 20_000]
    )
    async def test_no_query_is_too_odd_to_answer(self, retriever, query):
        for passage in await retriever.search(INDEX, query, 3, {}):
            assert passage.id in BY_ID

    async def test_many_may_search_at_once_and_find_the_same(self, retriever):
        alone = await retriever.search(INDEX, "ferry on Sundays", 3, {})
        together = await asyncio.gather(
            *(retriever.search(INDEX, "ferry on Sundays", 3, {}) for _ in range(32))
        )
        assert all(found == alone for found in together)
