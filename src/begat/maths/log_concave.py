"""A positive function whose logarithm is concave: its integral, and draws from the law that it is in proportion to."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

PerState = Float[Tensor, " k"]
Grid = Float[Tensor, "k m"]
NODES = 1025
ZOOMS = 10
"""Each narrows the bracket of the maximum sixteenfold."""
DROP = 45.0
"""Nats below the maximum at which the function is taken to end: e^-45 = 3e-20."""


class Tabulated(NamedTuple):
    """K functions exp(h_k(t)) by their values at t = top + scale sinh(z), z evenly spaced.

    top, scale, first, step (K, 1): t = top + scale sinh(first + i step). log_f (K, m): h(t) + log(dt / dz).
    """

    top: Grid
    scale: Grid
    first: Grid
    step: Grid
    log_f: Grid

    def log_integral(self) -> PerState:
        """log of the integral of exp(h) over the line -> (K,), by the trapezoidal rule.

        The map makes tails of any length fall off doubly exponentially, for which the rule converges exponentially:
        about nine digits.
        """
        return torch.logsumexp(self.log_f + self.step.log(), 1)

    def draw(self, state: Int[Tensor, " n"], *, generator: Generator) -> Float[Tensor, " n"]:
        """t from the density in proportion to exp(h_k) for each state (n,), f linear in z between nodes."""
        f = torch.softmax(self.log_f, 1)
        cdf = (f[:, :-1] + f[:, 1:]).cumsum(1)
        u, v = torch.rand(2, len(state), generator=generator, dtype=torch.float64)
        # All states share one sorted axis: the cumulative sums of state k are moved up by k.
        steps = cdf / cdf[:, -1:] + torch.arange(len(cdf))[:, None]
        cell = torch.searchsorted(steps.reshape(-1), state + u, right=True) - state * cdf.shape[1]
        cell = cell.clamp(0, cdf.shape[1] - 1)
        a, b = f[state, cell], f[state, cell + 1]
        part = v * (a + b) / (a + torch.lerp(a * a, b * b, v).sqrt()).clamp(min=1e-300)
        z = self.first[state, 0] + (cell + part) * self.step[state, 0]
        return self.top[state, 0] + self.scale[state, 0] * torch.sinh(z)


def tabulate(h: Callable[[Grid], Grid], low: PerState, high: PerState) -> Tabulated:
    """exp(h_k) for K concave functions h: (K, m) -> (K, m), whose maxima lie between low and high (K,)."""
    low, high = low[:, None], high[:, None]
    for _ in range(ZOOMS):
        t = torch.lerp(low, high, torch.linspace(0, 1, 33, dtype=torch.float64))
        best = h(t).argmax(1, keepdim=True)
        low, high = t.gather(1, (best - 1).clamp(min=0)), t.gather(1, (best + 1).clamp(max=32))
    top = 0.5 * (low + high)
    away = torch.exp2(torch.arange(-60.0, 32.0, dtype=torch.float64))
    falls = [h(top) - h(top + side * away) for side in (-1.0, 1.0)]
    scale = torch.minimum(*(_first(away, fall > 0.5) for fall in falls))
    ends = [torch.asinh(_first(away, fall > DROP) / scale) for fall in falls]
    step = (ends[0] + ends[1]) / (NODES - 1)
    z = torch.arange(NODES, dtype=torch.float64) * step - ends[0]
    log_f = h(top + scale * torch.sinh(z)) + scale.log() + z.cosh().log()
    return Tabulated(top, scale, -ends[0], step, log_f)


def _first(away: Float[Tensor, " a"], true: Bool[Tensor, "k a"]) -> Grid:
    """The least distance that is true of each state -> (K, 1), the last where none is."""
    never = ~true.any(1, keepdim=True)
    return away[torch.where(never, len(away) - 1, true.int().argmax(1, keepdim=True))]
