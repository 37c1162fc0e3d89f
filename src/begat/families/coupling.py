"""Additive couplings: columns that lean on one column, as what is left of them once it is known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from begat.core import Batch
from begat.families.circuit import Regions
from begat.leaves.places import Places

Place = Int[Tensor, " n"]


class Coupling(nn.Module):
    """x_c = r_c + t_c(v) of each column c that leans on the hub, v the place of the hub's cell.

    A bijection of volume one, whatever the function t: on a grid t is a whole number of steps, so that the points of
    the grid go to points of the grid. Dinh, Krueger and Bengio, "NICE" (2015), additive coupling
    layers; Hoogeboom et al., "Integer discrete flows" (2019), the same on whole numbers.

    hub: its number among the columns, and `places`, what its numbers are cut into. columns: the numbers of those that
    lean. values: where their numbers are in the encoded table. shift: t -> (V, m), of V places.
    """

    def __init__(
        self, hub: int, places: Places, columns: Sequence[int], values: Sequence[int], shift: Float[Tensor, "v m"]
    ):
        super().__init__()
        if hub in columns or len(columns) != len(values) or shift.shape != (places.size, len(columns)):
            raise ValueError(f"{len(columns)} columns, {len(values)} values, shifts {tuple(shift.shape)} do not fit")
        self.hub, self.places, self.columns, self.values = hub, places, tuple(columns), tuple(values)
        self.register_buffer("shift", shift)

    shift: Float[Tensor, "v m"]

    def apart(self, batch: Batch) -> Batch:
        """x -> r of the rows whose hub is known; the others stay as they are."""
        return self._moved(batch, self.places.find(batch), -1.0)

    def together(self, batch: Batch) -> Batch:
        """r -> x."""
        return self._moved(batch, self.places.find(batch), 1.0)

    def _moved(self, batch: Batch, place: Place, sign: float) -> Batch:
        by = torch.cat([self.shift, self.shift.new_zeros(2, len(self.values))])[place]
        known = batch.known[0]
        if known is not None:
            by = torch.where(known[:, list(self.values)], by, 0.0)
        values = batch.x[0].to(torch.float64, copy=True)
        values[:, list(self.values)] += sign * by
        return batch.having(x=(values, *batch.x[1:]))

    def leaned(self, asked: Regions) -> bool:
        """Whether a region has an end that moves with the hub."""
        return any(math.isfinite(end) for c in self.columns if c in asked for end in asked[c][:2])

    def regions(self, asked: Regions, place: int) -> Regions:
        """What regions of x are of r where the hub is in this place."""
        moved = dict(asked)
        for c, by in zip(self.columns, self.shift[place].tolist(), strict=True):
            if c in moved:
                moved[c] = moved[c]._replace(lower=moved[c].lower - by, upper=moved[c].upper - by)
        return moved
