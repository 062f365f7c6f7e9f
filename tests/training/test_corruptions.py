"""Claims made out of sentences: repeatable, wrong where they say they are, and wrong by what is not there."""

import random
import re

import pytest

from training.corruptions import (
    Context,
    baseless,
    baseless_clause,
    corrupt,
    date,
    name,
    negation,
    number,
    opposite,
    paraphrase,
    roles,
    sentences,
    unit,
)

PASSAGE = (
    "Marie Keller was born in Hamburg on 4 March 1942 and opened her first theatre in 1971. "
    "The theatre seated 350 people and was sold after 12 weeks for 3 million dollars. "
    "In 1980, Keller defeated Otto Brandt in a public election, which surprised Berlin."
)
OTHERS = (
    "The river Orne flows past Caen, with a harbour that freezes in most winters. "
    "It was bridged in 1806 by Antoine Duval, who later moved to Lyon.",
)
CONTEXT = Context(PASSAGE, OTHERS)
SEEDS = range(60)
PLACED = (number, unit, date, name, opposite)
"""They put other words in one place, and the rest stays."""


def claims(spoil):
    made = (
        (text, spoil(text, CONTEXT, random.Random(seed))) for text in sentences(PASSAGE) for seed in SEEDS
    )
    found = [(text, claim) for text, claim in made if claim is not None]
    assert found
    return found


@pytest.mark.parametrize("make", [corrupt, lambda text, _, rng: paraphrase(text, rng)])
def test_the_same_seed_makes_the_same_claim(make):
    for text in sentences(PASSAGE):
        for seed in SEEDS:
            assert make(text, CONTEXT, random.Random(seed)) == make(text, CONTEXT, random.Random(seed))


def test_spans_are_characters_of_the_claim():
    for _, claim in claims(corrupt):
        assert claim.spans
        assert all(0 <= start < end <= len(claim.text) for start, end in claim.spans)


@pytest.mark.parametrize("spoil", PLACED)
def test_only_what_the_span_marks_was_changed(spoil):
    for text, claim in claims(spoil):
        ((start, end),) = claim.spans
        assert claim.text != text
        assert text.startswith(claim.text[:start])
        assert text.endswith(claim.text[end:])


def test_a_changed_number_is_another_number():
    for text, claim in claims(number):
        ((start, end),) = claim.spans
        new = claim.text[start:end]
        assert float(new.replace(",", "")) > 0
        assert new not in re.findall(r"[\d,.]*\d", text)


@pytest.mark.parametrize(
    ("text", "others"),
    [
        (
            "It was sold after 12 weeks.",
            {"seconds", "minutes", "hours", "days", "months", "years", "decades"},
        ),
        ("It cost 3 million dollars.", {"hundred", "thousand", "billion", "trillion"}),
    ],
)
def test_a_unit_changes_within_its_dimension(text, others):
    made = [unit(text, CONTEXT, random.Random(seed)) for seed in SEEDS]
    assert {claim.text[slice(*claim.spans[0])] for claim in made if claim} == others


def test_a_month_becomes_one_the_sentence_does_not_have():
    for text, claim in claims(date):
        ((start, end),) = claim.spans
        assert claim.text[start:end] not in text


def test_a_name_put_in_is_of_the_passage_or_of_another_text():
    for _, claim in claims(name):
        ((start, end),) = claim.spans
        own = claim.kind == "name of the passage"
        assert claim.text[start:end] in (PASSAGE if own else OTHERS[0])
        assert own or claim.text[start:end] not in PASSAGE


def test_a_negation_is_put_in_or_taken_out():
    told = "The bridge was not painted in the spring."
    without = negation(told, CONTEXT, random.Random(1))
    assert without is not None
    assert without.text == "The bridge was painted in the spring."
    put_in = negation(without.text, CONTEXT, random.Random(1))
    assert put_in is not None
    assert put_in.text in (told, told.replace("not", "never"))


def test_two_names_around_a_verb_change_places():
    made = roles("Marie Keller defeated Otto Brandt.", CONTEXT, random.Random(1))
    assert made is not None
    assert made.text == "Otto Brandt defeated Marie Keller."
    assert [made.text[start:end] for start, end in made.spans] == ["Otto Brandt", "Marie Keller"]


def test_names_joined_by_and_keep_their_places():
    assert roles("Marie Keller and Otto Brandt voted.", CONTEXT, random.Random(1)) is None


def test_a_clause_put_in_is_marked_and_nobody_said_it():
    for text, claim in claims(baseless_clause):
        ((start, end),) = claim.spans
        assert claim.text[:start] == text.rstrip(".")
        assert claim.text[start:end] not in PASSAGE


def test_a_baseless_sentence_is_wrong_as_a_whole():
    for _, claim in claims(baseless):
        assert claim.spans == ((0, len(claim.text)),)
        assert claim.text not in PASSAGE


def test_a_sentence_that_offers_nothing_is_left_alone():
    for spoil in (number, unit, date, name, negation, opposite, roles):
        assert spoil("Nothing here offers itself.", CONTEXT, random.Random(1)) is None


def test_a_paraphrase_brings_in_no_number_and_no_name():
    for text in sentences(PASSAGE):
        for seed in SEEDS:
            said = paraphrase(text, random.Random(seed)).removeprefix("According to the text, ")
            said = said.removeprefix("Yes, ").removeprefix("Well, ").removeprefix("It is said that ")
            signs = {word.strip(".,") for word in said.split() if word[0].isdigit() or word[0].isupper()}
            assert {sign for sign in signs if sign.lower() not in text.lower()} <= {"Sold"}
