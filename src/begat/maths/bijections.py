"""Increasing maps of the unit interval onto itself, their inverses and the logs of their slopes.

Each is a row of BIJECTIONS: a flow asks its network for `size(bins)` numbers of each value, and is the identity where
they are zero. Parameters come first and rows last, (size, ..., n): a short axis at the end is slow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

Values = Float[Tensor, "*n"]
Parameters = Float[Tensor, "p *n"]
LEAST = 1e-3
"""The least width and height of a bin, and its least slope at a knot."""
MOST_LOG_SCALE = 3.0
_ONE = math.log(math.expm1(1 - LEAST))


class Bijection(NamedTuple):
    """size: of bins, how many parameters a value has. forward: x -> y and log dy / dx. inverse: y -> x."""

    size: Callable[[int], int]
    forward: Callable[[Values, Parameters], tuple[Values, Values]]
    inverse: Callable[[Values, Parameters], Values]


# a spline -------------------------------------------------------------------------------------------------------------
def spline(x: Values, p: Parameters) -> tuple[Values, Values]:
    """A monotone rational-quadratic spline of K bins, p its 3 K + 1 parameters -> y and log dy / dx.

    Between two knots, with t the share of the bin's width and s its mean slope,

        y = y_k + h_k (s t^2 + d_k t (1 - t)) / (s + (d_k + d_(k+1) - 2 s) t (1 - t)).

    Durkan, Bekasov, Murray and Papamakarios, "Neural spline flows" (2019), equations 4 and 5, on [0, 1] in place of
    [-B, B], with free slopes at both ends.
    """
    left, low, width, height, first, last = _bin(x, p, inverse=False)
    s, t = height / width, ((x - left) / width).clamp(0, 1)
    both = t * (1 - t)
    down = s + (first + last - 2 * s) * both
    y = low + height * (s * t * t + first * both) / down
    log_slope = 2 * s.log() + (last * t * t + 2 * s * both + first * (1 - t) ** 2).log() - 2 * down.log()
    return y.clamp(0, 1), log_slope


def unspline(y: Values, p: Parameters) -> Values:
    """The x that `spline` takes to y: the root of a quadratic in t, equations 6 to 8 of the same."""
    left, low, width, height, first, last = _bin(y, p, inverse=True)
    s, up = height / width, (y - low).clamp(min=0.0)
    bend = up * (first + last - 2 * s)
    b = height * first - bend
    root = (b * b + 4 * (height * (s - first) + bend) * s * up).clamp(min=0.0).sqrt()
    t = (2 * s * up / (b + root)).clamp(0, 1)
    return (left + t * width).clamp(0, 1)


def _bin(x: Values, p: Parameters, *, inverse: bool) -> tuple[Values, ...]:
    """Of the bin that x (or, inverse, y) lies in: its left and lower end, width, height, and slopes at both ends.

    Widths and heights are LEAST and a share of the rest; what can wait until the bin is known is done for it alone.
    """
    bins = (len(p) - 1) // 3
    wide, high = (torch.softmax(part, 0) for part in (p[:bins], p[bins : 2 * bins]))
    right, top = (_ends(part) for part in (wide, high))
    at = (x >= (top if inverse else right)[:-1]).sum(0, keepdim=True)
    width, height = (LEAST + (1 - LEAST * bins) * part.gather(0, at)[0] for part in (wide, high))
    first, last = (softplus(p[2 * bins :].gather(0, k)[0] + _ONE) + LEAST for k in (at, at + 1))
    return right.gather(0, at)[0] - width, top.gather(0, at)[0] - height, width, height, first, last


def _ends(shares: Parameters) -> Parameters:
    """Where each bin ends: sums as one product, which takes a third of the time of a cumulated sum."""
    bins = len(shares)
    below = torch.ones(bins, bins, dtype=shares.dtype, device=shares.device).tril()
    least = LEAST * below.sum(1, keepdim=True)
    return torch.addmm(least, below, shares.reshape(bins, -1), alpha=1 - LEAST * bins).view_as(shares)


# an affine map of the normal score -----------------------------------------------------------------------------------
def affine(x: Values, p: Parameters) -> tuple[Values, Values]:
    """y = Phi(a Phi^-1(x) + b), p the raw log a and b -> y and log dy / dx; |log a| is at most MOST_LOG_SCALE.

    Dinh, Sohl-Dickstein and Bengio, "Density estimation using real NVP" (2017), equation 7, of the normal score.
    """
    z = _score(x)
    log_a = MOST_LOG_SCALE * torch.tanh(p[0] / MOST_LOG_SCALE)
    moved = z * log_a.exp() + p[1]
    return torch.special.ndtr(moved), log_a + 0.5 * (z * z - moved * moved)


def unaffine(y: Values, p: Parameters) -> Values:
    """The x that `affine` takes to y."""
    log_a = MOST_LOG_SCALE * torch.tanh(p[0] / MOST_LOG_SCALE)
    return torch.special.ndtr((_score(y) - p[1]) * (-log_a).exp())


def _score(x: Values) -> Values:
    """Phi^-1(x), at 0 and 1 as at the nearest numbers that their float tells from them."""
    edge = torch.finfo(x.dtype).eps
    return torch.special.ndtri(x.clamp(edge, 1 - edge))


def _of_spline(bins: int) -> int:
    return 3 * bins + 1


def _of_affine(bins: int) -> int:
    return 2


BIJECTIONS: Mapping[str, Bijection] = {
    "spline": Bijection(_of_spline, spline, unspline),
    "affine": Bijection(_of_affine, affine, unaffine),
}
