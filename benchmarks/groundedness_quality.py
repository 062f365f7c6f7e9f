"""How well the groundedness scorer tells supported sentences from unsupported ones, and what it costs.

    python benchmarks/groundedness_quality.py [--data ../shared/data] [--models .sluicegate/models] [--fit]

BEGIN (Wizard of Wikipedia): a chat reply is right only if all of it is attributable to one sentence of
knowledge. FActScore: statements against a reference text of about 6,000 characters; even ids tune, odd ids
test. `--models` adds the embedder, `--fit` trains the weights anew and prints them. Columns: rows, rows
without a claim, area under the ROC curve, F1 of the unsupported and of the supported class and accuracy at
the product's threshold, and milliseconds an answer (FActScore's references repeat, so they are cached).
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from agents.ports import Embedder, ScoreInput
from agents.scorers.groundedness import LEXICAL, WITH_SIMILARITY, Groundedness
from schemas.common import Passage

FEATURES = ("bias", "recall", "pairs", "anywhere", "quantities", "names", "novel")
Row = tuple[str, str, bool]
"""Passage, answer, supported."""


def _lines(path: Path) -> Iterable[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def begin(path: Path) -> list[Row]:
    """Replies with content; the six labelled generic are left out."""
    labels = {"Fully attributable": True, "Not fully attributable": False}
    return [
        (row["knowledge"], row["response"], labels[row["begin_label"]])
        for row in _lines(path)
        if row["begin_label"] in labels
    ]


def factscore(path: Path, parity: int) -> list[Row]:
    """Statements of every second response."""
    return [
        (row["reference"], statement["text"], statement["label"] == "entailment")
        for number, row in enumerate(_lines(path))
        if number % 2 == parity
        for claim in row["claims"]
        for statement in claim["statements"]
    ]


def _input(row: Row) -> ScoreInput:
    passage = Passage(id="1", text=row[0], source="data", start=0, end=len(row[0]))
    return ScoreInput(row[1], [passage])


def auroc(scores: np.ndarray, labels: np.ndarray) -> float:
    """The chance that a supported one scores above an unsupported one; ties count half."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positives = labels.sum()
    below = ranks[labels].sum() - positives * (positives + 1) / 2
    return float(below / (positives * (~labels).sum()))


def f1(found: np.ndarray, wanted: np.ndarray) -> float:
    """Of the class that both arrays mark True."""
    return float(2 * (found & wanted).sum() / max(1, found.sum() + wanted.sum()))


def measure(scorer: Groundedness, rows: list[Row]) -> dict[str, float]:
    """Score every row alone."""
    values, labels, skipped = [], [], 0
    started = time.perf_counter()
    scores = [scorer.score([_input(row)])[0] for row in rows]
    seconds = time.perf_counter() - started
    for row, score in zip(rows, scores, strict=True):
        skipped += score.status == "skipped"
        if score.status == "ok":
            values.append((score.value, score.labels["unsupported"] > 0))
            labels.append(row[2])
    value, flagged = np.array([v for v, _ in values]), np.array([bool(f) for _, f in values])
    truth = np.array(labels)
    return {
        "rows": len(rows),
        "skipped": skipped,
        "auroc": auroc(value, truth),
        "f1_unsupported": f1(flagged, ~truth),
        "f1_supported": f1(~flagged, truth),
        "accuracy": float((~flagged == truth).mean()),
        "ms": seconds / len(rows) * 1000,
    }


def fit(scorer: Groundedness, rows: list[Row], names: tuple[str, ...]) -> Mapping[str, float]:
    """Logistic regression by Newton's method with a small ridge; single-claim rows, equal classes."""
    found = [
        (alignments[0].features, row[2])
        for row, alignments in zip(rows, scorer.alignments([_input(row) for row in rows]), strict=True)
        if len(alignments) == 1
    ]
    x = np.array([[features[name] for name in names] for features, _ in found])
    y = np.array([label for _, label in found], dtype=float)
    share = np.where(y > 0, 0.5 / y.mean(), 0.5 / (1 - y.mean()))
    w = np.zeros(len(names))
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ w))
        gradient = x.T @ (share * (p - y)) + 1.0 * w
        hessian = (x * (share * p * (1 - p))[:, None]).T @ x + np.eye(len(names))
        w -= np.linalg.solve(hessian, gradient)
    return {name: round(float(weight), 2) for name, weight in zip(names, w, strict=True)}


def _embedder(models: Path | None) -> Embedder | None:
    if models is None:
        return None
    from agents.embedders.onnx import OnnxEmbedder  # noqa: PLC0415  # only with --models
    from agents.model_files import ModelFiles  # noqa: PLC0415

    return OnnxEmbedder(ModelFiles(models).minilm())


def _print(title: str, measured: dict[str, float]) -> None:
    cells = " ".join(
        f"{value:>14.3f}" if isinstance(value, float) else f"{value:>8}" for value in measured.values()
    )
    print(f"{title:<34}{cells}")  # noqa: T201  # a report


def main(say: Callable[[str], None] = print) -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--models", type=Path, help="folder of model files: measure with the embedder too")
    parser.add_argument("--fit", action="store_true", help="train the weights anew")
    parser.add_argument("--limit", type=int, default=2000, help="rows of the larger sets")
    options = parser.parse_args()
    folder = options.data
    if not (folder / "begin_wow").is_dir() or not (folder / "factscore").is_dir():
        say(f"skipped: no begin_wow and factscore in {folder}")
        return
    dev = begin(folder / "begin_wow/begin_dev_wow.jsonl")
    tune = factscore(folder / "factscore/claims.jsonl", 0)[: options.limit]
    tests = {
        "begin_wow test": begin(folder / "begin_wow/begin_test_wow.jsonl"),
        "begin_cmudog dev": begin(folder / "begin_cmudog/begin_dev_cmu.jsonl"),
        "factscore odd ids": factscore(folder / "factscore/claims.jsonl", 1)[: options.limit],
    }
    columns = ("rows", "skipped"), ("auroc", "F1 unsupported", "F1 supported", "accuracy", "ms")
    say(f"{'':<34}{' '.join(f'{c:>8}' for c in columns[0])} {' '.join(f'{c:>14}' for c in columns[1])}")
    embedder = _embedder(options.models)
    for title, scorer in _scorers(embedder, [*dev, *tune] if options.fit else None, say).items():
        for name, rows in {"begin_wow dev": dev, **tests}.items():
            _print(f"{title}, {name}", measure(scorer, rows))


def _scorers(
    embedder: Embedder | None, train: list[Row] | None, say: Callable[[str], None]
) -> dict[str, Groundedness]:
    heads = {"lexical": (None, LEXICAL, FEATURES)}
    if embedder is not None:
        heads["with MiniLM"] = (embedder, WITH_SIMILARITY, (*FEATURES, "similarity"))
    scorers = {}
    for title, (model, weights, names) in heads.items():
        if train is not None:
            weights = fit(Groundedness(model), train, names)  # noqa: PLW2901
            say(f"{title}: {weights}")
        scorers[title] = Groundedness(model, weights)
    return scorers


if __name__ == "__main__":
    main()
