"""The latent of a plain autoencoder against a variational one's: codes of any law, and codes near a normal's.

Both squeeze digits of 8 x 8 pixels into a few numbers and restore them. Nothing tells the plain one where its codes
shall lie, so that a draw from N(0, I) hits none of them, nor all that often does one from a normal of their own mean
and covariance; the variational one pays for each nat by which a code says more than N(0, I), and draws of that are
digits. Counted by a logistic regression that knows real digits: it is sure of a picture where it gives a class 90%.
"""

from __future__ import annotations

import numpy as np
from canvas import AMBER, BLUE, FAINT, GREEN, GREY, INK, PLUM, panels, plane, run
from matplotlib.colors import ListedColormap
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import begat

SHADES = (BLUE, AMBER, GREEN, PLUM, "#b5543c", "#4aa3b5", "#8c8c3a", "#d183a9", "#5b4a3a", "#93a8c9")
ROWS, TIMES = 300, 10


def shown(model, z: np.ndarray) -> np.ndarray:
    """What the decoder says of latents: the mean of a few draws of each -> (n, 8, 8)."""
    return np.asarray(model.decode(np.repeat(z, TIMES, 0), random_state=0)).reshape(-1, TIMES, 8, 8).mean(1)


def draw(quick: bool):
    rng = np.random.default_rng(0)
    digits = load_digits()
    order = rng.permutation(len(digits.images))
    X, y = digits.images[order].astype(np.uint8), digits.target[order]
    X, y, held, truth = X[:1_400], y[:1_400], X[1_400:], y[1_400:]
    judge = LogisticRegression(C=0.01, max_iter=1_000).fit(X.reshape(-1, 64), y)

    def sure(pictures: np.ndarray) -> float:
        return (judge.predict_proba(pictures.reshape(-1, 64)).max(1) > 0.9).mean()

    def fitted(latent: int):
        how = {"latent": latent, "width": 16 if quick else 128, "batch": 128, "epochs": 1 if quick else 25}
        return begat.Autoencoder(noise="none", **how).fit(X), begat.VAE(hide=0.0, **how).fit(X)

    figure, axes = panels(5, "Codes of any law, and codes near a normal's", size=(3.0, 3.0))
    for axis, model, name in zip(axes, fitted(2), ("autoencoder", "VAE"), strict=False):
        z = model.encode(X)
        limit = 1.05 * np.quantile(abs(z), 0.999)
        plane(axis, f"{name}: codes of 2 numbers", limit)
        axis.scatter(z[:, 0], z[:, 1], c=y, cmap=ListedColormap(SHADES), s=5, alpha=0.7, linewidths=0)
        circle = 2 * np.exp(2j * np.pi * np.linspace(0, 1, 100))
        axis.plot(circle.real, circle.imag, color=INK, linewidth=1)
        spread = " and ".join(f"{each:.1f}" for each in z.std(0))
        axis.set_xlabel(f"deviations {spread}; circle: N(0, I), 2 of them", fontsize=8, color=GREY, loc="left")
        for digit in range(10):
            at = np.median(z[y == digit], 0)
            axis.annotate(str(digit), at, ha="center", va="center", fontsize=10, fontweight="bold", color=INK)

    plain, variational = fitted(8)
    normal = rng.normal(size=(ROWS, 8))
    z = plain.encode(X)
    own = z.mean(0) + normal @ np.linalg.cholesky(np.cov(z.T)).T
    print(f"sure of {sure(held):.0%} of real digits, right of {judge.score(held.reshape(-1, 64), truth):.0%}")
    for axis, model, at, name in (
        (axes[2], plain, normal, "autoencoder, N(0, I)"),
        (axes[3], plain, own, "autoencoder, a normal of its codes"),
        (axes[4], variational, normal, "VAE, N(0, I)"),
    ):
        made, restored = shown(model, at), sure(shown(model, model.encode(held)))
        said = f"sure of {sure(made):.0%}; of restored digits {restored:.0%}"
        print(f"{name}: {said}")
        plane(axis, name, (-0.5, 62.5, 62.5, -0.5))
        board = np.pad(made[:49], ((0, 0), (0, 1), (0, 1))).reshape(7, 7, 9, 9).transpose(0, 2, 1, 3).reshape(63, 63)
        axis.imshow(board, cmap="Greys", vmin=0, vmax=16, aspect="auto")
        axis.hlines(np.arange(8.0, 62, 9), -0.5, 62.5, color=FAINT, linewidth=0.8)
        axis.vlines(np.arange(8.0, 62, 9), -0.5, 62.5, color=FAINT, linewidth=0.8)
        axis.set_xlabel(said, fontsize=8, color=GREY, loc="left")
    return figure


if __name__ == "__main__":
    run(draw)
