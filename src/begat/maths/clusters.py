"""Rows in K clusters: Lloyd's k-means, a few rounds of it, as a start for something better."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

Points = Float[Tensor, "n f"]
Centres = Float[Tensor, "k f"]
ROWS = 20_000
"""Rows that place the centres."""
ROUNDS = 5
PIECE = 8192


def nearest(x: Points, centre: Centres) -> Int[Tensor, " n"]:
    """The centre nearest to each row -> (n,)."""
    half = 0.5 * (centre**2).sum(1)
    return torch.cat([(half - piece @ centre.T).argmin(1) for piece in x.split(PIECE)])


def centres(x: Points, clusters: int, *, generator: Generator) -> Centres:
    """K centres of the rows x (n, F): rows at random, then the means of those nearest to each; an empty cluster begins
    anew at a row at random. Of many rows some place the centres."""
    if len(x) > ROWS:
        x = x[torch.randperm(len(x), generator=generator)[:ROWS]]
    order = torch.randperm(len(x), generator=generator)
    centre = x[order.repeat(-(-clusters // max(len(x), 1)))[:clusters]].clone()
    for _ in range(ROUNDS):
        mine = nearest(x, centre)
        count = torch.bincount(mine, minlength=clusters)
        mean = torch.zeros_like(centre).index_add_(0, mine, x) / count.clamp(min=1)[:, None]
        again = x[torch.randint(len(x), (clusters,), generator=generator)]
        centre = torch.where(count[:, None] > 0, mean, again)
    return centre
