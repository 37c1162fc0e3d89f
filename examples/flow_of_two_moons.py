"""A flow bends a Gaussian into two moons: one invertible map, and with it an exact density.

Every point of the left becomes one of the right, and back; colours stay with their points. The density on the right is
the Gaussian's, divided by how much the map stretches there.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from canvas import INK, panels, plane, run
from sklearn.datasets import make_moons

import begat


def draw(quick: bool):
    moons, _ = make_moons(500 if quick else 6_000, noise=0.07, random_state=0)
    frame = pd.DataFrame(moons, columns=["a", "b"])
    how = {"width": 16, "transforms": 4, "epochs": 4} if quick else {"transforms": 8, "epochs": 120, "hide": 0.0}
    flow = begat.Flow(bins=12, decay=0.0, **how).fit(frame)

    rng = np.random.default_rng(0)
    z = rng.normal(size=(6_000, 2))
    made = flow.decode(z, random_state=0)
    angle = np.arctan2(z[:, 1], z[:, 0])
    x, y = np.linspace(-1.6, 2.6, 220), np.linspace(-1.1, 1.6, 220)
    grid = pd.DataFrame({"a": np.repeat(x, 220), "b": np.tile(y, 220)})
    density = np.exp(flow.log_prob(grid)).reshape(220, 220).T
    mass = density.sum() * (x[1] - x[0]) * (y[1] - y[0])

    figure, axes = panels(3, "A Gaussian, bent into two moons")
    view = (-1.6, 2.6, -1.1, 1.6)
    plane(axes[0], "z, drawn from a Gaussian", 3.6)
    axes[0].scatter(z[:, 0], z[:, 1], c=angle, cmap="twilight", s=3, linewidths=0)
    plane(axes[1], "x = T(z): the same points", view)
    axes[1].scatter(made["a"], made["b"], c=angle, cmap="twilight", s=3, linewidths=0)
    plane(axes[2], f"p(x), exact; its integral here is {mass:.3f}", view)
    axes[2].imshow(density, origin="lower", extent=view, aspect="auto", cmap="magma_r", vmax=np.quantile(density, 0.99))
    axes[2].annotate("dark: dense", (-1.5, -1.0), fontsize=8, color=INK)
    return figure


if __name__ == "__main__":
    run(draw)
