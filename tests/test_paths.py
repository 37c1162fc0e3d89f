"""What must hold for paths and solvers, with no network: a Gaussian mixture's denoiser, score and density are exact."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from begat.maths.ode import SOLVERS, guided, log_density, ratios
from begat.maths.path import PATHS, TARGETS, Way

CENTRES = torch.tensor([[-2.0, 0.5], [1.5, -1.0], [0.5, 2.0]], dtype=torch.float64)
DEVIATIONS = torch.tensor([0.3, 0.6, 0.45], dtype=torch.float64)
SHARES = torch.tensor([0.3, 0.5, 0.2], dtype=torch.float64)
MOST, LEAST = 80.0, 0.002


def parts(y, r):
    """log of share times density of each component of data + r noise -> (n, K), and its variances (K,)."""
    v = DEVIATIONS**2 + r * r
    square = ((y[:, None] - CENTRES) ** 2).sum(2)
    return SHARES.log() - torch.log(2 * math.pi * v) - 0.5 * square / v, v


def log_p(y, r=0.0):
    return torch.logsumexp(parts(y, torch.as_tensor(r))[0], 1)


def denoiser(y, r):
    """E[data | y] of the mixture."""
    log_w, v = parts(y, r)
    each = (CENTRES * r * r + y[:, None] * DEVIATIONS[:, None] ** 2) / v[:, None]
    return (log_w.softmax(1)[:, :, None] * each).sum(1)


def start(n, seed=0):
    return MOST * torch.randn(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_oracle_is_the_score():
    """(D - y) / r^2 is the gradient of log p_r: Tweedie."""
    y = start(50).div(20).requires_grad_(True)
    r = torch.tensor(0.7, dtype=torch.float64)
    (score,) = torch.autograd.grad(log_p(y, r).sum(), y)
    np.testing.assert_allclose(((denoiser(y, r) - y) / r**2).detach(), score, atol=1e-9)


# paths ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("target", TARGETS)
def test_a_target_gives_the_data_back(path, target):
    """In float64 at ratios from .01 to 100: the two equations are solved as they were made."""
    way, rng = Way.of(path, target), torch.Generator().manual_seed(0)
    data, noise = (torch.randn(60, 3, generator=rng, dtype=torch.float64) for _ in range(2))
    r = torch.logspace(-2, 2, 60, dtype=torch.float64)[:, None]
    x, asked = way.at(data, noise, r)
    np.testing.assert_allclose(way.data(x, asked, r), data, atol=1e-9)
    np.testing.assert_allclose(way.given(data, x / way.alpha(r), r), asked, atol=1e-9)
    np.testing.assert_allclose(x, way.alpha(r) * (data + r * noise), atol=1e-12)


@pytest.mark.parametrize(("path", "law"), [("preserving", lambda a, s: a**2 + s**2), ("straight", lambda a, s: a + s),
                                           ("exploding", lambda a, s: a)])  # fmt: skip
def test_a_path_is_what_its_name_says(path, law):
    r = torch.logspace(-3, 3, 20, dtype=torch.float64)
    np.testing.assert_allclose(law(PATHS[path](r), r * PATHS[path](r)), 1.0, atol=1e-12)


# solvers ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", [n for n, s in SOLVERS.items() if s.order])
def test_the_error_falls_with_the_order(name):
    """Median distance from 2,000 steps of Heun; halved steps divide it by 2^order, within a factor of 1.25."""
    y = start(300)
    exact = SOLVERS["heun"].run(denoiser, y, ratios(MOST, LEAST, 2_000), None)
    errors = [
        float((SOLVERS[name].run(denoiser, y, ratios(MOST, LEAST, k), None) - exact).norm(dim=1).median())
        for k in (80, 160)
    ]
    assert abs(math.log2(errors[0] / errors[1]) - SOLVERS[name].order) < 0.33


@pytest.mark.parametrize("name", SOLVERS)
def test_a_sampler_agrees_with_its_density(name):
    """20,000 draws: means and covariances of the mixture within 4 standard errors and .02 for the steps; shares of the
    components nearest to them within .015 (standard error .0035)."""
    rng = torch.Generator().manual_seed(1)
    steps = 60 if SOLVERS[name].order == 2 else 400
    made = SOLVERS[name].run(denoiser, start(20_000, 2), ratios(MOST, LEAST, steps), rng)
    mean = (SHARES[:, None] * CENTRES).sum(0)
    spread = (SHARES[:, None] * (CENTRES - mean) ** 2).sum(0) + (SHARES * DEVIATIONS**2).sum()
    np.testing.assert_allclose(made.mean(0), mean, atol=0.06)
    np.testing.assert_allclose(made.var(0), spread, rtol=0.05)
    near = parts(made, torch.tensor(0.0))[0].argmax(1)
    real = CENTRES[torch.multinomial(SHARES, 200_000, True, generator=rng)]
    deviation = DEVIATIONS[(real[:, None] == CENTRES).all(2).double().argmax(1)]
    real = real + deviation[:, None] * torch.randn(real.shape, generator=rng, dtype=torch.float64)
    wanted = torch.bincount(parts(real, torch.tensor(0.0))[0].argmax(1), minlength=3) / len(real)
    np.testing.assert_allclose(torch.bincount(near, minlength=3) / len(near), wanted, atol=0.015)


def end(y):
    return log_p(y, MOST)


def test_the_transported_likelihood_is_the_density():
    """By exact traces, 800 steps, within 2e-3 of the density at the least ratio. By random signs it is right in the
    mean: over 23 points of 200 each within 4 standard errors, .05."""
    y = torch.cartesian_prod(*(torch.linspace(-3, 3, 5, dtype=torch.float64),) * 2)
    wanted, r = log_p(y, LEAST), ratios(MOST, LEAST, 800)
    near = wanted > -30
    np.testing.assert_allclose(log_density(denoiser, y, r, end)[near], wanted[near], atol=2e-3)
    rng, few = torch.Generator().manual_seed(0), ratios(MOST, LEAST, 20)
    signs = torch.randint(0, 2, (200, int(near.sum()), 2), generator=rng).double() * 2 - 1
    gap = log_density(denoiser, y[near], few, end, signs) - log_density(denoiser, y[near], few, end)
    assert abs(gap.mean()) < 0.05 and gap.abs().max() > 1e-6


def test_guidance_sharpens_a_gaussian_as_it_should():
    """With weight w between N(m, s^2) and a wider N(0, S^2), the guided denoiser of a Gaussian is affine: its fixed
    points and its slope are those of the product of powers at each ratio."""
    m, s, wide, w = 1.3, 0.5, 2.0, 2.5

    def gaussian(mean, deviation):
        return lambda y, r: (y * deviation**2 + mean * r**2) / (deviation**2 + r**2)

    r = torch.tensor(0.8, dtype=torch.float64)
    y = torch.linspace(-3, 3, 7, dtype=torch.float64)[:, None]
    made = guided(gaussian(m, s), gaussian(0.0, wide), w)(y, r)

    def score(mean, deviation):
        return -(y - mean) / (deviation**2 + r**2)

    mixed_score = score(0.0, wide) + w * (score(m, s) - score(0.0, wide))
    np.testing.assert_allclose(made, y + r**2 * mixed_score, atol=1e-12)
