"""A network of conditionals: the places of every column, each given the columns that it may see."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from begat.nets.places import Embeddings, Scale, Tilts

Cells = Int[Tensor, "n d"]


class Conditionals(nn.Module):
    """log P(v_d | the columns that d sees) = log p0(v_d) + a_d(v_d) - log sum_v p0(v) exp a_d(v).

    What a column sees of the embedded places is a masked linear layer, after which each column has residual blocks of
    its own; what comes out tilts the column's own law (nets.places).

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
        self.register_buffer("sees", sees.float(), persistent=False)
        self.width, self.embeddings = width, Embeddings(scales, embed, rng)

        def normal(*shape: int, by: float) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape, generator=rng) * by)

        self.enter = normal(d * embed, d * width, by=math.sqrt(2 / (d * embed)))
        self.enter_bias = nn.Parameter(torch.zeros(d * width))
        self.blocks = nn.ParameterList(normal(d, width, width, by=width**-0.5) for _ in range(2 * depth))
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(d, 1, width)) for _ in range(2 * depth))
        self.tilts = Tilts(scales, width, rank)

    sees: Tensor

    @staticmethod
    def layout(
        sizes: Sequence[int], intervals: Sequence[int], width: int, embed: int, rank: int, depth: int
    ) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter by its name, from the numbers of places and intervals of the columns."""
        d = len(sizes)
        shapes: dict[str, tuple[int, ...]] = {"enter": (d * embed, d * width), "enter_bias": (d * width,)}
        for i in range(2 * depth):
            shapes |= {f"blocks.{i}": (d, width, width), f"biases.{i}": (d, 1, width)}
        shapes |= {f"embeddings.{name}": shape for name, shape in Embeddings.layout(sizes, embed).items()}
        return shapes | {f"tilts.{n}": shape for n, shape in Tilts.layout(sizes, intervals, width, rank).items()}

    def forward(self, cells: Cells) -> Float[Tensor, "d n width"]:
        """What each column makes of the columns it sees, (n, D) places -> (D, n, width)."""
        mask = self.sees.repeat_interleave(self.embeddings.size, 0).repeat_interleave(self.width, 1)
        h = torch.addmm(self.enter_bias, self.embeddings(cells), self.enter * mask)
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
            weight = self.enter[:, own].unflatten(0, (-1, self.embeddings.size))[some].flatten(0, 1)
            h = torch.addmm(h, self.embeddings.some(cells, some), weight)
        for i in range(0, len(self.blocks), 2):
            inner = torch.addmm(self.biases[i][d], F.silu(h), self.blocks[i][d])
            h = h + torch.addmm(self.biases[i + 1][d], F.silu(inner), self.blocks[i + 1][d])
        return self.log_odds(F.silu(h), d).log_softmax(1)

    def log_odds(self, h: Float[Tensor, "n width"], d: int) -> Float[Tensor, "n v"]:
        """log p0(v) + a_d(v) of the places of column d -> (n, V)."""
        return self.tilts(h, d)
