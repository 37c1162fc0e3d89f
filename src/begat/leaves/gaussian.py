"""The Gaussian leaf: a density on the real line, a mass on whole numbers; both one matrix product."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from begat.core import Region, Stats
from begat.leaves.base import (
    At,
    Block,
    Leaf,
    Mask,
    Moments,
    Observed,
    Picked,
    State,
    Sums,
    Tails,
    Weight,
)
from begat.leaves.bounds import Bounded
from begat.leaves.inverse import ByTails
from begat.leaves.moments import moments
from begat.leaves.quadratic import Quadratic
from begat.leaves.sums import ROWS, spread
from begat.maths import lattice

SEPARATION = 1e7
"""Squared distance of a state's mean from the origin, in variances, up to which the expanded square is exact enough."""
SEPARATION_SINGLE = 1e3
"""The same for float32."""
TRIES = 20
"""Draws outside the bounds are drawn again up to so many times before the cdf is inverted."""
LATTICE_FLOOR = 0.05
"""Least variance on a grid, in steps squared: a constant integer is not infinitely surprised by its neighbour."""


class Gaussian(Bounded, ByTails, Leaf):
    """p(x | k) = exp(-(x - mean_k)^2 / 2 variance_k) / Z_k, for D columns and K states.

    Without a grid Z is sqrt(2 pi variance) and p a density; with `grid` x is a whole number and Z the sum over whole
    numbers (maths.lattice), so the masses sum to one. Stated bounds cut and renormalise either; mean and variance are
    then those of the data, which is maximum likelihood only where the bounds cut little.

    The square is expanded about an origin near the data, so that the log-probability of a row summed over columns is
    sum_d log p = const_k + A x' + B x'^2 with x' = x - origin, two matrix products (leaves.quadratic). Columns whose
    states lie too far apart for that (SEPARATION) are done term by term.

    Smoothing. variance_k = (N_k v_k + s V) / (N_k + s) with v_k that of the state's N_k rows, s =
    `var_smoothing` pseudo-rows, and V = v (N + 1) / (N - 1), v the variance of the column's N rows of all states (N - 1
    at least 1): the spread with which they predict one more. (scikit-learn adds a share of the LARGEST column's
    variance; ours does not depend on other columns' units.) s = 0 is maximum likelihood, but for two floors: where a
    state's rows are all equal 1e-12 V is added to every state's variance, and on a grid it is at least LATTICE_FLOOR
    steps squared. There, mean and variance are the moments of the whole numbers, which is maximum likelihood from a
    deviation of about 0.8 steps on. shared: one variance for all states.
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
        shared: bool = False,
    ):
        super().__init__()
        self.columns, self.states, self.grid = columns, states, grid
        self.bound(lower, upper)
        self.var_smoothing, self.shared = var_smoothing, shared
        for name in self.layout():
            self.register_buffer(name, None)

    origin: Moments
    mean_: Moments
    variance: Moments

    def config(self) -> dict[str, Any]:
        return {
            "columns": self.columns, "states": self.states, "grid": self.grid, **self.stated(),
            "var_smoothing": self.var_smoothing, "shared": self.shared,
        }  # fmt: skip

    def layout(self) -> dict[str, tuple[int, ...]]:
        shape = (self.columns, self.states)
        return {"origin": shape, "mean_": shape, "variance": shape}

    # learning -----------------------------------------------------------------------------------------------------
    def start(self, x: Block, state: State, weight: Weight = None, known: Mask = None) -> None:
        """The origin: each column's mean, or each state's where the states lie far apart."""
        every = slice(None, None, max(len(x) // ROWS, 1))  # an origin near the data is all that is needed
        state, weight = state[..., every], None if weight is None else weight[every]
        share, cells = spread(state, self.states, weight), x[every].double()
        seen = None if known is None else known[every].double()
        centre = cells.mean(0) if seen is None else (cells * seen).sum(0) / seen.sum(0).clamp(min=1)
        off = cells - centre if seen is None else (cells - centre) * seen
        count = share.sum(1) if seen is None else (share @ seen).T
        mean = (share @ off).T / count.clamp(min=1e-300)
        square = (share @ off.mul_(off)).T / count.clamp(min=1e-300)
        variance = (square - mean**2).clamp(min=1e-12 * square)
        far = (mean**2 > 100 * variance).any(1, keepdim=True)
        origin = centre[:, None] + torch.where(far & (count > 0), mean, 0.0)
        least = torch.where(count > 0, variance, torch.inf).amin(1, keepdim=True).sqrt()
        self.origin = _rounded(origin, least) if x.dtype == torch.float32 else origin

    def statistics(self, x: Block, state: State, weight: Weight = None, known: Mask = None) -> Stats:
        """Weight, sum and sum of squares of x - origin, each (D, K), in float64."""
        if not state.is_floating_point() or bool((self.origin == self.origin[:, :1]).all()):
            return moments(x, self.origin, state, weight, known)
        each = [moments(x, self.origin[:, [k]], state[[k]], weight, known) for k in range(self.states)]
        return {name: torch.cat([s[name] for s in each], 1) for name in each[0]}

    def maximise(self, stats: Stats) -> None:
        weight = stats["weight"]
        has = weight > 0
        safe = torch.where(has, weight, 1.0)
        off = stats["sum"] / safe
        variance = (stats["square"] / safe - off**2).clamp(min=0.0)
        mean = self.origin + off
        total = weight.sum(1, keepdim=True).clamp(min=1e-300)
        pooled = torch.where(has, weight * mean, 0.0).sum(1, keepdim=True) / total
        within = torch.where(has, weight * variance, 0.0).sum(1, keepdim=True) / total
        between = torch.where(has, weight * (mean - pooled) ** 2, 0.0).sum(1, keepdim=True) / total
        overall = within + between
        # The spread with which so many rows predict the next one: of two or three rows it is no small matter.
        overall = overall * (total + 1) / (total - 1).clamp(min=1.0)
        overall = torch.where(overall > 1e-32 * pooled**2, overall, self._size(pooled) ** 2)
        pull = self.var_smoothing
        if self.shared:
            variance = ((total * within + pull * overall) / (total + pull)).expand_as(variance)
        elif pull:
            variance = (weight * variance + pull * overall) / (weight + pull)
        if (variance <= 0).any():
            variance = variance + 1e-12 * overall
        learnt = has.any(1, keepdim=True) if self.shared else has
        mean, variance = torch.where(has, mean, pooled), torch.where(learnt, variance, overall)
        self.mean_, self.variance = mean, variance.clamp(min=LATTICE_FLOOR) if self.grid else variance

    def _size(self, pooled: Float[Tensor, "d 1"]) -> Float[Tensor, "d 1"]:
        """What stands in for the deviation of a column that never varies: its own size, and 1 for the constant 0."""
        return torch.where(pooled == 0, 1.0, pooled.abs())

    # asking -------------------------------------------------------------------------------------------------------
    def log_normaliser(self, mean: Moments | None = None) -> Moments:
        """log Z -> (D, K): the integral of exp(-(x - mean)^2 / 2 variance), its sum on a grid."""
        mean = self.mean_ if mean is None else mean
        deviation = self.variance.sqrt()
        whole = deviation.log() + lattice.HALF_LOG_2PI
        if not (self.grid or self.bounded):
            return whole
        lower, upper = (end[:, None] for end in self.ends())
        if self.grid:
            return lattice.log_sum(mean, deviation, lower, upper)
        return whole + lattice.log_cell((lower - mean) / deviation, (upper - mean) / deviation)

    def natural(self, single: bool = False) -> Quadratic:
        """log p = constant + A (x - origin) + B (x - origin)^2; single: of an origin that float32 holds, for such x."""
        origin = _single(self.mean_.mean(1)) if single else self.mean_.mean(1)
        off = self.mean_ - origin[:, None]
        square = -0.5 / self.variance
        return Quadratic(origin, square * off**2 - self.log_normaliser(), -2 * square * off, square)

    def joint(self, x: Block, known: Mask = None) -> Sums:
        form = self.natural()
        far = ((self.mean_ - form.origin[:, None]) ** 2 / self.variance > SEPARATION).any(1)
        if far.any():
            near, apart = (~far).nonzero()[:, 0], far.nonzero()[:, 0]
            out = form.of(near).sums(x[:, near], None if known is None else known[:, near])
            out += self.log_prob(x, known, apart).sum(0)
        else:
            out = form.sums(x, known)
        return out.masked_fill(self.outside(x, known).any(1), -torch.inf) if self.bounded else out

    def odds(self, x: Block, known: Mask = None) -> Sums:
        """The joint without what all states share, in the precision of x."""
        form = self.natural(single=True)
        apart = ((self.mean_ - form.origin[:, None]) ** 2 / self.variance).max() > SEPARATION_SINGLE
        if x.dtype != torch.float32 or apart or self.bounded:
            return self.joint(x, known)
        return form.differences(x, known)

    def log_prob(self, x: Block, known: Mask = None, columns: Int[Tensor, " _"] | None = None) -> Picked:
        pick = slice(None) if columns is None else columns
        mean, deviation = self.mean_[pick, :, None], self.variance[pick, :, None].sqrt()
        u = (x.T[pick, None].double() - mean) / deviation
        out = -0.5 * u * u - self.log_normaliser()[pick, :, None]
        if self.bounded:
            out = out.masked_fill(self.outside(x, known).T[pick, None], -torch.inf)
        return out if known is None else out.masked_fill(~known.T[pick, None], 0.0)

    def sample(self, state: Observed, *, generator: Generator) -> Block:
        out = self._unbounded(state, generator)
        if not self.bounded:
            return out
        lower, upper = self.ends()
        for _ in range(TRIES):
            rows = ((out < lower) | (out > upper)).any(1).nonzero()[:, 0]
            if not len(rows):
                return out
            again = self._unbounded(state[rows], generator)
            odd = (out[rows] < lower) | (out[rows] > upper)
            out[rows] = torch.where(odd, again, out[rows])
        for d in range(self.columns):  # little mass within the bounds: invert the cdf
            rows = ((out[:, d] < lower[d]) | (out[:, d] > upper[d])).nonzero()[:, 0]
            if len(rows):
                out[rows, d] = self.sample_in(d, Region(), state[rows], generator=generator)
        return out

    def _unbounded(self, state: Observed, generator: Generator) -> Block:
        mean, deviation = self.mean_[:, state.long()], self.variance.sqrt()[:, state.long()]
        if self.grid:
            flat = lattice.draw(mean.reshape(-1), deviation.reshape(-1), generator=generator)
            return flat.reshape(mean.shape).T.contiguous()
        noise = torch.randn(mean.shape, generator=generator, dtype=torch.float64)
        return (mean + deviation * noise).T.contiguous()

    def tails(self, column: int, x: At) -> Tails:
        """P(X <= x | k) and P(X > x | k) -> (K, m) each, between the bounds."""
        mean, deviation = self.mean_[column][:, None], self.variance[column].sqrt()[:, None]
        lower, upper = torch.tensor([self.lower[column], self.upper[column]], dtype=torch.float64)
        x = x.double()
        if self.grid:
            whole = lattice.log_sum(mean, deviation, lower, upper)
            below = lattice.log_sum(mean, deviation, lower, torch.minimum(x.floor(), upper))
            above = lattice.log_sum(mean, deviation, torch.maximum(x.floor() + 1, lower), upper)
            return (below - whole).exp(), (above - whole).exp()
        a, b = (lower - mean) / deviation, (upper - mean) / deviation
        u = torch.minimum(torch.maximum((x - mean) / deviation, a), b)
        whole = lattice.log_cell(a, b)
        return (lattice.log_cell(a.expand_as(u), u) - whole).exp(), (lattice.log_cell(u, b.expand_as(u)) - whole).exp()

    def mean(self) -> Moments:
        """E[x | k] = mean + variance * d log Z / d mean, the derivative as a central difference (1e-4 deviations)."""
        if not (self.bounded or self.grid):
            return self.mean_
        step = 1e-4 * self.variance.sqrt()
        slope = (self.log_normaliser(self.mean_ + step) - self.log_normaliser(self.mean_ - step)) / (2 * step)
        return self.mean_ + self.variance * slope


def _rounded(origin: Moments, deviation: Float[Tensor, "d 1"]) -> Moments:
    """Numbers within a sixteenth of a deviation that have few binary digits.

    Their difference from float32 data is exact, or its rounding goes either way: that of other numbers is off by the
    same for all data of a size, and does not average out.
    """
    least = (origin.abs() * 2.0**-24).clamp(min=1e-30)
    step = torch.exp2(torch.maximum(deviation, least).clamp(max=1e30).log2().floor() - 3)
    return _single((origin / step).round() * step)


def _single(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The nearest numbers that float32 has too, so that subtracting them from float32 data is exact near them."""
    return x.float().double()
