"""A number for each interval that a column is cut into: its middle, to stand for it, and its mean, to expect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from begat.leaves.inverse import ByTails, quantiles_by_mass

if TYPE_CHECKING:
    from begat.leaves.places import Places

PerInterval = Float[Tensor, " intervals"]
Shares = Float[Tensor, " s"]
POINTS = 16
"""Points of an interval that its mean is a sum over."""
HALVINGS, NODES = 40, 4
"""Shares of an outermost interval: down to 2^-40 of it, with so many Gauss-Legendre nodes in each half."""


def middle(places: Places) -> PerInterval:
    """The middle of each interval, a point of the grid; the median of q in the outermost -> (intervals,).

    Of one interval, uncut, the mean where a law has no tails to invert.
    """
    low, high = places.bounds()
    inner = 0.5 * (low + high)
    inner = torch.floor(inner) if places.grid else inner
    half = torch.tensor([0.5], dtype=torch.float64)
    for v in {0, places.intervals - 1}:
        inner[v] = _quantiles(places, v, half)[0]
    taken = torch.isin(inner, places.atoms)
    if places.grid and bool(taken.any()):  # a number with a code of its own stands for that
        for step in (1, -1, 2, -2, 3, -3, 4, -4):
            other = inner + step
            free = taken & (other > low) & (other < high) & ~torch.isin(other, places.atoms)
            inner, taken = torch.where(free, other, inner), taken & ~free
    return inner


def mean(places: Places) -> PerInterval:
    """E[x | v] of q within each interval -> (intervals,).

    Sums over POINTS points of it, all of them where a grid has no more; in the two outermost intervals the mean of
    the quantiles at shares that halve towards the open end.
    """
    law = places.leaf_of_numbers
    if places.intervals == 1:
        return law.mean()[0]
    low, high = places.bounds()
    share = (torch.arange(POINTS, dtype=torch.float64) + 0.5) / POINTS
    x = low[:, None] + (high - low)[:, None] * share
    weight = torch.ones_like(x)
    if places.grid:
        many = (high - low)[:, None]
        each = low[:, None] + 0.5 + torch.arange(POINTS)
        weight = torch.where(many > POINTS, 1.0, (each < high[:, None]).double())
        x = torch.where(many > POINTS, x.round(), torch.minimum(each, high[:, None] - 0.5))
    weight = torch.where(torch.isin(x, places.atoms), 0.0, weight)
    finite = x.isfinite()
    q = law.log_prob(torch.where(finite, x, 0.0).reshape(-1, 1))[0, 0].view_as(x).exp() * weight
    out = (q * torch.where(finite, x, 0.0)).sum(1) / q.sum(1).clamp(min=1e-300)
    out = torch.where(q.sum(1) > 1e-290, out, places.middle())  # far out, or between the points, none is left
    half = 0.5 ** torch.arange(1, HALVINGS + 1, dtype=torch.float64)
    node, rule = (torch.from_numpy(t) for t in np.polynomial.legendre.leggauss(NODES))
    far = (half[:, None] * (1.5 + 0.5 * node)).reshape(-1)  # shares from 2^-HALVINGS to 1
    rule = (half[:, None] * 0.5 * rule).reshape(-1)
    for v, shares in ((0, far), (places.intervals - 1, 1 - far)):
        x = _quantiles(places, v, shares)
        weight = torch.where(torch.isin(x, places.atoms), 0.0, rule)
        out[v] = x @ weight / weight.sum() if weight.any() else places.middle()[v]
    return out


def _quantiles(places: Places, place: int, shares: Shares) -> Shares:
    """The numbers of an interval at these shares of its mass -> (s,)."""
    law, region = places.leaf_of_numbers, places.region(place)._replace(codes=None)
    if isinstance(law, ByTails):
        return law.quantile_in(0, region, torch.zeros(len(shares), dtype=torch.long), shares)
    if not np.isfinite(region.lower) and not np.isfinite(region.upper):
        return torch.full_like(shares, float(law.mean()[0, 0].nan_to_num(0.0)))
    return quantiles_by_mass(law, region, shares, grid=places.grid)
