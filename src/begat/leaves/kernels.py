"""Groups of weighted points, each point blurred by a Gaussian of its group's bandwidth: what a kernel density is."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Generator

from begat.leaves.base import ByColumn, Drawn, Observed, Scores
from begat.maths import gauss_sum, lattice, truncated
from begat.maths.gauss_sum import GaussSum
from begat.maths.points import PerGroup, PerPoint, Points

GROUPS = 256
"""Groups whose sums are prepared, and asked, together."""
PIECE = 2**13
"""Points whose lattice sums are done together."""


class Kernels(NamedTuple):
    """S densities p_g(x) = sum_i w_i K_i(x) / W, K_i(x) = exp(-(x - x_i)^2 / 2 h_g^2) / Z_i on [lower_g, upper_g].

    bandwidth h, lower, upper (S,); bounds may be infinite. On a grid x and the points are whole numbers and Z_i is the
    sum of the exponentials over the whole numbers between the bounds, else their integral.
    """

    points: Points
    bandwidth: PerGroup
    lower: PerGroup
    upper: PerGroup
    grid: bool

    def of(self, first: int, last: int) -> Kernels:
        """The groups first, ..., last - 1."""
        here = slice(first, last)
        return Kernels(
            self.points.groups(first, last), self.bandwidth[here], self.lower[here], self.upper[here], self.grid
        )

    @property
    def bounded(self) -> bool:
        return bool((self.lower.isfinite() | self.upper.isfinite()).any())

    # density ------------------------------------------------------------------------------------------------------
    def sums(self) -> GaussSum:
        """The fast sum of all groups, for `log_density`; every group has points."""
        return gauss_sum.build(self._weighted(), self.bandwidth)

    def log_density(self, x: ByColumn, sums: GaussSum | None) -> Scores:
        """log p_g(x) for finite x (D, n) -> (D, S / D, n); row d meets the groups d S/D to (d + 1) S/D - 1.

        sums: what `sums()` made, or None to sum term by term.
        """
        shape = (len(x), len(self.bandwidth) // max(len(x), 1), 1)
        out = gauss_sum.exact_log_sum(self._weighted(), self.bandwidth, x) if sums is None else sums.log_sum(x)
        out -= self._log_whole().view(shape)
        if self.bounded:
            out[(x[:, None] < self.lower.view(shape)) | (x[:, None] > self.upper.view(shape))] = -torch.inf
        return out

    def _weighted(self) -> Points:
        """The points with w_i / W over the share of their kernel that lies between the bounds."""
        p = self.points
        weight = p.weight / p.spread(p.sums(p.weight))
        return p._replace(weight=weight * torch.exp(-self._log_inside()) if self.bounded else weight)

    def _log_whole(self) -> PerGroup:
        """log Z of a kernel without bounds -> (S,)."""
        if not self.grid:
            return self.bandwidth.log() + lattice.HALF_LOG_2PI
        end = torch.full_like(self.bandwidth, torch.inf)
        return lattice.log_sum(torch.zeros_like(end), self.bandwidth, -end, end)

    def _log_inside(self, shift: float = 0.0) -> PerPoint:
        """The log of the share of each point's kernel that lies between the bounds -> (P,).

        shift moves the points by this many bandwidths.
        """
        return self._log_share(self.lower, self.upper, shift)

    def _log_share(self, lower: PerGroup, upper: PerGroup, shift: float = 0.0) -> PerPoint:
        p = self.points
        out = torch.zeros(len(p.x), dtype=torch.float64)
        cut = p.spread(lower.isfinite() | upper.isfinite())
        x, h, low, high = (t[cut] for t in (p.x, p.spread(self.bandwidth), p.spread(lower), p.spread(upper)))
        x = x + shift * h
        if not self.grid:
            out[cut] = lattice.log_cell((low - x) / h, (high - x) / h)
            return out
        parts = zip(*(t.split(PIECE) for t in (x, h, low.ceil(), high.floor())), strict=True)
        sums = torch.cat([lattice.log_sum(*part) for part in parts]) if len(x) else x
        out[cut] = sums - p.spread(self._log_whole())[cut]
        return out

    def log_own(self) -> PerPoint:
        """log K_i(x_i) of every point -> (P,)."""
        return -self.points.spread(self._log_whole()) - (self._log_inside() if self.bounded else 0.0)

    # mass and draws -------------------------------------------------------------------------------------------------
    def log_masses(self, lower: float, upper: float) -> PerPoint:
        """log of w_i / W times the mass of K_i between these bounds (and the stated ones) -> (P,)."""
        p = self.points
        share = (p.weight / p.spread(p.sums(p.weight))).log()
        low, high = self.lower.clamp(min=lower), self.upper.clamp(max=upper)
        return share + self._log_share(low, high) - (self._log_inside() if self.bounded else 0.0)

    def log_mass(self, lower: float, upper: float) -> PerGroup:
        """log P_g(lower <= X <= upper) -> (S,)."""
        masses = self.log_masses(lower, upper).split(self.points.counts.tolist())
        return torch.stack([torch.logsumexp(m, 0) for m in masses])

    def mean(self) -> PerGroup:
        """E_g[X] -> (S,): the points' mean, moved by the bounds: E[X | i] = x_i + h^2 d log Z_i / d x_i."""
        p, h = self.points, self.points.spread(self.bandwidth)
        each = p.x
        if self.bounded:
            step = 1e-4
            each = each + h * (self._log_inside(step) - self._log_inside(-step)) / (2 * step)
        return p.sums(p.weight / p.spread(p.sums(p.weight)) * each)

    def draw(self, group: Observed, *, generator: Generator, within: tuple[float, float] | None = None) -> Drawn:
        """One draw of each group (n,) -> (n,): a point by its weight, then its kernel; exact.

        within: the draw is known to lie between these two numbers; the point is then chosen by its mass between them.
        """
        p = self.points
        lower, upper = self.lower, self.upper
        weight = p.weight
        if within is not None:
            log_mass = self.log_masses(*within)
            top = torch.full((len(self.bandwidth),), -torch.inf, dtype=torch.float64)
            top.scatter_reduce_(0, p.spread(torch.arange(len(top))), log_mass, "amax")
            # Where all masses are too small for a number, any point will do.
            weight = torch.exp(log_mass - p.spread(top)).nan_to_num(1.0)
            lower, upper = lower.clamp(min=within[0]), upper.clamp(max=within[1])
        below = torch.cat([torch.zeros(1, dtype=torch.float64), weight.cumsum(0)])
        first, last = below[p.start[group]], below[p.start[group + 1]]
        u = torch.rand(len(group), generator=generator, dtype=torch.float64)
        index = torch.searchsorted(below, torch.lerp(first, last, u), right=True) - 1
        index = torch.minimum(torch.maximum(index, p.start[group]), p.start[group + 1] - 1)
        x, h = p.x[index], self.bandwidth[group]
        if self.grid:
            return truncated.draw_whole(x, h, lower[group].ceil(), upper[group].floor(), generator=generator)
        return truncated.draw(x, h, lower[group], upper[group], generator=generator)
