"""Draws from the rows of a table of probabilities by inverting their cumulative sums."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

Drawn = Int[Tensor, " n"]


def draw_rows(table: Float[Tensor, "k v"], row: Int[Tensor, " n"], *, generator: Generator) -> Drawn:
    """One column for each row number (n,) of a table whose rows are unnormalised probabilities -> (n,).

    All rows share one sorted axis, the cumulative sums of row k moved up by k: one search finds every draw. A row
    without mass gives its last column.
    """
    rows, size = table.shape
    reached = table.double().cumsum(1)
    steps = reached / reached[:, -1:].clamp(min=1e-300) + torch.arange(rows, dtype=torch.float64)[:, None]
    u = torch.rand(len(row), generator=generator, dtype=torch.float64)
    found = torch.searchsorted(steps.reshape(-1), (u + row).clamp(max=rows * (1 - 1e-16)), right=True)
    return (found - row.long() * size).clamp(0, size - 1)


def draw_each(weight: Float[Tensor, "n v"], *, generator: Generator) -> Drawn:
    """One column for each row of unnormalised probabilities (n, V) -> (n,)."""
    reached = weight.double().cumsum(1)
    u = torch.rand(len(weight), 1, generator=generator, dtype=torch.float64) * reached[:, -1:]
    return torch.searchsorted(reached, u, right=True)[:, 0].clamp(max=weight.shape[1] - 1)
