"""Frames as matrices for the discriminative twins: fitted on the training rows, applied to any rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from begat.errors import DataError, did_you_mean
from begat.metrics.columns import LEVELS, Feature, label, numbers, seconds

if TYPE_CHECKING:
    import pandas as pd

WIDEST = 1_000
"""One-hot columns that one column of levels may become; its rarer levels share one."""


class Encoding:
    """What the twins see of a row.

    `codes`: numbers as they are, levels as whole numbers by frequency (the 254 most frequent, the others share one),
    missing and unseen levels as NaN: what histogram gradient boosting takes. `one_hot`: numbers standardised with the
    median for missing ones and an indicator of that, one column a level and one for missing: what a linear model takes.
    """

    def __init__(self, used: tuple[Feature, ...]):
        self.used = used
        self.levels: dict[str | int, dict[str, int]] = {}
        self.scale: dict[str | int, tuple[float, float, float, bool]] = {}

    def fit(self, X: pd.DataFrame) -> Encoding:
        """Levels by frequency; median, mean, deviation of each number and whether some are missing."""
        for name, role in ((f.name, f.role) for f in self.used):
            values = self._column(X, name)
            if role == "level":
                count: dict[str, int] = {}
                for level, n in values.astype(object).value_counts().items():
                    count[label(level)] = count.get(label(level), 0) + int(n)
                self.levels[name] = {k: i for i, k in enumerate(sorted(count, key=lambda k: (-count[k], k)))}
            else:
                x = (numbers if role == "number" else seconds)(values)
                there = x[~np.isnan(x)]
                centre = float(np.median(there)) if len(there) else 0.0
                filled = np.where(np.isnan(x), centre, x)
                self.scale[name] = (centre, float(filled.mean()), float(filled.std()) or 1.0, len(there) < len(x))
        return self

    def codes(self, X: pd.DataFrame) -> tuple[np.ndarray, list[bool]]:
        """(n, D) float64 and which columns are codes of levels."""
        columns = [
            np.where((c := self._codes(X, f)) < 0, np.nan, np.minimum(c, LEVELS - 1).astype(np.float64))
            if f.role == "level"
            else self._numbers(X, f)
            for f in self.used
        ]
        return np.column_stack(columns), [f.role == "level" for f in self.used]

    def one_hot(self, X: pd.DataFrame) -> Any:
        """(n, P) sparse matrix of float64."""
        from scipy import sparse

        n, blocks = len(X), []
        for feature in self.used:
            if feature.role == "level":
                width = min(len(self.levels[feature.name]), WIDEST)
                code = np.minimum(self._codes(X, feature), width - 1)
                gone = self._column(X, feature.name).isna().to_numpy()
                place = np.where(gone, width, code)
                rows = np.flatnonzero(place >= 0)
                ones = (np.ones(len(rows)), (rows, place[rows]))
                blocks.append(sparse.csr_matrix(ones, shape=(n, width + 1)))
            else:
                x = self._numbers(X, feature)
                centre, mean, deviation, partly = self.scale[feature.name]
                gone = np.isnan(x)
                dense = [(np.where(gone, centre, x) - mean) / deviation]
                if partly:
                    dense.append(gone.astype(np.float64))
                blocks.append(sparse.csr_matrix(np.column_stack(dense)))
        return sparse.hstack(blocks, format="csr")

    def _codes(self, X: pd.DataFrame, feature: Feature) -> np.ndarray:
        import pandas as pd

        code, found = pd.factorize(self._column(X, feature.name).astype(object), use_na_sentinel=True)
        known = self.levels[feature.name]
        return np.array([*(known.get(label(v), -1) for v in found), -1], dtype=np.int64)[code]

    def _numbers(self, X: pd.DataFrame, feature: Feature) -> np.ndarray:
        return (numbers if feature.role == "number" else seconds)(self._column(X, feature.name))

    @staticmethod
    def _column(X: pd.DataFrame, name: str | int) -> pd.Series:
        if name not in X.columns:
            raise DataError(f"the rows have no column {name!r}{did_you_mean(name, X.columns)}")
        return X[name]
