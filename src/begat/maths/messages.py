"""Messages on a tree of discrete latents: sums and maxima over all their states in one pass, and posteriors in another.

Pearl, "Probabilistic reasoning in intelligent systems" (1988), chapters 4 and 5. Latents are numbered so that
parents come before children; the first has the parent -1. Single precision: messages are scaled row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

States = Float[Tensor, "n k"]
Table = Float[Tensor, "k k"]
PerRow = Float[Tensor, " n"]
Hear = Callable[[int], list[States]]
"""What a latent hears from beside the tree: P(what hangs on it | its state) up to a factor of each row, (n, K) each."""
FACTORS = 4
"""Messages multiplied before they are scaled again."""
TINY = 1e-25
"""Mean of a product in single precision below which some of it may have been lost."""
LEAST = 1e-37


class Messages(NamedTuple):
    """What the latents tell each other about n rows.

    inward: of each latent, P(what hangs on it and below | its state) up to a factor of each row -> (n, K). upward: what
    each latent but the first tells its parent, sum_k' P(k' | k) inward_k' -> (n, K). log_scale: the logarithm of all
    factors -> (n,) float64, -inf of an impossible row.
    """

    inward: list[States]
    upward: list[States | None]
    log_scale: PerRow


def collect(parents: Sequence[int], tables: Sequence[Table], hear: Hear, n: int, states: int) -> Messages:
    """Messages towards the first latent. tables: P(state | parent's state) of latents 1, 2, ..., rows of parents."""
    log_scale = torch.zeros(n, dtype=torch.float64)
    inward: list[States] = [torch.empty(0, 0)] * len(parents)
    upward: list[States | None] = [None] * len(parents)
    for z in reversed(range(len(parents))):
        heard = hear(z) + [u for c, u in enumerate(upward) if u is not None and parents[c] == z]
        inward[z] = _product(heard, log_scale, states)
        if z:
            upward[z] = inward[z] @ tables[z - 1].T
    return Messages(inward, upward, log_scale)


def distribute(parents: Sequence[int], tables: Sequence[Table], first: States, told: Messages) -> list[States]:
    """P(state of each latent | row), given that of the first latent times any weight of the row -> (n, K) each."""
    out = [first]
    for z in range(1, len(parents)):
        out.append((outside(out[parents[z]], told, z) @ tables[z - 1]).mul_(told.inward[z]))
    return out


def outside(belief: States, told: Messages, latent: int) -> States:
    """The belief of a latent's parent without what the latent itself told it."""
    upward = told.upward[latent]
    assert upward is not None
    return belief / upward.clamp(min=LEAST)


def highest(
    prior: Float[Tensor, " k"], parents: Sequence[int], tables: Sequence[Table], hear: Hear, n: int
) -> tuple[list[Int[Tensor, " n"]], PerRow]:
    """The most probable states of all latents together -> (n,) each, and the logarithm of their probability."""
    log_p = torch.zeros(n, dtype=torch.float64)
    inward: list[States] = [torch.empty(0, 0)] * len(parents)
    upward: list[States | None] = [None] * len(parents)
    for z in reversed(range(len(parents))):
        heard = hear(z) + [u for c, u in enumerate(upward) if u is not None and parents[c] == z]
        inward[z] = _product(heard, log_p, len(prior))
        if z:
            upward[z] = torch.stack([(inward[z] * row).amax(1) for row in tables[z - 1]], 1)
    most, first = (inward[0] * prior).max(1)
    log_p += most.double().log()
    state = [first]
    for z in range(1, len(parents)):
        state.append((tables[z - 1][state[parents[z]]] * inward[z]).argmax(1))
    return state, log_p


def _product(factors: Sequence[States], log_scale: PerRow, states: int) -> States:
    """The product of messages, each row scaled to the mean 1; the scale goes to log_scale, -inf where it is 0.

    Single precision holds the product of FACTORS of them, if it is not tiny; what is more is multiplied in double: a
    state that is far behind after half of the columns may be the best after all.
    """
    if not factors:
        return torch.ones(len(log_scale), states)
    if len(factors) <= FACTORS:
        out = factors[0]
        for factor in factors[1:]:
            out = out * factor
        mean = out.mean(1, keepdim=True)
        if not bool((mean < TINY).any()):
            log_scale += mean[:, 0].double().log()
            return out / mean
    wide = torch.ones(len(log_scale), states, dtype=torch.float64)
    for i, factor in enumerate(factors, 1):
        wide *= factor
        if i % FACTORS == 0 or i == len(factors):
            whole = wide.mean(1, keepdim=True)
            log_scale += whole[:, 0].log()
            wide /= whole.clamp(min=1e-300)
    return wide.float()
