"""How well a numeric target is predicted: RMSE, MAE, R2, each with its standard error."""

from __future__ import annotations

import math

import numpy as np

from begat.metrics.score import Better, Score, mean


def _checked(truth: np.ndarray, predicted: np.ndarray, unit: str, better: Better) -> Score | None:
    bad = ~(np.isfinite(truth) & np.isfinite(predicted))
    if not len(truth):
        return Score.absent("no rows", unit, better)
    return (
        Score.absent(f"{int(bad.sum())} of {len(bad)} predictions are no numbers", unit, better) if bad.any() else None
    )


def rmse(truth: np.ndarray, predicted: np.ndarray, unit: str = "target's unit") -> Score:
    """sqrt(mean (y - f)^2), in the target's unit; error se(MSE) / (2 RMSE). truth, predicted: (n,)."""
    if (absent := _checked(truth, predicted, unit, "lower")) is not None:
        return absent
    square = mean((truth - predicted) ** 2, unit, "lower", 0.0)
    root = math.sqrt(square.value or 0.0)
    error = square.stderr / (2 * root) if square.stderr is not None and root else square.stderr
    return Score(root, error, unit, "lower", 0.0, square.note)


def mae(truth: np.ndarray, predicted: np.ndarray, unit: str = "target's unit") -> Score:
    """mean |y - f|, in the target's unit. truth, predicted: (n,)."""
    absent = _checked(truth, predicted, unit, "lower")
    return absent if absent is not None else mean(np.abs(truth - predicted), unit, "lower", 0.0)


def r2(truth: np.ndarray, predicted: np.ndarray) -> Score:
    """1 - sum (y - f)^2 / sum (y - mean y)^2; error by the delta method. truth, predicted: (n,)."""
    if (absent := _checked(truth, predicted, "R2", "higher")) is not None:
        return absent
    about = (truth - truth.mean()) ** 2
    if not about.mean() > 0:
        return Score.absent("the target is constant on these rows", "R2", "higher", 1.0)
    square = (truth - predicted) ** 2
    value = 1 - float(square.mean() / about.mean())
    influence = ((1 - value) * about - square) / about.mean()
    return Score(value, float(influence.std() / math.sqrt(len(truth))), "R2", "higher", 1.0)
