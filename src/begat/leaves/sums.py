"""Weighted sums of cells over the rows of each state, in blocks of rows that stay in the cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor
from torch.nn.functional import embedding_bag

from begat.leaves.base import Block, Observed, PerState, State, Sums, Weight

ROWS = 4096
"""Rows of a block of cells, small enough for it to stay in the cache."""
FEW_STATES = 16
"""States up to which a product with their one-hot is the quicker sum in float64."""
BAG = 32
"""Rows that float32 adds up before float64 takes over, about."""
Places = Integer[np.ndarray, " m"]
Parts = Float[Tensor, "k bags d"]


def blocks(rows: int) -> Iterator[slice]:
    """Consecutive blocks of at most ROWS rows."""
    return (slice(first, first + ROWS) for first in range(0, rows, ROWS))


def spread(state: State, states: int, weight: Weight) -> Sums:
    """The weight of each row under each state, (K, n) in float64: one-hot where observed, times the rows' weights."""
    if state.is_floating_point():
        soft = state.double()
    else:
        soft = torch.zeros(states, len(state), dtype=torch.float64).scatter_(0, state.long()[None], 1.0)
    return soft if weight is None else soft * weight.double()


class Shared(NamedTuple):
    """Rows by their weight under each state: share (K, n), in all whole (K,)."""

    share: Sums
    whole: PerState

    @property
    def bags(self) -> int:
        return 1

    def parts(self, rows: slice, cells: Block) -> Parts:
        """The sums of one block's cells (n, D) -> (K, 1, D)."""
        return (self.share[:, rows] @ cells.double())[:, None]


class Sorted(NamedTuple):
    """Rows of observed states, sorted by state within each block, and cut into bags that are added up one by one.

    order (n,): the rows, counted from the start of their block; first (blocks, K, bags): where in a block each bag
    begins; weight (n,): that of the rows in this order; whole (K,): the weight of each state's rows.
    """

    order: Observed
    first: Int[Tensor, "blocks k bags"]
    weight: Weight
    whole: PerState

    @property
    def bags(self) -> int:
        """Bags of each block and state."""
        return self.first.shape[2]

    @classmethod
    def of(cls, state: Observed, states: int, weight: Weight, dtype: torch.dtype) -> Sorted:
        small = state.numpy().astype(np.min_scalar_type(states - 1))  # numbers of 8 bits are sorted by counting
        order = np.empty(len(small), np.int64)
        size = np.empty((-(-len(small) // ROWS), states, 1), np.int64)
        for i, rows in enumerate(blocks(len(small))):
            order[rows] = np.argsort(small[rows], kind="stable")
            size[i, :, 0] = np.bincount(small[rows], minlength=states)
        bags = max(ROWS // (BAG * states), 1) if dtype == torch.float32 else 1
        first = size.cumsum(1) - size + size * np.arange(bags) // bags
        whole = torch.from_numpy(size.sum((0, 2))).double()
        made = cls(torch.from_numpy(order), torch.from_numpy(first), None, whole)
        if weight is None:
            return made
        weight = weight.to(dtype)  # and their sum is that of these, so that means do not depend on the rounding
        each = weight[torch.from_numpy(made.row(np.arange(len(small))))]
        return made._replace(weight=each, whole=torch.bincount(state, weight.double(), states))

    def parts(self, rows: slice, cells: Block) -> Parts:
        """The sums of the bags of one block's cells (n, D) -> (K, bags, D)."""
        first = self.first[rows.start // ROWS]
        weight = None if self.weight is None else self.weight[rows]
        sums = embedding_bag(self.order[rows], cells, first.view(-1), mode="sum", per_sample_weights=weight)
        return sums.view(*first.shape, -1)

    def places(self, bag: Integer[np.ndarray, " b"]) -> tuple[Places, Places]:
        """The places in `order` of all rows in these bags, numbered through all blocks, and which bag each is in."""
        first = self.first.numpy()
        ends = np.append((first + ROWS * np.arange(len(first))[:, None, None]).ravel(), len(self.order))
        size = np.diff(ends)[bag]
        which = np.repeat(np.arange(len(bag)), size)
        return np.arange(len(which)) - (size.cumsum() - size - ends[bag])[which], which

    def row(self, place: Places) -> Places:
        """The rows at these places, counted from the first."""
        return self.order.numpy()[place] + place // ROWS * ROWS


def by_state(state: State, states: int, weight: Weight, dtype: torch.dtype) -> Shared | Sorted:
    """The rows, ready for sums of cells of this type.

    Observed states are sorted; a product with their one-hot does K times the work, and is the quicker way only in
    float64 with few states, where torch has no fast bag.
    """
    if state.is_floating_point() or (dtype == torch.float64 and states <= FEW_STATES):
        share = spread(state, states, weight)
        return Shared(share, share.sum(1))
    return Sorted.of(state, states, weight, dtype)
