"""Naive Bayes and logistic regression are one pair: the same linear predictor, fitted to different ends.

Where naive Bayes' assumption holds the two agree in the limit; where columns
repeat each other (here: one column copied) it counts the evidence again, and its probabilities are too sure.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from canvas import AMBER, BLUE, GREY, INK, panels, run
from sklearn.linear_model import LogisticRegression

import begat


def rows(n: int, copies: int, rng: np.random.Generator) -> tuple[pd.DataFrame, np.ndarray]:
    """Three independent numbers given the class, the first of them `copies` times."""
    y = rng.integers(0, 2, n)
    x = rng.normal(size=(n, 3)) + 0.8 * y[:, None] * np.array([1.0, 0.6, -0.4])
    x = np.hstack([np.repeat(x[:, :1], copies, 1), x[:, 1:]])
    return pd.DataFrame(x, columns=[f"x{i}" for i in range(x.shape[1])]), np.where(y == 1, "yes", "no")


def draw(quick: bool):
    rng = np.random.default_rng(0)
    figure, axes = panels(2, "One linear predictor, two ways to its weights", size=(4.6, 3.6))
    for axis, copies, title in zip(
        axes, (1, 4), ("columns independent given the class", "one column four times"), strict=True
    ):
        X, y = rows(500 if quick else 5_000, copies, rng)
        held, truth = rows(20_000, copies, rng)
        bayes = begat.NaiveBayes(leaves="gaussian", shared_variance=True).fit(X, y)
        logistic = LogisticRegression(C=1e6).fit(X, y)
        axis.set_title(title, loc="left", fontsize=9.5, color=INK)
        axis.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle="--")
        for name, p, colour in (
            ("naive Bayes", bayes.predict_proba(held)[:, 1], BLUE),
            ("logistic regression", logistic.predict_proba(held)[:, 1], AMBER),
        ):
            cut = np.quantile(p, np.linspace(0, 1, 16))
            group = np.clip(np.searchsorted(cut, p, side="right") - 1, 0, 14)
            said = [p[group == g].mean() for g in range(15)]
            found = [(truth[group == g] == "yes").mean() for g in range(15)]
            right = ((p > 0.5) == (truth == "yes")).mean()
            axis.plot(said, found, "o-", color=colour, markersize=4, linewidth=1.4, label=f"{name}: {right:.1%} right")
        axis.set_xlabel("what it says: P(yes | x)", fontsize=8.5, color=GREY, loc="left")
        axis.set_ylabel("what happens", fontsize=8.5, color=GREY, loc="bottom")
        axis.legend(frameon=False, fontsize=8.5, loc="upper left")
    return figure


if __name__ == "__main__":
    run(draw)
