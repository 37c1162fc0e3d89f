"""Weighted draws of a row along an order: even uniform numbers, and particles drawn anew by their weights."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from begat.maths.choice import at_share

LARGEST = 1 - 2**-24
"""The largest float32 below 1."""


def strata(n: int, count: int, numbers: int, generator: Generator) -> Float[Tensor, "n s e"]:
    """Uniform numbers of the `count` particles of n rows, of each number one in each stratum of equal width (a Latin
    hypercube) -> (n, S, E)."""
    u = torch.rand(n, count, numbers, generator=generator)
    if count == 1:
        return u
    order = torch.rand(u.shape, generator=generator).argsort(1)
    return ((order + u) / count).clamp(max=LARGEST)


def resampled(
    state: Int[Tensor, "n s d"], log_w: Float[Tensor, "n s"], log_z: Float[Tensor, " n"], u: Float[Tensor, " _"]
) -> tuple[Int[Tensor, "n s d"], Float[Tensor, "n s"], Float[Tensor, " n"]]:
    """Particles drawn anew by their weights in rows where few have most of it: systematic resampling.

    u: one uniform number, or one a row. log_z gains the log of the mean weight of what was drawn anew. Doucet and
    Johansen, "A tutorial on particle filtering and smoothing" (2009), sections 3.4 and 3.5.
    """
    count = log_w.shape[1]
    share = log_w.softmax(1)
    few: Bool[Tensor, " n"] = (1 / (share**2).sum(1) < count / 2) & torch.isfinite(log_w.amax(1))
    if not few.any():
        return state, log_w, log_z
    at = ((torch.arange(count) + u[:, None].double()) / count).expand(len(share), -1)
    picked = at_share(share.nan_to_num(1.0)[:, None].expand(-1, count, -1), at)
    moved = state.gather(1, picked[:, :, None].expand_as(state))
    mean = torch.logsumexp(log_w, 1) - math.log(count)
    return (
        torch.where(few[:, None, None], moved, state),
        torch.where(few[:, None], 0.0, log_w),
        log_z + torch.where(few, mean, 0.0),
    )
