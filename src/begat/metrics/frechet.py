"""How far made pictures are from real ones in the features of a frozen network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from begat.metrics.score import Score

DRAWS = 100
"""Bootstrap draws behind the error."""
FEWEST = 10
UNIT = "squared features"


def frechet(
    real: Any,
    fake: Any,
    features: Callable[[Any], np.ndarray],
    *,
    unit: str = UNIT,
    draws: int = DRAWS,
    seed: int = 0,
) -> Score:
    """The Frechet distance |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of real and made pictures in their features.

    real, fake: whatever `features` turns into numbers (n, d), (m, d), whose means are m1, m2 and covariances C1, C2:
    the squared Wasserstein distance of the normal laws with these moments. The features must not have been learnt from
    `real`. Chance alone makes it positive, the more the fewer pictures there are: compare figures of equal numbers, and
    with real pictures in the place of made ones. The standard error is the deviation over bootstrap draws of both
    sides. unit: of the features, squared. Absent for fewer than 10 pictures a side.

    Dowson and Landau (1982), equation 4; Heusel et al. (2017), GANs trained by a two time-scale update rule.
    """
    if min(len(real), len(fake)) < FEWEST:
        few = f"{len(real)} real and {len(fake)} made pictures; the feature distance needs {FEWEST} of each"
        return Score.absent(few, unit, "lower", 0.0)
    a, b = (np.asarray(features(x), dtype=np.float64) for x in (real, fake))
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return Score.absent("a feature is no finite number", unit, "lower", 0.0)
    draw = np.random.default_rng(seed)
    again = [distance(*(x[draw.integers(0, len(x), len(x))] for x in (a, b))) for _ in range(draws)]
    return Score(distance(a, b), float(np.std(again, ddof=1)) if draws > 1 else None, unit, "lower", 0.0)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """The same of features (n, d), (m, d); covariances divide by n - 1.

    The trace of the root is the sum of the singular values of R1 R2, for roots R of the covariances: no eigenvalue that
    rounding made negative or complex enters.
    """
    means, roots, spread = [], [], 0.0
    for x in (a, b):
        means.append(x.mean(0))
        covariance = np.atleast_2d(np.cov(x, rowvar=False))
        values, vectors = np.linalg.eigh(covariance)
        roots.append(vectors * np.sqrt(np.maximum(values, 0.0)))
        spread += float(np.trace(covariance))
    shared = float(np.linalg.svd(roots[0].T @ roots[1], compute_uv=False).sum())
    return max(float(((means[0] - means[1]) ** 2).sum()) + spread - 2 * shared, 0.0)
