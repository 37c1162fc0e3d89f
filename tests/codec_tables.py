"""Tables of many kinds of columns, for the laws of codecs: every maker gives n rows from a fixed seed."""

from __future__ import annotations

import datetime as dt
import decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

ROWS = 400


def holes(values: object, rng: np.random.Generator, share: float = 0.1) -> pd.Series:
    """The values with some of them missing."""
    made = pd.Series(values)
    return made.mask(rng.random(len(made)) < share)


def arrow_columns(n: int = ROWS) -> dict[str, pa.Array]:
    """Columns of Arrow by name, every tenth cell of each missing."""
    r = np.random.default_rng(6)
    whole = r.integers(0, 90, n).tolist()
    first = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    days = [first + dt.timedelta(v) for v in whole]
    hours = [first + dt.timedelta(hours=v) for v in whole]
    words = [("low", "mid", "high")[v % 3] for v in whole]
    made = {
        "decimal128": ([decimal.Decimal(v) / 4 for v in whole], pa.decimal128(10, 2)),
        "decimal256": ([decimal.Decimal(v) for v in whole], pa.decimal256(40, 0)),
        "dictionary": (words, pa.dictionary(pa.int32(), pa.string())),
        "ordered dictionary": (words, pa.dictionary(pa.int8(), pa.large_string(), ordered=True)),
        "dictionary of integers": ([v % 4 for v in whole], pa.dictionary(pa.int16(), pa.int64())),
        "null": ([None] * n, pa.null()),
        "bool": ([v % 3 == 0 for v in whole], pa.bool_()),
        "date32": ([d.date() for d in days], pa.date32()),
        "date64": ([d.date() for d in days], pa.date64()),
        "seconds": ([h.replace(tzinfo=None) for h in hours], pa.timestamp("s")),
        "nanoseconds in Berlin": (hours, pa.timestamp("ns", "Europe/Berlin")),
        "microseconds east": (hours, pa.timestamp("us", "+05:30")),
        "string": (words, pa.string()),
        "large string": (words, pa.large_string()),
        "int8": (whole, pa.int8()),
        "uint64": ([2**63 + v for v in whole], pa.uint64()),
        "half": ([v / 2 for v in whole], pa.float16()),
        "float": ([v / 3 for v in whole], pa.float32()),
        "double": ([v / 3 for v in whole], pa.float64()),
    }
    return {
        name: pa.array([None if i % 10 == 3 else v for i, v in enumerate(values)], kind)
        for name, (values, kind) in made.items()
    }


def pandas_columns(n: int = ROWS) -> dict[str, object]:
    """Columns of pandas by name: what they hold is what the name says."""
    r = np.random.default_rng(7)
    day = pd.Timestamp("2021-03-01")
    arrow = {f"arrow {k}": pd.Series(pd.arrays.ArrowExtensionArray(v)) for k, v in arrow_columns(n).items()}
    return arrow | {
        "float64": r.normal(size=n),
        "float64 missing": holes(r.normal(size=n), r),
        "float32": r.normal(size=n).astype("f4"),
        "float32 missing": holes(r.normal(size=n).astype("f4"), r),
        "float16": r.normal(size=n).astype("f2"),
        "nullable float": holes(r.normal(size=n), r).astype("Float64"),
        "zeros and more": np.where(r.random(n) < 0.7, 0.0, r.lognormal(size=n)),
        "capped": np.minimum(r.lognormal(0, 1, n), 2.5),
        "sentinel": np.where(r.random(n) < 0.1, -999, r.normal(20, 4, n).round(1)),
        "sentinel and missing": holes(np.where(r.random(n) < 0.1, -999.0, r.normal(20, 4, n)), r),
        "cents": (r.lognormal(3, 1, n)).round(2),
        "cents float32": (r.normal(30, 9, n)).round(2).astype("f4"),
        "quarters": r.integers(0, 4000, n) / 4,
        "hundreds": r.integers(0, 4000, n) * 100 + 50,
        "thirds": r.integers(0, 9, n) / 3,
        "age": r.integers(17, 91, n),
        "count": r.poisson(3, n),
        "count missing": holes(r.poisson(3, n), r),
        "int8": r.integers(-100, 100, n).astype("i1"),
        "uint64": r.integers(2**63, 2**63 + 5000, n, dtype="u8"),
        "big": r.integers(2**60, 2**60 + 5000, n),
        "largest": r.integers(2**63 - 5000, 2**63 - 1, n),
        "smallest": r.integers(-(2**63), -(2**63) + 5000, n),
        "int8 ends": r.choice(np.array([-128, 5, 127], "i1"), n),
        "object int": pd.Series(r.integers(-5, 900, n), dtype=object),
        "beyond int64": pd.Series([2**70 + int(v) for v in r.integers(0, 9, n)], dtype=object),
        "Int64": holes(r.integers(-5, 900, n), r).astype("Int64"),
        "constant": 7.25,
        "constant int": 3,
        "bool": r.random(n) < 0.3,
        "boolean": holes(r.random(n) < 0.3, r).astype("boolean"),
        "object bool": pd.Series(r.choice(np.array([True, False, None], dtype=object), n), dtype=object),
        "0 and 1": r.integers(0, 2, n),
        "0 and 1 missing": holes(r.integers(0, 2, n), r),
        "words": r.choice(["red", "green", "blue"], n),
        "words missing": holes(r.choice(["red", "green", "blue"], n), r),
        "question marks": r.choice(["red", "green", "?"], n),
        "object words": pd.Series(r.choice(np.array(["a", "b", None], dtype=object), n), dtype=object),
        "string": holes(r.choice(["a", "b"], n), r).astype("string"),
        "yes no": r.choice(["Yes", "No"], n),
        "zip": r.choice(["01234", "90210", "00501"], n),
        "mixed": pd.Series(r.choice(np.array([1, "1", 2.5, True], dtype=object), n), dtype=object),
        "category": pd.Categorical(r.choice(["lo", "hi"], n), categories=["mid", "lo", "hi"]),
        "category missing": pd.Categorical.from_codes(r.integers(-1, 3, n), categories=["z", "y", "x"]),
        "ordered": pd.Categorical.from_codes(r.integers(-1, 3, n), categories=["s", "m", "l"], ordered=True),
        "integer category": pd.Categorical.from_codes(r.integers(0, 3, n), categories=[30, 10, 20]),
        "int8 category": pd.Categorical.from_codes(
            r.integers(0, 2, n), categories=np.array([3, 1], "i1"), ordered=True
        ),
        "intervals": pd.cut(r.normal(size=n), 4),
        "intervals of days": pd.Categorical(
            pd.IntervalIndex.from_breaks(pd.date_range(day, periods=4))[r.integers(0, 3, n)]
        ),
        "day category": pd.Categorical(day + pd.to_timedelta(r.integers(0, 3, n), unit="D")),
        "category in Berlin": pd.Categorical(
            (day + pd.to_timedelta(r.integers(0, 3, n), unit="D")).tz_localize("Europe/Berlin")
        ),
        "month category": pd.Categorical(pd.period_range("2020-01", periods=3, freq="M")[r.integers(0, 3, n)]),
        "all missing": np.full(n, np.nan),
        "all None": pd.Series([None] * n, dtype=object),
        "days": pd.date_range(day, periods=n, freq="D"),
        "hours": pd.Series(pd.date_range(day, periods=n, freq="h")).astype("datetime64[s]"),
        "seconds missing": holes(day + pd.to_timedelta(r.integers(0, 10**7, n), unit="s"), r),
        "first and last day": r.choice(np.array(["0001-01-01", "2020-02-29", "9999-12-31"], "M8[s]"), n),
        "first and last moment": r.choice(np.array(["0001-01-01", "9999-12-31T23:59:59.999"], "M8[us]"), n),
        "open end in Berlin": pd.Series(r.choice(np.array(["2020-02-29", "9999-12-31"], "M8[s]"), n)).dt.tz_localize(
            "Europe/Berlin"
        ),
        "last days of nanoseconds": r.choice(np.array(["2262-04-10", "2262-04-11"], "M8[ns]"), n),
        "nanoseconds": pd.Series(day.as_unit("ns") + pd.to_timedelta(r.integers(0, 10**9, n), unit="ns")),
        "days in Berlin": pd.date_range(day, periods=n, freq="D", tz="Europe/Berlin"),
        "hours in Berlin": pd.date_range("2021-10-30", periods=n, freq="h", tz="Europe/Berlin"),
        "minutes UTC": pd.date_range(day, periods=n, freq="15min", tz="UTC"),
        "first and last date object": pd.Series(r.choice(np.array([dt.date.min, dt.date.max, None]), n), dtype=object),
        "date objects": pd.Series(
            [dt.date(2020, 1, 1) + dt.timedelta(int(i)) for i in r.integers(0, 900, n)], dtype=object
        ),
        "decimals": pd.Series([decimal.Decimal(int(i)) / 4 for i in r.integers(0, 900, n)], dtype=object),
        "arrow int": holes(r.integers(0, 50, n), r).astype("int64[pyarrow]"),
        "German": pd.Series([f"{v:_.2f}".translate({46: ",", 95: "."}) for v in r.lognormal(7, 2, n)]),
        "percent": pd.Series([f"{v} %" for v in r.integers(0, 101, n)]),
        "dollars": pd.Series([f"${v:,}" if v > 0 else "N/A" for v in r.integers(-900, 90_000, n)]),
        "text dates": pd.Series(pd.date_range(day, periods=n).strftime("%d.%m.%Y")),
        "text times": pd.Series(pd.date_range(day, periods=n, freq="7min").strftime("%Y-%m-%dT%H:%M:%SZ")),
    }


def pandas_table(n: int = ROWS) -> pd.DataFrame:
    return pd.DataFrame(
        {name: pd.Series(c) if hasattr(c, "__len__") else [c] * n for name, c in pandas_columns(n).items()}
    )


def polars_table(n: int = ROWS) -> pl.DataFrame:
    r = np.random.default_rng(8)

    def gaps(values: object, dtype: object = None) -> pl.Series:
        made = pl.Series(values, dtype=dtype, strict=False)  # type: ignore[arg-type]
        return made.zip_with(pl.Series(r.random(n) > 0.1), pl.Series([None] * n, dtype=made.dtype))

    words = r.choice(["red", "green", "blue"], n).tolist()
    start = dt.datetime(2022, 5, 1, 12)
    moments = [start + dt.timedelta(minutes=int(i)) for i in r.integers(0, 10**6, n)]
    return pl.DataFrame(
        {
            "f64": gaps(r.normal(size=n)),
            "f64 NaN": np.where(r.random(n) < 0.1, np.nan, r.normal(size=n)),
            "f32 NaN": np.where(r.random(n) < 0.1, np.nan, r.normal(size=n)).astype("f4"),
            "whole NaN": np.where(r.random(n) < 0.1, np.nan, r.integers(0, 90, n)),
            "all NaN": np.full(n, np.nan),
            "first and last date": [(dt.date.min, dt.date.max)[i % 2] for i in range(n)],
            "first and last moment": [(dt.datetime.min, dt.datetime(9999, 12, 31, 23, 59))[i % 2] for i in range(n)],
            "f32": pl.Series(r.normal(size=n), dtype=pl.Float32),
            "i64": gaps(r.integers(-900, 900, n)),
            "u8": pl.Series(r.integers(0, 200, n), dtype=pl.UInt8),
            "bool": gaps(r.random(n) < 0.4),
            "string": gaps(words),
            "categorical": gaps(words, pl.Categorical),
            "enum": gaps(words, pl.Enum(["violet", "red", "green", "blue"])),
            "date": gaps([m.date() for m in moments]),
            "datetime": gaps(moments),
            "milliseconds": pl.Series(moments, dtype=pl.Datetime("ms")),
            "in Tokyo": gaps(moments).dt.replace_time_zone("Asia/Tokyo"),
            "decimal": gaps([decimal.Decimal(int(i)) / 100 for i in r.integers(0, 10**5, n)], pl.Decimal(10, 2)),
            "nothing": [None] * n,
        }
    )


def arrays(n: int = ROWS) -> dict[str, np.ndarray]:
    r = np.random.default_rng(9)
    x = r.normal(size=(n, 3))
    return {
        "float64": x,
        "float32": x.astype("f4"),
        "float16": x.astype("f2"),
        "NaN": np.where(r.random((n, 3)) < 0.1, np.nan, x),
        "integers": r.integers(-9, 9, (n, 3)),
        "uint8": r.integers(0, 256, (n, 3)).astype("u1"),
        "bool": x > 0,
        "big endian": x.astype(">f8"),
        "reversed": x[::-1, ::-1],
        "Fortran": np.asfortranarray(x),
        "text": r.choice(["a", "b"], (n, 3)),
        "largest": r.integers(2**63 - 5000, 2**63 - 1, (n, 2)),
        "25 seconds": r.integers(0, 900, (n, 2)).astype("M8[25s]"),
        "object": np.column_stack([r.choice(["a", "b"], n).astype(object), r.normal(size=n).astype(object)]),
        "read only": np.frombuffer(x.tobytes()).reshape(n, 3),
        "dates": np.datetime64("2020-01-01") + r.integers(0, 900, (n, 2)).astype("m8[D]"),
    }
