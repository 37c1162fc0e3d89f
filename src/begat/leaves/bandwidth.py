"""The bandwidth of a kernel density: one for each group of points, in the unit of the points."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from begat.errors import BegatError, did_you_mean
from begat.leaves.kernels import GROUPS, Kernels
from begat.maths.points import PerGroup, Points, collect

RULES = ("silverman", "scott", "likelihood")
IQR_OF_NORMAL = 1.3489795003921634
FACTORS = tuple(2.0 ** (j / 2) for j in range(-4, 4))
"""Multiples of Silverman's bandwidth among which the likelihood chooses: 1/4 to 2.8."""
LEAST_SHARE = 1e-6
"""A point that the others explain worse than this, as a share of its own peak over all points, counts as this much."""
SMALL = 1000.0
"""Weight of a state below which its bandwidth has a pseudo-row of the column's; beyond, one row is nothing."""
TINY = 1e-300
"""Bandwidths and sizes are at least this."""


class Rule(NamedTuple):
    """How bandwidths follow from the points: the name of one of RULES, and a factor of Silverman's."""

    name: str
    factor: float

    @classmethod
    def of(cls, stated: str | int | float) -> Rule:
        """The rule that a keyword states: a name, or a positive factor. BegatError where it is neither."""
        if isinstance(stated, str):
            if stated not in RULES:
                raise BegatError(f"no bandwidth rule {stated!r}{did_you_mean(stated, RULES)}")
            return cls(stated, 1.0)
        if isinstance(stated, bool) or not 0 < stated < math.inf:
            raise BegatError(f"bandwidth is {stated!r}; give {', '.join(RULES)} or a positive factor")
        return cls("silverman", float(stated))

    @property
    def stated(self) -> str | float:
        """The keyword that states it."""
        return self.name if self.factor == 1.0 else self.factor

    def finest(self, points: Points) -> PerGroup:
        """The least bandwidth that these points could be given, before any floor -> (S,)."""
        return silverman(points.as_repetitions()) * (min(FACTORS) if self.name == "likelihood" else self.factor)

    def bandwidths(self, points: Points, lower: PerGroup, upper: PerGroup, states: int, *, grid: bool) -> PerGroup:
        """h of every group -> (S,), none of them empty; the groups of a column, one for each state, stand together.

        The rule, its pseudo-rows, its floor and its fallbacks are the KDE leaf's (its docstring).
        """
        h = self.factor * _shrunk(points, states, robust=self.name != "scott")
        total = points.sums(points.weight).clamp(min=1.0)
        floor = (2 * torch.log(2 * total + 2)).rsqrt() if grid else torch.full_like(h, TINY)
        cap = (upper - lower).clamp(min=TINY)  # a kernel as wide as the bounds is flat
        h = torch.maximum(torch.minimum(h, cap), floor)
        if self.name != "likelihood":
            return h
        whole = Kernels(points, h, lower, upper, grid)
        parts = (whole.of(first, min(first + GROUPS, len(h))) for first in range(0, len(h), GROUPS))
        best = torch.cat([leave_one_out(part) for part in parts])
        return torch.maximum(torch.minimum(best, cap), floor)


def _shrunk(points: Points, states: int, *, robust: bool) -> PerGroup:
    """Silverman's or Scott's h, drawn to the column's where points are few; never 0 -> (S,)."""
    h, total = silverman(points, robust=robust), points.sums(points.weight).clamp(min=1.0)
    few = total < SMALL
    if states > 1 and bool((few | (h <= 0)).any()):
        columns = collect(points.x, points.weight, points.counts.view(1, -1, states).sum(2))
        rows = columns.sums(columns.weight).clamp(min=1.0)
        # Those of as many of the column's points as the state has.
        spread, whole = (
            (t * size).repeat_interleave(states) * total**-0.2
            for t, size in ((deviation(columns), 0.9), (silverman(columns, robust=robust), rows**0.2))
        )
        h = torch.where(h > 0, h, spread)
        h = torch.where(few, ((total * h**2 + whole**2) / (total + 1)).sqrt(), h)
    # A column that never varies has no scale; a thousandth of its own size stands in.
    own = points.x[points.start[:-1]].abs()
    return torch.where(h > 0, h, torch.where(own > 0, 1e-3 * own, 1e-3))


def silverman(points: Points, *, robust: bool = True) -> PerGroup:
    """0.9 min(deviation, IQR / 1.349) W^(-1/5) for each group -> (S,); 0 where all points are equal, or none.

    W is the weight of the group, a number of repetitions (Points.as_repetitions). Silverman, "Density estimation"
    (1986), equation 3.31. Not `robust`: (4/3)^(1/5) deviation W^(-1/5), best if the group is normal: the normal
    reference rule of Scott, "Multivariate density estimation" (1992), section 6.3; SciPy's and scikit-learn's "scott"
    leave the first factor, 1.059, out.
    """
    total = points.sums(points.weight)
    size = deviation(points)
    if robust:
        spread = (points.quantile(0.75) - points.quantile(0.25)) / IQR_OF_NORMAL
        size = 0.9 * torch.where(spread > 0, torch.fmin(size, spread), size)
    else:
        size = (4 / 3) ** 0.2 * size
    return size * total.clamp(min=1.0) ** -0.2


def deviation(points: Points) -> PerGroup:
    """sqrt(sum w (x - mean)^2 / (W - 1)) -> (S,); 0 where the group has one distinct point, or W <= 1."""
    total = points.sums(points.weight)
    some = (points.counts > 1) & (total > 1)
    first, last = (
        points.x[end.clamp(0, max(len(points.x) - 1, 0))] for end in (points.start[:-1], points.start[1:] - 1)
    )
    width = torch.where(some, last - first, 1.0)
    # From the first point, in one pass: the last is `width` away, so the difference of squares keeps its digits.
    off = points.x - points.spread(first)
    if bool(((width < 1e-150) | (width > 1e150)).any()):
        off *= points.spread(1 / width.clamp(min=TINY))  # squares of such numbers have no float
    else:
        width = torch.ones_like(width)
    part = points.weight * off
    mean, square = points.sums(part) / total, points.sums(part.mul_(off)) / total
    variance = (square - mean * mean) * (total / (total - 1))
    return torch.where(some, width * variance.clamp(min=0.0).sqrt(), 0.0)


def leave_one_out(kernels: Kernels) -> PerGroup:
    """The multiple of the bandwidth, among FACTORS, under which the points predict each other best -> (S,).

    sum_i w_i log p_-i(x_i), p_-i = (W p(x_i) - K_i(x_i)) / (W - 1), for each group. A term is not taken below
    LEAST_SHARE K_i / W, so that one outlier does not choose the bandwidth of all others, as plain leave-one-out
    likelihood lets it.
    """
    points, start = kernels.points, kernels.bandwidth
    best, value = start, torch.full_like(start, -torch.inf)
    total = points.sums(points.weight)
    log_rest, log_floor = (points.spread(t) for t in ((total - 1).clamp(min=TINY).log(), (LEAST_SHARE / total).log()))
    # Each group asks at its own points: a row of them, filled up with its last.
    most = int(points.counts.max())
    place = torch.minimum(points.start[:-1, None] + torch.arange(most), points.start[1:, None] - 1)
    own_place = torch.arange(most) < points.counts[:, None]
    for factor in FACTORS:
        here = kernels._replace(bandwidth=start * factor)
        own = here.log_own()
        log_p = here.log_density(points.x[place], here.sums())[:, 0][own_place]
        # In units of the point's own kernel: what the others add to it.
        others = torch.expm1(log_p + points.spread(total.log()) - own).clamp(min=0.0)
        score = points.sums(points.weight * (own + torch.maximum(others.log() - log_rest, log_floor)))
        better = (score > value) & (total > 1)
        best, value = torch.where(better, start * factor, best), torch.where(better, score, value)
    return best
