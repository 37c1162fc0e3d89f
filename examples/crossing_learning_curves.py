"""The learning curves of a generative-discriminative pair: few rows favour naive Bayes, many logistic regression.

Both by maximum likelihood, as of Ng and Jordan (2001). Where its assumption holds naive Bayes is near its best after a
few rows, and logistic regression comes to the same in the limit. Where columns hang together naive Bayes is biased, and
logistic regression passes it. Below each picture stands what is beyond the errors.
"""

from __future__ import annotations

from textwrap import fill

import numpy as np
import pandas as pd
from canvas import AMBER, BLUE, GREY, INK, panels, run
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import begat

COLUMNS = 30


def rows(n: int, shared: float, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.Series]:
    """Thirty numbers, each of which says a little of the class; a share of their noise is common to groups of ten."""
    y = rng.integers(0, 2, n)
    common = np.repeat(rng.normal(size=(n, COLUMNS // 10)), 10, axis=1)
    noise = np.sqrt(shared) * common + np.sqrt(1 - shared) * rng.normal(size=(n, COLUMNS))
    x = noise + np.linspace(0.1, 0.6, COLUMNS) * (2 * y[:, None] - 1) / 2
    return pd.DataFrame(x, columns=[f"x{i}" for i in range(COLUMNS)]), pd.Series(np.where(y, "yes", "no"), name="y")


def pair():
    """Naive Bayes, and logistic regression all but without a penalty."""
    logistic = make_pipeline(StandardScaler(), LogisticRegression(C=1e4, max_iter=2_000))
    return {"naive Bayes": begat.NaiveBayes(leaves="gaussian"), "logistic regression": logistic}


def draw(quick: bool):
    figure, axes = panels(2, "Few rows, many rows", size=(4.8, 4.0))
    sizes = (10, 30, 100) if quick else (10, 20, 40, 80, 160, 320, 640, 1_500, 4_000)
    titles = ("columns independent given the class", "columns that hang together")
    for axis, shared, title in zip(axes, (0.0, 0.8), titles, strict=True):
        X, y = rows(2_000 if quick else 16_000, shared, np.random.default_rng(0))
        curve = begat.learning_curve(X, y, sizes=sizes, repeats=3 if quick else 10, models=pair())
        table = curve.table[curve.table["metric"] == "accuracy"]
        axis.set_title(title, loc="left", fontsize=9.5, color=INK)
        for name, colour in zip(curve.models, (BLUE, AMBER), strict=True):
            here = table[table["model"] == name]
            axis.errorbar(here["rows"], here["mean"], yerr=here["stderr"], fmt="o-", color=colour, markersize=4,
                          linewidth=1.4, elinewidth=1, label=name)  # fmt: skip
        axis.set_xscale("log")
        axis.set_xticks(sizes, [f"{n:,}" for n in sizes])
        axis.minorticks_off()
        axis.set_xlabel("training rows\n" + fill(curve.sentence("accuracy"), 60), fontsize=8.5, color=GREY, loc="left")
    axes[0].set_ylabel("accuracy on held-out rows", fontsize=8.5, color=GREY, loc="bottom")
    axes[0].legend(frameon=False, fontsize=8.5, loc="lower right")
    return figure


if __name__ == "__main__":
    run(draw)
