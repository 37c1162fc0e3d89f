"""A network of diffusion over columns: residual layers that know how noisy their rows are."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn

WAVES, SCALES = 8, 16
"""Cosines of the rank of each column that it reads, and waves of log r."""


class Sizes(NamedTuple):
    """columns: D. blocks: V of each. labels: of the label, one more of which stands for none. width: of its layers.
    depth: residual blocks of two of them."""

    columns: int
    blocks: int
    labels: int
    width: int
    depth: int


class Denoiser(nn.Module):
    """What a diffusion is to know of noisy normal scores: (x, r, known scores, label) -> how much likelier
    each block of each column is than from the column's own noisy score, and what is missing of the mean; zero at
    first. x has the variance of data at every r.

    Beside x it reads cosines of the ranks Phi(x), on which levels are intervals: the law of
    a level given the others is then a function that is no sharper than the level is wide.
    """

    def __init__(self, sizes: Sizes, rng: Generator):
        super().__init__()
        self.sizes = sizes

        def linear(inner: int, outer: int, by: float = 1.0, bias: bool = True) -> nn.Linear:
            made = nn.Linear(inner, outer, bias=bias, device="meta").to_empty(device="cpu")
            with torch.no_grad():
                made.weight.copy_(torch.randn(outer, inner, generator=rng) * by / max(inner, 1) ** 0.5)
                if bias:
                    made.bias.zero_()
            return made

        d, width = sizes.columns, sizes.width
        self.enter = linear(d * (WAVES + 1), width)
        self.told = linear(d * (WAVES + 2), width, by=0.5, bias=False)
        self.label = nn.Parameter(0.3 * torch.randn(sizes.labels + 1, width, generator=rng))
        self.times = nn.ModuleList(linear(2 * SCALES, width) for _ in range(sizes.depth + 1))
        self.blocks = nn.ModuleList(linear(width, width) for _ in range(2 * sizes.depth))
        self.leave = linear(width, d * (sizes.blocks + 1), by=0.0)

    @staticmethod
    def layout(sizes: Sizes) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter by its name."""
        d, width = sizes.columns, sizes.width
        shapes: dict[str, tuple[int, ...]] = {"label": (sizes.labels + 1, width)}
        shapes["told.weight"] = (width, d * (WAVES + 2))
        linear = {"enter": (width, d * (WAVES + 1)), "leave": (d * (sizes.blocks + 1), width)}
        linear |= {f"times.{i}": (width, 2 * SCALES) for i in range(sizes.depth + 1)}
        linear |= {f"blocks.{i}": (width, width) for i in range(2 * sizes.depth)}
        for name, shape in linear.items():
            shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
        return shapes

    def forward(
        self,
        x: Float[Tensor, "n d"],
        r: Float[Tensor, "n 1"],
        scores: Float[Tensor, "n d"],
        known: Bool[Tensor, "n d"] | None,
        label: Int[Tensor, " n"] | None,
    ) -> tuple[Float[Tensor, "n d v"], Float[Tensor, "n d"]]:
        """x: scores of unit variance at every ratio r. scores: those that are known, of which `known` says which.
        label: the class of each row, its largest number none."""
        if known is not None:
            x = torch.where(known, 0.0, x)
        h = self.enter(_features(x))
        time = _waves(r)
        if known is not None:
            told = torch.cat([_features(scores) * known.repeat(1, WAVES + 1), known.to(x.dtype)], 1)
            h = h + self.told(told)
        h = h + self.times[0](time) + (self.label[-1] if label is None else self.label[label])
        for i in range(self.sizes.depth):
            inner = self.blocks[2 * i](F.silu(h)) + self.times[i + 1](time)
            h = h + self.blocks[2 * i + 1](F.silu(inner))
        out = self.leave(F.silu(h)).unflatten(1, (self.sizes.columns, self.sizes.blocks + 1))
        return out[:, :, 1:], out[:, :, 0]


def _features(z: Float[Tensor, "n d"]) -> Float[Tensor, "n f"]:
    """Scores and cosines of their ranks -> (n, (WAVES + 1) D)."""
    k = torch.arange(1, WAVES + 1, dtype=z.dtype, device=z.device)[:, None]
    waves = torch.cos(math.pi * k * torch.special.ndtr(z)[:, None])
    return torch.cat([z, waves.flatten(1)], 1)


def _waves(r: Float[Tensor, "n 1"]) -> Float[Tensor, "n w"]:
    """Cosines and sines of log r -> (n, 2 SCALES)."""
    k = 0.4 * torch.arange(1, SCALES + 1, dtype=r.dtype, device=r.device)
    angle = r.log() * k
    return torch.cat([angle.cos(), angle.sin()], 1)
