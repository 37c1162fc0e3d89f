"""A law on a grid without some of its points: what numbers with a code of their own leave to the others."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from begat.core import Region
from begat.leaves.base import Block, Drawn, Leaf, Moments, Observed, PerState
from begat.maths.choice import choose

TRIES = 20
"""A draw on an atom is drawn again up to so many times before it is drawn from the gaps between the atoms."""
FEW_LEFT = 1e-3
"""Where the atoms leave less than this, 1 minus their masses has lost digits, and the gaps between them are summed."""
LEAST_LEFT = 1e-12
"""Where they leave less, the mean of what they leave has no digits."""


class Punctured(NamedTuple):
    """p(x | k, x no atom) for the law p of `leaf`, a leaf of D columns on a grid; atoms: the points of each column."""

    leaf: Leaf
    atoms: tuple[tuple[float, ...], ...]

    def log_left(self) -> Moments:
        """log P(no atom | k) -> (D, K); -inf where the atoms are all points that there are."""
        taken = self._taken()[0]
        left = torch.log1p(-taken.clamp(max=1 - FEW_LEFT))
        for d in (taken > 1 - FEW_LEFT).any(1).nonzero()[:, 0].tolist():
            left[d] = torch.logsumexp(self._gaps(d, Region())[1], 0)
        return left

    def log_mass(self, column: int, region: Region) -> PerState:
        """log P(x in the region and no atom | k) -> (K,)."""
        whole = self.leaf.log_mass(column, region)
        if not self.atoms[column]:
            return whole
        share = self._taken(region)[0][column] / whole.exp()
        if bool((share < 1 - FEW_LEFT).all()):
            return whole + torch.log1p(-share)
        return torch.logsumexp(self._gaps(column, region)[1], 0)

    def sample(self, state: Observed, wanted: Bool[Tensor, "n d"], *, generator: Generator) -> Block:
        """One row for each state (n,) -> (n, D); cells that are not wanted may be atoms."""
        x = self.leaf.sample(state, generator=generator)
        assert isinstance(x, Tensor)
        for _ in range(TRIES):
            odd = wanted & self._is_atom(x)
            rows = odd.any(1).nonzero()[:, 0]
            if not len(rows):
                return x
            again = self.leaf.sample(state[rows], generator=generator)
            assert isinstance(again, Tensor)
            x[rows] = torch.where(odd[rows], again.to(x.dtype), x[rows])
        for d, odd in enumerate((wanted & self._is_atom(x)).T):
            x[odd, d] = self._between(d, Region(), state[odd], generator).to(x.dtype)
        return x

    def sample_in(self, column: int, region: Region, state: Observed, *, generator: Generator) -> Drawn:
        """One number of a column in the region for each state (n,) -> (n,) float64."""
        x = self.leaf.sample_in(column, region, state, generator=generator)
        assert isinstance(x, Tensor)
        x = x.double()
        odd = torch.isin(x, torch.tensor(self.atoms[column], dtype=torch.float64))
        x[odd] = self._between(column, region, state[odd], generator)
        return x

    def mean(self) -> Moments:
        """(E[x | k] - sum_a a p(a | k)) / (1 - sum_a p(a | k)) -> (D, K); E[x | k] where next to nothing is left."""
        mean, (mass, moment) = self.leaf.mean(), self._taken()
        return torch.where(mass < 1 - LEAST_LEFT, (mean - moment) / (1 - mass).clamp(min=LEAST_LEFT), mean)

    def _is_atom(self, x: Block) -> Bool[Tensor, "n d"]:
        return torch.stack(
            [torch.isin(c, torch.tensor(a, dtype=c.dtype)) for c, a in zip(x.T, self.atoms, strict=True)], 1
        )

    def _taken(self, within: Region | None = None) -> tuple[Moments, Moments]:
        """sum_a p(a | k) and sum_a a p(a | k) over each column's atoms (in a region) -> (D, K) each."""
        most = max(map(len, self.atoms))
        at = torch.tensor([[*a, *(0.0,) * (most - len(a))] for a in self.atoms], dtype=torch.float64)
        counts = torch.arange(most) < torch.tensor([len(a) for a in self.atoms])[:, None]
        if within is not None:
            counts &= (at >= within.lower) & (at <= within.upper)
        p = self.leaf.log_prob(at.T.contiguous()).exp() * counts[:, None]
        return p.sum(2), (p * at[:, None]).sum(2)

    def _gaps(self, column: int, region: Region) -> tuple[list[Region], Float[Tensor, "gaps k"]]:
        """The stretches of a region between the atoms of a column, and their log masses (G, K); one at the least."""
        first, last, _ = region.whole()
        atoms = sorted({a for a in self.atoms[column] if first <= a <= last})
        starts, stops = [first, *(a + 1 for a in atoms)], [*(a - 1 for a in atoms), last]
        gaps = [Region(a, b) for a, b in zip(starts, stops, strict=True)]
        ends = torch.tensor([gap[:2] for gap in gaps], dtype=torch.float64)
        finite = torch.where(ends.isfinite(), ends, 0.0).view(-1, 1).expand(-1, len(self.atoms))
        # The mass of a far gap is too small for a number, the logarithms at its ends are not.
        at_ends = self.leaf.log_prob(finite)[column].view(-1, len(gaps), 2)
        at_ends = at_ends.masked_fill(ends.isinf(), -torch.inf).amax(2).T
        masses = torch.maximum(torch.stack([self.leaf.log_mass(column, gap) for gap in gaps]), at_ends)
        return gaps, masses.masked_fill((ends[:, 0] > ends[:, 1])[:, None], -torch.inf)

    def _between(self, column: int, region: Region, state: Observed, generator: Generator) -> Drawn:
        """Numbers of a column in a region that are no atoms, one for each state (n,) -> (n,)."""
        x = torch.empty(len(state), dtype=torch.float64)
        if not len(state):
            return x
        gaps, masses = self._gaps(column, region)
        chosen = choose(masses[:, state.long()], generator=generator)
        for i in chosen.unique().tolist():
            here = chosen == i
            drawn = self.leaf.sample_in(column, gaps[i], state[here], generator=generator)
            assert isinstance(drawn, Tensor)
            x[here] = drawn.double()
        return x
