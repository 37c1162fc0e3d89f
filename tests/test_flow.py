"""What must hold for flows: maps invert, densities integrate to one, weighted draws agree with the joint they weigh."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from test_naive_bayes import table

from begat import Flow
from begat.core import Batch
from begat.errors import DataError
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


def test_units_of_a_continuous_column_shift_its_density_alone():
    """Rescaled by 1,000: the same ranks, the same flow, log p lower by log 1,000."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=800)
    frame = pd.DataFrame({"a": a, "b": 2 * a + rng.normal(size=800)})
    one, other = (Flow(**QUICK, leaves="gaussian").fit(f) for f in (frame, frame * [1000.0, 1.0]))
    shifted = other.log_prob(frame * [1000.0, 1.0]) + np.log(1000)
    np.testing.assert_allclose(one.log_prob(frame), shifted, atol=0.02)


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
