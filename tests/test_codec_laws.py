"""Laws of the table codec, over tables of containers and columns: it inverts, by name, in any order, in any batch."""

from __future__ import annotations

import warnings

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from codec_tables import ROWS, arrays, pandas_columns, pandas_table, polars_table
from hypothesis import given, settings

from begat.codecs import frame
from begat.codecs.column import decode_column, encode_column
from begat.codecs.date_text import DATES, read_dates, spell_dates
from begat.codecs.infer import infer
from begat.codecs.spelling import parse, spell
from begat.codecs.table import TableCodec
from begat.errors import DataError
from begat.schema import Column, Grid, Schema, TextFormat

PANDAS, POLARS, ARRAYS = pandas_table(), polars_table(), arrays()


def codec_of(X, **how) -> TableCodec:
    return TableCodec(infer(X, **how))


def same(a, b) -> None:
    """Equal in container, names, order, dtypes and every bit."""
    if isinstance(a, pd.DataFrame):
        pd.testing.assert_frame_equal(a, b, check_exact=True)
    elif isinstance(a, pl.DataFrame):
        assert a.schema == b.schema
        assert a.equals(b, null_equal=True)
    else:
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


# the codec inverts ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", list(pandas_columns(2)))
def test_a_pandas_column_comes_back(name: str) -> None:
    X = PANDAS[[name]]
    codec = codec_of(X)
    made = codec.encode(X)
    assert made.possible is None
    same(X, codec.decode(made.batch))


@pytest.mark.parametrize("name", POLARS.columns)
def test_a_polars_column_comes_back(name: str) -> None:
    codec = codec_of(POLARS[[name]])
    same(POLARS[[name]], codec.decode(codec.encode(POLARS[[name]]).batch))


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_comes_back(name: str) -> None:
    codec = codec_of(ARRAYS[name])
    same(ARRAYS[name], codec.decode(codec.encode(ARRAYS[name]).batch))


@pytest.mark.parametrize("X", [PANDAS, POLARS], ids=["pandas", "polars"])
def test_a_whole_table_comes_back_through_a_schema_file(X, tmp_path) -> None:
    schema = infer(X)
    schema.save(tmp_path / "schema.json")
    again = Schema.load(tmp_path / "schema.json")
    assert again == schema
    codec = TableCodec(again)
    same(X, codec.decode(codec.encode(X).batch))


@pytest.mark.parametrize("kind", ["pandas", "polars", "numpy"])
@pytest.mark.parametrize("X", [PANDAS, POLARS, ARRAYS["object"]], ids=["pandas", "polars", "numpy"])
def test_any_container_can_be_asked_for(X, kind: str) -> None:
    codec = codec_of(X)
    made = codec.decode(codec.encode(X).batch, container=kind)
    assert frame.container(made) == kind
    assert made.shape == X.shape


def test_encoding_a_decoded_table_gives_the_same_codes() -> None:
    codec = codec_of(PANDAS)
    batch = codec.encode(PANDAS).batch
    again = codec.encode(codec.decode(batch)).batch
    for a, b in zip((*batch.x, *batch.known), (*again.x, *again.known), strict=True):
        assert (a is None and b is None) or torch.equal(a, b)


@pytest.mark.parametrize("name", [n for n in pandas_columns(2) if "arrow" in n])
def test_an_arrow_column_says_the_same_in_and_out_of_a_frame(name: str) -> None:
    one, other = (frame.cells(c, "x") for c in (PANDAS[name], pa.array(PANDAS[name])))
    assert one.dtype == other.dtype and one.levels == other.levels and one.ordered == other.ordered
    np.testing.assert_array_equal(one.objects(), other.objects())


@pytest.mark.parametrize(
    ("unit", "far", "tick", "step"),
    [
        ("ns", "2020-09-01", "microsecond", 1e3),
        ("us", "9999-12-31", "millisecond", 1e3),
        ("us", "2250-01-01", "microsecond", 1),
    ],
)
def test_dates_too_far_apart_are_told_to_a_coarser_tick(unit: str, far: str, tick: str, step: float) -> None:
    day = np.datetime64("2020-01-01", unit)
    values = np.append(day + np.random.default_rng(0).integers(0, 10**9, 50), np.array([far], f"M8[{unit}]"))
    X = pd.DataFrame({"x": values})
    codec = codec_of(X)
    made = codec.encode(X)
    assert codec.schema["x"].tick == tick and made.possible is None
    lost = (X["x"] - codec.decode(made.batch)["x"]).to_numpy().astype(f"m8[{unit}]").astype(float)
    assert (lost >= 0).all() and (lost < step).all()


# whatever a model draws can be held -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "X",
    [PANDAS[[n]] for n in PANDAS] + [POLARS[[n]] for n in POLARS.columns],
    ids=[*PANDAS, *(f"polars {n}" for n in POLARS.columns)],
)
def test_draws_beyond_every_end_are_representable(X) -> None:
    codec = codec_of(X)
    batch = codec.encode(X).batch
    ends = torch.tensor([-1e18, -1e12, -1.0, 1.0, 1e12, 1e18], dtype=torch.float64)[torch.arange(ROWS) % 6]
    far = batch.having(x=(ends[:, None].expand_as(batch.x[0]).to(batch.x[0].dtype), batch.x[1].zero_()))
    made = codec.decode(far)
    assert list(made.dtypes) == list(X.dtypes)
    again = codec.encode(made)
    assert again.possible is None or codec.schema.columns[0].limits[0] > -np.inf  # counts are not negative


# the encoded table is what its spec says --------------------------------------------------------------------------
@pytest.mark.parametrize("X", [PANDAS, POLARS, *ARRAYS.values()], ids=["pandas", "polars", *ARRAYS])
def test_the_spec_holds(X) -> None:
    codec = codec_of(X)
    (values, codes), known = (batch := codec.encode(X).batch).x, batch.known
    assert tuple(values.shape) == (ROWS, *codec.spec.fields[0].shape) and values.dtype in (torch.float32, torch.float64)
    assert tuple(codes.shape) == (ROWS, *codec.spec.fields[1].shape) and codes.dtype == torch.int32
    assert torch.isfinite(values).all()
    assert (codes >= 0).all() and (codes < torch.tensor(codec.spec.fields[1].levels)).all()
    for x, mask in zip((values, codes), known, strict=True):
        assert mask is None or (mask.shape == x.shape and not mask.all() and (x[~mask] == 0).all())
    for slot in codec.slots:
        assert (slot.code is None) == (slot.column.codes == 0)
        if slot.value is not None and slot.column.grid is not None:
            assert (values[:, slot.value] == values[:, slot.value].round()).all()
        if slot.value is not None and slot.code is not None:
            applies = known[0][:, slot.value] if known[0] is not None else torch.ones(ROWS, dtype=torch.bool)
            assert torch.equal(applies, codes[:, slot.code] == 0)


def test_a_batch_is_its_rows() -> None:
    codec = codec_of(PANDAS)
    whole = codec.encode(PANDAS).batch.rows(slice(100, 107))
    part = codec.encode(PANDAS.iloc[100:107]).batch
    for a, b in zip(whole.x, part.x, strict=True):
        assert torch.equal(a, b)
    for a, b in zip(whole.known, part.known, strict=True):
        assert (True if a is None else bool(a.all())) if b is None else torch.equal(a, b)


@pytest.mark.parametrize("X", [PANDAS, POLARS], ids=["pandas", "polars"])
def test_columns_are_matched_by_name(X) -> None:
    codec = codec_of(X)
    expected = codec.encode(X).batch.x
    names = list(X.columns)[::-1]
    shuffled = X[names].assign(extra=1) if isinstance(X, pd.DataFrame) else X[names].with_columns(extra=pl.lit(1))
    for a, b in zip(expected, codec.encode(shuffled).batch.x, strict=True):
        assert torch.equal(a, b)


def test_a_subset_of_the_columns_is_a_codec_of_its_own() -> None:
    schema = infer(PANDAS, target="words")
    codec = TableCodec(schema, [c.name for c in schema.features])
    X = PANDAS.drop(columns="words")
    same(X, codec.decode(codec.encode(X).batch))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("box", ["numpy", "pandas", "target beside"])
def test_plain_floats_are_not_copied(dtype: str, box: str) -> None:
    X = np.random.default_rng(0).normal(size=(50, 4)).astype(dtype)
    if box != "numpy":
        X = pd.DataFrame(X, columns=list("abcd"))
    table = X.assign(y="a") if box == "target beside" else X
    codec = TableCodec(infer(table), frame.names(X))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = codec.encode(table).batch.x[0]
    memory = table.iloc[:, :4].to_numpy() if box == "target beside" else np.asarray(X)
    assert made.dtype == (torch.float32 if dtype == "f4" else torch.float64)
    assert np.shares_memory(made.numpy(), memory)


# missing ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name", [n for n in pandas_columns(2) if "missing" in n or n in ("boolean", "dollars", "Int64")]
)
def test_missing_is_an_outcome_or_unknown(name: str) -> None:
    column = infer(PANDAS[[name]]).columns[0]
    gone = frame.cells(PANDAS[name]).missing()
    gone = (PANDAS[name] == "N/A").to_numpy() if gone is None else gone
    assert column.missing and gone.any()
    outcome, unknown = (encode_column(column, PANDAS[name], how) for how in ("outcome", "unknown"))
    assert outcome.known_codes is None and ((outcome.codes == column.codes - 1) == gone).all()
    assert (unknown.known_codes == ~gone).all() and (unknown.codes[gone] == 0).all()
    if unknown.values is not None:
        assert not unknown.known_values[gone].any() and not outcome.known_values[gone].any()


@pytest.mark.parametrize("name", ["float64", "age", "words", "bool", "category", "days", "zeros and more", "German"])
def test_missing_where_it_never_was_is_unknown(name: str) -> None:
    column = infer(PANDAS[[name]]).columns[0]
    made = encode_column(column, PANDAS[name].astype(object).mask(np.arange(ROWS) == 3, None))
    for cells, known in ((made.values, made.known_values), (made.codes, made.known_codes)):
        if cells is not None and known is not None:
            assert not known[3] and cells[3] == 0
    assert made.known_values is not None or made.known_codes is not None


# undeclared levels ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("missing", ["outcome", "unknown"])
@pytest.mark.parametrize(
    ("name", "strange"),
    [("words", "violet"), ("words missing", "violet"), ("category", "hi!"), ("ordered", "xl"), ("0 and 1 missing", 7),
     ("integer category", 99), ("bool", 2), ("mixed", 2.75), ("zip", "99999")],
)  # fmt: skip
def test_an_undeclared_level_can_be_unknown(name: str, strange: object, missing: str) -> None:
    codec = codec_of(PANDAS[[name]])
    X = pd.DataFrame({name: PANDAS[name].astype(object).mask(np.arange(ROWS) % 9 == 3, strange)})
    with pytest.raises(DataError, match=r"not declared.*; fit with unseen='unknown' to integrate such cells out, or"):
        codec.encode(X, missing=missing)
    places = np.arange(ROWS) % 9 == 3
    with pytest.warns(UserWarning, match=f"^{places.sum()} cells .*{name}: {strange!r}") as caught:
        made = codec.encode(X, missing=missing, unseen="unknown").batch
    assert len(caught) == 1 and made.known[1] is not None and not made.known[1][places].any()
    assert (made.x[1][places] == 0).all()
    kept = codec.encode(PANDAS[[name]], missing=missing).batch
    known = torch.ones_like(made.known[1]) if kept.known[1] is None else kept.known[1]
    assert torch.equal(made.known[1][~places], known[~places]) and torch.equal(made.x[1][~places], kept.x[1][~places])


def test_a_warning_names_three_undeclared_levels_and_other_cells_stay_errors() -> None:
    codec = codec_of(PANDAS[["words", "zip", "age"]])
    X = PANDAS[["words", "zip", "age"]].assign(words=[f"w{i}" for i in range(ROWS)])
    with pytest.warns(UserWarning, match=r"400 cells .*\(words: 'w0', words: 'w1', words: 'w2', \.\.\.\)"):
        codec.encode(X, unseen="unknown")
    with pytest.raises(DataError, match="expected numbers"):
        codec.encode(PANDAS[["words", "zip"]].assign(age="old"), unseen="unknown")
    with pytest.raises(DataError, match="expected 'error' or 'unknown'"):
        codec.encode(X, unseen="ignore")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        codec.encode(PANDAS[["words", "zip", "age"]], unseen="unknown")


# what is allowed --------------------------------------------------------------------------------------------------
GRIDS = [Grid(), Grid(2), Grid(0, 100, 50), Grid(2, 25, 5), Grid(0, 3, 2**60), Grid(9), Grid(1, 7, -3)]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@settings(max_examples=60, deadline=None)
@given(k=st.lists(st.integers(-(2**31), 2**31), min_size=1, max_size=8))
def test_a_grid_inverts(grid: Grid, k: list[int]) -> None:
    dtype = "int64" if grid.decimals == 0 else "float64"
    column = Column(name="x", kind="integer" if grid.decimals == 0 else "decimal", dtype=dtype, grid=grid)
    points = [(grid.offset + grid.multiple * v) for v in k]
    X = np.array(points) if grid.decimals == 0 else np.array([float(f"{p}e-{grid.decimals}") for p in points])
    made = encode_column(column, X)
    assert made.possible is None and made.values.tolist() == [float(v) for v in k]
    back = decode_column(column, made.values, None).values
    assert back.dtype == X.dtype and (back == X).all()


@pytest.mark.parametrize(
    ("column", "value", "moved"),
    [
        (Column(name="x", kind="integer", grid=Grid()), 2.5, 2.0),
        (Column(name="x", kind="decimal", grid=Grid(1)), 0.26, 3.0),
        (Column(name="x", kind="count", grid=Grid(), lower=0.0), -3.0, 0.0),
        (Column(name="x", kind="continuous", lower=0.0, upper=1.0), 1.5, 1.0),
        (Column(name="x", kind="decimal", grid=Grid(1), upper=0.3), 0.4, 3.0),
        (Column(name="x", kind="datetime", grid=Grid(), tick="day", dtype="datetime64[us]"), "12:00", 19723.0),
    ],
)
def test_what_is_not_allowed_is_said_and_moved(column: Column, value: object, moved: float) -> None:
    X = pd.Series(pd.to_datetime(["2024-01-01T12:00"])) if value == "12:00" else np.array([value])
    made = encode_column(column, X)
    assert made.possible is not None and not made.possible[0] and made.values[0] == moved


def test_special_codes_are_outside_every_bound() -> None:
    column = Column(name="x", kind="count", grid=Grid(), lower=0.0, atoms=(-999.0,), missing=True)
    made = encode_column(column, np.array([-999, np.nan, 4, -1]))
    assert made.codes.tolist() == [1, 2, 0, 0]
    assert made.values.tolist() == [0, 0, 4, 0] and made.known_values.tolist() == [False, False, True, True]
    assert made.possible.tolist() == [True, True, True, False]
    back = decode_column(column, made.values, made.codes).values
    np.testing.assert_array_equal(back, [-999, np.nan, 4, 0])


# text -------------------------------------------------------------------------------------------------------------
FORMATS = [
    TextFormat(),
    TextFormat(",", "."),
    TextFormat(".", ",", "$"),
    TextFormat(",", " ", "", " %"),
    TextFormat(decimals=2),
    TextFormat(".", "'", decimals=1),
    TextFormat(width=6),
]
doubles = st.floats(allow_nan=False, allow_infinity=False)
decimals = st.decimals(-(10**9), 10**9, places=2).map(float)


@pytest.mark.parametrize("form", FORMATS, ids=str)
@settings(max_examples=80, deadline=None)
@given(values=st.lists(doubles | decimals, min_size=1, max_size=6))
def test_reading_undoes_spelling_bit_for_bit(form: TextFormat, values: list[float]) -> None:
    column = Column(name="x", kind="continuous", text=form)
    text = spell(np.array(values), column)
    assert parse(text, column).tobytes() == np.array(values).tobytes()
    assert list(spell(parse(text, column), column)) == list(text)


@pytest.mark.parametrize("time", ["", "T%H:%M:%S", " %-I:%M %p", " %H:%M:%S.%6f", "T%H:%M:%S.%fZ", " %H:%M:%S%z"])
@pytest.mark.parametrize("date", DATES)
@settings(max_examples=8, deadline=None)
@given(moments=st.lists(st.integers(0, 3_000_000_000 * 10**6), min_size=1, max_size=4))
def test_reading_undoes_spelling_of_dates(date: str, time: str, moments: list[int]) -> None:
    coarse = {"": "M" if date == "%Y-%m" else "D", " %-I:%M %p": "m", " %H:%M:%S.%6f": "us", "T%H:%M:%S.%fZ": "us"}
    unit = coarse.get(time, "s")
    values = np.array(moments, dtype="M8[us]").astype(f"M8[{unit}]")
    if "%y" in date:  # two digits are 1969 to 2068
        values = values[values < np.datetime64("2068-12-31")]
    if date == "%Y-%m" and time:
        values = values[:0]
    text = spell_dates(values, date + time)
    assert (read_dates(text, date + time) == values).all()
    assert spell_dates(read_dates(text, date + time), date + time) == text
