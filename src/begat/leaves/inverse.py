"""Regions and draws of any one-dimensional law that knows its two tails: differences of them, and their inverse."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from begat.core import Region
from begat.leaves.base import At, Drawn, Leaf, Observed, PerState, Tails

Ranks = Int[Tensor, " m"]
Logs = Float[Tensor, "k _"]
STEPS, DOUBLINGS, NEARLY = 64, 80, 1e-6
"""Doublings at most until an open region is passed but for a millionth of its mass, and the points up to there."""
LARGEST_WHOLE = 2.0**53
"""Beyond it not every whole number is a float64."""
_MAGNITUDE = 0x7FFF_FFFF_FFFF_FFFF


class ByTails(ABC):
    """Part of a leaf of values: its regions, and draws in them, follow from the two tails of a column."""

    states: int
    grid: bool

    @abstractmethod
    def tails(self, column: int, x: At) -> Tails:
        """P(X <= x | k) and P(X > x | k) -> (K, m) each, for finite x in any order.

        They are those of the law as it is scored: bounds are already in them. On a grid they are step functions of any
        real x. Each is accurate relative to itself, however small it is.
        """

    def log_mass(self, column: int, region: Region) -> PerState:
        """log P(lower <= X <= upper | k) -> (K,), the difference of the tail that keeps its digits; -inf if empty."""
        lower, upper = self._ends(region)
        if lower > upper:
            return torch.full((self.states,), -torch.inf, dtype=torch.float64)
        return self._between(column, torch.tensor([lower, upper], dtype=torch.float64))[:, 0]

    def log_masses(self, column: int, cuts: At) -> Logs:
        """log P(X in interval i | k) of the m + 1 intervals between rising cuts (m,) -> (K, m + 1).

        On a grid the cuts lie between its points.
        """
        end = torch.tensor([torch.inf], dtype=torch.float64)
        return self._between(column, torch.cat([-end, cuts, end]))

    def _between(self, column: int, ends: At) -> Logs:
        below, above = self._tails_at(column, ends)
        from_below = below[:, 1:] <= above[:, :-1]
        mass = torch.where(from_below, below[:, 1:] - below[:, :-1], above[:, :-1] - above[:, 1:])
        return mass.clamp(min=0.0).log()

    def sample_in(self, column: int, region: Region, state: Observed, *, generator: Generator) -> Drawn:
        """X given lower <= X <= upper for each state (n,) -> (n,) float64, exact draws by inversion."""
        u = torch.rand(len(state), generator=generator, dtype=torch.float64)
        return self.quantile_in(column, region, state, u)

    def quantile_in(self, column: int, region: Region, state: Observed, u: At) -> Drawn:
        """The x with P(X <= x | lower <= X <= upper, k) = u for each state and share (n,) -> (n,) float64.

        The cdf is inverted to the last bit. Continuous laws are bisected over the float64 numbers in their order (64
        steps from any bracket, no scale needed), laws on a grid over whole numbers. Where the region has no mass it is
        the end nearest to the law; ask log_mass first.
        """
        lower, upper = self._ends(region)
        return self._inverse(column, torch.full_like(u, lower), torch.full_like(u, upper), state.long(), u)

    def quantile_between(self, column: int, lower: At, upper: At, u: At) -> Drawn:
        """The same under the first state with an interval [lower, upper] for each share (n,) -> (n,) float64."""
        if self.grid:
            lower, upper = torch.ceil(lower) - 1, torch.floor(upper)
        return self._inverse(column, lower, upper, torch.zeros(len(u), dtype=torch.long), u)

    def _inverse(self, column: int, lower: At, upper: At, state: Observed, u: At) -> Drawn:
        ends, where = torch.stack([lower, upper]).unique(return_inverse=True)
        below, above = self._tails_at(column, ends)
        below, above = below[state, where], above[state, where]  # (2, n)
        low_target = torch.lerp(below[0], below[1], u).clamp(min=torch.finfo(torch.float64).tiny)
        high_target = torch.lerp(above[0], above[1], u)
        by_low = low_target <= high_target  # the smaller tail has the digits

        limit = LARGEST_WHOLE if self.grid else torch.finfo(torch.float64).max
        left, right = (_rank(end, self.grid) for end in (lower.clamp(min=-limit), upper.clamp(max=limit)))
        while bool((left + 1 < right).any()):
            middle = (left & right) + ((left ^ right) >> 1)
            # On a grid, and in the first steps, rows share their middles.
            asked, where = middle.unique(return_inverse=True)
            cdf, survival = self.tails(column, _number(asked, self.grid))
            reached = torch.where(by_low, cdf[state, where] >= low_target, survival[state, where] <= high_target)
            left, right = torch.where(reached, left, middle), torch.where(reached, middle, right)
        return _number(right, self.grid)

    def _ends(self, region: Region) -> tuple[float, float]:
        """The interval (lower, upper]: on a grid from the whole number below the first allowed one."""
        if self.grid:
            region = region.whole()
            return region.lower - 1, region.upper
        return float(region.lower), float(region.upper)

    def _tails_at(self, column: int, ends: At) -> Tails:
        """Both tails at ends that may be infinite -> (K, m) each."""
        below, above = self.tails(column, torch.where(ends.isfinite(), ends, 0.0))
        below = torch.where(ends == torch.inf, 1.0, torch.where(ends == -torch.inf, 0.0, below))
        above = torch.where(ends == torch.inf, 0.0, torch.where(ends == -torch.inf, 1.0, above))
        return below, above


def quantiles_by_mass(law: Leaf, region: Region, u: At, *, grid: bool) -> Drawn:
    """The numbers at shares u of the mass of a one-column law (s,), in a region that is open on one side.

    For laws that do not know their tails (kernels, dates): their mass up to STEPS points that are evenly spaced over
    nearly all of it, with a straight line between two of them.
    """
    upward = math.isfinite(region.lower)
    cut, sign = (region.lower, 1.0) if upward else (region.upper, -1.0)

    def mass(far: float) -> float:
        inside = Region(cut, cut + far) if upward else Region(cut - far, cut)
        return float(law.log_mass(0, inside)[0].exp())

    whole, far = float(law.log_mass(0, region)[0].exp()), 1.0 if grid else max(abs(cut), 1.0) * 1e-6
    for _ in range(DOUBLINGS):
        if mass(far) >= (1 - NEARLY) * whole:
            break
        far *= 2
    steps = far * np.linspace(0, 1, STEPS + 1)
    reached = np.array([0.0, *(mass(float(step)) for step in steps[1:])]) / max(whole, 1e-300)
    x = torch.from_numpy(cut + sign * np.interp((u if upward else 1 - u).numpy(), reached, steps))
    if grid:  # the cut lies between two points
        x, cut = x.round(), cut + 0.5 * sign
    elif not upward:
        cut = math.nextafter(cut, -math.inf)
    return x.clamp(min=cut) if upward else x.clamp(max=cut)


def _rank(x: At, grid: bool) -> Ranks:
    """A whole number that orders float64 numbers as they are ordered; the number itself on a grid."""
    if grid:
        return x.long()
    bits = x.view(torch.int64)
    return torch.where(bits < 0, bits ^ _MAGNITUDE, bits)


def _number(rank: Ranks, grid: bool) -> At:
    """The inverse of `_rank`."""
    if grid:
        return rank.double()
    return torch.where(rank < 0, rank ^ _MAGNITUDE, rank).view(torch.float64)
