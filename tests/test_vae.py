"""What must hold for variational autoencoders: bounds lie below, weighted latents agree with the joint they weigh."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import logsumexp
from test_circuit_laws import discrete, every, known
from test_naive_bayes import table

from begat import VAE
from begat.errors import BegatError, DataError, EvidenceError

QUICK: dict[str, Any] = {"width": 32, "latent": 3, "epochs": 30, "batch": 64}


@pytest.fixture(scope="module")
def fit() -> tuple[Any, pd.DataFrame, np.ndarray]:
    """A fit, all rows that it can give, and their log-probabilities by 4,000 latents: all but exact."""
    frame = discrete()
    model = VAE(**QUICK, samples=4_000, schema=known(frame)).fit(frame)
    rows = every(model)
    return model, rows, model.log_prob(rows)


def keyed(rows: pd.DataFrame, left: list[str]) -> pd.Series:
    rest = rows.drop(columns=left)
    return rest.astype(object).where(rest.notna(), "gap").apply(tuple, axis=1)


def like(model: Any, **changes: Any) -> Any:
    """The same fit under other ways of asking."""
    other = VAE(**model.get_params()).set_params(**{k: v for k, v in changes.items() if k != "samples"})
    other.__dict__.update({k: v for k, v in vars(model).items() if k.endswith("_") or k == "_size"})
    if "samples" in changes:
        other.model_ = VAE._model(other, model._places, model._size, torch.Generator().manual_seed(0))
        other.model_.net.load_state_dict(model.model_.net.state_dict())
        other.model_.samples = changes["samples"]
        other.model_.eval().requires_grad_(False)
    return other


# the bound --------------------------------------------------------------------------------------------------------
def test_masses_of_all_rows_sum_to_one(fit):
    """As far as 4,000 weighted latents a row tell."""
    assert abs(logsumexp(fit[2])) < 0.02


def test_a_bound_rises_to_the_log_probability_with_its_samples(fit):
    """Means over all rows: Burda et al. (2016), theorem 1."""
    model, rows, log_p = fit
    means = [like(model, samples=k).log_prob(rows).mean() for k in (1, 10, 100)]
    assert means[0] < means[1] - 0.003 and means[1] < means[2] + 0.02
    assert abs(means[2] - log_p.mean()) < 0.03


def test_what_is_unknown_is_integrated_out(fit):
    model, rows, log_p = fit
    for left in (["a"], ["b", "noise"], ["a", "b", "c"]):
        keys, some = keyed(rows, left), rows.assign(**dict.fromkeys(left, None))
        full = rows["k"].notna().to_numpy()
        summed = keys.map(pd.Series(log_p).groupby(keys).agg(logsumexp)).to_numpy()
        np.testing.assert_allclose(like(model, missing="unknown").log_prob(some)[full], summed[full], atol=0.1)


def test_surprise_is_a_ratio_of_joints(fit):
    model, rows, log_p = fit
    odd = model.surprise(rows)
    likely = log_p > -7
    for column in rows:
        keys = keyed(rows, [column])
        whole = keys.map(pd.Series(log_p).groupby(keys).agg(logsumexp)).to_numpy()
        np.testing.assert_allclose(odd[column].to_numpy()[likely], (whole - log_p)[likely], atol=0.1)


def test_draws_follow_the_joint(fit):
    """Shares of 20,000 rows within .05 of the joint's in total variation; chance has .03."""
    model, rows, log_p = fit
    seen = keyed(model.sample(20_000, random_state=0), []).value_counts(normalize=True)
    assert np.abs(seen.reindex(keyed(rows, []), fill_value=0).to_numpy() - np.exp(log_p)).sum() / 2 < 0.05


@pytest.mark.parametrize("given", [{"a": "x"}, {"a": ["x", "z"], "k": (1, 3)}, {"k": None, "c": "yes"}])
def test_evidence_is_the_joint_cut_to_it(fit, given):
    """By 500 latents a row: shares of 2,000 rows within .1 in total variation."""
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
    drawn = like(model, samples=500).sample(2_000, given=given, random_state=1)
    seen = keyed(drawn, []).value_counts(normalize=True)
    wanted = np.where(inside, np.exp(log_p), 0.0)
    gap = seen.reindex(keyed(rows, []), fill_value=0).to_numpy() - wanted / wanted.sum()
    assert seen.reindex(keyed(rows, [])[~inside], fill_value=0).sum() == 0 and np.abs(gap).sum() / 2 < 0.1


def test_a_density_integrates_to_one():
    rng = np.random.default_rng(0)
    a = rng.normal(size=1_000)
    frame = pd.DataFrame({"a": a, "b": np.exp(0.3 * a + 0.2 * rng.normal(size=1_000))})
    model = VAE(**QUICK, samples=200).fit(frame)
    x, y = np.linspace(-6, 6, 121), np.linspace(0.01, 8, 161)
    grid = pd.DataFrame({"a": np.repeat(x, len(y)), "b": np.tile(y, len(x))})
    mass = np.exp(model.log_prob(grid)).sum() * (x[1] - x[0]) * (y[1] - y[0])
    assert 0.9 < mass < 1.03  # bounds of P lie below it
    assert model.likelihood.relation == "<=" and model.likelihood.samples == 200


# what is asked of a table -----------------------------------------------------------------------------------------
def test_a_latent_tells_a_row():
    frame = discrete(2_000)
    model = VAE(**QUICK).fit(frame)
    z = model.encode(frame)
    assert z.shape == (2_000, 3) and np.isfinite(z).all()
    drawn = model.decode(z, random_state=0)
    same, by_chance = (
        (drawn["a"] == frame["a"]).mean(),
        (frame["a"].sample(frac=1, random_state=0).to_numpy() == frame["a"]).mean(),
    )
    assert same > by_chance + 0.1
    between = model.interpolate(frame.iloc[[0]], frame.iloc[[1]], steps=5, random_state=0)
    assert len(between) == 5 and list(between.columns) == list(frame.columns)
    with pytest.raises(DataError, match="expected finite numbers"):
        model.decode(z[:, :2])
    with pytest.raises(DataError, match="one row each"):
        model.interpolate(frame.iloc[:2], frame.iloc[[1]])


@pytest.mark.parametrize("y", ["income", "price", None])
def test_the_verbs_of_a_mixed_table(y):
    frame = table(600)
    model = VAE(**QUICK).fit(frame, y)
    drawn = model.sample(300, random_state=0)
    assert list(drawn.columns) == list(frame.columns) and (drawn.dtypes == frame.dtypes).all()
    filled = model.impute(frame, random_state=0)
    assert not filled.isna().any().any()
    assert (
        np.isfinite(model.log_prob(frame)).all() and np.isfinite(model.surprise(frame).to_numpy()[frame.notna()]).all()
    )
    if y == "income":
        p = model.predict_proba(frame)
        np.testing.assert_allclose(p.sum(1), 1, atol=1e-9)
        assert set(
            model.sample(20, y="high" if "high" in set(frame[y]) else frame[y].iloc[0], random_state=0)[y]
        ) <= set(frame[y])
    if y == "price":
        assert np.isfinite(model.predict(frame)).all()


def test_it_beats_independent_columns():
    """Two columns that agree in nine rows of ten."""
    rng = np.random.default_rng(0)
    a = rng.integers(0, 4, 4_000)
    b = np.where(rng.random(4_000) < 0.9, a, rng.integers(0, 4, 4_000))
    frame = pd.DataFrame({"a": np.array(list("wxyz"))[a], "b": np.array(list("wxyz"))[b]})
    model = VAE(width=64, latent=2).fit(frame.iloc[:3_000])
    p = 0.9 + 0.1 / 4
    best = -np.log(4) + p * np.log(p) + (1 - p) * np.log(0.1 / 4)
    assert -2 * np.log(4) + 0.6 < model.score(frame.iloc[3_000:]) < best + 0.05


def test_the_same_seed_is_the_same_fit_and_a_row_has_its_answer_in_any_batch():
    frame = table(400)
    a, b, c = (VAE(**QUICK, random_state=s).fit(frame, "income") for s in (0, 0, 1))
    whole = a.log_prob(frame)
    assert (whole == b.log_prob(frame)).all() and (whole != c.log_prob(frame)).any()
    np.testing.assert_allclose(a.log_prob(frame.iloc[[17]]), whole[[17]], rtol=1e-5)
    order = np.random.default_rng(0).permutation(400)
    np.testing.assert_allclose(a.log_prob(frame.iloc[order]), whole[order], rtol=1e-5)


@pytest.mark.parametrize(
    ("how", "said"),
    [({"latent": 0}, "latent"), ({"beta": 0}, "beta"), ({"free": -1}, "free"), ({"samples": 0}, "samples")],
)
def test_a_hyper_parameter_that_is_none_is_refused(how, said):
    with pytest.raises(BegatError, match=said):
        VAE(**{**QUICK, **how}).fit(discrete(100))


def test_impossible_evidence_and_few_rows():
    frame = discrete()
    model = VAE(**QUICK, schema=known(frame)).fit(frame)
    with pytest.raises(EvidenceError):
        model.sample(3, given={"k": 12})
    for rows in (1, 2, 30):
        few = table(60).iloc[:rows].assign(same=1.5, nothing=None)
        small = VAE(width=16, latent=2, epochs=2).fit(few)
        assert np.isfinite(small.log_prob(few)).all() and len(small.sample(3)) == 3
