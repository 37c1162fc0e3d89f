"""The histogram leaf: a categorical of bins, the uniform law inside each, and a small tail on either side."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from begat.core import Stats
from begat.leaves.base import (
    At,
    Block,
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
from begat.leaves.bins import edges
from begat.leaves.bounds import Bounded
from begat.leaves.categorical import Categorical
from begat.leaves.inverse import ByTails
from begat.maths import lomax

Sides = Float[Tensor, "2 d"]
"""Below and above: a number of each column on either side."""
Bins = Int[Tensor, "n d"]
POINTS = 600
"""Bins of a column on a grid: up to that many points have a bin each."""
BINS = 128
"""Bins of a continuous column at most."""
PULLS = 4.0 ** torch.arange(7, dtype=torch.float64)
"""Multiples of alpha pseudo-rows a bin by which states may be shrunk to the column."""
GROUPS = 32
"""Groups of bins that show by how much."""
WIDE = 0.125
"""Pseudo-counts, in alphas, of a bin that was made to hold rows."""
OUTER = 0.05
"""Share of the rows whose spread is the scale of the tail beside them."""


class Histogram(Bounded, ByTails, Leaf):
    """p(x | k) = P(bin of x | k) p(x | bin), for D columns of B bins each under K states.

    Bins. `start` fixes them from the rows it is given, for all states alike: on a grid of at most `bins` points one bin
    a point (the points between the stated bounds if there are two, else those between the extremes of the rows);
    otherwise bins of equal weight, min(bins, 2 N^(1/3)) of them, and on a grid a bin of its own for each point that is
    heavier than two of those; the outermost two are halved again and again (by weight) down to FEWEST rows, so that a
    long tail is not spread evenly up to its extreme. Weights count as repetitions.

    Smoothing. q_b = (N_b + a_b) / sum_b (N_b + a_b) from the rows of all states, a_b = alpha for the tails and for
    single points of a grid and alpha / 8 for bins that were made around rows; then each state is shrunk to it:
    P(b | k) = (N_kb + c q_b) / (N_k + c) with c pseudo-rows, spread as the column: alpha for each of the column's B
    bins or 4, 16, ..., 4096 times as many, whichever predicts each row best from all others (the maximum of the
    leave-one-out likelihood, over GROUPS groups of bins). So a column that says nothing of the state is nearly q under
    each. A state without rows is q.

    Tails. What lies beyond the outer edges is a bin like the others (it has at least its pseudo-count), within which
    the law of the distance t >= 0 from the edge is Pareto's of the second kind (maths.lomax), cut at the distance L of
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
        self.bound(lower, upper)
        self.bins, self.alpha = bins or (POINTS if grid else BINS), alpha
        half = 0.5 if grid else 0.0  # on a grid the law is the continuous one integrated over [k - 1/2, k + 1/2]
        self.register_buffer("rim", torch.stack(self.ends()) + torch.tensor([[-half], [half]]), persistent=False)
        self.cells = Categorical(columns, states, levels=(self.bins + 2,) * columns)
        self.register_buffer("edges", None)
        self.register_buffer("scale", None)

    rim: Sides
    edges: Float[Tensor, "d edges"]
    scale: Sides

    def config(self) -> dict[str, Any]:
        return {
            "columns": self.columns, "states": self.states, "grid": self.grid, **self.stated(),
            "bins": self.bins, "alpha": self.alpha,
        }  # fmt: skip

    def layout(self) -> dict[str, tuple[int, ...]]:
        own = {"edges": (self.columns, self.bins + 1), "scale": (2, self.columns)}
        return {**own, **join({"cells": self.cells.layout()})}

    # learning -----------------------------------------------------------------------------------------------------
    def start(self, x: Block, state: State, weight: Weight = None, known: Mask = None) -> None:
        """The edges of the bins, (D, B + 1), infinite beyond the last one used."""
        made = torch.full((self.columns, self.bins + 1), torch.inf, dtype=torch.float64)
        rows = torch.ones(len(x), dtype=torch.bool) if weight is None else weight > 0
        for d in range(self.columns):
            seen = rows if known is None else rows & known[:, d]
            mass = np.ones(int(seen.sum())) if weight is None else weight[seen].double().numpy()
            bounds = self.lower[d], self.upper[d]
            found = torch.from_numpy(edges(x[seen, d].double().numpy(), mass, *bounds, self.bins, grid=self.grid))
            made[d, : len(found)] = found
        self.edges = made

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
        exists[:, 0] = self.rim[0] < low
        exists.scatter_(1, used[:, None] + 1, (self.rim[1] > high)[:, None])
        exists = exists[:, :, None]
        width = torch.nn.functional.pad(self.edges.diff(dim=1), (1, 1), value=1.0)
        single = (place == 0) | (place == used[:, None] + 1) | ((width == 1.0) & self.grid)
        pseudo = max(self.alpha, 1e-10) * torch.where(single, 1.0, WIDE)[:, :, None]
        pooled = (counts.sum(2, keepdim=True) + pseudo) * exists
        pooled = pooled / pooled.sum(1, keepdim=True)
        pull = _pull(counts, pseudo * exists, max(self.alpha, 1e-10) * used.double())[:, None, None]
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
        self.scale = (lomax.POWER - 1) * mean

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
        return torch.stack([low - self.rim[0], self.rim[1] - high])

    def _within(self, x: Block, bins: Bins, known: Mask) -> Block:
        """log p(x | bin) -> (n, D): the same for all states; -inf beyond the bounds, 0 where unknown."""
        low, high, used = self._outline()
        log_width = torch.zeros(self.columns, self.bins + 2, dtype=torch.float64)
        log_width[:, 1:-1] = torch.where(self.edges[:, 1:].isfinite(), self.edges.diff(dim=1), 1.0).log()
        out = -log_width.gather(1, bins.T).T
        outside = (bins == 0) | (bins > used)
        if not outside.any():
            return out if known is None else torch.where(known, out, 0.0)
        row, column = outside.nonzero(as_tuple=True)
        x = x[row, column]
        below = bins[row, column] == 0
        side = (~below).long()
        distance = torch.where(below, low[column] - x, x - high[column])
        scale, room = self.scale[side, column], self._room()[side, column]
        tail = lomax.log_density(distance, scale, room, grid=self.grid)
        out[row, column] = torch.where(distance <= room, tail, -torch.inf)
        return out if known is None else torch.where(known, out, 0.0)

    # asking -------------------------------------------------------------------------------------------------------
    def log_prob(self, x: Block, known: Mask = None) -> Scores:
        x = x.double()
        bins = self._bin(x)
        return self.cells.log_prob(bins, known) + self._within(x, bins, known).T[:, None]

    def joint(self, x: Block, known: Mask = None) -> Sums:
        x = x.double()
        bins = self._bin(x)
        return self.cells.joint(bins, known) + self._within(x, bins, known).sum(1)

    def sample(self, state: Observed, *, generator: Generator) -> Block:
        bins = self.cells.sample(state, generator=generator)
        low, high, used = self._outline()
        u = torch.rand(bins.shape, generator=generator, dtype=torch.float64)
        left = self.edges.gather(1, (bins.T - 1).clamp(min=0)).T
        right = self.edges.gather(1, torch.minimum(bins.T, used[:, None])).T
        inside = left + u * (right - left)
        far = lomax.draw(u, self.scale[:, None], self._room()[:, None])
        x = torch.where(bins == 0, low - far[0], torch.where(bins > used, high + far[1], inside))
        lower, upper = self.rim
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
        lower, upper = self.rim[:, column]
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
        lower_tail, upper_tail = (
            lomax.tails(t.clamp(min=0.0), s, r) for t, s, r in zip((low - x, x - high), scale, room, strict=True)
        )
        share = torch.where(bins == 0, lower_tail[1], torch.where(bins > used, upper_tail[0], (x - left) / width))
        rest = torch.where(bins == 0, lower_tail[0], torch.where(bins > used, upper_tail[1], (right - x) / width))
        return (before[bins] + p[bins] * share[:, None]).T, (after[bins] + p[bins] * rest[:, None]).T

    def mean(self) -> Moments:
        """E[x | k] = sum_b P(b | k) E[x | b]."""
        low, high, used = self._outline()
        room = self._room()
        beyond = lomax.mean(self.scale, room, grid=self.grid)
        centre = torch.zeros(self.columns, self.bins + 2, dtype=torch.float64)
        middle = 0.5 * (self.edges[:, 1:] + self.edges[:, :-1])
        centre[:, 1:-1] = torch.where(middle.isfinite(), middle, 0.0)
        centre[:, 0] = torch.where(room[0] > 0, low - beyond[0], 0.0)
        centre.scatter_(1, used[:, None] + 1, torch.where(room[1] > 0, high + beyond[1], 0.0)[:, None])
        p = self.cells.log_p.reshape(self.columns, self.bins + 2, self.states).exp()
        return (p * centre[:, :, None]).sum(1)


def _pull(counts: Float[Tensor, "d b k"], pseudo: Float[Tensor, "d b 1"], least: PerColumn) -> PerColumn:
    """The pseudo-rows c, PULLS times `least`, of the largest leave-one-out log-likelihood of the counts -> (D,).

    sum_gk N_kg log((N_kg - 1 + c q'_g) / (N_k - 1 + c)) with q' the column's shares without the row itself, over GROUPS
    of neighbouring bins of about equal weight: where bins hold a row or two, a trend shows in groups of them only.
    """
    if counts.shape[2] == 1:
        return least
    rows = counts.sum(2, keepdim=True)
    below = (rows.cumsum(1) - rows) / rows.sum(1, keepdim=True).clamp(min=1e-300)
    group = (below * GROUPS).long().clamp(max=GROUPS - 1)
    counts, rows, pseudo = (
        t.new_zeros(len(t), GROUPS, t.shape[2]).scatter_add_(1, group.expand_as(t), t) for t in (counts, rows, pseudo)
    )
    others, left = (counts - 1).clamp(min=0.0), (counts.sum(1, keepdim=True) - 1).clamp(min=0.0)
    column = (rows - 1).clamp(min=0.0) + pseudo
    column = column / column.sum(1, keepdim=True).clamp(min=1e-300)
    scores = []
    for multiple in PULLS:
        c = (multiple * least)[:, None, None]
        scores.append((counts * ((others + c * column).clamp(min=1e-300) / (left + c)).log()).sum((1, 2)))
    return least * PULLS[torch.stack(scores).argmax(0)]
