"""Trains the toxicity encoder.

Six labels for the text, and for each word whether it is what makes it toxic.

    python -m training.toxicity --data ../shared/data

Labels that no annotator gave are taken from the Jigsaw network that `toxicity-bilstm` runs (distillation),
with a smaller weight than those that people gave.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agents.evaluation import auroc
from agents.model_files import ModelFiles
from agents.ports import ScoreInput
from agents.scorers.encoder import Settings
from agents.scorers.toxicity_onnx import OnnxToxicity
from training import package
from training.calibration import platt
from training.encoder import Example, Judge, tokenizer
from training.fit import NAN, Plan, fit, predict
from training.toxicity_data import LABELS, Row, rows

WINDOW = 64
STRIDE = 40
LONGEST = 128
"""Tokens that are learnt from; longer texts lose their end, in training only."""


def main() -> None:
    """Train, print figures of the dev split, write the folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--models", type=Path, default=Path(".sluicegate/models"), help="for the teacher")
    parser.add_argument("--to", type=Path, default=package.SHIPPED / "toxicity")
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--epochs", type=float, default=1.4)
    parser.add_argument("--limit", type=int, help="fewer rows, to try it out")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    learnt = rows(options.data, "train")[: options.limit]
    examples = to_examples(learnt, options.models)
    judge = Judge(len(LABELS), options.layers)
    fit(judge, examples, Plan(epochs=options.epochs, seed=options.seed))
    dev = [row for row in rows(options.data, "dev") if row.labels[0] is not None]
    chances = predict(judge, to_examples(dev, None))
    known = np.array([row.labels[0] for row in dev]) >= 0.5
    print("dev AUROC of toxic", round(auroc(known, chances[:, 0]), 4), "over", len(dev))
    slope, offset = platt(known, chances[:, 0])
    more = len(LABELS) - 1
    settings = Settings(list(LABELS), WINDOW, STRIDE, [slope, *[1.0] * more], [offset, *[0.0] * more])
    data = sorted(path for path in options.data.glob("*/*.jsonl") if path.parent.name in SETS)
    print(package.write(options.to, "toxicity", judge, settings, data, pairs=False))


SETS = ("davidson", "toxic_spans", "toxigen_demos", "begin_wow", "factscore", "halueval_general")


def to_examples(found: Sequence[Row], models: Path | None) -> list[Example]:
    """Rows as the network reads them; with `models`, unknown labels are the teacher's."""
    taught = None if models is None else _teacher([row.text for row in found], models)
    reader = tokenizer()
    made = []
    for number, (row, seen) in enumerate(
        zip(found, reader.encode_batch([row.text for row in found]), strict=True)
    ):
        labels = [NAN if value is None else float(value) for value in row.labels]
        if taught is not None:
            labels = [
                guess if known != known else known  # noqa: PLR0124  # NaN
                for known, guess in zip(labels, taught[number].tolist(), strict=True)
            ]
        tokens = None
        if row.spans is not None:
            tokens = [NAN if end <= start else _inside(start, end, row.spans) for start, end in seen.offsets]
        size = min(LONGEST, len(seen.ids))
        made.append(Example(seen.ids[:size], labels, None, tokens and tokens[:size], row.weight, row.source))
    return made


def _inside(start: int, end: int, spans: Sequence[tuple[int, int]]) -> float:
    return float(any(start < stop and begin < end for begin, stop in spans))


def _teacher(texts: Sequence[str], models: Path) -> np.ndarray:
    scorer = OnnxToxicity(ModelFiles(models).toxicity())
    scores = scorer.score([ScoreInput(text) for text in texts])
    return np.array([[score.labels[label] for label in LABELS] for score in scores])


if __name__ == "__main__":
    main()
