"""How well classes are predicted: accuracy, log-loss, calibration, AUC, average precision of rare classes."""

from __future__ import annotations

import math

import numpy as np

from begat.metrics.roc import auc, macro_auc
from begat.metrics.score import Score, mean, share

RARE = 0.1
"""A class with less than this share of the rows is rare."""
BINS = 15
DRAWS = 200
"""Bootstrap draws behind the error of the average precision."""


def accuracy(truth: np.ndarray, predicted: np.ndarray) -> Score:
    """Share of rows (n,) whose class is predicted; error of a share."""
    return share(float((truth == predicted).sum()), len(truth), "higher", 1.0)


def log_loss(truth: np.ndarray, log_proba: np.ndarray) -> Score:
    """mean_i -log P(y_i | x_i), nats per row. truth: (n,) class numbers; log_proba: (n, K), nats.

    Nothing is clipped: a class that happened under probability zero makes it infinite, and the note counts the rows.
    """
    p = log_proba[np.arange(len(truth)), truth]
    zero = np.isneginf(p)
    if zero.any():
        note = f"{int(zero.sum())} of {len(p)} rows have a class of probability zero"
        return Score(math.inf, None, "nats per row", "lower", None, note)
    return mean(-p, "nats per row", "lower")


def calibration_error(truth: np.ndarray, proba: np.ndarray, bins: int = BINS) -> Score:
    """Expected calibration error: sum_b (n_b / n) |share right in b - mean confidence in b|.

    The confidence of a row is the probability of its predicted class; `bins` bins of equal numbers of rows (ties stay
    together). Naeini, Cooper and Hauskrecht (2015), equation 2, with bins of equal mass. The error is by the delta
    method with the bins held fixed. Chance alone makes it positive: about sqrt(2 bins q / (pi n)) for a calibrated
    model with mean q of p (1 - p). truth: (n,) class numbers; proba: (n, K).
    """
    n = len(truth)
    if n == 0:
        return Score.absent("no rows", "share", "lower", 0.0)
    confidence = proba.max(1)
    residual = (proba.argmax(1) == truth) - confidence
    cuts = np.unique(np.quantile(confidence, np.linspace(0, 1, bins + 1)[1:-1]))
    which = np.searchsorted(cuts, confidence, side="right")
    sums = np.bincount(which, residual, len(cuts) + 1)
    error = float(np.std(np.sign(sums)[which] * residual) / math.sqrt(n))
    return Score(float(np.abs(sums).sum() / n), error, "share", "lower", 0.0)


def area(truth: np.ndarray, proba: np.ndarray) -> Score:
    """AUC of the second class where there are two, else the mean of one against the rest; DeLong's error."""
    if proba.shape[1] == 2:
        return auc(truth == 1, proba[:, 1])
    return macro_auc(truth[:, None] == np.arange(proba.shape[1]), proba)


def rare_precision(truth: np.ndarray, proba: np.ndarray, rare: float = RARE, seed: int = 0) -> Score:
    """Mean over the rare classes of the average precision sum_k (R_k - R_(k-1)) P_k; its error by bootstrap of rows.

    Rare: fewer than `rare` of the rows, and at least one. A score without skill has the class's share as its average
    precision; the note says the shares. truth: (n,) class numbers; proba: (n, K).
    """
    shares = np.bincount(truth, minlength=proba.shape[1]) / max(len(truth), 1)
    classes = np.flatnonzero((shares > 0) & (shares < rare))
    if not len(classes):
        return Score.absent(f"no class has fewer than {rare:.0%} of the rows", "average precision", "higher", 1.0)
    draw = np.random.default_rng(seed)
    weight = np.stack([np.ones(len(truth)), *draw.poisson(1.0, (DRAWS, len(truth)))])
    areas = np.mean([_average_precision(truth == k, proba[:, k], weight) for k in classes], axis=0)
    again = areas[1:][np.isfinite(areas[1:])]
    skill = ", ".join(f"{shares[k]:.2%}" for k in classes[:5]) + (", ..." if len(classes) > 5 else "")
    error = float(np.std(again, ddof=1)) if len(again) > 1 else None
    return Score(float(areas[0]), error, "average precision", "higher", 1.0, f"without skill: {skill}")


def _average_precision(positive: np.ndarray, score: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(B,) average precisions under weights (B, n); rows of equal score enter together. NaN without positives."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    hits = np.cumsum(weight[:, order] * positive[order], axis=1)[:, last]
    seen = np.cumsum(weight[:, order], axis=1)[:, last]
    gained = np.diff(hits, axis=1, prepend=0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(seen > 0, hits / seen, 0.0)
        return (gained * precision).sum(1) / hits[:, -1]
