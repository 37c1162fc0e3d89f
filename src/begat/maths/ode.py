"""Solvers from noise to data, and the likelihood that they transport, for any denoiser of y = data + r noise.

A denoiser gives D(y, r) = E[data | y]; then dy / dr = (y - D(y, r)) / r has at each r the law of data + r noise: Karras
et al., "Elucidating the design space of diffusion-based generative models" (2022), equation 3. Solvers are rows of
SOLVERS; each takes y from the largest ratio to the smallest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor

Points = Float[Tensor, "n *d"]
Ratios = Float[Tensor, " k"]
Denoiser = Callable[[Points, Tensor], Points]
"""D(y, r) of points (n, D) at one ratio, a number."""


def ratios(most: float, least: float, steps: int, power: float = 7.0) -> Ratios:
    """Falling ratios from `most` to `least` -> (steps + 1,), denser at the end: Karras et al. (2022), equation 5."""
    at = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    return (most ** (1 / power) + at * (least ** (1 / power) - most ** (1 / power))) ** power


def _euler(denoise: Denoiser, y: Points, r: Ratios, generator: Generator | None) -> Points:
    """First order, which is DDIM: Song, Meng and Ermon, "Denoising diffusion implicit models" (2021), equation 13."""
    for here, there in pairwise(r):
        data = denoise(y, here)
        y = data + (there / here) * (y - data)
    return y


def _heun(denoise: Denoiser, y: Points, r: Ratios, generator: Generator | None) -> Points:
    """Second order, two calls a step: Karras et al. (2022), algorithm 1."""
    for here, there in pairwise(r):
        slope = (y - denoise(y, here)) / here
        ahead = y + (there - here) * slope
        y = y + (there - here) * 0.5 * (slope + (ahead - denoise(ahead, there)) / there)
    return y


def _dpm(denoise: Denoiser, y: Points, r: Ratios, generator: Generator | None) -> Points:
    """Second order, one call a step: DPM-Solver++(2M), Lu et al. (2022), algorithm 2, in log r."""
    before: Points | None = None
    last = torch.ones(())
    for here, there in pairwise(r):
        data, step = denoise(y, here), (here / there).log()
        ahead = data if before is None else data + (data - before) * (step / (2 * last))
        y = ahead + (there / here) * (y - ahead)
        before, last = data, step
    return y


def _ancestral(denoise: Denoiser, y: Points, r: Ratios, generator: Generator | None) -> Points:
    """Draws of the chain backwards: Ho, Jain and Abbeel (2020), algorithm 2, with the lower of their variances."""
    for here, there in pairwise(r):
        data, share = denoise(y, here), (there / here) ** 2
        noise = torch.randn(y.shape, generator=generator).to(y)
        y = data + share * (y - data) + there * (1 - share).sqrt() * noise
    return y


class Solver(NamedTuple):
    """run: (denoiser, y, falling ratios, generator) -> y at the last of them. order: that of its error in the step;
    None where it draws."""

    run: Callable[[Denoiser, Points, Ratios, Generator | None], Points]
    order: int | None


SOLVERS: Mapping[str, Solver] = {
    "ancestral": Solver(_ancestral, None),
    "euler": Solver(_euler, 1),
    "heun": Solver(_heun, 2),
    "dpm": Solver(_dpm, 2),
}


def guided(conditional: Denoiser, other: Denoiser, weight: float) -> Denoiser:
    """D = other + weight (conditional - other). Of a denoiser without the condition: Ho and Salimans, "Classifier-free
    diffusion guidance" (2022), equation 6, with weight 1 + w. Of a worse model of the same: Karras et al., "Guiding a
    diffusion model with a bad version of itself" (2024), equation 3."""

    def denoise(y: Points, r: Tensor) -> Points:
        less = other(y, r)
        return less + weight * (conditional(y, r) - less)

    return denoise


def log_density(
    denoise: Denoiser, y: Points, r: Ratios, end: Callable[[Points], Float[Tensor, " n"]],
    probes: Float[Tensor, "p n d"] | None = None,
) -> Float[Tensor, " n"]:  # fmt: skip
    """log p of points at the smallest ratio by the ODE up to the largest -> (n,): an estimate, by Heun's steps.

        log p(y_0) = log p_R(y_R) + int tr d/dy [(y - D) / r] dr

    r: falling, as of a solver. end: log p_R at the largest. probes: Hutchinson's random signs, of which the trace is
    the mean of e^T J e; without, it is exact, D derivatives a call. Chen et al., "Neural ordinary differential
    equations" (2018), theorem 1; Song et al., "Score-based generative modeling through SDEs" (2021), equation 39.
    """
    total = torch.zeros(len(y), dtype=y.dtype, device=y.device)
    rising = r.flip(0)
    for here, there in pairwise(rising):
        slope, spread = _slope(denoise, y, here, probes)
        ahead, more = _slope(denoise, y + (there - here) * slope, there, probes)
        y = y + (there - here) * 0.5 * (slope + ahead)
        total = total + (there - here) * 0.5 * (spread + more)
    return end(y) + total


def _slope(denoise: Denoiser, y: Points, r: Tensor, probes: Any) -> tuple[Points, Float[Tensor, " n"]]:
    """dy / dr, and its divergence."""

    def slope(at: Points) -> Points:
        return (at - denoise(at, r)) / r

    scale = 1.0 if probes is None else 1 / len(probes)
    if probes is None:
        probes = torch.eye(y.shape[1], dtype=y.dtype, device=y.device)[:, None].expand(-1, len(y), -1)

    def derived(e: Points) -> Any:
        return torch.func.jvp(slope, (y,), (e,))

    found, turned = torch.func.vmap(derived)(probes)
    return found[0].detach(), (turned * probes).sum((0, 2)).detach() * scale
