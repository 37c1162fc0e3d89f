"""The decision table on columns made for each of its rules, and what a kind needs beside its name."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from begat.codecs.column import encode_column
from begat.codecs.describe import surprising
from begat.codecs.facts import Facts
from begat.codecs.frame import cells
from begat.codecs.infer import infer
from begat.codecs.rules import TABLE, decide
from begat.codecs.spelling import number_format
from begat.errors import DataError, SchemaError
from begat.estimators import NaiveBayes
from begat.schema import Column, Grid, Schema

N = 2000
R = np.random.default_rng(0)
WORDS = R.choice(["red", "green", "blue"], N)


def column(values: object, name: str = "x", **how: object) -> Column:
    return infer({name: values}, **how)[name]  # type: ignore[arg-type]


def german(values: np.ndarray) -> list[str]:
    return [f"{v:_.2f}".translate({46: ",", 95: "."}) for v in values]


# one column for each row of the decision table, in its order: values, name, kind
RULES: list[tuple[object, str, str]] = [
    ([None] * N, "x", "category"),
    (R.random(N) < 0.5, "x", "boolean"),
    (pd.date_range("2020-01-01", periods=N), "x", "datetime"),
    (pd.Categorical(WORDS, ordered=True), "x", "ordinal"),
    (pd.Categorical(WORDS), "x", "category"),
    (pd.Series([1, "one", *([2] * (N - 2))], dtype=object), "x", "category"),
    (R.choice(["Yes", "No"], N), "x", "boolean"),
    (pd.date_range("2020-01-01", periods=N).strftime("%d.%m.%Y"), "x", "datetime"),
    ([f"A-{i:05d}" for i in R.permutation(N)], "x", "identifier"),
    ([" ".join(R.choice(list("abcdefgh"), 7)) for _ in range(N)], "x", "text"),
    (R.choice(["01234", "90210"], N), "x", "category"),
    (R.integers(-(2**62), 2**62, N), "x", "identifier"),
    (R.integers(0, 5, (N, 1)), "x0", "integer"),
    (R.integers(0, 5, (N, 1)).astype(float), "x0", "continuous"),
    (R.integers(0, 2, N), "x", "boolean"),
    (R.permutation(N) + 1, "x", "identifier"),
    (R.poisson(2, N), "x", "count"),
    (R.integers(17, 91, N), "x", "integer"),
    (R.normal(20, 3, N).round(1), "x", "decimal"),
    (R.normal(size=N), "x", "continuous"),
]


@pytest.mark.parametrize(("row", "rule"), list(enumerate(TABLE)), ids=[r.when for r in TABLE])
def test_each_rule_decides_its_column(row: int, rule) -> None:
    values, name, kind = RULES[row]
    array = isinstance(values, np.ndarray) and values.ndim == 2
    assert kind == rule.kind
    made = infer(values)["x0"] if array else column(values, name)
    assert made.kind == kind and made.why
    assert decide(Facts(name, cells(values if not array else values[:, 0])), False, array) is rule


def test_the_documented_table_is_the_table() -> None:
    text = (Path(__file__).parents[1] / "docs" / "schema.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \d+ \| (.*?) \| (\w+) \|$", text, flags=re.MULTILINE)
    where = {"feature": " (not the target)", "array": "", "anywhere": ""}
    assert rows == [(rule.when + where[rule.where], rule.kind) for rule in TABLE]


# grids ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("values", "grid"),
    [
        (R.normal(0, 9, N).round(2), Grid(2)),
        (R.normal(0, 9, N).round(2).astype("f4"), Grid(2)),
        (R.lognormal(9, 2, N).round(2), Grid(2)),
        (R.integers(0, 4000, N) / 4, Grid(2, 25)),
        (R.integers(200, 4000, N) * 100 + 50, Grid(0, 100, 50)),
        (R.integers(0, 100_000, N).astype("f4"), Grid()),
        (np.where(R.random(N) < 0.1, np.nan, R.integers(0, 50, N)), Grid()),
        (np.where(R.random(N) < 0.2, 1e30, R.normal(0, 9, N).round(1)), Grid(1)),
        (R.integers(2**60, 2**60 + 99, N) // 99 * 99, Grid(0, 1, -1)),
        (np.append(R.integers(0, 900, 30_000), 0.25), Grid(2)),
        (R.normal(size=N), None),
        (R.normal(size=N).astype("f4"), None),
        (R.normal(size=N).round(7), None),
        (R.random(30).astype("f4"), None),
        (np.append(R.integers(0, 900, 30_000), np.pi), None),
        (np.exp(R.integers(0, 900, N) / 100), None),
    ],
)
def test_grids_are_found_where_there_are_any(values: np.ndarray, grid: Grid | None) -> None:
    found = column(values).grid
    if grid is not None and grid.offset < 0:  # beyond float64: the offset makes whole numbers small
        assert found is not None and found.offset == values.min()
    else:
        assert found == grid


# special codes ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("values", "atoms"),
    [
        (np.where(R.random(N) < 0.1, 0, R.lognormal(size=N)), (0.0,)),
        (np.minimum(R.lognormal(size=N), 3.0), (3.0,)),
        (np.where(R.random(N) < 0.05, -999, R.integers(0, 60, N)), (-999.0,)),
        (np.where(R.random(N) < 0.05, -999, R.normal(20, 5, N).round(1)), (-999.0,)),
        (np.where(R.random(N) < 0.9, 0, R.integers(100, 90_000, N)), (0.0,)),
        (np.clip(R.normal(0, 1, N), -1, 1), (-1.0, 1.0)),
        (np.full(N, 3.5), (3.5,)),
        (R.integers(0, 4, N) / 3, tuple(float(v) for v in np.arange(4) / 3)),
        (R.normal(size=N), ()),
        (R.integers(0, 12, N), ()),
        (R.poisson(900, N), ()),
        (R.negative_binomial(1, 0.002, N), ()),
        (R.geometric(0.2, N) - 1, ()),
        (R.choice(R.normal(size=N), N), ()),
        (R.normal(100, 40, N).round(2), ()),
    ],
)
def test_special_codes_are_what_repeats_beyond_the_rest(values: np.ndarray, atoms: tuple[float, ...]) -> None:
    made = column(values)
    assert made.atoms == atoms
    if atoms and len(atoms) < 3:
        rows = (values == atoms[-1]).sum()
        assert f"{atoms[-1]:g} repeats {rows} times" in made.why or f"something else: {rows} rows" in made.why


SMALL = R.normal(140, 15, 180).round()


@pytest.mark.parametrize(
    ("values", "atoms", "said"),
    [
        (
            np.where(np.arange(180) % 23 == 0, -999, SMALL),
            (-999.0,),
            "-999 looks like a code for something else: 8 rows",
        ),
        (
            np.where(np.arange(180) % 90 == 0, 9999, SMALL),
            (9999.0,),
            "9999 looks like a code for something else: 2 rows",
        ),
        (np.append(SMALL, [-9, -9, -99, -99]), (-99.0, -9.0), "-99 looks like a code"),
        (np.append(R.integers(0, 4, 60), [9, 9]), (9.0,), "the rest is 0 to 3"),
        (np.append(R.random(60), [-99, -99.0]), (-99.0,), "-99 looks like a code"),
        (np.append(R.integers(2, 4, 60), [-1, -1]).astype("int8"), (-1.0,), "-1 looks like a code"),
        (np.append(SMALL, -999), (), ""),
        (np.append(SMALL, [-998, -998]), (), ""),
        (np.append(np.arange(0, 101), [-99, -99]), (), ""),
        (R.choice([-1, 1], 60), (), ""),
        (R.choice([-1, 0, 1], 60), (), ""),
        (R.choice([9, 99], 60), (), ""),
        (R.integers(0, 10, 60), (), ""),
    ],
)
def test_a_conventional_sentinel_far_from_the_rest_is_a_special_code(values, atoms: tuple, said: str) -> None:
    made = column(values)
    assert made.atoms == atoms and said in made.why and (bool(atoms) or "code for" not in made.why)


BOUNDED = [
    Column(name="x", kind="integer", dtype="int64", grid=Grid(), lower=0, upper=1, atoms=(0.0, 1.0)),
    Column(name="x", kind="integer", dtype="int64", grid=Grid(), lower=0, upper=3, atoms=(0.0, 1.0)),
    Column(name="x", kind="integer", dtype="int64", grid=Grid(), lower=0, upper=2, atoms=(0.0, 1.0, 2.0, -9.0)),
    Column(name="x", kind="integer", dtype="int64", grid=Grid(), lower=0, upper=2, atoms=(0.0, 1.0), missing=True),
    Column(name="x", kind="count", dtype="int64", grid=Grid(), lower=0, upper=1, atoms=(0.0, 1.0), missing=True),
    Column(name="x", kind="integer", dtype="int64", grid=Grid(), lower=1, upper=1, atoms=(1.0,)),
    Column(
        name="x", kind="integer", dtype="int64", grid=Grid(0, 5, 2), lower=0, upper=20, atoms=(2.0, 7.0, 12.0, 17.0)
    ),
    Column(name="x", kind="decimal", grid=Grid(2), lower=0, upper=0.6, atoms=(0.29, 0.57)),
    Column(name="x", kind="decimal", grid=Grid(1), lower=0.1, upper=0.3, atoms=(0.1, 0.2, 0.3)),
    Column(name="x", kind="decimal", grid=Grid(1), lower=0.1, upper=0.3, atoms=(0.2, 0.25)),
]


@pytest.mark.parametrize("made", BOUNDED, ids=str)
@pytest.mark.parametrize("leaf", ["auto", "histogram", "gaussian"])
def test_the_masses_of_all_points_between_bounds_sum_to_one(made: Column, leaf: str) -> None:
    low, high = made.limits
    points = made.decoded(np.arange(low, high + 1)).round(2)
    values = np.unique(np.append(points, made.atoms))
    r = np.random.default_rng(1)
    cells = np.append(values, r.choice(values, 400))
    model = NaiveBayes(schema=Schema((made,)), leaves=leaf).fit(
        pd.DataFrame({"x": np.append(cells, [np.nan] * made.missing)})
    )
    everything = pd.DataFrame({"x": np.append(values, [np.nan] * made.missing)})
    assert np.exp(model.log_prob(everything)).sum() == pytest.approx(1, abs=1e-9)
    drawn = model.sample(200, random_state=0)
    assert np.isfinite(model.log_prob(drawn)).all() and drawn["x"].dropna().isin(values).all()


@pytest.mark.parametrize("decimals", range(7))
def test_points_of_a_grid_are_whole_numbers_of_steps(decimals: int) -> None:
    made = Column(name="x", kind="decimal", grid=Grid(decimals, 3, 1))
    steps = np.concatenate([np.arange(-3000, 3000), R.integers(-(10**8), 10**8, 3000)]).astype(float)
    points = np.array([float(f"{1 + 3 * int(k)}e-{decimals}") for k in steps])
    assert (made.encoded(points) == steps).all() and made.encoded(points[7]) == steps[7]
    assert (made.encoded(points + 10.0**-decimals) % 1 != 0).all()
    found = encode_column(replace(made, atoms=(points[9], points[5])), points)
    assert found.codes is not None and np.flatnonzero(found.codes).tolist() == [5, 9]


@pytest.mark.parametrize(
    "values", [np.arange(-100, 100, dtype="i1"), np.array([0, 2**64 - 1], "u8"), np.array([-(2**63), 2**63 - 1])]
)
@pytest.mark.parametrize("name", ["x", "id"])
def test_integers_to_the_ends_of_their_type_have_a_kind(values: np.ndarray, name: str) -> None:
    for some in (values, np.tile(values, 30)):
        made = column(some, name)
        assert made.kind in ("identifier", "integer", "boolean") and made.dtype == str(values.dtype)
        assert column(some, name, kinds={name: "category"}).levels == tuple(np.unique(some).tolist())


def test_counts_have_a_bound_and_others_none() -> None:
    assert column(R.poisson(2, N)).lower == 0.0
    assert column(np.where(R.random(N) < 0.05, -99, R.poisson(900, N) - 700)).lower is None
    sentinel = column(np.where(R.random(N) < 0.05, -999, R.poisson(2, N)))
    assert (sentinel.kind, sentinel.lower, sentinel.atoms) == ("count", 0.0, (-999.0,))
    for values in (R.integers(17, 91, N), R.random(N), R.random(N).round(2)):
        assert column(values).lower is None and column(values).upper is None


# text -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [
        (german(R.lognormal(7, 1, N)), "decimal", "read as numbers"),
        ([f"{v} %" for v in R.integers(0, 99, N)], "count", "%' read as numbers"),
        (["?" if v == 0 else str(v) for v in R.integers(0, 30, N)], "count", "'?' stands for missing"),
        (R.choice(["-999", "7", "12", "1000"], N), "integer", "-999 looks like a code"),
        (R.choice(["Yes", "No", "N/A"], N), "boolean", "'N/A' stands for missing"),
        (R.choice(["+", "-"], N), "category", "2 levels"),
        (R.choice(["00123", "12345"], N), "category", "2 levels"),
        (R.choice(["a", "unknown"], N), "category", "2 levels"),
        (["03/04/2020", "05/06/2020"] * 50, "datetime", "every value also reads as %d/%m/%Y"),
        (["03/04/2020", "25/06/2020"] * 50, "datetime", "%d/%m/%Y"),
        (["2020-01-01T10:30:00+02:00", "2020-07-01T10:45:00+02:00"] * 50, "datetime", "to the minute"),
        (R.choice(["F", "M"], N), "category", "2 levels"),
        (R.choice(["0", "1"], N), "boolean", "two words"),
        (["4929123412341234", "4929123412341235"] * 50, "category", "2 levels"),
    ],
)
def test_text_is_read_as_what_it_spells(words, kind: str, said: str) -> None:
    made = column(pd.Series(words))
    assert made.kind == kind and said in made.why


@pytest.mark.parametrize("sign", ["", "-", "+"])
@pytest.mark.parametrize("form", ["{}", "${}", "{} %", "€ {}", "{}EUR"])
@pytest.mark.parametrize(("mark", "group"), [(".", ""), (",", "."), (".", ","), (",", " "), (".", "'")])
@pytest.mark.parametrize("digits", [0, 1, 3])
def test_the_spelling_of_numbers_is_found(sign: str, form: str, mark: str, group: str, digits: int) -> None:
    numbers = [f"{v:_.{digits}f}" for v in (0.25, 7, 1234.5, 12_345_678.125)]
    words = [sign + form.format(n.translate({46: mark, 95: group})) for n in numbers]
    found = number_format(words)
    assert found is not None and (found.decimals == digits if digits else found.decimals == -1) and found.width == 0
    assert (found.prefix, found.suffix) == tuple(form.split("{}"))
    assert (found.thousands == group or not group) and (found.decimal == mark or not digits)
    assert number_format([*words, "1e5"]) is None or form == "{}"
    assert number_format([*words, "word"]) is None and number_format(["word", *words]) is None


@pytest.mark.parametrize("width", [2, 5, 15])
def test_leading_zeros_make_codes_or_a_width(width: int) -> None:
    words = [str(v).zfill(width) for v in (0, 7, 42)]
    assert number_format(words) is None
    found = number_format(words, zeros=True)
    assert found is not None and found.width == width
    assert number_format([*words, "1" * 16], zeros=True) is None
    loose = number_format([*words, "1" * (width + 1)], zeros=True)
    assert loose is None if width == 15 else loose is not None and loose.width == 0


def test_missing_is_counted_however_it_is_spelled() -> None:
    for gone in (None, "?", "NA", " n/a ", "", "NULL", "nan"):
        made = column(pd.Series(["a", "b", gone, "a"] * 20, dtype=object))
        assert made.missing and made.missing_share == 0.25 and made.levels == ("a", "b")


VALUES = {
    "whole": ("1", "2"), "German": ("1.234,5", "2,5"), "percent": ("5 %", "7 %"), "codes": ("00123", "04711"),
    "long": ("4929123412341234", "1"), "days": ("2024-03-01", "2024-03-02"), "two formats": ("2024-03-01", "1.3.2024"),
    "times": ("01.03.2024 12:30", "02.03.2024 12:30"), "booleans": ("Yes", "No"), "capitals": ("TRUE", "FALSE"),
}  # fmt: skip
LEVELS = {
    "pain": ("mild", "severe"), "signs": ("+", "++"), "ranges": ("10-19", "20-29"), "limits": ("<5", "7"),
    "one answer": ("Yes", "Maybe"), "versions": ("1.2.3", "1.2.4"),
}  # fmt: skip


@pytest.mark.parametrize("gap", ["none", "None", " NONE ", "-", "--", ".", "..."])
@pytest.mark.parametrize(
    ("words", "gone"), [(w, True) for w in VALUES.values()] + [(w, False) for w in LEVELS.values()]
)
def test_none_and_dashes_are_missing_among_values_and_levels_among_words(words, gone: bool, gap: str) -> None:
    X = pd.DataFrame({"x": [*words, gap, words[0]] * 20})
    made = infer(X)["x"]
    assert made.missing == gone and (gap in (made.levels or ())) != gone
    for rows in (X, X.iloc[2:3]):  # a cell means the same alone
        codes = encode_column(made, rows["x"]).codes
        assert codes is not None and (codes[2 if len(rows) > 1 else 0] == made.codes - 1) == (
            gone or made.levels[-1] == gap
        )


def test_a_column_of_none_alone_is_missing() -> None:
    assert column(pd.Series(["none"] * 9)).levels == ()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([str(v) for v in np.arange(90) % 36] + ["<5"] * 10, "36 numbers and 1 word ('<5')"),
        ([f"{v:.3f}" for v in np.arange(98)] + ["<5", "n/d"], "98 numbers and 2 words ('<5', 'n/d')"),
        ([f"2024-03-{1 + i % 30:02d}" for i in range(80)] + ["01.03.2024"] * 20, "80 of 100 are dates like 2024-03-01"),
        (list(pd.date_range("2020", periods=80).astype(str)) + [f"{i}.3.2024" for i in range(1, 21)], "80 of 100 are"),
        (["00501", "10001"] * 20, "leading zeros"),
        (["1.5", "1,5", "2"] * 20, "not all spelled alike"),
        (["4929123412341234", "4929123412341235"] * 50, "more than 15 digits"),
        (["web", "Web", "mail"] * 20, "'web' and 'Web' are kept apart"),
        (["web", "web ", "WEB", "mail"] * 20, "are kept apart, and 1 more such"),
    ],
)
def test_what_keeps_text_from_being_numbers_or_dates_is_said(words: list[str], said: str) -> None:
    made = column(pd.Series(words))
    assert made.kind in ("category", "text") and said in made.why and surprising(made)
    assert said not in column(pd.Series(words), kinds={"x": "category"}).why or "kept apart" in said


@pytest.mark.parametrize("values", [["1", "2", "7"] * 9, ["2.5", "1.25"] * 9, ["a", "b"] * 9, ["2024-03-01"] * 9])
def test_what_is_plain_needs_no_remark(values: list[str]) -> None:
    made = column(pd.Series(values))
    assert not surprising(made) and "; " not in made.why and "text read" not in made.why


@pytest.mark.parametrize("different", [97, 100])
def test_zip_codes_are_levels_unless_all_differ(different: int) -> None:
    made = column(
        pd.Series([f"{v:05d}" for v in R.choice(99_999, different, replace=False)] + ["00501"] * (100 - different))
    )
    assert made.kind == ("identifier" if different == 100 else "category")


# dates ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("freq", ["D", "h", "min", "s", "ms", "us"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_the_tick_is_the_coarsest_that_is_exact(freq: str, zone: str | None) -> None:
    tick = {"D": "day", "h": "hour", "min": "minute", "s": "second", "ms": "millisecond", "us": "microsecond"}[freq]
    made = column(pd.date_range("2021-01-04", periods=60, freq=freq, tz=zone))
    assert (made.kind, made.tick) == ("datetime", tick)


# what a person says -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (R.integers(0, 9, N), "category"), (R.integers(0, 9, N), "ordinal"), (R.integers(0, 9, N), "continuous"),
        (R.integers(0, 9, N), "integer"), (np.zeros(N), "boolean"), (R.integers(0, 2, N).astype(bool), "category"),
        (R.integers(0, 2, N).astype(bool), "integer"), (pd.Series(["007", "123"] * 9), "integer"),
        (pd.Series(["007", "123"] * 9), "identifier"), (pd.Series(["a", "b"] * 9), "text"),
        (pd.Series(["2020-01-01"] * 9), "category"), (R.normal(size=N), "continuous"), (R.random(N) * 9 // 1, "count"),
        (pd.Categorical(["a", "b"] * 9), "ordinal"), (np.arange(99), "count"), (np.arange(99), "identifier"),
    ],
)  # fmt: skip
def test_a_stated_kind_is_kept(values, kind: str) -> None:
    made = column(values, kinds={"x": kind})
    assert made.kind == kind and made.complete and made.why == column(values, kinds={"x": kind}).why


@pytest.mark.parametrize(
    ("values", "kind", "said"),
    [
        (R.normal(size=9), "integer", "is no whole number"), (np.array([-1, 2]), "count", "smallest value is -1"),
        (R.normal(size=99), "decimal", "grid"), (np.arange(9), "boolean", "9 levels"),
        (np.arange(9), "datetime", "not dates"),
        (pd.Series(["a", "b"]), "continuous", "'a'"), (pd.Series(["12", "b"]), "count", "'b'"),
        ([None] * 9, "count", "missing"),
        (pd.Series(["a", "b"]), "datetime", "format"), (pd.date_range("2020", periods=9), "category", "dates"),
        (pd.date_range("2020", periods=9), "integer", "dates"), (np.arange(9), "number", "does not exist"),
    ],
)  # fmt: skip
def test_a_kind_that_the_data_refuse_is_an_error(values, kind: str, said: str) -> None:
    with pytest.raises(SchemaError, match=said) as caught:
        column(values, kinds={"x": kind})
    assert "'x'" in str(caught.value) and "\n" not in str(caught.value)


def test_a_partial_schema_is_filled_from_the_data() -> None:
    X = pd.DataFrame({"a": R.integers(0, 5, N), "b": WORDS, "c": R.normal(size=N)})
    given = Schema((Column(name="a", kind="integer", upper=9.0), Column(name="b", kind="ordinal", missing=True)))
    made = infer(X, schema=given)
    assert made.names == ("a", "b", "c")
    assert made["a"].grid == Grid() and made["a"].upper == 9.0 and made["a"].dtype == "int64"
    assert made["b"].levels == ("blue", "green", "red") and made["b"].missing and made["b"].kind == "ordinal"
    assert infer(X, schema=made) == made


def test_columns_can_be_left_out_and_the_target_is_no_identifier() -> None:
    X = pd.DataFrame({"id": np.arange(N), "name": [f"n{i}" for i in range(N)], "y": np.arange(N)})
    made = infer(X, drop=["name"], target="y")
    assert made.names == ("id", "y") and made.target == "y"
    assert made["id"].kind == "identifier" and made["y"].kind == "count"


@pytest.mark.parametrize("how", [{"kinds": {"agee": "count"}}, {"drop": ["agee"]}, {"target": "agee"}])
def test_names_that_do_not_exist_are_guessed(how: dict) -> None:
    with pytest.raises(DataError, match="did you mean 'age'"):
        infer({"age": np.arange(9)}, **how)


def test_a_schema_with_a_column_too_many_is_an_error() -> None:
    with pytest.raises(SchemaError, match="did you mean 'age'"):
        infer({"age": np.arange(9)}, schema=Schema((Column(name="Age_", kind="count", grid=Grid()),)))


# laws of the whole ------------------------------------------------------------------------------------------------
def test_the_schema_does_not_depend_on_the_container_or_the_order_of_rows() -> None:
    X = pd.DataFrame({"a": R.integers(0, 5, N), "b": WORDS, "c": R.normal(size=N), "d": R.random(N) < 0.5,
                      "e": R.normal(size=N).round(1)})  # fmt: skip
    one, two = infer(X), infer(pl.from_pandas(X))
    assert [c.kind for c in one] == [c.kind for c in two] and one.digest() == two.digest()
    assert infer(X.sample(frac=1, random_state=0)).digest() == one.digest()
    assert infer(X.to_dict("list")).digest() == infer(X.to_dict("records")).digest() == one.digest()


def test_a_rare_value_that_the_sample_misses_is_seen() -> None:
    values = np.tile(np.arange(7), 6000)
    for rare, check in (
        (0.5, lambda c: c.grid == Grid(1)),
        (-3, lambda c: c.kind == "integer" and c.lower is None),
        (np.nan, lambda c: c.missing),
    ):
        changed = values.astype(float)
        changed[12_347] = rare
        assert check(column(changed))
    words = np.array(["a", "b"] * 21_000, dtype=object)
    words[12_347] = "rare"
    assert column(words).levels == ("a", "b", "rare")


@pytest.mark.parametrize(("length", "kind"), [(3, "text"), (1, "category")])
def test_short_notes_are_text_and_many_words_are_levels(length, kind):
    """Four in five different, half of them missing: nobody else will say the same three words again."""
    notes = [" ".join(f"w{(i * 7 + j) % 1600}" for j in range(length)) if i % 2 else None for i in range(2000)]
    assert infer(pd.DataFrame({"notes": notes}))["notes"].kind == kind
