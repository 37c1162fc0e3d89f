"""Weight, sum and sum of squares of the cells of each column under each state, about an origin."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from begat.core import Stats
from begat.leaves.base import Block, Mask, Moments, State, Weight
from begat.leaves.sums import ROWS, Sorted, blocks, by_state

HEAVY = 64.0
"""A bag whose squares in a column are so many times the mean bag's is added up again in float64."""
PerBlock = Float[Tensor, "blocks k d"]
PerBag = Float[Tensor, "blocks k bags d"]


def moments(x: Block, origin: Moments, state: State, weight: Weight, known: Mask) -> Stats:
    """weight, sum and square, (D, K) each in float64: sum w, sum w x' and sum w x'^2 with x' = x - origin.

    Soft states have one origin, the same for all. float32 is added up in bags of rows, and these in float64; bags
    that few cells far out dominate are done again. Of 100,000 rows means are then right to about 1e-8 of a deviation
    and variances to 1e-8 of themselves, whatever the tails; Student's t with 3 degrees of freedom lost 5e-7 otherwise.
    """
    columns, states = origin.shape
    by = by_state(state, states, weight, x.dtype)
    common = origin[:, 0].to(x.dtype) if bool((origin == origin[:, :1]).all()) else None
    seen, total = torch.zeros(2, states, columns, dtype=torch.float64)
    kind = x.dtype if isinstance(by, Sorted) else torch.float64
    bags = torch.empty(-(-len(x) // ROWS), states, by.bags, columns, dtype=kind)
    room = torch.empty(min(len(x), ROWS), columns, dtype=x.dtype)
    if known is None:
        seen += by.whole[:, None]
    for i, rows in enumerate(blocks(len(x))):
        cells = x[rows]
        own = origin[:, state[rows].long()].T.to(x.dtype) if common is None else common
        off = torch.sub(cells, own, out=room[: len(cells)])
        if known is not None:
            off.mul_(known[rows])
            seen += by.parts(rows, known[rows].to(x.dtype)).sum(1)
        total += by.parts(rows, off).sum(1)
        bags[i] = by.parts(rows, off.mul_(off))
    square = bags.double().sum(2)
    if isinstance(by, Sorted) and kind == torch.float32:
        _mend(square, bags, x, origin, by, known)
    return {"weight": seen.T, "sum": total.T, "square": square.sum(0).T}


def _mend(square: PerBlock, bags: PerBag, x: Block, origin: Moments, by: Sorted, known: Mask) -> None:
    """Put float64's sums of squares in place of those that contain a heavy bag."""
    limit = (HEAVY / by.bags * square.mean((0, 1))).numpy()
    block, k, d = (square.numpy() > limit).nonzero()  # where no bag is heavy the sum of all is not
    parts = bags.numpy()[block, k, :, d].astype(np.float64)
    unit, bag = (parts > limit[d][:, None]).nonzero()
    place, which = by.places((block * bags.shape[1] + k)[unit] * by.bags + bag)
    row, column = by.row(place), d[unit][which]
    again = (x.numpy()[row, column].astype(np.float64) - origin.numpy()[column, k[unit][which]]) ** 2
    again = again if by.weight is None else again * by.weight.numpy()[place]
    again = again if known is None else again * known.numpy()[row, column]
    parts[unit, bag] = np.bincount(which, again, len(unit))
    square.numpy()[block, k, d] = parts.sum(1)
