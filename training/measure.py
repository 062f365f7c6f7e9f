"""Figures over probabilities and labels, for training's own use."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def auroc(wanted: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve; ties count half (Mann-Whitney)."""
    y, s = np.asarray(wanted, dtype=bool), np.asarray(scores, dtype=float)
    order = np.argsort(s, kind="mergesort")
    ranks = np.empty(len(s))
    ranks[order] = np.arange(1, len(s) + 1)
    _, group, counts = np.unique(s, return_inverse=True, return_counts=True)
    ranks = (np.bincount(group, ranks) / counts)[group]
    bad = int(y.sum())
    return float((ranks[y].sum() - bad * (bad + 1) / 2) / (bad * (len(y) - bad)))


def f1(wanted: ArrayLike, said: ArrayLike) -> float:
    """Harmonic mean of precision and recall of the positive class."""
    y, s = np.asarray(wanted, dtype=bool), np.asarray(said, dtype=bool)
    right = int((y & s).sum())
    return 2 * right / max(1, int(y.sum()) + int(s.sum()))


def best_threshold(wanted: ArrayLike, scores: ArrayLike) -> float:
    """Where F1 is highest."""
    tried = np.unique(np.quantile(np.asarray(scores, dtype=float), np.linspace(0.01, 0.99, 99)))
    return float(max(tried, key=lambda at: f1(wanted, np.asarray(scores) >= at)))


def threshold_at(clean: ArrayLike, share: float) -> float:
    """The lowest threshold at which at most `share` of these scores are flagged (`score >= threshold`)."""
    ordered = np.sort(np.asarray(clean, dtype=float))[::-1]
    allowed = int(share * len(ordered))
    return float(np.nextafter(ordered[allowed], np.inf))


def platt(wanted: ArrayLike, probabilities: ArrayLike) -> tuple[float, float]:
    """Slope and offset of the logit that fit best (Platt, 1999), by Newton's method."""
    y = np.asarray(wanted, dtype=float)
    inside = np.clip(np.asarray(probabilities, dtype=float), 1e-6, 1 - 1e-6)
    x: NDArray[np.float64] = np.stack([np.log(inside / (1 - inside)), np.ones(len(y))], axis=1)
    w = np.array([1.0, 0.0])
    for _ in range(30):
        p = 1 / (1 + np.exp(-x @ w))
        gradient = x.T @ (p - y) + 1e-3 * (w - [1.0, 0.0])
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 1e-3 * np.eye(2)
        w = w - np.linalg.solve(hessian, gradient)
    return float(w[0]), float(w[1])
