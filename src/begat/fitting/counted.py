"""Fitting by sufficient statistics: every row is read once, the parameters follow in closed form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from begat.core import Batch, Stats, unwritten

ROWS = 16384
"""Rows of one piece: few enough for what is made of them to fit the cache, so many that Python does not matter."""
COUNTED = 65536
"""Rows of one piece of a fit; leaves keep their own blocks small."""
S = TypeVar("S", bound=Sequence[Stats])


def pieces(batch: Batch, rows: int = ROWS) -> Iterator[tuple[slice, Batch]]:
    """The batch in consecutive pieces of at most `rows` rows (views, nothing is copied)."""
    for first in range(0, len(batch), rows):
        piece = slice(first, first + rows)
        yield piece, batch.rows(piece)


def accumulate(
    batches: Iterable[tuple[Batch, Tensor]],
    statistics: Callable[[Batch, Tensor], S],
    merge: Callable[[S, S], S],
    total: S | None = None,
) -> S | None:
    """The statistics of all batches, each with its states, added to `total`.

    Pieces are merged pairwise, like the carry of a binary counter: statistics that grow (the points of a kernel
    density) are copied log(pieces) times, and sums of floats keep more digits than one long sum.
    """
    carry: list[S | None] = []
    for batch, state in batches:
        for rows, piece in pieces(batch, COUNTED):
            new = statistics(piece, state[rows])
            for level, waiting in enumerate(carry):
                if waiting is None:
                    carry[level] = new
                    break
                new, carry[level] = merge(waiting, new), None
            else:
                carry.append(new)
    for waiting in carry:
        if waiting is not None:
            total = waiting if total is None else merge(total, waiting)
    return total


def by_rows(score: Callable[[Batch], Tensor], batch: Batch, rows: int = ROWS) -> Tensor:
    """score(piece) -> (..., rows), piece by piece, put together along the last axis in float64."""
    out: Tensor | None = None
    for where, piece in pieces(batch, rows):
        part = score(piece)
        if out is None:
            out = unwritten((*part.shape[:-1], len(batch)), np.float64)
        out[..., where] = part
    return torch.empty(0, dtype=torch.float64) if out is None else out
