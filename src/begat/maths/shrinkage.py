"""Tables of counts shrunk to a law: as much as the counts themselves say."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

Table = Float[Tensor, "k v"]
PULLS = tuple(4.0**i for i in range(1, 8))
"""Pseudo-rows of each row of a table to choose from, beside infinitely many."""


def shrunk(counts: Table, law: Table, pseudo: Float[Tensor, ""]) -> Table:
    """(N_kv + c q_kv) / (N_k + c) of counts (K, V) and a law q whose rows sum to one; q where c is infinite."""
    if bool(torch.isinf(pseudo)):
        return law
    return torch.add(counts, law * pseudo).div_(counts.sum(1, keepdim=True) + pseudo)


def pull(counts: Table, law: Table) -> Float[Tensor, ""]:
    """The pseudo-rows c, of PULLS and infinity, with the largest leave-one-out log-likelihood of the counts.

    sum_kv N_kv log((N_kv - 1 + c q_kv) / (N_k - 1 + c)): each row scored by what the others and the law say of it. The
    counts of EM are shared among states, so that a row has left out less than itself, and c is too small rather than
    too large.
    """
    others, left = (counts - 1).clamp(min=0.0), (counts.sum(1, keepdim=True) - 1).clamp(min=0.0)
    best, chosen = float((counts * law.clamp(min=1e-30).log()).sum()), torch.inf
    for c in PULLS:
        score = float((counts * ((others + c * law).clamp(min=1e-30) / (left + c)).log()).sum())
        if score > best:
            best, chosen = score, c
    return torch.tensor(chosen)
