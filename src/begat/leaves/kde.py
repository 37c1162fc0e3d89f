"""The kernel density leaf: the column's own points, each blurred by a Gaussian; no parametric form."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Generator, Tensor

from begat.core import Region, Stats, all_finite
from begat.errors import DataError, EvidenceError, FileError
from begat.leaves.bandwidth import TINY, Rule
from begat.leaves.base import (
    Block,
    Drawn,
    Leaf,
    Mask,
    Moments,
    Observed,
    PerState,
    Picked,
    Scores,
    State,
    Sums,
    Weight,
)
from begat.leaves.bounds import Bounded
from begat.leaves.kernels import GROUPS, Kernels
from begat.leaves.sums import spread
from begat.maths.gauss_sum import GaussSum
from begat.maths.points import PerGroup, PerPoint, Points, chosen, collect

CAP = 30_000
"""Distinct points of one column and state above which merged statistics are put on a lattice."""
FINENESS = 128
"""Bandwidths are at least this many steps of that lattice when points are put on it."""
KEPT = 4096
"""Columns x states up to which sums are prepared with the fit (about 8 kB each); beyond, for each call."""


class _Panel(NamedTuple):
    """Consecutive columns, their kernels, and the fast sum of these (None: term by term)."""

    columns: slice
    kernels: Kernels
    sums: GaussSum | None


class KDE(Bounded, Leaf):
    """p(x | k) = sum_i w_i exp(-(x - x_i)^2 / 2 h^2) / (W Z), over the points x_i of state k; one h a column and state.

    Without a grid Z = h sqrt(2 pi) and p is a density. With `grid` x is a whole number and Z = sum_j exp(-j^2 / 2 h^2)
    over whole numbers, so the masses sum to one. Stated bounds cut each kernel and renormalise it.

    bandwidth: "silverman" (robust, the default), "scott", "likelihood" (leave-one-out, among multiples from 1/4 to 2.8
    of Silverman's), or a positive factor of Silverman's; see leaves.bandwidth. It follows the column's scale.
    Silverman's h^2 of a state of weight W < 1000 is (W h_k^2 + h_0^2) / (W + 1), h_0 that of W points of the column, of
    all states, so that a few points that lie together are no spike. A state whose points are all equal takes the
    deviation of the whole column for h_k, one without points has the column's points. On a grid h is at least
    1 / sqrt(2 log(2 W + 2)): the neighbours of a single value then have a mass of about 1 / W.

    log_prob is a fast sum (maths.gauss_sum), within 1e-6 of the exact one at any distance; `exact` sums term by term.

    Statistics are the points themselves and do not add: merging concatenates. When a column has more than CAP distinct
    points in a state, merged points are moved to the means of the cells of a lattice whose step is a power of two
    and at most h / 128 for the h of that moment (h / 32 of the final h, should the rows grow a thousandfold). That
    changes log p at d bandwidths from the points that matter by at most max(1, d^2) (step / h)^2 / 8 nats: for d <= 1
    below 1e-5 (1.3e-4 at h / 32), far out a share of 2e-5 of log p (2.5e-4). `exact` keeps every point.
    """

    additive = False

    def __init__(
        self,
        columns: int,
        states: int,
        *,
        grid: bool = False,
        lower: tuple[float, ...] | None = None,
        upper: tuple[float, ...] | None = None,
        bandwidth: str | int | float = "silverman",
        exact: bool = False,
        points: int = 0,
    ):
        super().__init__()
        self.columns, self.states, self.grid, self.exact = columns, states, grid, exact
        self.bound(lower, upper)
        self.rule, self.size = Rule.of(bandwidth), points
        self._panels: tuple[_Panel, ...] = ()  # what the buffers say, made ready with them by maximise and restore
        for name in self.layout():
            self.register_buffer(name, None)

    points: PerPoint
    weights: PerPoint
    counts: Moments
    bandwidth: Moments

    def config(self) -> dict[str, Any]:
        return {
            "columns": self.columns, "states": self.states, "grid": self.grid, **self.stated(),
            "bandwidth": self.rule.stated, "exact": self.exact, "points": self.size,
        }  # fmt: skip

    def layout(self) -> dict[str, tuple[int, ...]]:
        shape = (self.columns, self.states)
        return {"points": (self.size,), "weights": (self.size,), "counts": shape, "bandwidth": shape}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """FileError where the buffers hold no sorted, weighted points."""
        super().restore(tensors)
        start, counts = self._start(), self.counts
        sound = bool((counts >= 1).all()) and int(start[-1]) == len(self.points) and all_finite(self.points)
        sound = sound and bool((self.weights > 0).all()) and bool((self.bandwidth >= TINY).all())
        if sound:
            rising = self.points[1:] > self.points[:-1]
            rising[start[1:-1] - 1] = True
            sound = bool(rising.all())
        if not sound:
            raise FileError("a kernel density without sorted, weighted points; save the model again")
        self._prepare()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_panels": ()}  # they follow from the buffers, and are larger

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self.points is not None:
            self._prepare()

    # learning -----------------------------------------------------------------------------------------------------
    def statistics(self, x: Block, state: State, weight: Weight = None, known: Mask = None) -> Stats:
        """The points with a positive weight, group by group (column, then state): points (P,), weights (P,), and how
        many each group has: counts (1, D K); one row for each piece that was merged."""
        if state.is_floating_point():
            share = spread(state, self.states, weight)
            value = x.T[:, None].expand(-1, self.states, -1)
            use = (share > 0)[None].expand_as(value)
            use = use if known is None else use & known.T[:, None]
            each = share[None].expand_as(value)
            counts = use.sum(2)
        else:
            small = state.numpy().astype(
                np.min_scalar_type(self.states - 1)
            )  # numbers of 8 bits are sorted by counting
            order = torch.from_numpy(np.argsort(small, kind="stable"))
            value = x.index_select(0, order).T
            each = (torch.ones(len(x)) if weight is None else weight[order]).expand_as(value)
            last = torch.bincount(state, minlength=self.states).cumsum(0)
            if known is None and (weight is None or bool((weight > 0).all())):
                use, counts = None, last.diff(prepend=last.new_zeros(1)).expand(self.columns, -1)
            else:
                use = each > 0 if known is None else known[order].T & (each > 0)
                below = torch.nn.functional.pad(use.cumsum(1), (1, 0))
                counts = below[:, last].diff(dim=1, prepend=below.new_zeros(self.columns, 1))
        points, weights = (
            (value.reshape(-1), each.reshape(-1)) if use is None else (chosen(value, use), chosen(each, use))
        )
        return {"points": points.double(), "weights": weights.double(), "counts": counts.reshape(1, -1)}

    def merge(self, a: Stats, b: Stats) -> Stats:
        """The points of both; a column and state with more than CAP is moved to a lattice (class docstring)."""
        both = {name: torch.cat([a[name], b[name]]) for name in a}
        crowded = both["counts"].sum(0) > CAP
        if self.exact or not bool(crowded.any()):
            return both
        points = collect(both["points"], both["weights"], both["counts"])
        h = self.rule.finest(points)
        step = torch.exp2(torch.floor(torch.log2(h.clamp(min=TINY) / FINENESS)))
        step = torch.where((points.counts > CAP) & (h > TINY) & ((step > 1) | (not self.grid)), step, 0.0)
        points = points.moved_to_cells(step, whole=self.grid)
        return {"points": points.x, "weights": points.weight, "counts": points.counts[None]}

    def maximise(self, stats: Stats) -> None:
        points = self._without_gaps(collect(stats["points"], stats["weights"], stats["counts"])).as_repetitions()
        if not all_finite(points.x):
            raise DataError("a number is not finite; make it missing, or leave its row out")
        for d in range(self.columns):
            if math.isfinite(self.lower[d]) or math.isfinite(self.upper[d]):
                x = points.groups(d * self.states, (d + 1) * self.states).x
                low, high = float(x.min()), float(x.max())
                if low < self.lower[d] or high > self.upper[d]:
                    out = low if low < self.lower[d] else high
                    raise DataError(f"{out:g} is outside the bounds {self.lower[d]:g} to {self.upper[d]:g}; widen them")
        h = self.rule.bandwidths(points, *self._bounds(), self.states, grid=self.grid)
        self.points, self.weights, self.size = points.x, points.weight, len(points.x)
        shape = (self.columns, self.states)
        self.counts, self.bandwidth = points.counts.double().view(shape), h.view(shape)
        self._prepare()

    def _without_gaps(self, points: Points) -> Points:
        """A state without points has those of its whole column; a column without any has one, between its bounds."""
        if bool((points.counts > 0).all()):
            return points
        x, weight = list(points.x.split(points.counts.tolist())), list(points.weight.split(points.counts.tolist()))
        for d in range(self.columns):
            here = range(d * self.states, (d + 1) * self.states)
            all_x, all_weight = torch.cat([x[g] for g in here]), torch.cat([weight[g] for g in here])
            if not len(all_x):
                low, high = self.lower[d], self.upper[d]
                centre = (low + high) / 2 if math.isfinite(low) and math.isfinite(high) else min(max(0.0, low), high)
                all_x = torch.tensor([math.floor(centre) if self.grid else centre], dtype=torch.float64)
                all_weight = torch.ones(1, dtype=torch.float64)
            for g in here:
                if not len(x[g]):
                    x[g], weight[g] = all_x, all_weight
        return collect(torch.cat(x), torch.cat(weight), torch.tensor([[len(v) for v in x]]))

    def _bounds(self, columns: slice = slice(None)) -> tuple[PerGroup, PerGroup]:
        """The bounds of every group of these columns, (S,) each."""
        lower, upper = (end[columns].repeat_interleave(self.states) for end in self.ends())
        return lower, upper

    # asking -------------------------------------------------------------------------------------------------------
    def _prepare(self) -> None:
        self._panels = tuple(self._made()) if self.columns * self.states <= KEPT else ()

    def _ready(self) -> Iterable[_Panel]:
        """All columns in panels that are ready for queries."""
        return self._panels or self._made()

    def _made(self) -> Iterator[_Panel]:
        kernels, width = self._kernels_of(), max(GROUPS // self.states, 1)
        for first in range(0, self.columns, width):
            last = min(first + width, self.columns)
            here = kernels.of(first * self.states, last * self.states)
            yield _Panel(slice(first, last), here, None if self.exact else here.sums())

    def _start(self) -> Int[Tensor, " starts"]:
        """Where each group of points begins, and where the last one ends."""
        return torch.nn.functional.pad(self.counts.reshape(-1).cumsum(0), (1, 0)).long()

    def _kernels_of(self, columns: slice = slice(None)) -> Kernels:
        """The kernels of these columns."""
        whole = range(self.columns)[columns]
        first, last = whole.start * self.states, whole.stop * self.states
        points = Points(self.points, self.weights, self._start()).groups(first, last)
        return Kernels(points, self.bandwidth.reshape(-1)[first:last], *self._bounds(columns), self.grid)

    def log_prob(self, x: Block, known: Mask = None) -> Scores:
        out = torch.empty(self.columns, self.states, len(x), dtype=torch.float64)
        for panel in self._ready():
            out[panel.columns] = self._log_prob(panel, x, known)
        return out

    def joint(self, x: Block, known: Mask = None) -> Sums:
        total = torch.zeros(self.states, len(x), dtype=torch.float64)
        for panel in self._ready():
            total += self._log_prob(panel, x, known).sum(0)
        return total

    def _log_prob(self, panel: _Panel, x: Block, known: Mask) -> Picked:
        query = x[:, panel.columns].T.double().contiguous()
        usual = all_finite(query)
        out = panel.kernels.log_density(query if usual else query.nan_to_num(0.0, 0.0, 0.0), panel.sums)
        if not usual:
            odd = torch.where(query.isnan(), torch.nan, torch.where(query.isinf(), -torch.inf, 0.0))
            out += odd[:, None]
        return out if known is None else out.masked_fill_(~known[:, panel.columns].T[:, None], 0.0)

    def log_mass(self, column: int, region: Region) -> PerState:
        return self._kernels_of(slice(column, column + 1)).log_mass(region.lower, region.upper)

    def sample(self, state: Observed, *, generator: Generator) -> Block:
        """A point of the state by its weight, and a draw from its kernel."""
        kernels, k = self._kernels_of(), self.states
        columns = (kernels.of(d * k, (d + 1) * k) for d in range(self.columns))
        return torch.stack([column.draw(state.long(), generator=generator) for column in columns], 1)

    def sample_in(self, column: int, region: Region, state: Observed, *, generator: Generator) -> Drawn:
        """A point of the state by the mass of its kernel in the region, and a draw from that part of the kernel."""
        inside = self.allowed(column, region)
        lower, upper, _ = inside.whole() if self.grid else inside
        if not lower <= upper:
            raise EvidenceError(f"no value lies between {region.lower:g} and {region.upper:g}; give a wider range")
        kernels = self._kernels_of(slice(column, column + 1))
        return kernels.draw(state.long(), generator=generator, within=(lower, upper))

    def mean(self) -> Moments:
        """E[x | k]: the mean of the points, moved by the bounds where they cut kernels."""
        return self._kernels_of().mean().view(self.columns, self.states)
