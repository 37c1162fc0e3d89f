"""What must hold for the fit of every column distribution: a table of constructors times laws."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from leaf_cases import CASES, INF, ROWS, STATES, both, each, fit, mask_like, normal, over, rng
from scipy import stats as reference

from begat.core import Region
from begat.leaves.base import Leaf
from begat.leaves.calendar import Calendar
from begat.leaves.counts import NegativeBinomial, Poisson
from begat.leaves.gaussian import Gaussian
from begat.leaves.histogram import Histogram
from begat.leaves.kde import KDE
from begat.leaves.lognormal import LogNormal
from begat.leaves.special import Special


# statistics ----------------------------------------------------------------------------------------------------------
def close(a: Leaf, b: Leaf, x: Any, tolerance: float = 1e-9) -> None:
    torch.testing.assert_close(a.joint(x), b.joint(x), rtol=tolerance, atol=tolerance)


@over
def test_statistics_of_parts_in_any_order_make_the_whole(name: str) -> None:
    case = CASES[name]
    x, state = case.rows()
    once = case.make(STATES)
    parts = case.make(STATES)
    order = torch.randperm(ROWS, generator=rng(8))
    mixed_up = each(x, lambda t: t[order])
    once.start(x, state)
    parts.start(mixed_up, state[order])
    pieces = [slice(400, None), slice(0, 150), slice(150, 400)]
    total = None
    for piece in pieces:
        part = parts.statistics(each(mixed_up, lambda t: t[piece]), state[order][piece])  # noqa: B023
        total = part if total is None else parts.merge(total, part)
    whole_stats = once.statistics(x, state)
    if once.additive and not isinstance(once, Gaussian | LogNormal | Special):  # those depend on the origin's rounding
        for key, value in whole_stats.items():
            torch.testing.assert_close(total[key], value, rtol=1e-9, atol=1e-9)
    once.maximise(whole_stats)
    parts.maximise(total)
    close(once, parts, x)


@over
def test_weights_are_repetitions_and_soft_states_generalise_hard_ones(name: str) -> None:
    case = CASES[name]
    x, state = case.rows()
    times = torch.randint(0, 4, (ROWS,), generator=rng(9))
    repeated = fit(case.make(STATES), each(x, lambda t: t.repeat_interleave(times, 0)), state.repeat_interleave(times))
    weighted = fit(case.make(STATES), x, state, times.double())
    soft = torch.nn.functional.one_hot(state, STATES).T.double()
    softly = fit(case.make(STATES), x, soft, times.double())
    close(repeated, weighted, x)
    close(weighted, softly, x)


@over
def test_soft_states_split_a_row(name: str) -> None:
    """A row that is 0.3 of state 0 and 0.7 of state 2 equals two rows of these weights."""
    case = CASES[name]
    x, _ = case.rows(200)
    share = torch.tensor([0.3, 0.0, 0.7]).double()
    soft = share[:, None].expand(-1, 200).clone()
    soft[:, 100:] = torch.tensor([0.0, 1.0, 0.0]).double()[:, None]
    doubled = each(x, lambda t: torch.cat([t[:100], t[:100], t[100:]]))
    state = torch.cat([torch.zeros(100), torch.full((100,), 2), torch.ones(100)]).long()
    weight = torch.cat([torch.full((100,), 0.3), torch.full((100,), 0.7), torch.ones(100)]).double()
    close(fit(case.make(STATES), x, soft), fit(case.make(STATES), doubled, state, weight), x, 1e-8)


@over
def test_unknown_cells_count_nowhere(name: str) -> None:
    case = CASES[name]
    x, state = case.rows()
    extra = 50
    known = torch.ones(ROWS + extra, 2, dtype=torch.bool)
    known[ROWS:] = False
    longer = each(x, lambda t: torch.cat([t, torch.zeros(extra, 2, dtype=t.dtype)]))
    states = torch.cat([state, torch.randint(STATES, (extra,), generator=rng(2))])
    close(fit(case.make(STATES), longer, states, known=mask_like(x, known)), fit(case.make(STATES), x, state), x)

    leaf = case.fitted()
    known = torch.rand(ROWS, 2, generator=rng(3)) < 0.6
    blanked = each(x, lambda t: torch.where(known, t, torch.zeros_like(t)))
    mask = mask_like(x, known)
    each_column = leaf.log_prob(blanked, mask)
    assert (each_column.permute(0, 2, 1)[~known.T] == 0).all()
    # joint - log_prob[d] is the probability of the other columns: what a column adds to what is known beside it.
    without = known.clone()
    without[:, 0] = False
    expected = leaf.joint(blanked, mask) - each_column[0]
    torch.testing.assert_close(leaf.joint(blanked, mask_like(x, without)), expected, rtol=1e-9, atol=1e-9)
    nothing = torch.zeros_like(known)
    assert (leaf.joint(each(x, torch.zeros_like), mask_like(x, nothing)).abs() < 1e-12).all()


@over
def test_the_fit_with_unknown_cells_ignores_their_fillers(name: str) -> None:
    case = CASES[name]
    x, state = case.rows()
    known = torch.rand(ROWS, 2, generator=rng(3)) < 0.6
    filler = case.rows(seed=11)[0]
    one = each(x, lambda t: torch.where(known, t, torch.zeros_like(t)))
    two = (
        tuple(torch.where(known, a, b) for a, b in zip(x, filler, strict=True))
        if isinstance(x, tuple)
        else torch.where(known, x, filler)
    )
    mask = mask_like(x, known)
    a, b = (fit(case.make(STATES), cells, state, known=mask) for cells in (one, two))
    close(a, b, x)
    torch.testing.assert_close(a.joint(one, mask), a.joint(two, mask), rtol=1e-9, atol=1e-9)


# units ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["gaussian", "kde", "histogram"])
@pytest.mark.parametrize(("scale", "shift"), [(1000.0, 0.0), (0.001, 7.0), (1.0, -250.0)])
def test_rescaling_shifts_a_density_and_moving_changes_nothing(name: str, scale: float, shift: float) -> None:
    case = CASES[name]
    x, state = case.rows()
    moved = fit(case.make(STATES), scale * x + shift, state)
    got = moved.log_prob(scale * x + shift)
    torch.testing.assert_close(got, case.fitted().log_prob(x) - math.log(scale), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("scale", [1e-4, 300.0])
def test_rescaling_shifts_the_log_normal(scale: float) -> None:
    case = CASES["lognormal"]
    x, state = case.rows()
    got = fit(case.make(STATES), scale * x, state).log_prob(scale * x)
    torch.testing.assert_close(got, case.fitted().log_prob(x) - math.log(scale), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["gaussian grid", "kde grid", "histogram grid"])
def test_moving_whole_numbers_changes_nothing(name: str) -> None:
    case = CASES[name]
    x, state = case.rows()
    got = fit(case.make(STATES), x + 1000, state).log_prob(x + 1000)
    torch.testing.assert_close(got, case.fitted().log_prob(x), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", ["lognormal grid", "poisson", "negative binomial"])
def test_counts_begin_at_their_stated_bound(name: str) -> None:
    case = CASES[name]
    x, state = case.rows()
    low = both(40.0)
    grid = {"grid": True} if "lognormal" in name else {}
    moved = fit(type(case.make(1))(2, STATES, lower=low, **grid), x + 40, state)
    torch.testing.assert_close(moved.log_prob(x + 40), case.fitted().log_prob(x), rtol=1e-9, atol=1e-9)


FAR = {
    "gaussian": lambda: Gaussian(1, 2), "gaussian grid": lambda: Gaussian(1, 2, grid=True), "kde": lambda: KDE(1, 2),
    "histogram": lambda: Histogram(1, 2), "histogram grid": lambda: Histogram(1, 2, grid=True),
    "lognormal": lambda: LogNormal(1, 2), "lognormal grid": lambda: LogNormal(1, 2, grid=True),
}  # fmt: skip


@pytest.mark.parametrize("name", FAR)
def test_a_mean_of_a_million_and_a_deviation_of_one_lose_no_digits(name: str) -> None:
    g = rng()
    state = torch.randint(2, (2000,), generator=g)
    x = (1e6 + normal(2000, g) + state)[:, None].float()  # float32 holds sixteenths here
    x = x.round() if "grid" in name else x
    leaf = fit(FAR[name](), x, state)
    exact = fit(FAR[name](), x.double(), state)
    torch.testing.assert_close(leaf.log_prob(x).double(), exact.log_prob(x.double()).double(), rtol=0, atol=1e-4)
    # The law that it is: within a few hundredths of a nat of the normal's mean log density (histograms a fifth).
    mean = leaf.log_prob(x)[0].gather(0, state[None]).double().mean()
    expected = reference.norm.logpdf(x[:, 0].double() - 1e6 - state).mean()
    assert abs(float(mean) - expected) < (0.2 if "histogram" in name else 0.06)


SPIKED = {
    "gaussian": lambda: Gaussian(1, 2), "gaussian grid": lambda: Gaussian(1, 2, grid=True),
    "lognormal": lambda: LogNormal(1, 2), "lognormal grid": lambda: LogNormal(1, 2, grid=True),
    "kde": lambda: KDE(1, 2), "kde grid": lambda: KDE(1, 2, grid=True),
    "histogram": lambda: Histogram(1, 2), "histogram grid": lambda: Histogram(1, 2, grid=True),
}  # fmt: skip


@pytest.mark.parametrize("name", SPIKED)
@pytest.mark.parametrize("few", [1, 2, 3])
def test_a_few_near_equal_rows_of_a_state_are_no_spike(name: str, few: int) -> None:
    """Their state expects the column's other numbers too, and themselves not much more than the column does."""
    column = (500 + 100 * normal(400, rng())).clamp(min=1)
    step = 1.0 if "grid" in name else 1e-6
    x = torch.cat([column, 520 + step * torch.arange(few)])
    x = (x.round() if "grid" in name else x)[:, None]
    leaf = fit(SPIKED[name](), x, torch.cat([torch.zeros(400), torch.ones(few)]).long())
    often = torch.quantile(column, torch.tensor([0.05, 0.5, 0.95]).double()).round()[:, None]
    gap = leaf.log_prob(torch.cat([often, x[-few:]]))[0, 0] - leaf.log_prob(torch.cat([often, x[-few:]]))[0, 1]
    assert gap.max() < 12 and gap.min() > -4


# poor data -----------------------------------------------------------------------------------------------------------
@over
def test_a_state_without_rows_a_constant_and_a_single_row_stay_finite(name: str) -> None:
    case = CASES[name]
    x, state = case.rows()
    poor = {
        "no rows of state 1": (x, 2 * (state > 0).long()),
        "one state only": (x, torch.zeros_like(state)),
        "constant": (each(x, lambda t: t[:1].expand(ROWS, -1).clone()), state),
        "a single row": (each(x, lambda t: t[:1]), state[:1]),
        "two rows": (each(x, lambda t: t[:2]), state[:2]),
    }
    for what, (rows, states) in poor.items():
        leaf = fit(case.make(STATES), rows, states)
        assert leaf.joint(x).isfinite().all(), what
        assert leaf.log_prob(rows).isfinite().all(), what
        drawn = leaf.sample(torch.arange(STATES).repeat(5), generator=rng())
        for cells in drawn if isinstance(drawn, tuple) else (drawn,):
            assert cells.isfinite().all(), what
    unseen = fit(case.make(STATES), x, 2 * (state > 0).long())
    pooled = fit(case.make(1), x, torch.zeros_like(state))
    if name == "gaussian shared":
        torch.testing.assert_close(unseen.variance, unseen.variance[:, :1].expand(-1, STATES), rtol=0, atol=0)
    elif leaf.reads == "values" and not isinstance(leaf, Calendar | KDE):
        # What a state without rows has is the column of all states, up to the smoothing.
        assert (unseen.joint(x)[1] - pooled.joint(x)[0]).abs().mean() < 0.15


@over
def test_a_column_that_is_never_known_stays_finite(name: str) -> None:
    case = CASES[name]
    x, state = case.rows(50)
    known = torch.ones(50, 2, dtype=torch.bool)
    known[:, 1] = False
    cells = each(x, lambda t: torch.where(known, t, torch.zeros_like(t)))
    leaf = fit(case.make(STATES), cells, state, known=mask_like(x, known))
    assert leaf.joint(cells, mask_like(x, known)).isfinite().all()
    drawn = leaf.sample(torch.arange(STATES), generator=rng())
    for part in drawn if isinstance(drawn, tuple) else (drawn,):
        assert part.isfinite().all()


FIRST = 2.0**24 + 1
"""A whole number that float32 does not hold."""


@pytest.mark.parametrize("leaf", [Gaussian, KDE, Histogram, LogNormal, Poisson, NegativeBinomial, Calendar])
def test_stated_bounds_keep_their_digits(leaf: type[Leaf]) -> None:
    bounds = {"lower": (FIRST,), "upper": (FIRST + 4,)}
    grid = {} if leaf in (Poisson, NegativeBinomial, Calendar) else {"grid": True}
    inside = (FIRST + torch.arange(5, dtype=torch.float64))[:, None]
    made = fit(leaf(1, 1, **grid, **bounds), inside, torch.zeros(5, dtype=torch.long))
    torch.testing.assert_close(made.log_prob(inside).exp().sum(), torch.tensor(1.0).double(), rtol=1e-9, atol=0)
    torch.testing.assert_close(made.log_mass(0, Region(FIRST, FIRST)), made.log_prob(inside[:1])[0, :, 0])
    assert (made.log_prob(torch.tensor([[FIRST - 1], [FIRST + 5]], dtype=torch.float64)) == -INF).all()
    drawn = made.sample(torch.zeros(500, dtype=torch.long), generator=rng())
    assert set(drawn[:, 0].tolist()) == set(inside[:, 0].tolist())


@pytest.mark.parametrize("leaf", ["histogram", "grid histogram", "calendar"])
def test_a_column_that_says_nothing_of_the_state_leaves_it_open(leaf: str) -> None:
    """Bins by the hundred and few rows a bin: what chance makes of them must not count as evidence.

    Without shrinkage the states' log-ratios would spread by sqrt(2 / rows a bin), above 0.6 here; with it they stay
    below a tenth in the mean, and a column that tells the states apart keeps doing so.
    """
    made = {
        "histogram": lambda: Histogram(1, 2),
        "grid histogram": lambda: Histogram(1, 2, grid=True),
        "calendar": lambda: Calendar(1, 2),
    }[leaf]
    state = torch.arange(1000) % 2
    for seed in range(5):
        x = torch.randint(0, 400 if leaf != "calendar" else 1400, (1000, 1), generator=rng(seed)).double()
        log_p = fit(made(), x, state).joint(x)
        assert float((log_p[0] - log_p[1]).abs().mean()) < 0.1
        told = x + x.max().floor() / 2 * state[:, None]
        log_p = fit(made(), told, state).joint(told)
        own, other = (log_p.gather(0, (state ^ flip)[None])[0] for flip in (0, 1))
        assert float((own - other).mean()) > 0.3
