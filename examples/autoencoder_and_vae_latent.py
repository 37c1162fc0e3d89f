"""The latent of a plain autoencoder against a variational one's: codes of no law, and codes near a normal's.

Both squeeze digits of 8 x 8 pixels into a few numbers and restore them as well. Nothing tells the plain one where its
codes shall lie: N(0, I) has its draws elsewhere, and a normal of the codes' own mean and covariance between them. The
variational one pays for each nat by which a code says more than N(0, I), and so draws of that are digits. They are
counted by a logistic regression of real digits, which is sure of a picture where it gives a class 90%.
"""

from __future__ import annotations

import numpy as np
from canvas import AMBER, BLUE, FAINT, GREEN, GREY, INK, PLUM, panels, plane, run
from matplotlib.colors import ListedColormap
from matplotlib.patheffects import withStroke
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import begat

SHADES = ListedColormap([BLUE, AMBER, GREEN, PLUM, "#b5543c", "#4aa3b5", "#8c8c3a", "#d183a9", "#5b4a3a", "#93a8c9"])
DRAWS, TIMES, LATENT = 500, 8, 16


def shown(model, z: np.ndarray) -> np.ndarray:
    """What the decoder says of latents: the mean of a few draws of each -> (n, 8, 8)."""
    return np.asarray(model.decode(np.repeat(z, TIMES, 0), random_state=0)).reshape(-1, TIMES, 8, 8).mean(1)


def draw(quick: bool):
    rng = np.random.default_rng(0)
    digits, order = load_digits(), rng.permutation(1_797)
    X, y = digits.images[order].astype(np.uint8), digits.target[order]
    seen, held = X[:1_400], X[1_400:]
    judge = LogisticRegression(C=0.01, max_iter=1_000).fit(seen.reshape(-1, 64), y[:1_400])

    def sure(pictures: np.ndarray) -> float:
        return (judge.predict_proba(pictures.reshape(-1, 64)).max(1) > 0.9).mean()

    print(f"real digits: {judge.score(held.reshape(-1, 64), y[1_400:]):.0%} right, sure of {sure(held):.0%}")
    normal = rng.normal(size=(DRAWS, LATENT))
    how = {"width": 16, "epochs": 1} if quick else {"width": 128, "epochs": 20, "batch": 128}
    figure, axes = panels(3, "Codes of no law, and codes near a normal's", size=(3.4, 3.6), rows=2)
    for row, (name, kind, own) in enumerate(
        (("autoencoder", begat.Autoencoder, {"noise": "none"}), ("VAE", begat.VAE, {"hide": 0.0}))
    ):
        codes, *boards = axes[3 * row : 3 * row + 3]
        z = kind(latent=2, **how, **own).fit(seen).encode(seen)
        plane(codes, f"{name}: codes of 2 numbers", 1.05 * np.quantile(abs(z), 0.999))
        codes.scatter(z[:, 0], z[:, 1], c=y[:1_400], cmap=SHADES, s=6, alpha=0.7, linewidths=0)
        turn = np.linspace(0, 2 * np.pi, 100)
        codes.plot(2 * np.cos(turn), 2 * np.sin(turn), color=INK, linewidth=1)
        said = " and ".join(f"{each:.1f}" for each in z.std(0))
        codes.set_xlabel(f"deviations {said}; circle: 2 of N(0, I)", fontsize=8.5, color=GREY, loc="left")
        for digit in range(10):
            at = np.median(z[y[:1_400] == digit], 0)
            codes.annotate(
                str(digit),
                at,
                ha="center",
                va="center",
                fontsize=11,
                fontweight="bold",
                color=INK,
                path_effects=[withStroke(linewidth=3, foreground="white")],
            )

        model = kind(latent=LATENT, **how, **own).fit(seen)
        z, restored = model.encode(seen), sure(shown(model, model.encode(held)))
        fitted = z.mean(0) + normal @ np.linalg.cholesky(np.cov(z.T)).T
        said = f"{name}: sure of {restored:.0%} of restored digits"
        for axis, at, law in ((boards[0], normal, "N(0, I)"), (boards[1], fitted, "a normal fitted to codes")):
            made = shown(model, at)
            said += f", {sure(made):.0%} of draws from {law}"
            plane(axis, f"{name}: {law}, decoded", (-0.5, 70.5, 70.5, -0.5))
            board = np.pad(made[:64], ((0, 0), (0, 1), (0, 1))).reshape(8, 8, 9, 9).transpose(0, 2, 1, 3)
            axis.imshow(board.reshape(72, 72), cmap="Greys", vmin=0, vmax=16, aspect="auto")
            axis.hlines(np.arange(8, 70, 9), -0.5, 70.5, color=FAINT, linewidth=0.8)
            axis.vlines(np.arange(8, 70, 9), -0.5, 70.5, color=FAINT, linewidth=0.8)
            below = f"{LATENT} numbers; {sure(made):.0%} surely digits, of restored ones {restored:.0%}"
            axis.set_xlabel(below, fontsize=8.5, color=GREY, loc="left")
        print(said)
    return figure


if __name__ == "__main__":
    run(draw)
