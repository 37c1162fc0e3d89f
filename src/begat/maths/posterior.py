"""What a noisy number tells of a standard normal one: in which of some blocks it lies, and where in each."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

FARTHEST = 9.0
"""Where the outermost blocks end: beyond it a normal number has no mass that a float32 could tell from none."""
LEAST = 1e-12
"""The mass that a block is taken to have at least."""
HEIGHT = (2 * torch.pi) ** -0.5


def edges(begins: Float[Tensor, "d v"]) -> Float[Tensor, "d w"]:
    """The scores at which blocks of ranks begin, and where the last ends -> (D, V + 1); FARTHEST for the ends of all
    and for blocks that a column does not have."""
    ends = torch.cat([begins, torch.ones_like(begins[:, :1])], 1)
    return torch.special.ndtri(ends.clamp(0, 1)).clamp(-FARTHEST, FARTHEST).float()


def blocks(
    y: Float[Tensor, "n d"], r: Float[Tensor, "n 1"], ends: Float[Tensor, "d w"]
) -> tuple[Float[Tensor, "n d v"], Float[Tensor, "n d v"]]:
    """log P(z in block | y) and E[z | z in block, y] of z ~ N(0, 1) and y = z + r noise -> (n, D, V) each.

    z given y is normal, of mean y / (1 + r^2) and deviation r / sqrt(1 + r^2); in a block it is cut to it.
    """
    mean, deviation = (y / (1 + r * r))[:, :, None], (r / (1 + r * r).sqrt())[:, :, None]
    at = (ends - mean) / deviation
    tail = torch.special.ndtr(-at.abs())  # of the nearer side, so that no mass loses its digits
    low, high, below, above = at[:, :, :-1], at[:, :, 1:], tail[:, :, :-1], tail[:, :, 1:]
    mass = torch.where(high <= 0, above - below, torch.where(low >= 0, below - above, 1 - below - above))
    height = HEIGHT * torch.exp(-0.5 * at * at)
    inside = mean - deviation * height.diff(dim=2) / mass.clamp(min=LEAST)
    inside = torch.minimum(torch.maximum(inside, ends[:, :-1]), ends[:, 1:])
    return torch.where(ends.diff(dim=1) > 0, mass.clamp(min=LEAST).log(), -torch.inf), inside
