"""Laws of the places of one column under K states: a table of levels, and one that leans on a Gaussian of scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from begat.core import Region
from begat.leaves.places import Places
from begat.maths.shrinkage import pull, shrunk

Counts = Float[Tensor, "v k"]
Table = Float[Tensor, "_ k"]
SCORE_LIMIT = 6.0
"""Normal scores of the two ends of a column's own law."""
NARROW = 0.05
"""Variance of the one pseudo-row of each state's Gaussian, in squared normal scores."""
LEAST_VARIANCE = 2e-5
AHEAD, FARTHEST_AHEAD = 12.0, 0.3
"""The variance with which N rows predict the next one is larger than theirs by the first over N, by the second at most;
more than the 5 of Student's t (the variance here is over N + 1), for the rows of a state were chosen by their
likeness."""
FLOOR = 0.01
"""Of the pseudo-rows alpha, the part that a Gaussian on normal scores takes: its tails need no more."""
SMALLEST = 1e-37


class PlaceLaw(nn.Module, ABC):
    """P(v | k) of the V places of one column under K states, in single precision; columns sum to one.

    A fit gives `maximise` the expected counts (V, K), and keeps its `state`; a file keeps the `probabilities` alone.
    Circuits read `table`: ratios P(v | k) / p0(v), whose mean under the column's own law p0 is 1, and below them what
    an unknown cell says.
    """

    kind: ClassVar[str]

    def __init__(self, places: Places, states: int, alpha: float = 1.0):
        super().__init__()
        self.places, self.states, self.size, self.alpha = places, states, places.size, alpha
        self.register_buffer("counts", None)
        self.register_buffer("pull", torch.tensor(torch.inf))
        self.register_buffer("p", None)

    counts: Counts
    pull: Float[Tensor, ""]
    p: Table

    def maximise(self, counts: Counts, anew: bool = False) -> None:
        """Set the law from expected counts, with the smoothing that the class states; anew: how much of it, too."""
        self.counts = counts
        if anew:
            self._choose()
        self.p = self._law()

    def state(self) -> dict[str, Tensor]:
        """What a fit goes on from, by name."""
        return {"counts": self.counts, "pull": self.pull}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Set what `state` gave."""
        self.counts, self.pull = state["counts"], state["pull"]
        self.p = self._law()

    def widen(self) -> None:
        """After the fit: make the law as wide as the next row of each state, and not its own, calls for."""

    def _choose(self) -> None:
        """Choose `pull`, where the law has it."""

    @abstractmethod
    def _law(self) -> Table: ...

    # what circuits ask --------------------------------------------------------------------------------------------
    def probabilities(self, region: Region | None = None) -> Table:
        """P(v | k), or P(v, x in region | k) -> (V, K)."""
        return self.p if region is None else self.p * self.places.shares(region).float()[:, None]

    def table(self, region: Region | None = None) -> Table:
        """(V + 2, K): P(v | k) / p0(v), then the row of an unknown cell and that of an unknown number.

        These are P(x in region | k), 1 without a region, and P(no special code, x in region | k).
        """
        p = self.probabilities(region)
        whole = p.new_ones(self.states) if region is None else p.sum(0)
        return torch.cat([self._ratio(), whole[None], p[: self.places.intervals].sum(0)[None]])

    def peaks(self, region: Region | None = None) -> tuple[Table, Table]:
        """The table above with, for an unknown cell, the largest probability (density) of a cell that stands for a
        place, and those of all places (V, K)."""
        p = self.probabilities(region) * self.places.height()[:, None]
        numbers = p[: self.places.intervals]
        rest = numbers.amax(0) if len(numbers) else p.new_zeros(self.states)
        return torch.cat([self._ratio(), p.amax(0)[None], rest[None]]), p

    def _ratio(self) -> Table:
        own = self.places.base[:, None]
        return torch.where(own > SMALLEST, self.probabilities() / own.clamp(min=SMALLEST), 0.0)


class Free(PlaceLaw):
    """P(v | k) = (N_vk + alpha p0(v)) / (N_k + alpha): any table, with alpha pseudo-rows spread as the whole column."""

    kind = "free"

    def _law(self) -> Table:
        smooth = self.counts + max(self.alpha, 1e-6) * self.places.base[:, None]
        return smooth / smooth.sum(0)


class Smooth(PlaceLaw):
    """P(v | k) of an interval v: shrunk to a Gaussian on the column's normal scores, integrated over the interval.

    The ends of the intervals have the scores b = Phi^-1(P0(x < end)), so that every column is standard normal on this
    scale whatever its units, and ties and gaps of p0 are those of the law:

        P(v | k) = P(a number | k) (N_vk + c G_vk) / (N_k + c),
        G_vk     = Phi((b_v+1 - mean_k) / deviation_k) - Phi((b_v - mean_k) / deviation_k),

    with a hundredth of alpha pseudo-rows spread as p0 besides. mean_k and deviation_k are the moments under N(0, 1)
    given each interval, averaged over the state's counts, with one pseudo-row of the variance NARROW. c is the number
    of pseudo-rows with the best leave-one-out likelihood (maths.shrinkage), infinite where the Gaussian alone is
    better. After the fit (`widen`) variances are multiplied by 1 + min(AHEAD / N_k, FARTHEST_AHEAD). Special codes and
    the remainder of numbers are a free table.
    """

    kind = "smooth"

    def __init__(self, places: Places, states: int, alpha: float = 1.0):
        super().__init__(places, states, alpha)
        self.ahead = 0.0
        p = places.base[: places.intervals].double()
        p = p / p.sum().clamp(min=1e-300)
        self.register_buffer("share", p.float(), persistent=False)
        edges = torch.special.ndtri(p.cumsum(0)[:-1].clamp(1e-12, 1 - 1e-12))
        limit = torch.full((1,), SCORE_LIMIT, dtype=torch.float64)
        edges = torch.cat([-limit, edges.clamp(-SCORE_LIMIT, SCORE_LIMIT), limit])
        height = torch.exp(-0.5 * edges**2) / (2 * torch.pi) ** 0.5
        mass = (torch.special.ndtr(edges[1:]) - torch.special.ndtr(edges[:-1])).clamp(min=1e-300)
        middle = 0.5 * (edges[1:] + edges[:-1])
        inside = p > 1e-9  # elsewhere the differences have lost their digits
        first = torch.where(inside, (height[:-1] - height[1:]) / mass, middle)
        second = torch.where(inside, 1 + (edges[:-1] * height[:-1] - edges[1:] * height[1:]) / mass, middle**2)
        self.register_buffer("edges", edges.float()[:, None], persistent=False)
        self.register_buffer("moments", torch.stack([torch.ones_like(first), first, second]).float(), persistent=False)

    share: Float[Tensor, " intervals"]
    edges: Float[Tensor, "ends 1"]
    moments: Float[Tensor, "3 intervals"]

    def widen(self) -> None:
        self.ahead = AHEAD
        self.p = self._law()

    def _choose(self) -> None:
        self.pull = pull(self.counts[: self.places.intervals].T, self._gaussian().T)

    def _gaussian(self) -> Table:
        rows, first, second = self.moments @ self.counts[: self.places.intervals]
        mean = first / rows.clamp(min=1e-3)
        variance = ((second - mean * first).clamp(min=0.0) + NARROW) / (rows + 1)
        variance = variance.clamp(min=LEAST_VARIANCE)
        if self.ahead:
            variance = variance * (1 + (self.ahead / rows.clamp(min=1e-3)).clamp(max=FARTHEST_AHEAD))
        reached = torch.special.ndtr((self.edges - mean) / variance.sqrt())
        reached[0], reached[-1] = 0.0, 1.0
        return reached.diff(dim=0).clamp_(min=0.0)

    def _law(self) -> Table:
        numbers, special = self.counts[: self.places.intervals], self.counts[self.places.intervals :]
        rows, base, alpha = numbers.sum(0), self.places.base, max(self.alpha, 1e-6)
        codes = torch.cat([rows[None], special])
        own = torch.cat([base[: self.places.intervals].sum()[None], base[self.places.intervals :]])
        codes = codes + alpha * own[:, None]
        codes = codes / codes.sum(0)
        within = shrunk(numbers.T, self._gaussian().T, self.pull).T * rows + FLOOR * alpha * self.share[:, None]
        within = torch.where(self.share[:, None] > 0, within, 0.0)
        return torch.cat([within * (codes[0] / within.sum(0)), codes[1:]])


class Alone(PlaceLaw):
    """P(v | k) = p0(v): a column that depends on no other."""

    kind = "alone"

    def __init__(self, places: Places, states: int, alpha: float = 1.0):
        super().__init__(places, states, alpha)
        self.p = self._law()

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Nothing is learnt."""

    def _law(self) -> Table:
        return self.places.base[:, None].expand(-1, self.states)


LAWS: Mapping[str, type[PlaceLaw]] = {law.kind: law for law in (Free, Smooth, Alone)}
