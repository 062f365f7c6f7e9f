"""Passages keep their place: the text at their offsets is theirs, and nothing between them is lost."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.retrievers.chunking import chunk, embedding_text
from agents.retrievers.documents import Block, Document, paragraphs
from agents.retrievers.html import read_html
from agents.retrievers.readers import markdown_document

TEXT = st.text(
    alphabet=st.sampled_from("ab.!? \n\t#`-*|<>/é漢。\u200b\U0001f600\x0b\x85\u2028"), max_size=400
) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "ignore").decode())
SIZES = st.integers(1, 80).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1)))


def text_document(text: str, **block: object) -> Document:
    return Document("a.txt", text, tuple(Block(a, b, **block) for a, b in paragraphs(text)))


@pytest.mark.parametrize(
    "read", [text_document, lambda t: markdown_document(t, "a.md"), lambda t: read_html(t, "a.html")]
)
def test_the_text_at_the_offsets_is_the_passage(read):
    @given(TEXT, SIZES)
    def holds(text: str, sizes: tuple[int, int]) -> None:
        document = read(text)
        passages = chunk(document, *sizes)
        for passage in passages:
            assert document.text[passage.start : passage.end] == passage.text
            assert passage.text.strip()
            assert len(passage.text) <= sizes[0]
        assert len({passage.id for passage in passages}) == len(passages)

    holds()


@given(TEXT, SIZES)
def test_every_character_of_a_text_is_in_a_passage_but_white_space(text, sizes):
    covered = set()
    for passage in chunk(text_document(text), *sizes):
        covered.update(range(passage.start, passage.end))
    assert all(text[at].isspace() for at in set(range(len(text))) - covered)


@given(TEXT, st.integers(1, 80))
def test_without_overlap_passages_follow_each_other(text, size):
    passages = chunk(text_document(text), size)
    assert all(a.end <= b.start for a, b in pairwise(passages))


def test_a_long_paragraph_is_cut_after_a_sentence():
    text = "The ferry leaves at nine. It takes an hour to cross. On Sundays it does not run at all."
    assert [p.text for p in chunk(text_document(text), 60)] == [
        "The ferry leaves at nine. It takes an hour to cross.",
        "On Sundays it does not run at all.",
    ]


def test_a_word_longer_than_a_passage_is_cut_where_it_must_be():
    assert [len(p.text) for p in chunk(text_document("x" * 25), 10)] == [10, 10, 5]


def test_overlap_repeats_whole_sentences_of_the_passage_before():
    text = "One is here. Two is here. Three is here. Four is here. Five is here."
    plain, overlapping = chunk(text_document(text), 30), chunk(text_document(text), 45, 15)
    assert not any(a.end > b.start for a, b in pairwise(plain))
    assert any(a.end > b.start for a, b in pairwise(overlapping))
    assert all(re.match(r"(One|Two|Three|Four|Five) is", p.text) for p in overlapping)


def test_short_blocks_share_a_passage_only_below_the_same_heading():
    document = markdown_document("# A\n\none\n\ntwo\n\n## B\n\nthree\n", "a.md")
    assert [(p.text, p.headings) for p in chunk(document)] == [("one\n\ntwo", ("A",)), ("three", ("A", "B"))]


def test_blocks_of_two_pages_do_not_share_a_passage():
    document = Document("a.pdf", "one\n\ntwo", (Block(0, 3, page=1), Block(5, 8, page=2)))
    assert [(p.text, p.metadata["page"]) for p in chunk(document)] == [("one", "1"), ("two", "2")]


def test_the_same_words_in_the_same_place_have_the_same_id():
    first, again = (chunk(text_document("one\n\ntwo"), 4) for _ in range(2))
    assert [p.id for p in first] == [p.id for p in again]
    assert first[0].id != first[1].id


def test_what_is_embedded_begins_with_the_headings():
    (passage,) = chunk(markdown_document("# Ferries\n\n## Times\n\nAt nine.", "a.md"))
    assert embedding_text(passage) == "Ferries > Times\nAt nine."


@pytest.mark.parametrize("sizes", [(0, 0), (10, 10), (10, -1)])
def test_sizes_that_cannot_work_are_refused(sizes):
    with pytest.raises(ValueError, match="max_chars"):
        chunk(text_document("text"), *sizes)
