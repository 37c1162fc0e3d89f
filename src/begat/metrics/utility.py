"""Utility: what a model trained on synthetic rows achieves on held-out real rows, against one trained on real rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from begat.metrics.classification import area
from begat.metrics.columns import codes, drawn, features, matrix, numbers, require
from begat.metrics.regression import r2
from begat.metrics.score import Score
from begat.metrics.threads import one_thread
from begat.schema import Schema

if TYPE_CHECKING:
    import pandas as pd

ROWS = 20_000


def utility(
    rows_to_learn: pd.DataFrame,
    held_out: pd.DataFrame,
    target: str | int,
    schema: Schema | None = None,
    *,
    classes: bool,
    rows: int = ROWS,
    seed: int = 0,
) -> Score:
    """AUC (classes) or R2 (numbers) on held-out real rows of histogram gradient boosting trained on the rows given.

    Synthetic rows give train-on-synthetic; as many real training rows give train-on-real, the figure to compare with.
    At most `rows` rows are learnt from. AUC of one class against the rest, averaged over the classes that are held
    out; one that the learnt rows lack counts as an AUC of 1/2. Frames hold the target and are matched by name.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    used = features(held_out, schema, without=target)
    require((rows_to_learn, held_out), used)
    draw = np.random.default_rng(seed)
    if len(rows_to_learn) > rows:
        rows_to_learn = drawn(rows_to_learn, rows, draw)
    (x, new), coded = matrix((rows_to_learn, held_out), used)
    if not classes:
        y, truth = numbers(rows_to_learn[target]), numbers(held_out[target])
        learn, ask = ~np.isnan(y), ~np.isnan(truth)
        if learn.sum() < 2:
            return Score.absent("the rows to learn from have no target", "R2", "higher", 1.0)
        regressor = HistGradientBoostingRegressor(early_stopping=False, categorical_features=coded, random_state=seed)
        with one_thread():
            return r2(truth[ask], regressor.fit(x[learn], y[learn]).predict(new[ask]))
    y, truth = codes((rows_to_learn[target], held_out[target]))
    learn, ask = y >= 0, truth >= 0
    proba = np.zeros((int(ask.sum()), int(max(y.max(initial=0), truth.max(initial=0))) + 1))
    if len(np.unique(y[learn])) < 2:
        score = area(truth[ask], proba)
        return score.noted("the rows to learn from have one class")
    model = HistGradientBoostingClassifier(early_stopping=False, categorical_features=coded, random_state=seed)
    with one_thread():
        proba[:, np.unique(y[learn])] = model.fit(x[learn], y[learn]).predict_proba(new[ask])
    return area(truth[ask], proba)
