"""Laws of the kernel density leaf: its fast sums against exact ones, its measure, its draws, its statistics."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.neighbors import KernelDensity

from begat.core import Region
from begat.errors import BegatError, DataError, EvidenceError, FileError
from begat.leaves import kde
from begat.leaves.bandwidth import RULES, silverman
from begat.leaves.base import fresh
from begat.leaves.kde import KDE
from begat.maths import truncated
from begat.maths.points import Points, collect

FALSE_ALARM = 1e-4
"""Of each single statistical test below; there are about twenty, all with fixed seeds."""


def real(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def normal(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def uniform(n: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


DATA = {
    "normal": normal(3000),
    "outlier at 1,000": torch.cat([normal(3000), real(1000.0)]),
    "cauchy": torch.tan(math.pi * (uniform(3000) - 0.5)),
    "duplicates": normal(3000).mul(4).round().div(4),
    "two clusters": torch.cat([normal(1500), 1e4 + normal(1500, 1)]),
    "two tight clusters in reach": torch.cat([normal(1500) * 1e-3, 1 + normal(1500, 1) * 1e-3]),
    "one-sided": -torch.log(uniform(3000)),
    "heavy right": torch.exp(3 * normal(3000)),
    "uniform": uniform(3000),
    "many decades": torch.cat([normal(100), real(1e9, 1e30, -1e300)]),
    "far from zero": 1e6 + normal(3000),
    "small": normal(3000) * 1e-12,
    "large": normal(3000) * 1e200,
    "four rows": real(0.0, 1.0, 2.0, 10.0),
    "one row": real(3.0),
    "constant": torch.full((50,), 7.0).double(),
    "zero": torch.zeros(50).double(),
}

LEAVES = {
    "line": {},
    "line, scott": {"bandwidth": "scott"},
    "line, likelihood": {"bandwidth": "likelihood"},
    "line, factor": {"bandwidth": 0.3},
    "line, exact": {"exact": True},
    "line from 0": {"lower": (0.0, 0.0)},
    "line from 0 to 9": {"lower": (0.0, 0.0), "upper": (9.0, 9.0)},
    "grid": {"grid": True},
    "grid, likelihood": {"grid": True, "bandwidth": "likelihood"},
    "grid, narrow": {"grid": True, "bandwidth": 0.01},
    "grid, wide": {"grid": True, "bandwidth": 60.0},
    "grid, wide, from 0": {"grid": True, "bandwidth": 60.0, "lower": (0.0, 0.0)},
    "grid from 0 to 9": {"grid": True, "lower": (0.0, 0.0), "upper": (9.0, 9.0)},
}
STATES = 3


def rows(n: int = 900, *, grid: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Two columns between 0 and 9 that depend on three states."""
    y = torch.arange(n) % STATES
    x = torch.stack([2.0 + y + normal(n), 5 - 2 * torch.log(uniform(n, 1))], 1).clamp(0.01, 8.99)
    return (x.round() if grid else x), y


def fitted(how: dict, n: int = 900) -> KDE:
    leaf = KDE(2, STATES, **how)
    x, y = rows(n, grid=leaf.grid)
    leaf.maximise(leaf.statistics(x, y))
    return leaf


def one(x: torch.Tensor, **how) -> KDE:
    leaf = KDE(1, 1, **how)
    leaf.maximise(leaf.statistics(x[:, None], torch.zeros(len(x)).long()))
    return leaf


def support(leaf: KDE) -> tuple[torch.Tensor, float]:
    """Points (m, 2) that carry all mass but 1e-12 or so, and what each stands for."""
    reach = 12 * float(leaf.bandwidth.max())
    low, high = max(-reach, leaf.lower[0]), min(9 + reach, leaf.upper[0])
    if leaf.grid:
        return torch.arange(math.ceil(low), math.floor(high) + 1).double()[:, None].expand(-1, 2), 1.0
    step = float(leaf.bandwidth.min()) / 40
    m = math.ceil((high - low) / step)
    return (low + (torch.arange(m).double() + 0.5) * (high - low) / m)[:, None].expand(-1, 2), (high - low) / m


# the fast sum -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("data", DATA)
def test_the_fast_sum_equals_the_exact_one(data):
    x = DATA[data]
    fast, exact = one(x), one(x, exact=True)
    h, centre = float(fast.bandwidth), float(x.median())
    spread = 6 * h  # about a deviation
    queries = torch.cat(
        [centre + spread * torch.linspace(-10, 10, 2001).double(), x[:50], x[-10:], x[-10:] + 3 * h, x[-10:] + 9 * h]
    )
    a, b = fast.log_prob(queries[:, None]).flatten(), exact.log_prob(queries[:, None]).flatten()
    assert torch.isfinite(b).all()
    near = (queries - centre).abs() <= 4 * spread
    assert (a - b).abs()[near].max() < 1e-6
    assert ((a - b).abs() / b.abs().clamp(min=1)).max() < 1e-6


def test_the_exact_sum_is_scikit_learns():
    x, queries = DATA["outlier at 1,000"], torch.linspace(-12, 1010, 400).double()
    leaf = one(x, exact=True)
    peer = KernelDensity(bandwidth=float(leaf.bandwidth)).fit(x[:, None].numpy())
    assert np.allclose(
        leaf.log_prob(queries[:, None]).flatten(), peer.score_samples(queries[:, None].numpy()), rtol=1e-9
    )


def test_light_points_are_heard_beside_heavy_ones():
    x, weight = torch.cat([normal(2000), 20 + normal(30)]), torch.ones(2030).double()
    weight[2000:] = 1e-9
    leaves = [KDE(1, 1, exact=exact) for exact in (False, True)]
    for leaf in leaves:
        leaf.maximise(leaf.statistics(x[:, None], torch.zeros(2030).long(), weight))
    queries = torch.linspace(-10, 30, 4001).double()[:, None]
    a, b = (leaf.log_prob(queries) for leaf in leaves)
    assert (a - b).abs().max() < 1e-6


@pytest.mark.parametrize("how", LEAVES)
def test_blocks_do_not_matter(how, monkeypatch):
    x, _ = rows(60, grid=LEAVES[how].get("grid", False))
    want = fitted(LEAVES[how])
    monkeypatch.setattr(kde, "GROUPS", 1)
    monkeypatch.setattr(kde, "KEPT", 0)
    leaf = fitted(LEAVES[how])
    assert torch.equal(leaf.bandwidth, want.bandwidth)
    for asked in ("log_prob", "joint"):
        assert torch.allclose(getattr(leaf, asked)(x), getattr(want, asked)(x), rtol=1e-10, atol=1e-10)


def test_numbers_that_are_none():
    leaf = one(DATA["normal"])
    out = leaf.log_prob(real(math.nan, math.inf, -math.inf, 0.0, 1e308)[:, None]).flatten()
    assert out[0].isnan() and out[1] == out[2] == -math.inf and torch.isfinite(out[3:]).all()


# laws of a leaf ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("how", LEAVES)
def test_mass_is_one_and_the_mean_its_first_moment(how):
    leaf = fitted(LEAVES[how])
    x, each = support(leaf)
    p = leaf.log_prob(x).exp() * each
    assert (p.sum(2) - 1).abs().max() < 2e-6
    assert ((p * x.T[:, None]).sum(2) - leaf.mean()).abs().max() < 2e-5


@pytest.mark.parametrize("how", LEAVES)
def test_the_joint_is_the_sum_over_columns_and_rows_do_not_meet(how):
    leaf = fitted(LEAVES[how])
    x, _ = rows(60, grid=leaf.grid)
    known = torch.ones(x.shape, dtype=torch.bool)
    known[::3, 0] = False
    each = leaf.log_prob(x, known)
    assert (each[0, :, ::3] == 0).all()
    assert torch.allclose(leaf.joint(x, known), each.sum(0), rtol=1e-13)
    assert torch.equal(each[1], leaf.log_prob(x)[1])
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(leaf.log_prob(x[order])[..., 7:9], leaf.log_prob(x)[..., order[7:9]], rtol=1e-12)


@pytest.mark.parametrize("how", LEAVES)
def test_bounds_are_the_end_of_the_support(how):
    leaf = fitted(LEAVES[how])
    outside = torch.tensor([[-1.0, 10.0]])
    below, above = (leaf.log_prob(outside)[d, :, 0] for d in (0, 1))
    assert (below == -math.inf).all() == math.isfinite(leaf.lower[0])
    assert (above == -math.inf).all() == math.isfinite(leaf.upper[0])


@pytest.mark.parametrize("how", LEAVES)
def test_pieces_weights_and_soft_states_are_the_whole(how):
    whole = fitted(LEAVES[how])
    (x, y), query = rows(grid=whole.grid), rows(50, grid=whole.grid)[0]
    want = whole.log_prob(query)

    pieces = fresh(whole)
    first, second, third = (pieces.statistics(x[s], y[s]) for s in (slice(0, 7), slice(7, 500), slice(500, None)))
    pieces.maximise(pieces.merge(third, pieces.merge(second, first)))
    soft = fresh(whole)
    soft.maximise(soft.statistics(x, torch.nn.functional.one_hot(y, STATES).T.double()))
    unknown = fresh(whole)
    mask = torch.ones(1000, 2, dtype=torch.bool)
    mask[900:] = False
    unknown.maximise(
        unknown.statistics(torch.cat([x, torch.zeros(100, 2)]), torch.cat([y, torch.zeros(100).long()]), None, mask)
    )
    light = fresh(whole)
    none = torch.cat([torch.ones(900), torch.zeros(100)])
    light.maximise(light.statistics(torch.cat([x, x[:100] + 1]), torch.cat([y, y[:100]]), none))
    for other in (pieces, soft, unknown, light):
        assert torch.allclose(other.log_prob(query), want, rtol=1e-9, atol=1e-9)

    times = 1 + torch.arange(900) % 3
    weighted, repeated = fresh(whole), fresh(whole)
    weighted.maximise(weighted.statistics(x, y, times.double()))
    repeated.maximise(repeated.statistics(x.repeat_interleave(times, 0), y.repeat_interleave(times)))
    assert torch.allclose(weighted.bandwidth, repeated.bandwidth, rtol=1e-9)
    assert torch.allclose(weighted.log_prob(query), repeated.log_prob(query), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("rule", [*RULES, 2.0])
@pytest.mark.parametrize("scale, shift", [(1000.0, 0.0), (1e-9, 0.0), (1.0, -700.0), (-3.0, 12.0)])
def test_units(rule, scale, shift):
    x, query = DATA["one-sided"][:500], torch.linspace(-3, 12, 200).double()
    before = one(x, bandwidth=rule).log_prob(query[:, None])
    after = one(scale * x + shift, bandwidth=rule).log_prob((scale * query + shift)[:, None])
    assert torch.allclose(after, before - math.log(abs(scale)), rtol=1e-6, atol=2e-6)


def test_single_precision_far_from_zero_loses_nothing():
    x = (1e6 + normal(2000)).float()
    a, b = one(x), one(x.double() - 1e6)
    assert torch.allclose(a.log_prob(x[:300, None]), b.log_prob(x[:300, None].double() - 1e6), atol=1e-6)


@pytest.mark.parametrize("how", LEAVES)
def test_draws_have_the_density(how):
    """Kolmogorov-Smirnov of each column and state on the line, chi-square on the grid."""
    leaf = fitted(LEAVES[how], 90)
    state = torch.arange(6000) % STATES
    drawn = leaf.sample(state, generator=torch.Generator().manual_seed(5))
    for d in range(2):
        compare(leaf, d, [drawn[state == k, d] for k in range(STATES)], Region())


@pytest.mark.parametrize("how", LEAVES)
@pytest.mark.parametrize("region", [Region(4.0, 6.0), Region(-math.inf, 5.2), Region(8.0, 9.0)])
def test_draws_in_a_region_have_its_density(how, region):
    leaf = fitted(LEAVES[how], 90)
    state = torch.arange(3000) % STATES
    drawn = leaf.sample_in(1, region, state, generator=torch.Generator().manual_seed(6))
    assert ((drawn >= region.lower) & (drawn <= region.upper)).all()
    compare(leaf, 1, [drawn[state == k] for k in range(STATES)], region)


def compare(leaf: KDE, column: int, drawn: list[torch.Tensor], region: Region) -> None:
    x, each = support(leaf)
    inside = (x[:, 0] >= region.lower) & (x[:, 0] <= region.upper)
    p = leaf.log_prob(x)[column].exp() * each * inside
    whole = leaf.log_mass(column, region).exp()
    assert torch.allclose(p.sum(1), whole, rtol=0.03, atol=1e-6)  # the rim of a region cuts a step of the quadrature
    for k, sample in enumerate(drawn):
        if leaf.grid:
            expected = (p[k] / p[k].sum()).numpy() * len(sample)
            seen = torch.bincount((sample - x[0, 0]).long(), minlength=len(x)).numpy()
            rare = expected < 5
            seen, expected = np.append(seen[~rare], seen[rare].sum()), np.append(expected[~rare], expected[rare].sum())
            keep = expected > 0
            assert seen[~keep].sum() == 0
            if keep.sum() > 1:
                assert stats.chisquare(seen[keep], expected[keep], sum_check=False).pvalue > FALSE_ALARM / 60
        else:
            cdf = np.append(0.0, p[k].cumsum(0).numpy())
            ends = np.append(x[:, 0].numpy() - each / 2, x[-1, 0].item() + each / 2)
            law = lambda v, ends=ends, cdf=cdf: np.interp(v, ends, cdf / cdf[-1])  # noqa: E731
            assert stats.kstest(sample.numpy(), law).pvalue > FALSE_ALARM / 60


@pytest.mark.parametrize("how", LEAVES)
def test_regions_add_up(how):
    leaf = fitted(LEAVES[how])
    cut = 4.0
    above = Region(cut + 1 if leaf.grid else cut, math.inf)
    total = leaf.log_mass(0, Region(-math.inf, cut)).exp() + leaf.log_mass(0, above).exp()
    assert torch.allclose(total, torch.ones(STATES).double(), rtol=1e-9)
    if leaf.grid:
        point = leaf.log_mass(0, Region(cut - 0.5, cut + 0.5))
        assert torch.allclose(point, leaf.log_prob(torch.tensor([[cut, cut]]))[0, :, 0], atol=1e-6)
    with pytest.raises(EvidenceError, match="no value lies between"):
        leaf.sample_in(0, Region(3.0, 2.0), torch.zeros(2).long(), generator=torch.Generator())


@pytest.mark.parametrize("grid", [False, True])
def test_a_region_far_from_all_points_still_has_mass_and_draws(grid):
    leaf = one(DATA["normal"].mul(3).round(), grid=grid)
    region = Region(200.0, 300.0)
    assert -1e6 < float(leaf.log_mass(0, region)) < -1000
    drawn = leaf.sample_in(0, region, torch.zeros(100).long(), generator=torch.Generator().manual_seed(0))
    assert ((drawn >= 200) & (drawn < 202)).all()


@pytest.mark.parametrize("how", LEAVES)
def test_a_file_holds_all(how):
    leaf = fitted(LEAVES[how])
    bare = {k: v for k, v in leaf.config().items() if k not in ("lower", "upper")}  # JSON has no infinity
    again = KDE(**json.loads(json.dumps(bare)), lower=leaf.lower, upper=leaf.upper)
    tensors = leaf.state_dict()
    assert {name: tuple(t.shape) for name, t in tensors.items()} == again.layout()
    again.restore(tensors)
    x, _ = rows(20, grid=leaf.grid)
    assert torch.equal(again.log_prob(x), leaf.log_prob(x))


BROKEN = {
    "points": lambda t: t.flip(0),
    "weights": lambda t: -t,
    "counts": lambda t: t + torch.eye(2, 3),
    "bandwidth": lambda t: 0 * t,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused(name):
    leaf = fitted({})
    with pytest.raises(FileError, match="save the model again"):
        fresh(leaf).restore({**leaf.state_dict(), name: BROKEN[name](leaf.state_dict()[name])})


@pytest.mark.parametrize("how", LEAVES)
def test_states_and_columns_without_data_are_sensible(how):
    leaf = KDE(2, 4, **LEAVES[how])
    x, y = rows(300, grid=leaf.grid)
    known = torch.ones(300, 2, dtype=torch.bool)
    known[:, 1] = False
    leaf.maximise(leaf.statistics(x, torch.where(y == 2, 3, y), None, known))  # state 2 has no rows
    log_p = leaf.log_prob(x)
    assert torch.isfinite(log_p).all()
    pooled = KDE(2, 1, **LEAVES[how])
    pooled.maximise(pooled.statistics(x, torch.zeros(300).long(), None, known))
    assert torch.allclose(log_p[0, 2], pooled.log_prob(x)[0, 0], atol=1e-6)
    empty = KDE(2, 4, **LEAVES[how])
    empty.maximise(empty.statistics(x[:0], y[:0]))
    assert torch.isfinite(empty.log_prob(x)).all()


def test_a_constant_state_takes_the_columns_scale():
    x, y = torch.cat([torch.full((500,), 3.0).double(), 100 * normal(500)]), torch.arange(1000) // 500
    leaf = KDE(1, 2)
    leaf.maximise(leaf.statistics(x[:, None], y))
    assert 5 < float(leaf.bandwidth[0, 0]) < 40
    assert leaf.log_prob(torch.tensor([[5.0]]))[0, 0, 0] > -5


def test_a_new_count_is_possible():
    leaf = one(torch.full((100,), 4.0), grid=True)
    log_p = leaf.log_prob(torch.tensor([[3.0], [4.0], [5.0]]))[0, 0]
    assert abs(float(log_p[[0, 2]].exp().sum()) * 100 - 1) < 0.1 and log_p[1] > -0.02


@pytest.mark.parametrize("bandwidth", ["silvermann", "", 0.0, -1, math.inf, math.nan, True])
def test_bandwidths_that_are_none(bandwidth):
    with pytest.raises(BegatError, match="bandwidth"):
        KDE(1, 1, bandwidth=bandwidth)


def test_points_outside_the_bounds_are_an_error():
    with pytest.raises(DataError, match=r"12 is outside the bounds 0 to 10; widen them"):
        one(torch.tensor([1.0, 12.0]), lower=(0.0,), upper=(10.0,))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_points_that_are_no_numbers_are_an_error(value):
    with pytest.raises(DataError, match="not finite"):
        one(real(1.0, value))


# the bandwidth ----------------------------------------------------------------------------------------------------
def test_weights_that_are_shares_count_as_points():
    x = normal(1000)
    plain, shares = KDE(1, 1), KDE(1, 1)
    plain.maximise(plain.statistics(x[:, None], torch.zeros(1000).long()))
    shares.maximise(shares.statistics(x[:, None], torch.zeros(1000).long(), torch.full((1000,), 1e-3).double()))
    assert torch.allclose(plain.bandwidth, shares.bandwidth, rtol=1e-9)


def test_silverman_is_its_formula():
    x = DATA["heavy right"].numpy()
    share = min(x.std(ddof=1), stats.iqr(x, interpolation="midpoint") / 1.3489795)
    assert float(one(DATA["heavy right"]).bandwidth) == pytest.approx(0.9 * share * len(x) ** -0.2, rel=1e-3)


def test_the_likelihood_finds_narrow_modes_and_withstands_an_outlier():
    modes = torch.cat([normal(500) * 0.1 + 5 * k for k in range(6)])
    held = torch.cat([normal(500, 9) * 0.1 + 5 * k for k in range(6)])[:, None]
    better, plain = one(modes, bandwidth="likelihood"), one(modes)
    assert better.log_prob(held).mean() > plain.log_prob(held).mean() + 0.5
    outlier = one(DATA["outlier at 1,000"], bandwidth="likelihood")
    assert float(outlier.bandwidth) == pytest.approx(
        float(one(DATA["normal"], bandwidth="likelihood").bandwidth), rel=0.5
    )


# many rows --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("grid", [False, True])
def test_many_points_become_cells_with_the_stated_error(grid, monkeypatch):
    monkeypatch.setattr(kde, "CAP", 15_000)
    x = normal(60_000) * (1e6 if grid else 1.0)
    x = x.round() if grid else x
    x[17] = 1000 * float(x.std())
    state = torch.zeros(len(x)).long()
    leaf, whole = KDE(1, 1, grid=grid), KDE(1, 1, grid=grid, exact=True)
    total = everything = None
    for first in range(0, len(x), 4000):
        here = slice(first, first + 4000)
        total = merged(leaf, total, leaf.statistics(x[here, None], state[here]))
        everything = merged(whole, everything, whole.statistics(x[here, None], state[here]))
    leaf.maximise(total)
    whole.maximise(everything)
    assert leaf.size < 20_000 and whole.size > 59_000
    h = float(whole.bandwidth)
    assert float(leaf.bandwidth) == pytest.approx(h, rel=1e-3)
    leaf.restore({**leaf.state_dict(), "bandwidth": whole.bandwidth})  # the error of the cells alone
    query = torch.linspace(-8, 8, 300).double() * float(x[100:].std())
    query = (query.round() if grid else query)[:, None]
    a, b = leaf.log_prob(query).flatten(), whole.log_prob(query).flatten()
    distance = (query - x).abs().amin(1) / h
    # The stated bound with step <= h / 32, plus that of the fast sum.
    assert ((a - b).abs() <= (2 + distance).square() / 8 / 32**2 + 1e-6).all()
    assert (a - b).abs()[distance < 1].median() < 1e-5
    assert leaf.log_prob(x[17].view(1, 1)).isfinite().all()


def merged(leaf: KDE, a, b):
    return b if a is None else leaf.merge(a, b)


# draws between bounds ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "low, high", [(-math.inf, math.inf), (-1.0, 2.0), (0.5, math.inf), (3.0, 3.1), (-math.inf, -8.0)]
)
def test_truncated_draws(low, high):
    """Kolmogorov-Smirnov against scipy's truncated normal."""
    full = lambda v: torch.full((4000,), v).double()  # noqa: E731
    x = truncated.draw(
        full(10.0), full(3.0), full(10 + 3 * low), full(10 + 3 * high), generator=torch.Generator().manual_seed(1)
    )
    assert stats.kstest(((x - 10) / 3).numpy(), stats.truncnorm(low, high).cdf).pvalue > FALSE_ALARM


def test_truncated_draws_where_nothing_is_left():
    low = real(1e3, 1e9, 1e200)
    zero = torch.zeros(3).double()
    x = truncated.draw(zero, zero + 1, low, low * 2, generator=torch.Generator().manual_seed(0))
    assert ((x >= low) & (x <= low * (1 + 1e-4))).all()


@pytest.mark.parametrize(
    "deviation, low, high", [(0.2, -9, 9), (0.5, 2, 9), (3.0, -2, 9), (40.0, -9, 9), (3.0, 12, 30)]
)
def test_truncated_draws_of_whole_numbers(deviation, low, high):
    """Chi-square against the definition."""
    full = lambda v: torch.full((20_000,), v).double()  # noqa: E731
    x = truncated.draw_whole(
        full(0), full(deviation), full(low), full(high), generator=torch.Generator().manual_seed(2)
    )
    k = np.arange(low, high + 1)
    p = np.exp(-0.5 * (k**2 - np.abs(k).min() ** 2) / deviation**2)
    expected, seen = 20_000 * p / p.sum(), np.bincount((x - low).long().numpy(), minlength=len(k))
    rare = expected < 5
    seen, expected = np.append(seen[~rare], seen[rare].sum()), np.append(expected[~rare], expected[rare].sum() + 1e-9)
    assert stats.chisquare(seen, expected, sum_check=False).pvalue > FALSE_ALARM


# weighted points --------------------------------------------------------------------------------------------------
def test_points_are_sorted_distinct_and_know_their_rank():
    x, counts = normal(600).mul(5).round(), torch.tensor([[100, 0, 50], [200, 30, 220]])
    points = collect(x, torch.ones(600), counts)
    split = x.split([100, 50, 200, 30, 220])
    for g, want in enumerate((torch.cat([split[0], split[2]]), split[3], torch.cat([split[1], split[4]]))):
        value, times = want.unique(return_counts=True)
        here = points.groups(g, g + 1)
        assert torch.equal(here.x, value) and torch.equal(here.weight, times.double())
        asked = torch.linspace(-20, 20, 81).double()
        for right in (False, True):
            rank = points.rank(torch.full((81,), g), asked, right=right) - points.start[g]
            assert torch.equal(rank, torch.searchsorted(value, asked, right=right))
        for share in (0.25, 0.5, 0.75):
            ends = [np.quantile(want, share, method=m) for m in ("inverted_cdf", "averaged_inverted_cdf")]
            assert points.quantile(share)[g].item() in ends


def test_cells_keep_weight_and_mean():
    x = normal(5000) + 1e6
    points = collect(x, uniform(5000) + 0.5, torch.tensor([[2000, 3000]]))
    cells = points.moved_to_cells(real(2.0**-4, 0.0))
    assert int(cells.counts[0]) < 200 and int(cells.counts[1]) == 3000
    assert torch.allclose(cells.sums(cells.weight), points.sums(points.weight))
    for p in (points, cells):
        assert torch.allclose(p.sums(p.weight * (p.x - 1e6)), points.sums(points.weight * (points.x - 1e6)), atol=1e-6)
    assert isinstance(cells, Points) and bool((silverman(cells) > 0).all())
