"""Trains both judges of groundedness, and how they are weighed.

    python -m training.groundedness --data ../shared/data

The first judge is a network of a few hundred weights over features; the second an encoder that reads a
sentence beside its evidence. Both learn from FActScore's statements about the training subjects, BEGIN's dev
part and made claims; the weighing and the calibration come from FActScore's dev subjects and claims made of
their texts.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from agents.evaluation import at_threshold, auroc
from agents.ports import ScoreInput
from agents.scorers.aligner import FEATURES, Aligner, Alignment
from agents.scorers.encoder import Settings
from agents.scorers.groundedness import Head
from schemas.common import Passage
from training import package
from training.calibration import platt
from training.encoder import Example, Judge, tokenizer
from training.fit import NAN, Plan, fit, predict
from training.groundedness_data import Pair, begin, factscore, known_passages, made

WINDOW = 96
HIDDEN = 16
SETS = ("begin_wow/begin_dev_wow.jsonl", "factscore/claims.jsonl", "halueval_qa_sample/qa_1000.jsonl")
SHARES = {"factscore": 1.0, "begin": 1.5, "made": 0.7}
"""How much each source counts in the first judge: people's labels more than made ones."""
Aligned = tuple[Pair, Alignment]


def main() -> None:
    """Train, print figures of the dev split, write the folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--to", type=Path, default=package.SHIPPED / "groundedness")
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--epochs", type=float, default=1.6)
    parser.add_argument("--made", type=int, default=9_000)
    parser.add_argument("--unsure", type=float, nargs=2, default=(0.1, 0.9))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    learnt, dev = sets(options.data, options.made, options.seed)
    first, offset = fit_first(learnt, options.seed)
    judge = Judge(1, options.layers)
    fit(judge, examples(learnt), Plan(epochs=options.epochs, seed=options.seed))
    chances = _first(first, offset, dev)
    read = predict(judge, examples(dev))[:, 0]
    slope, shift = platt([pair.supported for pair, _ in dev], chances)
    chances = _calibrated(chances, slope, shift)
    weighed = weigh(dev, chances, read)
    report(dev, chances, read, weighed)
    head = Head(
        features=list(FEATURES),
        hidden=_rounded(first[0].weight.detach().numpy().T),
        hidden_offset=_rounded(first[0].bias.detach().numpy()),
        output=_rounded(first[2].weight.detach().numpy()[0] * slope),
        output_offset=round(float(offset * slope + shift), 5),
        unsure=tuple(options.unsure),
        weighed=weighed,
    )
    settings = Settings(["supported"], WINDOW, WINDOW, [1.0], [0.0])
    options.to.mkdir(parents=True, exist_ok=True)
    (options.to / "head.json").write_bytes(msgspec.json.format(msgspec.json.encode(head)) + b"\n")
    data = [options.data / name for name in SETS]
    print(package.write(options.to, "groundedness", judge, settings, data, pairs=True))


def sets(data: Path, count: int, seed: int) -> tuple[list[Aligned], list[Aligned]]:
    """What is learnt from, and what the weighing is chosen by; only claims of one sentence."""
    learnt = factscore(data, "train") + begin(data, "wow/begin_dev_wow") * 2
    learnt += made(known_passages(data, "train"), count, seed)
    dev = factscore(data, "dev") + made(known_passages(data, "dev"), 2000, seed + 1)
    return aligned(learnt), aligned(dev)


def aligned(pairs: Sequence[Pair]) -> list[Aligned]:
    """Each pair with what its claim was aligned with; pairs of no or several sentences are left out."""
    found = Aligner(4096).alignments([scored(pair) for pair in pairs])
    return [(pair, one[0]) for pair, one in zip(pairs, found, strict=True) if len(one) == 1]


def scored(pair: Pair) -> ScoreInput:
    """As the scorer is given it."""
    return ScoreInput(
        pair.claim,
        [Passage(id=str(n), text=t, source="data", start=0, end=len(t)) for n, t in enumerate(pair.passages)],
    )


def fit_first(learnt: Sequence[Aligned], seed: int) -> tuple[nn.Sequential, float]:
    """The first judge; each source counts by its share, and of each both classes alike."""
    torch.manual_seed(seed)
    x = torch.tensor([one.features for _, one in learnt], dtype=torch.float32)
    y = torch.tensor([float(pair.supported) for pair, _ in learnt])
    groups = [(pair.source, pair.supported) for pair, _ in learnt]
    counts = {group: groups.count(group) for group in set(groups)}
    weight = torch.tensor([SHARES[source.split()[0]] / counts[source, kind] for source, kind in groups])
    model = nn.Sequential(nn.Linear(len(FEATURES), HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 1))
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.02)
    for step in range(1500):
        if step == 1000:
            optimiser.param_groups[0]["lr"] = 0.002
        loss = nn.functional.binary_cross_entropy_with_logits(model(x).squeeze(1), y, weight, reduction="sum")
        optimiser.zero_grad()
        (loss / weight.sum()).backward()
        optimiser.step()
    return model, float(model[2].bias.detach())


def _first(model: nn.Sequential, offset: float, found: Sequence[Aligned]) -> NDArray[np.float64]:
    with torch.inference_mode():
        return (
            torch.sigmoid(model(torch.tensor([one.features for _, one in found])).squeeze(1)).double().numpy()
        )


def _calibrated(chances: NDArray[np.float64], slope: float, shift: float) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-(_logits(chances) * slope + shift)))


def _logits(chances: NDArray[np.floating]) -> NDArray[np.float64]:
    inside = np.clip(chances.astype(np.float64), 1e-6, 1 - 1e-6)
    return np.log(inside / (1 - inside))


def examples(found: Sequence[Aligned]) -> list[Example]:
    """Claim and evidence as the encoder reads them; its labels say supported, its tokens doubted."""
    reader = tokenizer()
    encodings = reader.encode_batch([(one.sentence.text, one.evidence) for _, one in found])
    counts = {
        source: sum(pair.source == source for pair, _ in found)
        for source in {pair.source for pair, _ in found}
    }
    made = []
    for (pair, one), seen in zip(found, encodings, strict=True):
        size = min(WINDOW, len(seen.ids))
        wanted = _doubted(pair, one.sentence.span.start)
        tokens = [
            wanted(*place) if owner == 0 else NAN
            for place, owner in zip(seen.offsets[:size], seen.sequence_ids[:size], strict=True)
        ]
        weight = (max(counts.values()) / counts[pair.source]) ** 0.3
        made.append(
            Example(
                seen.ids[:size], [float(pair.supported)], seen.type_ids[:size], tokens, weight, pair.source
            )
        )
    return made


def _doubted(pair: Pair, offset: int):  # type: ignore[no-untyped-def]
    if pair.supported:
        return lambda *_: 0.0
    if pair.spans is None:
        return lambda *_: NAN
    spans = [(start - offset, end - offset) for start, end in pair.spans]
    return lambda start, end: float(any(start < stop and begin < end for begin, stop in spans))


def weigh(
    dev: Sequence[Aligned], chances: NDArray[np.float64], read: NDArray[np.float32]
) -> tuple[float, float, float]:
    """Logistic regression over both logits; FActScore and made claims count alike."""
    y = np.array([pair.supported for pair, _ in dev], dtype=float)
    sources = [pair.source for pair, _ in dev]
    weight = np.array([1 / sources.count(source) for source in sources])
    x = np.stack([_logits(chances), _logits(read), np.ones(len(y))], axis=1)
    w = np.zeros(3)
    for _ in range(30):
        p = 1 / (1 + np.exp(-np.clip(x @ w, -30, 30)))
        hessian = (x * (weight * p * (1 - p))[:, None]).T @ x + 1e-6 * np.eye(3)
        w -= np.linalg.solve(hessian, x.T @ (weight * (p - y)))
    return float(round(w[0], 4)), float(round(w[1], 4)), float(round(w[2], 4))


def report(
    dev: Sequence[Aligned],
    chances: NDArray[np.float64],
    read: NDArray[np.float32],
    weighed: tuple[float, float, float],
) -> None:
    """AUROC of each judge and both, by source."""
    both = _logits(chances) * weighed[0] + _logits(read) * weighed[1] + weighed[2]
    print("weighed", weighed)
    for source in sorted({pair.source for pair, _ in dev}):
        rows = np.array([pair.source == source for pair, _ in dev])
        y = np.array([pair.supported for pair, _ in dev])[rows]
        figures = [auroc(y, values[rows]) for values in (chances, read, both)]
        wrong = at_threshold(~y, -both[rows], 0.0).f1
        print(source, int(rows.sum()), "AUROC", [round(one, 4) for one in figures], "F1", round(wrong, 4))


def _rounded(values: NDArray[np.float32]) -> list:  # type: ignore[type-arg]
    return np.round(values.astype(float), 5).tolist()


if __name__ == "__main__":
    main()
