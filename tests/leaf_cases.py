"""The table of column distributions that the laws go over, and how their cells are handled."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from begat.leaves.base import Leaf
from begat.leaves.calendar import Calendar
from begat.leaves.categorical import Bernoulli, Categorical
from begat.leaves.counts import NegativeBinomial, Poisson
from begat.leaves.gaussian import Gaussian
from begat.leaves.histogram import Histogram
from begat.leaves.kde import KDE
from begat.leaves.lognormal import LogNormal
from begat.leaves.multinomial import Multinomial
from begat.leaves.special import Special

STATES = 3
ROWS = 600
INF = math.inf


def rng(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def normal(n: int, g: Generator) -> Tensor:
    return torch.randn(n, generator=g, dtype=torch.float64)


# what the columns look like: (states (n,), generator) -> (n, 2); the second column has another scale -----------------
def real(state: Tensor, g: Generator) -> Tensor:
    n = len(state)
    return torch.stack([normal(n, g) * (1 + state) + 3 * state, 50 + 7 * normal(n, g)], 1)


def positive(state: Tensor, g: Generator) -> Tensor:
    return (0.5 * real(state, g) * torch.tensor([0.5, 0.02])).exp()


def boxed(state: Tensor, g: Generator) -> Tensor:
    return torch.rand(len(state), 2, generator=g, dtype=torch.float64) ** (1 + state[:, None]) * 10


def whole(state: Tensor, g: Generator) -> Tensor:
    return (real(state, g) * torch.tensor([1.0, 3.0])).round()


def counts(state: Tensor, g: Generator) -> Tensor:
    rate = torch.stack([2.0 + 3 * state, 0.4 + 0.1 * state], 1).double()
    return torch.poisson(rate * -torch.rand(rate.shape, generator=g).double().log(), generator=g)


def small(state: Tensor, g: Generator) -> Tensor:
    return counts(state, g).clamp(max=6)


def wide(state: Tensor, g: Generator) -> Tensor:
    return (3000 * positive(state, g)).floor()


def levels(state: Tensor, g: Generator) -> Tensor:
    u = torch.rand(len(state), 2, generator=g) ** (1 + state[:, None])
    return (u * torch.tensor([4, 2])).long()


def binary(state: Tensor, g: Generator) -> Tensor:
    return (torch.rand(len(state), 2, generator=g) < 0.2 + 0.3 * state[:, None]).long()


def days(state: Tensor, g: Generator) -> Tensor:
    return (18000 + 200 * real(state, g)[:, :1] + torch.tensor([0.0, -3000.0])).round()


def hours(state: Tensor, g: Generator) -> Tensor:
    return (24 * 30 * real(state, g)[:, :1] + torch.tensor([0.0, 400000.0])).round()


def mixed(values: Callable[[Tensor, Generator], Tensor]) -> Callable[[Tensor, Generator], tuple[Tensor, Tensor]]:
    def draw(state: Tensor, g: Generator) -> tuple[Tensor, Tensor]:
        codes = levels(state, g).clamp(max=2)
        return codes, values(state, g).masked_fill(codes != 0, 0.0)

    return draw


@dataclass(frozen=True)
class Case:
    make: Callable[[int], Leaf]
    draw: Callable[[Tensor, Generator], Any]
    bounds: tuple[float, float] = (-INF, INF)

    def rows(self, n: int = ROWS, seed: int = 1) -> tuple[Any, Tensor]:
        g = rng(seed)
        state = torch.randint(STATES, (n,), generator=g)
        return self.draw(state, g), state

    def fitted(self, seed: int = 1, states: int = STATES) -> Leaf:
        x, state = self.rows(seed=seed)
        return fit(self.make(states), x, state)


def both(value: float) -> tuple[float, float]:
    return (value, value)


CASES: dict[str, Case] = {
    "gaussian": Case(lambda k: Gaussian(2, k), real),
    "gaussian shared": Case(lambda k: Gaussian(2, k, shared=True), real),
    "gaussian bounded": Case(lambda k: Gaussian(2, k, lower=both(0.0), upper=both(10.0)), boxed, (0.0, 10.0)),
    "gaussian grid": Case(lambda k: Gaussian(2, k, grid=True), whole),
    "gaussian grid bounded": Case(
        lambda k: Gaussian(2, k, grid=True, lower=both(0.0), upper=both(6.0)), small, (0.0, 6.0)
    ),
    "kde": Case(lambda k: KDE(2, k), real),
    "kde bounded": Case(lambda k: KDE(2, k, lower=both(0.0), upper=both(10.0)), boxed, (0.0, 10.0)),
    "kde grid": Case(lambda k: KDE(2, k, grid=True), whole),
    "kde grid bounded": Case(lambda k: KDE(2, k, grid=True, lower=both(0.0), upper=both(6.0)), small, (0.0, 6.0)),
    "lognormal": Case(lambda k: LogNormal(2, k), positive, (0.0, INF)),
    "lognormal bounded": Case(lambda k: LogNormal(2, k, lower=both(-1.0), upper=both(10.0)), boxed, (-1.0, 10.0)),
    "lognormal grid": Case(lambda k: LogNormal(2, k, grid=True), counts, (0.0, INF)),
    "lognormal grid bounded": Case(
        lambda k: LogNormal(2, k, grid=True, lower=both(0.0), upper=both(6.0)), small, (0.0, 6.0)
    ),
    "poisson": Case(lambda k: Poisson(2, k), counts, (0.0, INF)),
    "poisson bounded": Case(lambda k: Poisson(2, k, lower=both(-1.0), upper=both(6.0)), small, (-1.0, 6.0)),
    "negative binomial": Case(lambda k: NegativeBinomial(2, k), counts, (0.0, INF)),
    "negative binomial bounded": Case(
        lambda k: NegativeBinomial(2, k, lower=both(-1.0), upper=both(6.0)), small, (-1.0, 6.0)
    ),
    "negative binomial by moments": Case(lambda k: NegativeBinomial(2, k, cap=3), counts, (0.0, INF)),
    "histogram": Case(lambda k: Histogram(2, k), real),
    "histogram bounded": Case(lambda k: Histogram(2, k, lower=both(0.0), upper=both(10.0)), boxed, (0.0, 10.0)),
    "histogram grid": Case(lambda k: Histogram(2, k, grid=True), whole),
    "histogram grid bounded": Case(
        lambda k: Histogram(2, k, grid=True, lower=both(0.0), upper=both(6.0)), small, (0.0, 6.0)
    ),
    "histogram coarse": Case(lambda k: Histogram(2, k, grid=True, bins=20, lower=both(-2.0)), wide, (-2.0, INF)),
    "multinomial": Case(lambda k: Multinomial(2, k), counts, (0.0, INF)),
    "categorical": Case(lambda k: Categorical(2, k, levels=(4, 2)), levels),
    "bernoulli": Case(lambda k: Bernoulli(2, k), binary),
    "calendar of days": Case(lambda k: Calendar(2, k), days),
    "calendar of hours": Case(lambda k: Calendar(2, k, ticks_per_day=24, origin=7), hours),
    "calendar bounded": Case(
        lambda k: Calendar(2, k, lower=both(14321.0), upper=both(20001.0)),
        lambda s, g: days(s, g).clamp(14321, 20001),
        (14321.0, 20001.0),
    ),
    "special real": Case(lambda k: Special(Categorical(2, k, levels=(3, 3)), Gaussian(2, k)), mixed(real)),
    "special grid": Case(lambda k: Special(Categorical(2, k, levels=(3, 3)), Histogram(2, k, grid=True)), mixed(whole)),
    "special kde": Case(lambda k: Special(Categorical(2, k, levels=(3, 3)), KDE(2, k)), mixed(real)),
}

over = pytest.mark.parametrize("name", CASES)
CODED = ("categorical", "bernoulli")
MIXED = ("special real", "special grid", "special kde")
over_unbounded = pytest.mark.parametrize("name", [n for n in CASES if n not in CODED and CASES[n].bounds[1] == INF])
over_values = pytest.mark.parametrize("name", [n for n in CASES if n not in CODED + MIXED])


def fit(leaf: Leaf, x: Any, state: Tensor, weight: Tensor | None = None, known: Any = None) -> Leaf:
    leaf.start(x, state, weight, known)
    leaf.maximise(leaf.statistics(x, state, weight, known))
    return leaf


def each(x: Any, change: Callable[[Tensor], Tensor]) -> Any:
    return tuple(change(t) for t in x) if isinstance(x, tuple) else change(x)


def length(x: Any) -> int:
    return len(x[0] if isinstance(x, tuple) else x)


def mask_like(x: Any, mask: Tensor) -> Any:
    return (mask, mask) if isinstance(x, tuple) else mask


def on_grid(leaf: Leaf) -> bool:
    inner = leaf.remainder if isinstance(leaf, Special) else leaf
    return bool(getattr(inner, "grid", False))


def alone(leaf: Leaf, column: int, cells: Any) -> Tensor:
    """log p of one column by itself, the others unknown -> (K, m)."""
    n = length(cells)
    known = torch.zeros(n, leaf.columns, dtype=torch.bool)
    known[:, column] = True

    def padded(cell: Tensor) -> Tensor:
        x = torch.zeros(n, leaf.columns, dtype=cell.dtype)
        x[:, column] = cell
        return x

    return leaf.log_prob(each(cells, padded), mask_like(cells, known))[column]
