"""What float32 data may cost: statistics and probabilities against those of the same numbers in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from leaf_cases import fit, rng
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from begat.leaves.gaussian import Gaussian
from begat.leaves.moments import moments


def normal(n: int, columns: int, g: Generator) -> Tensor:
    return torch.randn(n, columns, generator=g, dtype=torch.float64)


def heavy(n: int, columns: int, g: Generator) -> Tensor:
    """Student's t with 3 degrees of freedom."""
    return normal(n, columns, g) * (3 / sum(normal(n, columns, g) ** 2 for _ in range(3))).sqrt()


def one_far(n: int, columns: int, g: Generator) -> Tensor:
    x = normal(n, columns, g)
    x[n // 3] = 3e4
    return x


TAILS: dict[str, Callable[[int, int, Generator], Tensor]] = {
    "normal": normal,
    "t": heavy,
    "one cell far out": one_far,
    "far from zero": lambda n, columns, g: 1000.3 + normal(n, columns, g),
}


@pytest.mark.parametrize("how", ["plain", "weights", "unknown cells", "both", "soft"])
@pytest.mark.parametrize("states", [1, 3])
@pytest.mark.parametrize("name", TAILS)
def test_float32_loses_no_digits_in_sums_over_rows(name: str, states: int, how: str) -> None:
    g, n = rng(1), 30_000
    state = torch.randint(states, (n,), generator=g)
    x = (TAILS[name](n, 4, g) + 0.3 * state[:, None] / states).float()
    weight = 2 * torch.rand(n, generator=g).double() if how in ("weights", "both", "soft") else None
    known = torch.rand(n, 4, generator=g) < 0.7 if how in ("unknown cells", "both") else None
    seen = one_hot(state, states).T.double() if how == "soft" else state
    single, double = (fit(Gaussian(4, states, var_smoothing=0.0), v, seen, weight, known) for v in (x, x.double()))
    torch.testing.assert_close(single.variance, double.variance, rtol=1e-7, atol=0)
    assert ((single.mean_ - double.mean_).abs() / double.variance.sqrt()).max() < 3e-8


@pytest.mark.parametrize("n", [0, 1, 4096, 4097, 9001])
@pytest.mark.parametrize("states", [1, 3, 40, 300])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_observed_states_are_soft_ones_that_are_certain(dtype: torch.dtype, states: int, n: int) -> None:
    """Rows that are sorted by state give the sums of a product with the one-hot."""
    g = rng(2)
    state, x = torch.randint(states, (n,), generator=g), heavy(n, 3, g).to(dtype)
    weight, known = torch.rand(n, generator=g).double(), torch.rand(n, 3, generator=g) < 0.7
    origin = torch.zeros(3, states).double()
    for each, mask in ((None, None), (weight, None), (weight, known)):
        got = moments(x, origin, state, each, mask)
        expected = moments(x, origin, one_hot(state, states).T.double(), each, mask)
        for name in expected:
            tolerance = 1e-6 if dtype == torch.float32 else 1e-12
            torch.testing.assert_close(got[name], expected[name], rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("name", TAILS)
def test_probabilities_of_float32_rows_are_those_of_float64(name: str) -> None:
    g, n, columns, states = rng(3), 30_000, 20, 10
    state = torch.randint(states, (n,), generator=g)
    x = (TAILS[name](n, columns, g) + 0.3 * normal(states, columns, g)[state]).float()
    single, double = (fit(Gaussian(columns, states), v, state) for v in (x, x.double()))
    got, expected = torch.softmax(single.odds(x).double(), 0), torch.softmax(double.joint(x.double()), 0)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("far", [1e3, 1e18, 1e20, 1e30])
def test_numbers_whose_squares_have_no_float32_are_told_apart(shared: bool, far: float) -> None:
    state = torch.arange(3).repeat(100)
    x = (normal(300, 2, rng(4)) * (1 if shared else 1 + state[:, None]) + state[:, None]).float()
    leaf = fit(Gaussian(2, 3, shared=shared), x, state)
    asked = torch.tensor([[far, 0.0], [-far, 0.0], [0.0, far]], dtype=torch.float32)
    # The square decides where variances differ, else the mean does.
    above, below = (leaf.mean_.argmax(1), leaf.mean_.argmin(1)) if shared else 2 * (leaf.variance.argmax(1),)
    assert leaf.odds(asked).argmax(0).tolist() == [int(above[0]), int(below[0]), int(above[1])]


def test_bounds_hold_in_columns_beside_one_whose_states_lie_far_apart() -> None:
    state = torch.arange(2).repeat(50)
    x = torch.stack([1e6 * state + normal(100, 1, rng(5))[:, 0], 5 + normal(100, 1, rng(6))[:, 0]], 1)
    leaf = fit(Gaussian(2, 2, lower=(-1e9, 0.0), upper=(1e9, 10.0)), x, state)
    asked = torch.tensor([[0.0, 5.0], [0.0, 11.0], [2e9, 5.0]]).double()
    torch.testing.assert_close(leaf.joint(asked), leaf.log_prob(asked).sum(0), rtol=1e-9, atol=1e-6)
    assert (leaf.joint(asked)[:, 1:] == -math.inf).all()
