"""The log-normal leaf: the Gaussian of log x, and on a grid the whole part of such a number."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from begat.core import Stats
from begat.leaves import lookup
from begat.leaves.base import (
    At,
    Block,
    ByColumn,
    Leaf,
    Mask,
    Moments,
    Observed,
    PerColumn,
    Scores,
    State,
    Sums,
    Tails,
    Weight,
    join,
)
from begat.leaves.bounds import Bounded
from begat.leaves.gaussian import Gaussian
from begat.leaves.inverse import ByTails
from begat.maths import lattice

GRID_FLOOR = 0.1
"""Least deviation on a grid, in steps at the median: a constant whole number expects its neighbours a little."""
NARROW = 1e-3
"""Cells narrower than this (times their distance from the mean), in deviations, are integrated by the midpoint rule."""
EXPLICIT = 64
"""Terms of the mean on a grid that are summed; the rest is an integral."""


class _OfLogs(Gaussian):
    """The Gaussian of logarithms, whose own size depends on the unit of the numbers: a factor of e stands in for it."""

    def _size(self, pooled: Float[Tensor, "d 1"]) -> Float[Tensor, "d 1"]:
        return torch.ones_like(pooled)


class LogNormal(Bounded, ByTails, Leaf):
    """p(x | k) = N(log z; m_k, v_k) / z with z = x - lower > 0 (lower 0 unless stated), for D columns and K states.

    The Gaussian leaf of log z does the work: its statistics, smoothing (`var_smoothing`) and matrix product. A stated
    upper bound cuts and renormalises. z = 0 is a single point, whose density is scored as that of half the smallest
    positive z seen by `start`; x outside the bounds has probability 0 and counts nowhere in the statistics.

    On a grid x = lower + floor(Z) with Z log-normal: P(j | k) = Phi((log(j + 1) - m) / s) - Phi((log j - m) / s) for
    j = 0, 1, ...; m and v are the moments of log(j + 1/2), which is maximum likelihood to first order in the width of
    a cell (good where most numbers are above 2 or so), with s at least a tenth of a step at the median.
    """

    def __init__(
        self,
        columns: int,
        states: int,
        *,
        grid: bool = False,
        lower: tuple[float, ...] | None = None,
        upper: tuple[float, ...] | None = None,
        var_smoothing: float = 1.0,
    ):
        super().__init__()
        self.columns, self.states, self.grid, self.var_smoothing = columns, states, grid, var_smoothing
        self.bound(lower, upper)
        first = [v if math.isfinite(v) else 0.0 for v in self.lower]
        # On a grid the last cell ends one step above the bound.
        room = [u - v + grid for u, v in zip(self.upper, first, strict=True)]
        self.register_buffer("first", torch.tensor(first, dtype=torch.float64), persistent=False)
        self.log_z = _OfLogs(
            columns, states, upper=tuple(math.log(max(r, 1e-300)) for r in room), var_smoothing=var_smoothing
        )
        self.register_buffer("least", None)

    first: PerColumn
    least: PerColumn

    def config(self) -> dict[str, Any]:
        return {
            "columns": self.columns, "states": self.states, "grid": self.grid, **self.stated(),
            "var_smoothing": self.var_smoothing,
        }  # fmt: skip

    def layout(self) -> dict[str, tuple[int, ...]]:
        return {"least": (self.columns,), **join({"log_z": self.log_z.layout()})}

    # learning -----------------------------------------------------------------------------------------------------
    def start(self, x: Block, state: State, weight: Weight = None, known: Mask = None) -> None:
        """The stand-in for z = 0, and the origin of log z."""
        z = x.double() - self.first
        usable = z > 0 if known is None else (z > 0) & known
        usable = usable if weight is None else usable & (weight > 0)[:, None]
        smallest = torch.where(usable, z, torch.inf).amin(0) if len(z) else torch.full_like(self.first, torch.inf)
        self.least = torch.where(smallest.isfinite(), 0.5 * smallest, 1.0)
        self.log_z.start(*self._logs(x, state, weight, known))

    def statistics(self, x: Block, state: State, weight: Weight = None, known: Mask = None) -> Stats:
        """Those of the Gaussian of log z: weight, sum and sum of squares, (D, K)."""
        return self.log_z.statistics(*self._logs(x, state, weight, known))

    def maximise(self, stats: Stats) -> None:
        self.log_z.maximise(stats)
        if self.grid:
            step = GRID_FLOOR * torch.exp(-self.log_z.mean_)
            self.log_z.variance = torch.maximum(self.log_z.variance, step**2)

    def _logs(self, x: Block, state: State, weight: Weight, known: Mask) -> tuple[Block, State, Weight, Mask]:
        log_z, inside = self._log(x)
        if not inside.all():
            known = inside if known is None else inside & known
        return log_z, state, weight, known

    def _log(self, x: Block) -> tuple[Block, Bool[Tensor, "n d"]]:
        """log z (n, D) in float64 (of the middle of its cell on a grid, 0 outside the bounds), and what is inside."""
        x = x.double()
        z = x - self.first
        inside = (z >= 0) & (x <= self.ends()[1])
        z = z + 0.5 if self.grid else torch.where(z == 0, self.least, z)
        # The bound itself is inside whichever way its logarithm was rounded.
        last = self.log_z.ends()[1]
        return torch.where(inside, torch.minimum(z.log(), last), 0.0), inside

    # asking -------------------------------------------------------------------------------------------------------
    def log_prob(self, x: Block, known: Mask = None) -> Scores:
        if self.grid:
            return lookup.cells(self._log_mass, x, known, self.first)
        log_z, inside = self._log(x)
        return self.log_z.log_prob(log_z, known) - _log_volume(log_z, inside, known).T[:, None]

    def joint(self, x: Block, known: Mask = None) -> Sums:
        if self.grid:
            return lookup.sums(self._log_mass, x, known, self.first)
        log_z, inside = self._log(x)
        return self.log_z.joint(log_z, known) - _log_volume(log_z, inside, known).sum(1)

    def _log_mass(self, j: ByColumn) -> Scores:
        """log P(j <= Z < j + 1 | k) -> (D, K, n) for whole numbers (D, n); -inf outside the bounds."""
        mean, deviation = self.log_z.mean_[:, :, None], self.log_z.variance[:, :, None].sqrt()
        j = j[:, None]
        inside = (j >= 0) & (j <= (self.ends()[1] - self.first)[:, None, None])
        j = torch.where(inside, j, 1.0)
        width = torch.log1p(1 / j) / deviation
        a, b = (j.log() - mean) / deviation, (torch.log1p(j) - mean) / deviation
        middle = a + 0.5 * width
        # Cells much narrower than a deviation: the difference of the cdf has no digits left, its slope has them all.
        narrow = width * middle.abs().clamp(min=1.0) < NARROW
        out = -0.5 * middle**2 - lattice.HALF_LOG_2PI + width.log() + torch.log1p(width**2 * (middle**2 - 1) / 24)
        out[~narrow] = lattice.log_cell(a[~narrow], b[~narrow])
        return torch.where(inside, out - self._log_whole()[:, :, None], -torch.inf)

    def _log_whole(self) -> Moments:
        """log P(Z within the upper bound | k) -> (D, K)."""
        last = self.log_z.ends()[1][:, None]
        return torch.special.log_ndtr((last - self.log_z.mean_) / self.log_z.variance.sqrt())

    def sample(self, state: Observed, *, generator: Generator) -> Block:
        z = self.log_z.sample(state, generator=generator).double().exp()
        if self.grid:
            z = z.floor()
        return torch.minimum(self.first + z, self.ends()[1])

    def tails(self, column: int, x: At) -> Tails:
        """P(X <= x | k) and P(X > x | k) -> (K, m) each."""
        z = x.double() - self.first[column]
        z = z.floor() + 1 if self.grid else z
        below, above = self.log_z.tails(column, z.clamp(min=1e-300).log())
        return torch.where(z <= 0, 0.0, below), torch.where(z <= 0, 1.0, above)

    def mean(self) -> Moments:
        """E[x | k] = lower + exp(m + v / 2) Phi(u - s) / Phi(u), u the upper bound of log z in deviations from m.

        On a grid lower + sum_{j >= 1} P(Z >= j): 64 terms, then the integral from half a step before.
        """
        m, v = self.log_z.mean_, self.log_z.variance
        s = v.sqrt()
        last = self.log_z.ends()[1][:, None]
        u = (last - m) / s
        if not self.grid:
            log_mean = m + v / 2 + torch.special.log_ndtr(u - s) - torch.special.log_ndtr(u)
            return self.first[:, None] + log_mean.exp()
        j = torch.arange(1, EXPLICIT + 1, dtype=torch.float64)
        end = last.exp().expand_as(m)  # P(Z >= j and Z < end) summed over j below end
        total = torch.zeros_like(m)
        for step in j:
            a = (step.log() - m) / s
            total += torch.where(step < end, lattice.log_cell(a, torch.maximum(u, a)).exp(), 0.0)
        start = torch.tensor(EXPLICIT + 0.5, dtype=torch.float64)
        a = (start.log() - m) / s
        # integral of P(t <= Z < end) over t from `start` to `end` = E[(Z - start) ; start <= Z < end]
        rest = (m + v / 2 + lattice.log_cell(a - s, torch.maximum(u, a) - s)).exp()
        rest = rest - start * lattice.log_cell(a, torch.maximum(u, a)).exp()
        total = total + torch.where(start < end, rest.clamp(min=0.0), 0.0)
        return self.first[:, None] + total / torch.special.log_ndtr(u).exp()


def _log_volume(log_z: Block, inside: Bool[Tensor, "n d"], known: Mask) -> Block:
    """log dx / d(log z) = log z of each known cell, infinite outside the bounds."""
    volume = log_z.masked_fill(~inside, torch.inf)
    return volume if known is None else volume.masked_fill(~known, 0.0)
