"""What must hold where columns lean on another: every answer is still that of one joint, whatever is known of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import logsumexp
from test_circuit_laws import SINGLE, same

import begat
from begat import Circuit
from begat.codecs.source import open_source
from begat.errors import BegatError, DataError, EvidenceError
from begat.families.coupled import Coupled
from begat.maths.entropy import spacings

WIDE = np.arange(-30, 90)
"""Whole numbers that hold all but a trillionth of the columns below."""


def leaning(n: int = 700, seed: int = 0) -> pd.DataFrame:
    """A number h, two that follow it closely, one of them with gaps, a level that follows what is left, and another."""
    rng = np.random.default_rng(seed)
    h = np.clip(np.rint(rng.normal(30, 6, n)), 8, 52).astype(int)
    left = rng.choice([-1, 0, 2], n, p=[0.3, 0.5, 0.2])
    x = h + left
    y = pd.array(60 - h + rng.integers(-1, 2, n), dtype="Int64")
    y[rng.random(n) < 0.1] = None
    kind = np.where(rng.random(n) < 0.9, left > 0, rng.random(n) < 0.5)
    return pd.DataFrame({"h": h, "x": x, "y": y, "kind": np.where(kind, "big", "small"), "odd": rng.normal(size=n)})


MODELS: dict[str, dict[str, Any]] = {
    "tree": {"units": 6},
    "many states": {"units": 40, "hide": 0.0},
    "mixture": {"units": 5, "shape": "mixture"},
    "one state": {"units": 1},
    "kernels on the hub": {"units": 5, "leaves": {"h": "kde"}},
}
over = pytest.mark.parametrize("name", MODELS)
ROW = {"h": 30, "x": 30, "y": 31, "kind": "small", "odd": 0.2}


@pytest.fixture(scope="module")
def fits() -> dict[str, Any]:
    frame = leaning()
    return {name: Circuit(**how, lean_on="h", epochs=6, missing="unknown").fit(frame) for name, how in MODELS.items()}


def grid(model: Any, *columns: str, **fixed: Any) -> tuple[pd.DataFrame, np.ndarray]:
    """The row above with every whole number in these columns, and their log-probabilities."""
    each = np.stack([side.ravel() for side in np.meshgrid(*[WIDE] * len(columns), indexing="ij")], 1)
    rows = pd.DataFrame([ROW | fixed] * len(each))
    rows[list(columns)] = each
    return rows, model.log_prob(rows)


def without(*columns: str, **fixed: Any) -> pd.DataFrame:
    row = pd.DataFrame([ROW | fixed]).astype({c: object for c in columns})
    row.loc[0, list(columns)] = None
    return row


def test_these_columns_lean(fits):
    for model in fits.values():
        assert isinstance(model.model_, Coupled)
        assert model.model_.coupling.columns == (1, 2)


@over
@pytest.mark.parametrize("left", [["x"], ["h"], ["y"], ["h", "x"], ["h", "y"], ["x", "y"]])
def test_a_marginal_is_a_sum_of_the_joint(fits, name, left):
    _, log_p = grid(fits[name], *left)
    assert abs(logsumexp(log_p) - fits[name].log_prob(without(*left))[0]) < SINGLE


@over
@pytest.mark.parametrize("unknown", [[], ["h"], ["x"], ["h", "y"]])
def test_surprise_is_a_ratio_of_joints(fits, name, unknown):
    model, row = fits[name], without(*unknown)
    odd, whole = model.surprise(row).iloc[0], model.log_prob(row)[0]
    for column in set(ROW) - set(unknown):
        others = model.log_prob(without(*unknown, column))[0]
        assert abs(odd[column] - (others - whole)) < 5 * SINGLE, column
    assert odd[unknown].isna().all()


@over
def test_evidence_on_what_leans_and_on_what_is_leant_on_is_the_joint_cut_to_it(fits, name):
    model = fits[name]
    for given, columns in (
        ({"x": (31, 33), "kind": "big", "y": 28, "odd": 0.0}, ["h", "x"]),
        ({"h": (29, 31), "x": (None, 29), "kind": "small", "y": 31, "odd": 0.0}, ["h", "x"]),
        ({"h": [29, 30], "y": 30, "kind": "big", "odd": 0.0}, ["h", "x"]),
        ({"h": 30, "x": 30, "kind": "big", "odd": 0.0}, ["y", "y"]),
    ):
        fixed = {k: v for k, v in given.items() if not isinstance(v, tuple | list)}
        rows, log_p = grid(model, *dict.fromkeys(columns), **fixed)
        p = np.exp(log_p)
        for column, value in given.items():
            if isinstance(value, tuple):
                low, high = (-np.inf if value[0] is None else value[0]), value[1]
                p = np.where(rows[column].between(low, high), p, 0.0)
            elif isinstance(value, list):
                p = np.where(rows[column].isin(value), p, 0.0)
        drawn = model.sample(4_000, given=given, random_state=1)
        seen = drawn[columns].apply(tuple, axis=1).value_counts()
        same(seen.reindex(rows[columns].apply(tuple, axis=1), fill_value=0).to_numpy(), p)


@over
@pytest.mark.parametrize("left", [["h"], ["h", "x"], ["x"]])
def test_imputation_draws_from_the_posterior(fits, name, left):
    model = fits[name]
    rows, log_p = grid(model, *left)
    full = model.impute(pd.concat([without(*left)] * 4_000, ignore_index=True), random_state=2)
    seen = full[left].astype(int).apply(tuple, axis=1).value_counts()
    same(seen.reindex(rows[left].apply(tuple, axis=1), fill_value=0).to_numpy(), np.exp(log_p))
    for column in set(ROW) - set(left):
        assert (full[column] == ROW[column]).all()


@over
def test_draws_follow_the_joint(fits, name):
    model = fits[name]
    rows, _ = grid(model, "h", "x")
    log_p = model.log_prob(rows.assign(y=pd.NA, kind=None, odd=np.nan))
    drawn = model.sample(20_000, random_state=0)[["h", "x"]].astype(int).apply(tuple, axis=1).value_counts()
    same(drawn.reindex(rows[["h", "x"]].apply(tuple, axis=1), fill_value=0).to_numpy(), np.exp(log_p))


@over
def test_classes_follow_bayes_rule_whatever_is_unknown(name):
    frame = leaning()
    model = Circuit(**MODELS[name], lean_on="h", epochs=6, missing="unknown").fit(frame, "kind")
    for unknown in ([], ["h"], ["x"], ["h", "x"]):
        X = without(*unknown).drop(columns="kind")
        each = np.stack([model.log_prob(X, [c]) for c in model.classes_], 1)
        np.testing.assert_allclose(model.predict_log_proba(X), each - logsumexp(each, 1)[:, None], atol=SINGLE)
        np.testing.assert_allclose(model.log_prob(X), logsumexp(each, 1), atol=SINGLE)


@over
def test_an_expected_number_that_leans_is_a_sum_over_the_joint(name):
    model = Circuit(**MODELS[name], lean_on="h", epochs=6, missing="unknown").fit(leaning(), "x")
    for unknown in ([], ["h"], ["h", "y"]):
        rows, log_p = grid(model, "x")
        for column in unknown:
            rows[column] = pd.NA
        log_p = model.log_prob(rows)
        mean = (np.exp(log_p - logsumexp(log_p)) * WIDE).sum()
        assert abs(model.predict(without(*unknown).drop(columns="x"))[0] - mean) < 1e-2


def test_what_is_most_probable_is_the_mode_of_one_state(fits):
    model = fits["one state"]
    rows, log_p = grid(model, "h")
    assert model.most_probable(without("h"))["h"].iloc[0] == rows["h"].iloc[int(log_p.argmax())]
    rows, log_p = grid(model, "h", "x")
    best = rows.iloc[int(log_p.argmax())]
    assert (model.most_probable(without("h", "x"))[["h", "x"]].iloc[0] == best[["h", "x"]]).all()


@over
def test_what_is_most_probable_keeps_what_is_known(fits, name):
    frame = leaning(60, seed=3)
    some = frame.astype({"h": "Int64", "x": "Int64"})
    some.loc[::2, "h"] = None
    some.loc[::3, "x"] = None
    full = fits[name].most_probable(some)
    for column in some:
        held = some[column].notna()
        assert (full.loc[held, column] == some.loc[held, column]).all() and full[column].notna().all()
    assert np.isfinite(fits[name].log_prob(full)).all()


def test_marginals_are_ratios_of_joints(fits):
    model = fits["tree"]
    law = model.marginal("h", WIDE, given={"x": 33, "kind": "big"})
    assert law.sum() == pytest.approx(1, abs=SINGLE)
    assert model.marginal("x", WIDE, given={"h": (20, 40)}).sum() == pytest.approx(1, abs=SINGLE)


def test_one_file_holds_it(fits, tmp_path):
    frame = leaning(80, seed=5)
    for name, model in fits.items():
        model.save(tmp_path / "m.safetensors")
        again = begat.load(tmp_path / "m.safetensors")
        np.testing.assert_array_equal(again.log_prob(frame), model.log_prob(frame), err_msg=name)
        np.testing.assert_array_equal(again.log_prob(frame.assign(h=pd.NA)), model.log_prob(frame.assign(h=pd.NA)))
        pd.testing.assert_frame_equal(again.sample(20, random_state=3), model.sample(20, random_state=3))


def test_rescaling_what_leans_or_is_leant_on_shifts_the_density():
    rng = np.random.default_rng(0)
    h = rng.normal(size=600)
    x = np.stack([h, 2 * h + 0.1 * rng.normal(size=600), rng.normal(size=600)], 1)
    moved = x * [1, 4.0, 1] + [0, 0, 3.0]
    a, b = (Circuit(units=8, epochs=5, lean_on="x0").fit(each) for each in (x, moved))
    assert isinstance(a.model_, Coupled)
    np.testing.assert_allclose(b.log_prob(moved), a.log_prob(x) - np.log(4.0), atol=5e-3)


def test_leaning_is_chosen_where_it_pays_and_only_there():
    rng = np.random.default_rng(1)
    h = rng.normal(100, 20, 3_000).round(1)
    near = pd.DataFrame({"h": h, "x": (1.5 * h + rng.normal(0, 0.3, 3_000)).round(1), "z": rng.normal(size=3_000)})
    far = near.assign(x=(h + rng.normal(0, 20, 3_000)).round(1))
    assert isinstance(Circuit(units=8, epochs=2).fit(near).model_, Coupled)
    for how, frame in (({}, far), ({"lean_on": None}, near), ({"leaves": "gaussian"}, near)):
        assert not isinstance(Circuit(units=8, epochs=2, **how).fit(frame).model_, Coupled)
    schema = begat.codecs.infer.infer(near).change("x", lower=0.0).change("h", lower=0.0)
    assert not isinstance(Circuit(units=8, epochs=2, schema=schema).fit(near).model_, Coupled)


@over
def test_places_far_from_what_is_known_are_not_cut_where_a_region_wants_them(fits, name):
    """y says that h is near 29, the region of x that it is near 60: what is left is small, and still a sum."""
    model = fits[name]
    rows, log_p = grid(model, "h", "x")
    inside = rows["x"].between(60, 62)
    asked = model._asked(model.border_.evidence(1, None, {"x": (60, 62)})[1])
    known = model.border_.partial(without("h", "x"))
    found = float(model.model_.log_prob(known, asked)[0])
    assert abs(found - logsumexp(log_p[inside])) < 1e-3


def test_an_impossible_row_is_named():
    frame = leaning()
    schema = begat.codecs.infer.infer(frame).change("odd", lower=-9.0, upper=9.0)
    model = Circuit(units=4, epochs=2, lean_on="h", schema=schema).fit(frame)
    given = pd.concat([without("x")] * 3_000, ignore_index=True)
    given.loc[2_500, "odd"] = 20.0
    with pytest.raises(EvidenceError, match="row 2500"):
        model.sample(given=given, random_state=0)


def test_what_cannot_be_leant_on_is_refused(fits):
    with pytest.raises(DataError, match="cannot be leant on"):
        Circuit(lean_on="kind").fit(leaning(60))
    with pytest.raises(DataError, match="no column leans on 'odd'"):
        Circuit(lean_on="odd").fit(leaning())
    far = np.random.default_rng(0).normal(size=(1_200, 1)) * [1e307, 5e306, 1e200, 3e200]
    assert Circuit(units=2, epochs=1).fit(pd.DataFrame(far).add_prefix("c")).leans_ == {}
    with pytest.raises(DataError, match="not the target"):
        Circuit(lean_on="h").fit(leaning(), "h")
    with pytest.raises(DataError, match="did you mean"):
        Circuit(lean_on="hh").fit(leaning(60))
    with pytest.raises(BegatError, match="lean_on"):
        Circuit(lean_on=2.5).fit(leaning(60))
    with pytest.raises(EvidenceError, match="whole number"):
        fits["tree"].sample(2, given={"h": (30.2, 30.4), "x": 30})


def test_a_source_that_is_read_in_pieces_is_the_table(tmp_path):
    frame = leaning()
    frame.to_parquet(tmp_path / "rows.parquet")
    how: dict[str, Any] = {"units": 4, "epochs": 2, "lean_on": "h", "schema": begat.codecs.infer.infer(frame)}
    whole = Circuit(**how).fit(frame)
    pieces = Circuit(**how).fit(open_source(tmp_path / "rows.parquet"))
    np.testing.assert_allclose(pieces.log_prob(frame), whole.log_prob(frame), atol=1e-6)


def test_entropy_of_spacings_is_that_of_known_laws():
    """Within .08 nats, which covers the estimate's bias and five deviations of 4,000 draws."""
    rng = np.random.default_rng(0)
    assert abs(spacings(rng.normal(0, 3.0, 4_000), 0.0) - 0.5 * np.log(2 * np.pi * np.e * 9)) < 0.08
    assert abs(spacings(rng.integers(0, 50, 4_000).astype(float), 1.0) - np.log(50)) < 0.08
    assert torch.isfinite(torch.tensor(spacings(np.zeros(200), 0.0)))
