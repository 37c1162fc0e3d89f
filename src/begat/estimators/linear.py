"""Naive Bayes as a linear classifier: the generative half of the pair with logistic regression."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from begat.codecs.table import TableCodec
from begat.core import Batch
from begat.errors import BegatError
from begat.families.naive_bayes import NaiveBayes
from begat.leaves.categorical import Categorical
from begat.leaves.counts import Poisson
from begat.leaves.gaussian import Gaussian
from begat.leaves.multinomial import Multinomial
from begat.leaves.part import Part
from begat.leaves.special import Special


@dataclass(frozen=True)
class Linear:
    """log P(y = k | x) = intercept_k + sum_f coefficient_kf feature_f(x) + c(x), c the same for every class.

    coefficient: (K, F); intercept: (K,); classes: (K,); features: F names, "column" for a number and "column=level"
    for the indicator of a level or of a special code; design(X): their values for rows of X, (n, F). Differences of
    two rows are log-odds, in nats.
    """

    coefficient: np.ndarray
    intercept: np.ndarray
    classes: np.ndarray
    features: tuple[str, ...]
    design: Callable[[Any], np.ndarray]

    def log_odds(self) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (K - 1, F) and intercepts (K - 1,) of log P(y = k | x) / P(y = first class | x)."""
        return self.coefficient[1:] - self.coefficient[0], self.intercept[1:] - self.intercept[0]


def linear(model: NaiveBayes, codec: TableCodec, classes: np.ndarray, encode: Callable[[Any], Batch]) -> Linear:
    """The linear predictor of a fitted model, from the natural parameters of its leaves.

    Categorical and Bernoulli leaves give one coefficient a level, log P(level | k); Gaussians whose variance all
    classes share give (mean_k - origin) / variance and a constant; Poisson counts give log rate_k, and the counts of a
    multinomial, whose total all classes share, log theta_kd.
    """
    intercept = model.log_prior.clone()
    rows: list[Tensor] = []
    names: list[str] = []
    for part in model.parts:
        columns = _columns(part, codec)
        codes = part.leaf.codes if isinstance(part.leaf, Special) else part.leaf
        if isinstance(codes, Categorical):
            for d, column in enumerate(columns):
                words = _words(column)
                rows.extend(codes.table(d))
                names.extend(f"{column.name}={word}" for word in words)
        value = part.leaf.remainder if isinstance(part.leaf, Special) else part.leaf
        if isinstance(value, Categorical):
            continue
        slope, constant = _slope(value, [str(c.name) for c in columns])
        left = part.leaf.log_left() if isinstance(part.leaf, Special) else None
        constant = constant if left is None else constant - left  # atoms are taken out of the remainder's mass
        for d, column in enumerate(columns):
            grid = column.grid
            scale, shift = (
                (1.0, 0.0) if grid is None else (10.0**grid.decimals / grid.multiple, -grid.offset / grid.multiple)
            )
            rows.append(slope[d] * scale)
            names.append(str(column.name))
            offset = constant[d] + slope[d] * shift
            if isinstance(part.leaf, Special):
                # The number counts only where the special code says "remainder": its constant joins that code.
                at = names.index(f"{column.name}={_words(column)[0]}")
                rows[at] = rows[at] + offset
            else:
                intercept = intercept + offset
    coefficient = torch.stack(rows, 1) if rows else torch.zeros(len(classes), 0, dtype=torch.float64)
    return Linear(
        coefficient.numpy(), intercept.numpy(), classes, tuple(names), lambda X: _design(model, codec, encode(X))
    )


def _design(model: NaiveBayes, codec: TableCodec, batch: Batch) -> np.ndarray:
    """The features of encoded rows, in their order -> (n, F); an unknown level has zeros, which add nothing.

    BegatError for an unknown number: its column's constant would stay behind in the intercept.
    """
    out: list[Tensor] = []
    for part in model.parts:
        for d, column in enumerate(_columns(part, codec)):
            if part.codes:
                hot = torch.nn.functional.one_hot(batch.x[1][:, part.codes[d]].long(), column.codes).double()
                out.append(hot * part.known(batch, d)[:, None])
        for d, column in enumerate(_columns(part, codec) if part.values else ()):
            number = torch.from_numpy(np.asarray(column.decoded(batch.x[0][:, part.values[d]].double().numpy())))
            mask = None if batch.known[0] is None else batch.known[0][:, part.values[d]]
            if mask is not None and not part.codes and not mask.all():
                raise BegatError(
                    f"column {column.name!r}, row {int((~mask).nonzero()[0, 0])}: the number is not known, and the "
                    "linear predictor needs all numbers; fill it (impute), or ask predict_log_proba"
                )
            out.append((number if mask is None else number * mask)[:, None])
    return torch.cat(out, 1).numpy()


def _columns(part: Part, codec: TableCodec) -> list[Any]:
    by_value = {s.value: s.column for s in codec.slots if s.value is not None}
    by_code = {s.code: s.column for s in codec.slots if s.value is None}
    return [by_value[i] for i in part.values] or [by_code[i] for i in part.codes]


def _words(column: Any) -> list[str]:
    """What each code of a column stands for."""
    first = [str(v) for v in column.levels] if column.coded else ["(number)", *(f"{a:g}" for a in column.atoms)]
    return [*first, "(missing)"] if column.missing else first


def _slope(leaf: Any, names: list[str]) -> tuple[Tensor, Tensor]:
    """Slope and constant of log p(x | k) in x, (D, K) each, up to terms that all classes share."""
    if isinstance(leaf, Gaussian):
        if not torch.equal(leaf.variance, leaf.variance[:, :1].expand_as(leaf.variance)):
            raise BegatError(
                f"the Gaussian of column {names[0]!r} has a variance for each class, which is quadratic, not linear; "
                "fit with shared_variance=True"
            )
        origin, constant, slope, _ = leaf.natural()
        return slope, constant - slope * origin[:, None]
    if isinstance(leaf, Poisson):
        slope = leaf.rate.log()
        return slope, -leaf.rate - slope * leaf.first[:, None] - leaf.log_normaliser()
    if isinstance(leaf, Multinomial):
        return leaf.log_theta, torch.zeros_like(leaf.log_theta)
    raise BegatError(
        f"the {type(leaf).__name__} leaf of column {names[0]!r} is not linear in the column; fit with "
        "leaves='gaussian' and shared_variance=True"
    )
