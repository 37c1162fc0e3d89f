"""The estimator of naive Bayes: one joint P(Y) prod_j P(X_j | Y) of a table, and every question about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np
import torch
from torch import Generator, Tensor

from begat.codecs.levels import Missing, Unseen
from begat.codecs.source import TableSource
from begat.core import Batch, Region, Stats, all_finite
from begat.errors import BegatError, DataError, FileError
from begat.estimators import leaves, parameters, target, training
from begat.estimators import naive_bayes_file as file
from begat.estimators.base import Generative
from begat.estimators.linear import Linear, linear
from begat.estimators.offered import offered
from begat.estimators.store import Slot
from begat.families.naive_bayes import NaiveBayes as Model
from begat.fitting.counted import accumulate, by_rows
from begat.leaves.histogram import Histogram
from begat.leaves.part import Part
from begat.leaves.special import Special
from begat.random import Seed
from begat.schema import Schema

LIGHT = ("gaussian", "lognormal", "categorical", "bernoulli")
"""Leaves that need no more of the first rows than an origin."""
MOST_BINS = 32
"""Bins of a numeric target at most: the classes that nobody observes."""


class NaiveBayes(Generative):
    """Naive Bayes on any table: P(x, y) = P(y) prod_j P(x_j | y), by maximum likelihood; exact.

    Categories, counts, grids and special codes have mass, continuous columns density. Missing values are outcomes or
    unknown. A category as y makes a classifier; a numeric y is a column like the others, whose bins are the (summed
    out) class, and `predict` gives E[y | x]; without y it is the product of the columns' marginals.

    leaves: "auto" (per column, by held-out likelihood), one for all columns it suits, or {column: leaf} of gaussian,
    lognormal, kde, histogram, poisson, negative_binomial, multinomial, categorical, bernoulli. A leaf is a name or a
    pair (name, options): ("kde", {"bandwidth": "silverman", "scott", "likelihood" or a factor, "exact": bool}),
    ("histogram", {"bins": int}). alpha: pseudo-counts, a number or {column: number}: of each level and special code
    (categorical, bernoulli, multinomial: each column of the block), rows for each bin, spread as the whole column
    (histogram, calendar), rows at the column's mean (poisson, negative_binomial). var_smoothing: pseudo-rows of the
    column's variance in each class's (gaussian, lognormal), a number or {column: number}; 0 is maximum likelihood. A
    column that a mapping leaves out has 1. kde has neither. shared_variance: one variance for all classes
    (`to_linear` needs it). priors: None for the frequencies of y, "uniform", or the probabilities as a sequence or
    {class: p}. task: "auto", "classification", "regression" or "density" (y is ignored). missing: "outcome" or
    "unknown" (integrated out). unseen: what an undeclared level is after the fit, an "error" or "unknown" (integrated
    out, with a warning; `impute` replaces it). schema: a Schema (or a part of one) instead of the inferred one.
    random_state: kept for the interface; this fit draws nothing.

    Reference: Ng and Jordan (2001), On discriminative vs. generative classifiers, equations 1-2.
    """

    def __init__(
        self,
        *,
        leaves: str | tuple[str, Mapping[str, Any]] | Mapping[Any, Any] = "auto",
        alpha: float | Mapping[Any, float] = 1.0,
        var_smoothing: float | Mapping[Any, float] = 1.0,
        shared_variance: bool = False,
        priors: Any = None,
        task: str = "auto",
        missing: Missing = "outcome",
        unseen: Unseen = "error",
        schema: Schema | None = None,
        random_state: Seed = 0,
    ):
        self.leaves = leaves
        self.alpha = alpha
        self.var_smoothing = var_smoothing
        self.shared_variance = shared_variance
        self.priors = priors
        self.task = task
        self.missing = missing
        self.unseen = unseen
        self.schema = schema
        self.random_state = random_state

    model_: Model
    leaves_: dict[Any, str]
    rows_: float
    _stats: list[Stats] | None

    # fit ----------------------------------------------------------------------------------------------------------
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn the joint of X and y. X: a frame, an array, or a Source larger than memory (y is then a column's name).

        sample_weight: (n,) numbers of repetitions, not negative, of at most 2^53 together.
        """
        parameters.check(self)
        for name in [n for n in vars(self) if n.endswith("_") and not n.startswith("_")]:
            delattr(self, name)
        if isinstance(X, TableSource):
            return self._finish(*self._read(training.of_source(self, X, y, sample_weight)))
        X, given = training.framed(self, X)
        goal = target.split(X, y, self.task, given)
        floats = None if given is not None else training.of_floats(self, X, goal, sample_weight)
        if floats is not None:
            model, stats = self._read(floats)
            if all(all_finite(t) for s in stats for t in s.values()):
                return self._finish(model, stats)
        return self._finish(*self._read(training.of_table(self, X, goal, given, sample_weight)))

    def partial_fit(self, X: Any, y: Any = None, classes: Any = None, sample_weight: Any = None) -> Self:
        """Learn from more rows. The first call fixes schema, classes and leaves from its rows (and `classes`).

        With additive leaves (all but kde) and a schema given, the parts equal the fit of the whole to rounding; the
        edges of a histogram and a calendar are those of the first part, and equal only as far as it speaks for all.
        Later rows may not bring undeclared levels: give `schema=` where the first rows lack some.
        """
        if not hasattr(self, "model_"):
            parameters.check(self)
            X, given = training.framed(self, X)
            goal = target.split(X, y, self.task, given)
            return self._finish(*self._read(training.of_table(self, X, goal, given, sample_weight, classes)))
        X = self.border_.framed(X)
        before = self._stats
        if before is None:
            raise BegatError("a loaded model keeps no statistics to add to; fit it again, or keep the fitted object")
        y = target.split(X, y, self.role_, self.schema_).values
        rows = training.encoded(self.border_, X, y, sample_weight, self)
        try:
            return self._finish(self.model_, self._count(self.model_, [rows], before))
        except DataError:  # a fit is what it was before rows that it cannot learn from
            self._finish(self.model_, before)
            raise

    def _read(self, rows: training.Training) -> tuple[Model, list[Stats]]:
        """The model of leaves that the first rows choose, and the statistics of all."""
        self._set_out(rows.border)
        model = self._begin(rows.first, rows.rows)
        return model, self._count(model, rows.batches)

    def _begin(self, first: Batch, rows: int) -> Model:
        """Leaves chosen for so many rows, and what their statistics are relative to fixed, by some of the first."""
        if self.role_ == "regression":
            self.edges_ = target.quantiles(self.border_.numbers(first), MOST_BINS, first.weight)
        slots, states = self.border_.model.slots, self._states()
        wanted = leaves.settle(self.leaves, slots)
        light = all(wish.name in LIGHT for wish in wanted.values())
        picked = training.spaced(len(first), training.ORIGIN if light else training.SAMPLE)
        data, state = self._stated(first.rows(picked) if len(picked) < len(first) else first)
        how = leaves.How(
            {s.column.name: parameters.of(self.alpha, s.column.name) for s in slots},
            {s.column.name: parameters.of(self.var_smoothing, s.column.name) for s in slots},
            bool(self.shared_variance),
            {column: wish.options for column, wish in wanted.items()},
        )
        self.leaves_ = leaves.choose(slots, wanted, data, state, states, how, rows=rows)
        parts = [part for part, _ in leaves.group(self.leaves_, slots, states, how)]
        model = Model(self.border_.model.spec, parts, states)
        model.start(data, state)
        self._prior()  # what is none is refused now, not after a long fit
        return model

    def _count(self, model: Model, batches: Iterable[Batch], before: list[Stats] | None = None) -> list[Stats]:
        """The statistics of these rows, added to those before."""
        stats = accumulate(map(self._stated, batches), model.statistics, model.merge, before)
        assert stats is not None
        return stats

    def _stated(self, batch: Batch) -> tuple[Batch, Tensor]:
        """Rows without their class, and the class, or the bin of the numeric target, of each (n,)."""
        if self.role_ == "regression":
            return batch, torch.bucketize(self.border_.numbers(batch).contiguous(), self.edges_, right=True)
        if batch.cond is None:
            return batch, torch.zeros(len(batch), dtype=torch.long)
        return batch.having(cond=None), batch.cond

    def _states(self) -> int:
        if self.role_ == "classification":
            return len(self.classes_)
        return 1 if self.role_ == "density" else len(self.edges_) + 1

    def _prior(self) -> Tensor | None:
        """log P(y) as the person states it -> (K,); None where the rows say it."""
        if self.priors is None or self.role_ != "classification":
            return None
        return target.priors(self.priors, self.classes_).log()

    def _finish(self, model: Model, stats: list[Stats]) -> Self:
        """The fit that these statistics give."""
        rows = float(stats[0]["classes"].sum())
        if not rows > 0:
            raise DataError("all sample weights are zero; give at least one row a positive weight")
        model.maximise(stats)
        for part in model.parts:
            leaf = part.leaf.remainder if isinstance(part.leaf, Special) else part.leaf
            spread = leaf.scale.T if isinstance(leaf, Histogram) else getattr(leaf, "variance", ())
            for name, each in zip(self._names(part), spread, strict=False):
                if not all_finite(each):
                    raise DataError(f"column {name!r} has numbers whose squares overflow; give it in another unit")
        if (prior := self._prior()) is not None:
            model.log_prior = prior
        self.model_, self._stats, self.rows_ = model, stats, rows
        return self

    # what the base asks -------------------------------------------------------------------------------------------
    def _log_joint(self, batch: Batch) -> Tensor:
        return by_rows(self.model_.joint, batch)

    def _log_posterior(self, batch: Batch) -> Tensor:
        return by_rows(self.model_.posterior, batch)

    def _draw(self, n: int, rng: Generator) -> Batch:
        return self.model_.sample(n, generator=rng)

    def _complete(self, batch: Batch, regions: Mapping[Any, Region], rng: Generator) -> Batch:
        where, target = self._places(), self.schema_.target
        allowed = regions[target].codes if self.role_ == "classification" and target in regions else None
        inside = {where[name]: region for name, region in regions.items() if name in where}
        return self.model_.impute(batch, inside, allowed, generator=rng)

    def _names(self, part: Part) -> list[Any]:
        """The columns that a part of the model scores, in its order."""
        slots = self.border_.model.slots
        values = {s.value: s.column.name for s in slots if s.value is not None}
        codes = {s.code: s.column.name for s in slots if s.value is None}
        return [values[i] for i in part.values] or [codes[i] for i in part.codes]

    def _places(self) -> dict[Any, tuple[int, int]]:
        """Which part of the model scores a column, and as its how-manieth."""
        return {name: (p, d) for p, part in enumerate(self.model_.parts) for d, name in enumerate(self._names(part))}

    def _surprise(self, batch: Batch) -> dict[Any, np.ndarray]:
        nothing = torch.empty(0, len(batch), dtype=torch.float64)  # where no column is scored
        rows = iter(
            by_rows(lambda b: torch.cat([nothing[:, : len(b)], *(s for _, s in self.model_.surprise(b))]), batch)
        )
        each = [[next(rows) for _ in range(part.leaf.columns)] for part in self.model_.parts]
        out = {
            name: np.where(self.model_.parts[p].known(batch, d).numpy(), each[p][d].numpy(), np.nan)
            for name, (p, d) in self._places().items()
        }
        if batch.cond is not None:
            log_p = self._log_posterior(batch.having(cond=None))
            out[self.schema_.target] = -log_p.gather(0, batch.cond[None])[0].numpy()
        return out

    def _expected(self, batch: Batch) -> Tensor:
        return self._log_posterior(batch).exp_().T @ self._means()

    def _means(self) -> Tensor:
        """E[y | bin] of the numeric target in encoded numbers -> (K,)."""
        column = self.schema_[self.schema_.target]
        p, d = self._places()[column.name]
        leaf = self.model_.parts[p].leaf
        if not isinstance(leaf, Special):
            mean = leaf.mean()[d]
        else:
            share = leaf.codes.table(d).exp()[: 1 + len(column.atoms)]
            atoms = torch.from_numpy(column.encoded(np.array(column.atoms)))[:, None].expand(-1, share.shape[1])
            mean = (share * torch.cat([leaf.mean()[d][None], atoms])).sum(0) / share.sum(0)
        return mean

    @offered("classification")
    def to_linear(self) -> Linear:
        """The linear predictor that this model is: log P(y | x) = intercept_y + coefficient_y . features(x) + c(x)."""
        return linear(
            self.model_, self.border_.model, self.classes_, lambda X: self._encode(X, ignore_target=True).batch
        )

    # one file -----------------------------------------------------------------------------------------------------
    def _describe(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        return file.describe(self)

    @classmethod
    def _layout(cls, header: Mapping[str, Any], columns: int) -> dict[str, Slot]:
        return file.layout(header["model"], columns)

    def _restore(self, model: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        self.model_ = file.restored(model, tensors, self.border_.model)
        self.leaves_, self.rows_, self._stats = dict(map(tuple, model["leaves"])), model["rows"], None
        if self.role_ == "regression":
            self.edges_ = tensors["edges"]
        if self.model_.classes != self._states():
            raise FileError(f"the file has {self.model_.classes} states, its target calls for {self._states()}")

    def _contains(self) -> dict[str, Any]:
        return self._held if self._stats is None else file.contains(self, self._stats)
