"""Sums of Gaussians on the line, log sum_i w_i exp(-(x - x_i)^2 / 2 h^2), fast and accurate relative to themselves.

The line is cut into bins of half a bandwidth. Within a bin a Gaussian is a polynomial to seven digits, both on the
side of the points (which enter through the moments of their bin) and on the side of the queries (which read one
polynomial): the idea of Greengard and Strain, "The fast Gauss transform" (1991), equations 8 to 14, with interpolation
at Chebyshev nodes in place of Hermite series. The matrix from moments to coefficients depends on the distance of two
bins alone.

Bins farther than NEAR from every point have no polynomial. There the sum over the points that matter is done term by
term, so that the logarithm stays accurate at any distance. The others together are below NEGLECT of the nearest point.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from begat.maths.points import Asked, Group, Index, PerGroup, PerPoint, Points, chosen, repeat

Queries = Float[Tensor, "d n"]
Answers = Float[Tensor, "d k n"]
"""Of the S = D K groups, the K that meet each row of queries."""
WIDTH = 0.5
"""Width of a bin in bandwidths."""
TERMS = 10
"""Coefficients of a bin's polynomial."""
NEAR = 12
"""Bins within this many of an occupied bin have a polynomial."""
NEGLECT = 1e-8
"""Share of the sum that may be left out because it comes from points far away."""
SHIFT = 3
BLOCK = 1 << SHIFT
"""Bins that are made, and found, together."""
WINDOW = 4096
"""Bins on either side of a group's middle point that may have polynomials; farther out all sums are term by term."""
CELLS = 2**16
"""Cells (group x query) done at a time: their temporaries stay in the cache."""
PAIRS = 2**20
"""Pairs (query x point) done at a time where sums are term by term."""
FARTHEST = 1e150
"""Distances in bandwidths are taken to be at most this, so that no logarithm is infinite."""


@dataclass(frozen=True)
class GaussSum:
    """The sums of S groups of points, each with its own bandwidth, ready for queries.

    points: with weights; bandwidth (S,) > 0. coefficient (TERMS, rows): polynomials in the place within a bin, the
    first BLOCK rows are zero; page: the first row of every BLOCK bins, 0 where they have none; middle, scale, shift,
    first, last (S,): a query x lies in bin floor((x - middle) * scale) + shift, kept between first and last.
    lightest (S,): the smallest weight as a share of its group's.
    """

    points: Points
    bandwidth: PerGroup
    coefficient: Float[Tensor, "terms rows"]
    page: Int[Tensor, " pages"]
    middle: PerGroup
    scale: PerGroup
    shift: PerGroup
    first: PerGroup
    last: PerGroup
    lightest: PerGroup

    def log_sum(self, x: Queries) -> Answers:
        """log sum_i w_i exp(-(x - x_i)^2 / 2 h^2) for queries x (D, n), finite numbers -> (D, S / D, n) in nats.

        Query row d meets the groups d S/D, ..., (d + 1) S/D - 1. Relative error of the sum below 1e-7.
        """
        columns, n = x.shape
        out = torch.empty(columns, len(self.bandwidth) // max(columns, 1), n, dtype=torch.float64)
        rows = max(CELLS // max(len(self.bandwidth), 1), 64)
        for first in range(0, n, rows):
            here = slice(first, first + rows)
            self._near(x[:, here].double(), out[:, :, here])
        far = (~torch.isfinite(out)).nonzero()
        if len(far):
            group = far[:, 0] * out.shape[1] + far[:, 1]
            value = self._far(group, x[far[:, 0], far[:, 2]].double())
            out[far[:, 0], far[:, 1], far[:, 2]] = value
        return out

    def _near(self, x: Queries, out: Answers) -> None:
        """Fill out (D, K, n) by one polynomial each; -inf or NaN where the bin has none."""
        shape = (len(x), -1, 1)
        u = (x[:, None] - self.middle.view(shape)).mul_(self.scale.view(shape))
        bin_ = u.floor()
        place = u.sub_(bin_).mul_(2.0).sub_(1.0)
        bin_ = bin_.add_(self.shift.view(shape)).clamp_(self.first.view(shape), self.last.view(shape)).long().view(-1)
        row = self.page[bin_ >> SHIFT] + (bin_ & (BLOCK - 1))
        place = place.reshape(-1)
        total = self.coefficient[-1].index_select(0, row)
        for c in self.coefficient[:-1].flip(0):
            total = torch.addcmul(c.index_select(0, row), total, place)
        out.copy_(total.log_().view(out.shape))

    def _far(self, group: Group, x: Asked) -> Asked:
        """The sum over the points that matter, for queries far from every point: group (m,), x (m,) -> (m,)."""
        p, h = self.points, self.bandwidth[group]
        after = p.rank(group, x)
        ends = p.start[group], p.start[group + 1] - 1
        left, right = (after - 1).clamp(min=ends[0]), torch.minimum(after, ends[1])
        nearest = torch.minimum((x - p.x[left]).abs(), (p.x[right] - x).abs())
        distance = (nearest / h).clamp(max=FARTHEST)
        # Beyond `reach` all points together are at most W exp(-reach^2 / 2) = NEGLECT w exp(-distance^2 / 2).
        reach = (distance**2 - 2 * torch.log(NEGLECT * self.lightest[group])).sqrt() * h
        first, last = p.rank(group.repeat(2), torch.cat([x - reach, x + reach])).chunk(2)
        first, last = torch.minimum(first, left), torch.maximum(last, right + 1)
        return log_sum_in(p, self.bandwidth, group, x, first, last)


def log_sum_in(points: Points, bandwidth: PerGroup, group: Group, x: Asked, first: Index, last: Index) -> Asked:
    """The sum over the points first, ..., last - 1 (flat indices) term by term: group, x, first, last (m,) -> (m,)."""
    out = torch.empty(len(x), dtype=torch.float64)
    count = last - first
    done = 0
    while done < len(x):
        most = int(torch.searchsorted(count[done:].cumsum(0), PAIRS, right=True))
        here = slice(done, done + max(most, 1))
        done = min(here.stop, len(x))
        size = count[here]
        query = repeat(torch.arange(len(size)), size)
        index = torch.arange(len(query)) - (size.cumsum(0) - size - first[here])[query]
        u = (points.x[index] - x[here][query]).abs() / bandwidth[group[here]][query]
        square = -0.5 * u.clamp(max=FARTHEST).square()
        top = torch.full((len(size),), -torch.inf, dtype=torch.float64).scatter_reduce_(0, query, square, "amax")
        term = points.weight[index] * (square - top[query]).exp()
        out[here] = top + torch.zeros_like(top).index_add_(0, query, term).log()
    return out


def exact_log_sum(points: Points, bandwidth: PerGroup, x: Queries) -> Answers:
    """What GaussSum.log_sum approximates, over all points term by term: x (D, n) -> (D, S / D, n)."""
    columns, n = x.shape
    states = len(bandwidth) // max(columns, 1)
    out = torch.empty(columns, states, n, dtype=torch.float64)
    ends = points.start.tolist()
    for g, (a, b) in enumerate(pairwise(ends)):
        log_weight = points.weight[a:b].log()
        rows = max(PAIRS // max(b - a, 1), 1)
        for begin in range(0, n, rows):
            here = slice(begin, begin + rows)
            u = ((x[g // states, here, None].double() - points.x[a:b]) / bandwidth[g]).clamp(-FARTHEST, FARTHEST)
            out[g // states, g % states, here] = torch.logsumexp(log_weight - 0.5 * u * u, 1)
    return out


def build(points: Points, bandwidth: PerGroup) -> GaussSum:
    """Bin the points of every group, each group not empty, and make the polynomials of all bins near a point."""
    lightest = points.least(points.weight) / points.sums(points.weight)
    near = (NEAR + 1) * WIDTH
    reach = math.ceil(math.sqrt(near**2 - 2 * math.log(NEGLECT * float(lightest.min()))) / WIDTH) + 1

    middle = points.x[(points.start[:-1] + points.start[1:]) >> 1]
    scale = 1.0 / (WIDTH * bandwidth)
    u = (points.x - points.spread(middle)).mul_(points.spread(scale))
    start, weight = points.start, points.weight
    least, most = u.aminmax()
    if not (float(least) > -WINDOW - reach and float(most) < WINDOW + reach):
        inside = u.abs() < WINDOW + reach
        start = torch.cat([start[:1], points.sums(inside.double()).cumsum(0).long()])
        u, weight = chosen(u, inside), chosen(weight, inside)
    bin_ = u.floor()
    place = u.sub_(bin_).mul_(2.0).sub_(1.0)
    low, high = bin_[start[:-1]].long(), bin_[start[1:] - 1].long()
    size = high - low + 1 + 2 * reach
    size = (size + BLOCK - 1) // BLOCK * BLOCK  # so that a block belongs to one group
    first = size.cumsum(0) - size
    shift = first + reach - low
    flat = bin_.add_(repeat(shift.double(), start.diff()))
    bins = int(size.sum())

    moments, occupied = _moments(place, weight, flat)
    near_bin = torch.zeros(bins + 1, dtype=torch.long)
    near_bin[occupied + 1] = 1
    near_bin.cumsum_(0)
    each = torch.arange(bins)
    near_mask = near_bin[(each + NEAR + 1).clamp(max=bins)] > near_bin[(each - NEAR).clamp(min=0)]
    # Bins at the rim of the window do not see all points that they should.
    near_mask &= (each - repeat(shift, size)).abs() < WINDOW
    active = near_mask.view(-1, BLOCK).any(1).nonzero()[:, 0]

    padded = torch.zeros(bins + 2 * reach, TERMS, dtype=torch.float64)
    padded[occupied + reach] = moments
    span = (BLOCK + 2 * reach) * TERMS
    windows = padded.view(-1).as_strided((bins // BLOCK, span), (BLOCK * TERMS, 1))
    matrix = _matrix(reach)
    coefficient = torch.zeros(len(active) + 1, BLOCK * TERMS, dtype=torch.float64)
    step = max(2**21 // span, 1)
    for begin in range(0, len(active), step):
        torch.mm(windows[active[begin : begin + step]], matrix, out=coefficient[begin + 1 : begin + 1 + step])
    coefficient = coefficient.view(-1, TERMS)
    coefficient[BLOCK:].mul_(near_mask.view(-1, BLOCK)[active].view(-1, 1))
    page = torch.zeros(bins // BLOCK, dtype=torch.long)
    page[active] = BLOCK * torch.arange(1, len(active) + 1)
    return GaussSum(
        points, bandwidth, coefficient.T.contiguous(), page,
        middle, scale, shift.double(), first.double(), (first + size - 1).double(), lightest,
    )  # fmt: skip


def _moments(
    place: PerPoint, weight: PerPoint, flat: PerPoint
) -> tuple[Float[Tensor, "bins terms"], Int[Tensor, " bins"]]:
    """sum w place^j of every occupied bin -> (bins, TERMS), and which bins those are; flat ascends."""
    new = torch.ones(len(flat), dtype=torch.bool)
    new[1:] = flat[1:] != flat[:-1]
    first = new.nonzero()[:, 0]
    power, begins, steps = weight.numpy().copy(), first.numpy(), place.numpy()
    moments = np.empty((len(begins), TERMS))
    for j in range(TERMS):
        moments[:, j] = np.add.reduceat(power, begins)
        power *= steps
    return torch.from_numpy(moments), flat[first].long()


def _matrix(reach: int) -> Float[Tensor, "rows columns"]:
    """From the moments of BLOCK + 2 reach bins to the coefficients of the BLOCK in their middle: (rows, columns).

    A Gaussian between two bins, as a polynomial of degree TERMS - 1 in each place, by interpolation at Chebyshev nodes.
    """
    node = torch.cos((torch.arange(TERMS, dtype=torch.float64) + 0.5) * (math.pi / TERMS))
    to_powers = torch.linalg.inv(node[:, None] ** torch.arange(TERMS))
    apart = torch.arange(-reach, reach + 1, dtype=torch.float64)
    z = WIDTH * (apart[:, None, None] + 0.5 * (node[None, :] - node[:, None]))
    pair = to_powers @ torch.exp(-0.5 * z * z) @ to_powers.T
    out = torch.zeros(BLOCK + 2 * reach, TERMS, BLOCK, TERMS, dtype=torch.float64)
    for b in range(BLOCK):
        out[b : b + 2 * reach + 1, :, b] = pair.flip(0)  # source b + reach - k for k = reach, ..., -reach
    return out.view((BLOCK + 2 * reach) * TERMS, BLOCK * TERMS)
