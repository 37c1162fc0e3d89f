"""The discriminative twins: models of P(Y | X) alone, to see what modelling the joint costs or gains in prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from begat.compare.encoding import Encoding
from begat.metrics.columns import features, label, numbers
from begat.schema import Schema

if TYPE_CHECKING:
    import pandas as pd

ROWS = 200_000
"""A twin learns from at most this many rows."""
ITERATIONS = 1_000


class Twin:
    """Logistic or ridge regression on standardised one-hot columns, or histogram gradient boosting on coded ones.

    family: "linear" or "boosting". classes: whether the target is a class. The schema says which columns are levels;
    its identifiers and free text are left out. fit, predict and predict_proba as in scikit-learn.
    """

    def __init__(self, family: Literal["linear", "boosting"], *, classes: bool, schema: Schema | None, seed: int = 0):
        self.family, self.classes, self.schema, self.seed = family, classes, schema, seed

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Twin:
        """Learn from the rows X (n, D) with targets y (n,); from a random part of them where n exceeds 200,000."""
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        target = None if self.schema is None else self.schema.target
        if len(X) > ROWS:
            rows = np.sort(np.random.default_rng(self.seed).choice(len(X), ROWS, replace=False))
            X, y = X.iloc[rows], y.iloc[rows]
        self.encoding_ = Encoding(features(X, self.schema, without=target)).fit(X)
        if self.classes:
            spelled = np.array([label(v) for v in y.astype(object)], dtype=object)
            names, codes = np.unique(spelled, return_inverse=True)
            first = {name: value for name, value in zip(spelled[::-1], y.astype(object).to_numpy()[::-1], strict=True)}
            self.classes_ = np.array([first[name] for name in names], dtype=object)
            goal: np.ndarray = codes
        else:
            goal = numbers(y)
        matrix, coded = self._matrix(X)
        with threadpool_limits(1, user_api="openmp"):
            self.model_ = None if self.classes and len(self.classes_) == 1 else self._model(coded).fit(matrix, goal)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """The most probable class, or the number, of each row (n,)."""
        if self.classes:
            return self.classes_[self.predict_proba(X).argmax(1)]
        return np.asarray(self.model_.predict(self._matrix(X)[0]), dtype=np.float64)  # type: ignore[union-attr]

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """P(y | x) -> (n, classes), in the order of classes_."""
        if self.model_ is None:
            return np.ones((len(X), 1))
        return np.asarray(self.model_.predict_proba(self._matrix(X)[0]), dtype=np.float64)

    def _matrix(self, X: pd.DataFrame) -> tuple[Any, list[bool]]:
        return (self.encoding_.one_hot(X), []) if self.family == "linear" else self.encoding_.codes(X)

    def _model(self, coded: list[bool]) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
        from sklearn.linear_model import LogisticRegression, Ridge

        if self.family == "linear":
            return LogisticRegression(max_iter=ITERATIONS) if self.classes else Ridge()
        boosting = HistGradientBoostingClassifier if self.classes else HistGradientBoostingRegressor
        return boosting(early_stopping=False, categorical_features=coded, random_state=self.seed)
