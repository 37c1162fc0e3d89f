"""The Gaussian leaf: a density on the real line, a mass on whole numbers; both one matrix product."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from begat.core import Region, Stats
from begat.leaves.base import (
    At,
    Block,
    Drawn,
    Leaf,
    Mask,
    Moments,
    Observed,
    PerColumn,
    PerState,
    Picked,
    State,
    Sums,
    Tails,
    Weight,
    spread,
    sums_of,
)
from begat.leaves.inverse import log_mass_by_tails, sample_by_tails
from begat.maths import lattice

Bounds = tuple[Float[Tensor, "d 1"], Float[Tensor, "d 1"]]
ROWS = 4096
"""Rows of a block of x, small enough for it to stay in the cache."""
SEPARATION = 1e7
"""Squared distance of a state's mean from the origin, in variances, up to which the expanded square is exact enough."""
MAGNITUDE = 48.0
"""Sum of the magnitudes of a row's terms above which float32 would lose the sixth digit of a probability."""
SEPARATION_SINGLE = 1e3
"""The same for float32."""
TRIES = 20
"""Draws outside the bounds are drawn again up to so many times before the cdf is inverted."""
LATTICE_FLOOR = 0.05
"""Least variance on a grid, in steps squared: a constant integer is not infinitely surprised by its neighbour."""


class Gaussian(Leaf):
    """p(x | k) = exp(-(x - mean_k)^2 / 2 variance_k) / Z_k, for D columns and K states.

    Without a grid Z is sqrt(2 pi variance) and p a density; with `grid` x is a whole number and Z the sum over whole
    numbers (maths.lattice), so the masses sum to one. Stated bounds cut and renormalise either; mean and variance are
    then those of the data, which is maximum likelihood only where the bounds cut little.

    The square is expanded about an origin near the data, so that the log-probability of a row summed over columns is
    sum_d log p = const_k + A x' + B x'^2 with x' = x - origin: two matrix products. Columns whose states lie too far
    apart for that (SEPARATION) are done term by term.

    Smoothing. variance_k = (N_k v_k + s V) / (N_k + s) with v_k that of the state's N_k rows, s =
    `var_smoothing` pseudo-rows, and V = v (N + 1) / (N - 1), v the variance of the column's N rows of all states (N - 1
    at least 1): the spread with which they predict one more. s = 0 is maximum likelihood. (scikit-learn adds a share of
    the LARGEST column's variance; ours does not depend on other columns' units.) shared: one variance for all states.
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
        self.lower = tuple(lower) if lower else (-math.inf,) * columns
        self.upper = tuple(upper) if upper else (math.inf,) * columns
        self.var_smoothing, self.shared = var_smoothing, shared
        for name in self.layout():
            self.register_buffer(name, None)

    origin: Moments
    mean_: Moments
    variance: Moments

    def config(self) -> dict[str, Any]:
        return {
            "columns": self.columns, "states": self.states, "grid": self.grid, "lower": self.lower,
            "upper": self.upper, "var_smoothing": self.var_smoothing, "shared": self.shared,
        }  # fmt: skip

    def layout(self) -> dict[str, tuple[int, ...]]:
        shape = (self.columns, self.states)
        return {"origin": shape, "mean_": shape, "variance": shape}

    # learning -----------------------------------------------------------------------------------------------------
    def start(self, x: Block, state: State, weight: Weight = None, known: Mask = None) -> None:
        """The origin: each column's mean, or each state's where the states lie far apart."""
        every = slice(None, None, max(len(x) // ROWS, 1))  # an origin near the data is all that is needed
        state, weight = state[..., every], None if weight is None else weight[every]
        share, cells = spread(state, self.states, weight, torch.float64), x[every].double()
        seen = None if known is None else known[every].double()
        centre = cells.mean(0) if seen is None else (cells * seen).sum(0) / seen.sum(0).clamp(min=1)
        off = cells - centre if seen is None else (cells - centre) * seen
        count = share.sum(1) if seen is None else (share @ seen).T
        mean = (share @ off).T / count.clamp(min=1e-300)
        square = (share @ off.mul_(off)).T / count.clamp(min=1e-300)
        far = (mean**2 > 100 * (square - mean**2).clamp(min=1e-12 * square)).any(1, keepdim=True)
        origin = centre[:, None] + torch.where(far & (count > 0), mean, 0.0)
        self.origin = _single(origin) if x.dtype == torch.float32 else origin

    def statistics(self, x: Block, state: State, weight: Weight = None, known: Mask = None) -> Stats:
        """Weight, sum and sum of squares of x - origin, each (D, K), in float64."""
        common = self.origin[:, 0] if torch.equal(self.origin, self.origin[:, :1].expand_as(self.origin)) else None
        if common is not None or not state.is_floating_point():
            return self._moments(x, state, weight, known, common)
        alone = torch.zeros(self.states, 1, len(x), dtype=torch.float64)
        each = [
            self._moments(x, alone[k].copy_(state[k]), weight, known, self.origin[:, k]) for k in range(self.states)
        ]
        return {name: torch.cat([s[name] for s in each], 1) for name in each[0]}

    def _moments(self, x: Block, state: State, weight: Weight, known: Mask, common: PerColumn | None) -> Stats:
        """The sums about the common origin, or about that of each row's own state; in blocks that stay in the cache."""
        states = len(state) if state.is_floating_point() else self.states
        seen, total, square = torch.zeros(3, states, self.columns, dtype=torch.float64)
        room = torch.empty(min(len(x), ROWS), self.columns, dtype=x.dtype)
        one = None if common is None else common.to(x.dtype)
        if known is None:
            soft = state.is_floating_point()
            count = spread(state, states, weight, x.dtype).sum(1) if soft else torch.bincount(state, weight, states)
            seen += count[:, None]
        sums = sums_of(state, states, weight, x.dtype, ROWS)
        for rows in blocks(len(x)):
            cells = x[rows]
            origin = self.origin[:, state[rows].long()].T.to(x.dtype) if one is None else one
            off = torch.sub(cells, origin, out=room[: len(cells)])
            if known is not None:
                off.mul_(known[rows])
                seen += sums(rows, known[rows].to(x.dtype))
            total += sums(rows, off)
            square += sums(rows, off.mul_(off))
        return {"weight": seen.T, "sum": total.T, "square": square.T}

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
    def _bounds(self) -> Bounds | None:
        """The bounds as (D, 1), None where no column has any."""
        if all(map(math.isinf, self.lower + self.upper)):
            return None
        return tuple(torch.tensor(b, dtype=torch.float64)[:, None] for b in (self.lower, self.upper))  # type: ignore[return-value]

    def log_normaliser(self, mean: Moments | None = None) -> Moments:
        """log Z -> (D, K): the integral of exp(-(x - mean)^2 / 2 variance), its sum on a grid."""
        mean = self.mean_ if mean is None else mean
        deviation, bounds = self.variance.sqrt(), self._bounds()
        if self.grid:
            lower, upper = bounds or (torch.tensor(-torch.inf), torch.tensor(torch.inf))
            return lattice.log_sum(mean, deviation, lower, upper)
        whole = deviation.log() + lattice.HALF_LOG_2PI
        if bounds is None:
            return whole
        return whole + lattice.log_cell((bounds[0] - mean) / deviation, (bounds[1] - mean) / deviation)

    def natural(self, single: bool = False) -> tuple[PerColumn, Moments, Moments, Moments]:
        """(origin (D,), constant, A, B each (D, K)): log p = constant + A (x - origin) + B (x - origin)^2.

        single: an origin that float32 holds, for x that is float32.
        """
        origin = _single(self.mean_.mean(1)) if single else self.mean_.mean(1)
        off = self.mean_ - origin[:, None]
        square = -0.5 / self.variance
        return origin, square * off**2 - self.log_normaliser(), -2 * square * off, square

    def joint(self, x: Block, known: Mask = None) -> Sums:
        origin, constant, linear, square = self.natural()
        far = ((self.mean_ - origin[:, None]) ** 2 / self.variance > SEPARATION).any(1)
        if far.any():
            near = (~far).nonzero()[:, 0]
            total = self.log_prob(x, known, far.nonzero()[:, 0]).sum(0)
            if not len(near):
                return total
            origin, constant, linear, square = (t[near] for t in (origin, constant, linear, square))
            x_near, known_near = x[:, near], None if known is None else known[:, near]
            return total + self._product(x_near, known_near, origin, constant, linear, square)
        out = self._product(x, known, origin, constant, linear, square)
        outside = self._outside(x, known)
        return out if outside is None else out.masked_fill(outside.any(1)[None], -torch.inf)

    def odds(self, x: Block, known: Mask = None) -> Sums:
        """The joint without what all states share, in the precision of x: differences of states are small numbers.

        In float32 a row's sum of magnitudes m = sum_d |A_d x'_d| + |B_d| x'^2_d (largest differences over the states,
        bounded with |x'| <= (1 + x'^2) / 2 by one more row of the product) loses some m 2^-24 nats, measured 6e-7 in
        probability at m = 45; rows above MAGNITUDE are done again in float64.
        """
        origin, *natural = self.natural(single=True)
        apart = ((self.mean_ - origin[:, None]) ** 2 / self.variance).max() > SEPARATION_SINGLE
        if x.dtype != torch.float32 or apart or self._bounds() is not None:
            return self.joint(x, known)
        constant, linear, square = (t - t.mean(1, keepdim=True) for t in natural)
        half = 0.5 * linear.abs().amax(1, keepdim=True)
        one = torch.cat([constant, constant.abs().amax(1, keepdim=True) + half], 1)
        two = torch.cat([linear, torch.zeros_like(half)], 1)
        three = torch.cat([square, square.abs().amax(1, keepdim=True) + half], 1)
        out = self._product(x, known, origin, one, two, three, torch.float32)
        large = (out[-1] > MAGNITUDE).nonzero()[:, 0]
        if not len(large):
            return out[:-1]
        out = out[:-1]
        again = None if known is None else known[large]
        out[:, large] = self._product(x[large], again, origin, constant, linear, square).float()
        return out

    def _product(
        self,
        x: Block,
        known: Mask,
        origin: PerColumn,
        constant: Moments,
        linear: Moments,
        square: Moments,
        dtype: torch.dtype = torch.float64,
    ) -> Sums:
        """constant + linear x' + square x'^2 summed over columns -> (K, n), in blocks that stay in the cache."""
        origin = origin.to(dtype)
        constant, linear, square = (t.T.to(dtype).contiguous() for t in (constant, linear, square))
        alone = constant.sum(1, keepdim=True)
        out = torch.empty(len(linear), len(x), dtype=dtype)
        for rows in blocks(len(x)):
            off = x[rows].to(dtype, copy=True).sub_(origin).T
            if known is None:
                part = torch.addmm(alone, linear, off)
            else:
                seen = known[rows].T.to(dtype)
                part = torch.addmm(constant @ seen, linear, off.mul_(seen))
            out[:, rows] = part.addmm_(square, off.mul_(off))
        return out

    def _outside(self, x: Block, known: Mask) -> Mask:
        bounds = self._bounds()
        if bounds is None:
            return None
        outside = (x < bounds[0][:, 0]) | (x > bounds[1][:, 0])
        return outside if known is None else outside & known

    def log_prob(self, x: Block, known: Mask = None, columns: Int[Tensor, " _"] | None = None) -> Picked:
        pick = slice(None) if columns is None else columns
        mean, deviation = self.mean_[pick, :, None], self.variance[pick, :, None].sqrt()
        u = (x.T[pick, None].double() - mean) / deviation
        out = -0.5 * u * u - self.log_normaliser()[pick, :, None]
        outside = self._outside(x, known)
        if outside is not None:
            out = out.masked_fill(outside.T[pick, None], -torch.inf)
        return out if known is None else out.masked_fill(~known.T[pick, None], 0.0)

    def sample(self, state: Observed, *, generator: Generator) -> Block:
        out = self._unbounded(state, generator)
        bounds = self._bounds()
        if bounds is None:
            return out
        lower, upper = (b[:, 0] for b in bounds)
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

    def log_mass(self, column: int, region: Region) -> PerState:
        return log_mass_by_tails(self, column, region)

    def sample_in(self, column: int, region: Region, state: Observed, *, generator: Generator) -> Drawn:
        return sample_by_tails(self, column, region, state, generator)

    def mean(self) -> Moments:
        """E[x | k] = mean + variance * d log Z / d mean, the derivative as a central difference (1e-4 deviations)."""
        if self._bounds() is None and not self.grid:
            return self.mean_
        step = 1e-4 * self.variance.sqrt()
        slope = (self.log_normaliser(self.mean_ + step) - self.log_normaliser(self.mean_ - step)) / (2 * step)
        return self.mean_ + self.variance * slope


def _single(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The nearest numbers that float32 has too, so that subtracting them from float32 data is exact near them."""
    return x.float().double()


def blocks(rows: int) -> Iterator[slice]:
    """Consecutive blocks of at most ROWS rows."""
    return (slice(first, first + ROWS) for first in range(0, rows, ROWS))
