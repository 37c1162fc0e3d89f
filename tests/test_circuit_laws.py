"""What must hold for circuits: every answer is that of the joint, which small tables let us write out in full."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats as reference
from scipy.special import logsumexp
from test_naive_bayes import table

import begat
from begat import Circuit
from begat.errors import EvidenceError

ALARM = 1e-6
"""False-alarm rate of each comparison of draws, with fixed seeds."""
SINGLE = 2e-5
"""Messages are in single precision: what sums and ratios of probabilities keep, relative."""


def discrete(n: int = 600, seed: int = 0) -> pd.DataFrame:
    """Three dependent columns of levels, a bounded count with a gap, and one column of noise."""
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 3, n)
    b = (a + (rng.random(n) < 0.3)) % 3
    c = np.where(rng.random(n) < 0.8, b > 0, a > 1)
    k = np.minimum(rng.poisson(1 + a), 4)
    frame = pd.DataFrame({"a": np.array(list("xyz"))[a], "b": np.array(list("uvw"))[b], "c": np.where(c, "no", "yes")})
    frame["k"] = pd.array(np.where(rng.random(n) < 0.1, None, k), dtype="Int64")
    return frame.assign(noise=rng.choice(["p", "q"], n))


def known(frame: pd.DataFrame) -> begat.Schema:
    """The schema with the count between bounds, so that all rows can be written out."""
    return begat.schema.Schema(
        tuple(c for c in begat.codecs.infer.infer(frame).change("k", kind="count", lower=0, upper=4))
    )


def every(model: Any) -> pd.DataFrame:
    """All rows that the model of `discrete` can give."""
    sides = [["x", "y", "z"], ["u", "v", "w"], ["no", "yes"], [None, 0, 1, 2, 3, 4], ["p", "q"]]
    rows = pd.DataFrame(list(itertools.product(*sides)), columns=["a", "b", "c", "k", "noise"])
    return rows.astype({"k": "Int64"})


MODELS: dict[str, dict[str, Any]] = {
    "tree": {"units": 6},
    "tree of many states": {"units": 32, "rank": 3},
    "mixture": {"units": 4, "shape": "mixture"},
    "one state": {"units": 1},
    "hidden nothing": {"units": 5, "hide": 0.0, "validation": 0.0},
}
over = pytest.mark.parametrize("name", MODELS)


@pytest.fixture(scope="module")
def fits() -> dict[str, tuple[Any, pd.DataFrame, np.ndarray]]:

    frame = discrete()
    out = {}
    for name, how in MODELS.items():
        model = Circuit(**how, epochs=8, schema=known(frame)).fit(frame)
        rows = every(model)
        out[name] = model, rows, model.log_prob(rows)
    return out


# the joint --------------------------------------------------------------------------------------------------------
@over
def test_the_masses_of_all_rows_sum_to_one(fits, name):
    assert abs(logsumexp(fits[name][2])) < SINGLE


@over
def test_a_marginal_is_a_sum_of_the_joint(fits, name):
    model, rows, log_p = fits[name]
    unknown = Circuit(**model.get_params()).set_params(missing="unknown")
    unknown.__dict__.update({k: v for k, v in vars(model).items() if k.endswith("_")})
    for left in (["a"], ["b", "noise"], ["a", "b", "c"], ["noise"]):
        some = rows.copy()
        for name_ in left:
            some[name_] = None
        groups = rows.drop(columns=left).astype(object).where(rows.drop(columns=left).notna(), "gap")
        keys = groups.apply(tuple, axis=1)
        summed = pd.Series(log_p).groupby(keys).agg(logsumexp)
        known_k = rows["k"].notna().to_numpy()  # a gap of k is unknown here, not an outcome
        given = unknown.log_prob(some)
        np.testing.assert_allclose(given[known_k], keys.map(summed).to_numpy()[known_k], atol=SINGLE)


@over
def test_surprise_is_a_ratio_of_joints(fits, name):
    model, rows, log_p = fits[name]
    odd = model.surprise(rows)
    for column in rows:
        groups = rows.drop(columns=column).astype(object).where(rows.drop(columns=column).notna(), "gap")
        keys = groups.apply(tuple, axis=1)
        whole = keys.map(pd.Series(log_p).groupby(keys).agg(logsumexp)).to_numpy()
        np.testing.assert_allclose(odd[column].to_numpy(), whole - log_p, atol=SINGLE)


@over
def test_draws_follow_the_joint(fits, name):
    model, rows, log_p = fits[name]
    keys = rows.astype(object).where(rows.notna(), "gap").apply(tuple, axis=1)
    drawn = model.sample(20_000, random_state=0)
    seen = drawn.astype(object).where(drawn.notna(), "gap").apply(tuple, axis=1).value_counts()
    same(seen.reindex(keys, fill_value=0).to_numpy(), np.exp(log_p))


def same(counts: np.ndarray, p: np.ndarray) -> None:
    """A chi-square test of counts against probabilities, those below five expected together."""
    expected = p / p.sum() * counts.sum()
    few = expected < 5
    counts, expected = np.append(counts[~few], counts[few].sum()), np.append(expected[~few], expected[few].sum())
    keep = expected > 0
    assert counts[~keep].sum() == 0
    assert reference.chisquare(counts[keep], expected[keep]).pvalue > ALARM


@over
@pytest.mark.parametrize(
    "given",
    [{"a": "x"}, {"a": ["x", "z"], "k": (1, 3)}, {"k": None, "c": "yes"}, {"b": "w", "noise": "q", "k": (2, None)}],
)
def test_evidence_is_the_joint_cut_to_it(fits, name, given):
    model, rows, log_p = fits[name]
    inside = np.ones(len(rows), dtype=bool)
    for column, value in given.items():
        cells = rows[column]
        if isinstance(value, tuple):
            low, high = value
            inside &= (cells >= low).fillna(False).to_numpy(bool)
            inside &= True if high is None else (cells <= high).fillna(False).to_numpy(bool)
        elif isinstance(value, list):
            inside &= cells.isin(value).to_numpy()
        else:
            inside &= cells.isna().to_numpy() if value is None else (cells == value).fillna(False).to_numpy(bool)
    drawn = model.sample(8_000, given=given, random_state=1)
    keys = rows.astype(object).where(rows.notna(), "gap").apply(tuple, axis=1)
    seen = drawn.astype(object).where(drawn.notna(), "gap").apply(tuple, axis=1).value_counts()
    same(seen.reindex(keys, fill_value=0).to_numpy(), np.where(inside, np.exp(log_p), 0.0))


@over
def test_imputation_draws_from_the_posterior_of_each_row_with_its_own_gaps(fits, name):
    model, rows, log_p = fits[name]
    there = rows["k"].notna().to_numpy()
    frame = pd.concat([rows[there].sample(1, random_state=3)] * 6_000, ignore_index=True)
    frame.loc[::2, ["a", "b"]] = None
    frame.loc[1::2, ["k"]] = None
    full = model.impute(frame, random_state=2)
    for first, left in ((0, ["a", "b"]), (1, ["k"])):
        fixed = [c for c in rows if c not in left]
        match = (rows[fixed] == frame.loc[first, fixed]).all(axis=1).fillna(False).to_numpy(bool) & there
        keys = rows.loc[match, left].apply(tuple, axis=1)
        seen = full.loc[first::2, left].apply(tuple, axis=1).value_counts()
        same(seen.reindex(keys, fill_value=0).to_numpy(), np.exp(log_p[match]))


def test_what_is_most_probable_of_a_mixture_of_one_state_is_each_columns_mode(fits):
    model, rows, log_p = fits["one state"]
    blank = rows.iloc[:1].copy()
    blank.loc[:, :] = None
    best = model.most_probable(blank.astype(rows.dtypes))
    there = rows["k"].notna().to_numpy()
    winner = rows[there].iloc[int(log_p[there].argmax())]
    assert (best.iloc[0] == winner).all()


@over
def test_what_is_most_probable_keeps_what_is_known_and_has_probability(fits, name):
    model, rows, _ = fits[name]
    some = rows.copy()
    some.loc[::2, "a"] = None
    some.loc[::3, "b"] = None
    full = model.most_probable(some)
    assert full[["a", "b", "c", "noise"]].notna().all(axis=None) and full["k"].notna().all()
    assert (full.loc[some["a"].notna(), "a"] == some.loc[some["a"].notna(), "a"]).all()
    assert np.isfinite(model.log_prob(full)).all()


# classes ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("y", ["a", "c"])
def test_probabilities_of_classes_are_bayes_rule(y):
    frame = discrete()
    model = Circuit(units=6, epochs=8).fit(frame, y)
    X = frame.drop(columns=y).head(50)
    each = np.stack([model.log_prob(X, [c] * 50) for c in model.classes_], 1)
    np.testing.assert_allclose(model.predict_log_proba(X), each - logsumexp(each, 1)[:, None], atol=SINGLE)
    np.testing.assert_allclose(model.log_prob(X), logsumexp(each, 1), atol=SINGLE)
    drawn = model.sample(4_000, y=model.classes_[0], random_state=0)
    assert (drawn[y] == model.classes_[0]).all()


def test_an_expected_number_is_that_of_its_draws():
    """The mean of 4,000 draws lies within five of its errors of E[y | x]: a false alarm in 1.7 million."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=2_000)
    frame = pd.DataFrame({"x": x, "y": 2 * x + rng.normal(size=2_000), "z": rng.choice(["a", "b"], 2_000)})
    model = Circuit(units=16, epochs=15).fit(frame, "y")
    for value in (-1.5, 0.0, 1.0):
        asked = pd.DataFrame({"x": [value], "z": ["a"]})
        drawn = model.sample(4_000, given={"x": value, "z": "a"}, random_state=1)["y"]
        assert abs(model.predict(asked)[0] - drawn.mean()) < 5 * drawn.std() / 4_000**0.5
    assert np.corrcoef(model.predict(frame), frame["y"])[0, 1] > 0.85


# numbers ----------------------------------------------------------------------------------------------------------
def test_a_density_integrates_to_the_marginal_of_the_other_columns():
    frame = table(500)[["height", "age", "income"]].dropna()
    model = Circuit(units=6, epochs=8, missing="unknown").fit(frame)
    places = model.model_.laws[0].places
    row = frame.iloc[[3]]
    ends = np.concatenate([[-40.0], places.cuts.numpy(), [40.0]])
    node, weight = np.polynomial.legendre.leggauss(40)
    x = (0.5 * (ends[1:] + ends[:-1])[:, None] + 0.5 * np.diff(ends)[:, None] * node).ravel()
    w = (0.5 * np.diff(ends)[:, None] * weight).ravel()
    rows = pd.concat([row] * len(x), ignore_index=True).assign(height=x)
    total = np.log(np.sum(np.exp(model.log_prob(rows)) * w))
    whole = model.log_prob(row.assign(height=np.nan))[0]
    assert abs(total - whole) < 1e-3


@pytest.mark.parametrize("how", [{"shape": "tree"}, {"shape": "mixture"}])
def test_rescaling_a_column_shifts_the_density(how):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 3)) @ rng.normal(size=(3, 3))
    a, b = (Circuit(units=8, epochs=5, **how).fit(each) for each in (x, x * [1, 4.0, 1] + [0, 0, 3.0]))
    np.testing.assert_allclose(b.log_prob(x * [1, 4.0, 1] + [0, 0, 3.0]), a.log_prob(x) - np.log(4.0), atol=2e-3)


def test_samples_of_a_mixed_table_look_like_it():
    frame = table(700)
    model = Circuit(units=8, epochs=6).fit(frame, "income")
    drawn = model.sample(3_000, random_state=0)
    assert list(drawn.columns) == list(frame.columns) and drawn.dtypes.equals(frame.dtypes)
    assert (drawn["price"] == drawn["price"].round(2)).all() and (drawn["gain"] == 0).mean() > 0.5
    assert abs(drawn["height"].isna().mean() - frame["height"].isna().mean()) < 0.05
    between = model.sample(500, given={"since": ("2024-03-01", "2024-03-31"), "gain": 0.0}, random_state=0)
    assert between["since"].between("2024-03-01", "2024-03-31").all() and (between["gain"] == 0).all()


# learning ---------------------------------------------------------------------------------------------------------
def test_dependence_is_worth_nats_that_a_mixture_of_few_states_finds_too():
    rng = np.random.default_rng(1)
    z = rng.normal(size=4_000)
    frame = pd.DataFrame({f"c{j}": np.round(z + 0.3 * rng.normal(size=4_000), 1) for j in range(4)})
    train, held = frame[:3_000], frame[3_000:]
    floor = begat.NaiveBayes(task="density").fit(train).score(held)
    tree = Circuit(units=32, epochs=20).fit(train).score(held)
    mixture = Circuit(units=32, epochs=20, shape="mixture").fit(train).score(held)
    truth = 3 * 0.5 * np.log((1 + 0.3**2) / 0.3**2)  # roughly what three conditionals gain over their marginals
    assert tree > floor + 0.6 * truth and mixture > floor + 0.6 * truth


def test_columns_of_noise_are_left_alone():
    rng = np.random.default_rng(0)
    train, held = (pd.DataFrame(rng.normal(size=(n, 20)).round(1)) for n in (1_000, 2_000))
    model = Circuit(leaves="gaussian").fit(train)
    assert set(model.structure_.hosts) == {-1}
    gap = model.log_prob(held) - begat.NaiveBayes(task="density", leaves="gaussian").fit(train).log_prob(held)
    assert gap.mean() > -0.02 * 20


@pytest.mark.parametrize("chain", [True, False])
def test_the_target_is_pulled_to_the_root_only_where_held_out_rows_gain(chain):
    rng = np.random.default_rng(1)
    y, columns = rng.normal(size=4_000), []
    for _ in range(8):
        before = columns[-1] if chain and columns else y
        columns.append(0.72 * before + np.sqrt(1 - 0.72**2) * rng.normal(size=len(y)))
    if chain:  # neighbours in a row say more of each other than the target does
        y = sum(columns) / 3 + 1.5 * rng.normal(size=len(y))
    table = pd.DataFrame({f"x{i}": x for i, x in enumerate(columns)}).assign(y=y)
    links = {frozenset(pair) for *pair, _ in Circuit(units=4, epochs=1).fit(table, "y").structure_.links}
    neighbours = {frozenset((i, i + 1)) for i in range(7)}
    assert len(links & neighbours) >= 6 if chain else links == {frozenset((i, 8)) for i in range(8)}


def test_the_same_seed_is_the_same_fit_and_another_is_not():
    frame = table(400)
    a, b, c = (Circuit(units=4, epochs=4, random_state=s).fit(frame, "income").log_prob(frame) for s in (0, 0, 1))
    assert (a == b).all() and (a != c).any()


def test_weights_are_repetitions_of_what_is_counted():
    frame = discrete(300)
    weight = np.random.default_rng(0).integers(0, 4, 300)
    model = Circuit(units=1, validation=0.0, epochs=3, hide=0.0)
    weighted = model.fit(frame, sample_weight=weight).log_prob(frame)
    repeated = model.fit(frame.loc[frame.index.repeat(weight)].reset_index(drop=True)).log_prob(frame)
    np.testing.assert_allclose(weighted, repeated, atol=1e-3)


def test_a_row_has_its_answer_in_any_batch():
    frame = table(500)
    model = Circuit(units=8, epochs=4).fit(frame, "income")
    whole = model.log_prob(frame)
    np.testing.assert_allclose(model.log_prob(frame.iloc[[17]]), whole[[17]], rtol=1e-6)
    order = np.random.default_rng(0).permutation(500)
    np.testing.assert_allclose(model.log_prob(frame.iloc[order]), whole[order], rtol=1e-6)


def test_a_region_of_a_column_that_is_alone_has_its_own_probability():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"n": rng.integers(0, 40, 800) - 20, "a": rng.choice(["x", "y"], 800)})
    frame["b"] = np.where(rng.random(800) < 0.9, frame["a"], "z")
    model = Circuit(units=4, epochs=3).fit(frame)
    assert model.structure_.hosts[0] == -1
    inside = model.marginal("n", range(-5, 6)).sum()
    whole = model.marginal("n", range(-5, 6), given={"a": "x"}).sum()
    assert whole == pytest.approx(inside, abs=SINGLE)
    assert model.marginal("a", ["x", "y"], given={"n": (-5, 5)}).sum() == pytest.approx(1, abs=SINGLE)


def test_a_state_that_is_far_behind_half_way_may_win_in_the_end():
    """Two clusters of opposite levels in fifty columns: a row of a third of the one and the rest of the other."""
    rng = np.random.default_rng(0)
    side = rng.integers(0, 2, 1_000)[:, None]
    frame = pd.DataFrame(np.where(side ^ (rng.random((1_000, 50)) < 0.002), "a", "b"))
    model = Circuit(units=2, shape="mixture", epochs=10, hide=0.0).fit(frame)
    row = pd.DataFrame([["a"] * 16 + ["b"] * 34])
    log_p = model.model_.prior.double().log()
    for law, cell in zip(model.model_.laws, row.iloc[0], strict=True):
        log_p = log_p + law.probabilities()[["a", "b"].index(cell)].double().log()
    assert abs(model.log_prob(row)[0] - logsumexp(log_p.numpy())) < 1e-3
    backwards = Circuit(units=2, shape="mixture", epochs=10, hide=0.0).fit(frame[frame.columns[::-1]])
    assert abs(backwards.log_prob(row[row.columns[::-1]])[0] - model.log_prob(row)[0]) < 1.0


def test_what_a_marginal_is_not_asked_with_is_one_clear_line():
    frame = discrete(60)
    model = Circuit(units=2, epochs=1).fit(frame)
    first = frame.columns[0]
    for column, given, said in (
        ([first], None, "one column by its name"),
        (first, 5, "give a mapping"),
        (first, "ab", "give a mapping"),
    ):
        with pytest.raises(EvidenceError, match=said):
            model.marginal(column, frame[first].iloc[:1].tolist(), given=given)
    value = frame[first].iloc[0]
    assert model.marginal(first, value) == model.marginal(first, [value])


def test_what_is_no_event_has_no_marginal():
    frame = table(300).assign(id=[f"person-{i:04d}" for i in range(300)])
    model = Circuit(units=3, epochs=2, missing="unknown").fit(frame, "income")
    with pytest.raises(EvidenceError, match="no outcome"):
        model.marginal("height", [1.5, np.nan])
    with pytest.raises(EvidenceError, match="no model scores"):
        model.marginal("id", ["person-0001"])


def test_two_columns_of_noise_in_few_are_taken_to_depend_on_each_other():
    """435 pairs of binary columns, at 3e-7 each: a false alarm in 7,000 tables."""
    frame = pd.DataFrame(np.random.default_rng(0).integers(0, 2, (2_000, 30)).astype(str))
    assert set(Circuit(epochs=2).fit(frame).structure_.hosts) == {-1}


def test_a_row_of_weight_zero_is_none():
    frame, more = discrete(400), discrete(300, seed=9)
    weight = np.r_[np.ones(400), np.zeros(300)]
    both = Circuit(units=4, epochs=3).fit(pd.concat([frame, more], ignore_index=True), sample_weight=weight)
    alone = Circuit(units=4, epochs=3).fit(frame, sample_weight=np.ones(400))
    np.testing.assert_allclose(both.log_prob(frame), alone.log_prob(frame), atol=1e-4)


def test_impossible_evidence_is_an_error_and_says_the_row():
    model = Circuit(units=3, epochs=3, schema=known(frame := discrete())).fit(frame)
    with pytest.raises(EvidenceError, match="k"):
        model.sample(3, given={"k": 9})
    with pytest.raises(begat.errors.BegatError, match="multinomial"):
        Circuit(leaves={"k": "multinomial"}).fit(frame)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"units": 0}, "units"), ({"units": "many"}, "units"), ({"shape": "star"}, "shape"), ({"rank": 0}, "rank"),
        ({"hide": 1.0}, "hide"), ({"alpha": -1}, "alpha"), ({"epochs": 0}, "epochs"), ({"seconds": 0}, "seconds"),
        ({"validation": 0.9}, "validation"), ({"leaves": "gausian"}, "leaf"), ({"missing": "x"}, "missing"),
    ],
)  # fmt: skip
def test_a_hyper_parameter_that_is_none_is_refused(how, said):
    with pytest.raises(begat.errors.BegatError, match=said):
        Circuit(**how).fit(discrete(40))


def test_few_rows_and_odd_tables():
    for frame in (pd.DataFrame({"a": [1.0]}), pd.DataFrame({"a": ["x", "y"], "b": [1, 2]}), discrete(12)):
        model = Circuit().fit(frame)
        assert np.isfinite(model.log_prob(frame)).all() and len(model.sample(5, random_state=0)) == 5


# marginals and pictures -------------------------------------------------------------------------------------------
def test_marginals_sum_to_one_and_are_ratios_of_joints():
    frame = table(500)
    model = Circuit(units=6, epochs=6).fit(frame, "income")
    given = {"age": (25, 45), "member": True}
    jobs = model.marginal("job", ["cook", "nurse", "smith", None], given=given)
    assert jobs.sum() == pytest.approx(1, abs=SINGLE)
    assert model.marginal("income", ["high", "low"], given={"gain": 0.0}).sum() == pytest.approx(1, abs=SINGLE)
    x = np.linspace(0.9, 2.6, 6_001)
    tall = np.trapezoid(model.marginal("height", x, given=given), x)
    missing = model.marginal("height", [np.nan], given=given)[0]
    assert tall + missing == pytest.approx(1, abs=5e-3)
    drawn = model.sample(6_000, given=given, random_state=0)["job"]
    assert reference.binomtest(int((drawn == "cook").sum()), 6_000, jobs[0]).pvalue > ALARM
    with pytest.raises(EvidenceError, match="did you mean 'job'"):
        model.marginal("jop", ["cook"])
    with pytest.raises(EvidenceError, match="is given"):
        model.marginal("age", [30], given=given)


@pytest.mark.parametrize("y", ["income", "price", None])
def test_the_tree_is_a_picture_of_every_column(tmp_path, y):
    frame = table(400)
    model = Circuit(units=4, epochs=2).fit(frame, y)
    begat.plot_tree(model, tmp_path / "tree.svg")
    drawn = (tmp_path / "tree.svg").read_text()
    assert drawn.startswith("<?xml") and len(drawn) > 5_000
    hosts = model.structure_.hosts
    ends = {c for child, parent, _ in model.structure_.links for c in (child, parent)}
    assert ends == {d for d, host in enumerate(hosts) if host >= 0}
    with pytest.raises(begat.errors.BegatError, match="no tree"):
        begat.plot_tree(begat.NaiveBayes().fit(frame), tmp_path / "none.png")
