"""A plain autoencoder against a denoising one: the same network, told to copy a row or to restore it from a noisy one.

Both copy what lies on a spiral. Off it the plain one has learnt nothing, and takes a point to anywhere on the spiral;
the denoising one takes it to where the data are dense nearby: a field of arrows as of the score of noisy data. Of
digits half of whose pixels are missing, the one that has learnt with pixels hidden restores more.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from canvas import AMBER, BLUE, GREY, INK, panels, plane, run
from matplotlib import colormaps
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors

import begat


def spiral(u: np.ndarray) -> np.ndarray:
    """Points of a curve, u from 0 to 1."""
    angle, radius = 0.6 + 10 * u, 0.5 + 1.5 * u
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)


def draw(quick: bool):
    rng = np.random.default_rng(0)
    how = {"width": 16, "epochs": 2} if quick else {"width": 128, "epochs": 25}
    frame = pd.DataFrame(spiral(rng.uniform(size=3_000)) + 0.03 * rng.normal(size=(3_000, 2)), columns=["a", "b"])
    clean = spiral(rng.uniform(size=400))
    noisy = clean + 0.25 * rng.normal(size=clean.shape)
    curve = NearestNeighbors(n_neighbors=1).fit(spiral(np.linspace(0, 1, 5_000)))

    def off(points: np.ndarray) -> float:
        return curve.kneighbors(points)[0].mean()

    grid = np.stack(np.meshgrid(*[np.arange(-2.3, 2.4, 0.2)] * 2), -1).reshape(-1, 2)
    near = grid[curve.kneighbors(grid)[0][:, 0] < 0.4]

    figure, axes = panels(3, "What a plain and a denoising autoencoder make of noise")
    axes[0].get_gridspec().set_width_ratios((1, 1, 1.75))
    figure.set_figwidth(13.2)
    for axis, noise, colour, name in ((axes[0], "none", AMBER, "plain"), (axes[1], "gaussian", BLUE, "denoising")):
        coder = begat.Autoencoder(noise=noise, level=0.25, latent=2, **how).fit(frame)
        on, made = (coder.denoise(pd.DataFrame(at, columns=["a", "b"])).to_numpy() for at in (clean, noisy))
        copied, moved = np.linalg.norm(on - clean, axis=1).mean(), np.linalg.norm(made - noisy, axis=1).mean()
        said = f"noisy points: moved {moved:.2f}, to {off(made):.2f} off the spiral"
        print(f"{name}: points of the spiral moved {copied:.2f}; {said} from {off(noisy):.2f}")
        to = coder.denoise(pd.DataFrame(near, columns=["a", "b"])).to_numpy()
        plane(axis, f"{name}: where it takes points", 2.4)
        axis.scatter(frame["a"], frame["b"], s=2, color=GREY, alpha=0.4, linewidths=0)
        axis.quiver(*near.T, *(to - near).T, color=colour, angles="xy", scale_units="xy", scale=1, width=0.004)
        axis.set_xlabel(said, fontsize=8.5, color=GREY, loc="left")

    digits = load_digits().images[rng.permutation(1797)].astype(np.uint8)
    seen, held = digits[:1_400], digits[1_400:]
    hidden = rng.uniform(size=held.shape) < 0.5
    gaps = np.where(hidden, np.nan, held)
    rows, names = [held, gaps], ["digits", "half missing"]
    for noise, name in (("none", "plain"), ("masking", "denoising")):
        coder = begat.Autoencoder(noise=noise, level=0.5, latent=16, batch=128, **how).fit(seen)
        restored = np.where(hidden, coder.denoise(gaps), held).astype(float)
        error = ((restored - held.astype(float)) ** 2)[hidden].mean()
        rows, names = [*rows, restored], [*names, f"{name}: {error:.1f}"]
    mean = ((seen.mean(0) - held) ** 2)[hidden].mean()
    said = f"squared error of a missing pixel, of 0 to 16 (the pixel's mean: {mean:.1f})"
    print(said, *names[2:])
    board = np.pad(np.stack(rows)[:, :7], ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=0)
    plane(axes[2], "digits with pixels missing, restored", (-0.5, 62.5, 35.5, -0.5))
    shades = colormaps["Greys"].with_extremes(bad="#efe0c0")
    axes[2].imshow(board.transpose(0, 2, 1, 3).reshape(36, 63), cmap=shades, vmin=0, vmax=16, aspect="auto")
    axes[2].set_yticks(np.arange(4, 36, 9), names, fontsize=8.5, color=INK)
    axes[2].set_xlabel(said, fontsize=8.5, color=GREY, loc="left")
    return figure


if __name__ == "__main__":
    run(draw)
