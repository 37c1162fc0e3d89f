"""What must hold for autoencoders: what they restore, what noise teaches them, and what they have no law for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import logsumexp
from test_circuit_laws import discrete
from test_naive_bayes import table
from test_pictures import shown

import begat
from begat import Autoencoder
from begat.core import Batch
from begat.errors import BegatError, DataError, NotOffered
from begat.random import Noise

SMALL: dict[str, Any] = {"width": 32, "latent": 3, "epochs": 30, "batch": 64}
NOISES = ("masking", "gaussian", "none")
over = pytest.mark.parametrize("noise", NOISES)


def keyed(rows: pd.DataFrame) -> pd.Series:
    return rows.astype(object).where(rows.notna(), "gap").apply(tuple, axis=1)


@over
def test_rows_are_restored_from_their_latent(noise):
    """Levels of nine rows of ten and more where the latent has room for them, and by chance far fewer."""
    frame = discrete(2_000)
    level = {"masking": 0.1, "gaussian": 0.1, "none": 0.3}[noise]
    model = Autoencoder(**{**SMALL, "latent": 6, "width": 64}, noise=noise, level=level).fit(frame)
    back = model.denoise(frame)
    assert list(back.columns) == list(frame.columns) and (back.dtypes == frame.dtypes).all()
    for name in ("a", "b", "c"):
        by_chance = frame[name].value_counts(normalize=True).max()
        assert (back[name] == frame[name]).mean() > max(0.9, by_chance)
    assert model.encode(frame).shape == (2_000, 6) and np.isfinite(model.log_restored(frame)).all()
    between = model.interpolate(frame.iloc[[0]], frame.iloc[[1]], steps=4, random_state=0)
    assert len(between) == 4
    with pytest.raises(DataError, match="one row each"):
        model.interpolate(frame.iloc[:2], frame.iloc[[1]])


def test_noise_is_taken_out_of_what_lies_on_a_line():
    """Points of a circle with noise of .1 on it come half as near to the circle's line."""
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, 3_000)
    circle = np.stack([np.cos(angle), np.sin(angle)], 1)
    model = Autoencoder(width=64, latent=2, epochs=60, batch=128, noise="gaussian", level=0.3).fit(circle)
    noisy = circle[:500] + 0.15 * rng.normal(size=(500, 2))
    off = np.abs(np.linalg.norm(noisy, axis=1) - 1).mean()
    assert np.abs(np.linalg.norm(model.denoise(noisy), axis=1) - 1).mean() < off / 2


@pytest.mark.parametrize("noise", ["masking", "gaussian"])
def test_the_chain_draws_what_the_data_are_like(noise):
    """Shares of all rows within .18 in total variation, where independent columns have .57 and chance .06."""
    frame = discrete(4_000)
    how = {"masking": {"level": 0.3, "steps": 30}, "gaussian": {"level": 0.4, "steps": 50}}[noise]
    model = Autoencoder(width=64, latent=6, epochs=40, batch=128, noise=noise, **how).fit(frame)
    truth = keyed(discrete(50_000)).value_counts(normalize=True)

    def gap(drawn: pd.DataFrame) -> float:
        seen = keyed(drawn).value_counts(normalize=True)
        return float((truth.subtract(seen, fill_value=0)).abs().sum() / 2)

    assert gap(model.sample(5_000, random_state=0)) < 0.18


def test_masking_teaches_each_column_given_the_others():
    """P(c | the others) against its share among rows that have the same others: mean nats within .03."""
    frame = discrete(6_000)
    model = Autoencoder(width=64, latent=6, epochs=60, batch=128).fit(frame, "c")
    held = discrete(20_000)
    p = model.predict_proba(held[:4_000])
    assert np.allclose(p.sum(1), 1)
    others = keyed(held.drop(columns="c"))
    share = held.groupby(others)["c"].transform(lambda c: (c == "yes").mean()).to_numpy()[:4_000].clip(1e-3, 1 - 1e-3)
    yes = (held["c"][:4_000] == "yes").to_numpy()
    best = np.where(yes, np.log(share), np.log1p(-share)).mean()
    found = np.log(p[np.arange(4_000), yes.astype(int)]).mean()
    assert found > best - 0.03
    assert logsumexp(-model.surprise(held[:50])["a"].to_numpy()) > -np.inf


@over
@pytest.mark.parametrize("y", ["income", "price", None])
def test_the_verbs_of_a_mixed_table(noise, y, tmp_path):
    frame = table(300)
    model = Autoencoder(**{**SMALL, "epochs": 2}, noise=noise, steps=3).fit(frame, y)
    model.save(tmp_path / "a.safetensors")
    again = begat.load(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(again.encode(frame), model.encode(frame))
    pd.testing.assert_frame_equal(again.denoise(frame), model.denoise(frame))
    for verb in ("log_prob", "score", "score_samples"):
        assert not hasattr(model, verb)
    with pytest.raises(NotOffered, match=r"Autoencoder has no log_prob: .*VAE does"):
        _ = model.log_prob
    if noise == "none":
        with pytest.raises(
            NotOffered, match="has no law to draw from; fit it with noise='masking' or noise='gaussian'"
        ):
            model.sample(3)
        return
    drawn = model.sample(50, random_state=0)
    assert list(drawn.columns) == list(frame.columns) and (drawn.dtypes == frame.dtypes).all()
    pd.testing.assert_frame_equal(drawn, again.sample(50, random_state=0))
    filled = model.impute(frame, random_state=0)
    assert not filled.isna().any().any() and (filled["age"] == frame["age"]).all()
    assert model.sample(20, given={"age": (30, 40)}, random_state=0)["age"].between(30, 40).all()
    if noise == "masking":
        assert len(model.surprise(frame)) == 300
        if y is not None:
            assert len(model.predict(frame)) == 300
    else:
        with pytest.raises(NotOffered, match="fit it with noise='masking'"):
            model.surprise(frame)


@pytest.mark.parametrize(
    ("how", "said"),
    [({"noise": "salt"}, "noise is 'salt'"), ({"level": 0}, "level is 0"), ({"level": 1.0}, "a probability, below 1")],
)
def test_a_hyper_parameter_that_is_none_is_refused(how, said):
    with pytest.raises(BegatError, match=said):
        Autoencoder(**how).fit(discrete(50))


def test_gaussian_noise_of_a_vanishing_level_leaves_places_and_masking_its_share():
    frame = table(400)
    for noise, level in (("gaussian", 1e-6), ("masking", 0.25)):
        model = Autoencoder(**{**SMALL, "epochs": 1}, noise=noise, level=level).fit(frame).model_
        cells = torch.stack([torch.randint(0, p.size, (2_000,)) for p in model.places], 1)
        seen = model._corrupted(cells, Noise(0, 2_000))
        gone = seen == model.sizes
        if noise == "gaussian":
            # a place of no mass has no rank of its own
            massive = torch.stack([p.log_base.exp()[c] > 1e-4 for p, c in zip(model.places, cells.T, strict=True)], 1)
            assert ((seen == cells) | ~massive).all()
        else:
            assert abs(float(gone.float().mean()) - 0.25) < 0.01 and (seen[~gone] == cells[~gone]).all()


def test_pictures_are_denoised():
    X, _ = shown(600)
    model = Autoencoder(width=64, latent=6, epochs=40, batch=64, level=0.3).fit(X)
    holes = X[:100].copy()
    holes[np.random.default_rng(0).random(holes.shape) < 0.3] = np.nan
    back = model.denoise(holes)
    assert back.shape == X[:100].shape
    bright, gone = X[:100] == 3, np.isnan(holes)
    assert (back[gone & bright] >= 1.5).mean() > 0.6 and (back[gone & ~bright] < 1.5).mean() > 0.8
    assert isinstance(model.model_.nothing(1), Batch)
