"""A network of conditionals: the places of every column, each given the columns that it may see."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

Cells = Int[Tensor, "n d"]


class Scale(NamedTuple):
    """The V places of one column: log p0(v), its law whatever the others are -> (V,), and how many of the places, the
    first ones, are intervals of numbers in their order."""

    log_base: Float[Tensor, " v"]
    intervals: int


class Conditionals(nn.Module):
    """log P(v_d | the columns that d sees) = log p0(v_d) + a_d(v_d) - log sum_v p0(v) exp a_d(v).

    Every place of every column, and every column unknown, has an embedding; what a column sees of it is a masked linear
    layer, after which each column has residual blocks of its own. What comes out tilts the column's own law: a_d is
    zero at first, so that the fit begins with independent columns. On intervals a_d is a sum of `rank` cosines of the
    normal order (u, the share of p0 below the middle of a place): conditionals of numbers are smooth, however many
    places they have; each level and special code has a number of its own.

    sees: (D, D), whether column j may be seen by column d at [j, d]. width: of the blocks. depth: blocks.

    Germain et al., "MADE: masked autoencoder for distribution estimation" (2015), equation 10, with blocks of the
    columns' own in place of shared layers.
    """

    def __init__(
        self, scales: Sequence[Scale], sees: Tensor, *, width: int, embed: int, rank: int, depth: int, rng: Generator
    ):
        super().__init__()
        d = len(scales)
        self.sizes = tuple(len(s.log_base) for s in scales)
        first = torch.tensor([0, *self.sizes]).cumsum(0)[:-1] + torch.arange(d)  # a column has V + 1 rows
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("sees", sees.float(), persistent=False)
        self.width, self.embed = width, embed

        def normal(*shape: int, by: float) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape, generator=rng) * by)

        self.table = nn.Parameter(torch.cat([_embedding(s, embed, rng) for s in scales]))
        self.enter = normal(d * embed, d * width, by=math.sqrt(2 / (d * embed)))
        self.enter_bias = nn.Parameter(torch.zeros(d * width))
        self.blocks = nn.ParameterList(normal(d, width, width, by=width**-0.5) for _ in range(2 * depth))
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(d, 1, width)) for _ in range(2 * depth))
        waves = [_waves(s, rank) for s in scales]
        out = [w.shape[1] + len(s.log_base) - s.intervals for w, s in zip(waves, scales, strict=True)]
        self.out = nn.ParameterList(nn.Parameter(torch.zeros(width, k)) for k in out)
        self.out_biases = nn.ParameterList(nn.Parameter(torch.zeros(k)) for k in out)
        for column, (scale, wave) in enumerate(zip(scales, waves, strict=True)):
            self.register_buffer(f"base_{column}", scale.log_base.float().clamp(min=LEAST), persistent=False)
            self.register_buffer(f"waves_{column}", wave, persistent=False)

    first: Tensor
    sees: Tensor

    @staticmethod
    def layout(
        sizes: Sequence[int], intervals: Sequence[int], width: int, embed: int, rank: int, depth: int
    ) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter by its name, from the numbers of places and intervals of the columns."""
        d = len(sizes)
        shapes: dict[str, tuple[int, ...]] = {
            "table": (sum(sizes) + d, embed), "enter": (d * embed, d * width), "enter_bias": (d * width,)
        }  # fmt: skip
        for i in range(2 * depth):
            shapes |= {f"blocks.{i}": (d, width, width), f"biases.{i}": (d, 1, width)}
        for i, (size, numbers) in enumerate(zip(sizes, intervals, strict=True)):
            k = min(numbers, rank) + size - numbers
            shapes |= {f"out.{i}": (width, k), f"out_biases.{i}": (k,)}
        return shapes

    def forward(self, cells: Cells) -> Float[Tensor, "d n width"]:
        """What each column makes of the columns it sees, (n, D) places -> (D, n, width)."""
        mask = self.sees.repeat_interleave(self.embed, 0).repeat_interleave(self.width, 1)
        seen = F.embedding(cells + self.first, self.table).flatten(1)
        h = torch.addmm(self.enter_bias, seen, self.enter * mask)
        h = h.unflatten(1, (-1, self.width)).transpose(0, 1)
        for i in range(0, len(self.blocks), 2):
            inner = torch.baddbmm(self.biases[i], F.silu(h), self.blocks[i])
            h = h + torch.baddbmm(self.biases[i + 1], F.silu(inner), self.blocks[i + 1])
        return F.silu(h)

    def column(self, cells: Cells, d: int) -> Float[Tensor, "n v"]:
        """log P(v | what column d sees) -> (n, V), without the work for the other columns."""
        some, own = self.sees[:, d].nonzero()[:, 0], slice(d * self.width, (d + 1) * self.width)
        h = self.enter_bias[own].expand(len(cells), -1)
        if len(some):
            seen = F.embedding(cells[:, some] + self.first[some], self.table).flatten(1)
            weight = self.enter[:, own].unflatten(0, (-1, self.embed))[some].flatten(0, 1)
            h = torch.addmm(h, seen, weight)
        for i in range(0, len(self.blocks), 2):
            inner = torch.addmm(self.biases[i][d], F.silu(h), self.blocks[i][d])
            h = h + torch.addmm(self.biases[i + 1][d], F.silu(inner), self.blocks[i + 1][d])
        return self.log_odds(F.silu(h), d).log_softmax(1)

    def log_odds(self, h: Float[Tensor, "n width"], d: int) -> Float[Tensor, "n v"]:
        """log p0(v) + a_d(v) of the places of column d -> (n, V)."""
        waves, a = getattr(self, f"waves_{d}"), torch.addmm(self.out_biases[d], h, self.out[d])
        k = waves.shape[1]
        tilt = torch.cat([a[:, :k] @ waves.T, a[:, k:]], 1) if k else a
        return getattr(self, f"base_{d}") + tilt


LEAST = -30.0
"""log p0 of a place at least: a fit has seen none of its rows there, and yet it may be asked about."""


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
