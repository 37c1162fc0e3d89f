"""The estimator of naive Bayes: one joint P(Y) prod_j P(X_j | Y) of a table, and every question about it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from torch import Generator, Tensor

from begat.codecs import frame
from begat.codecs.infer import infer_column
from begat.codecs.levels import Missing, Unseen
from begat.codecs.source import TableSource
from begat.codecs.table import shared
from begat.core import Batch, Region, Stats, all_finite
from begat.errors import BegatError, DataError, FileError, did_you_mean
from begat.estimators import leaves, target
from begat.estimators import naive_bayes_file as file
from begat.estimators.base import Generative, offered
from begat.estimators.border import weights
from begat.estimators.linear import Linear, linear
from begat.estimators.store import Slot
from begat.estimators.wish import wishes
from begat.families.naive_bayes import NaiveBayes as Model
from begat.fitting.counted import accumulate, by_rows
from begat.leaves.special import Special
from begat.random import Seed
from begat.schema import Schema

SAMPLE = 20_000
"""Rows, evenly spaced over the table, that fix what leaves are relative to and choose among them."""
ORIGIN = 2048
"""Rows that suffice where all leaves are LIGHT: all they need is an origin."""
LIGHT = ("gaussian", "lognormal", "categorical", "bernoulli")
CHUNK = 65_536
"""Rows read at a time from a source that is not in memory."""
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

        sample_weight: (n,) numbers of repetitions, not negative.
        """
        self._check_parameters()
        self._forget()
        if isinstance(X, TableSource):
            return self._fit_source(X, y, sample_weight)
        X = frame.as_frame(X)
        wanted, name = target.split(X, y, self.task, self._given_schema())
        if self._fit_at_once(X, wanted, name, sample_weight):
            return self
        self._prepare(X, wanted, name)
        data, state = self._training(X, wanted.values, sample_weight)
        self._begin(data, state, len(data))
        return self._finish(accumulate([(data, state)], self.model_.statistics, self.model_.merge))

    def _fit_at_once(self, X: Any, wanted: target.Target, name: Any, sample_weight: Any) -> bool:
        """Gaussians of a large array of floats in one walk through it, without a look for what is missing first.

        A number that is missing or infinite shows in the sums; then the answer is False and nothing was learnt.
        """
        plain = isinstance(X, np.ndarray) and X.dtype in (np.float32, np.float64) and min(X.strides) > 0
        if not (plain and X.dtype.isnative and self.schema is None and self.leaves == "gaussian" and len(X) > SAMPLE):
            return False
        picked = _spaced(len(X), ORIGIN)
        few = X[picked.numpy()]
        if wanted.role == "regression" or not np.isfinite(few).all():
            return False
        self._prepare(few, wanted, name)
        self.schema_ = replace(self.schema_, columns=tuple(replace(c, seen=None) for c in self.schema_.columns))
        none = torch.empty((len(X), 0), dtype=torch.int32)
        weight = None if sample_weight is None else weights(sample_weight, len(X))
        data = Batch((shared(X), none), (None, None), weight=weight)
        labelled = wanted.role == "classification"
        state = self.border_.labels(wanted.values, len(X)) if labelled else torch.zeros(len(X), dtype=torch.long)
        begin = Batch(
            (torch.from_numpy(few), none[:ORIGIN]), (None, None), weight=None if weight is None else weight[picked]
        )
        self._begin(begin, state[picked], len(X))
        stats = accumulate([(data, state)], self.model_.statistics, self.model_.merge)
        assert stats is not None
        if not all(all_finite(t) for s in stats for t in s.values()):
            return False
        self._finish(stats)
        return True

    def partial_fit(self, X: Any, y: Any = None, classes: Any = None, sample_weight: Any = None) -> Self:
        """Learn from more rows. The first call fixes schema, classes and leaves from its rows (and `classes`).

        With additive leaves (all but kde) and a schema given, the parts equal the fit of the whole to rounding; the
        edges of a histogram and a calendar are those of the first part, and equal only as far as it speaks for all.
        Later rows may not bring undeclared levels: give `schema=` where the first rows lack some.
        """
        if hasattr(self, "model_") and self._stats is None:
            raise BegatError("a loaded model keeps no statistics to add to; fit it again, or keep the fitted object")
        X = frame.as_frame(X)
        if not hasattr(self, "model_"):
            self._check_parameters()
            wanted, name = target.split(X, y, self.task, self._given_schema())
            self._prepare(X, wanted, name, classes)
            data, state = self._training(X, wanted.values, sample_weight)
            self._begin(data, state, len(data))
            return self._finish(accumulate([(data, state)], self.model_.statistics, self.model_.merge))
        values = target.split(X, y, self.role_, self.schema_)[0].values
        data, state = self._training(X, values, sample_weight)
        return self._finish(accumulate([(data, state)], self.model_.statistics, self.model_.merge, self._stats))

    def _fit_source(self, source: TableSource, y: Any, sample_weight: Any) -> Self:
        from begat.codecs.scan import scan

        if sample_weight is not None:
            raise DataError("a source that is read in pieces takes no sample_weight; fit a frame in memory")
        if y is not None and not isinstance(y, str | int):
            raise DataError("for a source that is read in pieces, y is the name of one of its columns")
        given = self._given_schema()
        whole = given is not None and all(column.complete for column in given)
        schema = given if given is not None and whole else scan(source, schema=given, target=y)
        source = source.typed(schema)
        first = frame.as_frame(source.take(_spaced(len(source)).tolist()))
        wanted, name = target.split(first, y, self.task, schema)
        self._prepare(first, wanted, name, schema=schema)
        data, state = self._training(first, wanted.values, None)
        self._begin(data, state, len(source))

        def batches() -> Iterator[tuple[Batch, Tensor]]:
            for raw in source.chunks(CHUNK):
                piece = frame.as_frame(raw)
                values = None if name is None else frame.column(piece, frame.names(piece).index(name))
                yield self._training(piece, values, None)

        return self._finish(accumulate(batches(), self.model_.statistics, self.model_.merge))

    def _forget(self) -> None:
        for name in [n for n in vars(self) if n.endswith("_") and not n.startswith("_")]:
            delattr(self, name)

    def _check_parameters(self) -> None:
        for name, options in (
            ("task", ("auto", "classification", "regression", "density")),
            ("missing", ("outcome", "unknown")),
            ("unseen", ("error", "unknown")),
        ):
            if getattr(self, name) not in options:
                raise BegatError(f"{name} is {getattr(self, name)!r}{did_you_mean(getattr(self, name), options)}")
        for name in ("alpha", "var_smoothing"):
            said = getattr(self, name)
            for value in said.values() if isinstance(said, Mapping) else (said,):
                number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
                if not number or not 0 <= value < math.inf:
                    raise BegatError(f"{name} is {value!r}; give a finite number, at least 0")
        wishes(self.leaves, ())

    def _given_schema(self) -> Schema | None:
        return Schema.from_dict(self.schema) if isinstance(self.schema, Mapping) else self.schema

    def _prepare(
        self, X: Any, wanted: target.Target, name: Any, classes: Any = None, schema: Schema | None = None
    ) -> None:
        """The schema of this fit, and what follows from it."""
        given = schema if schema is not None else self._given_schema()
        names = [n for n in frame.names(X) if n != name]
        for each in ("leaves", "alpha", "var_smoothing"):
            for key in said if isinstance(said := getattr(self, each), Mapping) else ():
                if key not in names and key != name:
                    raise BegatError(f"{each} names a column {key!r} that X lacks{did_you_mean(key, names)}")
        kinds = leaves.forced_kinds(self.leaves, names) if given is None else {}
        known = given is not None and name in given.names and given[name].complete
        if wanted.role == "classification" and not known:
            kinds[name] = "category"
        if wanted.role == "regression":
            column = given[name] if given is not None and known else infer_column(name, wanted.values, target=True)
            if not column.numeric:
                kinds[name] = target.number_kind(column)
        made = target.schema_of(X, wanted, name, given, kinds, classes)
        if self.missing == "unknown":
            # That a value is missing is then no event: it has no probability, and no sample shows it.
            made = replace(made, columns=tuple(replace(c, missing=c.coded and not c.levels) for c in made.columns))
        self._set_out(made, wanted.role, wanted.named)
        if wanted.role == "classification" and not len(self.classes_):
            raise DataError(f"the target {name!r} has no class; give y at least one value")

    def _training(self, X: Any, y: Any, sample_weight: Any) -> tuple[Batch, Tensor]:
        """The rows as the model sees them and the class, or the bin, of each."""
        encoded = self.border_.encode(X, None if self.named_ else y, missing=self.missing, unseen="error")
        batch = encoded.batch
        if encoded.possible is not None and not bool(encoded.possible.all()):
            row = int((~encoded.possible).nonzero()[0, 0])
            raise DataError(
                f"row {row} has a number outside its column's stated bounds or off its grid; widen the schema"
            )
        if sample_weight is not None:
            batch = batch.having(weight=weights(sample_weight, len(batch)))
        if self.role_ == "classification":
            assert batch.cond is not None
            return batch.having(cond=None), batch.cond
        if self.role_ == "density":
            return batch, torch.zeros(len(batch), dtype=torch.long)
        numbers = self.border_.numbers(batch)
        if not hasattr(self, "edges_"):
            self.edges_ = target.quantiles(numbers, MOST_BINS, batch.weight)
        return batch, torch.bucketize(numbers.contiguous(), self.edges_, right=True)

    def _begin(self, data: Batch, state: Tensor, rows: int) -> None:
        """Choose the leaves of so many rows and fix what their statistics are relative to, by some of them."""
        slots, states = self.border_.model.slots, self._states()
        wanted = leaves.settle(self.leaves, slots)
        picked = _spaced(len(data), ORIGIN if all(w.name in LIGHT for w in wanted.values()) else SAMPLE)
        if len(picked) < len(data):
            data, state = data.rows(picked), state[picked]
        how = leaves.How(
            {s.column.name: _of(self.alpha, s.column.name) for s in slots},
            {s.column.name: _of(self.var_smoothing, s.column.name) for s in slots},
            bool(self.shared_variance),
            {column: wish.options for column, wish in wanted.items()},
        )
        self.leaves_ = leaves.choose(slots, wanted, data, state, states, how, rows=rows)
        parts = [part for part, _ in leaves.group(self.leaves_, slots, states, how)]
        self.model_ = Model(self.border_.model.spec, parts, states)
        self.model_.start(data, state)
        self._stats = None

    def _states(self) -> int:
        if self.role_ == "classification":
            return len(self.classes_)
        return 1 if self.role_ == "density" else len(self.edges_) + 1

    def _finish(self, stats: list[Stats] | None) -> Self:
        assert stats is not None
        self._stats, self.rows_ = stats, float(stats[0]["classes"].sum())
        if not self.rows_ > 0:
            raise DataError("all sample weights are zero; give at least one row a positive weight")
        self.model_.maximise(stats)
        for name, (p, d) in self._places().items():
            leaf = self.model_.parts[p].leaf
            variance = getattr(leaf.remainder if isinstance(leaf, Special) else leaf, "variance", None)
            if variance is not None and not all_finite(variance[d]):
                raise DataError(f"column {name!r} has numbers whose squares overflow; give it in another unit")
        if self.priors is not None and self.role_ == "classification":
            self.model_.log_prior = target.priors(self.priors, self.classes_).log()
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

    def _places(self) -> dict[Any, tuple[int, int]]:
        """Which part of the model scores a column, and as its how-manieth."""
        values = {s.value: s.column.name for s in self.border_.model.slots if s.value is not None}
        codes = {s.code: s.column.name for s in self.border_.model.slots if s.value is None}
        return {
            name: (p, d)
            for p, part in enumerate(self.model_.parts)
            for d, name in enumerate([values[i] for i in part.values] or [codes[i] for i in part.codes])
        }

    def _surprise(self, batch: Batch) -> dict[Any, np.ndarray]:
        rows = iter(by_rows(lambda piece: torch.cat([s for _, s in self.model_.surprise(piece)]), batch).numpy())
        each = [[next(rows) for _ in range(part.leaf.columns)] for part in self.model_.parts]
        out = {
            name: np.where(self.model_.parts[p].known(batch, d).numpy(), each[p][d], np.nan)
            for name, (p, d) in self._places().items()
        }
        if batch.cond is not None:
            log_p = self._log_posterior(batch.having(cond=None))
            out[self.schema_.target] = -log_p.gather(0, batch.cond[None])[0].numpy()
        return out

    @offered("classification", "regression")
    def predict(self, X: Any) -> np.ndarray:
        """The most probable class argmax_y P(y | x) (maximum a posteriori), or E[y | x] of a numeric target -> (n,)."""
        log_p = self._posterior(X)
        if self.role_ == "classification":
            return self.classes_[log_p.argmax(0).numpy()]
        return (log_p.exp_().T @ self._expected()).numpy()

    def _expected(self) -> Tensor:
        """E[y | bin] of the numeric target in its own numbers -> (K,)."""
        column = self.schema_[self.schema_.target]
        p, d = self._places()[column.name]
        leaf = self.model_.parts[p].leaf
        if not isinstance(leaf, Special):
            mean = leaf.mean()[d]
        else:
            share = leaf.codes.table(d).exp()[: 1 + len(column.atoms)]
            atoms = torch.from_numpy(column.encoded(np.array(column.atoms)))[:, None].expand(-1, share.shape[1])
            mean = (share * torch.cat([leaf.mean()[d][None], atoms])).sum(0) / share.sum(0)
        return torch.from_numpy(column.decoded(mean.numpy()))

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


def _of(said: Any, column: Any) -> float:
    """A parameter's value for a column: one for all, or its own, 1 where it has none."""
    return float(said.get(column, 1.0) if isinstance(said, Mapping) else said)


def _spaced(n: int, most: int = SAMPLE) -> Tensor:
    """At most `most` row numbers, evenly spaced from the first to the last."""
    return torch.linspace(0, n - 1, min(n, most), dtype=torch.float64).round().long()
