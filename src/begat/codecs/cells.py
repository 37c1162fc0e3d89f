"""One column of a frame of any make, as numpy: the only form in which the rest of begat sees a column."""

from __future__ import annotations

import datetime
import decimal
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from begat.errors import DataError
from begat.schema import Scalar

Container = Literal["pandas", "polars", "numpy"]
Family = Literal["words", "numbers", "booleans", "dates"]


@dataclass(frozen=True)
class Cells:
    """The n cells of one column.

    dtype: what the frame calls the column's type, so that it can be built again. values: (n,) floats, integers,
    booleans, dates (datetime64, UTC where the dtype has a time zone), or, where `levels` is given, codes into them.
    Missing is NaN in floats, NaT in dates, -1 in codes, and marked by `mask` (n,) in integers and booleans. ordered:
    whether the frame itself declares the order of the levels.
    """

    dtype: str
    values: np.ndarray
    levels: tuple[Scalar, ...] | None = None
    mask: np.ndarray | None = None
    ordered: bool = False

    def __len__(self) -> int:
        return len(self.values)

    @property
    def family(self) -> Family:
        if self.levels is not None:
            return "words"
        kind = self.values.dtype.kind
        return "dates" if kind == "M" else "booleans" if kind == "b" else "numbers"

    @cached_property
    def textual(self) -> bool:
        """Whether the cells are words that may spell numbers or dates: text, not a declared category."""
        return self.levels is not None and not self.categorical and all(isinstance(v, str) for v in self.levels)

    @property
    def categorical(self) -> bool:
        """Whether the frame declares the levels."""
        return self.dtype.split("[")[0] in ("category", "Categorical", "Enum")

    @property
    def zone(self) -> str | None:
        """The time zone of dates."""
        found = re.search(r"\[\w+, (?:tz=)?([^\]]+)\]", self.dtype)
        return found[1] if found and self.values.dtype.kind == "M" else None

    def missing(self) -> np.ndarray | None:
        """(n,) True where a cell is missing; None where none is."""
        values = self.values
        if self.levels is not None:
            absent = values < 0 if len(values) and values.min() < 0 else None
        elif values.dtype.kind == "f":
            # NaN spreads through a minimum: one cheap pass for the usual case of no missing value
            absent = np.isnan(values) if len(values) and np.isnan(values.min()) else None
        elif values.dtype.kind == "M":
            absent = np.isnat(values)
        else:
            absent = self.mask
        return absent if absent is not None and absent.any() else None

    def take(self, rows: slice | np.ndarray) -> Cells:
        return replace(self, values=self.values[rows], mask=None if self.mask is None else self.mask[rows])

    def objects(self, absent: Any = None) -> np.ndarray:
        """(n,) Python scalars, `absent` where missing."""
        if self.levels is not None:
            table = np.empty(len(self.levels) + 1, dtype=object)
            table[:-1] = self.levels
            table[-1] = absent
            return table[self.values]
        out = self.values.astype(object)
        gone = self.missing()
        if gone is not None:
            out[gone] = absent
        return out


def words(values: np.ndarray, dtype: str = "object") -> Cells:
    """Cells of text or mixed scalars from an object array whose missing cells are None."""
    import pandas as pd

    codes, found = pd.factorize(values, use_na_sentinel=True)
    return Cells(dtype, codes, tuple(found.tolist()))


def cells(values: Any, name: object = "values") -> Cells:
    """The cells of a pandas, polars or pyarrow column, a one-dimensional array or a list.

    DataError (it names column, row and type) where a cell is not a number, text, a boolean, a date or missing.
    """
    if isinstance(values, Cells):
        return values
    pandas, polars, arrow = (sys.modules.get(m) for m in ("pandas", "polars", "pyarrow"))
    if arrow and isinstance(values, (arrow.Array, arrow.ChunkedArray)):
        values = values.to_pandas()
        pandas = sys.modules["pandas"]
    if pandas and isinstance(values, (pandas.Series, pandas.Index, pandas.api.extensions.ExtensionArray)):
        return _from_pandas(pandas.Series(values), name)
    if polars and isinstance(values, polars.Series):
        return _from_polars(values, name)
    if not isinstance(values, np.ndarray):
        if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
            raise DataError(f"column {name!r} is {type(values).__name__}; expected one value for each row")
        listed = list(values)
        values = np.empty(len(listed), dtype=object)
        for i, v in enumerate(listed):
            values[i] = v
        return _from_objects(values, "object", name)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise DataError(f"column {name!r} has shape {values.shape}; expected one value for each row, shape (n,)")
    return _from_numpy(values, str(values.dtype), name)


def _from_numpy(values: np.ndarray, dtype: str, name: object) -> Cells:
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
        return _from_objects(values, dtype, name)
    if kind == "M" and np.datetime_data(values.dtype)[0] in "YMW":
        return Cells(dtype, values.astype("datetime64[D]"))
    if values.dtype.itemsize > 8:
        values = values.astype(np.float64)
    return Cells(dtype, values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("=")))


def _from_objects(values: np.ndarray, dtype: str, name: object) -> Cells:
    import pandas as pd

    absent: np.ndarray = pd.isna(values)
    if absent.shape != values.shape:  # a cell that holds a list
        absent = np.array([v is None for v in values], dtype=bool)
    present = values[~absent]
    types = set(map(type, present))

    def filled(blank: Any) -> np.ndarray:
        out = values.copy()
        out[absent] = blank
        return out

    mask = absent if absent.any() else None
    if not types:
        return Cells(dtype, np.full(len(values), -1, dtype=np.int32), ())
    if types <= {str, np.str_}:
        return words(filled(None), dtype)
    if all(issubclass(t, (bool, np.bool_)) for t in types):
        return Cells(dtype, filled(False).astype(bool), mask=mask)
    numbers = (int, float, np.integer, np.floating)
    if all(issubclass(t, numbers) and t is not bool for t in types):
        if not any(issubclass(t, (float, np.floating)) for t in types):
            try:
                return Cells(dtype, filled(0).astype(np.int64), mask=mask)
            except OverflowError:
                return words(np.array([None if v is None else str(v) for v in filled(None)], dtype=object), dtype)
        return Cells(dtype, filled(np.nan).astype(np.float64))
    if types == {datetime.date}:
        return Cells("object[date]", filled(None).astype("datetime64[D]"))
    if all(issubclass(t, datetime.datetime) for t in types):
        try:
            return _from_pandas(pd.Series(pd.DatetimeIndex(filled(None))), name)
        except (ValueError, TypeError, AttributeError) as error:
            raise DataError(f"column {name!r} mixes dates that do not go together ({error})") from None
    if all(issubclass(t, (decimal.Decimal, int)) and t is not bool for t in types):
        return Cells("object[decimal]", filled(np.nan).astype(np.float64))
    scalars = (str, bool, np.bool_, *numbers)
    wrong = next((i for i, v in enumerate(values) if not absent[i] and not isinstance(v, scalars)), None)
    if wrong is not None:
        raise DataError(
            f"column {name!r}, row {wrong}: a {type(values[wrong]).__name__}; argument must be a string or a number "
            "(or a boolean, a date, missing)"
        )
    return _mixed(values, absent, dtype)


def _mixed(values: np.ndarray, absent: np.ndarray, dtype: str) -> Cells:
    """Words and numbers in one column: 5, "5" and True stay three levels."""
    found: dict[tuple[str, Scalar], int] = {}
    codes = np.full(len(values), -1, dtype=np.int64)
    for i in np.flatnonzero(~absent):
        v = values[i].item() if isinstance(values[i], np.generic) else values[i]
        codes[i] = found.setdefault((type(v).__name__, v), len(found))
    return Cells(dtype, codes, tuple(v for _, v in found))


def _from_pandas(column: Any, name: object) -> Cells:
    import pandas as pd

    dtype = column.dtype
    said = str(dtype)
    if isinstance(dtype, pd.CategoricalDtype):
        levels, kept = scalar_levels(dtype.categories)
        natural = kept and str(pd.Index(list(levels)).dtype) == str(dtype.categories.dtype)
        notes = ([str(dtype.categories.dtype)] if kept and not natural else []) + ["ordered"] * bool(dtype.ordered)
        said = f"category[{', '.join(notes)}]" if notes else "category"
        return Cells(said, column.cat.codes.to_numpy(), levels, ordered=bool(dtype.ordered))
    if isinstance(dtype, np.dtype):
        return _from_numpy(column.to_numpy(), said, name)
    if isinstance(dtype, pd.DatetimeTZDtype):
        return Cells(said, column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy())
    if isinstance(dtype, pd.StringDtype):
        codes, found = pd.factorize(column)
        return Cells(said, codes, tuple(found.tolist()))
    if isinstance(dtype, pd.ArrowDtype):
        import pyarrow as pa

        plain = pa.chunked_array(column.array.__arrow_array__()).to_pandas()
        return replace(_from_pandas(plain, name), dtype=said)
    if isinstance(dtype, pd.SparseDtype):
        return _from_numpy(np.asarray(column), said, name)
    inner = getattr(dtype, "numpy_dtype", None)
    if inner is not None and inner.kind in "iufb":
        absent = column.isna().to_numpy()
        if inner.kind == "f":
            return Cells(said, column.to_numpy(dtype=inner, na_value=np.nan))
        return Cells(said, column.to_numpy(dtype=inner, na_value=0), mask=absent if absent.any() else None)
    raise DataError(f"column {name!r} has type {said}; convert it to numbers, text, dates or categories")


def _from_polars(column: Any, name: object) -> Cells:
    import polars as pl

    dtype = column.dtype
    said = str(dtype)
    absent = column.is_null().to_numpy() if column.null_count() else None
    if dtype.is_float():
        return Cells(said, column.to_numpy())
    if (dtype.is_integer() and dtype not in (pl.Int128, pl.UInt128)) or dtype == pl.Boolean:
        return Cells(said, column.fill_null(0 if dtype.is_integer() else False).to_numpy(), mask=absent)
    if dtype == pl.Enum:
        levels = tuple(dtype.categories.to_list())
        codes = column.to_physical().cast(pl.Int64).fill_null(-1).to_numpy()
        return Cells("Enum", codes, levels)
    if dtype in (pl.String, pl.Categorical):
        found = column.cast(pl.String).to_arrow(compat_level=pl.CompatLevel.oldest()).dictionary_encode()
        codes = found.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return Cells("Categorical" if dtype == pl.Categorical else said, codes, tuple(found.dictionary.to_pylist()))
    if dtype in (pl.Date, pl.Datetime):
        unit = "D" if dtype == pl.Date else dtype.time_unit
        ticks = column.to_physical().cast(pl.Int64).fill_null(np.iinfo(np.int64).min).to_numpy()
        if dtype != pl.Date:
            said = f"Datetime[{unit}, {dtype.time_zone}]" if dtype.time_zone else f"Datetime[{unit}]"
        return Cells(said, ticks.view(f"datetime64[{unit}]"))
    if dtype.is_decimal():
        return Cells(f"Decimal[{dtype.precision}, {dtype.scale}]", column.cast(pl.Float64).to_numpy())
    if dtype == pl.Object:
        return replace(_from_objects(np.array(column.to_list(), dtype=object), said, name), dtype=said)
    if dtype == pl.Null:
        return Cells(said, np.full(len(column), -1, dtype=np.int32), ())
    raise DataError(f"column {name!r} has type {said}; convert it to numbers, text, dates or categories")


def scalar_levels(categories: Any) -> tuple[tuple[Scalar, ...], bool]:
    """Declared categories as plain scalars, and whether they are; others (intervals, dates) are taken as their text."""
    plain = categories.tolist()
    if all(isinstance(v, (str, int, float, bool)) for v in plain):
        return tuple(plain), True
    return tuple(str(v) for v in plain), False
