"""Generative against discriminative: the one learns P(x, y) and can draw; the other learns P(y | x) alone.

Both see the same two classes. Naive Bayes says where rows of each class lie, so that it can draw new ones and knows a
row that is like none; logistic regression knows the line between them, and is as sure far from all data as near it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from canvas import AMBER, BLUE, GREY, INK, panels, plane, run
from matplotlib.colors import LinearSegmentedColormap
from sklearn.linear_model import LogisticRegression

import begat


def draw(quick: bool):
    rng = np.random.default_rng(0)
    n = 300
    one = rng.normal([-1.2, -0.4], [0.7, 1.0], (n, 2))
    other = rng.normal([1.3, 0.7], [0.9, 0.6], (n, 2))
    X = pd.DataFrame(np.vstack([one, other]), columns=["a", "b"])
    y = np.repeat(["blue", "amber"], n)
    generative = begat.NaiveBayes(leaves="gaussian").fit(X, y)
    discriminative = LogisticRegression().fit(X, y)

    side = np.linspace(-5, 5, 160)
    plane_ = pd.DataFrame({"a": np.repeat(side, 160), "b": np.tile(side, 160)})
    joint = generative.log_prob(plane_).reshape(160, 160).T
    p = discriminative.predict_proba(plane_)[:, 1].reshape(160, 160).T
    drawn, of = generative.sample(2 * n, return_y=True, random_state=1)

    shades = LinearSegmentedColormap.from_list("classes", [AMBER, "#ffffff", BLUE])
    figure, axes = panels(3, "Two ways to tell two classes apart")
    plane(axes[0], "generative: log P(x), and how sure of the class", 5)
    axes[0].contourf(side, side, joint, levels=np.linspace(-12, -3, 10), cmap="Greys", alpha=0.6, extend="both")
    sure = generative.predict_proba(plane_)[:, 1].reshape(160, 160).T
    axes[0].contour(side, side, sure, levels=[0.5], colors=INK, linewidths=1.4)
    plane(axes[1], "and what it draws", 5)
    plane(axes[2], "discriminative: P(y | x) alone", 5)
    axes[2].contourf(side, side, p, levels=np.linspace(0, 1, 11), cmap=shades, alpha=0.45)
    axes[2].contour(side, side, p, levels=[0.5], colors=INK, linewidths=1.4)
    for axis, rows, labels in ((axes[0], X, y), (axes[1], drawn, of), (axes[2], X, y)):
        for name, colour in (("blue", BLUE), ("amber", AMBER)):
            here = rows[np.asarray(labels) == name]
            axis.scatter(here["a"], here["b"], s=7, color=colour, alpha=0.7, linewidths=0)
    far = pd.DataFrame({"a": [-4.5], "b": [-4.5]})
    said = f"log P = {generative.log_prob(far)[0]:.0f} nats:\nlike no row seen"
    sure_far = discriminative.predict_proba(far).max()
    for axis, text in ((axes[0], said), (axes[2], f"P(y | x) = {sure_far:.2f}:\nsure all the same")):
        axis.plot(far["a"], far["b"], "x", color=INK, markersize=7, markeredgewidth=1.6)
        axis.annotate(text, (-4.2, -4.75), ha="left", fontsize=8, color=INK)
    axes[1].annotate(f"{2 * n} new rows", (-4.7, -4.7), fontsize=8, color=GREY)
    return figure


if __name__ == "__main__":
    run(draw)
