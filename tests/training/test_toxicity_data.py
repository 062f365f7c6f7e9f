"""The rows of the toxicity encoder: repeatable, apart by split, labels and spans in range."""

import json
from pathlib import Path

import pytest

from training.toxicity_data import LABELS, rows, split_of, tidy

WORDS = ("apple", "river", "stone", "cloud", "paper", "green", "north", "chair", "music", "table")


def write(path: Path, found: list[dict[str, object]]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(one) + "\n" for one in found))


@pytest.fixture
def data(tmp_path):
    said = [f"{a} {b} {c} {d}" for a in WORDS for b in WORDS for c in WORDS[:3] for d in WORDS[:1]]
    tweet = {
        "class": 1,
        "label": "offensive",
        "count": 3,
        "hate_speech": 1,
        "offensive_language": 2,
        "neither": 0,
    }
    mark = {"all_toxic": False, "not_toxic": False, "spans": [["Insult", 0, 5]]}
    write(tmp_path / "davidson/labeled_data.jsonl", [{"text": f"RT @x: {t} tweet", **tweet} for t in said])
    write(
        tmp_path / "toxic_spans/comments_annotations.jsonl",
        [{"text": f"{t} comment", "annotations": [mark] * 3} for t in said],
    )
    write(tmp_path / "toxigen_demos/demos.jsonl", [{"text": f"{t} demo", "label": "hate"} for t in said])
    write(tmp_path / "begin_wow/begin_dev_wow.jsonl", [{"knowledge": f"{t} knowledge"} for t in said])
    write(tmp_path / "factscore/claims.jsonl", [{"reference": f"{said[0]} reference."}])
    write(tmp_path / "halueval_general/general_data.jsonl", [{"chatgpt_response": f"{said[0]} answer."}])
    return tmp_path


def test_the_same_seed_gives_the_same_rows(data):
    assert rows(data, "train", 4) == rows(data, "train", 4)


def test_no_text_is_in_two_splits(data):
    train, dev, test = ({row.text for row in rows(data, split)} for split in ("train", "dev", "test"))
    assert min(len(train), len(dev), len(test)) > 0
    assert train.isdisjoint(dev | test)
    assert dev.isdisjoint(test)


def test_labels_are_unknown_or_chances_and_spans_lie_inside(data):
    for split in ("train", "dev", "test"):
        for row in rows(data, split):
            assert len(row.labels) == len(LABELS)
            assert all(label is None or 0 <= label <= 1 for label in row.labels)
            assert all(0 <= start < end <= len(row.text) for start, end in row.spans or ())
            assert row.weight > 0


def test_agreed_marks_become_the_span(data):
    found = [row for row in rows(data, "train") if row.source == "toxic_spans"]
    assert {row.spans for row in found} == {((0, 5),)}


def test_a_retweet_falls_into_the_split_of_its_original():
    for number in range(40):
        text = f"{WORDS[number % 10]} {WORDS[number // 10]} said"
        assert split_of(tidy(f"RT @you: {text}!! https://t.co/x")) == split_of(text)


def test_a_missing_data_set_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        rows(tmp_path, "train")
