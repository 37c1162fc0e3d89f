"""What must hold for autoregression: its answers are those of the joint, exactly or as far as particles tell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp
from test_circuit_laws import discrete, every, known, same
from test_naive_bayes import table

import begat
from begat import Autoregressive
from begat.errors import BegatError, DataError, EvidenceError

SINGLE = 2e-5
"""Networks are in single precision: what sums and ratios of probabilities keep."""
QUICK: dict[str, Any] = {"width": 16, "epochs": 12, "batch": 64}
MODELS: dict[str, dict[str, Any]] = {
    "fixed": {},
    "an order of names": {"order": ["noise", "k", "c", "b", "a"]},
    "any": {"order": "any", "rate": 3e-3, "decay": 0.5},
    "no blocks": {"depth": 0},
}
over = pytest.mark.parametrize("name", MODELS)


@pytest.fixture(scope="module")
def fits() -> dict[str, tuple[Any, pd.DataFrame, np.ndarray]]:
    frame, out = discrete(), {}
    for name, how in MODELS.items():
        model = Autoregressive(**QUICK, **how, schema=known(frame)).fit(frame)
        rows = every(model)
        out[name] = model, rows, model.log_prob(rows)
    return out


def keyed(rows: pd.DataFrame, left: list[str]) -> pd.Series:
    rest = rows.drop(columns=left)
    return rest.astype(object).where(rest.notna(), "gap").apply(tuple, axis=1)


def unknown(model: Any) -> Any:
    """The same fit, to which a gap is unknown."""
    other = Autoregressive(**model.get_params()).set_params(missing="unknown")
    other.__dict__.update({k: v for k, v in vars(model).items() if k.endswith("_")})
    return other


# the joint ------------------------------------------------------------------------------------------------------------
@over
def test_the_masses_of_all_rows_sum_to_one(fits, name):
    assert abs(logsumexp(fits[name][2])) < SINGLE


@over
def test_what_comes_last_is_summed_out_exactly(fits, name):
    model, rows, log_p = fits[name]
    order = model.order_
    for count in (1, 2, 4):
        left = order[-count:]
        keys = keyed(rows, left)
        some = rows.assign(**dict.fromkeys(left, None))
        full = np.ones(len(rows), bool) if "k" in left else rows["k"].notna().to_numpy()
        summed = keys.map(pd.Series(log_p).groupby(keys).agg(logsumexp)).to_numpy()
        np.testing.assert_allclose(unknown(model).log_prob(some)[full], summed[full], atol=SINGLE)


@pytest.mark.parametrize("name", ["fixed", "an order of names", "no blocks"])
@pytest.mark.parametrize("left", [["a"], ["b", "noise"], ["a", "b", "c"]])
def test_what_comes_first_is_summed_out_by_particles(fits, name, left):
    """64 particles: an estimate of P has a relative error below .6 in the worst row, their mean below .05."""
    model, rows, log_p = fits[name]
    keys, some = keyed(rows, left), rows.assign(**dict.fromkeys(left, None))
    full = rows["k"].notna().to_numpy()
    summed = keys.map(pd.Series(log_p).groupby(keys).agg(logsumexp)).to_numpy()
    ratio = np.exp(unknown(model).log_prob(some) - summed)[full]
    assert np.abs(ratio - 1).max() < 0.6 and abs(np.average(ratio, weights=np.exp(summed[full])) - 1) < 0.05


@over
def test_surprise_is_a_ratio_of_joints(fits, name):
    """In a fixed order of the joint itself, whose columns have at most CANDIDATES places; in any order it is what was
    learnt of the column given all others, a law of its places."""
    model, rows, log_p = fits[name]
    odd = model.surprise(rows)
    for column in rows:
        keys = keyed(rows, [column])
        if name == "any":
            whole = pd.Series(-odd[column].to_numpy()).groupby(keys).agg(logsumexp)
            np.testing.assert_allclose(whole, 0, atol=SINGLE)
        else:
            whole = keys.map(pd.Series(log_p).groupby(keys).agg(logsumexp)).to_numpy()
            np.testing.assert_allclose(odd[column].to_numpy(), whole - log_p, atol=5 * SINGLE)


@over
def test_draws_follow_the_joint(fits, name):
    model, rows, log_p = fits[name]
    seen = keyed(model.sample(20_000, random_state=0), []).value_counts()
    same(seen.reindex(keyed(rows, []), fill_value=0).to_numpy(), np.exp(log_p))


@over
@pytest.mark.parametrize(
    "given",
    [{"a": "x"}, {"a": ["x", "z"], "k": (1, 3)}, {"k": None, "c": "yes"}, {"b": "w", "noise": "q", "k": (2, None)}],
)
def test_evidence_is_the_joint_cut_to_it(fits, name, given):
    """Shares of 4,000 rows are within .07 of the joint's, in total variation: chance has .03 or so, 64 particles some
    more, and what any order learns of its conditionals need not agree with its product."""
    model, rows, log_p = fits[name]
    inside = np.ones(len(rows), bool)
    for column, wanted in given.items():
        values = rows[column]
        if wanted is None:
            inside &= values.isna().to_numpy()
        elif isinstance(wanted, tuple):
            low, high = (-np.inf if wanted[0] is None else wanted[0]), (np.inf if wanted[1] is None else wanted[1])
            inside &= values.between(low, high).fillna(False).to_numpy(bool)
        else:
            inside &= values.isin([wanted] if isinstance(wanted, str) else wanted).to_numpy()
    seen = keyed(model.sample(4_000, given=given, random_state=1), []).value_counts(normalize=True)
    wanted = np.where(inside, np.exp(log_p), 0.0)
    gap = seen.reindex(keyed(rows, []), fill_value=0).to_numpy() - wanted / wanted.sum()
    assert seen.reindex(keyed(rows, [])[~inside], fill_value=0).sum() == 0
    assert np.abs(gap).sum() / 2 < (0.2 if name == "any" else 0.07)


# what is asked of a target --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("order", ["fixed", ["b", "a", "c", "k", "noise"], ["b", "c", "k", "noise", "a"]])
def test_probabilities_of_classes_are_bayes_rule(order):
    frame = discrete()
    model = Autoregressive(**QUICK, order=order, schema=None).fit(frame, "a")
    joint = np.stack([model.log_prob(frame.assign(a=level)) for level in model.classes_], 1)
    posterior = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
    np.testing.assert_allclose(model.predict_proba(frame), posterior, atol=5 * SINGLE)
    assert (model.predict(frame) == model.classes_[posterior.argmax(1)]).all()


@pytest.mark.parametrize("order", ["fixed", "any", "first"])
def test_an_expected_number_is_that_of_its_draws(order):
    frame = table(800)
    names = list(frame.columns)
    order = ["price", *(n for n in names if n != "price")] if order == "first" else order
    model = Autoregressive(**QUICK, order=order).fit(frame, "price")
    row = frame.iloc[[3]]
    drawn = model.sample(given=pd.concat([row.assign(price=np.nan)] * 3_000, ignore_index=True), random_state=0)
    error = drawn["price"].std() / 3_000**0.5
    assert abs(drawn["price"].mean() - model.predict(row)[0]) < 6 * error + (
        0.1 * drawn["price"].std() if len(order) > 5 else 0
    )


@pytest.mark.parametrize("how", [{}, {"order": "any"}])
def test_samples_of_a_mixed_table_look_like_it(how):
    frame = table(800)
    model = Autoregressive(**QUICK, **how).fit(frame, "income")
    drawn = model.sample(500, random_state=0)
    assert list(drawn.columns) == list(frame.columns) and (drawn.dtypes == frame.dtypes).all()
    assert set(drawn["income"]) <= set(frame["income"])
    filled = model.impute(frame, random_state=0)
    known_ = frame.notna()
    assert (
        not filled.isna().any().any()
        and (filled.astype(object)[known_] == frame.astype(object)[known_]).where(known_, True).all().all()
    )


def test_a_density_integrates_to_one():
    rng = np.random.default_rng(0)
    a = rng.normal(size=1_000)
    frame = pd.DataFrame({"a": a, "b": np.exp(0.3 * a + 0.2 * rng.normal(size=1_000))})
    model = Autoregressive(**QUICK).fit(frame)
    x, y = np.linspace(-8, 8, 801), np.linspace(1e-6, 12, 1_601)
    grid = pd.DataFrame({"a": np.repeat(x, len(y)), "b": np.tile(y, len(x))})
    mass = np.exp(model.log_prob(grid)).sum() * (x[1] - x[0]) * (y[1] - y[0])
    assert abs(mass - 1) < 0.01
    moved = Autoregressive(**QUICK).fit(frame * [1, 100])
    np.testing.assert_allclose(moved.log_prob(frame * [1, 100]) + np.log(100), model.log_prob(frame), atol=0.05)


def test_dependence_is_worth_nats():
    """Two columns of which one is the other, but for a tenth of the rows: log 4 - H nats over independent ones."""
    rng = np.random.default_rng(0)
    a = rng.integers(0, 4, 4_000)
    b = np.where(rng.random(4_000) < 0.9, a, rng.integers(0, 4, 4_000))
    frame = pd.DataFrame({"a": np.array(list("wxyz"))[a], "b": np.array(list("wxyz"))[b]})
    model = Autoregressive(width=16).fit(frame.iloc[:3_000])
    p = 0.9 + 0.1 / 4
    best = -np.log(4) + p * np.log(p) + (1 - p) * np.log(0.1 / 4)
    assert abs(model.score(frame.iloc[3_000:]) - best) < 0.06 and model.history_[-1] > 0.9


def test_the_same_seed_is_the_same_fit_and_another_is_not():
    frame = table(400)
    a, b, c = (Autoregressive(**QUICK, random_state=s).fit(frame, "income").log_prob(frame) for s in (0, 0, 1))
    assert (a == b).all() and (a != c).any()


def test_a_row_has_its_answer_in_any_batch():
    """Also where something is unknown: all rows have the same particles."""
    frame = table(500)
    model = Autoregressive(**QUICK, missing="unknown").fit(frame, "income")
    gaps = frame.mask(np.random.default_rng(0).random(frame.shape) < 0.2).assign(income=frame["income"])
    whole = model.log_prob(gaps)
    np.testing.assert_allclose(model.log_prob(gaps.iloc[[17]]), whole[[17]], rtol=1e-4)
    order = np.random.default_rng(0).permutation(500)
    np.testing.assert_allclose(model.log_prob(gaps.iloc[order]), whole[order], rtol=1e-4)


def test_a_row_of_weight_zero_is_none():
    frame = table(300)
    more = frame.assign(job="cook", income="high")
    weight = np.r_[np.ones(300), np.zeros(300)]
    both = Autoregressive(**QUICK).fit(pd.concat([frame, more], ignore_index=True), "income", sample_weight=weight)
    ones = Autoregressive(**QUICK, schema=both.schema_).fit(frame, "income", sample_weight=np.ones(300))
    np.testing.assert_allclose(both.log_prob(frame), ones.log_prob(frame), atol=0.5)
    with pytest.raises(DataError, match="all sample weights are zero"):
        Autoregressive(**QUICK).fit(frame, "income", sample_weight=np.zeros(300))


@pytest.mark.parametrize("how", [{}, {"order": "any"}])
def test_impossible_evidence_is_an_error(how):
    frame = pd.DataFrame({"a": [0.0, 1.0] * 50, "b": np.repeat(["u", "v"], 50)})
    model = Autoregressive(
        **QUICK, **how, schema=begat.codecs.infer.infer(frame).change("a", kind="count", lower=0, upper=9)
    )
    model.fit(frame)
    with pytest.raises(EvidenceError):
        model.sample(3, given={"a": 12})


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"order": "other"}, "'fixed', 'any' or a list"),
        ({"order": ["a", "z"]}, "no column"),
        ({"order": ["a", "b"]}, "'c' is missing"),
        ({"width": 0}, "width"),
        ({"rate": 0}, "rate"),
        ({"device": "nowhere"}, "device"),
        ({"batch": 0}, "batch"),
    ],
)
def test_a_hyper_parameter_that_is_none_is_refused(how, said):
    with pytest.raises(BegatError, match=said):
        Autoregressive(**{**QUICK, **how}).fit(discrete(100))


@pytest.mark.parametrize("rows", [1, 2, 5, 30])
def test_few_rows_and_odd_tables(rows):
    frame = table(60).iloc[:rows].assign(same=1.5, nothing=None)
    model = Autoregressive(width=16, epochs=2).fit(frame)
    assert np.isfinite(model.log_prob(frame)).all() and len(model.sample(3)) == 3
