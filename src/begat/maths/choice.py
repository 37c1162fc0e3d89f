"""Draws of an index by unnormalised log-probabilities."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor


def choose(log_p: Float[Tensor, "m n"], *, generator: Generator) -> Int[Tensor, " n"]:
    """One index 0, ..., m - 1 for each column (m, n) -> (n,); any where all probabilities of a column are 0."""
    below = torch.softmax(log_p.double(), 0).nan_to_num(1.0).cumsum(0)
    u = torch.rand(log_p.shape[1], generator=generator, dtype=torch.float64) * below[-1]
    return (below <= u).sum(0).clamp(max=len(log_p) - 1)
