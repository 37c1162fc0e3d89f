"""The negative binomial by its mean and its dispersion 1 / r: masses, tails and the likeliest r; 0 is the Poisson."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from begat.maths.lattice import Broadcast, Common

LEAST_EXCESS = 1e-6
"""Where rate / r, by which the variance exceeds the Poisson's, is less, the law is the Poisson to 1e-6 in relative
probability near its mean."""
SMALLEST_SIZE = 1e-6
STIRLING = 1e4
"""Size from which on ratios of Gamma functions are taken by Stirling's series, whose error is 1 / 360 r^3."""
NEWTON_STEPS = 60
"""More than the bisection alone needs between the limits of the size; Newton takes about six."""


def log_mass(k: Broadcast, rate: Broadcast, dispersion: Broadcast) -> Common:
    """log of Gamma(k + r) / (Gamma(r) k!) (r / (r + rate))^r (rate / (r + rate))^k for whole k >= 0."""
    size = torch.where(dispersion > 0, 1 / dispersion, 1.0)
    spreading = torch.lgamma(k + size) - torch.lgamma(size) - (k + size) * torch.log1p(rate / size)
    spreading = spreading - k * size.log()
    if (size > STIRLING).any():  # log-Gammas of large sizes are large numbers whose difference has few digits left
        series = (k + size) * torch.log1p((k - rate) / (size + rate)) - 0.5 * torch.log1p(k / size) - k
        spreading = torch.where(size > STIRLING, series + (1 / (size + k) - 1 / size) / 12, spreading)
    return torch.where(dispersion > 0, spreading, -rate) + k * rate.log() - torch.lgamma(k + 1)


def tails(k: Broadcast, rate: Broadcast, dispersion: Broadcast) -> tuple[Common, Common]:
    """P(K <= k) and P(K > k), each accurate relative to itself, for whole k >= 0."""
    from scipy.special import betainc

    after, rate, dispersion = torch.broadcast_tensors(k + 1, rate, dispersion)
    r = torch.where(dispersion > 0, 1 / dispersion, 1.0)
    odds = rate / r
    below = torch.from_numpy(betainc(r.numpy(), after.numpy(), (1 / (1 + odds)).numpy()))
    above = torch.from_numpy(betainc(after.numpy(), r.numpy(), (odds / (1 + odds)).numpy()))
    below = torch.where(dispersion > 0, below, torch.special.gammaincc(after, rate))
    return below, torch.where(dispersion > 0, above, torch.special.gammainc(after, rate))


def likeliest_size(
    rate: Float[Tensor, "d k"], count: Float[Tensor, "d k"], above: Float[Tensor, "d i k"]
) -> Float[Tensor, "d k"]:
    """The root in r of sum_i above_i / (r + i) = count log(1 + rate / r), each (D, K), by bracketed Newton in log r."""
    i = torch.arange(above.shape[1], dtype=torch.float64)[:, None]
    low = torch.full_like(rate, math.log(SMALLEST_SIZE))
    high = rate.clamp(min=1.0).log() - math.log(LEAST_EXCESS)
    at = rate.log().clamp(min=low).minimum(high)
    for _ in range(NEWTON_STEPS):
        r = at.exp()
        share = above / (r[:, None] + i)
        slope = share.sum(1) - count * torch.log1p(rate / r)
        curve = count * rate / (r + rate) - r * (share / (r[:, None] + i)).sum(1)
        low, high = torch.where(slope > 0, at, low), torch.where(slope > 0, high, at)
        step = at - slope / curve
        new = torch.where((step > low) & (step < high), step, 0.5 * (low + high))
        if bool(((new - at).abs() < 1e-10).all()):
            break
        at = new
    return at.exp()
