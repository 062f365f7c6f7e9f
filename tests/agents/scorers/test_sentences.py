"""Sentences with their offsets, and which of them claim anything."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.scorers.sentences import claims, split, without_citations


def sentences(text: str) -> list[str]:
    return [text[span.start : span.end] for span in split(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        (
            "Dr. Ng met J. R. Hall in the U.S. on Jan. 3. Ok.",
            ["Dr. Ng met J. R. Hall in the U.S. on Jan. 3.", "Ok."],
        ),
        ("It cost 3.5 million at example.com. Fine.", ["It cost 3.5 million at example.com.", "Fine."]),
        (
            "It is open [1]. It is free. [2][3] It is old.",
            ["It is open [1].", "It is free. [2][3]", "It is old."],
        ),
        ('He said "Yes." Then (as told.) he left.', ['He said "Yes."', "Then (as told.) he left."]),
        (
            "- first\n* second one\n3. third\n\n## Heading\nText",
            ["first", "second one", "third", "Heading", "Text"],
        ),
        ("渡轮九点开。真的吗？是", ["渡轮九点开。", "真的吗？", "是"]),
        ("Wait... what", ["Wait... what"]),
        ("all is small. still two.", ["all is small.", "still two."]),
        ("", []),
        (" \n... !?\n --- ", []),
    ],
)
def test_a_text_is_split_where_a_reader_would(text, expected):
    assert sentences(text) == expected


@given(st.text(alphabet="aB1. !?\n[]-'\"。é", max_size=80))
def test_sentences_come_in_order_and_leave_out_no_letter(text):
    spans = split(text)
    assert all(one.end <= two.start for one, two in pairwise(spans))
    assert all(text[span.start : span.end].strip() == text[span.start : span.end] != "" for span in spans)
    kept = "".join(text[span.start : span.end] for span in spans)
    assert sum(c.isalpha() for c in kept) == sum(c.isalpha() for c in text)


@pytest.mark.parametrize(
    "piece", ["!", "[1", "[1] ", "1. ", "a.", "hi, ", "- ", "\n", "“", "not ", "U.S. ", "1,111"]
)
def test_a_hostile_text_takes_linear_time(piece):
    """Each takes under a second; what is quadratic in 200,000 characters takes minutes."""
    text = "Hi " + piece * (200_000 // len(piece)) + "a"
    started = time.process_time()
    for span in split(without_citations(text)):
        claims(text[span.start : span.end])
    assert time.process_time() - started < 5


def test_citations_are_blanked_without_moving_the_text():
    text = "Open [1], free [2, 3] and old [4-6] but not [here]."
    plain = without_citations(text)
    assert plain == "Open    , free        and old       but not [here]."
    assert len(plain) == len(text)


@pytest.mark.parametrize(
    "sentence",
    [
        "Hello there!",
        "Thank you, have a lovely day!",
        "Sure, I can help you with that.",
        "When does it leave?",
        "I don't know.",
        "I'm sorry, that is all I have.",
        "I could not find an answer in the passages [1].",
        "The passages do not say when it opens.",
        "There is no information about that.",
        "This is not mentioned in the context.",
        "Based on the provided context:",
        "I hope this helps!",
        "Let me know if you need more.",
        "[1]",
        "...",
    ],
)
def test_greetings_questions_and_refusals_claim_nothing(sentence):
    assert not claims(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "It leaves at 9.",
        "Hello is a greeting in English.",
        "Yes, it leaves at nine.",
        "The passages do not say when, but the ferry sinks daily.",
        "I don't know why; the tower is 300 m high.",
        "There is no ferry on Sundays.",
        "Based on the provided context, the ferry leaves at 9.",
        "The information desk is on the ground floor.",
    ],
)
def test_a_statement_is_a_claim_even_behind_a_refusal(sentence):
    assert claims(sentence)
