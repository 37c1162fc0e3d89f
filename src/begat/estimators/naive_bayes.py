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
from begat.codecs.levels import Missing
from begat.codecs.table import TableCodec, shared
from begat.core import Batch, Region, Stats, all_finite
from begat.errors import BegatError, DataError, FileError, did_you_mean
from begat.estimators import leaves, target
from begat.estimators.base import Generative, offered
from begat.estimators.border import weights
from begat.estimators.linear import Linear, linear
from begat.estimators.store import Slot
from begat.families.naive_bayes import NaiveBayes as Model
from begat.fitting.counted import accumulate, by_rows
from begat.leaves.categorical import Categorical
from begat.leaves.part import Part
from begat.leaves.registry import build, describe
from begat.leaves.special import Special
from begat.random import Seed
from begat.schema import Schema

SAMPLE = 20_000
"""Rows, evenly spaced over the table, that fix what leaves are relative to and choose among them."""
ORIGIN = 2048
"""Rows that fix the origin of a fit by Gaussians alone."""
CHUNK = 65_536
"""Rows read at a time from a source that is not in memory."""
MOST_BINS = 32
"""Bins of a numeric target at most; min(this, n^(1/3)) of equal weight are the classes that nobody observes."""


class NaiveBayes(Generative):
    """Naive Bayes on any table: P(x, y) = P(y) prod_j P(x_j | y), by maximum likelihood; exact.

    Categories, counts, grids and special codes have mass, continuous columns density. Missing values are outcomes or
    unknown. A category as y makes a classifier; a numeric y is a column like the others, whose bins are the (summed
    out) class, and `predict` gives E[y | x]; without y it is the product of the columns' marginals.

    leaves: "auto" (per column, by held-out likelihood), one name for all columns it suits, or {column: name} of
    gaussian, lognormal, kde, histogram, poisson, negative_binomial, multinomial, categorical, bernoulli.
    alpha: pseudo-count of each level, a number or {column: number}. var_smoothing: pseudo-rows of the column's variance
    in each class's (gaussian, lognormal); 0 is maximum likelihood. shared_variance: one variance for all classes
    (`to_linear` needs it). priors: None for the frequencies of y, "uniform", or the probabilities as a sequence or
    {class: p}. task: "auto", "classification", "regression" or "density" (y is ignored). missing: "outcome" or
    "unknown" (integrated out). schema: a Schema (or a part of one) instead of the inferred one. random_state: kept for
    the interface; this fit draws nothing.

    Reference: Ng and Jordan (2001), On discriminative vs. generative classifiers, equations 1-2.
    """

    def __init__(
        self,
        *,
        leaves: str | Mapping[Any, str] = "auto",
        alpha: float | Mapping[Any, float] = 1.0,
        var_smoothing: float = 1.0,
        shared_variance: bool = False,
        priors: Any = None,
        task: str = "auto",
        missing: Missing = "outcome",
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
        if hasattr(X, "chunks"):
            return self._fit_source(X, y)
        X = frame.as_frame(X)
        wanted, name = target.split(X, y, self.task, self._given_schema())
        if self._fit_at_once(X, wanted, name, sample_weight):
            return self
        self._prepare(X, wanted, name)
        data, state = self._training(X, wanted.values, sample_weight)
        picked = _spaced(len(data))
        self._begin(data.rows(picked) if len(picked) < len(data) else data, state[picked], len(data))
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
        state = torch.zeros(len(X), dtype=torch.long)
        if wanted.role == "classification":
            state = self.border_.encode_target(wanted.values, len(X)).batch.x[1][:, 0].long()
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

        With additive leaves (all but kde) and a schema given, parts in any order equal the fit of the whole to
        rounding. Later rows may not bring undeclared levels: give `schema=` where the first rows lack some.
        """
        if hasattr(self, "model_") and self._stats is None:
            raise BegatError("a loaded model keeps no statistics to add to; fit it again, or keep the fitted object")
        X = frame.as_frame(X)
        if not hasattr(self, "model_"):
            self._check_parameters()
            wanted, name = target.split(X, y, self.task, self._given_schema())
            self._prepare(X, wanted, name, classes)
            data, state = self._training(X, wanted.values, sample_weight)
            self._begin(data.rows(_spaced(len(data))), state[_spaced(len(data))], len(data))
            return self._finish(accumulate([(data, state)], self.model_.statistics, self.model_.merge))
        values = target.split(X, y, self.role_, self.schema_)[0].values
        data, state = self._training(X, values, sample_weight)
        return self._finish(accumulate([(data, state)], self.model_.statistics, self.model_.merge, self._stats))

    def _fit_source(self, source: Any, y: Any) -> Self:
        from begat.codecs.scan import scan

        if y is not None and not isinstance(y, str | int):
            raise DataError("for a source that is read in pieces, y is the name of one of its columns")
        given = self._given_schema()
        whole = given is not None and all(column.complete for column in given)
        schema = given if given is not None and whole else scan(source, schema=given, target=y)
        source = source.typed(schema) if hasattr(source, "typed") else source
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
        ):
            if getattr(self, name) not in options:
                raise BegatError(f"{name} is {getattr(self, name)!r}{did_you_mean(getattr(self, name), options)}")
        smoothing = list(self.alpha.values()) if isinstance(self.alpha, Mapping) else [self.alpha]
        for name, value in (*(("alpha", a) for a in smoothing), ("var_smoothing", self.var_smoothing)):
            if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value < math.inf:
                raise BegatError(f"{name} is {value!r}; give a finite number, at least 0")

    def _given_schema(self) -> Schema | None:
        return Schema.from_dict(self.schema) if isinstance(self.schema, Mapping) else self.schema

    def _prepare(
        self, X: Any, wanted: target.Target, name: Any, classes: Any = None, schema: Schema | None = None
    ) -> None:
        """The schema of this fit, and what follows from it."""
        given = schema if schema is not None else self._given_schema()
        names = [n for n in frame.names(X) if n != name]
        for each in (self.leaves, self.alpha):
            for key in each if isinstance(each, Mapping) else ():
                if key not in names and key != name:
                    raise BegatError(f"no column {key!r} to choose a leaf or alpha for{did_you_mean(key, names)}")
        kinds = leaves.forced_kinds(self.leaves, names) if given is None else {}
        known = given is not None and name in given.names and given[name].complete
        if wanted.role == "classification" and not known:
            kinds[name] = "category"
        made = target.schema_of(X, wanted, name, given, kinds, classes)
        if self.missing == "unknown":
            # That a value is missing is then no event: it has no probability, and no sample shows it.
            made = replace(made, columns=tuple(replace(c, missing=c.coded and not c.levels) for c in made.columns))
        self._set_out(made, wanted.role, wanted.named)
        if wanted.role == "classification" and not len(self.classes_):
            raise DataError(f"the target {name!r} has no class; give y at least one value")

    def _training(self, X: Any, y: Any, sample_weight: Any) -> tuple[Batch, Tensor]:
        """The rows as the model sees them and the class, or the bin, of each."""
        encoded = self.border_.encode(X, None if self.named_ else y, missing=self.missing)
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
            self.edges_ = target.quantiles(numbers, min(MOST_BINS, max(2, round(len(numbers) ** (1 / 3)))))
        return batch, torch.bucketize(numbers.contiguous(), self.edges_, right=True)

    def _begin(self, data: Batch, state: Tensor, rows: int) -> None:
        """Choose the leaves and fix what their statistics are relative to."""
        slots = self.border_.model.slots
        how: dict[str, Any] = {
            "alpha": {s.column.name: self._alpha(s.column.name) for s in slots},
            "smoothing": float(self.var_smoothing),
            "shared": bool(self.shared_variance),
        }
        states = self._states()
        self.leaves_ = leaves.choose(slots, self.leaves, data, state, states, rows=rows, **how)
        self.model_ = Model(self.border_.model.spec, leaves.group(self.leaves_, slots, states, **how), states)
        self.model_.start(data, state)
        self._stats = None

    def _alpha(self, name: Any) -> float:
        return float(self.alpha.get(name, 1.0) if isinstance(self.alpha, Mapping) else self.alpha)

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
        if self.priors is not None and self.role_ == "classification":
            self.model_.log_prior = target.priors(self.priors, self.classes_).log()
        elif bool((stats[0]["classes"] == 0).any()):
            # A declared class without rows keeps a little mass: one row more for every class.
            count = stats[0]["classes"] + 1
            self.model_.log_prior = (count / count.sum()).log()
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
        log_p = self._log_posterior(self._encode(X, ignore_target=True).batch)
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
            mean = (share * torch.cat([leaf.remainder.mean()[d][None], atoms])).sum(0) / share.sum(0)
        return torch.from_numpy(column.decoded(mean.numpy()))

    @offered("classification")
    def to_linear(self) -> Linear:
        """The linear predictor that this model is: log P(y | x) = intercept_y + coefficient_y . features(x) + c(x)."""
        return linear(
            self.model_, self.border_.model, self.classes_, lambda X: self._encode(X, ignore_target=True).batch
        )

    # one file -----------------------------------------------------------------------------------------------------
    def _describe(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        parts = [
            {"values": list(p.values), "codes": list(p.codes), "leaf": describe(p.leaf)} for p in self.model_.parts
        ]
        named = [[name, leaf] for name, leaf in self.leaves_.items()]
        model = {"states": self.model_.classes, "parts": parts, "leaves": named, "rows": self.rows_}
        tensors = {"log_prior": self.model_.log_prior}
        for p, part in enumerate(self.model_.parts):
            tensors |= {f"part.{p}.{name}": value for name, value in part.leaf.state_dict().items()}
        if self.role_ == "regression":
            tensors["edges"] = self.edges_
        return model, tensors

    @classmethod
    def _layout(cls, header: Mapping[str, Any], columns: int) -> dict[str, Slot]:
        model = header["model"]
        states = model["states"]
        slots = {"log_prior": Slot((states,), torch.float64, True)}
        for p, part in enumerate(model["parts"]):
            leaf = build(part["leaf"])
            width = max(len(part["values"]), len(part["codes"]))
            if leaf.columns != width or width > columns or leaf.states != states:
                raise ValueError(f"leaf {p} does not fit its columns")
            for name, shape in leaf.layout().items():
                slots[f"part.{p}.{name}"] = Slot(shape, torch.float64, "log" in name or name.endswith("edges"))
        if model["role"] == "regression":
            slots["edges"] = Slot((states - 1,), torch.float64)
        return slots

    def _restore(self, model: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        parts = []
        for p, value in enumerate(model["parts"]):
            part = Part(build(value["leaf"]), tuple(value["values"]), tuple(value["codes"]))
            own = f"part.{p}."
            part.leaf.restore({n[len(own) :]: t for n, t in tensors.items() if n.startswith(own)})
            parts.append(part)
        _check_parts(parts, self.border_.model)
        self.model_ = Model(self.border_.model.spec, parts, model["states"])
        self.model_.log_prior = tensors["log_prior"]
        self.leaves_, self.rows_, self._stats = dict(map(tuple, model["leaves"])), model["rows"], None
        if self.role_ == "regression":
            self.edges_ = tensors["edges"]
        if self.model_.classes != self._states():
            raise FileError(f"the file has {self.model_.classes} states, its target calls for {self._states()}")

    def _contains(self) -> dict[str, Any]:
        points = {str(n): "all points" for n, leaf in self.leaves_.items() if leaf == "kde"}
        seen = [str(c.name) for c in self.schema_ if c.seen is not None]
        levels = [str(c.name) for c in self.schema_ if c.levels]
        return {"number": self.rows_, "points": points, "extremes": seen, "levels": levels}


def _spaced(n: int, most: int = SAMPLE) -> Tensor:
    """At most `most` row numbers, evenly spaced from the first to the last."""
    return torch.linspace(0, n - 1, min(n, most), dtype=torch.float64).round().long()


def _check_parts(parts: list[Part], codec: TableCodec) -> None:
    """Every column of the codec belongs to exactly one part, and with as many codes as its leaf has."""
    values = sorted(i for p in parts for i in p.values)
    codes = sorted(i for p in parts for i in p.codes)
    widths = [f.shape[0] for f in codec.spec.fields]
    if values != list(range(widths[0])) or codes != list(range(widths[1])):
        raise FileError("its leaves do not cover the columns of its schema; the file is damaged")
    levels = codec.spec.fields[1].levels
    assert isinstance(levels, tuple)
    for part in parts:
        leaf = part.leaf.codes if isinstance(part.leaf, Special) else part.leaf
        if part.codes and (not isinstance(leaf, Categorical) or leaf.levels != tuple(levels[i] for i in part.codes)):
            raise FileError("a leaf has other levels than the schema; the file is damaged")
        rest = part.leaf.remainder if isinstance(part.leaf, Special) else part.leaf
        by_value = {s.value: s.column for s in codec.slots if s.value is not None}
        for end, side in enumerate(("lower", "upper")):
            stated = tuple(by_value[i].limits[end] for i in part.values)
            if part.values and getattr(rest, side, stated) != stated:
                raise FileError(f"a leaf has other {side} bounds than the schema; the file is damaged")
