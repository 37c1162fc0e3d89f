"""Detection: can a strong classifier tell synthetic rows from real ones? Defined once, here."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from begat.metrics.columns import Feature, drawn, features, matrix
from begat.metrics.roc import auc
from begat.metrics.score import Score
from begat.metrics.threads import one_thread
from begat.schema import Schema

if TYPE_CHECKING:
    import pandas as pd

ROWS = 20_000
"""At most this many rows a side."""
FOLDS = 5
FEWEST = 2 * FOLDS


def detection(
    real: pd.DataFrame,
    fake: pd.DataFrame,
    schema: Schema | None = None,
    *,
    rows: int = ROWS,
    seed: int = 0,
    used: tuple[Feature, ...] | None = None,
) -> Score:
    """1 - 2 |AUC - 1/2| of a classifier that tells real from synthetic rows: 1 indistinguishable, 0 told apart always.

    The AUC is `detection_auc`'s. The standard error is 2 se(AUC) everywhere. Near AUC = 1/2 that is an upper bound,
    for folding shrinks the spread; there the score itself is below 1 by chance alone: a perfect generator is expected
    at 1 - 2 sqrt(2 / pi) se(AUC) = 1 - 0.8 stderr, so a score within two of its errors of 1 is as good as it gets.

    Raises DataError where a column is absent from `fake`. Parameters as for `detection_auc`.
    """
    return folded(detection_auc(real, fake, schema, rows=rows, seed=seed, used=used))


def folded(area: Score) -> Score:
    """The detection score 1 - 2 |AUC - 1/2| of an AUC, error doubled."""
    if area.value is None or area.stderr is None:
        return Score.absent(area.note, "score", "higher", 1.0)
    return Score(1 - 2 * abs(area.value - 0.5), 2 * area.stderr, "score", "higher", 1.0, area.note)


def detection_auc(
    real: pd.DataFrame,
    fake: pd.DataFrame,
    schema: Schema | None = None,
    *,
    rows: int = ROWS,
    seed: int = 0,
    used: tuple[Feature, ...] | None = None,
) -> Score:
    """AUC of HistGradientBoostingClassifier(max_iter=300, early_stopping=False), real against synthetic, out of fold.

    As many synthetic as real rows, at most `rows` a side (drawn without replacement by `seed`); 5 stratified folds,
    each scored by the model of the other four, pooled; levels beyond the 254 most frequent of both sides share one.
    real (n, D), fake (m, D): frames with the schema's columns, matched by name; identifiers and free text are left
    out. Without a schema the frame's dtypes say what a column is. `used` states the columns instead.

    The standard error is DeLong's of the pooled scores: it takes them for the scores of one fixed classifier and
    leaves out that the five share training rows. With nothing to detect, (AUC - 1/2) / stderr then has a spread of 1.4
    with 60 to 150 rows a side, 1.1 with 400 and 1.0 with 1,500 (measured): read errors of small tables as too small.
    AUC well below 1/2 is a finding too: rows copied from the real side make a classifier predict the wrong side.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold

    used = features(real, schema) if used is None else used
    n = min(len(real), len(fake), rows)
    if n < FEWEST:
        return Score.absent(f"{n} rows a side; detection needs at least {FEWEST}", "AUC", "none", 0.5)
    draw = np.random.default_rng(seed)
    sides = [drawn(f, n, draw) for f in (real, fake)]
    parts, coded = matrix(sides, used)
    x, y = np.vstack(parts), np.repeat([0, 1], n)
    score = np.empty(2 * n)
    for fit, held in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(x, y):
        model = HistGradientBoostingClassifier(
            max_iter=300, early_stopping=False, categorical_features=coded, random_state=seed
        )
        with one_thread():
            score[held] = model.fit(x[fit], y[fit]).decision_function(x[held])
    return replace(auc(y == 1, score), better="none", ideal=0.5)
