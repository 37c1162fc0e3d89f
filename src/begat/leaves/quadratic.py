"""Sums over columns of quadratic polynomials, one for each state: two matrix products."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from begat.leaves.base import Block, Mask, Moments, PerColumn, Sums
from begat.leaves.sums import blocks

MAGNITUDE = 48.0
"""Sum of the magnitudes of a row's terms above which float32 would lose the sixth digit of a probability."""


class Quadratic(NamedTuple):
    """q_k(x) = sum_d c_dk + a_dk x'_d + b_dk x'_d^2 with x' = x - origin, for D columns and K states.

    origin (D,); constant c, linear a, square b (D, K).
    """

    origin: PerColumn
    constant: Moments
    linear: Moments
    square: Moments

    def of(self, columns: Int[Tensor, " _"]) -> Quadratic:
        """The sum over these columns alone."""
        return Quadratic(*(t[columns] for t in self))

    def sums(self, x: Block, known: Mask, dtype: torch.dtype = torch.float64) -> Sums:
        """q_k of each row of x (n, D) over its known columns -> (K, n), computed in `dtype`."""
        origin = self.origin.to(dtype)
        constant, linear, square = (t.T.to(dtype).contiguous() for t in self[1:])
        alone = constant.sum(1, keepdim=True)
        out = torch.empty(len(linear), len(x), dtype=dtype)
        for rows in blocks(len(x)):
            off = x[rows].to(dtype, copy=True).sub_(origin).T
            if known is None:
                part = torch.addmm(alone, linear, off)
            else:
                seen = known[rows].T.to(dtype)
                part = torch.addmm(constant @ seen, linear, off.mul_(seen))
            out[:, rows] = part.addmm_(square, off.mul_(off))
        return out

    def differences(self, x: Block, known: Mask) -> Sums:
        """q_k of each row up to a number that all states share -> (K, n) in float32, origin a float32 number.

        Differences of states are small numbers. A row's sum of magnitudes m = sum_d |a_d x'_d| + |b_d| x'^2_d (largest
        differences over the states, bounded with |x'| <= (1 + x'^2) / 2 by one more row of the product) loses some
        m 2^-24 nats: at m = 48 at most 1.2e-6 in probability, in the worst of a million rows. Rows above MAGNITUDE are
        done again in float64.
        """
        apart = Quadratic(self.origin, *(t - t.mean(1, keepdim=True) for t in self[1:]))
        half = 0.5 * apart.linear.abs().amax(1, keepdim=True)
        most = (apart.constant.abs().amax(1, keepdim=True) + half, torch.zeros_like(half),
                apart.square.abs().amax(1, keepdim=True) + half)  # fmt: skip
        wider = Quadratic(self.origin, *(torch.cat(pair, 1) for pair in zip(apart[1:], most, strict=True)))
        out = wider.sums(x, known, torch.float32)
        large = (~(out[-1] <= MAGNITUDE)).nonzero()[:, 0]  # NaN, where a square has no float32, is large too
        out = out[:-1]
        if len(large):
            exact = apart.sums(x[large], None if known is None else known[large])
            # float32 keeps the digits of small numbers: those of the likeliest states.
            out[:, large] = (exact - exact.amax(0)).float()
        return out
