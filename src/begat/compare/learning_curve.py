"""Accuracy and log-loss against the number of training rows: naive Bayes beside its discriminative twin."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from begat.compare.split import split
from begat.compare.table import Table, table
from begat.compare.twins import Twin
from begat.errors import DataError
from begat.estimators import NaiveBayes
from begat.metrics.classification import log_probabilities
from begat.metrics.columns import label
from begat.random import mixed
from begat.schema import Schema

if TYPE_CHECKING:
    import pandas as pd

SMALLEST, LARGEST, HELD_OUT = 10, 20_000, 10_000
"""Default sizes begin and end here; at most this many rows are held out."""
SETTLED = 2.0
"""Standard errors by which two curves must differ at a size for one to be called the better there."""
Metric = Literal["accuracy", "log_loss"]
METRICS: tuple[Metric, ...] = ("accuracy", "log_loss")
UNITS = {"accuracy": "share of rows", "log_loss": "nats per row"}


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """accuracy, log_loss: by model, (sizes, repeats) figures on the same held-out rows; NaN where a fit failed,
    infinite where a class that happened was given probability zero.

    sizes: numbers of training rows. held_out: number of rows judged by. failures: what could not be fitted.
    """

    sizes: tuple[int, ...]
    accuracy: Mapping[str, np.ndarray]
    log_loss: Mapping[str, np.ndarray]
    held_out: int
    target: str | int
    failures: tuple[str, ...] = ()

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(self.accuracy)

    @property
    def table(self) -> pd.DataFrame:
        """One line for each size, model and metric: mean and standard error over the repeats, number of repeats."""
        import pandas as pd

        lines = []
        for metric in METRICS:
            for name in self.models:
                for size, values in zip(self.sizes, getattr(self, metric)[name], strict=True):
                    mean, error, n = _mean(values)
                    lines.append((size, name, metric, mean, error, UNITS[metric], n))
        return pd.DataFrame(lines, columns=["rows", "model", "metric", "mean", "stderr", "unit", "repeats"])

    def crossing(self, metric: Metric) -> float | None:
        """Training rows at which the last model overtakes the first for good, or falls behind it; None if neither.

        Differences are paired by repeat. A size counts where they differ by more than 2 standard errors; between the
        last two sizes that count for different models the zero is interpolated in the logarithm of the size.
        """
        gap, error = self._gap(metric)
        settled = np.flatnonzero(np.isfinite(gap) & (np.abs(gap) > SETTLED * error))
        turns = [(a, b) for a, b in pairwise(settled) if gap[a] * gap[b] < 0]
        if not turns:
            return None
        a, b = turns[-1]
        x, y = np.log(self.sizes[a : b + 1]), gap[a : b + 1]
        x, y = x[np.isfinite(y)], y[np.isfinite(y)]
        k = int(np.flatnonzero(y[:-1] * y[1:] <= 0)[-1])
        return float(np.exp(x[k] - y[k] * (x[k + 1] - x[k]) / (y[k + 1] - y[k])))

    def sentence(self, metric: Metric) -> str:
        """Which model is better at which sizes, and where they cross."""
        first, last = self.models[0], self.models[-1]
        word = {"accuracy": "accuracy", "log_loss": "log-loss"}[metric]
        gap, error = self._gap(metric)
        settled = np.flatnonzero(np.isfinite(gap) & (np.abs(gap) > SETTLED * error))
        low, high = f"{self.sizes[0]:,}", f"{self.sizes[-1]:,}"
        at = self.crossing(metric)
        if at is not None:
            ahead, behind = (last, first) if gap[settled[-1]] < 0 else (first, last)
            return f"{word}: {behind} is better up to about {_rounded(at):,} training rows, {ahead} beyond."
        if not len(settled):
            return f"{word}: no crossing between {low} and {high} rows; the two do not differ beyond their errors."
        better = first if gap[settled[-1]] > 0 else last
        return f"{word}: no crossing between {low} and {high} rows; {better} is better."

    def _gap(self, metric: Metric) -> tuple[np.ndarray, np.ndarray]:
        """How much better the first model is than the last at each size, and its paired standard error."""
        values = getattr(self, metric)
        apart = values[self.models[0]] - values[self.models[-1]]
        pairs = [_mean(row) for row in (apart if metric == "accuracy" else -apart)]
        return np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        lines = self.table.to_dict("records")
        return {
            "target": self.target,
            "held_out": self.held_out,
            "sizes": list(self.sizes),
            "models": list(self.models),
            "curve": [
                {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()} for row in lines
            ],
            "crossings": {m: self.crossing(m) for m in METRICS},
            "said": [self.sentence(m) for m in METRICS],
            "failures": list(self.failures),
        }

    def __str__(self) -> str:
        return " ".join(self.sentence(m) for m in METRICS)

    def plot(self, path: str | os.PathLike[str]) -> Path:
        """Two panels, a band of one standard error around each curve; the path written."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import NullFormatter, StrMethodFormatter

        figure = Figure(figsize=(9.5, 3.7), layout="constrained")
        FigureCanvasAgg(figure)
        table, inks = self.table, ("#2f5d8a", "#c28e2c", "#7b4b94", "#3a8f5c", "#8a8a8a")
        for axis, metric in zip(figure.subplots(1, 2), METRICS, strict=True):
            for ink, name in zip(inks * len(self.models), self.models, strict=False):
                part = table[(table.metric == metric) & (table.model == name)]
                axis.plot(part.rows, part["mean"], "o-", color=ink, markersize=4, linewidth=1.6, label=name)
                error = part.stderr.fillna(0.0)
                axis.fill_between(part.rows, part["mean"] - error, part["mean"] + error, color=ink, alpha=0.18, lw=0)
            at = self.crossing(metric)
            if at is not None:
                axis.axvline(at, color="#999999", linewidth=1, linestyle="--")
                axis.annotate(f"{_rounded(at):,} rows", (at, 1), xycoords=("data", "axes fraction"), xytext=(4, -10),
                              textcoords="offset points", fontsize=8, color="#666666")  # fmt: skip
            axis.set_xscale("log")
            tall = table.loc[table.metric == metric, "mean"].dropna()
            if metric == "log_loss" and len(tall) and tall.max() > 20 * tall.min() > 0:
                axis.set_yscale("log")
            axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
            axis.xaxis.set_minor_formatter(NullFormatter())
            title = {"accuracy": "Accuracy", "log_loss": "Log-loss, nats per row"}[metric]
            axis.set_title(title, loc="left", fontsize=11, fontweight="bold", color="#222222")
            axis.set_xlabel("training rows", loc="left", fontsize=9, color="#666666")
            axis.grid(color="#e4e4e4", linewidth=0.8)
            axis.tick_params(which="both", length=0, labelsize=9)
            axis.spines[:].set_visible(False)
        axis.legend(frameon=False, fontsize=9)
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=160, facecolor="white")
        return path


def learning_curve(
    X: Any,
    y: Any = None,
    *,
    sizes: Iterable[int] | None = None,
    repeats: int = 5,
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
    20,000 or all. models: mapping of name to unfitted estimators instead of the two; the first and the last are
    compared. The errors are those of the mean over repeats: of the training rows' draw, not of the held-out rows'.

    Raises DataError for a target that is not a class, sizes that are not between the number of classes and the number
    of training rows, and fewer than 2 repeats.
    """
    if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < 2:
        raise DataError(f"repeats is {repeats!r}; give at least 2, or there is no error to show")
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
                    found["accuracy"][name][s, r] = float((classes[log_p.argmax(1)] == truth).mean())
                    found["log_loss"][name][s, r] = loss = _log_loss(log_p, classes, truth)
                    if loss == math.inf:
                        failures[f"{name} on {size:,} rows gives a class that happened probability zero"] = None
                except Exception as error:
                    failures[f"{name} on {size:,} rows: {type(error).__name__}: {error}".splitlines()[0]] = None
            if progress is not None:
                progress((r + sum(wanted[: s + 1]) / sum(wanted)) / repeats)
    return LearningCurve(wanted, found["accuracy"], found["log_loss"], len(held), known.target, tuple(failures))


def _makers(models: Mapping[str, Any] | None, known: Table, seed: int) -> dict[str, Callable[[], Any]]:
    from sklearn.base import clone

    if models is not None:
        return {str(n): partial(clone, m) for n, m in models.items()}
    return {
        "naive Bayes": lambda: NaiveBayes(schema=known.schema, random_state=seed),
        "logistic regression": lambda: Twin("linear", classes=True, schema=known.schema, seed=seed),
    }


def _sizes(sizes: Iterable[int] | None, most: int, classes: int) -> tuple[int, ...]:
    least = max(2, classes)
    if sizes is None:
        top = min(most, LARGEST)
        start = min(max(SMALLEST, 2 * classes), top)
        count = max(2, min(10, 1 + round(3 * math.log10(top / start)))) if top > start else 1
        return tuple(sorted({round(v) for v in np.geomspace(start, top, count)}))
    made = sorted({int(s) for s in sizes})
    if not made or made[0] < least or made[-1] > most:
        raise DataError(f"sizes are {made}; give numbers from {least} (one row a class) to {most} (all training rows)")
    return tuple(made)


def _order(classes: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """All rows shuffled, with one row of every class at the front, so that every beginning of it has all classes."""
    order = draw.permutation(len(classes))
    first = np.unique(classes[order], return_index=True)[1]
    return np.concatenate([order[first], np.delete(order, first)])


def _log_loss(log_p: np.ndarray, classes: np.ndarray, truth: np.ndarray) -> float:
    right = np.full(len(truth), -math.inf)
    for k, name in enumerate(classes):
        right[truth == name] = log_p[truth == name, k]
    return float(-right.mean())


def _mean(values: np.ndarray) -> tuple[float, float, int]:
    """Mean, standard error and number of the repeats that were fitted; NaN where one of them is infinite."""
    there = values[~np.isnan(values)]
    if not len(there) or np.isinf(there).any():
        return math.nan, math.nan, len(there)
    error = float(np.std(there, ddof=1) / math.sqrt(len(there))) if len(there) > 1 else math.nan
    return float(there.mean()), error, len(there)


def _rounded(rows: float) -> int:
    """Two significant digits."""
    scale = 10 ** max(0, math.floor(math.log10(max(rows, 1))) - 1)
    return round(rows / scale) * scale
