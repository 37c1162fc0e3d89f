"""Draws of an index by unnormalised log-probabilities."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int, Shaped
from torch import Generator, Tensor


def choose(log_p: Float[Tensor, "m n"], *, generator: Generator) -> Int[Tensor, " n"]:
    """One index 0, ..., m - 1 for each column (m, n) -> (n,); any where all probabilities of a column are 0."""
    below = torch.softmax(log_p.double(), 0).nan_to_num(1.0).cumsum(0)
    u = torch.rand(log_p.shape[1], generator=generator, dtype=torch.float64) * below[-1]
    return (below <= u).sum(0).clamp(max=len(log_p) - 1)


def at_share(p: Float[Tensor, "*n v"], u: Shaped[Tensor, "*n"]) -> Int[Tensor, "*n"]:
    """The index that has the share u of the mass of p (..., V) below its end, u from [0, 1) -> (...); its own inverse
    distribution function, so that uniform u draw it."""
    below = p.cumsum(-1)
    return (below <= (u.double() * below[..., -1])[..., None]).sum(-1).clamp(max=p.shape[-1] - 1)


def dealt(wanting: Int[Tensor, " w"], held: Int[Tensor, " m"]) -> tuple[Int[Tensor, " s"], Int[Tensor, " s"]]:
    """Which of the wanting gets which of what is held for its group, none twice and in the order of both -> the numbers
    of both, of those that are served."""
    asked, order = wanting.sort(stable=True)
    there, at = held.sort(stable=True)
    mine = torch.searchsorted(there, asked) + torch.arange(len(asked)) - torch.searchsorted(asked, asked)
    served = (
        (mine < len(there)) & (there[mine.clamp(max=len(there) - 1)] == asked) if len(there) else asked.bool() & False
    )
    return order[served], at[mine[served]]
