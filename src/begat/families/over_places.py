"""What families do alike that are learnt by gradients over the places of columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from begat.core import Batch, Model, Region, Spec
from begat.leaves.places import Places

PerRow = Float[Tensor, " n"]
Cells = Int[Tensor, "n d"]
Cell = Int[Tensor, " n"]
Regions = Mapping[int, Region]
LANES = 128


@runtime_checkable
class Heads(Protocol):
    """A network that gives the law of each column, of V places each, from what it made of something."""

    sizes: tuple[int, ...]

    def log_odds(self, h: Float[Tensor, "n width"], d: int) -> Float[Tensor, "n v"]: ...


class OverPlaces(Model):
    """A model of the places of columns, within which each column follows its own law (leaves.places).

    net: its networks, which may lie on another device; the laws of columns are asked on the processor.
    """

    def __init__(self, spec: Spec, places: Sequence[Places], net: Any):
        super().__init__()
        self.spec, self.places, self.net = spec, tuple(places), net
        self.sizes = torch.tensor([p.size for p in places])

    @property
    def device(self) -> torch.device:
        """Where its network lies."""
        return next((p.device for p in self.parameters()), torch.device("cpu"))

    net: Any

    def find(self, batch: Batch) -> Cells:
        """The place of each cell -> (n, D); V where it is unknown, V + 1 where only its number is."""
        return torch.stack([p.find(batch) for p in self.places], 1)

    def nothing(self, n: int) -> Batch:
        """n rows of which nothing is known."""
        values, codes = (field.shape[0] for field in self.spec.fields)
        x = (torch.zeros(n, values, dtype=torch.float64), torch.zeros(n, codes, dtype=torch.int32))
        return Batch(x, tuple(torch.zeros_like(c, dtype=torch.bool) for c in x))

    def _seen(self, cells: Cells) -> Cells:
        """Cells as a network sees them: that a number is not known is that nothing is."""
        return torch.minimum(cells, self.sizes.to(cells.device))

    def _log_cell(self, h: Float[Tensor, "n width"], d: int, cell: Cell) -> PerRow:
        """log P(v_d | h) of the cells of a column -> (n,), with gradients; 0 of those that are not known."""
        target = torch.where(cell < self.net.sizes[d], cell, -1)
        return -F.cross_entropy(self.net.log_odds(h, d).float(), target, reduction="none", ignore_index=-1)

    def _own(self, batch: Batch, cells: Cells) -> Float[Tensor, "d n"]:
        """log q(x_d) - log q(v_d) of every cell -> (D, n) float64; 0 where it is unknown."""
        return torch.stack([p.log_inside(batch, cell) for p, cell in zip(self.places, cells.T, strict=True)])

    def _bound(self, cells: Cells, asked: Regions) -> Bool[Tensor, "n d"]:
        """Which cells are unknown but lie in a region, or have no special code -> (n, D)."""
        bound = cells > self.sizes
        bound[:, list(asked)] |= (cells >= self.sizes)[:, list(asked)]
        return bound

    def _shares(self, d: int, cell: Cell, asked: Regions) -> Float[Tensor, "n v"]:
        """P(x in its region | place) of the unknown cells of a column -> (n, V)."""
        law = self.places[d]
        whole = law.shares(asked[d]) if d in asked else torch.ones(law.size, dtype=torch.float64)
        numbers = whole * (torch.arange(law.size) < law.intervals)
        return torch.where((cell > law.size)[:, None], numbers, whole)


def of_cell(log_p: Float[Tensor, "n v"], cell: Cell) -> PerRow:
    """What stands in the place of each cell -> (n,); of cells that are not known, what stands at the end."""
    return log_p.gather(1, cell.clamp(max=log_p.shape[1] - 1)[:, None])[:, 0]


def lanes(first: int, n: int, most: int) -> Int[Tensor, " m"]:
    """The rows from the first on, `most` of n at most, made a multiple of LANES by repeating the last: so that no row
    is rounded otherwise for what stands beside it."""
    count = min(most, n - first)
    return torch.arange(first, first + -(-count // LANES) * LANES).clamp(max=n - 1)
