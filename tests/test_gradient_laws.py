"""What must hold for every family that is learnt by gradients and scored by draws: a table of constructors times laws.

Autoregression, whose answers are exact in its order, has laws of its own (test_autoregressive)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp
from test_circuit_laws import discrete, every, known
from test_naive_bayes import table

from begat import VAE, Diffusion, Flow
from begat.errors import BegatError, EvidenceError

CODER = {"width": 32, "latent": 3, "epochs": 30, "batch": 64}
MAPS = {"width": 32, "depth": 1, "transforms": 3, "epochs": 30, "batch": 64}
NOISY = {"width": 32, "depth": 1, "epochs": 10, "batch": 64, "samples": 16}
MODELS: dict[str, Callable[..., Any]] = {
    "autoencoder": lambda **how: VAE(**{**CODER, **how}),
    "flow": lambda **how: Flow(**{**MAPS, **how}),
    "flow, autoregressive": lambda **how: Flow(**{**MAPS, "structure": "autoregressive", **how}),
    "flow, affine": lambda **how: Flow(**{**MAPS, "maps": "affine", **how}),
    "flow, affine, autoregressive": lambda **how: Flow(
        **{**MAPS, "maps": "affine", "structure": "autoregressive", **how}
    ),
    "diffusion": lambda **how: Diffusion(**{**NOISY, **how}),
}
over = pytest.mark.parametrize("name", MODELS)
FEW = pytest.mark.parametrize("name", ["autoencoder", "flow", "diffusion"])
WEIGHED = {"autoencoder": 4_000, "flow": 2_000}
"""Families whose conditionals are draws weighted by the one joint, and draws that make a bound all but exact."""
weighed = pytest.mark.parametrize("name", WEIGHED)


# the joint, written out -------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def fits() -> dict[str, tuple[Any, pd.DataFrame, np.ndarray]]:
    """Fits, all rows that each can give, and their log-probabilities."""
    frame, out = discrete(), {}
    for name, samples in WEIGHED.items():
        model = MODELS[name](samples=samples, schema=known(frame)).fit(frame)
        rows = every(model)
        out[name] = model, rows, model.log_prob(rows)
    return out


def keyed(rows: pd.DataFrame, left: list[str]) -> pd.Series:
    rest = rows.drop(columns=left)
    return rest.astype(object).where(rest.notna(), "gap").apply(tuple, axis=1)


def asking(model: Any, samples: int, **changes: Any) -> Any:
    """The same fit asked with other numbers of draws."""
    other = copy.deepcopy(model).set_params(**changes)
    other.model_.samples = samples
    return other


@weighed
def test_masses_of_all_rows_sum_to_one(fits, name):
    """As far as some thousand draws a row tell."""
    assert abs(logsumexp(fits[name][2])) < 0.02


@weighed
def test_a_bound_rises_to_the_log_probability_with_its_draws(fits, name):
    """Means over all rows: Burda et al. (2016), theorem 1."""
    model, rows, log_p = fits[name]
    means = [asking(model, k).log_prob(rows).mean() for k in (1, 16, 256)]
    assert means[0] < means[1] - 0.003 and means[1] < means[2] + 0.02
    assert abs(means[2] - log_p.mean()) < 0.03 and model.likelihood.relation == "<="


@weighed
def test_what_is_unknown_is_integrated_out(fits, name):
    model, rows, log_p = fits[name]
    for left in (["a"], ["b", "noise"], ["a", "b", "c"]):
        keys, some = keyed(rows, left), rows.assign(**dict.fromkeys(left, None))
        full = rows["k"].notna().to_numpy()
        summed = keys.map(pd.Series(log_p).groupby(keys).agg(logsumexp)).to_numpy()
        found = asking(model, model.samples // 2, missing="unknown").log_prob(some)
        np.testing.assert_allclose(found[full], summed[full], atol=0.1)


@weighed
def test_surprise_is_a_ratio_of_joints(fits, name):
    model, rows, log_p = fits[name]
    few = (log_p > -6).nonzero()[0][:20]
    odd = model.surprise(rows.iloc[few])
    for column in rows:
        keys = keyed(rows, [column])
        whole = keys.map(pd.Series(log_p).groupby(keys).agg(logsumexp)).to_numpy()
        np.testing.assert_allclose(odd[column].to_numpy(), (whole - log_p)[few], atol=0.1)


@weighed
def test_draws_follow_the_joint(fits, name):
    """Shares of 20,000 rows within .05 of the joint's in total variation; chance has .03."""
    model, rows, log_p = fits[name]
    seen = keyed(model.sample(20_000, random_state=0), []).value_counts(normalize=True)
    assert np.abs(seen.reindex(keyed(rows, []), fill_value=0).to_numpy() - np.exp(log_p)).sum() / 2 < 0.05


@weighed
@pytest.mark.parametrize("given", [{"a": "x"}, {"a": ["x", "z"], "k": (1, 3)}, {"k": None, "c": "yes"}])
def test_evidence_is_the_joint_cut_to_it(fits, name, given):
    """By 500 draws a row (flows, which go both ways, 100): shares of 2,000 rows within .1 in total variation."""
    model, rows, log_p = fits[name]
    inside = np.ones(len(rows), bool)
    for column, wanted in given.items():
        values = rows[column]
        if wanted is None:
            inside &= values.isna().to_numpy()
        elif isinstance(wanted, tuple):
            inside &= values.between(*wanted).fillna(False).to_numpy(bool)
        else:
            inside &= values.isin([wanted] if isinstance(wanted, str) else wanted).to_numpy()
    drawn = asking(model, 500 if name == "autoencoder" else 100).sample(2_000, given=given, random_state=1)
    seen = keyed(drawn, []).value_counts(normalize=True)
    wanted = np.where(inside, np.exp(log_p), 0.0)
    gap = seen.reindex(keyed(rows, []), fill_value=0).to_numpy() - wanted / wanted.sum()
    assert seen.reindex(keyed(rows, [])[~inside], fill_value=0).sum() == 0 and np.abs(gap).sum() / 2 < 0.1


# what is asked of a table -----------------------------------------------------------------------------------------
@over
@pytest.mark.parametrize("y", ["income", "price", None])
def test_the_verbs_of_a_mixed_table(name, y):
    frame = table(400)
    model = MODELS[name](epochs=5).fit(frame, y)
    drawn = model.sample(300, random_state=0)
    assert list(drawn.columns) == list(frame.columns) and (drawn.dtypes == frame.dtypes).all()
    filled = model.impute(frame, random_state=0)
    assert not filled.isna().any().any()
    pd.testing.assert_series_equal(filled["height"][frame["height"].notna()], frame["height"].dropna())
    assert np.isfinite(model.log_prob(frame)).all()
    few = frame.iloc[:50]
    assert np.isfinite(model.surprise(few).to_numpy()[few.notna()]).all()
    middle = float(frame["price"].median())
    inside = model.sample(100, given={"age": (30, 40), "price": (None, middle)}, random_state=0)
    assert inside["age"].between(30, 40).all() and (inside["price"] <= middle).all()
    if y == "income":
        np.testing.assert_allclose(model.predict_proba(frame).sum(1), 1, atol=1e-9)
        one = model.classes_[1]
        assert set(model.sample(20, y=one, random_state=0)[y]) == {one}
    if y == "price":
        assert np.isfinite(model.predict(frame)).all()
        assert len(model.surprise(frame.drop(columns="price").iloc[:5])) == 5


@FEW
def test_the_same_seed_is_the_same_fit_and_a_row_has_its_answer_in_any_batch(name):
    frame = table(400)
    a, b, c = (MODELS[name](random_state=s).fit(frame, "income") for s in (0, 0, 1))
    whole = a.log_prob(frame)
    assert (whole == b.log_prob(frame)).all() and (whole != c.log_prob(frame)).any()
    np.testing.assert_allclose(a.log_prob(frame.iloc[[17]]), whole[[17]], rtol=1e-5)
    order = np.random.default_rng(0).permutation(400)
    np.testing.assert_allclose(a.log_prob(frame.iloc[order]), whole[order], rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "how", "said"),
    [
        ("autoencoder", {"latent": 0}, "latent"), ("autoencoder", {"beta": 0}, "beta"),
        ("autoencoder", {"free": -1}, "free"), ("autoencoder", {"samples": 0}, "samples"),
        ("flow", {"maps": "cubic"}, "maps"), ("flow", {"structure": "ring"}, "structure"),
        ("flow", {"bins": 0}, "bins"), ("flow", {"width": "auto"}, "width"), ("flow", {"transforms": 0}, "transforms"),
        ("flow", {"hide": 2}, "hide"),
        ("diffusion", {"path": "ring"}, "path"), ("diffusion", {"target": "w"}, "target"),
        ("diffusion", {"solver": "rk"}, "solver"), ("diffusion", {"steps": 0}, "steps"),
        ("diffusion", {"guidance": -1}, "guidance"), ("diffusion", {"hide": "auto"}, "hide"),
    ],
)  # fmt: skip
def test_a_hyper_parameter_that_is_none_is_refused(name, how, said):
    with pytest.raises(BegatError, match=said):
        MODELS[name](**how).fit(discrete(100))


@FEW
def test_impossible_evidence_one_column_and_few_rows(name):
    frame = discrete()
    model = MODELS[name](schema=known(frame)).fit(frame)
    with pytest.raises(EvidenceError):
        model.sample(3, given={"k": 12})
    for columns, y in ((["a"], None), (["a", "b"], "b"), (["a"], "a")):
        small = MODELS[name](epochs=2).fit(frame[columns], y)
        assert np.isfinite(small.log_prob(frame[columns])).all() and len(small.sample(3)) == 3
    for rows in (1, 2, 30):
        few = table(60).iloc[:rows].assign(same=1.5, nothing=None)
        small = MODELS[name](epochs=2).fit(few)
        assert np.isfinite(small.log_prob(few)).all() and len(small.sample(3)) == 3
