"""A learning curve: figures by training size with errors that count both chances, and where two models cross."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from begat.compare.plot import saved

if TYPE_CHECKING:
    import pandas as pd

RATE = 0.05
"""The probability, at most, that a curve calls two equal models different at any of its sizes."""
Metric = Literal["accuracy", "log_loss"]
METRICS: tuple[Metric, ...] = ("accuracy", "log_loss")
UNITS = {"accuracy": "share of rows", "log_loss": "nats per row"}


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """accuracy, log_loss: by model, (sizes, repeats) figures on the same held-out rows; NaN where a fit failed,
    infinite where a class that happened was given probability zero.

    rows: by metric and model, (sizes, held-out rows), each held-out row's figure averaged over the repeats. sizes:
    numbers of training rows, each drawn from the same `pool` rows. failures: what could not be fitted.

    Standard errors count two chances: which rows were learnt from and which were held out,
    Var = s^2 (1/R + f / (1 - f)) + v / n. s^2: variance over the R repeats. f = size / pool: two repeats share that
    part of their rows, so they are correlated by f and their spread alone is too small (exact for figures that are
    sums over training rows; Nadeau and Bengio, 2003, Inference for the generalization error, section 3, has the same
    correction for test rows). v: variance over the n held-out rows.
    """

    sizes: tuple[int, ...]
    accuracy: Mapping[str, np.ndarray]
    log_loss: Mapping[str, np.ndarray]
    rows: Mapping[Metric, Mapping[str, np.ndarray]]
    pool: int
    target: str | int
    failures: tuple[str, ...] = ()

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(self.accuracy)

    @property
    def held_out(self) -> int:
        """How many rows the models are judged by."""
        return self.rows["accuracy"][self.models[0]].shape[1]

    @property
    def table(self) -> pd.DataFrame:
        """One line for each size, model and metric: mean, standard error, unit and number of repeats."""
        import pandas as pd

        lines = []
        for metric in METRICS:
            for name, values in getattr(self, metric).items():
                for k, size in enumerate(self.sizes):
                    row = self.rows[metric][name][k]
                    high = 1.0 if metric == "accuracy" else float(np.max(row))
                    mean, error, _ = self._estimate(k, values[k], row, (0.0, high))
                    lines.append((size, name, metric, mean, error, UNITS[metric], int((~np.isnan(values[k])).sum())))
        return pd.DataFrame(lines, columns=["rows", "model", "metric", "mean", "stderr", "unit", "repeats"])

    def gap(self, metric: Metric) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """How much better the first model is than the last, its paired standard error, and whether it is settled.

        Settled: beyond the quantile of Student's t (Welch and Satterthwaite's degrees of freedom) at RATE shared by all
        sizes (Bonferroni). (sizes,) each; NaN where a model failed or gave a class that happened probability zero.
        """
        from scipy.stats import t

        values, rows = getattr(self, metric), self.rows[metric]
        first, last, sign = self.models[0], self.models[-1], 1.0 if metric == "accuracy" else -1.0
        gap, error, settled = np.full(len(self.sizes), math.nan), np.full(len(self.sizes), math.nan), []
        for k in range(len(self.sizes)):
            with np.errstate(invalid="ignore"):
                apart, row = (sign * (v[first][k] - v[last][k]) for v in (values, rows))
            far = float(np.max(np.abs(row)))
            gap[k], error[k], freedom = self._estimate(k, apart, row, (-far, far))
            settled.append(abs(gap[k]) > t.ppf(1 - RATE / (2 * len(self.sizes)), freedom) * error[k])
        return gap, error, np.array(settled)

    def _estimate(
        self, k: int, values: np.ndarray, row: np.ndarray, ends: tuple[float, float]
    ) -> tuple[float, float, float]:
        """Mean, standard error and its degrees of freedom of the repeats (R,) that were fitted; NaN where infinite.

        One more row at each of the `ends` keeps the error of few rows that are all alike above zero (Laplace).
        """
        there = values[~np.isnan(values)]
        if not len(there) or not np.isfinite(there).all():
            return math.nan, math.nan, math.nan
        if len(there) < 2:
            return float(there.mean()), math.nan, math.nan
        repeats, n, shared = len(there), len(row), self.sizes[k] / self.pool
        drawn = float(np.var(there, ddof=1)) * (1 / repeats + shared / (1 - shared))
        judged = float(np.var(np.append(row, ends))) / n
        whole = drawn + judged
        parts = drawn**2 / (repeats - 1) + judged**2 / n
        return float(there.mean()), math.sqrt(whole), whole**2 / parts if parts > 0 else math.inf

    # conclusions --------------------------------------------------------------------------------------------------
    def crossing(self, metric: Metric) -> float | None:
        """Training rows at which the last model overtakes the first for good, or falls behind it; None if neither.

        Between the last two sizes at which the gap is settled for different models the zero is interpolated in the
        logarithm of the size.
        """
        gap, _, settled = self.gap(metric)
        turns = [(a, b) for a, b in pairwise(np.flatnonzero(settled)) if gap[a] * gap[b] < 0]
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
        gap, _, settled = self.gap(metric)
        low, high = f"{self.sizes[0]:,}", f"{self.sizes[-1]:,}"
        at = self.crossing(metric)
        where = np.flatnonzero(settled)
        if at is not None:
            ahead, behind = (last, first) if gap[where[-1]] < 0 else (first, last)
            return f"{word}: {behind} is better up to about {rounded(at):,} training rows, {ahead} beyond."
        if not len(where):
            return f"{word}: no crossing between {low} and {high} rows; the two do not differ beyond their errors."
        better = first if gap[where[-1]] > 0 else last
        scope = ""
        if not settled.all():
            begin, end, whole = where[0], where[-1], where[-1] - where[0] + 1 == len(where)
            scope = f" beyond the errors at {len(where)} of {len(settled)} sizes"
            if whole and end == len(settled) - 1:
                scope = f" from {self.sizes[begin]:,} rows on, not beyond the errors before"
            elif whole and begin == 0:
                scope = f" up to {self.sizes[end]:,} rows, not beyond the errors after"
        return f"{word}: no crossing between {low} and {high} rows; {better} is better{scope}."

    def __str__(self) -> str:
        return " ".join(self.sentence(m) for m in METRICS)

    # files --------------------------------------------------------------------------------------------------------
    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        lines = self.table.to_dict("records")
        return {
            "target": self.target,
            "held_out": self.held_out,
            "pool": self.pool,
            "sizes": list(self.sizes),
            "models": list(self.models),
            "curve": [
                {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()} for row in lines
            ],
            "crossings": {m: self.crossing(m) for m in METRICS},
            "said": [self.sentence(m) for m in METRICS],
            "failures": list(self.failures),
        }

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
                axis.annotate(f"{rounded(at):,} rows", (at, 1), xycoords=("data", "axes fraction"), xytext=(4, -10),
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
        return saved(figure, path)


def rounded(rows: float) -> int:
    """Two significant digits."""
    scale = 10 ** max(0, math.floor(math.log10(max(rows, 1))) - 1)
    return round(rows / scale) * scale
