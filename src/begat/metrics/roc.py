"""The area under the ROC curve with DeLong's standard error."""

from __future__ import annotations

import math

import numpy as np

from begat.metrics.score import Score


def influence(positive: np.ndarray, score: np.ndarray) -> tuple[float, np.ndarray]:
    """AUC and the deviation of it that each row causes: AUC (a number) and (n,), with Var(AUC) = sum of squares.

    DeLong, DeLong and Clarke-Pearson (1988), equations 2 to 5: with V10_i the share of negatives below positive i and
    V01_j the share of positives above negative j (ties 1/2), Var = S10 / m + S01 / n. The components come from
    midranks as in Sun and Xu (2014), in O(n log n). Sums of influences give the error of sums of AUCs.

    positive: (n,) bool with at least one of each; score: (n,) real.
    """
    from scipy.stats import rankdata

    m, n = int(positive.sum()), int((~positive).sum())
    rank = rankdata(score)
    above = np.empty(len(score))
    above[positive] = (rank[positive] - rankdata(score[positive])) / n
    above[~positive] = 1 - (rank[~positive] - rankdata(score[~positive])) / m
    area = float(above[positive].mean())
    scale = np.where(positive, math.sqrt(m * max(m - 1, 1)), math.sqrt(n * max(n - 1, 1)))
    return area, (above - area) / scale


def auc(positive: np.ndarray, score: np.ndarray) -> Score:
    """P(score of a positive > score of a negative) + 1/2 P(equal), with DeLong's standard error.

    Where both sides are separated perfectly DeLong's estimate is 0; then 1 / min(m, n) stands in, the shift that one
    misplaced row of the smaller side could cause. Absent where one side has no rows.
    """
    positive = np.asarray(positive, dtype=bool)
    return macro_auc(positive[:, None], np.asarray(score, dtype=float)[:, None])


def macro_auc(positive: np.ndarray, score: np.ndarray) -> Score:
    """The mean over classes of one-against-the-rest AUC, its error from the summed influences of each row.

    positive: (n, K) bool; score: (n, K). Classes without positives or without negatives are left out, and said.
    """
    used = [k for k in range(positive.shape[1]) if 0 < positive[:, k].sum() < len(positive)]
    if not used:
        return Score.absent("the rows are all of one class", "AUC", "higher", 1.0)
    parts = [influence(positive[:, k], score[:, k]) for k in used]
    error = float(np.sqrt(np.sum(np.mean([p for _, p in parts], axis=0) ** 2)))
    fewest = min(min(positive[:, k].sum(), (~positive[:, k]).sum()) for k in used)
    left = positive.shape[1] - len(used)
    note = f"classes left out, for they have no rows on one side: {left}" if left else ""
    return Score(float(np.mean([a for a, _ in parts])), error or 1 / float(fewest), "AUC", "higher", 1.0, note)
