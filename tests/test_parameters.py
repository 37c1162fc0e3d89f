"""What naive Bayes cannot use of what a person gives it: one line of begat's own, and what was learnt stays."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from begat import Circuit, NaiveBayes, Schema
from begat.errors import BegatError, DataError
from begat.estimators.training import SAMPLE

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 2, 200)
X = RNG.normal(size=(200, 3)) + Y[:, None]

HUGE = 10**400
FOREIGN: dict[str, list[Any]] = {
    "leaves": [3, None, ["kde"], {"kde"}, np.array(["kde"]), ("kde",), {"x0": None}, {"x0": ["kde"]}, ("kde", {1: 2}),
               ("kde", {"bandwidth": [1]}), ("kde", {"bandwidth": np.ones(3)}), ("kde", {"bandwidth": 1j}),
               ("kde", {"bandwidth": HUGE}), ("kde", {"bandwidth": True}), ("histogram", {"bins": 2.0})],
    "alpha": ["1", None, [1, 2], np.ones(3), np.ones((9, 9)), np.nan, np.inf, 1j, np.complex128(1), Decimal(1), True,
              HUGE, -HUGE, {"x0": "1"}, {(1, 2): 1.0}],
    "var_smoothing": ["1", None, np.ones(3), np.nan, -1, HUGE, {"x1": HUGE}],
    "shared_variance": ["no", "yes", 1, None, np.ones(2)],
    "priors": [["x", "y"], ["0.5", "0.5"], [None, 1], [[0.5], [0.2, 0.3]], [1j, 1], {0.4, 0.6}, b"uniform", object(),
               3, [HUGE, 1], [1e308, 1e308], [-0.5, 1.5], [np.nan, 1], np.matrix([[0.5, 0.5]]), np.eye(2),
               {0: "x", 1: 0.5}, {0: [1], 1: 0.5}, {0: 0.5, "1": 0.5}, pd.Series([0.5, 0.5], index=["a", "b"]),
               pd.to_datetime(["2020-01-01", "2020-01-02"])],
    "task": [3, None, ["auto"], np.array(["auto", "density"]), "Auto"],
    "missing": [None, 3, np.array(["outcome", "unknown"]), np.nan],
    "unseen": [None, ["error"], np.zeros(2)],
    "schema": [3, "schema.json", [], {}, {"columns": 3}, {"columns": [3]}, np.ones(3), X],
    "random_state": ["x", -1, 1.5, True, [0], HUGE, np.ones(2)],
}  # fmt: skip
"""Values that are of no use, by the parameter."""


def line(call: Any) -> str:
    """The one line that a call is refused with."""
    with pytest.raises(BegatError) as caught:
        call()
    said = str(caught.value)
    assert "\n" not in said and 0 < len(said) < 500
    return said


@pytest.mark.parametrize(("name", "number"), [(name, i) for name in FOREIGN for i in range(len(FOREIGN[name]))])
def test_a_foreign_parameter_is_one_line_that_names_it(name, number):
    """Before anything is learnt, whichever way the rows come."""
    value = FOREIGN[name][number]
    words = {"leaves": ("leaf", "leaves"), "schema": ("schema",)}.get(name, (name,))
    for learn in (NaiveBayes.fit, NaiveBayes.partial_fit):
        model = NaiveBayes(**{name: value})
        said = line(lambda model=model, learn=learn: learn(model, X, Y))
        assert any(word in said for word in words)
        assert not hasattr(model, "model_")


@pytest.mark.parametrize(
    "state",
    [0, None, 2**63 - 1, np.int64(3), np.random.default_rng(0), np.random.RandomState(0), torch.Generator()],
)
def test_random_states_are_taken_and_not_drawn_from(state):
    before = str(getattr(state, "bit_generator", state).state) if isinstance(state, np.random.Generator) else None
    assert NaiveBayes(random_state=state).fit(X, Y).get_params()["random_state"] is state
    assert before is None or str(state.bit_generator.state) == before


def test_priors_by_class_are_by_class_in_whatever_order():
    """value_counts sorts by frequency, not by class."""
    y = np.where(RNG.random(200) < 0.3, "a", "b")
    counted = pd.Series(y).value_counts(normalize=True)
    assert list(counted.index) == ["b", "a"]
    by_class = [float(counted["a"]), float(counted["b"])]
    want = NaiveBayes(priors=by_class).fit(X, y).predict_proba(X)
    for said in (
        counted,
        dict(counted),
        np.array(by_class),
        tuple(by_class),
        torch.tensor(by_class, dtype=torch.float64),
    ):
        np.testing.assert_allclose(NaiveBayes(priors=said).fit(X, y).predict_proba(X), want, rtol=1e-12)


WEIGHTS: dict[str, Any] = {
    "overflow": np.full(200, 1e308),
    "too large for one": np.r_[1e308, np.ones(199)],
    "beyond counting": np.full(200, 2**62),
    "one for all": 1e300,
    "words": ["a"] * 200,
    "negative": -np.ones(200),
    "ragged": [[1], [1, 2]],
    "column": np.ones((200, 1)),
    "matrix": np.matrix(np.ones((1, 200))),
    "nothing": [None] * 200,
    "complex": np.ones(200) * 1j,
    "zeros": np.zeros(200),
    "no list": object(),
}


@pytest.mark.parametrize("leaves", ["auto", "gaussian", "kde", "histogram"])
@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_are_none_are_one_line(name, leaves):
    assert "weight" in line(lambda: NaiveBayes(leaves=leaves).fit(X, Y, sample_weight=WEIGHTS[name]))


@pytest.mark.parametrize("leaves", ["auto", "gaussian", "kde", "histogram"])
@pytest.mark.filterwarnings("ignore:sample_weight sums to")
@pytest.mark.parametrize("each", [1e-300, 1e-9, 1.0, 2.0**45])
def test_weights_of_any_other_size_give_a_finite_fit(leaves, each):
    model = NaiveBayes(leaves=leaves).fit(X, Y, sample_weight=np.full(200, each))
    assert np.isfinite(model.log_prob(X)).all()


@pytest.mark.parametrize("family", [NaiveBayes, Circuit])
def test_weights_that_are_shares_are_warned_of(family):
    with pytest.warns(UserWarning, match="multiply shares by the number of rows"):
        family().fit(X, Y, sample_weight=np.full(200, 1 / 200))


TARGETS = [3.5, object(), {}, {"a": 1}, {0, 1}, b"x", "nope", (), np.nan, HUGE, [[1], [1, 2]] * 100, [(1, 2)] * 200,
           [None] * 200, [object()] * 200, np.zeros((200, 2)), np.array(3), iter(range(200))]  # fmt: skip


@pytest.mark.parametrize("number", range(len(TARGETS)))
def test_a_target_that_is_none_is_one_line(number):
    line(lambda: NaiveBayes().fit(X, TARGETS[number]))


# what was learnt stays ------------------------------------------------------------------------------------------------
def test_a_fit_that_fails_leaves_no_model_behind():
    """Numbers whose squares overflow show only when every row was read."""
    model = NaiveBayes(leaves="gaussian").fit(X, Y)
    line(lambda: model.fit(X * 1e160, Y))
    assert not model.__sklearn_is_fitted__()
    assert np.isfinite(model.partial_fit(X, Y).log_prob(X)).all()


@pytest.mark.parametrize("bad", [1e160, np.inf])
def test_rows_that_cannot_be_learnt_from_change_nothing(bad):
    model = NaiveBayes(leaves="gaussian", priors=[0.3, 0.7]).fit(X, Y)
    before, more = model.log_prob(X), X.copy()
    more[7, 1] = bad
    for _ in range(2):
        line(lambda: model.partial_fit(more, Y))
        np.testing.assert_array_equal(model.log_prob(X), before)
    again = NaiveBayes(leaves="gaussian", priors=[0.3, 0.7]).fit(X, Y)
    np.testing.assert_array_equal(model.partial_fit(X, Y).log_prob(X), again.partial_fit(X, Y).log_prob(X))


# floats on trust ------------------------------------------------------------------------------------------------------
LARGE = np.random.default_rng(1).normal(size=(SAMPLE + 1, 3))
ODD = {"nan": np.nan, "inf": np.inf, "far": 1e160}
STEPS = {"float64": LARGE, "float32": LARGE.astype(np.float32), "columns first": np.asfortranarray(LARGE),
         "every second row": np.repeat(LARGE, 2, 0)[::2], "turned": LARGE[::-1], "big-endian": LARGE.astype(">f8"),
         "read-only": LARGE.copy()}  # fmt: skip


STEPS["read-only"].setflags(write=False)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("name", STEPS)
def test_an_array_taken_as_it_lies_is_the_same_table(name, labelled, weighted):
    """A frame of the same floats, its kinds stated, goes the careful way; an origin changes rounding alone."""
    array = STEPS[name]
    y = np.random.default_rng(2).integers(0, 3, len(array)) if labelled else None
    weight = np.random.default_rng(3).uniform(0, 2, len(array)) if weighted else None
    one = NaiveBayes(leaves="gaussian").fit(array, y, sample_weight=weight)
    stated = Schema.from_dict({"columns": [{"name": n, "kind": "continuous"} for n in ("x0", "x1", "x2")]})
    two = NaiveBayes(leaves="gaussian", schema=stated).fit(array, y, sample_weight=weight)
    rows = array[:500]
    np.testing.assert_allclose(one.log_prob(rows, y if y is None else y[:500]),
                               two.log_prob(rows, y if y is None else y[:500]), rtol=1e-6)  # fmt: skip


@pytest.mark.parametrize("row", [0, 1, SAMPLE // 2 + 1, SAMPLE])
@pytest.mark.parametrize("name", ODD)
def test_an_odd_number_in_a_large_array_is_met_wherever_it_stands(name, row):
    """NaN is an outcome of its column, infinity and numbers whose squares overflow are refused, in any one cell."""
    array = LARGE.copy()
    array[row, 1] = ODD[name]
    model = NaiveBayes(leaves="gaussian")
    if name == "nan":
        assert [c.missing for c in model.fit(array).schema_] == [False, True, False]
        np.testing.assert_array_equal(np.isfinite(model.log_prob(array)), True)
    else:
        assert "x1" in line(lambda: model.fit(array))


# a column without a value in training ---------------------------------------------------------------------------------
EMPTY = {
    "floats": np.nan,
    "objects": None,
    "dates": pd.NaT,
    "whole numbers": pd.array([None] * 60, dtype="Int64"),
    "words": pd.array([None] * 60, dtype="string"),
}


@pytest.mark.parametrize("missing", ["outcome", "unknown"])
@pytest.mark.parametrize("target", [None, "y"])
@pytest.mark.parametrize("name", EMPTY)
def test_a_column_without_a_value_is_named_where_it_was_to_be_filled(name, target, missing):
    frame = pd.DataFrame({"a": X[:60, 0], "gone": EMPTY[name], "y": np.where(Y[:60], "p", "q")})
    model = NaiveBayes(missing=missing).fit(frame, target)
    frame.loc[3, "a"] = np.nan
    with pytest.raises(DataError, match="'gone' had no value in training"):
        model.impute(frame)
    filled = model.impute(frame.drop(columns="gone"), random_state=0)  # the others need it not
    assert not filled.isna().any().any()
    assert np.isfinite(model.log_prob(frame.drop(index=3))).all() and model.sample(5)["gone"].isna().all()


def test_where_no_column_is_scored_no_cell_surprises():
    frame = pd.DataFrame({"t": [f"this note {i} tells of one thing and of another and a third" for i in range(60)]})
    model = NaiveBayes().fit(frame, Y[:60])
    assert not model.border_.model.slots
    assert model.surprise(frame).isna().all(axis=None)


@pytest.mark.parametrize("large", [1.7e308, -1.7e308])
def test_numbers_at_the_end_of_float64_are_refused_or_saved_and_loaded(large, tmp_path):
    import begat

    for x in ([large], [large, 1.0, 2.0], [large, -large, 0.5], np.r_[np.full(30, large), np.arange(30) / 7]):
        for leaves in ("auto", "histogram", "gaussian"):
            try:
                model = NaiveBayes(leaves=leaves).fit(pd.DataFrame({"x": x}))
            except BegatError as error:
                assert "\n" not in str(error)
                continue
            model.save(tmp_path / "m.safetensors")
            begat.load(tmp_path / "m.safetensors").sample(3, random_state=0)


def test_more_draws_than_memory_are_refused():
    model = NaiveBayes().fit(X, Y)
    assert "draws" in line(lambda: model.impute(X, draws=10**12))
