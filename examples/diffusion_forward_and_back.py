"""Diffusion forward and back: noise is added until nothing is left, and the learnt denoiser takes it out again.

Two moons, as the normal scores of their columns, in which diffusion works.

Above, a fixed procedure: y = data + r noise, shown at its own scale. Below, what the network has learnt: from noise
alone, the ODE dy / dr = (y - E[data | y]) / r back to data.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from canvas import BLUE, GREY, PLUM, panels, plane, run
from sklearn.datasets import make_moons

import begat
from begat.families.diffusion import MOST
from begat.maths.ode import SOLVERS, ratios

RATIOS = (0.02, 0.15, 0.4, 1.0, 4.0)


def draw(quick: bool):
    moons, _ = make_moons(500 if quick else 6_000, noise=0.07, random_state=0)
    frame = pd.DataFrame(moons, columns=["a", "b"])
    how = {"width": 16, "depth": 1, "epochs": 2} if quick else {"width": 128, "epochs": 250}
    model = begat.Diffusion(hide=0.0, **how).fit(frame).model_

    rng = torch.Generator().manual_seed(0)
    n = 3_000
    low = model.cube.find(batch := _batch(model, frame, n), model.find(batch)).low
    data = torch.special.ndtri(low.clamp(1e-6, 1 - 1e-6))
    noise = torch.randn(data.shape, generator=rng)
    y, at = (1 + MOST**2) ** 0.5 * torch.randn(n, 2, generator=rng), MOST
    nothing = torch.zeros(n, 2)
    back = {}
    for r in reversed(RATIOS):
        y, at = SOLVERS["heun"].run(model._denoiser(nothing, None, None), y, ratios(at, r, 20).float(), None), r
        back[r] = y

    figure, axes = panels(2 * len(RATIOS), "Data into noise, and noise into data", size=(2.1, 2.1))
    figure.set_size_inches(2.4 * len(RATIOS), 5.4)
    for axis in axes:
        axis.remove()
    grid = figure.subplots(2, len(RATIOS))
    for column, r in enumerate(RATIOS):
        scale = (1 + r * r) ** 0.5
        for row, (points, colour) in enumerate((((data + r * noise), BLUE), (back[r], PLUM))):
            axis = grid[row, column]
            axis.spines[:].set_visible(False)
            plane(axis, f"r = {r:g}", 3.2)
            shown = points / scale
            axis.scatter(shown[:, 0], shown[:, 1], s=2, color=colour, alpha=0.5, linewidths=0)
    grid[0, 0].set_ylabel("forward: noise is added →", fontsize=8.5, color=GREY, loc="bottom")
    grid[1, 0].set_ylabel("← back: the network takes it out", fontsize=8.5, color=GREY, loc="bottom")
    assert np.isfinite(back[RATIOS[0]].numpy()).all()
    return figure


def _batch(model, frame: pd.DataFrame, n: int):
    from begat.core import Batch

    x = torch.from_numpy(frame.to_numpy()[:n].copy())
    return Batch((x, torch.zeros(len(x), 0, dtype=torch.int32)), (None, None))


if __name__ == "__main__":
    run(draw)
