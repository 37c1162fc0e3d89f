"""What must hold for the density and the draws of every column distribution: a table of constructors times laws."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from leaf_cases import (
    CASES,
    INF,
    STATES,
    Case,
    alone,
    each,
    fit,
    on_grid,
    over,
    over_unbounded,
    over_values,
    rng,
)
from scipy import stats as reference
from torch import Tensor

from begat.core import Region
from begat.leaves.base import Leaf, fresh
from begat.leaves.categorical import Categorical
from begat.leaves.histogram import Histogram
from begat.leaves.registry import build, describe
from begat.leaves.special import Special


def levels_of(leaf: Leaf, column: int) -> int:
    codes = leaf.codes if isinstance(leaf, Special) else leaf
    assert isinstance(codes, Categorical)
    return codes.levels[column]


def log_integral(leaf: Leaf, column: int, lower: float, upper: float) -> Tensor:
    """log of the integral, or the sum on a grid, of the density over [lower, upper] -> (K,); code 0 where special."""

    def log_p(x: Tensor) -> Tensor:
        return alone(leaf, column, (torch.zeros(len(x), dtype=torch.long), x) if isinstance(leaf, Special) else x)

    if on_grid(leaf):
        return torch.logsumexp(log_p(torch.arange(lower, upper + 1, dtype=torch.float64)), 1)
    inner = leaf.remainder if isinstance(leaf, Special) else leaf
    cuts = [torch.linspace(lower, upper, 400, dtype=torch.float64)]
    cuts.append(lower + (upper - lower) * torch.logspace(-12, 0, 400, dtype=torch.float64))
    if isinstance(inner, Histogram):
        cuts.append(inner.edges[column][inner.edges[column].isfinite()])
    panels = torch.cat(cuts).clamp(lower, upper).unique()
    nodes, weights = (torch.from_numpy(t) for t in np.polynomial.legendre.leggauss(12))
    half = 0.5 * panels.diff()[:, None]
    x = panels[:-1, None] + half * (1 + nodes)
    return torch.logsumexp(log_p(x.reshape(-1)) + (half * weights).log().reshape(-1), 1)


def middle(case: Case, leaf: Leaf, column: int) -> tuple[float, float]:
    """A stretch of numbers around the data, inside the bounds, that holds all but 1e-7 of a light-tailed law."""
    x = case.rows()[0]
    x = (x[1] if isinstance(x, tuple) else x)[:, column]
    low, high = float(x.min()), float(x.max())
    margin = 1.5 * (high - low)
    ends = max(low - margin, case.bounds[0]), min(high + margin, case.bounds[1])
    return (float(math.floor(ends[0])), float(math.ceil(ends[1]))) if on_grid(leaf) else ends


# densities -----------------------------------------------------------------------------------------------------------
@over
def test_the_mass_of_regions_is_the_integral_of_the_density(name: str) -> None:
    case = CASES[name]
    leaf = case.fitted()
    for column in range(leaf.columns):
        if leaf.reads == "codes":
            every = alone(leaf, column, torch.arange(levels_of(leaf, column)))
            torch.testing.assert_close(torch.logsumexp(every, 1), torch.zeros(STATES).double())
            some = torch.arange(levels_of(leaf, column)) != 1
            expected = torch.logsumexp(every[:, some], 1)
            torch.testing.assert_close(leaf.log_mass(column, Region(codes=some)), expected)
            continue
        codes = torch.tensor([True, False, False]) if isinstance(leaf, Special) else None
        low, high = middle(case, leaf, column)
        cuts = np.linspace(low, high, 6)
        cuts = np.unique(np.round(cuts)) if on_grid(leaf) else cuts
        step = 1.0 if on_grid(leaf) else 0.0
        for a, b in [*pairwise(cuts), (low, high), (cuts[1], cuts[1])]:
            if a == b and not on_grid(leaf):
                continue
            mass = leaf.log_mass(column, Region(float(a), float(b), codes))
            expected = log_integral(leaf, column, float(a), float(b))
            torch.testing.assert_close(mass.exp(), expected.exp(), rtol=2e-6, atol=1e-9)
        pieces = [Region(-INF, low - step, codes), Region(low, high, codes), Region(high + step, INF, codes)]
        whole_line = torch.stack([leaf.log_mass(column, piece) for piece in pieces]).exp().sum(0)
        if isinstance(leaf, Special):
            special = leaf.log_mass(column, Region(codes=torch.tensor([False, True, True]))).exp()
            written = [alone(leaf, column, (torch.full((1,), c), torch.zeros(1)))[:, 0] for c in (1, 2)]
            torch.testing.assert_close(special, torch.stack(written).exp().sum(0))
            whole_line = whole_line + special
        torch.testing.assert_close(whole_line, torch.ones(STATES).double(), rtol=1e-9, atol=1e-9)
        everything = leaf.log_mass(column, Region())
        torch.testing.assert_close(everything, torch.zeros(STATES).double(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", [n for n in CASES if CASES[n].bounds != (-INF, INF)])
def test_nothing_lies_outside_the_bounds(name: str) -> None:
    case = CASES[name]
    leaf = case.fitted()
    for bound, step in zip(case.bounds, (-1.0, 1.0), strict=True):
        if math.isfinite(bound):
            assert (alone(leaf, 0, torch.tensor([bound + step, bound + 1000 * step])) == -INF).all()
            assert (leaf.log_mass(0, Region(*sorted((bound + step, bound + 5 * step)))) == -INF).all()
            assert alone(leaf, 0, torch.tensor([bound])).isfinite().all()
    drawn = leaf.sample(torch.arange(STATES).repeat(200), generator=rng())
    assert case.bounds[0] <= drawn.min() and drawn.max() <= case.bounds[1]


@over_unbounded
def test_far_numbers_have_a_finite_log_probability(name: str) -> None:
    case = CASES[name]
    leaf = case.fitted()
    for x in (1e3, 1e5, 1e6):
        for sign in (1.0,) if case.bounds[0] > -INF else (1.0, -1.0):
            far = torch.tensor([sign * x], dtype=torch.float64)
            cells = (torch.zeros(1, dtype=torch.long), far) if isinstance(leaf, Special) else far
            assert alone(leaf, 0, cells).isfinite().all()


# samplers ------------------------------------------------------------------------------------------------------------
ALARM = 1e-5
"""False-alarm rate of each comparison of draws with masses; there are about 400 with fixed seeds."""


def cells_of(case: Case, leaf: Leaf, column: int, inside: Region) -> list[Region]:
    """Disjoint regions that cover `inside`, by the quantiles of other draws."""
    if leaf.reads == "codes":
        return [Region(codes=torch.arange(levels_of(leaf, column)) == c) for c in range(levels_of(leaf, column))]
    first = case.rows(seed=7)[0]
    first = (first[1][first[0][:, column] == 0] if isinstance(first, tuple) else first)[:, column]
    first = first[(first >= inside.lower) & (first <= inside.upper)]
    grid = on_grid(leaf)
    cuts = np.unique(np.quantile(first.numpy(), np.linspace(0.1, 0.9, 9), method="closest_observation"))
    lows, highs = [inside.lower, *(cuts + grid)], [*cuts, inside.upper]
    if isinstance(leaf, Special):
        no, yes = torch.tensor([True, False, False]), torch.eye(3, dtype=torch.bool)
        return [Region(a, b, no) for a, b in zip(lows, highs, strict=True)] + [Region(codes=yes[c]) for c in (1, 2)]
    return [Region(float(a), float(b)) for a, b in zip(lows, highs, strict=True) if a <= b]


def agrees(drawn: Any, regions: list[Region], masses: Tensor) -> None:
    """A chi-square test of draws (m,) against the masses of disjoint regions; false alarms at the rate ALARM."""
    codes, values = drawn if isinstance(drawn, tuple) else (drawn, drawn)
    seen = []
    for region in regions:
        if region.codes is None:
            seen.append(((values >= region.lower) & (values <= region.upper)).sum())
        else:
            within = (values >= region.lower) & (values <= region.upper) | (codes != 0)
            seen.append((region.codes[codes.long()] & within).sum())
    observed, expected = torch.stack(seen).double(), masses * len(values)
    enough = expected >= 5
    if not enough.all():  # sparse regions are one
        observed = torch.cat([observed[enough], observed[~enough].sum()[None]])
        expected = torch.cat([expected[enough], expected[~enough].sum()[None]])
    assert observed.sum() == len(values)
    lost = expected < 1e-9
    assert (observed[lost] == 0).all()
    value = ((observed - expected) ** 2 / expected)[~lost].sum()
    assert reference.chi2.sf(float(value), max(int((~lost).sum()) - 1, 1)) > ALARM


@over
def test_draws_follow_the_density(name: str) -> None:
    case = CASES[name]
    leaf = case.fitted()
    m = 4000
    drawn = leaf.sample(torch.arange(STATES).repeat_interleave(m), generator=rng(3))
    for column in range(leaf.columns):
        regions = cells_of(case, leaf, column, Region())
        masses = torch.stack([leaf.log_mass(column, r) for r in regions]).exp()
        torch.testing.assert_close(masses.sum(0), torch.ones(STATES).double(), rtol=0, atol=1e-6)
        for k in range(STATES):
            rows = slice(k * m, (k + 1) * m)
            agrees(each(drawn, lambda t: t[rows, column]), regions, masses[:, k])  # noqa: B023


@over
def test_draws_in_a_region_stay_there_and_follow_the_density(name: str) -> None:
    case = CASES[name]
    leaf = case.fitted()
    m = 1500
    if leaf.reads == "codes":
        inside = Region(codes=torch.arange(levels_of(leaf, 0)) != 2)
    else:
        x = case.rows()[0]
        x = x[1][:, 0][x[0][:, 0] == 0] if isinstance(x, tuple) else x[:, 0]
        low, high = (float(v) for v in np.quantile(x.numpy(), [0.3, 0.9], method="closest_observation"))
        inside = Region(low, high, torch.tensor([True, False, True]) if isinstance(leaf, Special) else None)
    drawn = leaf.sample_in(0, inside, torch.arange(STATES).repeat_interleave(m), generator=rng(4))
    codes, values = drawn if isinstance(drawn, tuple) else (drawn, drawn)
    if inside.codes is not None:
        assert inside.codes[codes.long()].all()
    if leaf.reads != "codes":
        special = codes != 0 if isinstance(drawn, tuple) else torch.tensor(False)
        assert ((values >= inside.lower) & (values <= inside.upper) | special).all()
    regions = cells_of(case, leaf, 0, inside)
    if inside.codes is not None:
        regions = [r for r in regions if (r.codes & inside.codes).any()]
    masses = torch.stack([leaf.log_mass(0, r) for r in regions]).exp()
    torch.testing.assert_close(masses.sum(0), leaf.log_mass(0, inside).exp(), rtol=1e-6, atol=1e-12)
    for k in range(STATES):
        rows = slice(k * m, (k + 1) * m)
        agrees(each(drawn, lambda t: t[rows]), regions, masses[:, k] / masses[:, k].sum())  # noqa: B023


@over_values
def test_the_mean_is_that_of_the_draws(name: str) -> None:
    leaf = CASES[name].fitted()
    m = 4000
    drawn = leaf.sample(torch.arange(STATES).repeat_interleave(m), generator=rng(5))
    drawn = drawn.reshape(STATES, m, -1).permute(2, 0, 1)
    # Six standard errors: false alarms below 1e-6 for light tails, below 1e-4 for the log-normal's.
    error = 6 * drawn.std(2) / math.sqrt(m)
    slack = 4.0 if name == "calendar bounded" else 0.0  # its first and last week are taken as whole
    assert ((drawn.mean(2) - leaf.mean()).abs() < error + slack + 1e-9).all()


# a row's answer depends on that row alone ----------------------------------------------------------------------------
@over
def test_a_row_does_not_depend_on_its_batch(name: str) -> None:
    case = CASES[name]
    leaf = case.fitted()
    x, _ = case.rows(200, seed=5)
    together, summed = leaf.log_prob(x), leaf.joint(x)
    assert together.shape == (2, STATES, 200) and summed.shape == (STATES, 200)
    for i in (0, 57, 199):
        one = each(x, lambda t: t[i : i + 1])  # noqa: B023
        torch.testing.assert_close(leaf.log_prob(one)[..., 0], together[..., i], rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(leaf.joint(one)[:, 0], summed[:, i], rtol=1e-9, atol=1e-9)
    none = each(x, lambda t: t[:0])
    assert leaf.joint(none).shape == (STATES, 0) and leaf.log_prob(none).shape == (2, STATES, 0)


@over
def test_states_are_interchangeable(name: str) -> None:
    case = CASES[name]
    x, state = case.rows()
    turned = fit(case.make(STATES), x, (state + 1) % STATES)
    torch.testing.assert_close(turned.joint(x).roll(-1, 0), case.fitted().joint(x), rtol=1e-9, atol=1e-9)


@over
def test_the_seed_law(name: str) -> None:
    leaf = CASES[name].fitted()
    state = torch.arange(STATES).repeat(20)
    first, second = (leaf.sample(state, generator=rng(5)) for _ in range(2))
    for a, b in zip(*(t if isinstance(t, tuple) else (t,) for t in (first, second)), strict=True):
        assert torch.equal(a, b)


# files ---------------------------------------------------------------------------------------------------------------
def buffers(leaf: Leaf) -> Iterator[tuple[str, Tensor]]:
    yield from leaf.state_dict().items()


@over
def test_a_leaf_is_its_description_and_its_tensors(name: str) -> None:
    case = CASES[name]
    leaf = case.fitted()
    said = json.loads(json.dumps(describe(leaf)))
    again = build(said)
    assert type(again) is type(leaf)
    assert {key: tuple(value.shape) for key, value in buffers(leaf)} == again.layout() == leaf.layout()
    again.restore(dict(buffers(leaf)))
    x, _ = case.rows(100, seed=6)
    assert torch.equal(again.joint(x), leaf.joint(x))
    state = torch.arange(STATES).repeat(10)
    drawn = [m.sample(state, generator=rng(1)) for m in (again, leaf)]
    for a, b in zip(*(t if isinstance(t, tuple) else (t,) for t in drawn), strict=True):
        assert torch.equal(a, b)
    assert fresh(leaf).layout() == fresh(again).layout()
