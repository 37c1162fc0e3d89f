"""What must hold for flows: maps invert, densities integrate to one, weighted draws agree with the joint they weigh."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import logsumexp
from test_circuit_laws import discrete, every, known
from test_naive_bayes import table

from begat import Flow
from begat.core import Batch
from begat.errors import BegatError, DataError, EvidenceError
from begat.maths.bijections import BIJECTIONS
from begat.nets.couplings import Sizes, Step, levels

QUICK: dict[str, Any] = {"width": 32, "depth": 1, "transforms": 3, "epochs": 30, "batch": 64}


# maps -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", BIJECTIONS)
@pytest.mark.parametrize("bins", [1, 5])
def test_a_map_is_undone_and_its_slope_is_its_derivative(name, bins):
    """In float64, at 2,000 numbers under parameters of their own; the identity where these are zero."""
    rng = torch.Generator().manual_seed(0)
    maps = BIJECTIONS[name]
    x = 0.001 + 0.998 * torch.rand(2_000, generator=rng, dtype=torch.float64)
    p = 0.5 * torch.randn(maps.size(bins), 2_000, generator=rng, dtype=torch.float64)
    x.requires_grad_(True)
    y, log_slope = maps.forward(x, p)
    (slope,) = torch.autograd.grad(y.sum(), x)
    np.testing.assert_allclose(log_slope.detach(), slope.log(), atol=1e-8)
    np.testing.assert_allclose(maps.inverse(y, p).detach(), x.detach(), atol=1e-4)  # near 1 y has few digits
    same, flat = maps.forward(x, torch.zeros_like(p))
    np.testing.assert_allclose(same.detach(), x.detach(), atol=1e-6)
    np.testing.assert_allclose(flat.detach(), 0, atol=1e-6)
    ends = maps.forward(torch.tensor([0.0, 1.0], dtype=torch.float64), p[:, :2])[0]
    assert ((ends >= 0) & (ends <= 1)).all()


HOW = [{}, {"structure": "autoregressive"}, {"maps": "affine"}, {"maps": "affine", "structure": "autoregressive"}]


@pytest.mark.parametrize("how", HOW, ids=str)
@pytest.mark.parametrize("y", ["income", None])
def test_draws_are_what_the_maps_undo(how, y):
    """Ranks pushed through and pulled back, with and without known ones, and every parameter has a gradient."""
    frame = table(300)
    model = Flow(**{**QUICK, "epochs": 3}, **how).fit(frame, y)
    maths, rng = model.model_, torch.Generator().manual_seed(0)
    maths.double()
    label = None if maths.cube.label is None else torch.randint(0, 2, (200,), generator=rng)
    e, u = (
        0.01 + 0.98 * torch.rand(200, len(maths.cube.columns), generator=rng, dtype=torch.float64) for _ in range(2)
    )
    some = torch.rand(u.shape, generator=rng) < 0.4
    for told in (None, some):
        made = maths._pushed(e, u, told, label)
        x, total = made.T, 0.0
        for step in maths.net:
            x, log_slope = maths._moved(step, x, None if told is None else told.T, label)
            total = total + log_slope.sum(0)
        wanted = e if told is None else torch.where(told, u, e)
        np.testing.assert_allclose(x.T, wanted, atol=1e-5)
        np.testing.assert_allclose(maths._log_f(made, told, label), total, atol=1e-9)
        if told is not None:
            assert (made[told] == u[told]).all()
    maths.float().requires_grad_(True).train()
    batch = Batch((u.float(), torch.zeros_like(u).float()), (None, None), label)
    from begat.random import Noise

    maths.objectives()[0].loss(batch, Noise(0, 200)).mean().backward()
    silent = [name for name, p in maths.named_parameters() if p.grad is None or not p.numel()]
    assert set(n.rpartition(".")[2] for n in silent) <= ({"enter_label"} if y is None else set())


@pytest.mark.parametrize("how", HOW, ids=str)
def test_the_slopes_are_the_determinant(how):
    """log f is log |det| of what the maps make of the ranks, by autodiff in float64."""
    model = Flow(**{**QUICK, "epochs": 3}, **how).fit(table(300), "income")
    maths = model.model_.double()
    u = 0.05 + 0.9 * torch.rand(
        5, len(maths.cube.columns), generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    label = torch.tensor([0, 1, 0, 1, 0])
    for i in range(5):
        jacobian = torch.autograd.functional.jacobian(lambda one, y=label[[i]]: maths._pulled(one[None], y)[0], u[i])
        wanted = torch.linalg.slogdet(jacobian)[1]
        np.testing.assert_allclose(maths._log_f(u[[i]], None, label[[i]])[0], wanted, atol=1e-6)


# densities --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("how", HOW, ids=str)
def test_a_density_integrates_to_one_and_is_exact(how):
    """Over a grid of steps .05; the maps are smooth on them."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=1_000)
    frame = pd.DataFrame({"a": a, "b": a + 0.5 * rng.normal(size=1_000)})
    model = Flow(**{**QUICK, "epochs": 60}, leaves="gaussian", **how).fit(frame)
    assert model.likelihood.relation == "="
    x = np.arange(-7, 7, 0.05)
    grid = pd.DataFrame({"a": np.repeat(x, len(x)), "b": np.tile(x, len(x))})
    assert abs(np.exp(model.log_prob(grid)).sum() * 0.05**2 - 1) < 0.02
    floor = Flow(**{**QUICK, "epochs": 1, "rate": 1e-9}, leaves="gaussian").fit(frame)
    assert model.score(frame) > floor.score(frame) + 0.4  # what the two have in common is .80 nats


@pytest.fixture(scope="module")
def fit() -> tuple[Any, pd.DataFrame, np.ndarray]:
    """A fit, all rows that it can give, and their log-probabilities by 2,000 draws: all but exact."""
    frame = discrete()
    model = Flow(**QUICK, samples=2_000, schema=known(frame)).fit(frame)
    rows = every(model)
    return model, rows, model.log_prob(rows)


def keyed(rows: pd.DataFrame, left: list[str]) -> pd.Series:
    rest = rows.drop(columns=left)
    return rest.astype(object).where(rest.notna(), "gap").apply(tuple, axis=1)


def asking(model: Any, samples: int, **changes: Any) -> Any:
    """The same fit asked with other numbers of draws."""
    other = Flow(**model.get_params()).set_params(**changes)
    other.__dict__.update({k: v for k, v in vars(model).items() if k.endswith("_") or k in ("_sizes", "_levels")})
    other.model_ = Flow._model(other, model._places, model._sizes, torch.Generator().manual_seed(0))
    other.model_.net.load_state_dict(model.model_.net.state_dict())
    other.model_.samples = samples
    other.model_.eval().requires_grad_(False)
    return other


def test_masses_of_all_rows_sum_to_one(fit):
    """As far as 2,000 draws a row tell."""
    assert abs(logsumexp(fit[2])) < 0.02


def test_a_bound_rises_to_the_log_probability_with_its_draws(fit):
    """Means over all rows: Burda et al. (2016), theorem 1."""
    model, rows, log_p = fit
    means = [asking(model, k).log_prob(rows).mean() for k in (1, 16, 256)]
    assert means[0] < means[1] + 1e-3 and means[1] < means[2] + 0.01
    assert abs(means[2] - log_p.mean()) < 0.02 and model.likelihood.relation == "<="


def test_what_is_unknown_is_integrated_out(fit):
    model, rows, log_p = fit
    for left in (["a"], ["b", "noise"], ["a", "b", "c"]):
        keys, some = keyed(rows, left), rows.assign(**dict.fromkeys(left, None))
        full = rows["k"].notna().to_numpy()
        summed = keys.map(pd.Series(log_p).groupby(keys).agg(logsumexp)).to_numpy()
        np.testing.assert_allclose(asking(model, 500, missing="unknown").log_prob(some)[full], summed[full], atol=0.1)


def test_surprise_is_a_ratio_of_joints(fit):
    model, rows, log_p = fit
    few = (log_p > -6).nonzero()[0][:20]
    odd = model.surprise(rows.iloc[few])
    for column in rows:
        keys = keyed(rows, [column])
        whole = keys.map(pd.Series(log_p).groupby(keys).agg(logsumexp)).to_numpy()
        np.testing.assert_allclose(odd[column].to_numpy(), (whole - log_p)[few], atol=0.1)


def test_draws_follow_the_joint(fit):
    """Shares of 20,000 rows within .05 of the joint's in total variation; chance has .03."""
    model, rows, log_p = fit
    seen = keyed(model.sample(20_000, random_state=0), []).value_counts(normalize=True)
    assert np.abs(seen.reindex(keyed(rows, []), fill_value=0).to_numpy() - np.exp(log_p)).sum() / 2 < 0.05


@pytest.mark.parametrize("given", [{"a": "x"}, {"a": ["x", "z"], "k": (1, 3)}, {"k": None, "c": "yes"}])
def test_evidence_is_the_joint_cut_to_it(fit, given):
    """By 100 draws a row: shares of 2,000 rows within .1 in total variation."""
    model, rows, log_p = fit
    inside = np.ones(len(rows), bool)
    for column, wanted in given.items():
        values = rows[column]
        if wanted is None:
            inside &= values.isna().to_numpy()
        elif isinstance(wanted, tuple):
            inside &= values.between(*wanted).fillna(False).to_numpy(bool)
        else:
            inside &= values.isin([wanted] if isinstance(wanted, str) else wanted).to_numpy()
    drawn = asking(model, 100).sample(2_000, given=given, random_state=1)
    seen = keyed(drawn, []).value_counts(normalize=True)
    wanted = np.where(inside, np.exp(log_p), 0.0)
    gap = seen.reindex(keyed(rows, []), fill_value=0).to_numpy() - wanted / wanted.sum()
    assert seen.reindex(keyed(rows, [])[~inside], fill_value=0).sum() == 0 and np.abs(gap).sum() / 2 < 0.1


# what is asked of a table -----------------------------------------------------------------------------------------
def test_rows_are_functions_of_the_base_where_columns_are_continuous():
    rng = np.random.default_rng(0)
    a = rng.normal(size=500)
    frame = pd.DataFrame({"a": a, "b": a**2 + 0.1 * rng.normal(size=500)})
    model = Flow(**QUICK).fit(frame)
    z = model.encode(frame)
    assert z.shape == (500, 2) and np.isfinite(z).all()
    back = model.decode(z, random_state=0)
    middle = np.abs(z).max(1) < 2.5
    np.testing.assert_allclose(back[middle], frame[middle], atol=0.02)
    with pytest.raises(DataError, match="expected finite numbers"):
        model.decode(z[:, :1])
    labelled = Flow(**QUICK).fit(frame.assign(y=np.where(a > 0, "up", "down")), "y")
    drawn = labelled.decode(labelled.encode(frame.assign(y="up")), y="up", random_state=0)
    assert set(drawn["y"]) == {"up"}


@pytest.mark.parametrize("how", HOW, ids=str)
@pytest.mark.parametrize("y", ["income", "price", None])
def test_the_verbs_of_a_mixed_table(how, y):
    frame = table(400)
    model = Flow(**{**QUICK, "epochs": 5}, **how).fit(frame, y)
    drawn = model.sample(300, random_state=0)
    assert list(drawn.columns) == list(frame.columns) and (drawn.dtypes == frame.dtypes).all()
    filled = model.impute(frame, random_state=0)
    assert not filled.isna().any().any()
    assert np.isfinite(model.log_prob(frame)).all()
    few = frame.iloc[:50]
    assert np.isfinite(model.surprise(few).to_numpy()[few.notna()]).all()
    if y == "income":
        p = model.predict_proba(frame)
        np.testing.assert_allclose(p.sum(1), 1, atol=1e-9)
        one = model.classes_[1]
        assert set(model.sample(20, y=one, random_state=0)[y]) == {one}
    if y == "price":
        assert np.isfinite(model.predict(frame)).all()


def test_regions_of_numbers_hold():
    frame = table(400)
    model = Flow(**QUICK).fit(frame, "income")
    drawn = model.sample(200, given={"age": (30, 40), "price": (None, float(frame["price"].median()))}, random_state=0)
    assert drawn["age"].between(30, 40).all() and (drawn["price"] <= frame["price"].median()).all()


def test_the_same_seed_is_the_same_fit_and_a_row_has_its_answer_in_any_batch():
    frame = table(400)
    a, b, c = (Flow(**QUICK, random_state=s).fit(frame, "income") for s in (0, 0, 1))
    whole = a.log_prob(frame)
    assert (whole == b.log_prob(frame)).all() and (whole != c.log_prob(frame)).any()
    np.testing.assert_allclose(a.log_prob(frame.iloc[[17]]), whole[[17]], rtol=1e-5)
    order = np.random.default_rng(0).permutation(400)
    np.testing.assert_allclose(a.log_prob(frame.iloc[order]), whole[order], rtol=1e-5)


def test_units_of_a_continuous_column_shift_its_density_alone():
    """Rescaled by 1,000: the same ranks, the same flow, log p lower by log 1,000."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=800)
    frame = pd.DataFrame({"a": a, "b": 2 * a + rng.normal(size=800)})
    one, other = (Flow(**QUICK, leaves="gaussian").fit(f) for f in (frame, frame * [1000.0, 1.0]))
    shifted = other.log_prob(frame * [1000.0, 1.0]) + np.log(1000)
    np.testing.assert_allclose(one.log_prob(frame), shifted, atol=0.02)


@pytest.mark.parametrize(
    ("how", "said"),
    [({"maps": "cubic"}, "maps"), ({"structure": "ring"}, "structure"), ({"bins": 0}, "bins"),
     ({"width": "auto"}, "width"), ({"transforms": 0}, "transforms"), ({"hide": 2}, "hide"),
     ({"samples": 0}, "samples")],
)  # fmt: skip
def test_a_hyper_parameter_that_is_none_is_refused(how, said):
    with pytest.raises(BegatError, match=said):
        Flow(**{**QUICK, **how}).fit(discrete(100))


def test_impossible_evidence_one_column_and_few_rows():
    frame = discrete()
    model = Flow(**QUICK, schema=known(frame)).fit(frame)
    with pytest.raises(EvidenceError):
        model.sample(3, given={"k": 12})
    for columns, y in ((["a"], None), (["a", "b"], "b"), (["a"], "a")):
        small = Flow(**{**QUICK, "epochs": 2}).fit(frame[columns], y)
        assert np.isfinite(small.log_prob(frame[columns])).all() and len(small.sample(3)) == 3
    for rows in (1, 2, 30):
        few = table(60).iloc[:rows].assign(same=1.5, nothing=None)
        small = Flow(**{**QUICK, "epochs": 2}).fit(few)
        assert np.isfinite(small.log_prob(few)).all() and len(small.sample(3)) == 3


def test_what_a_region_tells_of_the_class_is_told():
    """Classes at -3 and 3: of rows between 2 and 4 all but a hundredth are of one."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 1_500)
    frame = pd.DataFrame({"x": np.where(y == 1, 3, -3) + rng.normal(size=1_500), "y": np.array(["a", "b"])[y]})
    model = Flow(**QUICK).fit(frame, "y")
    drawn = model.sample(500, given={"x": (2, 4)}, random_state=0)
    assert drawn["x"].between(2, 4).all() and (drawn["y"] == "b").mean() > 0.97


@pytest.mark.parametrize("columns", [2, 3, 12])
def test_autoregressive_steps_move_every_column_by_all_before_it(columns):
    """Whatever the width: the Jacobian of a step under random weights is triangular, and all below it is there."""
    rng = torch.Generator().manual_seed(0)
    (order,) = levels(columns, 1, autoregressive=True, rng=rng)
    step = Step(order, Sizes(columns, 0, BIJECTIONS["spline"].size(4), 6, 2), rng).double()
    for p in step.parameters():
        p.data = torch.randn(p.shape, generator=rng, dtype=torch.float64)
    assert step.moved.tolist() == list(range(columns))
    u = torch.rand(columns, 1, generator=rng, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda x: step(x, None, None)[:, :, 0].sum(0), u)[:, :, 0]
    seen = jacobian.abs() > 1e-12
    assert not torch.triu(seen).any()
    assert seen[-1, :-1].all()


def test_rows_with_unknown_cells_and_laws_that_overflow_are_refused():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=60), "b": rng.normal(size=60)})
    frame.iloc[3, 0] = np.nan
    with pytest.raises(DataError, match="row 3, column 0"):
        Flow(**QUICK, missing="unknown").fit(frame)
    with pytest.raises(DataError, match="overflow"):
        Flow(**QUICK).fit(pd.DataFrame({"a": rng.choice([-1, 1], 60) * rng.random(60) * 1.7e308}))
