"""Paths from data to noise, and what a network may be asked on them.

On every path x = alpha data + sigma noise, sigma a deviation. All that tells one place on it from another is the ratio
r = sigma / alpha, so that each path is one function of r, and whatever works on y = x / alpha = data + r noise
(solvers, likelihoods: maths.ode) works on all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

Ratio = Float[Tensor, "*_"]
Points = Float[Tensor, "n *d"]
Pair = tuple[Ratio, Ratio]


def _preserving(r: Ratio) -> Ratio:
    return (1 + r * r) ** -0.5


def _exploding(r: Ratio) -> Ratio:
    return 1 + 0 * r


def _straight(r: Ratio) -> Ratio:
    return 1 / (1 + r)


PATHS: Mapping[str, Callable[[Ratio], Ratio]] = {
    "preserving": _preserving,
    "exploding": _exploding,
    "straight": _straight,
}
"""alpha as a function of r. preserving: alpha^2 + sigma^2 = 1, as of Ho, Jain and Abbeel, "Denoising diffusion
probabilistic models" (2020), equation 4. exploding: alpha = 1, as of Karras et al., "Elucidating the design space of
diffusion-based generative models" (2022), section 2. straight: alpha + sigma = 1, as of Lipman et al., "Flow matching
for generative modeling" (2023), example II."""


def _noise(alpha: Ratio, sigma: Ratio) -> Pair:
    return 0 * alpha, 1 + 0 * alpha


def _data(alpha: Ratio, sigma: Ratio) -> Pair:
    return 1 + 0 * alpha, 0 * alpha


def _v(alpha: Ratio, sigma: Ratio) -> Pair:
    norm = (alpha * alpha + sigma * sigma) ** -0.5
    return -sigma * norm, alpha * norm


def _velocity(alpha: Ratio, sigma: Ratio) -> Pair:
    return -1 + 0 * alpha, 1 + 0 * alpha


TARGETS: Mapping[str, Callable[[Ratio, Ratio], Pair]] = {
    "noise": _noise,
    "data": _data,
    "v": _v,
    "velocity": _velocity,
}
"""(a, b) of what a network is to give, a data + b noise. noise: Ho et al. (2020), equation 14. v: Salimans and Ho,
"Progressive distillation" (2022), appendix D, of any path; it is the output of Karras et al. (2022), equation 7, for
data of deviation 1, but for its sign. velocity: Lipman et al. (2023), equation 23."""


class Way(NamedTuple):
    """A path and a target on it."""

    alpha: Callable[[Ratio], Ratio]
    target: Callable[[Ratio, Ratio], Pair]

    @classmethod
    def of(cls, path: str, target: str) -> Way:
        return cls(PATHS[path], TARGETS[target])

    def at(self, data: Points, noise: Points, r: Ratio) -> tuple[Points, Points]:
        """x on the path, and the target there -> (n, ...) each."""
        alpha = self.alpha(r)
        a, b = self.target(alpha, r * alpha)
        return alpha * (data + r * noise), a * data + b * noise

    def given(self, data: Points, y: Points, r: Ratio) -> Points:
        """The target at y = x / alpha that this data is the answer to -> (n, ...)."""
        alpha = self.alpha(r)
        a, b = self.target(alpha, r * alpha)
        return a * data + b * (y - data) / r

    def data(self, x: Points, given: Points, r: Ratio) -> Points:
        """The data that x and a network's target say -> (n, D): with (alpha, sigma) and (a, b) two equations for data
        and noise. ZeroDivision where they are one equation: noise at r = infinity."""
        alpha = self.alpha(r)
        sigma = r * alpha
        a, b = self.target(alpha, sigma)
        return (b * x - sigma * given) / (alpha * b - sigma * a)
