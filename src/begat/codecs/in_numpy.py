"""Arrays and Python objects: their cells, and arrays from cells."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import numpy as np

from begat.codecs.cells import INTEGERS, Cells, words
from begat.errors import DataError
from begat.schema import Scalar

NUMBERS = (int, float, np.integer, np.floating)


def from_numpy(values: np.ndarray, dtype: str, name: object) -> Cells:
    """The cells of a one-dimensional array."""
    kind = values.dtype.kind
    if kind == "c":
        raise DataError(f"Complex data not supported: column {name!r} holds {dtype}; give real and imaginary parts")
    if kind == "m":
        raise DataError(f"column {name!r} holds durations ({dtype}); convert them to numbers of seconds or days")
    if kind in "SV":
        raise DataError(f"column {name!r} holds bytes ({dtype}); decode them to text")
    if kind in "UT":
        return words(values.astype(object), "str")
    if kind == "O":
        return from_objects(values, dtype, name)
    if kind == "M":
        unit, step = np.datetime_data(values.dtype)
        if unit in ("ps", "fs", "as", "generic"):
            raise DataError(f"column {name!r} holds dates in no known unit ({dtype}); convert them to nanoseconds")
        plain = "D" if unit in "YMW" else unit
        return Cells(dtype, values if (unit, step) == (plain, 1) else values.astype(f"datetime64[{plain}]"))
    if values.dtype.itemsize > 8:
        values = values.astype(np.float64)
    return Cells(dtype, values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("=")))


def from_objects(values: np.ndarray, dtype: str, name: object) -> Cells:
    """The cells of an array of Python objects."""
    absent = _absent(values)
    present = values[~absent]
    types = set(map(type, present))

    def filled(blank: Any) -> np.ndarray:
        out = values.copy()
        out[absent] = blank
        return out

    def numeric(*also: type) -> bool:
        return all(issubclass(t, (*NUMBERS, *also)) and t is not bool for t in types)

    mask = absent if absent.any() else None
    if not types:
        return Cells(dtype, np.full(len(values), -1, dtype=np.int32), ())
    if types <= {str, np.str_}:
        return words(filled(None), dtype)
    if all(issubclass(t, (bool, np.bool_)) for t in types):
        return Cells(dtype, filled(False).astype(bool), mask=mask)
    if numeric() and not any(issubclass(t, (float, np.floating)) for t in types):
        try:
            return Cells(INTEGERS, filled(0).astype(np.int64), mask=mask)
        except OverflowError:
            try:
                text = [None if v is None else str(int(v)) for v in filled(None)]
            except ValueError:
                raise DataError(
                    f"column {name!r} holds whole numbers of thousands of digits; give them as text"
                ) from None
            return words(np.array(text, dtype=object), INTEGERS)
    if numeric(decimal.Decimal):
        whole = all(issubclass(t, (decimal.Decimal, int)) for t in types)
        try:
            return Cells("object[decimal]" if whole else dtype, filled(np.nan).astype(np.float64))
        except OverflowError:
            raise DataError(f"column {name!r} holds a number beyond 1e308; give it in another unit") from None
    if types == {datetime.date}:
        return Cells("object[date]", filled(None).astype("datetime64[D]"))
    if all(issubclass(t, datetime.date) for t in types):
        return _moments(filled(None), types, name)
    scalars = (str, bool, np.bool_, *NUMBERS)
    wrong = next((i for i in np.flatnonzero(~absent) if not isinstance(values[i], scalars)), None)
    if wrong is not None:
        raise DataError(
            f"column {name!r}, row {wrong}: a {type(values[wrong]).__name__}; argument must be a string or a number "
            "(or a boolean, a date, missing), one kind of them; convert the column, or leave it out"
        )
    return _mixed(values, absent, dtype)


def _absent(values: np.ndarray) -> np.ndarray:
    """(n,) True where an object stands for a missing value."""
    import pandas as pd

    try:
        absent: np.ndarray = pd.isna(values)
    except decimal.InvalidOperation:  # a signalling NaN among decimals
        absent = np.array([v is None or v is pd.NA or (isinstance(v, decimal.Decimal) and v.is_nan()) for v in values])
    if absent.shape != values.shape:  # a cell that holds a list
        absent = np.array([v is None for v in values], dtype=bool)
    return absent


def _moments(values: np.ndarray, types: set[type], name: object) -> Cells:
    """Dates with a time of day; None is missing."""
    import pandas as pd

    from begat.codecs.in_pandas import from_pandas

    if datetime.date in types:
        raise DataError(f"column {name!r} mixes dates with and without a time of day; give all or none of them one")
    try:
        return from_pandas(pd.Series(pd.DatetimeIndex(values)), name)
    except (ValueError, TypeError, AttributeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"column {name!r} mixes time zones, or dates with and without one; give all the same, as "
            "pandas.to_datetime(..., utc=True) does"
        ) from None


def _mixed(values: np.ndarray, absent: np.ndarray, dtype: str) -> Cells:
    """Words and numbers in one column: 5, "5" and True stay three levels."""
    found: dict[tuple[str, Scalar], int] = {}
    codes = np.full(len(values), -1, dtype=np.int64)
    for i in np.flatnonzero(~absent):
        v = values[i].item() if isinstance(values[i], np.generic) else values[i]
        codes[i] = found.setdefault((type(v).__name__, v), len(found))
    return Cells(dtype, codes, tuple(v for _, v in found))


# back -------------------------------------------------------------------------------------------------------------
def to_numpy(c: Cells) -> np.ndarray:
    """A column as a one-dimensional array of its dtype where that can hold it; missing is NaN, NaT or None."""
    if c.levels is not None:
        out = c.objects()
        return out.astype(str) if c.dtype == "str" and c.missing() is None else out
    if c.dtype.startswith("object"):
        return c.objects()
    if c.mask is not None and c.mask.any():
        return np.where(c.mask, np.nan, c.values.astype(np.float64))
    return narrowed(c)


def narrowed(c: Cells) -> np.ndarray:
    """The values in the width that the dtype names, where it names a numpy one."""
    try:
        named = np.dtype(c.dtype.lower() if c.family == "numbers" else c.dtype)
    except (TypeError, ValueError):
        return c.values
    return c.values if named.kind not in "iufbM" else c.values.astype(named, copy=False)


def stacked(columns: list[np.ndarray]) -> np.ndarray:
    """Columns (n,) of several types as one array (n, columns) that holds them all."""
    kinds = {c.dtype.kind for c in columns}
    if len({c.dtype for c in columns}) > 1 and not kinds <= set("iufb"):
        columns = [c.astype(object) for c in columns]
    dtype = columns[0].dtype if len({c.dtype for c in columns}) == 1 else np.result_type(*columns)
    out = np.empty((len(columns[0]), len(columns)), dtype=dtype)
    for i, c in enumerate(columns):
        out[:, i] = c
    return out
