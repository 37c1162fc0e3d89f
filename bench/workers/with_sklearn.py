"""scikit-learn's GaussianMixture with full covariances; the number of components is the one of the lowest BIC."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.mixture import GaussianMixture
from worker import SEED, Sample, work

COMPONENTS = (1, 2, 4, 8, 16, 32, 64)


def fit(train: pd.DataFrame) -> Sample:
    """Numbers standardised and categories one-hot; a drawn row has the category whose column is largest."""
    numbers = list(train.select_dtypes("number"))
    words = [c for c in train if c not in numbers]
    centre, scale = train[numbers].mean(), train[numbers].std()
    hot = pd.get_dummies(train[words], dtype=float, prefix_sep="\x1f") if words else train[[]]
    x = np.hstack([(train[numbers] - centre) / scale, hot])
    choices = [GaussianMixture(k, random_state=SEED).fit(x) for k in COMPONENTS if k < len(x) / 2]
    model = min(choices, key=lambda m: m.bic(x))

    def sample(rows: int) -> pd.DataFrame:
        drawn = pd.DataFrame(model.sample(rows)[0], columns=[*numbers, *hot])
        drawn = drawn.sample(frac=1, random_state=SEED, ignore_index=True)  # they come sorted by component
        out = drawn[numbers] * scale + centre
        for name in words:
            mine = [c for c in hot if c.startswith(name + "\x1f")]
            out[name] = drawn[mine].idxmax(axis=1).str.removeprefix(name + "\x1f")
        return out

    return sample


if __name__ == "__main__":
    work("scikit-learn", {"GaussianMixture": fit})
