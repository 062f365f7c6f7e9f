"""Calibration by two numbers."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


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
