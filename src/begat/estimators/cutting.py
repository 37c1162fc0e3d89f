"""Rows as places: each column's own law fitted, its numbers cut, and every cell found in one of the pieces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from begat.codecs.table import Slot
from begat.core import Batch, Stats
from begat.errors import BegatError, DataError
from begat.estimators import leaves, training
from begat.leaves.part import Part
from begat.leaves.places import Places

POINTS = 600
"""Distinct numbers of a column up to which each has a place of its own."""
BINS = 256
"""Places of equal weight beyond that; a number with a larger share has one of its own."""


class Cut(NamedTuple):
    """places: of each column, fitted. cells: the place of each cell (n, D). weight: of each row (n,), or None.
    names: the leaf that each column's own law is."""

    places: list[Places]
    cells: Int[Tensor, "n d"]
    weight: Float[Tensor, " n"] | None
    names: dict[Any, str]

    def counted(self) -> Cut:
        """The rows without those of weight 0, which are none. DataError where no row is left."""
        if self.weight is None:
            return self
        here = self.weight > 0
        if not here.any():
            raise DataError("all sample weights are zero; give at least one row a positive weight")
        return self._replace(cells=self.cells[here], weight=self.weight[here])


def cut(
    wanted: Any, slots: Sequence[Slot], rows: training.Training, seen_as: Callable[[Batch], Batch], *,
    kernels: bool = True,
) -> Cut:  # fmt: skip
    """The rows as places of these columns; `seen_as` puts a class among the codes. One pass over the rows.

    kernels: whether the automatic choice of a column's law tries kernel densities, which do not know their tails.
    """
    wishes = leaves.settle(wanted, slots)
    if odd := [c for c, wish in wishes.items() if wish.name == "multinomial"]:
        raise BegatError(
            f"column {odd[0]!r}: a circuit scores each column by itself, a multinomial several: choose poisson"
        )
    how = leaves.How(
        dict.fromkeys(wishes, 1.0), dict.fromkeys(wishes, 1.0), False, {c: w.options for c, w in wishes.items()}
    )
    first = seen_as(rows.first)
    few = training.spaced(len(first), training.SAMPLE)
    some = first.rows(few) if len(few) < len(first) else first
    most = rows.rows if kernels else leaves.LARGEST_KDE + 1
    names = leaves.choose(slots, wishes, some, _one(some), 1, how, rows=max(rows.rows, most))
    places: list[Places] = []
    for slot in slots:
        part = leaves.make(names[slot.column.name], [slot], 1, how)
        block, known = part.take(some)
        part.leaf.start(block, _one(some), some.weight, known)
        places.append(Places(part, _cuts(part, first)))
    stats: list[Stats | None] = [None] * len(places)
    found, weight = [], []
    for batch in map(seen_as, rows.batches):
        for d, each in enumerate(places):
            block, known = each.part.take(batch)
            new, before = each.leaf.statistics(block, _one(batch), batch.weight, known), stats[d]
            stats[d] = new if before is None else each.leaf.merge(before, new)
        found.append(torch.stack([each.find(batch) for each in places], 1).to(torch.int32))
        weight.append(batch.weight)
    cells, shares = torch.cat(found), None if weight[0] is None else torch.cat(weight)  # type: ignore[arg-type]
    for each, s, row in zip(places, stats, cells.T, strict=True):
        assert s is not None
        each.leaf.maximise(s)
        each.settle(torch.bincount(row.long(), shares, minlength=each.size + 2)[: each.size].double())
    for slot, each in zip(slots, places, strict=True):
        if bool(each.log_base.isnan().any()):
            raise DataError(f"column {slot.column.name!r} has numbers whose law overflows; give it in another unit")
    return Cut(places, cells, shares, names)


def _one(batch: Batch) -> Tensor:
    """The only state, for every row."""
    return torch.zeros(len(batch), dtype=torch.long)


def _cuts(part: Part, batch: Batch) -> Float[Tensor, " cuts"]:
    """Where the numbers of a column are cut, from those of these rows that have no special code."""
    if part.leaf.reads == "codes":
        return torch.empty(0, dtype=torch.float64)
    uncut = Places(part, torch.empty(0, dtype=torch.float64))
    numbers = uncut.find(batch) == 0
    if batch.weight is not None:
        numbers &= batch.weight > 0
    x = batch.x[0][numbers, part.values[0]].double()
    weight = None if batch.weight is None else batch.weight[numbers].double()
    law = uncut.leaf_of_numbers
    return cuts(x, weight, grid=bool(getattr(law, "grid", False)))


def cuts(x: Float[Tensor, " m"], weight: Float[Tensor, " m"] | None, *, grid: bool) -> Float[Tensor, " cuts"]:
    """Cuts half way between two of the numbers x (m,), on a grid at k + 1/2 -> rising.

    Between all of at most POINTS distinct numbers; else into BINS pieces of equal weight, and around numbers as heavy.
    """
    if not len(x):
        return torch.empty(0, dtype=torch.float64)
    points, where = np.unique(x.numpy(), return_inverse=True)
    mass = np.bincount(where, None if weight is None else weight.numpy())
    between = points[:-1] + 0.5 * (points[1:] - points[:-1])
    between = np.floor(between) + 0.5 if grid else between
    if len(points) > POINTS:
        reached, heavy = mass.cumsum() / mass.sum(), (mass > mass.sum() / BINS).nonzero()[0]
        chosen = np.concatenate([np.searchsorted(reached, np.arange(1, BINS) / BINS), heavy, heavy - 1])
        between = between[np.unique(chosen[(chosen >= 0) & (chosen < len(between))])]
    return torch.from_numpy(np.unique(between))
