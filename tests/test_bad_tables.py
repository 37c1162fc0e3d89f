"""Tables that cannot be used, or only just: each has its message, or its documented behaviour."""

from __future__ import annotations

import datetime as dt
import decimal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import torch

from begat.codecs.evidence import region
from begat.codecs.frame import as_frame, build, column, container, names
from begat.codecs.infer import infer
from begat.codecs.table import TableCodec
from begat.errors import BegatError, DataError, EvidenceError, SchemaError
from begat.estimators.rows import partial
from begat.schema import Column, Grid, Schema, TextFormat

R = np.random.default_rng(3)
GOOD = pd.DataFrame(
    {
        "age": R.integers(18, 80, 60),
        "pay": R.normal(size=60),
        "job": R.choice(["cook", "smith"], 60),
        "when": pd.date_range("2020-01-01", periods=60),
        "on": R.random(60) < 0.5,
    }
)
CODEC = TableCodec(infer(GOOD))


def said(call, *parts: str) -> None:
    """The call fails with one line that has all of these parts."""
    with pytest.raises(BegatError) as caught:
        call()
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


# no table ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("X", "parts"),
    [
        (np.arange(3), ("Expected 2D array, got 1D array instead", "Reshape your data")),
        (np.zeros((2, 2, 2, 2, 2)), ("got 5D array",)),
        (np.zeros((0, 3)), ("0 sample(s) (shape=(0, 3))", "no rows")),
        (np.zeros((3, 0)), ("0 feature(s) (shape=(3, 0)) while a minimum of 1 is required.",)),
        (pd.DataFrame({"a": []}), ("0 sample(s)",)),
        (pd.DataFrame(), ("0 feature(s)",)),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), ("two columns share the name 'a'",)),
        ([[1, 2], [3]], ("rows of different lengths (1, 2)",)),
        ({"a": [1, 2], "b": [1]}, ("same length",)),
        (scipy.sparse.eye(3).tocsr(), ("Sparse", "toarray")),
        ("data.csv", ("str",)),
        (7, ("int",)),
        (None, ("NoneType",)),
    ],
)
def test_what_is_no_table_is_said(X: object, parts: tuple[str, ...]) -> None:
    said(lambda: as_frame(X), *parts)


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ([1.0, np.inf], ("row 1", "infinity")),
        ([1.0, -np.inf], ("row 1", "infinity")),
        ([{"a": 1}, 2], ("row 0", "dict", "argument must be a string or a number")),
        (["a", [1]], ("row 1", "list")),
        ([None, b"a"], ("row 1", "bytes")),
        (np.array([1 + 2j, 0]), ("Complex data not supported",)),
        (pd.to_timedelta([1, 2], unit="s"), ("durations",)),
        (pd.period_range("2020", periods=2, freq="M"), ("period[M]",)),
        ([dt.date(2020, 1, 1), object()], ("row 0", "date")),
        ([dt.date(2020, 1, 1), dt.datetime(2020, 1, 1, 5)], ("with and without a time of day",)),
        ([dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 1, tzinfo=dt.UTC)], ("mixes time zones", "utc=True")),
        (
            [dt.datetime(2020, 1, 1, tzinfo=z) for z in (dt.UTC, ZoneInfo("Asia/Tokyo"))],
            ("mixes time zones", "utc=True"),
        ),
        ([decimal.Decimal(1), "a"], ("row 0", "Decimal")),
        ([decimal.Decimal("Infinity"), 1], ("row 0", "infinity")),
        ([10**400, 0.5], ("beyond 1e308",)),
        ([1, "a", -np.inf], ("row 2", "infinity")),
        (pd.Categorical([2.5, np.inf]), ("row 1", "infinity")),
        (["a", "b\ud800", "b\ud800"], ("row 1", "surrogate", "U+FFFD")),
        ([1, "\udfff"], ("row 1", "surrogate")),
        (pd.array(["a", "\ud800"], dtype=pd.StringDtype("python")), ("surrogate",)),
        (pd.Categorical.from_codes([0, 1], pd.Index(["a", "\ud800"], dtype=object)), ("surrogate",)),
        (np.array(["20000-01-01", "NaT"], "M8[s]"), ("row 0", "calendars", "missing value")),
        (np.array(["NaT", "0000-12-31"], "M8[us]"), ("row 1", "calendars")),
        (np.array(["2020-01-01", "-9999-12-31"], "M8[D]"), ("row 1", "calendars")),
        (np.array([0, 1 - 2**63], "i8").view("M8[ns]"), ("row 1", "calendars")),
        (
            pd.Series(np.array(["9999-12-31T23:00"], "M8[s]")).dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"),
            ("row 0", "calendars"),
        ),
        (pd.Series([1, 2], dtype=pd.ArrowDtype(pa.duration("s"))), ("duration[s]",)),
        (pd.Series([[1], [2]], dtype=pd.ArrowDtype(pa.list_(pa.int64()))), ("list<",)),
        (pl.Series([[1], [2]]), ("List(Int64)",)),
    ],
)
def test_a_cell_that_is_no_scalar_is_said(values: object, parts: tuple[str, ...]) -> None:
    said(lambda: infer({"x": values}), "'x'", *parts)


@pytest.mark.parametrize("unit", ["ps", "fs", "as"])
def test_dates_finer_than_nanoseconds_are_said(unit: str) -> None:
    said(lambda: infer(np.array([[1], [2]], f"M8[{unit}]")), "'x0'", f"datetime64[{unit}]", "nanoseconds")


def test_every_kind_of_table_is_taken_as_it_is() -> None:
    rows = [[1, "a"], [2, None]]
    mixed = as_frame(rows)
    assert mixed.dtype == object and mixed[0, 0] == 1 and mixed[1, 1] is None
    assert as_frame([[1, 2], [3, 4]]).dtype.kind == "i"
    assert list(as_frame([{"a": 1}, {"a": 2, "b": 3}]).columns) == ["a", "b"]
    structured = np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])
    assert list(as_frame(structured).columns) == ["a", "b"]
    for made in (np.array([[1.0, -1.0]]), np.array([[5, 3]])):
        masked = as_frame(np.ma.array(made, mask=[[False, True]]))
        assert masked[0, 0] == made[0, 0] and np.isnan(masked[0, 1])
    assert as_frame(np.ma.array([["a", "b"]], mask=[[False, True]])).tolist() == [["a", None]]
    structured = as_frame(np.ma.array([(1, "a"), (2, "b")], mask=[(False, True), (True, False)], dtype="i4,U1"))
    assert structured.isna().to_numpy().tolist() == [[False, True], [True, False]]
    assert type(as_frame(np.eye(2).view(np.recarray))) is np.ndarray
    assert names(pd.DataFrame([[1, 2, 3]], columns=[0, ("a", "b"), 2.5])) == (0, "('a', 'b')", "2.5")
    again = build(container(GOOD), names(GOOD), [column(GOOD, i) for i in range(GOOD.shape[1])])
    pd.testing.assert_frame_equal(GOOD, again)


# small and degenerate ones ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "X",
    [
        GOOD.iloc[:1],
        GOOD[["pay"]],
        pd.DataFrame({"none": [None] * 5, "v": range(5)}),
        pd.DataFrame(
            {"nan": np.full(5, np.nan), "nat": pd.to_datetime([None] * 5), "na": pd.array([None] * 5, "Int64")}
        ),
        pd.DataFrame(
            {"constant": [2.5] * 9, "word": ["w"] * 9, "one": [True] * 9, "day": [pd.Timestamp("2020-01-01")] * 9}
        ),
        pd.DataFrame({"mixed": pd.Series([1, "a", None, 2.5, True], dtype=object)}),
        pd.DataFrame({"many": [f"level {i % 100_000} of many" for i in range(120_000)]}),
        pd.DataFrame(np.eye(3), columns=["x", 7, "z"], index=["p", "q", "r"]),
    ],
    ids=["one row", "one column", "all None", "all missing", "constant", "mixed", "100k levels", "odd names"],
)
def test_degenerate_tables_come_back(X: pd.DataFrame) -> None:
    codec = TableCodec(infer(X, kinds={"many": "category"} if "many" in X else None))
    out = codec.decode(codec.encode(X).batch)
    pd.testing.assert_frame_equal(X.reset_index(drop=True), out)


def test_what_every_cell_lacks_is_a_category_without_levels() -> None:
    made = infer({"x": [None] * 5})["x"]
    assert (made.kind, made.levels, made.missing, made.missing_share) == ("category", (), True, 1.0)
    assert "every cell is missing" in made.why


# tables that do not fit the schema --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("X", "parts"),
    [
        (GOOD.rename(columns={"job": "jobs"}), ("lacks the column 'job'", "did you mean 'jobs'")),
        (GOOD.drop(columns="pay"), ("lacks the column 'pay'",)),
        (GOOD.assign(job=["cook"] * 59 + ["cok"]), ("'job'", "row 59", "'cok'", "did you mean 'cook'")),
        (GOOD.assign(job=1), ("'job'", "row 0", "1", "not declared")),
        (GOOD.assign(pay=["0.5"] * 60), ("'pay'", "row 0", "'0.5'", "expected numbers")),
        (
            GOOD.assign(age=GOOD["age"].astype(object).mask(GOOD.index == 7, "old")),
            ("'age'", "row", "expected numbers"),
        ),
        (GOOD.assign(pay=GOOD["when"]), ("'pay'", "dates", "expected numbers")),
        (GOOD.assign(when=5), ("'when'", "expected dates")),
        (GOOD.assign(when="soon"), ("'when'", "'soon'", "expected dates")),
        (GOOD.assign(pay=GOOD["pay"].mask(GOOD.index == 4, np.inf)), ("'pay'", "row 4", "infinity")),
        (GOOD.assign(on=2), ("'on'", "row 0", "2")),
        (GOOD.to_numpy()[:, :3], ("X has 3 features, but begat is expecting 5 features as input",)),
    ],
)
def test_a_table_that_does_not_fit_is_said(X: object, parts: tuple[str, ...]) -> None:
    said(lambda: CODEC.encode(X), *parts)


def test_a_plain_array_with_an_infinity_is_said() -> None:
    X = R.normal(size=(9, 3))
    codec = TableCodec(infer(X))
    X[4, 2] = -np.inf
    said(lambda: codec.encode(X), "'x2'", "row 4", "infinity")
    X[4, 2] = np.nan
    batch = codec.encode(X).batch
    assert batch.x[0][4, 2] == 0 and batch.known[0] is not None and not batch.known[0][4, 2]
    assert int(batch.known[0].sum()) == 26 and np.isnan(X[4, 2])


def test_what_an_incomplete_schema_lacks_is_said() -> None:
    for made, part in (
        (Column(name="x", kind="category"), "without levels"),
        (Column(name="x", kind="integer"), "without a grid"),
        (Column(name="x", kind="datetime", grid=Grid()), "tick"),
    ):
        said(lambda made=made: TableCodec(Schema((made,))).encode({"x": [1]}), "'x'", part)
    with pytest.raises(SchemaError, match="did you mean 'age'"):
        TableCodec(CODEC.schema, ["agee"])
    with pytest.raises(DataError, match="'outcome' or 'unknown'"):
        CODEC.encode(GOOD, missing="ignore")  # type: ignore[arg-type]


def test_numbers_of_another_width_fit() -> None:
    wide = GOOD.astype({"age": "float64", "pay": "float32", "on": "int64", "job": "category", "when": "datetime64[s]"})
    for a, b in zip(CODEC.encode(wide).batch.x, CODEC.encode(GOOD).batch.x, strict=True):
        assert torch.allclose(a.double(), b.double(), atol=1e-6)


# evidence ---------------------------------------------------------------------------------------------------------
SPECIAL = Column(name="x", kind="count", grid=Grid(), lower=0.0, upper=90.0, atoms=(-9.0, 0.0), missing=True)
CENTS = Column(name="x", kind="decimal", grid=Grid(2, 5))
DENSE = Column(name="x", kind="continuous", lower=0.0)
WORDS = Column(name="x", kind="category", levels=("a", "b", "c"), dtype="str", missing=True)
ORDER = Column(name="x", kind="ordinal", levels=("s", "m", "l"), dtype="str")
FLAGS = Column(name="x", kind="boolean", levels=(0, 1), dtype="int64")
DAYS = Column(name="x", kind="datetime", grid=Grid(), tick="day", dtype="datetime64[us]")
HOURS = Column(name="x", kind="datetime", grid=Grid(), tick="hour", dtype="datetime64[us]")
GERMAN = Column(name="x", kind="decimal", grid=Grid(2), dtype="float64", example="64,11",
                text=TextFormat(",", ".", missing="NA", read=True))  # fmt: skip
PERCENT = Column(name="x", kind="count", grid=Grid(), lower=0.0, text=TextFormat(suffix=" %"))
DOLLARS = Column(name="x", kind="integer", grid=Grid(), text=TextFormat(".", ",", "$"))
DOTS = Column(name="x", kind="datetime", grid=Grid(), tick="minute", dtype="datetime64[us]",
              text=TextFormat(date="%d.%m.%Y %H:%M", read=True))  # fmt: skip
COMPACT = Column(name="x", kind="datetime", grid=Grid(), tick="day", text=TextFormat(date="%Y%m%d", read=True))
BERLIN = Column(name="x", kind="datetime", grid=Grid(), tick="hour", dtype="datetime64[us, Europe/Berlin]")
INF = float("inf")


@pytest.mark.parametrize(
    ("made", "evidence", "lower", "upper", "codes"),
    [
        (SPECIAL, 40, 40, 40, [0]), (SPECIAL, -9, None, None, [1]), (SPECIAL, {0, -9}, None, None, [1, 2]),
        (SPECIAL, None, None, None, [3]), (SPECIAL, (10, 20), 10, 20, [0]), (SPECIAL, (None, 20), 0, 20, [0, 1, 2]),
        (SPECIAL, slice(10, None), 10, 90, [0]), (SPECIAL, [4, 5, float("nan")], 4, 5, [0, 3]),
        (SPECIAL, range(5, 8), 5, 7, [0]), (SPECIAL, (10.5, 1000), 11, 90, [0]),
        (CENTS, 1.25, 25, 25, None), (CENTS, (0.01, 0.22), 1, 4, None), (CENTS, (None, None), -INF, INF, None),
        (DENSE, 0.5, 0.5, 0.5, None), (DENSE, (-1, 2.5), 0, 2.5, None),
        (WORDS, "b", None, None, [1]), (WORDS, {"a", "c"}, None, None, [0, 2]),
        (WORDS, ("a", None), None, None, [0, 3]),
        (ORDER, ("m", None), None, None, [1, 2]), (ORDER, ["s"], None, None, [0]),
        (FLAGS, True, None, None, [1]), (FLAGS, "1", None, None, [1]), (FLAGS, 0.0, None, None, [0]),
        (DAYS, "1970-01-03", 2, 2, None), (DAYS, dt.date(1970, 1, 3), 2, 2, None), (DAYS, "1970-02", 31, 58, None),
        (DAYS, ("1970-01-02", "1970"), 1, 364, None), (HOURS, "1970-01-02", 24, 47, None),
        (HOURS, dt.date(1970, 1, 2), 24, 47, None), (HOURS, np.datetime64("1970-01-02"), 24, 47, None),
        (HOURS, dt.datetime(1970, 1, 2), 24, 24, None),
        (GERMAN, "64,11", 6411, 6411, None), (GERMAN, "64.11", 6411, 6411, None),
        (GERMAN, "1.234", 123400, 123400, None),
        (GERMAN, ("-1.234,5", "2"), -123450, 200, None),
        (PERCENT, "50%", 50, 50, None), (PERCENT, "50 %", 50, 50, None), (PERCENT, "50", 50, 50, None),
        (DOLLARS, "$500", 500, 500, None), (DOLLARS, "-$1,500", -1500, -1500, None),
        (DOLLARS, "1500", 1500, 1500, None),
        (DOTS, "02.01.1970", 1440, 2879, None), (DOTS, "02.01.1970 00:01", 1441, 1441, None),
        (DOTS, ("02.01.1970", "03.01.1970"), 1440, 4319, None), (DOTS, "1970-01-02", 1440, 2879, None),
        (DOTS, "1970-01-02T00:01Z", 1441, 1441, None), (COMPACT, "19700103", 2, 2, None),
        (COMPACT, "1970", 0, 364, None),
        (BERLIN, "1970-01-02", 24, 47, None), (BERLIN, "2024-07-01", (19905 * 24) - 1, 19906 * 24 - 2, None),
        (BERLIN, dt.datetime(2024, 7, 1, 12, tzinfo=dt.UTC), 19905 * 24 + 13, 19905 * 24 + 13, None),
        (HOURS, np.datetime64("1970-01-01T05"), 5, 5, None), (HOURS, ("1970-01-01 03:30", None), 4, INF, None),
    ],
)  # fmt: skip
def test_evidence_in_encoded_units(made: Column, evidence: object, lower, upper, codes) -> None:
    found = region(made, evidence)
    if lower is not None:
        assert (found.lower, found.upper) == (lower, upper)
    allowed = None if found.codes is None else found.codes.nonzero()[:, 0].tolist()
    assert allowed == codes and (found.codes is None or len(found.codes) == made.codes)


@pytest.mark.parametrize(
    ("made", "evidence", "part"),
    [
        (SPECIAL, 91, "is a whole number from 0 to 90, not 91"),
        (SPECIAL, 4.5, "is a whole number from 0 to 90, not 4.5"), (SPECIAL, [], "empty set"),
        (SPECIAL, {1, 5}, "leave gaps"), (SPECIAL, (20, 10), "is empty"), (SPECIAL, (4.2, 4.8), "not from 4.2 to 4.8"),
        (SPECIAL, "forty", "is no number"), (SPECIAL, (1, 2, 3), "a range is (low, high)"),
        (SPECIAL, (None, None, 1), "range"),
        (SPECIAL, (100, 200), "not from 100 to 200"), (SPECIAL, slice(0, 9, 2), "no step"), (SPECIAL, INF, "not inf"),
        (DENSE, -1, "is a number from 0 up, not -1"), (CENTS, 0.01, "in steps of 0.05, not 0.01"),
        (DENSE, None, "no missing values"),
        (DENSE, (0, float("nan")), "end of a range"),
        (WORDS, "d", "no level 'd'"), (WORDS, slice("a", "b"), "no order"), (WORDS, set(), "empty set"),
        (ORDER, ("l", "s"), "is empty"), (ORDER, None, "no missing values"), (FLAGS, 2, "no level 2"),
        (DAYS, 17, "holds dates"), (DAYS, "tomorrow", "holds dates"),
        (DAYS, "1970-01-01T12:00", "is a date to the day, not '1970-01-01T12:00'"),
        (GERMAN, "forty", "is no number such as '64,11'"), (GERMAN, "1,2,3", "is no number"),
        (GERMAN, "NA", "no missing"),
        (DOTS, "2024/03/01", "write '2024-03-31' or '31.03.2024 00:00'"), (DOTS, "31.02.2024", "holds dates"),
        (DOTS, "03-04-20", "holds dates"), (HOURS, "1970-01-01 03:59", "is a date to the hour, not"),
        (DOTS, "NaT", "no missing values"), (DAYS, "2024-13", "holds dates"),
        (Column(name="x", kind="text"), "a", "no model scores"), (DENSE, {"a": 1}, "a mapping is no evidence"),
    ],
)  # fmt: skip
def test_impossible_evidence_is_said(made: Column, evidence: object, part: str) -> None:
    with pytest.raises(EvidenceError) as caught:
        region(made, evidence)
    assert part in str(caught.value) and "'x'" in str(caught.value) and "\n" not in str(caught.value)


def test_a_row_without_probability_names_its_cell() -> None:
    codec = TableCodec(infer(GOOD[["age", "job"]]).change("age", lower=0.0))
    X = GOOD[["job", "age"]].assign(age=GOOD["age"].mask(GOOD.index == 4, -5))
    said(lambda: partial(codec, X), "column 'age' is a whole number from 0 up, not -5 (row 4)")
