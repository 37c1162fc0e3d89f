"""The histogram leaf: a categorical of bins, the uniform law inside each, and a small tail on either side."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
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
    Scores,
    State,
    Sums,
    Tails,
    Weight,
)
from begat.leaves.categorical import Categorical
from begat.leaves.inverse import log_mass_by_tails, sample_by_tails

Sides = Float[Tensor, "2 d"]
"""Below and above: a number of each column on either side."""
Bins = Int[Tensor, "n d"]
POINTS = 600
"""Bins of a column on a grid: up to that many points have a bin each."""
BINS = 128
"""Bins of a continuous column at most."""
POWER = 3.0
"""Survival beyond the outer edges falls as the distance to the power -3: mean and variance are finite, just."""
FEWEST = 5.0
"""Rows of an outermost bin of equal weights that is not halved any more."""
WIDE = 0.125
"""Pseudo-counts, in alphas, of a bin that was made to hold rows."""
OUTER = 0.05
"""Share of the rows whose spread is the scale of the tail beside them."""
FINE = 1e4
"""Scale of a tail on a grid, in steps, from which on its mean is that of the continuous law, within 1 / scale."""
CONSTANT_WIDTH = 1e-6
"""Width of the one bin of a constant continuous column, relative to the constant (1 for 0)."""


class Histogram(Leaf):
    """p(x | k) = P(bin of x | k) p(x | bin), for D columns of B bins each under K states.

    Bins. `start` fixes them from the rows it is given, for all states alike: on a grid of at most `bins` points one bin
    a point (the points between the stated bounds if there are two, else those between the extremes of the rows);
    otherwise bins of equal weight, min(bins, 2 N^(1/3)) of them, and on a grid a bin of its own for each point that is
    heavier than two of those; the outermost two are halved again and again (by weight) down to FEWEST rows, so that a
    long tail is not spread evenly up to its extreme. Weights count as repetitions.

    Smoothing. q_b = (N_b + a_b) / sum_b (N_b + a_b) from the rows of all states, a_b = alpha for the tails and for
    single points of a grid and alpha / 8 for bins that were made around rows; then each state is shrunk to it:
    P(b | k) = (N_kb + c q_b) / (N_k + c) with c = alpha B pseudo-rows: alpha for each of the column's B bins, spread as
    the column. A state without rows is q.

    Tails. What lies beyond the outer edges is a bin like the others (it has at least its pseudo-count), within which
    the law of the distance t >= 0 from the edge is Pareto's of the second kind (Lomax 1954), cut at the distance L of
    the stated bound: P(T > t) = ((1 + t / s)^-3 - (1 + L / s)^-3) / (1 - (1 + L / s)^-3), integrated over cells on a
    grid. It falls as t^-4, so that a number a thousand ranges out costs tens of nats and not thousands; its mean s / 2
    without a bound is (m + sum t) / (1 + N_t) of the N_t rows beyond, m the distance from the edge that holds a
    twentieth of the rows or, while rows are few, range / 8 * 10 / (10 + N), the larger. A bound at the edge leaves no
    tail.

    bins: default 600 on a grid, 128 otherwise. On a grid x and the bounds are whole numbers and p is a mass.
    """

    def __init__(
        self,
        columns: int,
        states: int,
        *,
        grid: bool = False,
        lower: tuple[float, ...] | None = None,
        upper: tuple[float, ...] | None = None,
        bins: int | None = None,
        alpha: float = 1.0,
    ):
        super().__init__()
        self.columns, self.states, self.grid = columns, states, grid
        self.lower = tuple(lower) if lower else (-math.inf,) * columns
        self.upper = tuple(upper) if upper else (math.inf,) * columns
        self.bins, self.alpha = bins or (POINTS if grid else BINS), alpha
        half = 0.5 if grid else 0.0  # on a grid the law is the continuous one integrated over [k - 1/2, k + 1/2]
        ends = torch.tensor([self.lower, self.upper], dtype=torch.float64).reshape(2, columns)
        self.register_buffer("ends", ends + torch.tensor([[-half], [half]]), persistent=False)
        self.cells = Categorical(columns, states, levels=(self.bins + 2,) * columns)
        self.register_buffer("edges", None)
        self.register_buffer("scale", None)

    ends: Sides
    edges: Float[Tensor, "d edges"]
    scale: Sides

    def config(self) -> dict[str, Any]:
        return {
            "columns": self.columns, "states": self.states, "grid": self.grid, "lower": self.lower,
            "upper": self.upper, "bins": self.bins, "alpha": self.alpha,
        }  # fmt: skip

    def layout(self) -> dict[str, tuple[int, ...]]:
        cells = {f"cells.{name}": shape for name, shape in self.cells.layout().items()}
        return {"edges": (self.columns, self.bins + 1), "scale": (2, self.columns), **cells}

    # learning -----------------------------------------------------------------------------------------------------
    def start(self, x: Block, state: State, weight: Weight = None, known: Mask = None) -> None:
        """The edges of the bins, (D, B + 1), infinite beyond the last one used."""
        edges = torch.full((self.columns, self.bins + 1), torch.inf, dtype=torch.float64)
        rows = torch.ones(len(x), dtype=torch.bool) if weight is None else weight > 0
        for d in range(self.columns):
            seen = rows if known is None else rows & known[:, d]
            mass = np.ones(int(seen.sum())) if weight is None else weight[seen].double().numpy()
            found = torch.from_numpy(self._edges(d, x[seen, d].double().numpy(), mass))
            edges[d, : len(found)] = found
        self.edges = edges

    def _edges(
        self, column: int, x: Float64[np.ndarray, " m"], mass: Float64[np.ndarray, " m"]
    ) -> Float64[np.ndarray, " edges"]:
        """The edges of one column from its known values and their weights, rising."""
        lower, upper = self.lower[column], self.upper[column]
        if self.grid and upper - lower < self.bins:
            return np.arange(lower, upper + 2) - 0.5
        if not len(x):
            x, mass = np.array([min(max(0.0, lower), upper)]), np.ones(1)
        points, where = np.unique(x, return_inverse=True)
        mass = np.bincount(where, mass).astype(np.float64)
        low, high = points[0], points[-1]
        if self.grid and high - low < self.bins:
            return np.arange(low, high + 2) - 0.5
        if low == high:
            half = 0.5 * CONSTANT_WIDTH * (abs(low) or 1.0)
            return np.array([max(low - half, lower), min(high + half, upper)] if lower < upper else [low, low + half])
        # Each candidate cut lies after its point: half a step on a grid, half way to the next point otherwise.
        cuts = points[:-1] + (0.5 if self.grid else 0.5 * np.diff(points))
        reached = np.cumsum(mass)
        count = min(self.bins, math.ceil(2 * reached[-1] ** (1 / 3)))
        heavy = mass > 2 * reached[-1] / count if self.grid else np.zeros(len(points), dtype=bool)
        count = max(count - 2 * int(heavy.sum()), 1)  # a heavy point takes two cuts
        quantile = np.searchsorted(reached, _shares(count, reached[-1], self.bins - 2 * int(heavy.sum())) * reached[-1])
        inner = np.concatenate([cuts[np.minimum(quantile, len(cuts) - 1)], points[heavy] - 0.5, points[heavy] + 0.5])
        step = 0.5 if self.grid else 0.0
        outer = np.array([low - step, high + step])
        return np.unique(np.concatenate([outer, np.clip(inner, *outer)]))

    def statistics(self, x: Block, state: State, weight: Weight = None, known: Mask = None) -> Stats:
        """Weight of every bin under every state, and the sum of distances beyond the outer edges, (2, D)."""
        x = x.double()
        mass = torch.ones(len(x), dtype=torch.float64) if weight is None else weight.double()
        if state.is_floating_point():
            mass = mass * state.double().sum(0)
        low, high, _ = self._outline()
        beyond = torch.stack([(low - x).clamp(min=0.0), (x - high).clamp(min=0.0)])
        if known is not None:
            beyond = beyond * known
        counts = self.cells.statistics(self._bin(x, known), state, weight, known)["counts"]
        return {"counts": counts, "beyond": mass @ beyond}

    def maximise(self, stats: Stats) -> None:
        counts = stats["counts"].reshape(self.columns, self.bins + 2, self.states)
        low, high, used = self._outline()
        place = torch.arange(self.bins + 2)
        exists = (place >= 1) & (place <= used[:, None])
        exists[:, 0] = self.ends[0] < low
        exists.scatter_(1, used[:, None] + 1, (self.ends[1] > high)[:, None])
        exists = exists[:, :, None]
        width = torch.nn.functional.pad(self.edges.diff(dim=1), (1, 1), value=1.0)
        single = (place == 0) | (place == used[:, None] + 1) | ((width == 1.0) & self.grid)
        pseudo = max(self.alpha, 1e-10) * torch.where(single, 1.0, WIDE)[:, :, None]
        pooled = (counts.sum(2, keepdim=True) + pseudo) * exists
        pooled = pooled / pooled.sum(1, keepdim=True)
        pull = max(self.alpha, 1e-10) * used[:, None, None].double()
        smooth = (counts + pull * pooled) * exists
        self.cells.log_p = (smooth / smooth.sum(1, keepdim=True)).log().reshape(-1, self.states)

        tail = torch.stack([counts[:, 0].sum(1), counts.sum(2).gather(1, used[:, None] + 1)[:, 0]])
        share = pooled[:, :, 0].cumsum(1)  # the bin in which a twentieth of the mass, from either end, is reached
        from_low = (share < OUTER).sum(1).clamp(min=1).minimum(used)
        from_high = (share <= 1 - OUTER).sum(1).clamp(min=1).minimum(used)
        near = self.edges.gather(1, torch.stack([from_low, from_high - 1], 1))
        outer = torch.stack([near[:, 0] - low, high - near[:, 1]])
        few = (high - low) / 8 * (10 / (10 + counts.sum((1, 2))))
        mean = (torch.maximum(outer, few) + stats["beyond"]) / (1 + tail)
        self.scale = (POWER - 1) * mean

    # bins ---------------------------------------------------------------------------------------------------------
    def _outline(self) -> tuple[PerColumn, PerColumn, Int[Tensor, " d"]]:
        """The lowest edge, the highest edge and the number of bins of each column, (D,) each."""
        used = self.edges.isfinite().sum(1) - 1
        return self.edges[:, 0], self.edges.gather(1, used[:, None])[:, 0], used

    def _bin(self, x: Block, known: Mask = None) -> Bins:
        """The bin of each value -> (n, D): 0 below, 1..used inside, used + 1 above. Both outer edges are inside."""
        bins = torch.searchsorted(self.edges, x.T.contiguous(), right=True)
        high, used = self._outline()[1:]
        return torch.where(high[:, None] == x.T, used[:, None], bins).T

    def _room(self) -> Sides:
        """Distance from the outer edges to the bounds, (2, D)."""
        low, high, _ = self._outline()
        return torch.stack([low - self.ends[0], self.ends[1] - high])

    def _within(self, x: Block, bins: Bins) -> Block:
        """log p(x | bin) -> (n, D): the same for all states; -inf beyond the bounds."""
        low, high, used = self._outline()
        log_width = torch.zeros(self.columns, self.bins + 2, dtype=torch.float64)
        log_width[:, 1:-1] = torch.where(self.edges[:, 1:].isfinite(), self.edges.diff(dim=1), 1.0).log()
        out = -log_width.gather(1, bins.T).T
        outside = (bins == 0) | (bins > used)
        if not outside.any():
            return out
        row, column = outside.nonzero(as_tuple=True)
        x = x[row, column]
        below = bins[row, column] == 0
        side = (~below).long()
        distance = torch.where(below, low[column] - x, x - high[column])
        scale, room = self.scale[side, column], self._room()[side, column]
        # On a grid a point's mass is the integral over its cell, which begins half a step nearer to the edge.
        near = (distance - 0.5).clamp(min=0.0) if self.grid else distance
        log_rate = _log1mexp(POWER * torch.log1p(1 / (scale + near))) if self.grid else (POWER / (scale + near)).log()
        tail = _log_beyond(near, scale) + log_rate - _log1mexp(-_log_beyond(room, scale))
        out[row, column] = torch.where(distance <= room, tail, -torch.inf)
        return out

    # asking -------------------------------------------------------------------------------------------------------
    def log_prob(self, x: Block, known: Mask = None) -> Scores:
        x = x.double()
        bins = self._bin(x)
        within = self._within(x, bins)
        within = within if known is None else torch.where(known, within, 0.0)
        return self.cells.log_prob(bins, known) + within.T[:, None]

    def joint(self, x: Block, known: Mask = None) -> Sums:
        x = x.double()
        bins = self._bin(x)
        within = self._within(x, bins)
        within = within if known is None else torch.where(known, within, 0.0)
        return self.cells.joint(bins, known) + within.sum(1)

    def sample(self, state: Observed, *, generator: Generator) -> Block:
        bins = self.cells.sample(state, generator=generator)
        low, high, used = self._outline()
        u = torch.rand(bins.shape, generator=generator, dtype=torch.float64)
        left = self.edges.gather(1, (bins.T - 1).clamp(min=0)).T
        right = self.edges.gather(1, torch.minimum(bins.T, used[:, None])).T
        inside = left + u * (right - left)
        survival = torch.log1p(u * torch.expm1(_log_beyond(self._room(), self.scale))[:, None])
        far = self.scale[:, None] * torch.expm1(-survival / POWER)
        x = torch.where(bins == 0, low - far[0], torch.where(bins > used, high + far[1], inside))
        lower, upper = self.ends
        if not self.grid:
            return torch.minimum(torch.maximum(x, lower), upper)
        # Cells are closed to the left, those of the lower tail to the right: its draws never leave it.
        x = torch.where(bins == 0, (x - 0.5).ceil(), (x + 0.5).floor())
        left = torch.where(bins == 0, lower, torch.where(bins > used, high, left))
        right = torch.where(bins == 0, low, torch.where(bins > used, upper, right))
        return torch.minimum(torch.maximum(x, left + 0.5), right - 0.5)

    def tails(self, column: int, x: At) -> Tails:
        """P(X <= x | k) and P(X > x | k) -> (K, m) each."""
        low, high, used = (t[column] for t in self._outline())
        lower, upper = self.ends[:, column]
        x = x.double().floor() + 0.5 if self.grid else x.double()
        x = torch.minimum(torch.maximum(x, lower), upper)
        p = self.cells.table(column).exp()
        before = torch.cat([torch.zeros(1, self.states).double(), p.cumsum(0)[:-1]])
        after = torch.cat([p.flip(0).cumsum(0).flip(0)[1:], torch.zeros(1, self.states).double()])
        edges = self.edges[column]
        bins = torch.where(x == high, used, torch.searchsorted(edges, x, right=True))
        left, right = edges[(bins - 1).clamp(min=0)], edges[torch.minimum(bins, used)]
        width = torch.where(right > left, right - left, 1.0)
        scale, room = self.scale[:, column], torch.stack([low - lower, upper - high])
        whole = -torch.expm1(_log_beyond(room, scale))
        down, up = (low - x).clamp(min=0.0), (x - high).clamp(min=0.0)
        share = torch.where(bins == 0, _cut(down, scale[0], room[0]) / whole[0], (x - left) / width)
        share = torch.where(bins > used, torch.expm1(_log_beyond(up, scale[1])) / -whole[1], share)
        rest = torch.where(bins == 0, torch.expm1(_log_beyond(down, scale[0])) / -whole[0], (right - x) / width)
        rest = torch.where(bins > used, _cut(up, scale[1], room[1]) / whole[1], rest)
        return (before[bins] + p[bins] * share[:, None]).T, (after[bins] + p[bins] * rest[:, None]).T

    def log_mass(self, column: int, region: Region) -> PerState:
        return log_mass_by_tails(self, column, region)

    def sample_in(self, column: int, region: Region, state: Observed, *, generator: Generator) -> Drawn:
        return sample_by_tails(self, column, region, state, generator)

    def mean(self) -> Moments:
        """E[x | k] = sum_b P(b | k) E[x | b]."""
        low, high, used = self._outline()
        room = self._room()
        beyond = _mean_beyond(room, self.scale, self.grid)
        centre = torch.zeros(self.columns, self.bins + 2, dtype=torch.float64)
        middle = 0.5 * (self.edges[:, 1:] + self.edges[:, :-1])
        centre[:, 1:-1] = torch.where(middle.isfinite(), middle, 0.0)
        centre[:, 0] = torch.where(room[0] > 0, low - beyond[0], 0.0)
        centre.scatter_(1, used[:, None] + 1, torch.where(room[1] > 0, high + beyond[1], 0.0)[:, None])
        p = self.cells.log_p.reshape(self.columns, self.bins + 2, self.states).exp()
        return (p * centre[:, :, None]).sum(1)


def _log1mexp(t: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """log(1 - exp(-t)) for t > 0."""
    return torch.where(t < 0.693, torch.log(-torch.expm1(-t)), torch.log1p(-torch.exp(-t)))


def _log_beyond(distance: Float[Tensor, ...], scale: Float[Tensor, ...]) -> Float[Tensor, ...]:
    """log P(T > distance) of the tail that no bound cuts."""
    return -POWER * torch.log1p(distance / scale)


def _cut(distance: At, scale: Float[Tensor, ""], room: Float[Tensor, ""]) -> At:
    """P(distance < T <= room) of the tail that no bound cuts."""
    left, end = _log_beyond(distance, scale), _log_beyond(room, scale)
    return left.exp() * -torch.expm1((end - left).clamp(max=0.0))


def _mean_beyond(room: Sides, scale: Sides, grid: bool) -> Sides:
    """E[T | T <= room], on a grid that of the middle of T's cell.

    (room / 2) (3 + r) / (3 + 3 r + r^2) with r = room / scale; on a grid 1/2 + sum_{0 < j < room} (S(j) - S(room)) /
    (1 - S(room)), S(j) = (1 + j / scale)^-3, whose sum is a difference of Hurwitz zeta functions.
    """
    bounded = room.isfinite()
    r = torch.where(bounded, room / scale, 1.0)
    smooth = 0.5 * scale * torch.where(bounded, r * (POWER + r) / (POWER + POWER * r + r**2), 1.0)
    if not grid:
        return smooth
    last = torch.where(bounded & (room > 0), room, 1.0)
    power = torch.tensor(POWER, dtype=torch.float64)
    total = scale**POWER * torch.special.zeta(power, scale + 1)
    end = (1 + last / scale) ** -POWER
    cut = scale**POWER * (torch.special.zeta(power, scale + 1) - torch.special.zeta(power, scale + last))
    cut = (cut - (last - 1) * end) / (1 - end)
    return torch.where(scale > FINE, smooth, 0.5 + torch.where(bounded, cut, total))


def _shares(count: int, total: float, most: int) -> Float64[np.ndarray, " cuts"]:
    """The shares of the weight below each cut: `count` equal bins, the two outermost halved down to FEWEST rows."""
    halvings = max(int(math.log2(max(total / count / FEWEST, 1.0))), 0)
    halvings = min(halvings, max((most - count) // 2, 0)) if count > 1 else 0
    near = 0.5 ** np.arange(halvings, 0, -1) / count
    return np.concatenate([near, np.arange(1, count) / count, 1 - near[::-1]])
