"""The Poisson law between two bounds: its mass for any mean, and its draws."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Generator, Tensor

Means = Float[Tensor, "*shape"]
Row = Float[Tensor, " n"]
Ends = Float[Tensor, "2 *shape"]
FAR = 1e-280
"""Masses below this one are those of their largest terms: differences of tails have no digits left."""


def log_between(mean: Means, lower: float, upper: float) -> Means:
    """log P(lower <= N <= upper) of N ~ Poisson(mean), elementwise; bounds whole or infinite, -inf where empty.

    The difference of the tails that keep their digits. Below 1e-280 it is the term nearest to the mean and the
    geometric series of its neighbours, which is right to a share of about 1 / |bound - mean|.
    """
    lower = max(lower, 0.0)
    if lower > upper:
        return torch.full_like(mean, -torch.inf)
    if lower == upper:
        return _log_mass(lower, mean)
    below, above = _ends(mean, lower, upper)
    mass = torch.where(below[1] <= above[0], below[1] - below[0], above[0] - above[1])
    if not bool((far := mass < FAR).any()):
        return mass.log()
    short = mean < lower
    nearest = torch.where(short, lower, upper)
    ratio = torch.where(short, mean / (lower + 1), nearest / mean).clamp(max=1 - 1e-12)
    return torch.where(far, _log_mass(nearest, mean) - torch.log1p(-ratio), mass.log())


def draw_between(mean: Row, lower: float, upper: float, *, generator: Generator) -> Row:
    """N ~ Poisson(mean) given lower <= N <= upper, one for each mean (n,), by inverting the smaller tail."""
    lower = max(lower, 0.0)
    below, above = _ends(mean, lower, upper)
    u = torch.rand(mean.shape, generator=generator, dtype=torch.float64)
    low, high = torch.lerp(below[0], below[1], u), torch.lerp(above[0], above[1], u)
    by_low = low <= high
    centre = mean.clamp(min=lower)
    left = torch.full_like(mean, lower - 1)
    right = (centre + 12 * (centre + 1).sqrt() + 60).floor().clamp(max=upper)  # beyond it lies less than e^-60
    while bool((left + 1 < right).any()):
        middle = ((left + right) / 2).floor()
        after = middle + 1
        at_least_low = torch.special.gammaincc(after, mean) >= low
        reached = torch.where(by_low, at_least_low, torch.special.gammainc(after, mean) <= high)
        left, right = torch.where(reached, left, middle), torch.where(reached, middle, right)
    return right


def _log_mass(n: Means | float, mean: Means) -> Means:
    n = torch.as_tensor(n, dtype=mean.dtype)
    return torch.xlogy(n, mean) - mean - torch.lgamma(n + 1)


def _ends(mean: Means, lower: float, upper: float) -> tuple[Ends, Ends]:
    """P(N < lower), P(N <= upper) and P(N >= lower), P(N > upper): the two ends of either tail, (2, *shape) each."""
    none, whole = torch.zeros_like(mean), torch.ones_like(mean)
    below, above = [none, whole], [whole, none]
    for i, (first, inside) in enumerate(((lower, lower > 0), (upper + 1, upper < torch.inf))):
        if inside:
            after = torch.full_like(mean, first)
            below[i], above[i] = torch.special.gammaincc(after, mean), torch.special.gammainc(after, mean)
    return torch.stack(below), torch.stack(above)
