"""Weighted numbers in groups, sorted: what a kernel density keeps of a column under each of its states."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

PerPoint = Float[Tensor, " p"]
PerGroup = Float[Tensor, " s"]
Group = Int[Tensor, " m"]
Asked = Float[Tensor, " m"]
Index = Int[Tensor, " m"]
"""Where points lie in the flat axis of all groups."""
NEGLIGIBLE = 1e-12
"""Points lighter than this share of their group's weight are left out."""


class Points(NamedTuple):
    """S groups of weighted points: x (P,) ascending and distinct within a group, weight (P,) > 0, start (S + 1,)."""

    x: PerPoint
    weight: PerPoint
    start: Int[Tensor, " s+1"]

    @property
    def counts(self) -> Int[Tensor, " s"]:
        """Points of each group, (S,)."""
        return self.start.diff()

    def spread(self, value: Shaped[Tensor, " s"]) -> Shaped[Tensor, " p"]:
        """The value (S,) of each point's group -> (P,)."""
        return repeat(value, self.counts)

    def groups(self, first: int, last: int) -> Points:
        """The groups first, ..., last - 1 (views)."""
        here = slice(int(self.start[first]), int(self.start[last]))
        return Points(self.x[here], self.weight[here], self.start[first : last + 1] - self.start[first])

    def sums(self, value: PerPoint) -> PerGroup:
        """The sum of a value (P,) over each group -> (S,)."""
        return self._reduce(np.add, value)

    def least(self, value: PerPoint) -> PerGroup:
        """The smallest value (P,) of each group -> (S,); 0 for an empty group."""
        return self._reduce(np.minimum, value)

    def _reduce(self, ufunc: np.ufunc, value: PerPoint) -> PerGroup:
        out = torch.zeros(len(self.start) - 1, dtype=value.dtype)
        some = self.counts > 0
        if bool(some.any()):
            out[some] = torch.from_numpy(ufunc.reduceat(value.numpy(), self.start[:-1][some].numpy()))
        return out

    def as_repetitions(self) -> Points:
        """The weights as numbers of repetitions: a group's are scaled so that their sum W is at least (W^2 / sum w^2).

        That is Kish's effective number of points ("Survey sampling", 1965, section 11.7); it exceeds W only where
        weights are shares, and repetitions, which are 1 or more, stay what they are.
        """
        if not len(self.weight) or float(self.weight.min()) >= 1:
            return self
        total, square = self.sums(self.weight), self.sums(self.weight * self.weight)
        times = (total / square.clamp(min=1e-300)).clamp(min=1.0)
        # Sums are rounded: equal repetitions must not change.
        return self if bool((times < 1 + 1e-9).all()) else self._replace(weight=self.weight * self.spread(times))

    def rank(self, group: Group, value: Asked, *, right: bool = False) -> Index:
        """Where each value (m,) stands among the points of its group (m,): the flat index of the first point >= it.

        With `right`, of the first point > it. Bisection over all values at once.
        """
        low, high = self.start[group], self.start[group + 1]
        while bool((open_ := low < high).any()):
            middle = (low + high) >> 1
            x = self.x[middle.clamp(max=len(self.x) - 1)]
            below = ((x <= value) if right else (x < value)) & open_
            low, high = torch.where(below, middle + 1, low), torch.where(below | ~open_, high, middle)
        return low

    def quantile(self, share: float) -> PerGroup:
        """The weighted quantile of each group -> (S,), midway where it is not unique; NaN for an empty group.

        A point of weight 3 counts as three points.
        """
        if not len(self.x):
            return torch.full((len(self.start) - 1,), torch.nan, dtype=torch.float64)
        below = torch.cat([torch.zeros(1, dtype=torch.float64), self.weight.cumsum(0)])
        first, last = below[self.start[:-1]], below[self.start[1:]]
        target = torch.lerp(first, last, share)
        # Cumulative sums are exact for repetitions; else a quantile is a tie only up to their rounding.
        slack = 1e-12 * (last - first)
        ends = (self.start[1:] - 1).clamp(min=0)
        low = torch.minimum(torch.searchsorted(below[1:], target - slack), ends)
        high = torch.minimum(torch.searchsorted(below[1:], target + slack, right=True), ends)
        middle = self.x[low] + 0.5 * (self.x[high] - self.x[low])
        return torch.where(self.counts > 0, middle, torch.nan)

    def moved_to_cells(self, step: PerGroup, *, whole: bool = False) -> Points:
        """Points in the same cell [j step, (j + 1) step) become one at their mean; step (S,), 0 leaves a group alone.

        Cells of a step and of its double nest, so cells of powers of two can be merged again. With `whole` the means
        are rounded to whole numbers.
        """
        size = self.spread(step)
        cell = torch.where(size > 0, torch.floor(self.x / size), 0.0)
        new = torch.ones(len(self.x), dtype=torch.bool)
        new[1:] = (cell[1:] != cell[:-1]) | (size[1:] == 0)
        new[self.start[:-1][self.counts > 0]] = True
        member = new.cumsum(0) - 1
        first = new.nonzero()[:, 0]
        weight = torch.zeros(len(first), dtype=torch.float64).index_add_(0, member, self.weight)
        # Relative to the first member of the cell, so that a large offset costs no digits.
        off = (self.x - self.x[first][member]) * (self.weight / weight[member])
        mean = self.x[first] + torch.zeros_like(weight).index_add_(0, member, off)
        start = torch.cat([torch.zeros(1, dtype=torch.long), new.cumsum(0)])[self.start]
        return _merged(Points(mean.round() if whole else mean, weight, start))


def repeat(value: Shaped[Tensor, " s"], times: Int[Tensor, " s"]) -> Shaped[Tensor, " p"]:
    """Each value as many times as is said: numpy does long runs several times faster than torch."""
    return torch.from_numpy(np.repeat(value.numpy(), times.numpy()))


def chosen(value: Shaped[Tensor, "*shape"], mask: Bool[Tensor, "*shape"]) -> Shaped[Tensor, " p"]:
    """The values where the mask is True: numpy does it several times faster than torch."""
    return torch.from_numpy(value.numpy()[mask.numpy()])


def collect(x: PerPoint, weight: PerPoint, counts: Int[Tensor, "pieces s"]) -> Points:
    """Points from pieces that each hold their points group by group.

    x, weight (P,): all pieces one after the other. counts (pieces, S): how many points each piece has in each group.
    """
    start = torch.cat([torch.zeros(1, dtype=torch.long), counts.sum(0).cumsum(0)])
    last = counts.reshape(-1).cumsum(0).view(counts.shape)
    pieces = torch.stack([last - counts, last], -1).transpose(0, 1).tolist()  # where each group lies in each piece
    raw, heavy = x.double().numpy(), weight.double().numpy()
    equal = len(heavy) == 0 or heavy.min() == heavy.max()
    out, moved = np.empty(len(raw)), heavy if equal else np.empty(len(raw))
    ends = start.tolist()
    for places, (first, stop) in zip(pieces, pairwise(ends), strict=True):
        here = np.concatenate([raw[a:b] for a, b in places])
        if equal:
            here.sort()
        else:
            order = here.argsort(kind="stable")
            here = here[order]
            moved[first:stop] = np.concatenate([heavy[a:b] for a, b in places])[order]
        out[first:stop] = here
    points = _merged(Points(torch.from_numpy(out), torch.from_numpy(moved), start))
    return points if equal else _without_light(points)


def _merged(points: Points) -> Points:
    """Equal neighbours as one point of their common weight."""
    new = torch.ones(len(points.x), dtype=torch.bool)
    new[1:] = points.x[1:] != points.x[:-1]
    new[points.start[:-1][points.counts > 0]] = True
    if bool(new.all()):
        return points
    count = new.cumsum(0)
    weight = torch.zeros(int(count[-1]), dtype=torch.float64).index_add_(0, count - 1, points.weight)
    start = torch.cat([torch.zeros(1, dtype=torch.long), count])[points.start]
    return Points(chosen(points.x, new), weight, start)


def _without_light(points: Points) -> Points:
    total = points.sums(points.weight)
    keep = points.weight > points.spread(NEGLIGIBLE * total)
    if bool(keep.all()):
        return points
    start = torch.cat([torch.zeros(1, dtype=torch.long), keep.cumsum(0)])[points.start]
    return Points(chosen(points.x, keep), chosen(points.weight, keep), start)
