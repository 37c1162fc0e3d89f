"""Leaves against what is known exactly: other people's distributions, brute-force sums, the calendar itself."""

from __future__ import annotations

import datetime
import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats as reference
from sklearn.naive_bayes import MultinomialNB
from torch import Tensor

from begat.core import Region
from begat.errors import FileError
from begat.leaves.calendar import Calendar
from begat.leaves.categorical import Categorical
from begat.leaves.counts import NegativeBinomial, Poisson
from begat.leaves.gaussian import Gaussian
from begat.leaves.histogram import Histogram
from begat.leaves.inverse import ByTails
from begat.leaves.lognormal import LogNormal
from begat.leaves.multinomial import Multinomial
from begat.leaves.registry import LEAVES, build, describe
from begat.leaves.special import Special
from begat.maths import negative_binomial, poisson
from begat.maths.log_concave import tabulate

INF = math.inf


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fit(leaf, x, state=None, weight=None, known=None):
    state = torch.zeros(len(x[0] if isinstance(x, tuple) else x), dtype=torch.long) if state is None else state
    leaf.start(x, state, weight, known)
    leaf.maximise(leaf.statistics(x, state, weight, known))
    return leaf


def overdispersed(n: int, size: float, mean: float, seed: int = 0) -> Tensor:
    draws = np.random.default_rng(seed).negative_binomial(size, size / (size + mean), n)
    return torch.from_numpy(draws).double()[:, None]


# counts -------------------------------------------------------------------------------------------------------------
def test_poisson_is_scipys() -> None:
    x = torch.tensor([[3.0], [0.0], [9.0]])
    leaf = fit(Poisson(1, 1, alpha=0.0), x)
    every = torch.arange(200.0)[:, None]
    expected = reference.poisson.logpmf(every[:, 0].numpy(), 4.0)
    np.testing.assert_allclose(leaf.log_prob(every)[0, 0], expected, rtol=1e-9)


@pytest.mark.parametrize(("size", "mean"), [(0.3, 2.0), (3.0, 0.2), (8.0, 60.0)])
def test_the_negative_binomial_is_scipys_at_its_maximum_likelihood(size: float, mean: float) -> None:
    x = overdispersed(3000, size, mean)
    leaf = fit(NegativeBinomial(1, 1, alpha=0.0), x)
    rate, r = float(leaf.rate), 1 / float(leaf.dispersion)
    assert rate == pytest.approx(float(x.mean()), rel=1e-9)

    def mean_log_likelihood(r: float) -> float:
        return float(reference.nbinom.logpmf(x[:, 0].numpy(), r, r / (r + rate)).mean())

    best = mean_log_likelihood(r)
    assert float(leaf.log_prob(x).mean()) == pytest.approx(best, rel=1e-9)
    for factor in (0.99, 1.01):
        assert mean_log_likelihood(r * factor) < best
    direct = leaf.log_prob(x[:1].expand(1, -1))  # one row has no table to look up
    assert float(direct) == pytest.approx(float(leaf.log_prob(x)[0, 0, 0]), abs=1e-9)


def test_counts_that_vary_less_than_poissons_are_poisson() -> None:
    x = torch.tensor([2.0, 3.0, 2.0, 3.0, 2.0])[:, None]
    leaf = fit(NegativeBinomial(1, 1), x)
    assert float(leaf.dispersion) == 0
    every = torch.arange(40.0)[:, None]
    torch.testing.assert_close(leaf.log_prob(every), fit(Poisson(1, 1), x).log_prob(every))


def test_large_counts_take_their_size_from_moments() -> None:
    x = overdispersed(4000, 5.0, 9000.0)
    leaf = fit(NegativeBinomial(1, 1, alpha=0.0), x)
    variance = float(x.var(correction=0))
    assert float(leaf.dispersion) == pytest.approx((variance - float(leaf.rate)) / float(leaf.rate) ** 2, rel=1e-9)


@pytest.mark.parametrize(("rows", "size", "mean"), [(20, 2500.0, 5e3), (200, 1e4, 2e4), (2000, 1e6, 1e7)])
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_large_counts_vary_as_the_data_do(rows: int, size: float, mean: float, alpha: float) -> None:
    """Few rows, and sizes at which log-Gammas lose their digits: the law has the variance of the rows (one pseudo-row
    at the pooled mean takes at most 1 / rows of it away) and is SciPy's."""
    x = overdispersed(rows, size, mean)
    leaf = fit(NegativeBinomial(1, 1, alpha=alpha), x)
    rate, dispersion = float(leaf.rate), float(leaf.dispersion)
    assert rate + dispersion * rate**2 == pytest.approx(float(x.var(correction=0)), rel=2 / rows + 1e-6)
    normal = -0.5 * ((x - rate) ** 2 / (rate + dispersion * rate**2)).double() - 0.5 * math.log(
        2 * math.pi * (rate + dispersion * rate**2)
    )
    assert float(leaf.log_prob(x).mean()) == pytest.approx(float(normal.mean()), abs=5 / math.sqrt(size))


@pytest.mark.parametrize("size", [3e3, 1e4 - 1, 1e4 + 1, 1e6])
def test_series_and_gamma_functions_agree(size: float) -> None:
    """On both sides of STIRLING, where SciPy's own log-Gammas still have ten digits."""
    for rate in (0.5, 30.0, 5e3):
        k = torch.linspace(0, 4 * rate + 20, 50).floor().double()
        ours = negative_binomial.log_mass(k, torch.tensor(rate).double(), torch.tensor(1 / size).double())
        theirs = torch.from_numpy(reference.nbinom.logpmf(k.numpy(), size, size / (size + rate)))
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-7)


def test_a_weightless_row_stands_in_for_nothing() -> None:
    """The log-normal's stand-in for 0 is half the smallest number that occurs, and rows of weight 0 do not occur."""
    x, weight = torch.tensor([[1e-9], [0.0], [2.0], [3.0]]), torch.tensor([0.0, 1.0, 1.0, 1.0]).double()
    state = torch.zeros(4, dtype=torch.long)
    with_it, without = fit(LogNormal(1, 1), x, state, weight), fit(LogNormal(1, 1), x[1:], state[1:], weight[1:])
    torch.testing.assert_close(with_it.log_prob(x[1:]), without.log_prob(x[1:]))


def test_a_state_of_zeros_expects_other_counts_a_little() -> None:
    x, state = torch.tensor([0.0, 0.0, 4.0, 7.0])[:, None], torch.tensor([0, 0, 1, 1])
    for leaf in (Poisson(1, 2), NegativeBinomial(1, 2)):
        assert fit(leaf, x, state).log_prob(torch.tensor([[5.0]])).isfinite().all()


@pytest.mark.parametrize("leaf", [Poisson(1, 1), NegativeBinomial(1, 1)], ids=["poisson", "negative binomial"])
def test_unbounded_regions_of_counts(leaf) -> None:
    fit(leaf, overdispersed(2000, 2.0, 5.0))
    every = leaf.log_prob(torch.arange(3000.0)[:, None])[0]
    for first in (0.0, 3.0, 25.0, 60.0):
        expected = torch.logsumexp(every[:, int(first) :], 1)
        torch.testing.assert_close(leaf.log_mass(0, Region(first, INF)), expected, rtol=1e-6, atol=1e-9)
        drawn = leaf.sample_in(0, Region(first, INF), torch.zeros(500, dtype=torch.long), generator=rng())
        assert drawn.min() >= first and drawn.isfinite().all()


# log-normal ---------------------------------------------------------------------------------------------------------
def test_the_log_normal_is_scipys() -> None:
    x = (1.5 + 0.7 * torch.randn(500, 1, generator=rng()).double()).exp()
    leaf = fit(LogNormal(1, 1, var_smoothing=0.0), x)
    log = x.log()
    s, m = float(log.std(correction=0)), float(log.mean())
    expected = reference.lognorm.logpdf(x[:, 0].numpy(), s, scale=math.exp(m))
    np.testing.assert_allclose(leaf.log_prob(x)[0, 0], expected, rtol=1e-9, atol=1e-9)
    assert float(leaf.mean()) == pytest.approx(reference.lognorm.mean(s, scale=math.exp(m)), rel=1e-9)


def test_zero_is_one_point_of_the_log_normal() -> None:
    x = torch.tensor([[0.0], [1.0], [2.0], [5.0]])
    leaf = fit(LogNormal(1, 1), x)
    assert leaf.log_prob(x).isfinite().all()
    assert (leaf.log_prob(torch.tensor([[-1e-9]])) == -INF).all()


@pytest.mark.parametrize("scale", [3.0, 3e3, 3e9, 3e14])
def test_cells_of_any_width_keep_their_digits(scale: float) -> None:
    """On a fine grid the mass of a cell is density times width; far finer than a deviation nothing is lost."""
    x = (scale * (torch.randn(300, 1, generator=rng()).double().exp())).floor()
    leaf = fit(LogNormal(1, 1, grid=True), x)
    z = x[:, 0] + 0.5
    m, s = leaf.log_z.mean_[0, 0], leaf.log_z.variance[0, 0].sqrt()
    density = -0.5 * ((z.log() - m) / s) ** 2 - s.log() - 0.5 * math.log(2 * math.pi) - z.log()
    exact = leaf.log_prob(x)[0, 0]
    torch.testing.assert_close(exact[x[:, 0] > 50], density[x[:, 0] > 50], rtol=0, atol=1e-3)
    far = leaf.log_prob(torch.tensor([[0.0], [1e15]]))
    assert far.isfinite().all()


# histogram ----------------------------------------------------------------------------------------------------------
def test_few_points_have_a_bin_each() -> None:
    x = torch.tensor([3.0, 3.0, 3.0, 5.0])[:, None]
    leaf = fit(Histogram(1, 1, grid=True), x)
    p = leaf.log_prob(torch.tensor([[3.0], [4.0], [5.0], [6.0]]))[0, 0].exp()
    # bins: below, 3, 4, 5, above, one pseudo-count each; shrinking a single state to itself: c = 3
    counts, c = torch.tensor([0.0, 3.0, 0.0, 1.0, 0.0]).double(), 3.0
    expected = (counts + c * (counts + 1) / 9) / (4 + c)
    torch.testing.assert_close(p[:3], expected[1:4])
    assert 0 < p[3] < expected[4]


def test_a_heavy_point_of_a_wide_grid_has_a_bin_of_its_own() -> None:
    g = rng()
    x = (1e6 * torch.rand(3000, generator=g).double()).round()
    x[:1000] = 40000
    leaf = fit(Histogram(1, 1, grid=True), x[:, None])
    p = leaf.log_prob(torch.tensor([[39999.0], [40000.0], [40001.0]]))[0, 0].exp()
    assert p[1] == pytest.approx(1 / 3, rel=0.05)
    assert p[0] < 1e-4 and p[2] < 1e-4


def test_tails_are_small_and_long() -> None:
    x = torch.randn(1000, 1, generator=rng()).double()
    leaf = fit(Histogram(1, 1), x)
    beyond = leaf.log_mass(0, Region(float(x.max()) + 1e-9, INF)).exp()
    assert 0 < beyond < 0.01
    for grid in (False, True):  # a number a million deviations out costs tens of nats, not millions
        leaf = fit(Histogram(1, 1, grid=grid), x.round() if grid else x)
        assert leaf.log_prob(torch.tensor([[1e6], [-1e6]]).double()).min() > -80


@pytest.mark.parametrize("upper", [50.0, 51.0, 57.0, 400.0, 30_000.0])
def test_the_mean_of_a_cut_tail_is_the_sum_over_its_points(upper: float) -> None:
    x = (40 + 10 * torch.rand(30, 1, generator=rng()).double()).floor()
    bounds = {"lower": (0.0,), "upper": (upper,), "bins": 20}
    leaf = fit(Histogram(1, 1, grid=True, **bounds), x)
    every = torch.arange(upper + 1).double()[:, None]
    mean = (leaf.log_prob(every)[0, 0].exp() * every[:, 0]).sum()
    torch.testing.assert_close(leaf.mean()[0, 0], mean, rtol=1e-9, atol=0)
    drawn = leaf.sample(torch.zeros(4000, dtype=torch.long), generator=rng())
    assert abs(float(drawn.mean() - mean)) < 6 * float(drawn.std()) / math.sqrt(4000)  # false alarms below 1e-6
    smooth = fit(Histogram(1, 1, **bounds), x + 0.5 * (upper > 50))
    edges = torch.cat([smooth.edges[0][smooth.edges[0].isfinite()], torch.tensor([0.0, upper]).double()]).unique()
    nodes, weights = (torch.from_numpy(t) for t in np.polynomial.legendre.leggauss(20))
    cuts = torch.cat([torch.lerp(a, b, torch.linspace(0, 1, 300).double() ** 4) for a, b in itertools.pairwise(edges)])
    half = 0.5 * cuts.unique().diff()[:, None]
    at = (cuts.unique()[:-1, None] + half * (1 + nodes)).reshape(-1)
    density = smooth.log_prob(at[:, None])[0, 0].exp() * (half * weights).reshape(-1)
    torch.testing.assert_close(smooth.mean()[0, 0], (density * at).sum(), rtol=1e-6, atol=0)


# Gaussian -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("pull", [0.0, 1.0, 2.5])
def test_a_state_has_pseudo_rows_of_the_columns_variance(pull: float) -> None:
    x, state = torch.tensor([1.0, 2.0, 4.0, 9.0, 11.0]).double(), torch.tensor([0, 0, 0, 1, 1])
    leaf = fit(Gaussian(1, 2, var_smoothing=pull), x[:, None], state)
    whole = float(x.var(correction=0)) * 6 / 4
    for k, rows in enumerate((x[:3], x[3:])):
        expected = (float(rows.var(correction=0)) * len(rows) + pull * whole) / (len(rows) + pull)
        assert float(leaf.variance[0, k]) == pytest.approx(expected, rel=1e-9)
        assert float(leaf.mean_[0, k]) == pytest.approx(float(rows.mean()), rel=1e-9)


# multinomial --------------------------------------------------------------------------------------------------------
def block(n: int = 400) -> tuple[Tensor, Tensor]:
    g = rng(3)
    state = torch.randint(2, (n,), generator=g)
    rate = torch.tensor([[1.0, 2.0, 0.5], [2.0, 0.3, 1.0]]).double()[state]
    rate = rate * -torch.rand(n, 1, generator=g).double().log()
    return torch.poisson(rate, generator=g), state


def test_the_multinomial_is_scikit_learns() -> None:
    x, state = block()
    leaf = fit(Multinomial(3, 2, alpha=0.7), x, state)
    peer = MultinomialNB(alpha=0.7).fit(x.numpy(), state.numpy())
    prior = torch.from_numpy(peer.class_log_prior_)
    posterior = torch.softmax(prior[:, None] + leaf.joint(x), 0).T
    np.testing.assert_allclose(posterior, peer.predict_proba(x.numpy()), atol=1e-9)


@pytest.mark.parametrize("dispersed", [True, False])
def test_the_multinomial_sums_to_one_and_its_marginals_are_sums(dispersed: bool) -> None:
    x, state = block()
    leaf = fit(Multinomial(3, 2), x, state)
    if not dispersed:
        leaf.total.dispersion = torch.zeros_like(leaf.total.dispersion)
    assert bool(leaf.total.dispersion > 0) == dispersed
    top = 70
    every = torch.tensor(list(itertools.product(range(top), repeat=3))).double()
    joint = leaf.joint(every).reshape(2, top, top, top)
    torch.testing.assert_close(
        torch.logsumexp(joint.reshape(2, -1), 1).exp(), torch.ones(2).double(), rtol=1e-5, atol=0
    )
    some = torch.tensor([[2.0, 0.0, 3.0], [0.0, 0.0, 1.0]])
    known = torch.tensor([[True, False, True], [False, False, True]])
    got = leaf.joint(some, known)
    torch.testing.assert_close(got[:, 0], torch.logsumexp(joint[:, 2, :, 3], 1), rtol=1e-5, atol=0)
    torch.testing.assert_close(got[:, 1], torch.logsumexp(joint[:, :, :, 1].reshape(2, -1), 1), rtol=1e-5, atol=0)
    region = torch.logsumexp(joint[:, :, 1:4].reshape(2, -1), 1)
    torch.testing.assert_close(leaf.log_mass(1, Region(1.0, 3.0)), region, rtol=1e-5, atol=0)


@pytest.mark.parametrize("dispersed", [True, False])
def test_unknown_columns_of_a_block_are_drawn_given_the_known_ones(dispersed: bool) -> None:
    x, state = block()
    leaf = fit(Multinomial(3, 2), x, state)
    if not dispersed:
        leaf.total.dispersion = torch.zeros_like(leaf.total.dispersion)
    n, k = 8000, 1
    given = torch.tensor([4.0, 0.0, 0.0]).double().expand(n, -1)
    known = torch.tensor([True, False, False]).expand(n, -1)
    drawn = leaf.complete(given, known, torch.full((n,), k), {}, generator=rng(6))
    assert (drawn[:, 0] == 4).all()
    top = 12
    pairs = torch.tensor(list(itertools.product(range(top), repeat=2))).double()
    cells = torch.cat([torch.full((len(pairs), 1), 4.0).double(), pairs], 1)
    p = (leaf.joint(cells)[k] - leaf.joint(given[:1], known[:1])[k, 0]).exp()
    seen = torch.bincount((drawn[:, 1] * top + drawn[:, 2]).long()[(drawn[:, 1:] < top).all(1)], minlength=top**2)
    often = p * n >= 5
    observed = torch.cat([seen[often], n - seen[often].sum()[None]]).double()
    expected = torch.cat([p[often] * n, n * (1 - p[often].sum())[None]])
    # one chi-square test, false alarm 1e-6
    assert reference.chi2.sf(float(((observed - expected) ** 2 / expected).sum()), len(observed) - 1) > 1e-6


def test_columns_of_a_block_that_are_often_unknown_are_scaled_up() -> None:
    x, state = block(4000)
    known = torch.ones_like(x, dtype=torch.bool)
    known[::2, 1] = False
    partly = fit(Multinomial(3, 2), x, state, known=known)
    fully = fit(Multinomial(3, 2), x, state)
    torch.testing.assert_close(partly.log_theta, fully.log_theta, rtol=0, atol=0.1)


# dates --------------------------------------------------------------------------------------------------------------
EPOCH = datetime.datetime(1970, 1, 1)


@pytest.mark.parametrize(("per_day", "origin"), [(1, 0), (24, 0), (96, 5), (1440, -3)])
def test_ticks_are_weeks_weekdays_and_times(per_day: int, origin: int) -> None:
    leaf = Calendar(1, 1, ticks_per_day=per_day, origin=origin)
    tick = torch.randint(-(10**5), 10**5, (300, 1), generator=rng()).double()
    parts = leaf._split(tick)
    torch.testing.assert_close(leaf._tick(parts), tick, rtol=0, atol=0)
    for i in range(0, 300, 17):
        moment = EPOCH + datetime.timedelta(days=1) * ((float(tick[i, 0]) + origin) / per_day)
        assert int(parts[1][i, 0]) == (moment + datetime.timedelta(microseconds=50)).weekday()


def test_a_shop_that_closes_on_sundays() -> None:
    days = torch.arange(18000, 18700).double()
    open_days = days[(days + 3) % 7 != 6][:, None]
    leaf = fit(Calendar(1, 1), open_days)
    p = leaf.log_prob(days[:, None])[0, 0].exp()
    sundays = (days + 3) % 7 == 6
    assert p[sundays].max() < 0.1 * p[~sundays].min()
    week = Region(18009.0, 18015.0)
    assert float(leaf.log_mass(0, week).exp()) == pytest.approx(float(p[9:16].sum()), rel=1e-9)


def test_a_range_of_dates_within_a_day_within_a_week_and_over_many() -> None:
    g = rng()
    hours = (24 * (18000 + 300 * torch.rand(500, 1, generator=g).double())).floor()
    state = torch.randint(2, (500,), generator=g)
    leaf = fit(Calendar(1, 2, ticks_per_day=24), hours, state)
    start = 24 * 18100 + 7
    for length in (0, 3, 16, 17, 40, 24 * 7, 24 * 30 + 5):
        ticks = torch.arange(start, start + length + 1).double()[:, None]
        expected = torch.logsumexp(leaf.log_prob(ticks)[0], 1)
        got = leaf.log_mass(0, Region(float(start), float(start + length)))
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)
    assert (leaf.log_mass(0, Region(float(start), float(start - 1))) == -INF).all()


# special codes ------------------------------------------------------------------------------------------------------
def zero_inflated() -> Special:
    g = rng()
    codes = torch.randint(3, (500, 1), generator=g)
    values = torch.randn(500, 1, generator=g).double().masked_fill(codes != 0, 0.0)
    return fit(Special(Categorical(1, 1, levels=(3,)), Gaussian(1, 1)), (codes, values))


def test_a_special_code_or_a_value_of_the_remainder() -> None:
    leaf = zero_inflated()
    codes, values = torch.tensor([[0], [1], [0], [2]]), torch.tensor([[0.5], [0.0], [0.5], [9.0]]).double()
    known = (torch.tensor([[True], [True], [True], [False]]), torch.tensor([[True], [False], [False], [True]]))
    table = leaf.codes.table(0)[:, 0]
    value = leaf.remainder.log_prob(values[:1])[0, 0, 0]
    expected = torch.stack([table[0] + value, table[1], table[0], torch.zeros(()).double()])
    torch.testing.assert_close(leaf.log_prob((codes, values), known)[0, 0], expected)
    torch.testing.assert_close(leaf.log_prob((codes, values))[0, 0, 3], table[2])  # the value does not apply


def test_the_remainder_learns_from_its_own_rows_only() -> None:
    leaf = zero_inflated()
    g = rng()
    codes = torch.randint(3, (500, 1), generator=g)
    values = torch.randn(500, 1, generator=g).double()[codes == 0][:, None]
    alone = fit(Gaussian(1, 1), values)
    torch.testing.assert_close(leaf.remainder.log_prob(values), alone.log_prob(values))


def test_a_region_of_codes_alone_leaves_the_interval_aside() -> None:
    leaf = zero_inflated()
    state = torch.zeros(50, dtype=torch.long)
    codes, values = leaf.sample_in(0, Region(5.0, 6.0, torch.tensor([False, True, True])), state, generator=rng())
    assert (codes > 0).all() and (values == 0).all()
    codes, values = leaf.sample_in(0, Region(0.5, 0.7, torch.tensor([True, False, False])), state, generator=rng())
    assert (codes == 0).all() and ((values >= 0.5) & (values <= 0.7)).all()


def test_special_codes_refuse_parts_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="codes of 1 columns and 1 states, remainder of 2 and 1; give both the same"):
        Special(Categorical(1, 1, levels=(2,)), Gaussian(2, 1))
    with pytest.raises(TypeError, match="take a Categorical and a leaf of values"):
        Special(Categorical(1, 1, levels=(2,)), Categorical(1, 1, levels=(2,)))


# the inverse --------------------------------------------------------------------------------------------------------
class Normals(ByTails):
    """Standard normals at 0 and at a million, continuous or as whole parts."""

    states = 2
    means = torch.tensor([0.0, 1e6]).double()[:, None]

    def __init__(self, grid: bool):
        self.grid = grid

    def tails(self, column: int, x: Tensor) -> tuple[Tensor, Tensor]:
        u = (x.floor() + 1 if self.grid else x) - self.means
        return torch.special.ndtr(u), torch.special.ndtr(-u)


@pytest.mark.parametrize(("lower", "upper"), [(-INF, INF), (7.0, INF), (-INF, -20.0), (1e6 + 6.0, 1e6 + 6.5)])
def test_draws_invert_the_tails_however_far_out(lower: float, upper: float) -> None:
    law = Normals(grid=False)
    mass = law.log_mass(0, Region(lower, upper)).exp()
    for k in range(2):
        drawn = law.sample_in(0, Region(lower, upper), torch.full((2000,), k), generator=rng(k))
        assert ((drawn >= lower) & (drawn <= upper)).all()
        if mass[k] == 0:
            continue
        below, above = (tail[k] for tail in law.tails(0, drawn))
        first = 1.0 if lower == -INF else law.tails(0, torch.tensor([lower]).double())[1][k]
        uniform = (below if upper < 0 else first - above) / mass[k]
        assert reference.kstest(uniform.numpy(), "uniform").pvalue > 1e-6  # false alarms 1e-6 each, 6 of them


def test_a_region_without_mass_is_drawn_at_an_end() -> None:
    state = torch.zeros(3, dtype=torch.long)
    for grid in (False, True):
        assert (Normals(grid).sample_in(0, Region(200.0, 300.0), state, generator=rng()) >= 200).all()
        assert (Normals(grid).log_mass(0, Region(200.0, 300.0))[:1] == -INF).all()
    assert (Normals(True).log_mass(0, Region(2.2, 2.8)) == -INF).all()


# names --------------------------------------------------------------------------------------------------------------
def test_every_leaf_has_a_name_and_files_with_others_are_refused() -> None:
    assert all(name == leaf.__name__ for name, leaf in LEAVES.items())
    good = describe(Gaussian(1, 1))
    for change, said in (
        ({"leaf": "Gausian"}, "no leaf 'Gausian' .did you mean 'Gaussian'"),
        ({"leaf": 3}, "no leaf 3"),
        ({"colour": 1}, "the leaf Gaussian cannot be made as described: .*colour"),
    ):
        with pytest.raises(FileError, match=said):
            build({**good, **change})
    with pytest.raises(FileError, match="ticks_per_day is 0; a day has at least one tick"):
        build({"leaf": "Calendar", "columns": 1, "states": 1, "ticks_per_day": 0})


# what blocks of counts stand on ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("lower", "upper"), [(0.0, INF), (0.0, 0.0), (3.0, INF), (2.0, 9.0), (400.0, INF), (-5.0, 40.0)]
)
def test_poisson_masses_are_scipys_and_go_on_where_it_ends(lower: float, upper: float) -> None:
    mean = torch.logspace(-3, 3, 40, dtype=torch.float64)
    got = poisson.log_between(mean, lower, upper)
    first = max(lower, 0.0)
    k = torch.arange(first, min(upper, first + 3000) + 1, dtype=torch.float64)
    want = torch.from_numpy(np.logaddexp.reduce(reference.poisson.logpmf(k.numpy(), mean[:, None].numpy()), axis=1))
    near = want > math.log(poisson.FAR)
    torch.testing.assert_close(got[near], want[near], rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(got[~near], want[~near], rtol=1e-3, atol=0)  # the stated error of the far terms
    assert (poisson.log_between(mean, 5.0, 4.0) == -INF).all()


@pytest.mark.parametrize(
    ("mean", "lower", "upper"), [(3.0, 0.0, INF), (3.0, 12.0, INF), (50.0, 0.0, 30.0), (0.01, 2.0, 4.0)]
)
def test_poisson_draws_between_bounds(mean: float, lower: float, upper: float) -> None:
    n = 20_000
    drawn = poisson.draw_between(torch.full((n,), mean, dtype=torch.float64), lower, upper, generator=rng(1))
    assert drawn.min() >= lower and drawn.max() <= upper
    k = np.arange(lower, min(upper, lower + 60) + 1)
    p = reference.poisson.pmf(k, mean)
    p, seen = p / p.sum(), np.array([(drawn == v).sum() for v in k.tolist()])
    often = n * p >= 5
    observed, expected = [np.append(t[often], t[~often].sum()) for t in (seen, n * p)]
    # false alarm 1e-6; what is rare is one cell, left out where it is hardly expected
    some = expected > 1
    assert reference.chi2.sf((((observed - expected) ** 2 / expected)[some]).sum(), max(some.sum() - 1, 1)) > 1e-6


@pytest.mark.parametrize("shape", [1e-5, 0.03, 1.0, 40.0, 1e6])
def test_log_concave_integrals_are_gamma_functions(shape: float) -> None:
    """The integral of exp(a t - e^t) is Gamma(a), and e^t of its draws has the Gamma law."""
    table = tabulate(lambda t: shape * t - t.clamp(max=600).exp(), *torch.tensor([[-50.0], [50.0]]).double())
    assert float(table.log_integral()) == pytest.approx(math.lgamma(shape), rel=1e-9, abs=1e-8)
    n = 20_000
    drawn = table.draw(torch.zeros(n, dtype=torch.long), generator=rng(2)).exp().numpy()
    # Kolmogorov and Smirnov, false alarm 1e-6; the smallest shapes leave most draws below the smallest number.
    cut = drawn[drawn > 1e-300]
    u = reference.gamma.cdf(cut, shape) if len(cut) == n else (drawn > 1e-3) * 1.0
    if len(cut) == n:
        assert reference.kstest(u, "uniform").pvalue > 1e-6
    else:
        assert abs(u.mean() - reference.gamma.sf(1e-3, shape)) < 5 * math.sqrt(u.mean() / n + 1 / n**2)


def test_a_shared_variance_is_that_of_every_state() -> None:
    x = torch.tensor([[1.0], [2.0], [10.0], [14.0]]).double()
    leaf = fit(Gaussian(1, 3, shared=True, var_smoothing=0.0), x, torch.tensor([0, 0, 2, 2]))
    torch.testing.assert_close(leaf.variance, torch.full((1, 3), (2 * 0.25 + 2 * 4.0) / 4).double())
