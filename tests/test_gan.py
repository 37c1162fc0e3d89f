"""What must hold for generative adversarial networks: draws that follow the data, and nothing that needs a density."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.distance import cdist
from test_circuit_laws import discrete
from test_naive_bayes import table
from test_pictures import shown
from torch import nn

import begat
from begat import GAN, NaiveBayes
from begat.core import Batch, Spec
from begat.errors import BegatError, DataError, EvidenceError, NotOffered
from begat.estimators import training
from begat.families.gan import GAMES, Judge
from begat.families.gan import GAN as Model
from begat.fitting.loop import held_out_score, train
from begat.fitting.plan import Plan
from begat.nets.adversaries import RowJudge, RowSizes

SMALL: dict[str, Any] = {"width": 32, "depth": 2, "latent": 4, "epochs": 20, "batch": 64}
TINY: dict[str, Any] = {**SMALL, "epochs": 2}


def moons(n: int, seed: int = 0) -> pd.DataFrame:
    """Two half circles, and which of them a point is on."""
    rng = np.random.default_rng(seed)
    angle, side = rng.uniform(0, np.pi, n), rng.integers(0, 2, n)
    x = np.where(side == 0, np.cos(angle), 1 - np.cos(angle)) + 0.05 * rng.normal(size=n)
    y = np.where(side == 0, np.sin(angle), 0.5 - np.sin(angle)) + 0.05 * rng.normal(size=n)
    return pd.DataFrame({"x": x, "y": y, "side": np.array(["up", "down"])[side]})


def apart(one: pd.DataFrame, two: pd.DataFrame) -> float:
    """The energy distance of rows: 2 E|a - b| - E|a - a'| - E|b - b'| (Szekely and Rizzo, 2013, definition 1)."""
    a, b = (pd.get_dummies(frame, dtype=float).to_numpy() for frame in (one, two))
    return float(2 * cdist(a, b).mean() - cdist(a, a).mean() - cdist(b, b).mean())


# draws ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("loss", ["relativistic", "classical"])
@pytest.mark.parametrize("y", ["side", None])
def test_draws_are_nearer_to_the_data_than_a_matched_gaussian(loss, y):
    """By a factor of four in energy distance, of 1,000 draws (two samples of the data have .002)."""
    frame, held = moons(2_000), moons(1_000, seed=1)
    model = GAN(width=64, depth=3, epochs=60, batch=128, loss=loss).fit(frame, y)
    gaussian = NaiveBayes(task="density", leaves="gaussian").fit(frame).sample(1_000, random_state=0)
    assert apart(held, model.sample(1_000, random_state=0)) < apart(held, gaussian) / 4
    assert model.history_[-1] > 0.9


def test_a_judge_mends_what_the_generator_left():
    """Shares of all rows, 5,000 draws: nearer in total variation by a fifth at least; chance is .03."""
    frame = discrete(3_000)
    model = GAN(**{**SMALL, "epochs": 6}).fit(frame)
    truth = discrete(100_000).astype(object).fillna("gap").apply(tuple, axis=1).value_counts(normalize=True)

    def gap() -> float:
        drawn = model.sample(5_000, random_state=0).astype(object).fillna("gap").apply(tuple, axis=1)
        return float((truth - drawn.value_counts(normalize=True).reindex(truth.index, fill_value=0)).abs().sum() / 2)

    judged = gap()
    model.model_.candidates = 1
    assert judged < 0.8 * gap()


def test_a_judge_knows_the_odds_of_two_laws():
    """log N(x; 0, 1) - log N(x; 1, 1) = 1/2 - x, within .25 where both laws have points."""

    class Shift(nn.Module):
        def forward(self, noise: Any, label: Any) -> Any:
            return noise[:, :1] + 1.0

    class Line:
        def real(self, batch: Any, noise: Any) -> Any:
            return batch.x[0]

        def rows(self, points: Any, label: Any, *, generator: Any) -> Any: ...

    net = nn.ModuleDict(
        {"generator": Shift(), "judge": RowJudge(RowSizes(1, 1, 0, 32, 2), torch.Generator().manual_seed(0))}
    )
    judge = Judge(Model(Spec(()), Line(), net, 2, None, GAMES["classical"], 0.0, 2))  # type: ignore[arg-type]
    x = torch.randn(4_000, 1, generator=torch.Generator().manual_seed(0))
    train(judge, Batch((x,), (None,)), Plan(steps=400, batch=512, rate=2e-3, average=0.99))
    at = torch.linspace(-1, 2, 13)[:, None]
    assert (judge.net(judge.net.read(at), None) - (0.5 - at[:, 0])).abs().max() < 0.25
    assert held_out_score(judge, Batch((x[:200],), (None,)), 0)().mean() > -2 * np.log(2)


def test_a_mode_that_is_lost_is_warned_of():
    """Without penalties a generator that is far ahead of its discriminator's gradients gives up most of 25 modes."""
    rng = np.random.default_rng(0)
    at = np.stack(np.meshgrid(np.arange(5.0), np.arange(5.0)), -1).reshape(-1, 2)
    frame = pd.DataFrame(at[rng.integers(25, size=3_000)] + 0.03 * rng.normal(size=(3_000, 2)), columns=["a", "b"])
    rotated = frame.assign(a=frame["a"] + 0.7 * frame["b"], b=frame["b"] - 0.7 * frame["a"])
    with pytest.warns(UserWarning, match="the generator has lost modes"):
        GAN(width=64, depth=3, epochs=3, penalty=0.0, loss="minimax", rate=0.02, candidates=1).fit(rotated)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = GAN(width=64, depth=3, epochs=100, batch=128).fit(rotated)
    assert model.history_[-1] > 0.75


def test_a_game_that_is_lost_is_kept_as_it_ended_and_draws_stay_near_the_data():
    """Coverage only tells how it went, and no draw lies where a float's last digit would have it."""
    rng = np.random.default_rng(0)
    angle = rng.integers(8, size=800) * np.pi / 4
    frame = pd.DataFrame({"a": np.cos(angle), "b": np.sin(angle)}) + 0.05 * rng.normal(size=(800, 2))
    how: dict[str, Any] = {"width": 32, "depth": 2, "batch": 64, "loss": "minimax", "penalty": 0.0, "candidates": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GAN(**how, rate=0.03, epochs=10).fit(frame)
    held, _ = training.held_out(800, 0.05, 0)
    found = model._coverage(frame_pieces(model, frame), Plan(steps=1))
    assert found is not None and float(found().mean()) == pytest.approx(model.history_[-1], abs=1e-6) and len(held)
    assert model.sample(500, random_state=0).abs().max().max() < 10


def frame_pieces(model: GAN, frame: pd.DataFrame) -> Batch:
    """A table as the players read it."""
    batch = model._joint.put(model.border_.encode(frame, missing="outcome", unseen="error").batch)
    return model.model_.space.cube.pieces(model.model_.space.found(batch), None)


@pytest.mark.parametrize("name", GAMES)
def test_games_at_a_discriminator_that_knows_nothing(name):
    """log 2 of each draw and real row; and a generator gains by what looks real, whatever the game."""
    zero = torch.zeros(3)
    first = GAMES[name].discriminator(zero, zero)
    assert torch.allclose(first, torch.full((3,), np.log(2) * (1 if name == "relativistic" else 2)))
    assert (GAMES[name].generator(zero, zero + 1) < GAMES[name].generator(zero, zero)).all()
    assert (GAMES[name].discriminator(zero + 1, zero - 1) < first).all()


# what is asked of a table -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("y", ["income", "price", None])
def test_the_verbs_of_a_mixed_table(y, tmp_path):
    frame = table(400)
    model = GAN(**TINY).fit(frame, y)
    drawn = model.sample(300, random_state=0)
    assert list(drawn.columns) == list(frame.columns) and (drawn.dtypes == frame.dtypes).all()
    pd.testing.assert_frame_equal(drawn, GAN(**TINY).fit(frame, y).sample(300, random_state=0))
    model.save(tmp_path / "g.safetensors")
    again = begat.load(tmp_path / "g.safetensors")
    pd.testing.assert_frame_equal(again.sample(50, random_state=1), model.sample(50, random_state=1))
    assert again.history_ == model.history_ and "discriminator" not in again.model_.net


def test_evidence_is_met_by_drawing():
    frame = discrete(2_000)
    model = GAN(**SMALL).fit(frame, "c")
    assert (model.sample(20, y="yes", random_state=0)["c"] == "yes").all()
    drawn = model.sample(60, given={"a": ["x", "z"], "k": (1, 3)}, random_state=0)
    assert drawn["a"].isin(["x", "z"]).all() and drawn["k"].between(1, 3).all()
    wanted = pd.DataFrame({"a": ["x", "z", "x"], "c": ["yes", None, "no"]})
    each = model.sample(given=wanted, random_state=0)
    assert list(each["a"]) == ["x", "z", "x"] and each["c"].iloc[0] == "yes" and each["c"].iloc[2] == "no"


def test_evidence_that_no_draw_meets():
    frame = moons(300)
    model = GAN(**TINY).fit(frame)
    with pytest.raises(EvidenceError, match="no draw has exactly this 'x'; give a range"):
        model.sample(2, given={"x": 0.5})
    assert model.sample(5, given={"x": (0.0, 1.0)})["x"].between(0, 1).all()
    with pytest.raises(EvidenceError, match="no probability"):
        model.sample(1, given={"x": (50.0, 51.0)})


@pytest.mark.parametrize(
    "verb", ["log_prob", "score", "score_samples", "predict", "predict_proba", "surprise", "impute"]
)
def test_what_needs_a_density_is_not_there(verb):
    model = GAN(**TINY).fit(discrete(200), "c")
    assert not hasattr(model, verb) and not hasattr(GAN, verb) and not hasattr(model, "likelihood")
    with pytest.raises(NotOffered, match=rf"GAN has no {verb}: .*Circuit"):
        getattr(model, verb)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"loss": "hinge"}, "loss is 'hinge'"),
        ({"penalty": -1}, "penalty is -1"),
        ({"candidates": 0}, "candidates is 0"),
    ],
)
def test_a_hyper_parameter_that_is_none_is_refused(how, said):
    with pytest.raises(BegatError, match=said):
        GAN(**how).fit(discrete(50))


def test_one_column_few_rows_and_only_a_class():
    frame = discrete(60)
    assert len(GAN(**TINY).fit(frame[["a"]]).sample(5)) == 5
    assert len(GAN(**TINY).fit(frame.iloc[:3]).sample(5)) == 5
    assert set(GAN(**TINY).fit(frame[["c"]], "c").sample(20)["c"]) <= {"yes", "no"}


# pictures ---------------------------------------------------------------------------------------------------------
def test_pictures_are_drawn(tmp_path):
    """Lines across and down: seven of ten draws have a row or a column that is all bright, where independent pixels
    have one of ten."""
    X, y = shown(600, levels=9)
    model = GAN(width=24, epochs=80, batch=64, rate=2e-3, penalty=0.5, candidates=8).fit(X, y)
    drawn, of = model.sample(200, return_y=True, random_state=0)
    assert drawn.shape == (200, 4, 5) and drawn.dtype == X.dtype and set(of) == {"across", "down"}
    bright = drawn >= 6
    assert (bright.all(1).any(1) | bright.all(2).any(1)).mean() > 0.7
    across = bright[of == "across"].all(2).any(1)
    assert across.mean() > 0.7
    model.save(tmp_path / "g.safetensors")
    np.testing.assert_array_equal(
        begat.load(tmp_path / "g.safetensors").sample(9, random_state=0), model.sample(9, random_state=0)
    )
    with pytest.raises(DataError, match="number as target"):
        GAN(**TINY).fit(X, np.linspace(0, 1, len(X)))
