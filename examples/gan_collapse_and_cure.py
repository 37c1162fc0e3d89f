"""The game of a GAN loses modes, and penalties keep them: 25 small Gaussians on a ring, and three games for draws.

Above nothing holds the discriminator, and each game loses modes: minimax and classical (non-saturating), both of
Goodfellow et al. (2014), and relativistic. Below the same networks, seed, rows, batch, rate and steps, but the
discriminator pays for its squared gradients (R1 and R2). The rate is twice begat's own, no judge chooses among draws,
and nothing is held out, so that a fit ends with the mean of its last weights, and not with its best. Lines are of the
weights as they go.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from canvas import AMBER, BLUE, GREEN, GREY, INK, panels, plane, run

import begat

MODES = 2 * np.stack([np.cos(a := 2 * np.pi * np.arange(25) / 25), np.sin(a)], 1)
SPREAD = 0.05
GAMES = (("minimax", AMBER), ("classical", GREEN), ("relativistic", BLUE))


def covered(rows: pd.DataFrame) -> int:
    """Modes that have a fifth of their share of rows, or more, within three deviations."""
    away = np.linalg.norm(rows.to_numpy()[:, None] - MODES, axis=2)
    of = away.argmin(1)[away.min(1) < 3 * SPREAD]
    return int((np.bincount(of, minlength=25) >= len(rows) / 25 / 5).sum())


def draw(quick: bool):
    rng = np.random.default_rng(0)
    points = MODES[rng.integers(0, 25, 5_000)] + SPREAD * rng.normal(size=(5_000, 2))
    frame = pd.DataFrame(points, columns=["a", "b"])
    how = {"candidates": 1, "latent": 8, "width": 64, "batch": 128, "rate": 4e-3, "validation": 0.0}
    how["epochs"] = 1 if quick else 40

    figure, axes = panels(4, "25 modes, three games, without and with penalties", size=(3.2, 3.2), rows=2)
    for number, (penalty, name) in enumerate(((0.0, "no penalties"), ("auto", "R1 and R2"))):
        *clouds, lines = axes[4 * number : 4 * number + 4]
        kept = dict[str, int]()
        for axis, (loss, colour) in zip(clouds, GAMES, strict=True):
            gan, course = begat.GAN(loss=loss, penalty=penalty, **how), list[int]()

            def look(mark: int, marks: int, coverage: float | None, gan=gan, course=course):
                course.append(covered(gan.sample(500, random_state=0)))

            gan.fit(frame, tell=look)
            drawn = gan.sample(2_500, random_state=0)
            kept[loss] = covered(drawn)
            plane(axis, f"{loss}, {name}: {kept[loss]} of 25", 2.8)
            axis.scatter(frame["a"], frame["b"], s=2, color=GREY, alpha=0.3, linewidths=0)
            axis.scatter(drawn["a"], drawn["b"], s=3, color=colour, alpha=0.7, linewidths=0)
            share = np.arange(1, len(course) + 1) / len(course)
            lines.plot(share, course, color=colour, linewidth=1.4, label=loss)
        print(f"modes of 25, {name}:", ", ".join(f"{loss} {count}" for loss, count in kept.items()))
        lines.set_title("modes covered, after a share of the steps", loc="left", fontsize=9.5, color=INK)
        lines.set_ylim(-0.5, 25.5)
        lines.set_yticks(range(0, 26, 5))
        lines.set_xticks([0, 0.5, 1], ["0", "50%", "100%"])
    lines.legend(frameon=False, fontsize=8.5, loc="lower right")
    return figure


if __name__ == "__main__":
    run(draw)
