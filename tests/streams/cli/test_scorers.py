"""`sluicegate scorers`: the table, the figures, the rule to paste, and what is said when they cannot be had."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from agents.errors import ConfigurationError
from streams.cli import app

runner = CliRunner()
PASSAGE = "The ferry leaves at 9:30 from pier 4. A return ticket costs 12 euros."
ANSWERS = [
    ("The ferry leaves at 9:30 from pier 4.", "supported"),
    ("A return ticket costs 12 euros.", "supported"),
    ("The ferry leaves from pier 4 at 9:30.", "supported"),
    ("The ferry leaves at 11:45 from pier 4.", "unsupported"),
    ("A return ticket costs 99 euros.", "unsupported"),
    ("Breakfast is served by penguins.", "unsupported"),
    ("Thank you!", "supported"),
]
TEXTS = [
    ("You are a complete idiot.", 1),
    ("Shut up, you stupid piece of garbage.", 1),
    ("The ferry leaves at nine.", 0),
    ("Tickets are sold on board.", 0),
    ("Photosynthesis turns light into sugar.", 0),
]


@pytest.fixture
def answers(tmp_path) -> Path:
    path = tmp_path / "answers.jsonl"
    rows = [{"answer": answer, "passages": [PASSAGE], "label": label} for answer, label in ANSWERS]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


@pytest.fixture
def texts(tmp_path) -> Path:
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(json.dumps({"text": text, "label": label}) for text, label in TEXTS))
    return path


def run(*arguments: str):
    return runner.invoke(app, ["scorers", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})


def found(*arguments: str) -> dict:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_the_list_names_versions_and_languages_and_loads_nothing_that_may_download() -> None:
    rows = {row["name"]: row for row in found("list")}
    assert rows["groundedness"]["version"].startswith("groundedness-cascade@")
    assert rows["toxicity"]["languages"] == ["en"]
    assert rows["toxicity"]["enabled"]
    assert rows["toxicity-detoxify"]["version"] is None


def test_groundedness_is_measured_as_bad_where_it_is_low(answers) -> None:
    figures = found("eval", "groundedness", str(answers))
    assert figures["statuses"] == {"ok": 6, "skipped": 1}
    assert figures["auroc"] == 1.0
    assert figures["at_threshold"]["recall"] == 1.0
    assert figures["at_threshold"]["threshold"] == pytest.approx(0.5)
    assert 0 < figures["latency_ms"]["p50"] <= figures["latency_ms"]["p99"]


def test_a_rule_to_paste_flags_the_bad_and_not_the_good(answers, texts) -> None:
    low = found("calibrate", "groundedness", str(answers), "--max-fpr", "0")
    rule = yaml.safe_load("{" + low["rule"] + "}")
    assert rule["score"] == "groundedness"
    assert 0.3 <= rule["below"] < 1.0
    assert (low["recall"], low["false_positive_rate"]) == (1.0, 0.0)
    high = found("calibrate", "toxicity", str(texts), "--max-fpr", "0.01")
    assert yaml.safe_load("{" + high["rule"] + "}")["at_least"] > 0
    assert high["false_positive_rate_95"][1] > 0.3, "three clean rows promise little"


def test_the_table_warns_when_there_are_too_few_rows_for_the_promise(texts) -> None:
    done = run("calibrate", "toxicity", str(texts), "--max-fpr", "0.01")
    assert "3 good rows are too few to promise 1.0%: 300 would be a start" in done.output
    assert "when: {score: toxicity, at_least: " in done.output


def test_a_label_can_be_judged_by(texts) -> None:
    assert found("eval", "toxicity", str(texts), "--label", "insult")["rows"] == 5
    assert (
        "label: insult"
        in found("calibrate", "toxicity", str(texts), "--max-fpr", "0", "--label", "insult")["rule"]
    )


def test_the_plot_is_an_image_with_a_dot_for_every_bin(texts, tmp_path) -> None:
    plot = tmp_path / "plot.svg"
    done = run("eval", "toxicity", str(texts), "--plot", str(plot))
    assert done.exit_code == 0
    assert "AUROC" in done.output
    assert plot.read_text().count("<circle") == done.output.count("%  ")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"text": "a b c", "label": 0}], "all 1 judged rows are labelled good"),
        ([{"text": "a", "label": "odd"}], "rows.jsonl:1: label: 'odd' says neither"),
    ],
)
def test_what_is_wrong_with_the_file_is_told(tmp_path, rows, said) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    done = run("eval", "toxicity", str(path))
    assert isinstance(done.exception, ConfigurationError)
    assert said in str(done.exception)
