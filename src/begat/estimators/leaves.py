"""Which leaf suits a column: what a name means for each kind, and the choice by held-out likelihood."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from begat.codecs.dates import PER_DAY
from begat.codecs.table import Slot
from begat.core import Batch
from begat.errors import BegatError
from begat.estimators.wish import CODED, NAMES, NUMERIC, Wish, wishes
from begat.leaves.base import Leaf
from begat.leaves.calendar import Calendar
from begat.leaves.categorical import Bernoulli, Categorical
from begat.leaves.counts import NegativeBinomial, Poisson
from begat.leaves.gaussian import Gaussian
from begat.leaves.histogram import Histogram
from begat.leaves.kde import KDE
from begat.leaves.lognormal import LogNormal
from begat.leaves.multinomial import Multinomial
from begat.leaves.part import Part
from begat.leaves.special import Special
from begat.schema import Column, Grid

SMOOTHED = ("gaussian", "lognormal")
"""Leaves whose parameter is `var_smoothing`; the others but kde have `alpha`."""
SIMPLEST = ("gaussian", "lognormal", "poisson", "negative_binomial", "histogram", "kde")
"""What the automatic choice tries for a number, the simplest first."""
LARGEST_KDE = 100_000
"""Rows from which on the automatic choice leaves out the kernel density: the histogram is as good and far smaller."""
LEAST_KDE = 1_000
"""Known values in each class below which it leaves it out too: one value beyond its points costs hundreds of nats."""
LEAST = 10
"""Known values of a column below which it takes the histogram, whose tails survive any number, without a trial."""
FOLDS = 4
FEW = 4_000
"""Rows up to which each fold is held out in turn; beyond, one is witness enough."""


def suits(name: str, slot: Slot) -> bool:
    """Whether a leaf of this name can give every allowed value of the column its mass or density."""
    column = slot.column
    if column.coded:
        return name == "categorical" or (name == "bernoulli" and column.codes == 2)
    if column.kind == "datetime":
        return name == "calendar"
    if name == "multinomial":
        return column.kind == "count" and column.limits == (0.0, torch.inf) and not column.special
    if name in ("poisson", "negative_binomial"):
        return column.grid is not None and column.limits[0] > -torch.inf
    if name == "lognormal":
        return column.limits[0] >= 0
    return name in NUMERIC


def candidates(slot: Slot, rows: int) -> tuple[str, ...]:
    """The names that the automatic choice tries for a column, the simplest first."""
    if slot.column.coded:
        return ("bernoulli",) if slot.column.codes == 2 else ("categorical",)
    if slot.column.kind == "datetime":
        return ("calendar",)
    return tuple(name for name in SIMPLEST if suits(name, slot) and (name != "kde" or rows <= LARGEST_KDE))


@dataclass(frozen=True)
class How:
    """The parameters of leaves by the name of the column, and options of a column's chosen leaf.

    alpha: pseudo-counts. smoothing: pseudo-rows of the variance. shared: one variance for all states.
    """

    alpha: Mapping[Any, float]
    smoothing: Mapping[Any, float]
    shared: bool
    options: Mapping[Any, tuple[tuple[str, Any], ...]]


def make(name: str, slots: Sequence[Slot], states: int, how: How) -> Part:
    """The part of naive Bayes that scores these columns (of one leaf, all with or all without special codes)."""
    columns = [slot.column for slot in slots]
    alphas = tuple(how.alpha[c.name] for c in columns)
    leaf = _leaf(name, columns, states, how)
    if columns[0].special:
        levels = tuple(c.codes for c in columns)
        # Only a code that stands for a point of the grid takes mass that the remainder could have.
        points = [[float(c.encoded(a)) for a in c.atoms] for c in columns] if columns[0].grid else []
        atoms = tuple(tuple(a for a in each if a == round(a)) for each in points)
        leaf = Special(Categorical(len(columns), states, levels=levels, alpha=alphas), leaf, atoms)
    values = tuple(s.value for s in slots if s.value is not None)
    return Part(leaf, values, tuple(s.code for s in slots if s.code is not None))


def _leaf(name: str, columns: Sequence[Column], states: int, how: How) -> Leaf:
    n, first = len(columns), columns[0]
    alpha, smoothing, options = how.alpha[first.name], how.smoothing[first.name], dict(how.options[first.name])
    lower, upper = (tuple(c.limits[i] for c in columns) for i in (0, 1))
    grid = first.grid is not None
    if name == "categorical":
        return Categorical(
            n, states, levels=tuple(c.codes for c in columns), alpha=tuple(how.alpha[c.name] for c in columns)
        )
    if name == "bernoulli":
        return Bernoulli(n, states, alpha=tuple(how.alpha[c.name] for c in columns))
    if name == "gaussian":
        return Gaussian(n, states, grid=grid, lower=lower, upper=upper, var_smoothing=smoothing, shared=how.shared)
    if name == "lognormal":
        return LogNormal(n, states, grid=grid, lower=lower, upper=upper, var_smoothing=smoothing)
    if name == "kde":
        return KDE(n, states, grid=grid, lower=lower, upper=upper, **options)
    if name == "poisson":
        return Poisson(n, states, lower=lower, upper=upper, alpha=alpha)
    if name == "negative_binomial":
        return NegativeBinomial(n, states, lower=lower, upper=upper, alpha=alpha)
    if name == "multinomial":
        return Multinomial(n, states, alpha=alpha)
    a_day = _steps_a_day(first) if name == "calendar" else None
    if a_day is None:
        return Histogram(n, states, grid=grid, lower=lower, upper=upper, alpha=alpha, **options)
    origin = first.grid.offset // first.grid.multiple if first.grid else 0
    return Calendar(n, states, ticks_per_day=a_day, origin=origin, lower=lower, upper=upper, alpha=alpha)


def _steps_a_day(column: Column) -> int | None:
    """Encoded steps in a day; None where a day is no whole number of them (weekly dates), or not of an origin's."""
    grid = column.grid or Grid()
    steps, rest = divmod(PER_DAY.get(column.tick or "", 0), grid.multiple)
    return steps if steps and not rest and grid.offset % grid.multiple == 0 else None


def group(names: Mapping[Any, str], slots: Iterable[Slot], states: int, how: How) -> list[tuple[Part, list[Slot]]]:
    """One part for each set of columns that one leaf can score together, and these."""
    groups: dict[tuple[Any, ...], list[Slot]] = {}
    for slot in slots:
        column, name = slot.column, names[slot.column.name]
        own: tuple[Any, ...] = how.options[column.name]
        if name == "calendar":
            own = (column.tick, column.grid)
        if name in SMOOTHED:
            own = (how.smoothing[column.name],)
        elif name not in (*CODED, "kde"):
            own = (*own, how.alpha[column.name])
        groups.setdefault((name, column.special, column.grid is not None, own), []).append(slot)
    return [(make(key[0], members, states, how), members) for key, members in groups.items()]


def choose(
    slots: Sequence[Slot], wanted: Mapping[Any, Wish], batch: Batch, y: Tensor, states: int, how: How, *, rows: int
) -> dict[Any, str]:
    """A leaf's name for each column: the person's, or the simplest whose held-out log-likelihood is near the best.

    Each fold of the rows is held out in turn (one of them where rows are many): each candidate is fitted to the others
    and scores it, given the class. Of the candidates whose mean score is within one standard error of the best one's
    the simplest is taken. Equal rows fall in one fold, so that a repeated row is no witness for a leaf that remembers
    it, and so that weights mean repetitions here too.
    """
    if batch.weight is not None:
        some = batch.weight > 0
        batch, y = batch.rows(some), y[some]
    names = {column: None if wish.name == "auto" else wish.name for column, wish in wanted.items()}
    tried: dict[Any, tuple[str, ...]] = {}
    for slot in slots:
        column = slot.column.name
        if names[column] is None:
            tried[column] = _tried(slot, batch, y, states, rows)
            names[column] = tried[column][0]
    undecided = [s for s in slots if len(tried.get(s.column.name, ())) > 1]
    if not undecided:
        return names  # type: ignore[return-value]
    folds = _digest(batch, y) % FOLDS
    held = [folds == f for f in (range(FOLDS) if float(_repetitions(batch).sum()) <= FEW else (0,))]
    held = [h for h in held if h.any() and not h.all()]
    if not held:
        return names  # type: ignore[return-value]
    splits = [(batch.rows(~h), y[~h], batch.rows(h), y[h]) for h in held]
    weight = torch.cat(
        [torch.ones(len(t)).double() if t.weight is None else t.weight.double() for _, _, t, _ in splits]
    )
    scores: dict[Any, dict[str, Tensor]] = {s.column.name: {} for s in undecided}
    for name in SIMPLEST:
        trying = [s for s in undecided if name in tried[s.column.name]]
        for part, members in group({s.column.name: name for s in trying}, trying, states, how):
            each = torch.cat([_held_out(part, *split) for split in splits], 1)
            for slot, score in zip(members, each, strict=True):
                scores[slot.column.name][name] = score
    return {**names, **{column: _simplest(score, weight) for column, score in scores.items()}}  # type: ignore[dict-item]


def _tried(slot: Slot, batch: Batch, y: Tensor, states: int, rows: int) -> tuple[str, ...]:
    """The candidates for which the column has enough known values."""
    options = candidates(slot, rows)
    if len(options) == 1:
        return options
    weight = _repetitions(batch)
    there = torch.bincount(y, weight, minlength=states) > 0
    known = None if batch.known[0] is None else batch.known[0][:, slot.value]
    count = torch.bincount(y, weight if known is None else weight * known, minlength=states)
    if float(count.sum()) < LEAST:
        return ("histogram",)
    return tuple(name for name in options if name != "kde" or bool((count[there] >= LEAST_KDE).all()))


def _repetitions(batch: Batch) -> Tensor:
    return torch.ones(len(batch)).double() if batch.weight is None else batch.weight.double()


def _simplest(scores: Mapping[str, Tensor], weight: Tensor) -> str:
    """The first name whose mean score is at most one standard error of the difference below the best one's.

    Breiman, Friedman, Olshen and Stone, "Classification and regression trees" (1984), section 3.4.3.
    """
    total = weight.sum()
    mean = {name: float((score * weight).sum() / total) for name, score in scores.items()}
    best = max(mean, key=lambda name: mean[name])
    for name, score in scores.items():
        gap = scores[best] - score
        error = ((gap - (mean[best] - mean[name])) ** 2 * weight).sum().sqrt() / total
        if mean[best] - mean[name] <= error:
            return name
    return best


def _digest(batch: Batch, y: Tensor) -> Tensor:
    """A number of 31 bits for each row that depends on its cells alone -> (n,)."""
    mixed = y.clone()
    for block in batch.x:
        for column in block.T:
            bits = column.double().view(torch.int64) if column.is_floating_point() else column.long()
            mixed = (mixed ^ bits) * 0x2545F4914F6CDD1D
            mixed = mixed ^ (mixed >> 29)
    return (mixed >> 20) & 0x7FFFFFFF


def _held_out(part: Part, fit: Batch, y_fit: Tensor, test: Batch, y_test: Tensor) -> Tensor:
    """The log-likelihood of the part's columns on the test rows, given their class -> (D, n)."""
    cells, known = part.take(fit)
    part.leaf.start(cells, y_fit, fit.weight, known)
    part.leaf.maximise(part.leaf.statistics(cells, y_fit, fit.weight, known))
    cells, known = part.take(test)
    log_p = part.leaf.log_prob(cells, known).gather(1, y_test.expand(part.leaf.columns, 1, -1))[:, 0]
    return log_p.nan_to_num(nan=-torch.inf)  # a fit that overflowed wins nothing


def settle(wanted: Any, slots: Iterable[Slot]) -> dict[Any, Wish]:
    """A person's wish for each column; "auto" where there is none, or where one meant for all does not suit.

    BegatError where a wish for this very column, or for numbers all alike, does not suit it.
    """
    slots = list(slots)
    out = wishes(wanted, [slot.column.name for slot in slots])
    for slot in slots:
        column, name = slot.column, out[slot.column.name].name
        if not isinstance(wanted, Mapping):
            # One name for all is meant for the columns it can serve: "gaussian" leaves categories categorical.
            meant = column.coded == (name in CODED) and column.kind != "datetime"
            if not meant or (name == "bernoulli" and column.codes != 2):
                out[column.name] = Wish("auto")
                continue
        if name != "auto" and not suits(name, slot):
            raise BegatError(
                f"column {column.name!r} is {column.kind}, which a {name} leaf cannot score; {_remedy(slot)}"
            )
    return out


def _remedy(slot: Slot) -> str:
    fitting = [n for n in NAMES if suits(n, slot)]
    return f"choose {', '.join(fitting)}" if fitting else "leave it to 'auto'"


def forced_kinds(wanted: Any, names: Iterable[Any]) -> dict[Any, str]:
    """The kinds that the wanted leaves imply: codes for categorical and Bernoulli, counts for count laws."""
    kind = {"categorical": "category", "bernoulli": "boolean", "multinomial": "count", "poisson": "count",
            "negative_binomial": "count"}  # fmt: skip
    return {column: kind[wish.name] for column, wish in wishes(wanted, names).items() if wish.name in kind}
