"""How networks read the places of columns, and how they tilt the laws of columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

LEAST = -30.0
"""log p0 of a place at least: a fit has seen none of its rows there, and yet it may be asked about."""


class Scale(NamedTuple):
    """The V places of one column: log p0(v), its law whatever the others are -> (V,), and how many of the places, the
    first ones, are intervals of numbers in their order."""

    log_base: Float[Tensor, " v"]
    intervals: int


class Embeddings(nn.Module):
    """A vector for every place of every column, and for every column unknown: place V."""

    def __init__(self, scales: Sequence[Scale], size: int, rng: Generator):
        super().__init__()
        sizes = torch.tensor([0, *(len(s.log_base) for s in scales)])
        self.register_buffer("first", sizes.cumsum(0)[:-1] + torch.arange(len(scales)), persistent=False)
        self.table = nn.Parameter(torch.cat([_embedding(s, size, rng) for s in scales]))
        self.size = size

    first: Tensor

    def forward(self, cells: Int[Tensor, "n d"]) -> Float[Tensor, "n e"]:
        """(n, D) places -> (n, D size)."""
        return F.embedding(cells + self.first, self.table).flatten(1)

    def some(self, cells: Int[Tensor, "n d"], columns: Int[Tensor, " c"]) -> Float[Tensor, "n e"]:
        """Of these columns alone -> (n, c size)."""
        return F.embedding(cells[:, columns] + self.first[columns], self.table).flatten(1)

    @staticmethod
    def layout(sizes: Sequence[int], size: int) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter by its name, of columns of so many places."""
        return {"table": (sum(sizes) + len(sizes), size)}


class Tilts(nn.Module):
    """log p0(v) + a_d(v), the law of column d tilted by what a network made of others.

    a is zero at first, so that a fit begins with independent columns. On intervals it is a sum of `rank` cosines of the
    normal order (u, the share of p0 below the middle of a place): laws of numbers are smooth, however many places they
    have; each level and special code has a number of its own.
    """

    def __init__(self, scales: Sequence[Scale], width: int, rank: int):
        super().__init__()
        waves = [_waves(s, rank) for s in scales]
        out = [w.shape[1] + len(s.log_base) - s.intervals for w, s in zip(waves, scales, strict=True)]
        self.out = nn.ParameterList(nn.Parameter(torch.zeros(width, k)) for k in out)
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(k)) for k in out)
        for column, (scale, wave) in enumerate(zip(scales, waves, strict=True)):
            self.register_buffer(f"base_{column}", scale.log_base.float().clamp(min=LEAST), persistent=False)
            self.register_buffer(f"waves_{column}", wave, persistent=False)

    def forward(self, h: Float[Tensor, "n width"], d: int) -> Float[Tensor, "n v"]:
        """(n, width) -> (n, V), up to a number for each row that all places share."""
        waves, a = getattr(self, f"waves_{d}"), torch.addmm(self.biases[d], h, self.out[d])
        k = waves.shape[1]
        return getattr(self, f"base_{d}") + (torch.cat([a[:, :k] @ waves.T, a[:, k:]], 1) if k else a)

    @staticmethod
    def layout(sizes: Sequence[int], intervals: Sequence[int], width: int, rank: int) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter by its name, of columns of so many places and intervals."""
        shapes: dict[str, tuple[int, ...]] = {}
        for i, (size, numbers) in enumerate(zip(sizes, intervals, strict=True)):
            k = min(numbers, rank) + size - numbers
            shapes |= {f"out.{i}": (width, k), f"biases.{i}": (k,)}
        return shapes


def _middles(scale: Scale) -> Float[Tensor, " v"]:
    """The share of p0 below the middle of each interval, of all that lies in intervals -> (intervals,)."""
    p = scale.log_base[: scale.intervals].exp()
    return ((p.cumsum(0) - p / 2) / p.sum().clamp(min=1e-300)).float()


def _waves(scale: Scale, rank: int) -> Float[Tensor, "v k"]:
    """sqrt(2 / k) cos(pi k u) of each interval -> (intervals, rank); of at most `rank` intervals each its own unit."""
    if scale.intervals <= rank:
        return torch.eye(scale.intervals)
    k = torch.arange(1, rank + 1)
    return (2 / k).sqrt() * torch.cos(math.pi * _middles(scale)[:, None] * k)


def _embedding(scale: Scale, size: int, rng: Generator) -> Float[Tensor, "v size"]:
    """First embeddings of the places and of the column unknown: neighbours on a scale of numbers are alike."""
    made = 0.3 * torch.randn(len(scale.log_base) + 1, size, generator=rng)
    if scale.intervals > 2:
        u, half = _middles(scale)[:, None], size // 2
        k = torch.arange(1, half + 1)
        made[: scale.intervals, :half] = torch.cos(math.pi * u * k) / k.sqrt()
        slopes = (2 * u - 1) * torch.linspace(0.2, 1, size - half)
        made[: scale.intervals, half:] = slopes + made[: scale.intervals, half:] / 15
    made[-1] = 0.0
    return made
