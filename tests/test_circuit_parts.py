"""The parts of a circuit: places of a column, laws of places, trees, tables of low rank, stepwise EM."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats as reference

from begat import Circuit
from begat.codecs import frame as frames
from begat.core import Batch, Region
from begat.estimators import target, training
from begat.estimators.cutting import POINTS, cut, cuts
from begat.fitting.course import INTERRUPTED, STOPPED
from begat.fitting.em import Course, Schedule, stepwise
from begat.leaves.place_law import Free, Smooth
from begat.leaves.places import Places
from begat.maths.bilinear import PENALTY, Bilinear
from begat.maths.clusters import centres, nearest
from begat.maths.inversion import draw_each, draw_rows
from begat.maths.paired import surpasses
from begat.maths.shrinkage import pull, shrunk
from begat.maths.trees import mutual_information, spanning_tree, topological

ALARM = 1e-6
"""False-alarm rate of each comparison of draws, with fixed seeds."""


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# places -----------------------------------------------------------------------------------------------------------
R = np.random.default_rng(0)
N = 1500
GAPS = R.random(N) < 0.2
COLUMNS = {
    "continuous": pd.DataFrame({"x": R.normal(size=N)}),
    "few rows": pd.DataFrame({"x": R.normal(size=30)}),
    "count": pd.DataFrame({"x": R.poisson(4, N)}),
    "decimal": pd.DataFrame({"x": R.gamma(2, 50, N).round(2)}),
    "wide integers": pd.DataFrame({"x": (R.lognormal(9, 1, N)).astype(int)}),
    "repeats and gaps": pd.DataFrame({"x": np.where(R.random(N) < 0.4, 0, R.lognormal(2, 1, N))}).mask(GAPS[:, None]),
    "integers with gaps": pd.DataFrame({"x": pd.array(np.where(GAPS, None, R.integers(0, 40, N)), "Int64")}),
    "levels": pd.DataFrame({"x": R.choice(list("abcd"), N, p=[0.5, 0.3, 0.15, 0.05])}),
    "dates": pd.DataFrame({"x": pd.Timestamp("2024-01-01") + pd.to_timedelta(R.integers(0, 700, N), unit="D")}),
    "zeros and small counts": pd.DataFrame({"x": np.where(R.random(N) < 0.6, 0, R.poisson(0.9, N))}),
    "kernels": pd.DataFrame({"x": R.gamma(2, 0.1, N)}),
    "kernels far apart": pd.DataFrame({"x": np.concatenate([R.normal(size=N - 3), [1e3, 2e3, 5e3]])}),
    "kernels on a grid": pd.DataFrame({"x": R.gamma(2, 9, N).round().astype(int) - 7}),
}  # fmt: skip
LEAVES = dict.fromkeys(("kernels", "kernels far apart", "kernels on a grid"), "kde")
over = pytest.mark.parametrize("name", COLUMNS)


def placed(name: str) -> tuple[Places, Batch, torch.Tensor]:
    recipe, table = Circuit(), frames.as_frame(COLUMNS[name])
    rows = training.of_table(recipe, table, target.split(table, None, "density", None), None)
    recipe._set_out(rows.border)
    made = cut(LEAVES.get(name, "auto"), recipe._joint.slots, rows, recipe._joint.put)
    return made.places[0], rows.first, made.cells[:, 0].long()


def batch_of(places: Places, drawn) -> Batch:
    n = len(drawn.code)
    x = (torch.zeros(n, len(places.part.values)).double(), torch.zeros(n, len(places.part.codes), dtype=torch.int32))
    places.write(drawn, *x)
    applies = (drawn.code == 0)[:, None].expand(-1, x[0].shape[1])
    return Batch(x, (applies, None))


@over
def test_places_hold_all_probability(name):
    places, batch, cells = placed(name)
    assert float(places.log_q.exp().sum()) == pytest.approx(1, abs=1e-6)
    assert float(places.log_base.exp().sum()) == pytest.approx(1, abs=1e-9)
    assert (places.find(batch) == cells).all() and (cells < places.size).all()
    assert torch.isfinite(places.log_own(batch, cells)).all()


@over
def test_a_place_gives_cells_that_lie_in_it(name):
    places, _, cells = placed(name)
    wanted = cells[torch.randint(len(cells), (5_000,), generator=rng())]
    drawn = places.draw(wanted, generator=rng(1))
    found = batch_of(places, drawn)
    assert (places.find(found) == wanted).all()
    again = places.draw(wanted, generator=rng(1))
    assert torch.equal(drawn.value, again.value)


@over
def test_what_stands_for_a_place_lies_in_it(name):
    places, _, _ = placed(name)
    every = torch.arange(places.size)[places.log_base > -30]
    assert (places.find(batch_of(places, places.representative(every))) == every).all()
    if places.leaf_of_numbers.mean().isfinite().all():  # on a grid a point has no more mass than its place
        assert float(places.height().max()) < 1 + 1e-6 or not places.grid


@over
def test_draws_within_a_region_lie_in_it_and_are_as_many_as_its_share_says(name):
    places, _, cells = placed(name)
    if not places.intervals:
        pytest.skip("levels have no intervals to divide")
    value = places.draw(cells, generator=rng()).value[cells < places.intervals]
    low, high = float(value.quantile(0.3)), float(value.quantile(0.8))
    region = Region(low, high)
    share = places.shares(region)
    assert ((share >= 0) & (share <= 1 + 1e-9)).all()
    mass = float((places.log_q.exp() * share)[: places.intervals].sum())
    whole = places.leaf.log_mass(
        0, Region(low, high, None if places.leaf.reads == "values" else torch.arange(places.codes + 1) == 0)
    )
    assert mass == pytest.approx(float(whole.exp()[0]), rel=1e-5)
    some = ((share > 0) & (torch.arange(places.size) < places.intervals)).nonzero()[:, 0]
    drawn = places.draw(some.repeat(3), region, generator=rng(2)).value
    assert ((drawn >= low) & (drawn <= high)).all()


@over
def test_the_means_of_places_are_the_mean_of_the_law(name):
    places, _, _ = placed(name)
    if name in ("levels", "dates"):
        pytest.skip("they have no mean")
    share = places.log_q[: places.intervals].exp()
    mean = float((share * places.mean()).sum() / share.sum())
    whole = float(places.leaf_of_numbers.mean()[0, 0])
    spread = float(places.draw(torch.arange(places.intervals).repeat(20), generator=rng()).value.std())
    assert abs(mean - whole) < 0.02 * spread
    middle = places.middle()
    assert (middle[1:] >= middle[:-1]).all()
    low, high = places.bounds()
    assert ((places.mean() >= low) & (places.mean() <= high)).all()


def test_cuts_lie_between_numbers_and_around_heavy_ones():
    few = cuts(torch.tensor([3.0, 1.0, 1.0, 7.0]).double(), None, grid=True)
    assert few.tolist() == [2.5, 5.5]  # half way, on half steps
    x = torch.from_numpy(np.concatenate([R.integers(0, 5_000, 4_000), np.full(1_000, 77), [76, 78]])).double()
    many = cuts(x, None, grid=True)
    assert 200 < len(many) < POINTS and {76.5, 77.5} <= set(many.tolist()) and (many.diff() > 0).all()
    assert len(cuts(torch.empty(0).double(), None, grid=False)) == 0


@pytest.mark.parametrize("kind", [Free, Smooth])
@over
def test_laws_of_places_sum_to_one_whatever_the_counts(name, kind):
    places, _, cells = placed(name)
    if kind is Smooth and places.intervals < 2:
        pytest.skip("a Gaussian needs intervals")
    law = kind(places, 4)
    state = torch.randint(4, cells.shape, generator=rng())
    counts = torch.zeros(places.size, 4).index_put_((cells, state), torch.ones(len(cells)), accumulate=True)
    counts[:, 3] = 0  # a state without rows
    for anew in (False, True):
        law.maximise(counts, anew)
        torch.testing.assert_close(law.p.sum(0), torch.ones(4), atol=1e-5, rtol=0)
        assert (law.p >= 0).all() and ((law.p > 0) == (places.base > 0)[:, None]).all()
        mean = (law.table()[: places.size] * places.base[:, None]).sum(0)
        torch.testing.assert_close(mean, torch.ones(4), atol=1e-4, rtol=0)
    law.widen()
    torch.testing.assert_close(law.p.sum(0), torch.ones(4), atol=1e-5, rtol=0)


# mathematics ------------------------------------------------------------------------------------------------------
def test_a_step_of_a_bilinear_table_is_adams_on_the_penalised_likelihood():
    """Against torch.optim.Adam and autodiff."""
    counts = torch.rand(5, 7, generator=rng()) * 10
    made = Bilinear.of(counts, 3, steps=0)
    u, w, b = (t.clone().requires_grad_() for t in (made.u, made.w, made.b))
    adam = torch.optim.Adam([u, w, b], lr=0.06, betas=(0.9, 0.99))
    for _ in range(5):
        adam.zero_grad()
        likelihood, n = (counts * torch.log_softmax(u @ w.T + b, 1)).sum(), counts.sum()
        (PENALTY / 2 * (u.square().sum() + w.square().sum()) / n.sqrt() - likelihood / n).backward()
        adam.step()
        made = made.ascend(counts, 0.06)
    for ours, theirs in ((made.u, u), (made.w, w), (made.b, b)):
        torch.testing.assert_close(ours, theirs.detach(), atol=1e-5, rtol=1e-4)


def test_a_narrow_band_has_low_rank():
    at = torch.linspace(-2, 2, 40)
    band = torch.softmax(-((at[:, None] - 0.9 * at) ** 2) / (2 * 0.1**2), 1)
    made = Bilinear.of(1_000 * band, 3, steps=1_500).table()
    assert float(0.5 * (made - band).abs().sum(1).mean()) < 0.1  # in total variation
    assert (made.sum(1) - 1).abs().max() < 1e-5


def test_pseudo_rows_are_many_where_the_law_is_right_and_few_where_it_is_not():
    q = torch.softmax(torch.randn(8, 12, generator=rng()), 1)
    counts = torch.stack(
        [torch.bincount(torch.multinomial(p, 300, True, generator=rng(i)), minlength=12) for i, p in enumerate(q)]
    )
    right, wrong = pull(counts.float(), q), pull(counts.float(), torch.full_like(q, 1 / 12))
    assert right > 1_000 and wrong < 100
    for c in (right, wrong, torch.tensor(4.0)):
        torch.testing.assert_close(shrunk(counts.float(), q, c).sum(1), torch.ones(8))


def test_the_tree_is_the_heaviest_of_all():
    for seed in range(20):
        weight = torch.rand(5, 5, generator=rng(seed)).double()
        weight = weight + weight.T
        parents = spanning_tree(weight, root=seed % 5)
        assert parents[seed % 5] == -1
        ours = sum(float(weight[v, p]) for v, p in enumerate(parents) if p >= 0)
        pairs = list(itertools.combinations(range(5), 2))
        best = max(
            sum(float(weight[a, b]) for a, b in tree) for tree in itertools.combinations(pairs, 4) if spans(tree)
        )
        assert ours == pytest.approx(best)
        order = topological(parents)
        assert sorted(order) == list(range(5))
        assert all(p < 0 or order.index(p) < order.index(v) for v, p in enumerate(parents))


def spans(edges) -> bool:
    reached = {0}
    for _ in edges:
        reached |= {b for a, b in edges if a in reached} | {a for a, b in edges if b in reached}
    return len(reached) == 5


def test_mutual_information_of_independent_columns_is_near_nothing_and_of_copies_their_entropy():
    x = torch.randint(4, (4_000, 2), generator=rng())
    codes = torch.cat([x, x[:, :1]], 1)
    found = mutual_information(codes, (4, 4, 4))
    p = torch.bincount(x[:, 0]) / 4_000
    assert float(found[0, 1]) < 3e-3
    assert float(found[0, 2]) == pytest.approx(float(-(p * p.log()).sum()), abs=2e-3)
    half = codes.clone()
    half[::2, 1] = 4  # unknown
    assert torch.allclose(mutual_information(half, (4, 4, 4))[0, 2], found[0, 2])
    weight = torch.randint(0, 3, (4_000,), generator=rng(1))
    repeated = mutual_information(codes.repeat_interleave(weight, 0), (4, 4, 4))
    torch.testing.assert_close(mutual_information(codes, (4, 4, 4), weight.double()), repeated)


def test_draws_of_rows_follow_their_rows():
    table = torch.rand(3, 5, generator=rng())
    row = torch.arange(3).repeat(4_000)
    for drawn in (draw_rows(table, row, generator=rng(1)), draw_each(table[row], generator=rng(2))):
        for k in range(3):
            counts = np.bincount(drawn[row == k].numpy(), minlength=5)
            expected = (table[k] / table[k].sum()).double().numpy()
            assert reference.chisquare(counts, expected / expected.sum() * counts.sum()).pvalue > ALARM


def test_clusters_find_what_lies_apart():
    middle = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    x = (middle[:, None] + torch.randn(3, 200, 2, generator=rng())).reshape(-1, 2)
    best = max((nearest(x, centres(x, 3, generator=rng(s))) for s in range(5)), key=lambda a: len(a.unique()))
    parts = [best[200 * k : 200 * (k + 1)] for k in range(3)]
    assert sum(len(p.unique()) for p in parts) <= 5
    assert len(centres(x[:2], 5, generator=rng())) == 5


# stepwise EM ------------------------------------------------------------------------------------------------------
class Coin:
    """A learner of one number, the share of ones, that a person can follow."""

    def __init__(self):
        self.p, self.calls = torch.tensor(0.5), 0

    def statistics(self, rows, weight=None, kept=1.0):
        self.calls += 1
        seen = rows[:, 0] < 2
        return {"ones": (rows[:, 0] == 1).sum().float() / kept, "all": seen.sum().float() / kept}

    def maximise(self, stats, anew=False):
        self.p = stats["ones"] / stats["all"]

    def state(self):
        return {"p": self.p}

    def restore(self, tensors):
        self.p = tensors["p"]


def begun() -> Course:
    return Course(stats={"ones": torch.tensor(50.0), "all": torch.tensor(100.0)})


def test_one_row_is_sure_of_nothing_and_many_alike_are():
    assert not surpasses(torch.tensor([1.0])) and not surpasses(torch.tensor([]))
    assert surpasses(torch.tensor([1.0, 1.1, 0.9]), 4.0) and not surpasses(torch.tensor([1.0, -0.9]))


def test_stepwise_em_finds_the_share_and_says_where_it_is():
    rows = (torch.rand(4_000, 1, generator=rng()) < 0.3).long()
    told: list[int] = []
    coin = Coin()
    course = stepwise(
        coin, rows, torch.tensor([2]), Schedule(6, batch=500, hide=0.2), begun(), tell=lambda e, n, s: told.append(e)
    )
    assert abs(float(coin.p) - float(rows.double().mean())) < 0.02
    assert told == [1, 2, 3, 4, 5, 6] and course.step == 48 == coin.calls


@pytest.mark.parametrize("stop", [1, 3])
def test_a_fit_that_goes_on_is_the_fit_that_was_never_stopped(stop):
    rows = (torch.rand(2_000, 1, generator=rng()) < 0.3).long()
    plan, unknown = Schedule(5, batch=300, hide=0.3), torch.tensor([2])
    whole = Coin()
    stepwise(whole, rows, unknown, plan, begun())
    kept: list[dict] = []

    class Killed(Exception):
        pass

    def keep(course):
        kept.append(
            {"stats": {k: v.clone() for k, v in course.stats.items()}, "state": dict(course.state), "step": course.step}
        )
        if len(kept) == stop:
            raise Killed

    with pytest.raises(Killed):
        stepwise(Coin(), rows, unknown, plan, begun(), keep=keep)
    coin = Coin()
    stepwise(coin, rows, unknown, plan, Course(**kept[-1]))
    assert torch.equal(coin.p, whole.p)


@pytest.mark.parametrize(("sure", "kept"), [(True, "best"), (False, "last")])
def test_the_last_state_is_kept_unless_the_best_is_better_for_certain(sure, kept):
    """The scores fall with the share, which falls from 1/2: by as much in each row, or by anything."""
    rows = (torch.rand(4_000, 1, generator=rng()) < 0.3).long()
    slope = torch.ones(100) if sure else torch.linspace(-1.0, 1.01, 100)
    coin = Coin()
    coin.p = torch.tensor(0.5)
    states: list[float] = []
    course = stepwise(
        coin, rows, torch.tensor([2]), Schedule(4, batch=1_000, hide=0.0), begun(), score=lambda: coin.p * slope,
        tell=lambda *_: states.append(float(coin.p)),
    )  # fmt: skip
    assert len(course.history) == 4 and states[0] > states[-1]
    assert float(coin.p) == float(course.best["p"]) == (max(states) if kept == "best" else states[-1])
    assert course.best_score == pytest.approx(float(coin.p * slope.mean()))


def test_an_interrupted_fit_keeps_its_best_state():
    rows = torch.zeros(100, 1, dtype=torch.long)

    def tell(epoch, epochs, score):
        if epoch == 2:
            raise KeyboardInterrupt

    course = stepwise(Coin(), rows, torch.tensor([2]), Schedule(50, hide=0.0), begun(), tell=tell)
    assert course.ended == INTERRUPTED and course.best
    quick = stepwise(Coin(), rows, torch.tensor([2]), Schedule(50_000, hide=0.0), begun(), seconds=0.05)
    assert quick.ended == STOPPED and quick.step < 50_000
