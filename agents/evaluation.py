"""How well scores tell bad from good, over labelled texts: the figures that thresholds are chosen by.

`bad` marks what should be flagged; a score is badness, from 0 to 1, and flags at `score >= threshold`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class AtThreshold:
    """What a threshold does: shares from 0 to 1; of a rate over nothing, 0."""

    threshold: float
    precision: float
    recall: float
    f1: float
    false_positive_rate: float


@dataclass(frozen=True, slots=True)
class Bin:
    """Scores from `low` to below `high`: how many, their mean, and the share of them that is bad."""

    low: float
    high: float
    rows: int
    mean: float
    bad: float


def auroc(bad: ArrayLike, scores: ArrayLike) -> float:
    """The chance that a bad one scores above a good one, ties counting half (Hanley and McNeil, 1982).

    Raises:
        ValueError: all are of one kind.
    """
    y, s = _both(bad, scores)
    _, place, counts = np.unique(s, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    positives = int(y.sum())
    below = ranks[y].sum() - positives * (positives + 1) / 2
    return float(below / (positives * (len(y) - positives)))


def average_precision(bad: ArrayLike, scores: ArrayLike) -> float:
    """The area under precision over recall, as a sum of steps; rows of one score are one step.

    Raises:
        ValueError: all are of one kind.
    """
    y, s = _both(bad, scores)
    order = np.argsort(-s, kind="stable")
    y, s = y[order], s[order]
    last = np.append(s[1:] != s[:-1], True)  # a row's step ends where the score changes
    found = np.cumsum(y)[last]
    precision = found / (np.flatnonzero(last) + 1)
    return float((np.diff(found, prepend=0) * precision).sum() / y.sum())


def at_threshold(bad: ArrayLike, scores: ArrayLike, threshold: float) -> AtThreshold:
    """What flagging from `threshold` on does."""
    y, s = np.asarray(bad, dtype=bool), np.asarray(scores, dtype=float)
    said = s >= threshold
    hits, flagged, clean = int((y & said).sum()), int(said.sum()), int((~y).sum())
    return AtThreshold(
        threshold,
        hits / flagged if flagged else 0.0,
        hits / int(y.sum()) if y.any() else 0.0,
        2 * hits / (int(y.sum()) + flagged) if flagged else 0.0,
        (flagged - hits) / clean if clean else 0.0,
    )


def best_f1(bad: ArrayLike, scores: ArrayLike) -> AtThreshold:
    """The threshold, of the scores there are, with the highest F1; of equals the lowest.

    Raises:
        ValueError: all are of one kind.
    """
    y, s = _both(bad, scores)
    order = np.argsort(-s, kind="stable")
    y, s = y[order], s[order]
    last = np.append(s[1:] != s[:-1], True)  # as above
    hits, flagged = np.cumsum(y)[last], np.flatnonzero(last) + 1
    f1 = 2 * hits / (y.sum() + flagged)
    best = len(f1) - 1 - int(np.argmax(f1[::-1]))
    return at_threshold(y, s, float(s[last][best]))


def threshold_for(bad: ArrayLike, scores: ArrayLike, false_positive_rate: float) -> AtThreshold:
    """The lowest threshold that flags at most that share of the good rows.

    Raises:
        ValueError: all are of one kind.
    """
    y, s = _both(bad, scores)
    clean = np.sort(s[~y])[::-1]
    allowed = math.floor(false_positive_rate * len(clean) + 1e-9)
    if allowed >= len(clean):
        return at_threshold(y, s, 0.0)
    return at_threshold(y, s, float(np.nextafter(clean[allowed], np.inf)))


def interval(hits: int, rows: int, z: float = 1.96) -> tuple[float, float]:
    """Where the true share lies with 95 % confidence, having seen `hits` of `rows` (Wilson, 1927)."""
    if rows == 0:
        return 0.0, 1.0
    share, zz = hits / rows, z * z
    middle = (share + zz / (2 * rows)) / (1 + zz / rows)
    spread = z / (1 + zz / rows) * math.sqrt(share * (1 - share) / rows + zz / (4 * rows * rows))
    return max(0.0, middle - spread), min(1.0, middle + spread)


def reliability(bad: ArrayLike, scores: ArrayLike, bins: int = 10) -> list[Bin]:
    """How often scores of each size are bad.

    A calibrated scorer's bins lie on the diagonal. Empty bins are left out.
    """
    y, s = np.asarray(bad, dtype=bool), np.asarray(scores, dtype=float)
    number = np.minimum((s * bins).astype(int), bins - 1)
    return [
        Bin(at / bins, (at + 1) / bins, int(here.sum()), float(s[here].mean()), float(y[here].mean()))
        for at in range(bins)
        if (here := number == at).any()
    ]


def calibration_error(found: Sequence[Bin]) -> float:
    """The mean distance from the diagonal, weighted by rows (Naeini et al., 2015)."""
    rows = sum(one.rows for one in found)
    return sum(one.rows * abs(one.bad - one.mean) for one in found) / rows if rows else 0.0


def _both(bad: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    y, s = np.asarray(bad, dtype=bool), np.asarray(scores, dtype=float)
    if not y.any() or y.all():
        kind = "good" if not y.any() else "bad"
        raise ValueError(f"all {len(y)} rows are labelled {kind}: both kinds are needed")
    return y, s
