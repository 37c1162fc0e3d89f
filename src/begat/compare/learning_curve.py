"""Accuracy and log-loss against the number of training rows: naive Bayes beside its discriminative twin."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np

from begat.compare.curve import METRICS, LearningCurve
from begat.compare.picture_table import no_columns, picture_table, shows_pictures
from begat.compare.probabilities import log_probabilities
from begat.compare.split import check_seed, split
from begat.compare.table import Table, table
from begat.compare.twins import Twin
from begat.errors import DataError
from begat.estimators import NaiveBayes
from begat.metrics.columns import label
from begat.random import mixed
from begat.schema import Schema

SMALLEST, LARGEST, HELD_OUT = 10, 20_000, 10_000
"""Default sizes begin and end here; at most this many rows are held out."""
USUAL, MOST = 0.5, 0.9
"""Share of the training rows that the largest default size, and any size, has: repeats must differ to show an error."""


def learning_curve(
    X: Any,
    y: Any = None,
    *,
    sizes: Iterable[int] | None = None,
    repeats: int = 10,
    models: Mapping[str, Any] | None = None,
    schema: Schema | dict[str, Any] | None = None,
    kinds: Mapping[str | int, str] | None = None,
    drop: Iterable[str | int] = (),
    seed: int = 0,
    progress: Callable[[float], object] | None = None,
) -> LearningCurve:
    """Naive Bayes and scikit-learn's logistic regression on more and more training rows, judged on the same rows.

    The generative-discriminative pair: with few rows the generative model is often better, with many the
    discriminative one (Ng and Jordan, 2001, On discriminative vs. generative classifiers).

    A fifth of the rows (at most 10,000) is held out. Each repeat shuffles the training rows anew; its sizes are nested,
    each has at least one row of every class, both models learn from the same rows. Logistic regression sees one-hot
    levels, standardised numbers and indicators of missing ones. sizes: numbers of rows, default about ten from 10 to
    20,000 or half of the training rows. models: mapping of name to unfitted estimators instead of the two; the first
    and the last are compared. The errors count the draw of the training rows and that of the held-out rows.

    Raises DataError for a target that is not a class, sizes that are not between the number of classes and nine tenths
    of the training rows (with all of them the repeats would be one), and fewer than 2 repeats.
    """
    if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < 2:
        raise DataError(f"repeats is {repeats!r}; give at least 2, or there is no error to show")
    check_seed(seed)
    if shows_pictures(X):
        no_columns(schema=schema, kinds=kinds, drop=tuple(drop))
        known = picture_table(X, y)
    else:
        known = table(X, y, schema=schema, kinds=kinds, drop=drop)
    if not known.classes or known.target is None:
        what = "there is no target" if known.target is None else f"the target {known.target!r} is a number"
        raise DataError(f"a learning curve compares classifiers, but {what}; give a target of classes")
    parts = split(known.frame, by_class=known.target, seed=seed)
    held = parts.held_out.sample(min(len(parts.held_out), HELD_OUT), random_state=seed)
    names = [n for n in known.schema.names if n != known.target]
    train_classes = np.array([label(v) for v in parts.train[known.target].astype(object)], dtype=object)
    truth = np.array([label(v) for v in held[known.target].astype(object)], dtype=object)
    wanted = _sizes(sizes, len(parts.train), len(np.unique(train_classes)))
    made = _makers(models, known, seed)
    found = {m: {n: np.full((len(wanted), repeats), math.nan) for n in made} for m in METRICS}
    judged = {m: {n: np.zeros((len(wanted), len(held))) for n in made} for m in METRICS}
    failures: dict[str, None] = {}
    for r in range(repeats):
        order = _order(train_classes, np.random.default_rng(mixed(seed, "repeat", r)))
        for s, size in enumerate(wanted):
            rows = parts.train.iloc[order[:size]].reset_index(drop=True)
            for name, make in made.items():
                try:
                    model = make()
                    model.fit(rows[names], rows[known.target])
                    log_p = log_probabilities(model, held[names])
                    classes = np.array([label(c) for c in model.classes_], dtype=object)
                    hit, loss = (classes[log_p.argmax(1)] == truth).astype(np.float64), _log_loss(log_p, classes, truth)
                    for metric, each in zip(METRICS, (hit, loss), strict=True):
                        found[metric][name][s, r] = each.mean()
                        judged[metric][name][s] += each
                    if np.isinf(loss).any():
                        failures[f"{name} on {size:,} rows gives a class that happened probability zero"] = None
                except Exception as error:
                    failures[f"{name} on {size:,} rows: {type(error).__name__}: {error}".splitlines()[0]] = None
            if progress is not None:
                progress((r + sum(wanted[: s + 1]) / sum(wanted)) / repeats)
    for metric in METRICS:
        for name in made:
            fitted = (~np.isnan(found[metric][name])).sum(1, keepdims=True)
            judged[metric][name] /= np.maximum(fitted, 1)
    accuracy, log_loss = (found[m] for m in METRICS)
    return LearningCurve(wanted, accuracy, log_loss, judged, len(parts.train), known.target, tuple(failures))


def _makers(models: Mapping[str, Any] | None, known: Table, seed: int) -> dict[str, Callable[[], Any]]:
    from sklearn.base import clone

    if models is not None:
        return {str(n): partial(clone, m) for n, m in models.items()}
    return {
        "naive Bayes": lambda: NaiveBayes(schema=known.schema, random_state=seed),
        "logistic regression": lambda: Twin("linear", classes=True, schema=known.schema, seed=seed),
    }


def _sizes(sizes: Iterable[int] | None, pool: int, classes: int) -> tuple[int, ...]:
    least, most = max(2, classes), int(MOST * pool)
    if least > most:
        raise DataError(f"{pool} training rows of {classes} classes are too few for a learning curve; give more rows")
    if sizes is None:
        top = max(least, min(int(USUAL * pool), LARGEST))
        start = min(max(SMALLEST, 2 * classes), top)
        count = max(2, min(10, 1 + round(3 * math.log10(top / start)))) if top > start else 1
        return tuple(sorted({round(v) for v in np.geomspace(start, top, count)}))
    made = sorted({int(s) for s in sizes})
    if not made or made[0] < least or made[-1] > most:
        raise DataError(
            f"sizes are {made}; give numbers from {least} (one row a class) to {most} (nine tenths of the {pool} "
            "training rows: with all of them every repeat would be the same)"
        )
    return tuple(made)


def _order(classes: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """All rows shuffled, with one row of every class at the front, so that every beginning of it has all classes."""
    order = draw.permutation(len(classes))
    first = np.unique(classes[order], return_index=True)[1]
    return np.concatenate([order[first], np.delete(order, first)])


def _log_loss(log_p: np.ndarray, classes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """-log P(y_i | x_i) of each row (n,), nats; infinite for a class that the model does not know."""
    right = np.full(len(truth), -math.inf)
    for k, name in enumerate(classes):
        right[truth == name] = log_p[truth == name, k]
    return -right
