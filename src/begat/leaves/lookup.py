"""Masses of whole numbers by table: columns with fewer different numbers than rows are scored number by number."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

from begat.leaves.base import Block, ByColumn, Mask, MaskByColumn, PerColumn, Scores, Sums

LogMass = Callable[[ByColumn], Scores]
"""Whole numbers (D, n) -> their log masses (D, K, n)."""


class Table(NamedTuple):
    """The log masses of consecutive whole numbers of every column, (D, span, K), and each cell's place (D, n)."""

    log_mass: Float[Tensor, "d span k"]
    place: Int[Tensor, "d n"]


def table(log_mass: LogMass, x: ByColumn, known: MaskByColumn) -> Table | None:
    """A table that holds every known number of x (D, n); None where it is no less work than the cells themselves."""
    if x.numel() == 0:
        return None
    low, high = x, x
    if known is not None:
        low, high = x.masked_fill(~known, torch.inf), x.masked_fill(~known, -torch.inf)
    first = low.amin(1, keepdim=True)
    first = torch.where(first.isfinite(), first, 0.0)
    span = float((high.amax(1, keepdim=True) - first).amax()) + 1
    if not 1 <= span < x.shape[1]:
        return None
    place = (x - first).clamp(0, span - 1).long()
    return Table(log_mass(first + torch.arange(int(span), dtype=x.dtype)).transpose(1, 2).contiguous(), place)


def cells(log_mass: LogMass, x: Block, known: Mask, first: PerColumn) -> Scores:
    """The log masses of x - first, x (n, D), -> (D, K, n), 0 where unknown."""
    j, seen = x.T.double() - first[:, None], None if known is None else known.T
    found = table(log_mass, j, seen)
    if found is None:
        out = log_mass(j)
    else:
        column = torch.arange(len(j))[:, None]
        out = found.log_mass[column, found.place].transpose(1, 2)
    return out if seen is None else out.masked_fill(~seen[:, None], 0.0)


def sums(log_mass: LogMass, x: Block, known: Mask, first: PerColumn) -> Sums:
    """The log masses of x - first, x (n, D), summed over columns -> (K, n)."""
    seen = None if known is None else known.T
    found = table(log_mass, x.T.double() - first[:, None], seen)
    if found is None:
        return cells(log_mass, x, known, first).sum(0)
    columns, span, states = found.log_mass.shape
    flat = found.log_mass.reshape(-1, states)
    rows = found.place + torch.arange(columns)[:, None] * span
    if seen is not None:  # unknown cells have a row of zeros below the table
        rows = rows.masked_fill(~seen, len(flat))
        flat = torch.cat([flat, torch.zeros(1, states, dtype=flat.dtype)])
    return embedding_bag(rows.T.contiguous(), flat, mode="sum").T.contiguous()
