"""The rows of the groundedness judges: labels as people gave them, splits that share no text."""

import json
import random
from pathlib import Path

import pytest

from training.corruptions import sentences
from training.groundedness_data import (
    Pair,
    apart,
    begin,
    cut,
    factscore,
    known_passages,
    made,
    responses,
    split_of,
)

DATA = Path(__file__).parents[3] / "shared/data"
SPLITS = ("train", "dev", "test")
WORDS = ("apple", "river", "stone", "cloud", "paper", "green", "north", "chair", "music", "table")
shared_data = pytest.mark.skipif(not DATA.is_dir(), reason="the data sets are not beside the repository")


def said(*numbers: int) -> str:
    return " ".join(
        f"The {WORDS[n % 10]} of {WORDS[n // 10 % 10]} was found by {n} men in the year {1800 + n}."
        for n in numbers
    )


def write(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def data(tmp_path):
    """Eighty subjects; BEGIN's test part holds one text of its dev part and one of its own."""
    statement = {"text": "It was found.", "label": "entailment"}
    wrong = {"text": "It was lost.", "label": "contradiction"}
    write(
        tmp_path / "factscore/claims.jsonl",
        [
            {
                "reference": said(*range(100 * n, 100 * n + 7)),
                "claims": [{"statements": [statement, wrong]}],
            }
            for n in range(1, 81)
        ],
    )
    labels = ("Fully attributable", "Not fully attributable", "Generic")
    for name, texts in (
        ("wow/begin_dev_wow", (10, 20)),
        ("wow/begin_test_wow", (10, 30)),
        ("cmudog/begin_dev_cmu", (40,)),
    ):
        write(
            tmp_path / f"begin_{name}.jsonl",
            [
                {"knowledge": said(text), "response": "It was found.", "begin_label": label}
                for text in texts
                for label in labels
            ],
        )
    write(tmp_path / "halueval_qa_sample/qa_1000.jsonl", [{"knowledge": said(50)}])
    return tmp_path


def test_a_subject_falls_into_the_same_split_whatever_stands_around_it():
    texts = [said(n) for n in range(300)]
    alone = {text: split_of(text) for text in texts}
    random.Random(1).shuffle(texts)
    assert {text: split_of(text) for text in texts} == alone
    shares = [sum(split == one for one in alone.values()) / 300 for split in SPLITS]
    assert shares == pytest.approx([0.60, 0.15, 0.25], abs=0.08)


def test_statements_have_the_label_they_were_given(data):
    found = [pair for split in SPLITS for pair in factscore(data, split)]
    assert len(found) == 160
    assert {pair.claim: pair.supported for pair in found} == {"It was found.": True, "It was lost.": False}


def test_generic_replies_are_left_out(data):
    assert [pair.supported for pair in begin(data, "wow/begin_test_wow")] == [True, False] * 2


def test_no_text_to_make_claims_of_is_in_two_splits(data):
    train, dev, test = (set(known_passages(data, split)) for split in SPLITS)
    assert min(len(train), len(dev), len(test)) > 0
    assert train.isdisjoint(dev | test)
    assert dev.isdisjoint(test)


def test_a_text_that_repeats_a_learnt_sentence_among_others_is_not_unseen(data):
    write(
        data / "begin_cmudog/begin_dev_cmu.jsonl",
        [{"knowledge": f"{said(77)} {said(10).upper()}"}, {"knowledge": said(78)}],
    )
    test = known_passages(data, "test")
    assert said(78) in test
    assert not any(said(77) in text for text in test)


def test_rows_whose_text_was_learnt_from_can_be_set_aside(data):
    found = apart(begin(data, "wow/begin_test_wow"), data)
    assert {pair.passages for pair in found} == {(said(30),)}


def test_the_same_seed_makes_the_same_claims(data):
    texts = known_passages(data, "train")
    assert made(texts, 60, 4) == made(texts, 60, 4)
    assert made(texts, 60, 4) != made(texts, 60, 5)


def test_half_of_the_made_claims_are_supported_and_the_rest_say_where_they_are_wrong(data):
    found = made(known_passages(data, "train"), 200, 4)
    assert sum(pair.supported for pair in found) == 100
    assert all(bool(pair.spans) is not pair.supported for pair in found)
    assert all(0 <= start < end <= len(pair.claim) for pair in found for start, end in pair.spans or ())


def test_only_the_wanted_ways_of_spoiling_are_used(data):
    found = made(known_passages(data, "train"), 60, 4, only=("number",))
    assert {pair.kind for pair in found} == {"number", "supported"}


def test_passages_are_of_five_sentences_and_lose_nothing():
    text = said(*range(12))
    assert cut(text) == [said(*range(5)), said(*range(5, 10)), said(10, 11)]


def test_every_timed_response_has_five_passages(data):
    found = responses(data, 10, 4)
    assert len(found) == 10
    assert all(len(passages) == 5 for _, passages in found)
    assert found == responses(data, 10, 4)


@shared_data
@pytest.mark.parametrize("name", ["wow/begin_test_wow", "cmudog/begin_dev_cmu"])
def test_rows_set_apart_share_no_passage_with_what_is_learnt(name):
    learnt = set(known_passages(DATA, "train")) | {
        text
        for pair in [*factscore(DATA, "train"), *begin(DATA, "wow/begin_dev_wow")]
        for text in pair.passages
    }
    kept: list[Pair] = apart(begin(DATA, name), DATA)
    assert len(kept) > 100
    assert not any(text in learnt for pair in kept for text in pair.passages)


@shared_data
def test_no_subject_is_in_two_splits():
    train, dev, test = ({pair.passages for pair in factscore(DATA, split)} for split in SPLITS)
    assert (len(train | dev | test), len(train & dev), len(train & test), len(dev & test)) == (183, 0, 0, 0)


@shared_data
def test_no_passage_to_make_claims_of_is_in_two_splits():
    train, dev, test = (set(known_passages(DATA, split)) for split in SPLITS)
    assert not train & test
    assert not dev & test
    assert not train & dev


@shared_data
def test_timed_responses_are_of_five_sentences():
    assert {len(sentences(answer)) for answer, _ in responses(DATA, 200, 4)} == {5}
