"""Where the cells of a column lie in its own law: each cell a piece of the unit interval, and the way back."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from begat.core import Batch, Region
from begat.leaves.inverse import ByTails
from begat.leaves.places import Drawn, Places

Rows = Float[Tensor, " n"]
Place = Int[Tensor, " n"]
FINEST = 2.0**-24
"""What lies between two ranks of a network's float32; a draw is spread over it."""


class Ranks:
    """The cell x of a column lies at [F0(x-), F0(x)], F0 the distribution of its own law p0 (leaves.places).

    Places lie one after another: the intervals of numbers in their order, then the special codes, or the levels. A
    density's numbers are points, levels and points of a grid pieces as long as their mass, so that a density f of ranks
    makes a law of the column:

        P(x) = p0(x) / |piece| int_piece f(u) du,    p(x) = p0(x) f(F0(x)) of a density.

    A law that does not know its tails (kernels, dates), or that has holes where numbers have a code of their own, tells
    places apart but nothing within them: the whole place is then the cell's piece, and within it x follows the law.
    """

    def __init__(self, places: Places):
        self.places = places
        p0 = places.log_base.exp()
        self.width = p0
        self.first = torch.cat([torch.zeros(1, dtype=torch.float64), p0.cumsum(0)[:-1]]).clamp(max=1.0)
        law = places.leaf_of_numbers
        self.told = bool(places.intervals) and isinstance(law, ByTails) and not len(places.atoms)
        if self.told:
            assert isinstance(law, ByTails)
            low, high = (end.clamp(-1e300, 1e300) for end in places.bounds())
            (below, above) = law.tails(0, torch.cat([low, high]))
            self.below, self.above = below[0].view(2, -1), above[0].view(2, -1)
            self.below[0, 0], self.above[0, 0] = 0.0, 1.0
            self.below[1, -1], self.above[1, -1] = 1.0, 0.0

    @property
    def exact(self) -> bool:
        """Whether all cells of the column are points, so that a density of ranks is exact."""
        return self.told and not self.places.grid and not self.places.codes

    def find(self, batch: Batch, place: Place) -> tuple[Rows, Rows]:
        """Where the piece of each cell begins, and its length, at these places (n,) -> (n,) each, float64; the whole
        interval of a cell that is not known."""
        low, width = torch.zeros(len(place), dtype=torch.float64), torch.ones(len(place), dtype=torch.float64)
        known = place < self.places.size
        low[known], width[known] = self.first[place[known]], self.width[place[known]]
        numbers = (place < self.places.intervals).nonzero()[:, 0]
        if self.told and len(numbers):
            x, v = batch.x[0][numbers, self.places.part.values[0]].double(), place[numbers]
            upper = self._share(x, v)
            lower = self._share(x - 1, v) if self.places.grid else upper
            low[numbers] += width[numbers] * lower
            width[numbers] *= upper - lower
        return low, width

    def _share(self, x: Rows, v: Place) -> Rows:
        """P(X <= x | v) of numbers in these intervals -> (n,), by the tail that keeps its digits."""
        law = self.places.leaf_of_numbers
        assert isinstance(law, ByTails)
        below, above = (each[0] for each in law.tails(0, x))
        low, high = self.places.bounds()
        up = (below - self.below[0, v]) / (self.below[1, v] - self.below[0, v])
        down = (self.above[0, v] - above) / (self.above[0, v] - self.above[1, v])
        out = torch.where(self.below[1, v] <= self.above[0, v], up, down).nan_to_num(0.5, 1.0, 0.0).clamp(0, 1)
        return torch.where(x < low[v], 0.0, torch.where(x >= high[v], 1.0, out))

    def draw(self, u: Rows, region: Region | None = None, *, generator: Generator) -> Drawn:
        """The cells at these ranks (n,), each spread over the ranks that a float32 does not tell from its own, and kept
        in a region where there is one."""
        u = (u.double() + FINEST * torch.rand(len(u), generator=generator, dtype=torch.float64)).clamp(max=1 - 2**-53)
        place = torch.searchsorted(self.first, u, right=True) - 1
        some = self.width > 0  # a piece without length has no rank; its neighbour has it
        some = some if region is None else some & (self.places.shares(region) > 0)
        place = torch.where(some[place], place, _nearest(some)[place])
        if not self.told:
            return self.places.draw(place, region, generator=generator)
        drawn = Drawn(self.places.code(place), torch.zeros(len(u), dtype=torch.float64))
        numbers = (place < self.places.intervals).nonzero()[:, 0]
        if len(numbers):
            law, v = self.places.leaf_of_numbers, place[numbers]
            assert isinstance(law, ByTails)
            low, high = self.places.bounds()
            within = ((u[numbers] - self.first[v]) / self.width[v]).clamp(0, 1)
            x = law.quantile_between(0, low[v], high[v], within)
            if region is not None:
                inside = region.whole() if self.places.grid else region
                x = x.clamp(inside.lower, inside.upper)
            drawn.value[numbers] = x
        return drawn

    def place(self, u: Rows) -> Place:
        """The place of each rank -> (n,)."""
        return (torch.searchsorted(self.first, u.double().contiguous(), right=True) - 1).clamp(min=0)


def _nearest(some: Bool[Tensor, " v"]) -> Place:
    """Of each place the nearest of some of them -> (V,); the place itself where there is none."""
    here, every = some.nonzero()[:, 0], torch.arange(len(some))
    if not len(here):
        return every
    at = torch.searchsorted(here, every).clamp(max=len(here) - 1)
    before, after = here[(at - 1).clamp(min=0)], here[at]
    return torch.where((every - before).abs() <= (after - every).abs(), before, after)
