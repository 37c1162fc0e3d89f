"""What must hold for variational autoencoders: bounds lie below, weighted latents agree with the joint they weigh."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_circuit_laws import discrete

from begat import VAE
from begat.errors import DataError

QUICK: dict[str, Any] = {"width": 32, "latent": 3, "epochs": 30, "batch": 64}


# the bound --------------------------------------------------------------------------------------------------------


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
