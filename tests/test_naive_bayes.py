"""Laws of the naive Bayes estimator: equal to scikit-learn where both exist, consistent with itself everywhere."""

import itertools
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import logsumexp

import begat
import begat.schema
from begat import Circuit, NaiveBayes
from begat.codecs.source import FrameSource
from begat.errors import BegatError, DataError, EvidenceError


def numbers(n=600, classes=3, columns=4, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    return (rng.normal(size=(n, columns)) * (1 + y[:, None]) + y[:, None]).astype(dtype), y


def codes(n=600, classes=3, columns=5, levels=4, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    return (rng.integers(0, levels, (n, columns)) + rng.integers(0, 2, (n, columns)) * y[:, None]) % levels, y


def words(**shape):
    """The same as a frame of letters with the target y."""
    X, y = codes(**shape)
    letters = np.array(list("uvwxyz"))
    return pd.DataFrame({**dict(zip("abc", letters[X].T, strict=False)), "y": letters[y]})


def table(n=800, seed=0):
    """A mixed table with gaps, a grid, a zero-inflated number, levels, a date and a target."""
    rng = np.random.default_rng(seed)
    y = rng.random(n) < 0.35
    frame = pd.DataFrame(
        {
            "height": rng.normal(1.7 + 0.1 * y, 0.1, n),
            "age": rng.poisson(30 + 10 * y, n),
            "price": np.round(rng.gamma(2, 10 + 5 * y, n), 2),
            "gain": np.where(rng.random(n) < 0.7, 0.0, rng.lognormal(3 + y, 1, n)),
            "job": rng.choice(["cook", "nurse", "smith"], n, p=[0.5, 0.3, 0.2]),
            "member": rng.random(n) < 0.3 + 0.4 * y,
            "since": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 500, n), unit="D"),
            "income": np.where(y, "high", "low"),
        }
    )
    frame.loc[rng.random(n) < 0.1, "height"] = np.nan
    frame.loc[rng.random(n) < 0.1, "job"] = None
    return frame


PEERS = {
    "GaussianNB": ("gaussian", {"var_smoothing": 0}, {"var_smoothing": 0}, lambda: numbers()),
    "GaussianNB, float32": ("gaussian", {"var_smoothing": 0}, {"var_smoothing": 0}, lambda: numbers(dtype=np.float32)),
    "CategoricalNB": ("categorical", {"alpha": 1.0}, {"alpha": 1.0}, codes),
    "CategoricalNB, alpha 0.3": ("categorical", {"alpha": 0.3}, {"alpha": 0.3}, codes),
    "BernoulliNB": ("bernoulli", {"alpha": 0.5}, {"alpha": 0.5}, lambda: codes(levels=2)),
    "MultinomialNB": ("multinomial", {"alpha": 0.7}, {"alpha": 0.7}, lambda: codes(levels=9)),
}


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_scikit_learn(peer, weighted):
    import sklearn.naive_bayes

    leaves, ours, theirs, make = PEERS[peer]
    X, y = make()
    weight = np.random.default_rng(1).uniform(0.2, 2.0, len(y)) if weighted else None
    first = None if weight is None else weight[:400]
    mine = NaiveBayes(leaves=leaves, **ours).fit(X[:400], y[:400], sample_weight=first)
    other = getattr(sklearn.naive_bayes, peer.split(",")[0])(**theirs)
    # scikit-learn sums 32-bit numbers in 32 bits, which costs it its sixth digit; it is given them in 64.
    peer_X = X.astype(np.float64) if X.dtype == np.float32 else X
    other.fit(peer_X[:400], y[:400], sample_weight=first)
    np.testing.assert_allclose(mine.predict_proba(X[400:]), other.predict_proba(peer_X[400:]), atol=1e-6, rtol=0)
    np.testing.assert_array_equal(mine.classes_, other.classes_)


def beside(column, **how):
    frame = table(**how)
    return frame.drop(columns=column), frame[column].to_numpy()


BOUNDED = {
    "columns": [
        {"name": "height", "kind": "continuous", "lower": 1.0, "upper": 2.6},
        {"name": "age", "kind": "count", "lower": 10, "upper": 90},
        {"name": "income", "kind": "category"},
    ]
}

FITS = {
    "classes by name": (lambda: NaiveBayes().fit(table(), "income"), lambda: table(seed=1)),
    "classes beside": (lambda: NaiveBayes().fit(*beside("income")), lambda: beside("income", seed=1)[0]),
    "bounded": (
        lambda: NaiveBayes(leaves="gaussian", schema=BOUNDED).fit(table(), "income"),
        lambda: table(seed=1)[["height", "age", "income"]],
    ),
    "number by name": (lambda: NaiveBayes().fit(table(), "price"), lambda: table(seed=1)),
    "number beside": (lambda: NaiveBayes().fit(*beside("price")), lambda: beside("price", seed=1)[0]),
    "no target": (lambda: NaiveBayes().fit(table()), lambda: table(seed=1)),
    "array": (lambda: NaiveBayes().fit(*numbers()), lambda: numbers(seed=1)[0]),
    "array, float32": (
        lambda: NaiveBayes(leaves="gaussian").fit(*numbers(dtype=np.float32)),
        lambda: numbers(seed=1, dtype=np.float32)[0],
    ),
    "array of codes": (lambda: NaiveBayes(leaves="categorical").fit(*codes()), lambda: codes(seed=1)[0]),
}
CLASSIFIERS = ["classes by name", "classes beside", "bounded", "array", "array, float32", "array of codes"]


@pytest.fixture(scope="module")
def fitted():
    return {name: (fit(), unseen()) for name, (fit, unseen) in FITS.items()}


@pytest.mark.parametrize("name", FITS)
def test_samples_look_like_the_data(fitted, name):
    model, X = fitted[name]
    drawn = model.sample(50, random_state=0)
    assert type(drawn) is type(X) and len(drawn) == 50
    if isinstance(X, pd.DataFrame):
        assert list(drawn.columns) == list(X.columns)
        assert (drawn.dtypes == X.dtypes).all(), (drawn.dtypes, X.dtypes)
    else:
        assert drawn.dtype == X.dtype and drawn.shape[1] == X.shape[1]
    assert np.isfinite(model.log_prob(drawn)).all()
    again = model.sample(50, random_state=0)
    assert pd.DataFrame(again).equals(pd.DataFrame(drawn))


@pytest.mark.parametrize("name", FITS)
def test_a_row_does_not_depend_on_its_neighbours(fitted, name):
    model, X = fitted[name]
    X = X[:40]
    whole = model.log_prob(X)
    flipped = model.log_prob(X[::-1])[::-1]
    np.testing.assert_allclose(flipped, whole, rtol=1e-9)
    one = [model.log_prob(X[i : i + 1])[0] for i in range(5)]
    np.testing.assert_allclose(one, whole[:5], rtol=1e-9)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_bayes_rule(fitted, name):
    model, X = fitted[name]
    X = X.drop(columns="income", errors="ignore") if isinstance(X, pd.DataFrame) else X
    joint = np.stack([model.log_prob(X, np.full(len(X), c)) for c in model.classes_], 1)
    np.testing.assert_allclose(logsumexp(joint, axis=1), model.log_prob(X), rtol=1e-9)
    posterior = joint - logsumexp(joint, axis=1, keepdims=True)
    single = isinstance(X, np.ndarray) and X.dtype == np.float32  # odds in the precision of the data
    made = model.predict_log_proba(X)
    np.testing.assert_allclose(made, posterior, rtol=1e-6 if single else 0, atol=1e-5 if single else 1e-8)
    np.testing.assert_allclose(model.predict_proba(X), np.exp(posterior), atol=1e-6 if single else 1e-8)
    np.testing.assert_allclose(model.predict_proba(X).sum(1), 1.0, atol=1e-6)
    np.testing.assert_array_equal(model.predict(X), model.classes_[posterior.argmax(1)])


ELSEWHERE = """
import pickle, sys, begat, test_naive_bayes as t
out = {}
for name, (_, unseen) in t.FITS.items():
    model = begat.load(f"{sys.argv[1]}/{name}.safetensors")
    out[name] = t.answers(model, unseen())
pickle.dump(out, open(f"{sys.argv[1]}/out", "wb"))
"""


def answers(model, X):
    """What a file must preserve, with the seed of a sample."""
    predicted = None if model.role_ == "density" else model.predict(X).tolist()
    drawn = pd.DataFrame(model.sample(30, random_state=3)).to_csv()
    return model.log_prob(X).tolist(), predicted, drawn, str(model.likelihood)


def test_a_file_gives_the_same_answers_and_samples_in_another_process(fitted, tmp_path):
    """Laws 7 and 8 in one fresh process: equal to the last bit, samples of one seed too."""
    for name, (model, _) in fitted.items():
        model.save(tmp_path / f"{name}.safetensors")
    run = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(tmp_path)], cwd=Path(__file__).parent, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-1500:]
    there = pickle.loads((tmp_path / "out").read_bytes())
    for name, (model, X) in fitted.items():
        assert there[name] == answers(model, X), name


def test_surprise_is_a_ratio_of_joints():
    frame = words(columns=3)
    model = NaiveBayes().fit(frame, "y")
    row = frame.head(1)
    odd = model.surprise(row)
    for name in "abc":
        every = pd.concat([row.assign(**{name: level}) for level in sorted(set(frame[name]))])
        joint = model.log_prob(every)
        at = sorted(set(frame[name])).index(row[name].iloc[0])
        assert odd[name].iloc[0] == pytest.approx(logsumexp(joint) - joint[at], abs=1e-9)


def test_given_equals_the_ratio_of_joints_on_a_discrete_table():
    """Law 13, exact on the side of the density and at a false-alarm rate of 3e-6 on the side of the sampler."""
    frame = words(columns=3, levels=3)
    model = NaiveBayes().fit(frame, "y")
    grid = pd.DataFrame(list(itertools.product("uvw", "uvw", "uvw", "uvw")), columns=["a", "b", "c", "y"])
    p = np.exp(model.log_prob(grid))
    assert p.sum() == pytest.approx(1.0, abs=1e-9)
    inside = grid["a"].eq("v") & grid["b"].isin(["u", "w"])
    want = (p * inside) / (p * inside).sum()
    n = 40_000
    drawn = model.sample(n, given={"a": "v", "b": {"u", "w"}}, random_state=0)
    got = drawn.groupby(["a", "b", "c", "y"]).size().reindex(pd.MultiIndex.from_frame(grid), fill_value=0).to_numpy()
    assert got[~inside].sum() == 0
    bound = 5.5 * np.sqrt(n * want * (1 - want)) + 1  # 5.5 deviations: 4e-8 a cell, 3e-6 for 81
    assert (np.abs(got - n * want) <= bound).all()


def test_a_range_as_evidence_weighs_the_classes_by_their_mass_in_it():
    """P(high | age >= 45) is the ratio of sums of the joint over ages; 5 deviations of a share: false alarms 6e-7."""
    model = NaiveBayes().fit(table()[["age", "income"]], "income")
    ages = pd.DataFrame({"age": np.arange(45, 3000)})
    mass = {c: np.exp(model.log_prob(ages, np.full(len(ages), c))).sum() for c in model.classes_}
    want, n = mass["high"] / sum(mass.values()), 20_000
    drawn = model.sample(n, given={"age": (45, None)}, random_state=0)
    assert drawn["age"].min() >= 45
    assert abs((drawn["income"] == "high").mean() - want) < 5 * np.sqrt(want * (1 - want) / n)


def test_evidence_is_in_every_sample(fitted):
    model, _ = fitted["classes by name"]
    fixed = model.sample(20, given={"age": 40, "job": "cook"}, y="low", random_state=0)
    assert set(fixed["age"]) == {40} and set(fixed["job"]) == {"cook"} and set(fixed["income"]) == {"low"}
    part = pd.DataFrame({"age": [20, 60], "job": [None, "smith"]})
    rows = model.sample(given=part, random_state=0)
    assert list(rows["age"]) == [20, 60] and rows["job"].iloc[1] == "smith"


@pytest.mark.parametrize(
    ("given", "y", "message"),
    [
        ({"agee": 3}, None, "did you mean 'age'"),
        ({"job": "king"}, None, "king"),
        ({"age": 30.5}, None, "30.5"),
        ({"age": (50, 20)}, None, "from 50 to 20 is empty"),
        ({"job": set()}, None, "an empty set of values"),
        ({}, "middle", "middle"),
        ({"income": "low"}, "high", "twice"),
    ],
)
def test_impossible_evidence_is_an_error(fitted, given, y, message):
    model, _ = fitted["classes by name"]
    with pytest.raises(EvidenceError, match=message):
        model.sample(5, y=y, given=given)


def gaps(kind):
    """Rows with gaps under odd labels, in dtypes that differ from those of training, and digits that no grid has."""
    X = table(seed=1).drop(columns="income")
    X["price"] = X["price"] + 1e-13
    X["since"] = X["since"].dt.as_unit("ns")
    X["job"] = X["job"].astype("category")
    X["age"], X["member"] = X["age"].astype("Int64"), X["member"].astype("boolean")
    for i, name in enumerate(X):
        X.iloc[i::7, i] = pd.NaT if name == "since" else None
    if kind == "polars":
        return pytest.importorskip("polars").from_pandas(X)
    return X.set_index(np.arange(len(X)) * 3 + 5)


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_impute_fills_what_is_missing_and_nothing_else(fitted, kind):
    """Known cells stay bit for bit, columns keep their dtypes, rows their labels."""
    model, X = fitted["classes beside"][0], gaps(kind)
    filled = model.impute(X, random_state=0)
    assert type(filled) is type(X) and list(filled.columns) == list(X.columns)
    assert list(filled.dtypes) == list(X.dtypes)
    if kind == "pandas":
        assert filled.index.equals(X.index) and not filled.isna().any().any()
    for name in X.columns:
        before, after = X[name], filled[name]
        known = before.notna() if kind == "pandas" else before.is_not_null()
        pick = (lambda c, k: c[k]) if kind == "pandas" else (lambda c, k: c.filter(k))
        assert pick(before, known).equals(pick(after, known)) and not known.all()
    low, high = filled["height"].min(), filled["height"].max()
    assert low > 0.5 and high < 3.0  # ten deviations of the Gaussian that was drawn from
    draws = model.impute(X, draws=3, random_state=0)
    assert len(draws) == 3 and not draws[0].equals(draws[1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, object])
def test_impute_keeps_the_cells_of_an_array(dtype):
    X, y = numbers()
    X = X.astype(dtype)
    X[::3, 1] = np.nan
    filled = NaiveBayes(leaves="gaussian").fit(X, y).impute(X, random_state=0)
    known = ~np.isnan(X.astype(float))
    assert filled.dtype == X.dtype and (filled[known] == X[known]).all()
    assert (np.abs(filled[~known].astype(float)) < 40).all()  # at least 12 deviations of each class


@pytest.mark.parametrize("family", [NaiveBayes, Circuit])
def test_impute_takes_an_array_that_predict_takes(family):
    X, y = numbers()
    frame = pd.DataFrame(X, columns=["a", "b", "c"][: X.shape[1]] + [f"d{i}" for i in range(X.shape[1] - 3)])
    model = family().fit(frame.assign(who=y), "who")
    X[::3, 1] = np.nan
    filled = model.impute(X, random_state=0)
    assert isinstance(filled, np.ndarray)
    np.testing.assert_array_equal(filled, model.impute(frame.assign(b=X[:, 1]), random_state=0).to_numpy())
    for wrong in (X[:, :1], np.c_[X, X]):
        with pytest.raises(DataError, match="features"):
            model.impute(wrong)
    beside = family().fit(frame, frame["a"].to_numpy() * 2)  # whose target is no column of X, and stays as it is
    assert beside.impute(frame.assign(y=np.nan), random_state=0)["y"].isna().all()
    back = family().fit(X, y).impute(frame.assign(b=X[:, 1]), random_state=0)
    assert list(back.columns) == list(frame.columns) and not back.isna().any().any()


@pytest.mark.parametrize("leaves", ["gaussian", "auto"])
@pytest.mark.parametrize("rows", [12, 120])
def test_weights_are_repetitions(leaves, rows):
    X, y = numbers(n=rows)
    X[:, 1] = np.exp(X[:, 1])
    weight = np.random.default_rng(0).integers(0, 4, len(y))
    one = NaiveBayes(leaves=leaves).fit(X, y, sample_weight=weight)
    two = NaiveBayes(leaves=leaves, schema=one.schema_).fit(np.repeat(X, weight, 0), np.repeat(y, weight))
    assert one.leaves_ == two.leaves_
    np.testing.assert_allclose(one.log_prob(X), two.log_prob(X), rtol=1e-9)


LAWS = {
    "gaussian": lambda rng, y: rng.normal(10 * y, 3),
    "lognormal": lambda rng, y: rng.lognormal(y, 1.0),
    "histogram": lambda rng, y: rng.choice([1.0, 5.0, 20.0], len(y)) + 0.01 * rng.random(len(y)) + y,
}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("rows", [400, 6000])
def test_the_simplest_leaf_that_predicts_as_well_is_taken(law, rows):
    """One column, 400 rows (each fold held out in turn) or 6,000 (one fold); the best is best by a tenth of a nat."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, rows)
    schema = {"columns": [{"name": "x", "kind": "continuous", **({"lower": 0.0} if law == "lognormal" else {})}]}
    model = NaiveBayes(schema=schema).fit(pd.DataFrame({"x": LAWS[law](rng, y)}), y)
    assert model.leaves_["x"] == law


def test_a_column_of_few_values_gets_the_leaf_that_expects_others():
    """A remainder of three near-equal numbers, met by one that is far from them."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    x = np.where(np.arange(60) < 57, 0, 7298 + np.arange(60) % 2)
    model = NaiveBayes().fit(pd.DataFrame({"x": x, "z": rng.normal(y)}), y)
    assert model.schema_["x"].atoms == (0.0,) and model.leaves_["x"] == "histogram"
    odd = pd.DataFrame({"x": [99_999, 1], "z": [0.0, 0.0]})
    # A tail of power 3 costs 3 log(92,700) = 34 nats there, shares of codes and bins among 60 rows and z at most 26
    # more; a Gaussian of the three numbers would take 2e10.
    assert model.log_prob(odd).min() > -60


def nats_of_ignorance(schema):
    """-log of one row under equal mass on all levels, and on all points between the least and greatest value seen."""
    each = [len(c.levels) if c.coded else 1 + (c.seen[1] - c.seen[0]) / c.grid.multiple for c in schema]
    return np.log(each).sum()


@pytest.mark.parametrize(("rows", "loss", "score"), [(30, 1.0, -45), (100, 0.65, -38), (300, 0.55, -35)])
def test_few_rows_are_no_catastrophe(rows, loss, score):
    """Adult census rows, mean over three draws: who has seen some of them knows more of others than who has seen none.

    The log-loss of the class, nats, has no such bound, since columns that depend on each other count as if they did
    not. Over 40 other draws its means were 0.79, 0.52 and 0.47, with deviations of 0.25, 0.047 and 0.12. The draws here
    are fixed, so nothing alarms by chance: the bars lie a little beyond what they give, and a worse fit fails them.
    """
    data = begat.read("adult", target="income")
    test = np.arange(40_000, 42_000)
    losses, scores = [], []
    for seed in range(3):
        train = np.random.default_rng(seed).permutation(40_000)[:rows]
        model = NaiveBayes(schema=data.schema).fit(data.X.iloc[train], data.y.iloc[train])
        right = data.y.iloc[test].to_numpy()[:, None] == model.classes_
        losses.append(-model.predict_log_proba(data.X.iloc[test])[right].mean())
        scores.append(model.log_prob(data.X.iloc[test], data.y.iloc[test]).mean())
    assert np.mean(losses) < loss and np.mean(scores) > max(score, -nats_of_ignorance(data.schema))


def test_ten_penguins_are_enough():
    """Accuracy, mean over 30 fixed draws; 100 other draws had 0.887 with a deviation of 0.088."""
    data = begat.read("penguins", target="species")
    right = []
    for seed in range(30):
        order = np.random.default_rng(seed).permutation(len(data.X))
        model = NaiveBayes(schema=data.schema).fit(data.X.iloc[order[:10]], data.y.iloc[order[:10]])
        right.append((model.predict(data.X.iloc[order[10:]]) == data.y.iloc[order[10:]]).mean())
    assert np.mean(right) > 0.85


ADDITIVE = ["gaussian", "histogram", "poisson", "negative_binomial", "multinomial", "categorical", "bernoulli"]


@pytest.mark.parametrize("leaves", ADDITIVE)
def test_parts_equal_the_whole(leaves):
    X, y = codes(levels=2 if leaves == "bernoulli" else 6)
    X = X.astype(float) if leaves in ("gaussian", "histogram") else X
    whole = NaiveBayes(leaves=leaves).fit(X, y)
    parts, rest = NaiveBayes(leaves=leaves, schema=whole.schema_), NaiveBayes(leaves=leaves, schema=whole.schema_)
    first, *others = np.array_split(np.arange(len(y)), 4)
    # The first call fixes edges and origins; it is given all levels, and an origin does not change the answer.
    for rows in (first, *others[::-1]):
        parts.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
    for rows in (first, np.concatenate(others)):
        rest.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
    np.testing.assert_allclose(parts.log_prob(X), rest.log_prob(X), rtol=1e-9)
    if leaves != "histogram":  # whose edges are those of the first rows
        np.testing.assert_allclose(parts.log_prob(X), whole.log_prob(X), rtol=1e-9)


def test_ten_thousand_columns_do_not_underflow():
    """Classes 0.2 apart in each of 10,000 columns of variance 1, means of 20 rows: the log-odds have the mean 200 and
    the deviation sqrt(10,000 (0.04 + 2 / 20)) = 37, so that one of 20 rows is wrong once in 8e5 times.
    """
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 60)
    X = rng.normal(size=(60, 10_000)) + 0.2 * y[:, None]
    model = NaiveBayes(leaves="gaussian", shared_variance=True).fit(X[:40], y[:40])
    assert (
        np.isfinite(model.log_prob(X)).all() and np.isfinite(model.predict_log_proba(X[40:])[range(20), y[40:]]).all()
    )
    assert (model.predict(X[40:]) == y[40:]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_large_mean_loses_no_digits(dtype):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 3000)
    X = (1e6 + rng.normal(size=(3000, 5)) + y[:, None]).astype(dtype)
    near = (X.astype(np.float64) - 1e6).astype(np.float64)
    far = NaiveBayes(leaves="gaussian").fit(X, y)
    close = NaiveBayes(leaves="gaussian").fit(near, y)
    np.testing.assert_allclose(far.log_prob(X), close.log_prob(near), atol=2e-5 if dtype == np.float32 else 1e-8)
    np.testing.assert_allclose(far.predict_proba(X), close.predict_proba(near), atol=1e-5)


def test_units_law():
    """Scaling a continuous column by a shifts log_prob by -log|a|; shifting it or permuting columns changes nothing."""
    X, y = numbers()
    for leaves in ("gaussian", "kde", "histogram"):
        base = NaiveBayes(leaves=leaves).fit(X, y).log_prob(X, y)
        scaled = X * np.array([1.0, 8.0, 1.0, 1.0]) + np.array([0, 0, 64.0, 0])
        moved = NaiveBayes(leaves=leaves).fit(scaled, y).log_prob(scaled, y)
        np.testing.assert_allclose(moved, base - np.log(8), atol=2e-4 if leaves == "kde" else 1e-6)
        turned = NaiveBayes(leaves=leaves).fit(X[:, ::-1], y).log_prob(X[:, ::-1], y)
        np.testing.assert_allclose(turned, base, atol=1e-6)


def test_linear_predictor_equals_the_log_odds():
    frame = table().drop(columns="since")
    model = NaiveBayes(leaves="gaussian", shared_variance=True).fit(frame, "income")
    line = model.to_linear()
    logits = line.design(frame) @ line.coefficient.T + line.intercept
    odds = model.predict_log_proba(frame)
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], odds[:, 1] - odds[:, 0], atol=1e-9)
    slope, intercept = line.log_odds()
    np.testing.assert_allclose(line.design(frame) @ slope[0] + intercept[0], odds[:, 1] - odds[:, 0], atol=1e-9)
    with pytest.raises(BegatError, match="shared_variance"):
        NaiveBayes(leaves="gaussian").fit(frame, "income").to_linear()


def test_linear_predictor_of_a_block_of_counts():
    """log theta of each count: what all classes share, the total's law and the coefficient, is in neither side."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 500)
    X = pd.DataFrame(rng.poisson(1 + rng.random((3, 6))[y] * 4), columns=list("abcdef"))
    model = NaiveBayes(leaves="multinomial").fit(X, y)
    line, odds = model.to_linear(), model.predict_log_proba(X)
    logits = line.design(X) @ line.coefficient.T + line.intercept
    np.testing.assert_allclose(logits - logits[:, :1], odds - odds[:, :1], atol=1e-9)


def test_linear_predictor_refuses_unknown_numbers():
    """Their column's constant would stay behind in the intercept."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 300)
    X = pd.DataFrame({"a": rng.normal(size=300) + y, "b": np.where(rng.random(300) < 0.5, "p", "q")})
    X.loc[::7, "b"] = None
    line = NaiveBayes(leaves="gaussian", shared_variance=True, missing="unknown").fit(X, y).to_linear()
    assert np.isfinite(line.design(X)).all()  # an unknown level adds nothing
    X.loc[3, "a"] = np.nan
    with pytest.raises(BegatError, match="'a', row 3"):
        line.design(X)


@pytest.mark.parametrize("cap", [None, 840])
@pytest.mark.parametrize("leaves", ["gaussian", "poisson"])
def test_linear_predictor_of_special_numbers_on_a_grid(cap, leaves):
    """Zeros and a cap that repeat have codes; what they leave of the remainder differs between the classes."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 3000)
    x = np.where(rng.random(3000) < 0.4, 0, rng.poisson(3 + 2 * y) + (800 if cap else 0))
    x = x if cap is None else np.minimum(x, 803)
    frame = pd.DataFrame({"x": x})
    atoms = [0.0] if cap is None else [0.0, 803.0]
    schema = {
        "columns": [{"name": "x", "kind": "count", "lower": 0, "atoms": atoms, "upper": None if cap is None else 803}]
    }
    model = NaiveBayes(leaves=leaves, shared_variance=True, schema=schema).fit(frame, y)
    assert model.schema_["x"].atoms == tuple(atoms)
    line, odds = model.to_linear(), model.predict_log_proba(frame)
    logits = line.design(frame) @ line.coefficient.T + line.intercept
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], odds[:, 1] - odds[:, 0], atol=1e-9)


def test_numeric_target():
    """p(y | x) is a mixture of Gaussians at least 0.1 wide: sums over a step of 0.01 are exact to rounding."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 2))
    y = 3 * X[:, 0] + rng.normal(size=3000)
    model = NaiveBayes(leaves="gaussian").fit(X, y)
    with pytest.raises(AttributeError, match="target is a number"):
        model.predict_proba(X)
    grid = np.linspace(-40, 40, 8001)
    for row in X[:3]:
        density = np.exp(model.log_prob(np.repeat(row[None], len(grid), 0), grid) - model.log_prob(row[None]))
        assert density.sum() * 0.01 == pytest.approx(1.0, abs=1e-8)
        assert (density * grid).sum() * 0.01 == pytest.approx(model.predict(row[None])[0], abs=1e-7)


@pytest.mark.parametrize("y", [[0, 1], [0.5, 1.5], [False, True]])
def test_a_regression_takes_few_numbers_too(y):
    """Two far apart groups: E[y | x] is the value of each, to the mass that the other has there."""
    X = np.random.default_rng(0).normal(size=(200, 2))
    side = (X[:, 0] > 0).astype(int)
    X[:, 0] += 40 * side
    model = NaiveBayes(task="regression", leaves="gaussian").fit(X, np.array(y)[side])
    assert model.role_ == "regression"
    np.testing.assert_allclose(model.predict(X), np.array(y, dtype=float)[side], atol=0.05)


def test_weights_of_a_regression_are_repetitions():
    X, _ = numbers()
    y = X[:, 0] + X[:, 1] ** 2
    weight = np.random.default_rng(0).integers(0, 4, len(y))
    one = NaiveBayes(leaves="gaussian").fit(X, y, sample_weight=weight)
    two = NaiveBayes(leaves="gaussian").fit(np.repeat(X, weight, 0), np.repeat(y, weight))
    np.testing.assert_allclose(one.predict(X), two.predict(X), rtol=1e-9)


def test_classes_beat_one_gaussian():
    """Law 10: classes at +-3 deviations in 3 columns gain 3/2 log 10 - log 2 = 2.8 nats a row on one wide Gaussian.

    A factor of e^2.5 of the likelihood of a row is demanded of 2,000 unseen rows, whose mean is within 0.06 nats.
    """
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 4000)
    X = rng.normal(size=(4000, 3)) + 6 * y[:, None] - 3
    classes = NaiveBayes(leaves="gaussian").fit(X[:2000], y[:2000])
    single = NaiveBayes(leaves="gaussian").fit(X[:2000])
    assert (classes.log_prob(X[2000:]) - single.log_prob(X[2000:])).mean() > 2.5


def test_smoothing_of_each_column_its_own():
    """A product of columns: the model of all is the sum of models of one column each, whatever each is given."""
    X, _ = numbers()
    said = {"x0": 0.0, "x2": 30.0}
    model = NaiveBayes(leaves="gaussian", var_smoothing=said).fit(X)
    alone = [
        NaiveBayes(leaves="gaussian", var_smoothing=said.get(f"x{j}", 1.0)).fit(X[:, [j]]).log_prob(X[:, [j]])
        for j in range(4)
    ]
    np.testing.assert_allclose(model.log_prob(X), np.sum(alone, 0), rtol=1e-9)
    assert not np.allclose(alone[2], NaiveBayes(leaves="gaussian").fit(X[:, [2]]).log_prob(X[:, [2]]), rtol=1e-6)


OPTIONS = [("kde", {"bandwidth": "likelihood", "exact": True}), ("kde", {"bandwidth": 0.5}), ("histogram", {"bins": 3})]


@pytest.mark.parametrize("leaf", OPTIONS, ids=str)
def test_options_reach_the_leaf_and_the_file(leaf, tmp_path):
    """One wish for all, one for each column, and a fit of what a file says was asked: the same model."""
    X, y = numbers()
    model = NaiveBayes(leaves=leaf).fit(X, y)
    each = NaiveBayes(leaves={f"x{j}": leaf for j in range(4)}).fit(X, y)
    config = model.model_.parts[0].leaf.config()
    assert {name: config[name] for name in leaf[1]} == leaf[1]
    assert len(model.model_.parts) == 1 and set(model.leaves_.values()) == {leaf[0]}
    np.testing.assert_array_equal(each.log_prob(X), model.log_prob(X))
    assert not np.allclose(NaiveBayes(leaves=leaf[0]).fit(X, y).log_prob(X), model.log_prob(X), rtol=1e-4)
    each.save(tmp_path / "m.safetensors")
    back = begat.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(back.log_prob(X), model.log_prob(X))
    np.testing.assert_array_equal(back.fit(X, y).log_prob(X), model.log_prob(X))


@pytest.mark.parametrize("target", [None, "y"])
def test_a_source_takes_no_weights(target):
    frame = pd.DataFrame(numbers()[0], columns=list("abcy"))
    with pytest.raises(DataError, match="takes no sample_weight"):
        NaiveBayes().fit(FrameSource(frame), target, sample_weight=np.ones(len(frame)))


def test_a_table_that_has_chunks_is_no_source():
    class Chunked(pd.DataFrame):
        chunks = ((300, 300),)

    X, y = numbers()
    weight = np.random.default_rng(1).uniform(0.2, 2.0, len(y))
    plain = pd.DataFrame(X, columns=list("abcd"))
    one = NaiveBayes(leaves="gaussian").fit(Chunked(plain), y, sample_weight=weight)
    two = NaiveBayes(leaves="gaussian").fit(plain, y, sample_weight=weight)
    np.testing.assert_array_equal(one.log_prob(plain), two.log_prob(plain))


def test_an_impossible_row_has_the_prior():
    """A number beyond the stated bounds, and a level that no class has without pseudo-counts."""
    prior = [0.2, 0.3, 0.5]
    X, y = numbers()
    schema = {"columns": [{"name": f"x{j}", "kind": "continuous", "lower": -50, "upper": 50} for j in range(4)]}
    bounded = NaiveBayes(schema=schema, leaves="gaussian", priors=prior).fit(X, y)
    odd = np.concatenate([X[:1], np.full((1, 4), 99.0)])
    X, y = codes(levels=3)
    schema = {"columns": [{"name": f"x{j}", "kind": "category", "levels": [0, 1, 2, 3]} for j in range(5)]}
    unseen = NaiveBayes(schema=schema, alpha=0, priors=prior).fit(X, y)
    for model, rows in ((bounded, odd), (unseen, np.concatenate([X[:1], np.full((1, 5), 3)]))):
        assert list(np.isneginf(model.log_prob(rows))) == [False, True]
        np.testing.assert_allclose(model.predict_proba(rows)[1], prior)
        np.testing.assert_allclose(model.predict_log_proba(rows)[1], np.log(prior))
        assert model.predict(rows)[1] == 2 and not np.allclose(model.predict_proba(rows)[0], prior)


@pytest.mark.parametrize(
    ("priors", "want"),
    [("uniform", [1 / 3] * 3), ([0.2, 0.3, 0.5], [0.2, 0.3, 0.5]), ({2: 0.5, 0: 0.2, 1: 0.3}, [0.2, 0.3, 0.5])],
)
def test_priors(priors, want):
    X, y = numbers()
    model = NaiveBayes(priors=priors).fit(X, y)
    drawn = model.sample(9000, return_y=True, random_state=0)[1]
    np.testing.assert_allclose(np.bincount(drawn) / 9000, want, atol=0.03)  # at least 5.7 deviations: 1.2e-8 a class
    assert set(model.sample(7, y=1, return_y=True, random_state=0)[1]) == {1}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"leaves": "gausian"}, "did you mean 'gaussian'"),
        ({"leaves": {"x9": "kde"}}, "x9"),
        ({"task": "classify"}, "did you mean 'classification'"),
        ({"missing": "drop"}, "missing"),
        ({"alpha": -1}, "at least 0"),
        ({"var_smoothing": -1e-9}, "var_smoothing is -1e-09; give a finite number, at least 0"),
        ({"var_smoothing": {"x1": None}}, "var_smoothing is None"),
        ({"var_smoothing": {"x7": 1.0}}, "var_smoothing names a column 'x7'"),
        ({"leaves": ("kde", {"bandwith": 1})}, "did you mean 'bandwidth'"),
        ({"leaves": {"x1": ("kde", {"bandwidth": "silvermann"})}}, "'silverman'"),
        ({"leaves": ("kde", {"exact": 1})}, "True or False"),
        ({"leaves": ("histogram", {"bins": 0})}, "a whole number from 1"),
        ({"leaves": ("gaussian", {"bins": 3})}, "no option 'bins'"),
        ({"leaves": ("kde", "exact")}, "a pair"),
        ({"priors": [0.5, 0.2, 0.2]}, "sum to 1"),
        ({"priors": "flat"}, "uniform"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(BegatError, match=message):
        NaiveBayes(**parameters).fit(*numbers())


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (lambda: NaiveBayes().fit(table(), "incom"), "did you mean 'income'"),
        (lambda: NaiveBayes().fit(table(), table()["income"].tolist()[:-1]), "one for each row"),
        (lambda: NaiveBayes().fit(table().assign(y=[None, *["a"] * 799]), "y"), "missing"),
        (lambda: NaiveBayes().fit(numbers()[0], np.where(np.arange(600) == 5, np.nan, 1.5)), "row 5"),
        (lambda: NaiveBayes(task="classification").fit(table()), "requires y"),
        (lambda: NaiveBayes(task="classification").fit(table(), table()["height"].fillna(1.0)), "is continuous"),
        (lambda: NaiveBayes(task="regression").fit(table(), "income"), "which a regression needs"),
    ],
)
def test_bad_targets(fit, message):
    with pytest.raises(DataError, match=message):
        fit()


def test_one_class_is_predicted_always():
    X, _ = numbers()
    model = NaiveBayes().fit(X, np.full(len(X), "a"))
    assert set(model.predict(X)) == {"a"} and (model.predict_proba(X) == 1).all()


def test_missing_values_are_outcomes_or_unknown():
    frame = table()
    outcome = NaiveBayes(leaves="gaussian").fit(frame, "income")
    unknown = NaiveBayes(leaves="gaussian", missing="unknown").fit(frame, "income")
    share = frame["height"].isna().mean()  # of 800 rows; five deviations of 2,000 draws: false alarms 6e-7
    bound = 5 * np.sqrt(share * (1 - share) / 2000) + 0.005  # 0.005: a pseudo-row or two for each class
    assert abs(outcome.sample(2000, random_state=0)["height"].isna().mean() - share) < bound
    gap = frame[frame["height"].isna()].head(5)
    without = NaiveBayes(leaves="gaussian", missing="unknown").fit(frame.drop(columns="height"), "income")
    np.testing.assert_allclose(unknown.predict_proba(gap), without.predict_proba(gap), atol=1e-9)


def test_threads_do_not_change_the_answer():
    X, y = numbers()
    before = torch.get_num_threads()
    base = NaiveBayes().fit(X, y).log_prob(X)
    try:
        torch.set_num_threads(1 if before > 1 else 2)
        np.testing.assert_allclose(NaiveBayes().fit(X, y).log_prob(X), base, rtol=1e-9)
    finally:
        torch.set_num_threads(before)


def test_a_number_with_a_code_of_its_own_is_counted_once():
    """Codes and remainder of a column on a grid sum to one together, and draws agree (false alarms: 1e-6 each)."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 4000)
    x = np.where(rng.random(4000) < 0.5, 0, rng.poisson(800 + 30 * y)) % 3000
    for leaves in ("gaussian", "histogram", "kde"):
        model = NaiveBayes(leaves=leaves).fit(pd.DataFrame({"x": x}), y)
        assert model.schema_["x"].atoms == (0.0,)
        every = pd.DataFrame({"x": np.arange(0, 5000)})
        assert np.exp(model.log_prob(every)).sum() == pytest.approx(1.0, abs=1e-6)
        inside = np.exp(model.log_prob(every[every["x"].between(0, 790)])).sum()
        drawn = model.sample(20_000, random_state=0)["x"].between(0, 790).mean()
        assert abs(drawn - inside) < 4.9 * np.sqrt(inside / 20_000)


def test_integrated_out_missing_values_have_no_probability():
    frame = pd.DataFrame({"a": ["p", "q", None] * 10, "b": [1.5, None, 2.25] * 10})
    model = NaiveBayes(missing="unknown").fit(frame)
    assert np.exp(model.log_prob(pd.DataFrame({"a": ["p", "q"], "b": [None, None]}))).sum() == pytest.approx(1.0)
    assert not model.sample(300, random_state=0).isna().any().any()
    assert model.likelihood.schema != NaiveBayes().fit(frame).likelihood.schema


def test_an_unseen_level_is_an_error_or_unknown():
    frame = table()
    new = frame.head(5).assign(job=["cook", "king", "smith", "nurse", "queen"])
    with pytest.raises(DataError, match="king"):
        NaiveBayes().fit(frame, "income").predict(new)
    model = NaiveBayes(unseen="unknown").fit(frame, "income")
    with pytest.warns(UserWarning, match="king"):
        got = model.predict_proba(new)
    gone = new.assign(job=new["job"].where(new["job"].isin(["cook", "smith", "nurse"])))
    lenient = NaiveBayes(unseen="unknown", missing="unknown").fit(frame, "income")
    with pytest.warns(UserWarning, match="queen"):
        np.testing.assert_allclose(lenient.predict_proba(new), lenient.predict_proba(gone))
    assert np.isfinite(got).all()


@pytest.mark.parametrize("offset", [1e13, 1e15, -3e15])
def test_a_far_origin_does_not_widen_the_law(offset):
    x = np.random.default_rng(0).normal(size=(300, 1))
    near, far = (NaiveBayes(leaves="gaussian").fit(x + o) for o in (0.0, offset))
    # Numbers near 1e15 are eighths: rounding adds at most 0.5^2 / 12 to a variance of 1.
    assert far.log_prob(x + offset).mean() == pytest.approx(near.log_prob(x).mean(), abs=0.1)


def test_numbers_whose_squares_overflow_are_refused():
    x = np.random.default_rng(0).normal(size=(300, 1)) * 1e160
    with pytest.raises(DataError, match="overflow"):
        NaiveBayes(leaves="gaussian").fit(x)


def test_a_range_keeps_the_digits_of_large_whole_numbers():
    base = 2**60
    frame = pd.DataFrame({"v": np.random.default_rng(0).integers(0, 1000, 400) + base})
    drawn = NaiveBayes().fit(frame).sample(50, given={"v": (base + 100, base + 110)}, random_state=0)["v"] - base
    assert drawn.between(100, 110).all()


def test_more_rows_than_memory_are_refused():
    with pytest.raises(DataError, match="memory"):
        NaiveBayes().fit(table(50)).sample(10**13)


def test_a_special_code_is_named_once():
    with pytest.raises(BegatError, match="twice"):
        begat.schema.Column(name="v", kind="integer", atoms=(0.0, -0.0))
