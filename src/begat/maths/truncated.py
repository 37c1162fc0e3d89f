"""Draws from a Gaussian between two bounds, on the line or on whole numbers: exact in any tail."""

from __future__ import annotations

import torch
from torch import Generator

from begat.maths.lattice import Row, log_cell


def draw(mean: Row, deviation: Row, lower: Row, upper: Row, *, generator: Generator) -> Row:
    """One number for each (mean, deviation, lower, upper), (n,) each, -> (n,) float64; bounds may be infinite.

    Where the interval reaches to within one deviation of the mean, by inverting the cdf. Farther out, by Marsaglia's
    method ("Generating a variable from the tail of the normal distribution", 1964): z with the density z exp(-z^2 / 2)
    has a closed inverse and is accepted with probability a / z.
    """
    a, b = (lower - mean) / deviation, (upper - mean) / deviation
    flip = a + b < 0  # the side of the interval that is nearer to the mean comes first
    a, b = torch.where(flip, -b, a), torch.where(flip, -a, b)
    z = torch.empty_like(a)
    todo = torch.arange(len(a))
    while len(todo):
        low, high = a[todo], b[todo]
        u, v = torch.rand(2, len(todo), generator=generator, dtype=torch.float64)
        tail = low > 1
        # z^2 - a^2 is a truncated exponential; as a difference it keeps the digits of a narrow interval.
        excess = -2 * torch.log1p(u * torch.expm1(-0.5 * (high - low) * (high + low)))
        steep = low + excess / (torch.sqrt(low * low + excess) + low)
        above, below = torch.special.ndtr(-low), torch.special.ndtr(-high)
        flat = -torch.special.ndtri(torch.lerp(above, below, u))
        new = torch.minimum(torch.maximum(torch.where(tail, steep, flat), low), high)
        z[todo] = new
        todo = todo[tail & (v * new > low)]
    x = mean + deviation * torch.where(flip, -z, z)
    return torch.minimum(torch.maximum(x, lower), upper)


def draw_whole(mean: Row, deviation: Row, lower: Row, upper: Row, *, generator: Generator) -> Row:
    """One whole number k, lower <= k <= upper, with probability proportional to exp(-(k - mean)^2 / 2 deviation^2).

    A draw from the line is rounded and accepted with probability (lattice mass) / (M rounded mass), where M is the
    ratio at the allowed k nearest to the mean, its largest.
    """
    nearest = torch.minimum(torch.maximum(mean.round(), lower), upper)
    out = torch.empty_like(mean)
    todo = torch.arange(len(mean))
    while len(todo):
        m, s, low, high = mean[todo], deviation[todo], lower[todo], upper[todo]
        k = draw(m, s, low - 0.5, high + 0.5, generator=generator).round()
        k = torch.minimum(torch.maximum(k, low), high)
        log_ratio = _log_ratio(k, m, s) - _log_ratio(nearest[todo], m, s)
        accept = torch.rand(len(todo), generator=generator, dtype=torch.float64).log() <= log_ratio
        accept |= k == nearest[todo]
        out[todo[accept]] = k[accept]
        todo = todo[~accept]
    return out


def _log_ratio(k: Row, mean: Row, deviation: Row) -> Row:
    """log of exp(-(k - mean)^2 / 2 deviation^2) over the normal mass that is rounded to k."""
    u, half = (k - mean) / deviation, 0.5 / deviation
    return -0.5 * u * u - log_cell(u - half, u + half)
