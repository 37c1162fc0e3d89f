"""Networks of flows: what the map of each column is, from the columns that it may see."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn

WAVES, SCORE_SCALE, SCORE_EDGE = 4, 0.5, 1e-4
"""Cosines of a rank that a network reads, and the scale and the limit of the normal score beside them."""
Ranks = Float[Tensor, "d n"]
Known = Bool[Tensor, "d n"] | None


class Sizes(NamedTuple):
    """columns: D. labels: of the label that all may see. size: numbers of a map. width: of a network's layers. depth:
    residual layers after the first."""

    columns: int
    labels: int
    size: int
    width: int
    depth: int


class Step(nn.Module):
    """One transformation of a flow: which columns it moves, in which groups, and by which maps.

    A column of level l sees the columns of lower levels, all that are known, and the label; columns of level -1 stay as
    they are. Levels -1 and 0 make a coupling; a level for each column, all of them moved, makes it autoregressive. Rows
    stand last: (D, n).

    levels: of each column. Those of a level can be inverted together: `groups`, in their order.

    Dinh, Sohl-Dickstein and Bengio, "Density estimation using real NVP" (2017), section 3.4; Papamakarios, Pavlakou
    and Murray, "Masked autoregressive flow" (2017), section 3.1, with the masks of MADE.
    """

    def __init__(self, levels: Sequence[int], sizes: Sizes, rng: Generator):
        super().__init__()
        self.sizes, level = sizes, torch.tensor(levels)
        self.moved, top = (level >= 0).nonzero()[:, 0], int(level.max())
        self.groups = [(level == each).nonzero()[:, 0] for each in range(top + 1)]
        self.seen = (level < level.max()).nonzero()[:, 0]
        # Evenly from -1, which sees what stays, what is known and the label alone, to the level below the highest.
        hidden = torch.linspace(-1, top - 1, sizes.width).round()
        out = level[self.moved].repeat(sizes.size)
        masks = {
            "sees": hidden[:, None] >= level[self.seen].repeat(WAVES + 1),
            "passes": hidden[:, None] >= hidden,
            "gives": out[:, None] > hidden,
        }
        self.masked = top > 0
        for name, mask in masks.items():
            self.register_buffer(name, mask.float() if self.masked else None, persistent=False)

        def normal(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape, generator=rng) * max(shape[-1], 1) ** -0.5)

        width = sizes.width
        self.enter = normal(width, len(self.seen) * (WAVES + 1))
        self.enter_known = normal(width, sizes.columns * (WAVES + 2))
        self.enter_label = normal(width, sizes.labels)
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(width, 1)) for _ in range(sizes.depth + 1))
        self.layers = nn.ParameterList(normal(width, width) for _ in range(sizes.depth))
        self.leave = nn.Parameter(torch.zeros(len(out), width))
        self.bias = nn.Parameter(torch.zeros(len(out), 1))

    sees: Tensor | None
    passes: Tensor | None
    gives: Tensor | None

    @staticmethod
    def layout(levels: Sequence[int], sizes: Sizes) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter by its name."""
        seen, moved = sum(each < max(levels) for each in levels), sum(each >= 0 for each in levels)
        width, out = sizes.width, moved * sizes.size
        shapes: dict[str, tuple[int, ...]] = {
            "enter": (width, seen * (WAVES + 1)), "enter_known": (width, sizes.columns * (WAVES + 2)),
            "enter_label": (width, sizes.labels), "leave": (out, width), "bias": (out, 1),
        }  # fmt: skip
        shapes |= {f"biases.{i}": (width, 1) for i in range(sizes.depth + 1)}
        return shapes | {f"layers.{i}": (width, width) for i in range(sizes.depth)}

    def forward(self, u: Ranks, known: Known, label: Int[Tensor, " n"] | None) -> Float[Tensor, "p m n"]:
        """The parameters of the maps of the columns that are moved -> (size, moved, n)."""
        h = torch.addmm(self.biases[0], self._through(self.enter, self.sees), _features(u[self.seen]))
        if known is not None:
            told = torch.cat([_features(u).unflatten(0, (-1, len(u))) * known, known[None].to(u.dtype)])
            h = torch.addmm(h, self.enter_known, told.flatten(0, 1))
        if label is not None:
            h = h + self.enter_label[:, label]
        for bias, layer in zip(self.biases[1:], self.layers, strict=True):
            h = h + torch.addmm(bias, self._through(layer, self.passes), F.silu(h))
        # One product with a row of ones, since a bias would first be written over all of so large a result.
        weight = torch.cat([self._through(self.leave, self.gives), self.bias], 1)
        out = weight @ torch.cat([F.silu(h), torch.ones_like(h[:1])])
        return out.unflatten(0, (self.sizes.size, len(self.moved)))

    def _through(self, weight: Tensor, mask: Tensor | None) -> Tensor:
        return weight if mask is None else weight * mask


class Steps(nn.Module):
    """The transformations of a flow, one after another: a step for each list of the levels of all columns."""

    def __init__(self, levels: Sequence[Sequence[int]], sizes: Sizes, rng: Generator):
        super().__init__()
        self.steps = nn.ModuleList(Step(each, sizes, rng) for each in levels)

    def __iter__(self) -> Iterator[nn.Module]:
        return iter(self.steps)

    @staticmethod
    def layout(levels: Sequence[Sequence[int]], sizes: Sizes) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter by its name."""
        shapes: dict[str, tuple[int, ...]] = {}
        for i, each in enumerate(levels):
            shapes |= {f"steps.{i}.{name}": shape for name, shape in Step.layout(each, sizes).items()}
        return shapes


def levels(columns: int, transforms: int, *, autoregressive: bool, rng: Generator) -> list[list[int]]:
    """The level of each column in each transformation, none of no columns.

    autoregressive: the order of the columns, there and back in turn; else couplings that split the columns at random,
    each split used both ways.
    """
    if not columns:
        return []
    if autoregressive or columns == 1:
        there = list(range(columns))
        return [there[::-1] if i % 2 else there for i in range(transforms)]
    splits = [(torch.randperm(columns, generator=rng) >= columns // 2).long() - 1 for _ in range(0, transforms, 2)]
    return [(-1 - splits[i // 2] if i % 2 else splits[i // 2]).tolist() for i in range(transforms)]


def _features(u: Ranks) -> Float[Tensor, "f n"]:
    """Normal score and cosines of ranks (d, n) -> ((WAVES + 1) d, n)."""
    score = torch.special.ndtri(u.clamp(SCORE_EDGE, 1 - SCORE_EDGE)) * SCORE_SCALE
    k = torch.arange(1, WAVES + 1, dtype=u.dtype, device=u.device)[:, None, None]
    return torch.cat([score[None], torch.cos(math.pi * k * u)]).flatten(0, 1)
