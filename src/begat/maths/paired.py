"""Paired comparisons of scores of the same rows."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def surpasses(gap: Float[Tensor, " n"], errors: float = 1.0) -> bool:
    """Whether the mean of the differences (n,) of two scores is above 0 by more than so many standard errors; one
    row is sure of nothing."""
    return len(gap) > 1 and float(gap.mean()) > errors * float(gap.std()) / len(gap) ** 0.5
