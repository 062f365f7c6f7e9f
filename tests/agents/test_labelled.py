"""Labelled files: every way to say bad, and every mistake with its line."""

import json

import pytest

from agents.errors import ConfigurationError
from agents.labelled import read_labelled


def written(tmp_path, *rows: object):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


@pytest.mark.parametrize(
    ("label", "bad"),
    [
        (True, True),
        (1, True),
        (0, False),
        ("toxic", True),
        ("Clean", False),
        ("false", False),
        ("injection", True),
    ],
)
def test_labels_of_texts(tmp_path, label, bad) -> None:
    (row,) = read_labelled(written(tmp_path, {"text": "a", "label": label}), "toxicity")
    assert (row.item.text, row.bad) == ("a", bad)


@pytest.mark.parametrize(
    ("label", "bad"),
    [("unsupported", True), ("supported", False), (1, False), (False, True), ("true", False)],
)
def test_labels_of_answers_where_true_means_supported(tmp_path, label, bad) -> None:
    row = {"answer": "a", "passages": ["p", {"text": "q"}], "label": label}
    (found,) = read_labelled(written(tmp_path, row, ""), "groundedness")
    assert ([passage.text for passage in found.item.passages], found.bad) == (["p", "q"], bad)


def test_mistakes_are_told_by_line_and_field_all_at_once(tmp_path) -> None:
    path = written(
        tmp_path, "{", "[]", {"text": "a"}, {"text": "", "label": 1}, {"text": "a", "label": "maybe"}
    )
    with pytest.raises(ConfigurationError) as error:
        read_labelled(path, "toxicity")
    said = str(error.value).splitlines()
    assert [line.split(":")[1] for line in said] == ["1", "2", "3", "4", "5"]
    assert "is not JSON" in said[0]
    assert "expected an object" in said[1]
    assert "label: expected true" in said[2]
    assert "text: expected a text" in said[3]
    assert "label: 'maybe'" in said[4]


def test_many_mistakes_are_cut_and_counted(tmp_path) -> None:
    with pytest.raises(ConfigurationError, match=r"and 5 more$"):
        read_labelled(written(tmp_path, *["{"] * 15), "toxicity")


@pytest.mark.parametrize("passages", [None, "text", [], [3], [{"body": "x"}]])
def test_passages_must_be_texts(tmp_path, passages) -> None:
    row = {"answer": "a", "passages": passages, "label": "supported"}
    with pytest.raises(ConfigurationError, match=r"rows.jsonl:1: "):
        read_labelled(written(tmp_path, row), "groundedness")


def test_a_missing_and_an_empty_file_are_told(tmp_path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_labelled(tmp_path / "none.jsonl", "toxicity")
    with pytest.raises(ConfigurationError, match="no rows"):
        read_labelled(written(tmp_path, ""), "toxicity")
