"""What must hold for diffusion: bounds lie below what they bound, draws agree with it, evidence is kept.

Its network is learnt: that paths, solvers and likelihoods are right is checked in test_paths, with an exact one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import kstest, multivariate_normal
from test_naive_bayes import table

from begat import Diffusion
from begat.errors import DataError
from begat.maths.ode import SOLVERS
from begat.maths.path import PATHS, TARGETS
from begat.random import Noise

QUICK: dict[str, Any] = {"width": 32, "depth": 1, "epochs": 10, "batch": 64, "samples": 16}


# a law that is known ------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def normal() -> tuple[Any, pd.DataFrame, Any]:
    """A fit to 3,000 rows of a normal law in two columns, correlated by .9, and the law."""
    law = multivariate_normal([1.0, -2.0], [[1.0, 1.8], [1.8, 4.0]], seed=0)
    frame = pd.DataFrame(law.rvs(3_000), columns=["a", "b"])
    model = Diffusion(width=64, depth=1, epochs=150, batch=128, hide=0.4, leaves="gaussian", samples=256).fit(frame)
    return model, pd.DataFrame(law.rvs(400), columns=["a", "b"]), law


def test_a_bound_lies_below_and_an_estimate_beside_the_law(normal):
    """Means over 400 rows of its own, whose standard error is about .03: the bound is at most .03 above the law and at
    most .15 below, where independent columns are .83 below; the ODE's estimate within .1."""
    model, rows, law = normal
    exact, bound = law.logpdf(rows), model.log_prob(rows)
    assert -0.15 < bound.mean() - exact.mean() < 0.03
    assert abs(model.log_ode(rows).mean() - exact.mean()) < 0.1
    assert abs(model.log_ode(rows, probes=20).mean() - exact.mean()) < 0.1
    assert model.likelihood.relation == "<=" and model.likelihood.samples == 256


@pytest.mark.parametrize("solver", SOLVERS)
def test_draws_follow_the_law(normal, solver):
    """Of 4,000 rows, in three directions: a Kolmogorov distance below .05, where chance has .03 in one of 1,000."""
    model, _, law = normal
    model.model_.solver, model.model_.steps = SOLVERS[solver], 100 if SOLVERS[solver].order != 2 else 25
    drawn = model.sample(4_000, random_state=0).to_numpy()
    for way in ([1, 0], [0, 1], [2, -1]):
        mean, variance = np.dot(way, law.mean), np.dot(way, law.cov @ way)
        assert kstest(drawn @ way, "norm", (mean, variance**0.5)).statistic < 0.05


def test_evidence_is_the_law_cut_to_it(normal):
    """b given a = 2: normal, of mean -.2 and deviation .87 (2 without), as far as a fit of seconds learns it; and given
    a > 2 by the law's own draws."""
    model, _, law = normal
    drawn = model.sample(2_000, given={"a": 2.0}, random_state=0)
    assert (drawn["a"] == 2.0).all()
    assert abs(drawn["b"].mean() + 0.2) < 0.12 and abs(drawn["b"].std() - 0.87) < 0.2
    tail = model.sample(1_000, given={"a": (2.0, None)}, random_state=0)
    real = law.rvs(200_000)
    assert (tail["a"] >= 2.0).all() and abs(tail["b"].mean() - real[real[:, 0] > 2, 1].mean()) < 0.15


# networks -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("target", TARGETS)
def test_every_path_and_target_learns(path, target):
    """Two columns hang together in draws as they do in the rows; gradients reach every parameter."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=2_000)
    frame = pd.DataFrame({"a": a, "b": a + 0.3 * rng.normal(size=2_000), "y": np.where(a > 0, "up", "down")})
    model = Diffusion(width=48, depth=1, epochs=25, batch=64, path=path, target=target, leaves="gaussian").fit(
        frame, "y"
    )
    drawn = model.sample(1_000, random_state=0)
    assert np.corrcoef(drawn["a"], drawn["b"])[0, 1] > 0.7
    maths = model.model_
    maths.requires_grad_(True).train()
    batch = maths.cube.pieces(maths.found(model._joint.put(model.border_.encode(
        frame.iloc[:128], None, missing="outcome", unseen="error").batch)), None)  # fmt: skip
    maths.objectives()[0].loss(batch, Noise(0, 128)).mean().backward()
    silent = [name for name, p in maths.named_parameters() if p.grad is None or not bool(p.grad.any())]
    assert not silent


def test_guidance_makes_classes_easier_to_tell():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 2_000)
    frame = pd.DataFrame({"a": y + 1.0 * rng.normal(size=2_000), "y": np.array(["no", "yes"])[y]})
    gap = []
    for weight in (1.0, 3.0):
        model = Diffusion(width=48, depth=1, epochs=25, batch=64, leaves="gaussian", guidance=weight).fit(frame, "y")
        means = model.sample(3_000, random_state=0).groupby("y")["a"].mean()
        gap.append(means["yes"] - means["no"])
    assert abs(gap[0] - 1) < 0.25 and gap[1] > gap[0] + 0.3


# what is asked of a table -----------------------------------------------------------------------------------------


def test_torch_keeps_its_own_random_state():
    before = torch.random.get_rng_state()
    Diffusion(**{**QUICK, "epochs": 1}).fit(table(60), "income").sample(5, random_state=0)
    assert torch.equal(before, torch.random.get_rng_state())


def test_scores_are_of_the_law_that_was_learnt():
    """Guidance and chains are for draws: answers of incomplete rows do not know them, nor what stands beside a row."""
    frame = table(300)
    model = Diffusion(**QUICK, missing="outcome").fit(frame, "income")
    some, maths = frame.iloc[:20].drop(columns="income"), model.model_
    asked = model._joint.put(model.border_.partial(some.assign(height=None), "error"))
    plain = maths.log_prob(asked)
    maths.guidance, maths.solver = 4.0, SOLVERS["ancestral"]
    np.testing.assert_array_equal(plain, maths.log_prob(asked))
    turned = maths.log_prob(asked.rows(torch.arange(19, -1, -1))).flip(0)
    np.testing.assert_allclose(turned, plain, rtol=1e-5)


def test_an_ode_is_asked_of_complete_rows_in_whole_steps():
    frame = table(200)
    model = Diffusion(**QUICK).fit(frame, "price")
    with pytest.raises(DataError, match="complete rows"):
        model.log_ode(frame.drop(columns="price"))
    for how in ({"steps": 0}, {"steps": 1.5}, {"probes": 0}, {"probes": "a"}):
        with pytest.raises(DataError, match=next(iter(how))):
            model.log_ode(frame, **how)


def test_many_rows_share_the_draws_of_one_region():
    frame = table(300)
    model = Diffusion(**QUICK).fit(frame, "income")
    top = float(frame["price"].quantile(0.98))
    drawn = model.sample(400, given={"price": (top, None)}, random_state=0)
    assert len(drawn) == 400 and (drawn["price"] >= top).all() and drawn["job"].nunique() > 1
