"""Laws of the metrics: closed forms, scikit-learn, bootstrap, and controls whose answer is known.

Statistical tests have fixed seeds; their false-alarm rates are in the comments. A z beyond 4 comes by chance once in
16,000 times.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as peer

from begat.errors import BegatError, DataError
from begat.metrics import (
    Score,
    classification,
    columns,
    detection,
    frechet,
    likelihood,
    privacy,
    regression,
    roc,
    score,
    utility,
)
from begat.schema import Column, Grid, Schema


def people(n: int, seed: int) -> pd.DataFrame:
    """Rows in which numbers, levels, dates and missing values depend on each other."""
    draw = np.random.default_rng(seed)
    age = np.round(draw.gamma(8.0, 5.0, n), 1)
    job = np.where(draw.random(n) < 1 / (1 + np.exp((40 - age) / 5)), "nurse", "clerk").astype(object)
    job[draw.random(n) < 0.1] = None
    wage = np.where(job == "nurse", 30.0, 20.0) + draw.normal(0, 3, n)
    wage[draw.random(n) < 0.05] = np.nan
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(7 * draw.integers(0, 50, n), unit="D")
    return pd.DataFrame({"age": age, "job": job, "wage": wage, "day": day, "rich": np.where(wage > 25, "yes", "no")})


SCHEMA = Schema(
    (
        Column(name="age", kind="decimal", grid=Grid(decimals=1)),
        Column(name="job", kind="category", levels=("clerk", "nurse"), missing=True),
        Column(name="wage", kind="continuous", missing=True),
        Column(name="day", kind="datetime", grid=Grid(), tick="day"),
        Column(name="rich", kind="category", levels=("no", "yes")),
    ),
    target="rich",
)


def shuffled(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Every column by itself."""
    draw = np.random.default_rng(seed)
    return pd.DataFrame({c: frame[c].to_numpy()[draw.permutation(len(frame))] for c in frame})


def jittered(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    return frame.assign(**{c: frame[c] * (1 + 0.01 * draw.standard_normal(len(frame))) for c in ("age", "wage")})


# Score ----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "value, stderr, note, words",
    [
        (math.nan, None, "why", "not NaN"),
        (None, None, "", "note"),
        (math.inf, None, "", "note"),
        (1.0, -1.0, "", "error"),
        (1.0, math.nan, "", "error"),
    ],
)
def test_a_score_without_a_number_says_why(value, stderr, note, words):
    with pytest.raises(BegatError, match=words):
        Score(value, stderr, "nats per row", "higher", note=note)


def test_a_score_speaks():
    assert str(Score(0.12345, 0.0123, "share", "higher")) == "0.123 ± 0.012"
    assert str(Score(1234.5, 12.3, "share", "higher")) == "1234 ± 12"
    assert str(Score.absent("no rows", "share")) == "-"
    assert Score(math.inf, None, "nats", "lower", note="zero").to_dict()["value"] is None
    low, high = Score(1.0, 0.1, "u", "lower"), Score(2.0, 0.1, "u", "lower")
    assert low.beats(high) and not high.beats(low) and not low.beats(low) and not low.beats(Score.absent("x", "u"))


def test_mean_and_share_have_the_errors_of_their_formulas():
    x = np.random.default_rng(0).normal(3, 2, 400)
    assert score.mean(x, "u", "higher").stderr == pytest.approx(x.std(ddof=1) / 20)
    assert score.mean(x[:1], "u", "higher").stderr is None
    assert score.mean(x[:0], "u", "higher").value is None
    assert score.share(30, 100, "higher").stderr == pytest.approx(math.sqrt(31 / 102 * 71 / 102 / 100))
    assert score.share(100, 100, "higher").stderr > 0


# AUC ------------------------------------------------------------------------------------------------------------------
def ranked(n: int, seed: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    positive = draw.random(n) < 0.3
    s = draw.normal(0, 1, n) + positive
    return positive, np.round(s) if ties else s


@pytest.mark.parametrize("ties", [False, True])
def test_auc_is_scikit_learns_and_its_error_the_bootstraps(ties):
    positive, s = ranked(600, 1, ties)
    got = roc.auc(positive, s)
    assert got.value == pytest.approx(peer.roc_auc_score(positive, s), abs=1e-12)
    draw = np.random.default_rng(2)
    rows = draw.integers(0, 600, (400, 600))
    boot = np.std([peer.roc_auc_score(positive[r], s[r]) for r in rows], ddof=1)
    # the deviation of 400 draws has a relative error of 3.5%; 15% is beyond 4 of those
    assert got.stderr == pytest.approx(boot, rel=0.15)


def test_delongs_error_is_the_closed_form_on_three_rows_a_side():
    positive = np.array([1, 1, 1, 0, 0, 0], bool)
    s = np.array([3.0, 2.0, 0.5, 1.0, 0.0, 2.0])
    v10 = np.array([1.0, (1 + 1 + 0.5) / 3, 1 / 3])
    v01 = np.array([2 / 3, 1.0, (1 + 0.5) / 3])
    expected = math.sqrt(v10.var(ddof=1) / 3 + v01.var(ddof=1) / 3)
    assert roc.auc(positive, s).stderr == pytest.approx(expected, rel=1e-12)


def test_macro_auc_is_scikit_learns_and_says_what_it_leaves_out():
    draw = np.random.default_rng(3)
    y, p = draw.integers(0, 3, 300), draw.dirichlet(np.ones(3), 300)
    p[np.arange(300), y] += 0.5
    p /= p.sum(1, keepdims=True)
    got = classification.area(y, p)
    assert got.value == pytest.approx(peer.roc_auc_score(y, p, multi_class="ovr"))
    wide = classification.area(y, np.column_stack([p, np.zeros(300)]))
    assert wide.value == got.value and "left out" in wide.note
    assert roc.auc(np.ones(5, bool), np.arange(5)).value is None
    assert roc.auc(np.arange(10) > 4, np.arange(10)).stderr == 0.2


# classification and regression ----------------------------------------------------------------------------------------
def classified(n: int = 2000, seed: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """A calibrated prediction: classes are drawn from the probabilities."""
    draw = np.random.default_rng(seed)
    p = draw.dirichlet([4.0, 2.0, 0.3], n)
    return (draw.random(n)[:, None] > p.cumsum(1)).sum(1), p


def test_class_figures_are_scikit_learns():
    y, p = classified()
    assert classification.accuracy(y, p.argmax(1)).value == pytest.approx(peer.accuracy_score(y, p.argmax(1)))
    assert classification.log_loss(y, np.log(p)).value == pytest.approx(peer.log_loss(y, p))
    rare = classification.rare_precision(y, p)
    assert (y == 2).mean() < 0.1 and rare.value == pytest.approx(peer.average_precision_score(y == 2, p[:, 2]))
    rounded = np.round(p[:, 2], 1)  # rows of equal score enter together
    tied = classification.rare_precision(y, np.column_stack([p[:, :2], rounded]))
    assert tied.value == pytest.approx(peer.average_precision_score(y == 2, rounded))
    draw = np.random.default_rng(0).integers(0, len(y), (200, len(y)))
    boot = np.std([peer.average_precision_score(y[r] == 2, p[r, 2]) for r in draw], ddof=1)
    assert rare.stderr == pytest.approx(boot, rel=0.3)  # two deviations of 200 draws: 5% each
    assert classification.rare_precision(y[y < 2], p[y < 2]).value is None


def test_calibration_error_is_small_for_a_calibrated_prediction_and_right_for_a_shifted_one():
    y, p = classified(20_000)
    good = classification.calibration_error(y, p)
    # chance alone gives about sqrt(2 * 15 * q / (pi n)) = 0.009 with q = 0.2; the bound is 5 deviations above
    assert good.value < 0.02
    sure = 0.5 * p + 0.5 * np.eye(3)[p.argmax(1)]
    worse = classification.calibration_error(y, sure)
    gap = (sure.max(1) - (sure.argmax(1) == y)).mean()
    assert worse.value == pytest.approx(gap, abs=0.01) and 0 < worse.stderr < 0.01


def test_a_class_under_probability_zero_is_infinite_and_said():
    y, log_p = np.array([0, 1, 1]), np.array([[0.0, -np.inf], [0.0, -np.inf], [-np.inf, 0.0]])
    got = classification.log_loss(y, log_p)
    assert got.value == math.inf and "1 of 3" in got.note
    far = classification.log_loss(y, np.where(np.isinf(log_p), -2000.0, log_p))  # beyond what a probability can hold
    assert far.value == pytest.approx(2000 / 3)


def test_number_figures_are_scikit_learns_and_their_errors_the_bootstraps():
    draw = np.random.default_rng(5)
    y = draw.normal(0, 3, 800)
    f = y + draw.standard_t(6, 800)
    pairs = {
        regression.rmse: peer.root_mean_squared_error,
        regression.mae: peer.mean_absolute_error,
        regression.r2: peer.r2_score,
    }
    rows = draw.integers(0, 800, (300, 800))
    for mine, theirs in pairs.items():
        assert mine(y, f).value == pytest.approx(theirs(y, f))
        boot = np.std([theirs(y[r], f[r]) for r in rows], ddof=1)
        assert mine(y, f).stderr == pytest.approx(boot, rel=0.2)  # 300 draws: 4% a deviation
    assert regression.r2(np.ones(5), np.arange(5.0)).value is None
    assert "1 of 2" in regression.mae(np.ones(2), np.array([1.0, np.nan])).note


def test_gain_is_paired_and_infinite_only_with_a_reason():
    draw = np.random.default_rng(6)
    floor = draw.normal(-50, 20, 500)
    model = floor + draw.normal(1.0, 0.1, 500)
    got = likelihood.gain(model, floor)
    assert got.value == pytest.approx((model - floor).mean()) and got.stderr < 0.01 < floor.std() / math.sqrt(500)
    zero = np.where(np.arange(500) == 7, -np.inf, model)
    assert likelihood.gain(zero, floor).value == -math.inf and "row 7" in likelihood.gain(zero, floor).note
    assert likelihood.gain(model, zero).value == math.inf
    assert likelihood.gain(zero, zero).value == -math.inf
    assert likelihood.gain(np.full(500, np.nan), floor).value is None
    assert likelihood.gain(model[:3], floor).value is None


# columns --------------------------------------------------------------------------------------------------------------
def test_levels_are_the_same_however_a_frame_holds_them():
    a = pd.Series([3, 1, 3], dtype="int64")
    b = pd.Series(["3", "1", None], dtype=object)
    c = pd.Series([3.0, np.nan, 1.0]).astype("category")
    x, y, z = columns.codes((a, b, c))
    assert x.tolist() == [0, 1, 0] and y.tolist() == [0, 1, -1] and z.tolist() == [0, -1, 1]


def test_rare_levels_are_merged_to_what_boosting_takes():
    names = pd.DataFrame({"k": [f"level {i}" for i in range(700)] * 2})
    (a, b), coded = columns.matrix((names, names.iloc[:100]), columns.features(names))
    assert coded == [True] and a.max() == 254 and len(np.unique(a)) == 255 and b.max() <= 254


def test_features_leave_out_what_is_not_scored_and_a_column_that_is_absent_is_named():
    schema = Schema((*SCHEMA.columns, Column(name="id", kind="identifier"), Column(name="note", kind="text")))
    assert [f.name for f in columns.features(people(5, 0), schema)] == list(SCHEMA.names)
    with pytest.raises(DataError, match="no column 'wage'"):
        columns.matrix((people(5, 0), people(5, 0).drop(columns="wage")), columns.features(people(5, 0), SCHEMA))
    with pytest.raises(DataError, match="no column is left"):
        columns.features(people(5, 0), Schema(schema.columns[-1:]))


# detection ------------------------------------------------------------------------------------------------------------
def test_fresh_rows_score_one_within_their_error():
    seeds = range(4)
    found = [detection.detection_auc(people(300, s), people(300, 100 + s), SCHEMA, seed=s) for s in seeds]
    z = [(a.value - 0.5) / a.stderr for a in found]
    # folds share training rows, so z has a spread of up to 1.3 at this size: any of 4 beyond 4 once in 100 times
    assert max(map(abs, z)) < 4
    score = detection.folded(found[0])
    assert score.value == 1 - 2 * abs(found[0].value - 0.5) and score.stderr == 2 * found[0].stderr


@pytest.mark.parametrize("spoil", ["independent", "season", "level", "missing"])
def test_what_is_wrong_is_detected(spoil):
    real, fake = people(600, 1), people(600, 2)
    if spoil == "independent":
        fake = shuffled(fake, 3)
    if spoil == "season":
        fake = fake.assign(day=fake.day + pd.to_timedelta(np.arange(600) % 7, unit="D"))
    if spoil == "level":
        fake = fake.assign(job=fake.job.where(fake.job != "clerk", "an unknown job"))
    if spoil == "missing":
        fake = fake.assign(job=fake.job.where(np.arange(600) % 3 > 0, None))
    area = detection.detection_auc(real, fake, SCHEMA)
    assert area.value > 0.5 + 4 * area.stderr  # false alarms: 1 in 30,000


def test_detection_does_not_depend_on_containers_of_cells_and_refuses_few_rows():
    real, fake = people(200, 1), people(200, 2)
    other = fake.astype({"job": "category", "rich": "string", "age": "float32"}).sample(frac=1, axis=1, random_state=0)
    assert detection.detection(real, fake, SCHEMA).value == pytest.approx(
        detection.detection(real, other.assign(age=fake.age), SCHEMA).value
    )
    assert "at least" in detection.detection(real, fake[:9], SCHEMA).note


# copying --------------------------------------------------------------------------------------------------------------
TRAIN, HELD = people(1600, 11), people(400, 12)
CONTROLS = {
    "resampled": lambda: TRAIN.sample(1600, replace=True, random_state=0),
    "jittered": lambda: jittered(TRAIN.sample(1600, replace=True, random_state=0), 0),
    "half copies": lambda: pd.concat([TRAIN[:800], people(800, 13)], ignore_index=True),
    "copies through text": lambda: TRAIN.assign(wage=TRAIN.wage.map(repr).replace("nan", None)),
}


@pytest.mark.parametrize("control", CONTROLS)
def test_copies_are_flagged(control):
    found = privacy.copying(TRAIN, HELD, CONTROLS[control](), SCHEMA)
    assert found.flagged and found.why
    assert (found.copies.value == 0) == (control == "jittered")


def test_fresh_rows_are_not_flagged():
    # each figure flags fresh rows with probability 0.13%: any of 2 x 12 does once in 30 times, for other seeds
    for seed in range(12):
        found = privacy.copying(people(400, 3 * seed), people(100, 3 * seed + 1), people(400, 3 * seed + 2), SCHEMA)
        assert not found.flagged


def test_the_error_of_the_nearest_share_is_its_spread():
    shares = [
        privacy.nearest_share(people(60, s), people(60, 500 + s), people(2000, 900 + s), SCHEMA) for s in range(60)
    ]
    z = np.array([(s.value - 0.5) / s.stderr for s in shares])
    # 60 draws of a unit deviation: its relative error is 9%. A binomial error, blind to the references, gives z over 2
    assert 0.65 < z.std() < 1.35 and abs(z.mean()) < 4 / math.sqrt(60)


def test_nearest_share_is_brute_force():
    a, b, s = people(40, 1), people(40, 2), people(30, 3)
    num = [(f.age, f.wage, (f.day - pd.Timestamp("2024-01-01")).dt.days) for f in (a, b, s)]
    scale = [np.nanstd(np.concatenate([x.to_numpy(float), y.to_numpy(float)])) for x, y in zip(*num[:2], strict=True)]
    keys = [list(zip(f.job.fillna("?"), f.rich, f.wage.isna(), strict=True)) for f in (a, b, s)]
    centre = np.nanmean(np.concatenate([a.wage, b.wage]))

    def gap(i: int, j: int, ref: int) -> float:
        far = 0.0
        for k, sd in enumerate(scale):
            x, y = (float(num[side][k].iloc[row]) for side, row in ((2, i), (ref, j)))
            x, y = (centre if math.isnan(v) else v for v in (x, y))
            far += ((x - y) / sd) ** 2
        return far + sum(p != q for p, q in zip(keys[2][i], keys[ref][j], strict=True))

    near = [[min(gap(i, j, ref) for j in range(40)) for i in range(30)] for ref in (0, 1)]
    expected = np.mean([0.5 if math.isclose(x, y, rel_tol=1e-9) else float(x < y) for x, y in zip(*near, strict=True)])
    assert privacy.nearest_share(a, b, s, SCHEMA).value == pytest.approx(expected)


def test_a_split_that_is_not_random_flags_exact_copies_only():
    near = privacy.copying(TRAIN, HELD, CONTROLS["jittered"](), SCHEMA, exchangeable=False)
    assert not near.flagged and near.nearest.value > 0.5
    assert privacy.copying(TRAIN, HELD, CONTROLS["resampled"](), SCHEMA, exchangeable=False).flagged


def test_copies_survive_float32_and_missing_cells():
    assert privacy.copied_share(TRAIN, TRAIN.astype({"wage": "float32", "age": "float32"}), SCHEMA).value == 1
    assert privacy.copied_share(TRAIN, people(500, 99), SCHEMA).value < 0.01
    assert privacy.nearest_share(TRAIN[:5], HELD, TRAIN, SCHEMA).value is None


# utility --------------------------------------------------------------------------------------------------------------
def test_utility_is_high_for_real_rows_and_chance_for_independent_ones():
    real = utility.utility(people(600, 21), people(400, 22), "rich", SCHEMA, classes=True)
    none = utility.utility(shuffled(people(600, 21), 0), people(400, 22), "rich", SCHEMA, classes=True)
    assert real.value > 0.95 and abs(none.value - 0.5) < 0.15
    one = people(600, 21).assign(rich="yes")
    alone = utility.utility(one, people(400, 22), "rich", SCHEMA, classes=True)
    assert alone.value == 0.5 and "one class" in alone.note


def test_utility_of_numbers_is_r2():
    got = utility.utility(people(600, 21), people(400, 22), "wage", SCHEMA, classes=False)
    assert 0.4 < got.value < 1 and got.unit == "R2"
    bare = people(50, 1).assign(wage=np.nan)
    assert utility.utility(bare, people(50, 2), "wage", SCHEMA, classes=False).value is None


# the distance of features ---------------------------------------------------------------------------------------------
def same(x: np.ndarray) -> np.ndarray:
    return x


def normal(n: int, seed: int, mean: float = 0.0, dimensions: int = 4) -> np.ndarray:
    """Correlated normal rows; other means have other covariances."""
    mix = np.random.default_rng(int(10 * mean)).normal(size=(dimensions, dimensions))
    return mean + np.random.default_rng(seed).normal(size=(n, dimensions)) @ mix


def gaussian_distance(a: float, b: float) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) by scipy's root of a matrix."""
    from scipy.linalg import sqrtm

    mixes = [np.random.default_rng(int(10 * m)).normal(size=(4, 4)) for m in (a, b)]
    c1, c2 = (m.T @ m for m in mixes)
    return 4 * (a - b) ** 2 + float(np.trace(c1 + c2 - 2 * sqrtm(c1 @ c2).real))


def test_the_distance_of_normal_laws_is_its_formula():
    exact = gaussian_distance(0.0, 1.0)
    z = []
    for seed in range(6):
        got = frechet.frechet(normal(4000, 2 * seed), normal(3000, 2 * seed + 1, 1.0), same, seed=seed)
        z.append((got.value - exact) / got.stderr)
    # any of 6 beyond 4 errors, or their spread above 2, comes by chance once in 2,000 times
    assert max(map(abs, z)) < 4 and np.std(z) < 2
    assert got.better == "lower" and got.ideal == 0 and got.note == ""


def test_the_distance_of_equal_sets_is_nothing_and_of_one_law_little():
    x, y = normal(500, 0), normal(500, 1)
    assert frechet.distance(x, x) == pytest.approx(0, abs=1e-8)
    got = frechet.frechet(x, y, same)
    # chance alone: about tr(C) / n for the means and as much for the covariances
    assert 0 < got.value < 0.05 * x.var(0).sum() and got.value < 4 * got.stderr
    assert frechet.frechet(x, y, same, seed=1).value == got.value
    shifted = frechet.frechet(x, y + 1, same).value
    assert shifted == pytest.approx(got.value + frechet.distance(x, y + 1) - frechet.distance(x, y))
    assert shifted > 3


def test_the_distance_takes_features_of_no_variance_and_says_what_it_cannot_take():
    flat = np.column_stack([normal(60, 0), np.zeros(60)])
    assert frechet.distance(flat, flat[::-1]) == pytest.approx(0, abs=1e-8)
    assert frechet.distance(flat[:, :1], flat[:, :1] + 2) == pytest.approx(4)
    few = frechet.frechet(flat[:9], flat, same)
    assert few.value is None and "9 real and 60 made" in few.note
    assert "no finite" in frechet.frechet(flat, np.where(flat > 1, np.nan, flat), same).note
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 5)))[0]
    turned = frechet.distance(flat @ rotation, (flat + 1) @ rotation)
    assert turned == pytest.approx(frechet.distance(flat, flat + 1))  # it knows no axes


def test_independent_columns_are_farther_than_fresh_rows():
    x, y = normal(800, 0), normal(800, 1)
    alone = np.column_stack([np.random.default_rng(i).permutation(c) for i, c in enumerate(y.T)])
    fresh, floor = frechet.frechet(x, y, same), frechet.frechet(x, alone, same)
    assert floor.value > fresh.value + 4 * (fresh.stderr**2 + floor.stderr**2) ** 0.5


def test_numbers_of_one_unit_are_not_scaled():
    draw = np.random.default_rng(0)
    a, b = (pd.DataFrame({"x": draw.normal(size=40), "y": 1e-6 * draw.normal(size=40)}) for _ in range(2))
    s = a.assign(y=-a.y)  # far from each where each column has its own scale, at no distance where both share one
    assert privacy.nearest_share(a, b, s, alike=True).value == 1
    assert privacy.nearest_share(a, b, s).value < 0.9
