"""Pareto's law of the second kind, P(T > t) = (1 + t / scale)^-3 for t >= 0, as it is and cut at a bound.

Lomax, "Business failures: another example of the analysis of failure data" (1954). With the power 3 its density falls
as t^-4: mean and variance are finite, just.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from begat.maths.lattice import Broadcast, Common, log1mexp

Numbers = Float[Tensor, "*shape"]
POWER = 3.0
FINE = 1e4
"""Scale, in steps of a grid, from which on the mean there is that of the continuous law, within 1 / scale."""


def log_survival(t: Broadcast, scale: Broadcast) -> Common:
    """log P(T > t), without a bound."""
    return -POWER * torch.log1p(t / scale)


def log_density(t: Broadcast, scale: Broadcast, bound: Broadcast, *, grid: bool) -> Common:
    """log p(t | T <= bound) for 0 <= t <= bound; on a grid the mass of the cell [t - 1/2, t + 1/2], from 0 on."""
    near = (t - 0.5).clamp(min=0.0) if grid else t
    log_rate = log1mexp(POWER * torch.log1p(1 / (scale + near))) if grid else (POWER / (scale + near)).log()
    return log_survival(near, scale) + log_rate - log1mexp(-log_survival(bound, scale))


def tails(t: Broadcast, scale: Broadcast, bound: Broadcast) -> tuple[Common, Common]:
    """P(T <= t | T <= bound) and P(T > t | T <= bound), each accurate relative to itself; 0 / 0 where bound is 0."""
    left, end = log_survival(t, scale), log_survival(bound, scale)
    whole = -torch.expm1(end)
    return torch.expm1(left) / -whole, left.exp() * -torch.expm1((end - left).clamp(max=0.0)) / whole


def draw(u: Broadcast, scale: Broadcast, bound: Broadcast) -> Common:
    """T given T <= bound, the inverse of P(T <= t | T <= bound) at u."""
    survival = torch.log1p(u * torch.expm1(log_survival(bound, scale)))
    return scale * torch.expm1(-survival / POWER)


def mean(scale: Numbers, bound: Numbers, *, grid: bool) -> Numbers:
    """E[T | T <= bound], on a grid that of the middle of T's cell.

    (bound / 2) (3 + r) / (3 + 3 r + r^2) with r = bound / scale; on a grid 1/2 + sum_{0 < j < bound} (S(j) - S(bound))
    / (1 - S(bound)), S(j) = P(T > j), whose sum is a difference of Hurwitz zeta functions.
    """
    bounded = bound.isfinite()
    r = torch.where(bounded, bound / scale, 1.0)
    smooth = 0.5 * scale * torch.where(bounded, r * (POWER + r) / (POWER + POWER * r + r**2), 1.0)
    if not grid:
        return smooth
    last = torch.where(bounded & (bound > 0), bound, 1.0)
    power = torch.tensor(POWER, dtype=torch.float64)
    total = scale**POWER * torch.special.zeta(power, scale + 1)
    end = (1 + last / scale) ** -POWER
    cut = scale**POWER * (torch.special.zeta(power, scale + 1) - torch.special.zeta(power, scale + last))
    cut = (cut - (last - 1) * end) / (1 - end)
    return torch.where(scale > FINE, smooth, 0.5 + torch.where(bounded, cut, total))
